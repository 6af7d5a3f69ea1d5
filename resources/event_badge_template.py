"""What YAML cannot say about badge templates: what a layout is, and which fields of a badge it may name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any

from engine import Flaw, Registry, ValidationFailed, Values, read_layout

BADGE = "event_badge"
# What cannot be written on paper.
UNDRAWABLE = ("json", "binary")
# Of an item whose picture is named by the row id of a file rather than by its public id.
PICTURE = re.compile(r"/items/(\d+)/value")
FILE = "hosted_file"

CheckField = Callable[[str], tuple[str, tuple[str, ...]] | None]


def validate(values: Values, before: Values | None, registry: Registry) -> None:
    """A layout is one that can be drawn; what was there before is not judged again."""
    if "layout" not in values or (before is not None and before.get("layout") == values["layout"]):
        return
    read_layout(values["layout"], pointer="/layout", check_field=_field_check(registry))


def examine(row: Any, registry: Registry) -> Iterator[Flaw]:
    """Layouts that were stored before they were checked."""
    if isinstance(row.layout, str):
        yield Flaw("layout", "", "The layout is no JSON object.")
        return
    try:
        read_layout(row.layout, check_field=_field_check(registry))
    except ValidationFailed as refused:
        for fault in refused.errors:
            pointer = fault.pointer or ""
            row_id = _row_id(row.layout, pointer)
            target = (FILE, row_id) if row_id is not None and FILE in registry.types else None
            yield Flaw("layout", pointer, fault.detail, target)


def _row_id(layout: Any, pointer: str) -> int | None:
    """The row id that stands where the public id of a picture belongs."""
    match = PICTURE.fullmatch(pointer)
    if match is None:
        return None
    item = layout["items"][int(match[1])]
    value = item.get("value")
    if item.get("kind") != "image" or isinstance(value, bool):
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
        return int(value)
    return value if isinstance(value, int) and 0 < value < 2**63 else None


def _field_check(registry: Registry) -> CheckField:
    """Whether a path names a field of a badge, or of what it points at, that anybody may read."""

    def check(path: str) -> tuple[str, tuple[str, ...]] | None:
        resource = registry.types.get(BADGE)
        *hops, name = path.split(".")
        for hop in hops:
            relation = None if resource is None else resource.relations.get(hop)
            resource = registry.types[relation.target] if relation is not None and relation.kind == "one" else None
        if resource is None:
            return f"A badge has no field {path!r}.", _meant(path, registry)
        field = resource.fields.get(name)
        if field is None or not field.is_readable:
            return f"A badge has no field {path!r}.", _meant(path, registry)
        if field.kind in UNDRAWABLE:
            return f"The field {path!r} is {field.kind}: that cannot be written on a badge.", ()
        return None

    return check


def _meant(path: str, registry: Registry) -> tuple[str, ...]:
    """Fields of a badge with names like this one."""
    badge = registry.types.get(BADGE)
    if badge is None:
        return ()
    names = [field.name for field in badge.fields.values() if field.is_readable and field.kind not in UNDRAWABLE]
    for relation in badge.relations.values():
        if relation.kind == "one":
            fields = registry.types[relation.target].fields.values()
            names += [f"{relation.name}.{one.name}" for one in fields if one.is_readable and one.kind not in UNDRAWABLE]
    return tuple(difflib.get_close_matches(path.replace("_id.", "."), names, n=3, cutoff=0.7))
