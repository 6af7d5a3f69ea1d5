"""Which columns a selection takes, in which order: what statements select and row writers read.

Before them stand the row id and the version (`LEADING_COLUMNS`); behind them, in a
page, the values of the order's keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.plan.shape import Selection
from engine.registry.resource import Field, Registry, Resource

LEADING_COLUMNS = 2


@dataclass(frozen=True, slots=True)
class SelectedColumn:
    """One column of a selection.

    Attributes:
        hops: To-one relations from the root.
        field: The field, or None for the row id of the row at the end of the hops.
    """

    hops: tuple[str, ...]
    field: Field | None


def selection_columns(registry: Registry, selection: Selection) -> Iterator[SelectedColumn]:
    """List a selection's columns in the order in which statements and row writers take them.

    Computed fields take none. Where `with_source` is set, all stored fields follow the selected ones.
    """
    yield from _selection_columns(registry, selection, ())


def _selection_columns(registry: Registry, selection: Selection, hops: tuple[str, ...]) -> Iterator[SelectedColumn]:
    resource = registry.types[selection.type]
    for name in selection.fields:
        if not resource.fields[name].computed:
            yield SelectedColumn(hops, resource.fields[name])
    if selection.with_source:
        for field in source_fields(resource):
            if field.name not in selection.fields:
                yield SelectedColumn(hops, field)
    if selection.many and hops:
        yield SelectedColumn(hops, None)
    for name, inner in selection.ones:
        yield from _selection_columns(registry, inner, (*hops, name))


def source_fields(resource: Resource) -> list[Field]:
    """The fields that computed fields are computed from: all that are stored and no secret."""
    return [
        field
        for field in resource.fields.values()
        if field.column is not None and field.role == "plain" and not (field.computed or field.secret)
    ]
