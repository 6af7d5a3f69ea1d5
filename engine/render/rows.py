"""Rows as JSON: one writer per selection, made once, so that a row costs one call.

A writer takes the tuples of a read statement (see `sql/read.py` for their order)
and answers what orjson encodes. It is generated as source text from the registry:
a dict display with the converters of the field kinds is several times faster than
any loop over fields. Nothing a caller sent is ever part of that text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from engine.plan.columns import LEADING_COLUMNS, selection_columns, source_fields
from engine.plan.shape import Dialect, Selection
from engine.plugins.overrides import Overrides
from engine.registry.kinds import KINDS
from engine.registry.resource import Field, Registry

JSON_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z

Row = Sequence[Any]
JsonObject = dict[str, Any]
Places = dict[str, tuple[int, Callable[[Any, Field], object], Field]]


@dataclass(frozen=True, slots=True)
class Writer:
    """Turns the rows of one selection into JSON objects.

    Attributes:
        write: A row as a JSON object.
        row_ids: For each place where to-many rows are attached: the hops from the root, and the row-id column.
        width: How many columns the selection takes, the leading ones included; the order's keys follow.
    """

    write: Callable[[Row], JsonObject]
    row_ids: Mapping[tuple[str, ...], int]
    width: int


def make_writer(
    registry: Registry, selection: Selection, dialect: Dialect, overrides: Mapping[str, Overrides]
) -> Writer:
    """Generate the writer of a selection.

    Args:
        registry: The running registry.
        selection: What the statement reads.
        dialect: Whose driver values the rows hold.
        overrides: Computed fields by type.
    """
    columns = list(selection_columns(registry, selection))
    places: dict[tuple[tuple[str, ...], str], int] = {}
    row_ids: dict[tuple[str, ...], int] = {(): 0}
    for index, column in enumerate(columns, start=LEADING_COLUMNS):
        if column.field is None:
            row_ids[column.hops] = index
        else:
            places.setdefault((column.hops, column.field.name), index)
    source = _Source(registry, dialect, overrides, places)
    text = source.object_text(selection, ())
    namespace: dict[str, Any] = dict(source.names)
    code = compile(f"lambda r: {text}", "<row writer>", "eval")
    # The text is made of reprs of registry names and of column numbers alone.
    write = eval(code, namespace)
    return Writer(write, row_ids, LEADING_COLUMNS + len(columns))


class _Source:
    """Collects the text of a writer and the converters that it names."""

    def __init__(
        self,
        registry: Registry,
        dialect: Dialect,
        overrides: Mapping[str, Overrides],
        places: Mapping[tuple[tuple[str, ...], str], int],
    ) -> None:
        self.registry = registry
        self.dialect = dialect
        self.overrides = overrides
        self.places = places
        self.names: dict[str, Any] = {}

    def object_text(self, selection: Selection, hops: tuple[str, ...]) -> str:
        """The dict display of a selection."""
        resource = self.registry.types[selection.type]
        parts = [f"{name!r}: {self._field_text(selection, resource.fields[name], hops)}" for name in selection.fields]
        for name, inner in selection.ones:
            inner_hops = (*hops, name)
            marker = self.places[inner_hops, "id"]
            parts.append(f"{name!r}: None if r[{marker}] is None else {self.object_text(inner, inner_hops)}")
        return "{" + ", ".join(parts) + "}"

    def _field_text(self, selection: Selection, field: Field, hops: tuple[str, ...]) -> str:
        if field.computed:
            return self._computed_text(selection, field, hops)
        place = f"r[{self.places[hops, field.name]}]"
        convert = KINDS[field.kind].render[self.dialect](field)
        if convert is None:
            return place
        if convert is bool and not field.nullable and not hops:
            return f"{place} == 1"
        name = self._name(convert)
        return f"None if {place} is None else {name}({place})"

    def _computed_text(self, selection: Selection, field: Field, hops: tuple[str, ...]) -> str:
        function = self.overrides[selection.type].computed[field.name]
        resource = self.registry.types[selection.type]
        places: Places = {
            source.name: (self.places[hops, source.name], KINDS[source.kind].restore[self.dialect], source)
            for source in source_fields(resource)
        }
        return f"{self._name(function)}({self._name(RowView)}(r, {self._name(places)}))"

    def _name(self, value: object) -> str:
        for name, known in self.names.items():
            if known is value:
                return name
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name


class RowView:
    """What a computed field sees of its row: the stored fields as attributes, canonical, made when asked for."""

    __slots__ = ("_places", "_row")

    def __init__(self, row: Row, places: Places) -> None:
        self._row = row
        self._places = places

    def __getattr__(self, name: str) -> Any:
        try:
            index, restore, field = self._places[name]
        except KeyError:
            raise AttributeError(name) from None
        value = self._row[index]
        return None if value is None else restore(value, field)


def encode_json(value: object) -> bytes:
    """JSON bytes of what a writer answers, and of everything else that a reply holds."""
    return orjson.dumps(value, option=JSON_OPTIONS)
