"""What a write leaves to be done after its commit: changes to announce, hooks to call, ids to forget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.execute.images import Images
from engine.execute.runtime import Runtime
from engine.io.changes import Change
from engine.io.live_entries import RowChange
from engine.plugins.overrides import Written


@dataclass(slots=True)
class Effects:
    """What a write leaves to be done after its commit.

    Attributes:
        images: Takes the rows that are written, where somebody follows them; else None.
        rows: What it has made of them.
    """

    changes: list[Change] = field(default_factory=list)
    hooks: list[tuple[Callable[[Written], object], Written]] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)
    images: Images | None = None
    rows: list[RowChange] = field(default_factory=list)

    def begin(self, runtime: Runtime) -> None:
        """Forget everything: a transaction begins, perhaps anew."""
        self.changes.clear()
        self.hooks.clear()
        self.gone.clear()
        self.rows.clear()
        watched = runtime.changes.watched
        self.images = Images(runtime.registry, watched) if watched else None

    async def finish(self) -> None:
        """Before the commit: see what has become of the rows that somebody follows."""
        if self.images is not None:
            self.rows.extend(await self.images.finish())

    def unseen(self, watched: frozenset[str]) -> set[str]:
        """Types that were written before it was known that somebody follows them."""
        seen = self.images.watched if self.images is not None else frozenset()
        return {change.type for change in self.changes if change.type in watched and change.type not in seen}
