"""The rows of a write as they were and as they are, taken where somebody follows their types and nowhere else.

Every writing statement of a session passes by here first. Rows are held while they are looked at, so that nobody
writes between the look and the statement; what a transaction has made of them is read once, before its commit. A row
that it has written several times is one change: nobody could ever see what was between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from engine.io.live_entries import Image, RowChange, make_image
from engine.io.storage import Rows
from engine.plan.shape import Viewer
from engine.plan.write import DeleteShape, FamilyShape, ImageShape, InsertShape, UpdateShape, WriteShape
from engine.registry.resource import Registry, Resource
from engine.sql.live import image_columns

MAX_ROWS = 1_000
WIDTH = 64

Fetch = Callable[[WriteShape, Mapping[str, object]], Awaitable[Rows]]


class Images:
    """Of one transaction.

    Args:
        registry: The running registry.
        watched: Types that somebody follows.
    """

    def __init__(self, registry: Registry, watched: frozenset[str]) -> None:
        self._registry = registry
        self.watched = watched
        self._before: dict[tuple[str, int], Image | None] = {}
        self._readers: dict[str, tuple[Fetch, Viewer]] = {}
        self._too_many: set[str] = set()

    async def look(self, fetch: Fetch, shape: WriteShape, values: Mapping[str, object]) -> None:
        """Take the rows that a statement is about to write.

        Args:
            fetch: Runs statements past this.
            shape: The statement.
            values: Its values.
        """
        if shape.type not in self.watched:
            return
        if isinstance(shape, (UpdateShape, DeleteShape)):
            row_id = values["row_id"]
            if isinstance(row_id, int):
                await self._take(fetch, shape.type, shape.viewer, [row_id])
        elif isinstance(shape, FamilyShape) and shape.action != "find":
            found = await fetch(replace(shape, action="find"), values)
            await self._take(fetch, shape.type, shape.viewer, [row[0] for row in found])

    def note_made(self, fetch: Fetch, shape: InsertShape, row_id: int) -> None:
        """Note a row that was inserted."""
        if shape.type in self.watched and self._has_room(shape.type, 1):
            self._before.setdefault((shape.type, row_id), None)
            self._readers[shape.type] = fetch, shape.viewer

    async def finish(self) -> list[RowChange]:
        """What the transaction has made of the rows; asked before its commit, in the order of their first write."""
        changes = [RowChange(name, "", 0, None, is_blind=True) for name in sorted(self._too_many)]
        after: dict[tuple[str, int], Image] = {}
        for name, (fetch, viewer) in self._readers.items():
            ids = [row_id for type_name, row_id in self._before if type_name == name]
            for row_id, image in await self._read(fetch, name, viewer, ids, holds=False):
                after[name, row_id] = image
        for place, before in self._before.items():
            name, row_id = place
            now = after.get(place)
            if name not in self._too_many and before != now:
                changes.append(change_of(self._registry, self._registry.types[name], row_id, before, now))
        return changes

    # ------------------------------------------------------------ private

    def _has_room(self, name: str, count: int) -> bool:
        if len(self._before) + count > MAX_ROWS:
            self._too_many.add(name)
        return name not in self._too_many

    async def _take(self, fetch: Fetch, name: str, viewer: Viewer, ids: list[int]) -> None:
        missing = [row_id for row_id in dict.fromkeys(ids) if (name, row_id) not in self._before]
        if not missing or not self._has_room(name, len(missing)):
            return
        self._readers[name] = fetch, viewer
        for row_id, image in await self._read(fetch, name, viewer, missing, holds=True):
            self._before[name, row_id] = image

    async def _read(
        self, fetch: Fetch, name: str, viewer: Viewer, ids: list[int], *, holds: bool
    ) -> list[tuple[int, Image]]:
        found: list[tuple[int, Image]] = []
        for start in range(0, len(ids), WIDTH):
            chunk = ids[start : start + WIDTH]
            width = 1
            while width < len(chunk):
                width *= 2
            values = {f"row{i}": chunk[min(i, len(chunk) - 1)] for i in range(width)}
            rows = await fetch(ImageShape(name, viewer, width, holds), values)
            found.extend((row[0], make_image(row[1:])) for row in rows)
        return found


def change_of(
    registry: Registry, resource: Resource, row_id: int, before: Image | None, after: Image | None
) -> RowChange:
    """One row's change, with what is known of the row from its images."""
    places = {column.name: index for index, column in enumerate(image_columns(registry, resource.table))}
    image = after or before
    if image is None:
        return RowChange(resource.name, "", row_id, None, is_blind=True)

    def value(column: str | None, of: Image | None) -> object:
        return None if column is None or of is None else of.values[places[column]]

    account = row_id if resource.account.kind == "self" else value(resource.account.column, image)
    version = value(resource.version, after)
    stored = value(resource.public_id, image)
    public_id = stored.decode("ascii", "replace") if isinstance(stored, bytes) else str(stored)
    return RowChange(
        resource.name,
        public_id,
        row_id,
        account if isinstance(account, int) else None,
        version if isinstance(version, int) else None,
        before,
        after,
    )
