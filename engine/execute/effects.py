"""What a write leaves to be done after its commit: changes to announce, hooks to call, ids to forget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.execute.images import Images
from engine.execute.runtime import Runtime
from engine.io.changes import Change, Turn
from engine.io.live_entries import RowChange
from engine.plugins.overrides import Written


@dataclass(slots=True)
class Effects:
    """What a write leaves to be done after its commit.

    Attributes:
        images: Takes the rows that are written, where somebody follows them; else None.
        rows: What it has made of them.
        turn: Its place among the commits of the same rows; None where it was not taken, or has ended.
    """

    changes: list[Change] = field(default_factory=list)
    hooks: list[tuple[Callable[[Written], object], Written]] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)
    images: Images | None = None
    rows: list[RowChange] = field(default_factory=list)
    turn: Turn | None = None

    def begin(self, runtime: Runtime) -> None:
        """Forget everything: a transaction begins, perhaps anew."""
        self.give_up(runtime)
        self.changes.clear()
        self.hooks.clear()
        self.gone.clear()
        self.rows.clear()
        watched = runtime.changes.watched
        self.images = Images(runtime.registry, watched) if watched else None

    async def finish(self, runtime: Runtime) -> None:
        """Before the commit: see what has become of the rows that somebody follows."""
        if self.images is not None:
            self.rows.extend(await self.images.finish())
            self.turn = runtime.changes.take_turn(self.rows)

    def give_up(self, runtime: Runtime, *, is_unknown: bool = False) -> None:
        """The transaction came to nothing: let those pass that write the same rows.

        Args:
            runtime: The running engine.
            is_unknown: It may have been committed after all: then those who follow are told to look again.
        """
        if self.turn is not None:
            turn, self.turn = self.turn, None
            runtime.changes.end_turn(turn, (), {row.type for row in self.rows} if is_unknown else ())

    def tell(self, runtime: Runtime) -> None:
        """After the commit: tell everybody."""
        changes = runtime.changes
        unseen = self._unseen(changes.watched)
        turn, self.turn = self.turn, None
        if turn is not None:
            changes.end_turn(turn, self.rows, unseen)
        elif unseen:
            changes.announce_rows((), unseen)
        if self.changes:
            changes.announce(self.changes)

    def _unseen(self, watched: frozenset[str]) -> set[str]:
        """Types that were written before it was known that somebody follows them."""
        seen = self.images.watched if self.images is not None else frozenset()
        return {change.type for change in self.changes if change.type in watched and change.type not in seen}
