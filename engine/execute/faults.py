"""What a database's refusal of a write means to the caller: never a name of a table, a column or an index."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine.errors import (
    Conflict,
    Duplicate,
    ErrorItem,
    ForeignKeyInUse,
    ForeignKeyUnknown,
    ForeignKeyViolated,
    Problem,
    StatementTimedOut,
    StorageFault,
    Unavailable,
    UniqueViolated,
    ValidationFailed,
    ValueRefused,
)
from engine.plan.nested import ChildWrite
from engine.plan.read import not_found
from engine.plan.values import Reference
from engine.registry.resource import Resource
from engine.tables import fields_of_index


def name_fault(
    fault: StorageFault,
    resource: Resource,
    references: Sequence[Reference],
    pointer: str = "",
    given: Collection[str] = (),
) -> Problem:
    """What a database's refusal means to the caller; without any name of a table, a column or an index.

    Args:
        fault: The refusal.
        resource: The type of the row.
        references: The body's relations, with their places.
        pointer: Where the body stands.
        given: The body's keys.
    """
    if isinstance(fault, UniqueViolated):
        names = fields_of_index(resource, fault.key) or ()
        return Duplicate("A value that must be unique is taken.", errors=_taken(names, references, pointer, given))
    if isinstance(fault, ForeignKeyViolated):
        if fault.is_delete:
            return in_use()
        named = [one for one in references if one.pointer is not None]
        hit = [one for one in named if fault.constraint.endswith(f"__{resource.fields[one.field].column}")]
        if not named:
            return not_found()
        return ForeignKeyUnknown(errors=[unknown_target(one) for one in hit or named])
    if isinstance(fault, ValueRefused):
        by_column = {one.column: one.name for one in resource.fields.values() if one.column and not one.hidden}
        name = by_column.get(fault.column or "")
        detail = f"{name or 'A value'} does not fit what the database stores."
        return ValidationFailed(
            errors=[ErrorItem("out-of-range", detail, pointer=f"{pointer}/{name}" if name else pointer)]
        )
    if isinstance(fault, StatementTimedOut):
        return Unavailable()
    raise fault


def in_use() -> ForeignKeyInUse:
    """The 409 of a delete that something forbids; what, is not told."""
    return ForeignKeyInUse("Something still points at this object.")


def lost() -> Conflict:
    """The 409 of a compare that was lost too often."""
    return Conflict("The object was changed by others at the same time, several times in a row. Try again.")


def unknown_target(reference: Reference) -> ErrorItem:
    """The item of a relation that points at nothing."""
    detail = f"{reference.field} points at no {reference.type} that you may use."
    return ErrorItem("foreign-key", detail, pointer=reference.pointer)


def parent_fault(code: str, detail: str, pointer: str) -> ErrorItem:
    """An item about the parent that a move names."""
    return ErrorItem(code, detail, pointer=pointer)


def child_fault(write: ChildWrite) -> ErrorItem:
    """The item of a child that is not there, or is another parent's."""
    return ErrorItem("foreign-key", f"There is no such {write.child.segment} here.", pointer=write.pointer)


def _taken(
    names: Sequence[str], references: Sequence[Reference], pointer: str, given: Collection[str]
) -> list[ErrorItem]:
    """The items of values that are taken together: at those that the body has, or at all where it has none of them."""
    places = {one.field: one.pointer for one in references if one.pointer is not None}
    places.update({name: f"{pointer}/{name}" for name in given})
    told = {name: places[name] for name in names if name in places} or {name: f"{pointer}/{name}" for name in names}
    return [ErrorItem("duplicate", f"{name} is taken.", pointer=place) for name, place in told.items()]
