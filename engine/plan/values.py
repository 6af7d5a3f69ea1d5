"""Bodies of writes as values: what a create, update or replace sets, or every fault of it at its place.

Only fields that the caller may write are known here; a name that he may not know is
refused like one that does not exist. Relations are taken as public ids and listed as
references, since only the database knows whether they hold. Children inside a body are
`plan/nested.py`'s business; that an override adds its own checks, `execute/`'s.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import ErrorItem, ValidationFailed
from engine.language.json import escape_pointer
from engine.light import light
from engine.plan.shape import PlanContext
from engine.plugins.overrides import Caller, Overrides
from engine.registry.kinds import KINDS, KindError
from engine.registry.resource import Field, Resource

_MISSING = object()


@light
@dataclass(frozen=True, slots=True)
class Reference:
    """A relation's target that a body names.

    Attributes:
        pointer: Where; None for a parent that the path names.
        field: The relation's or parent's field.
        type: The target's type.
    """

    pointer: str | None
    field: str
    type: str
    public_id: str


@dataclass(slots=True)
class Draft:
    """What a body sets.

    Attributes:
        values: Wire name → canonical value; relations as public ids, None = NULL.
        stored: Wire name → driver value, without relations.
        references: Targets to be resolved.
        passwords: Names of the fields to be hashed before they are stored.
        faults: What is wrong; see `finish`.
    """

    values: dict[str, object] = field(default_factory=dict)
    stored: dict[str, object] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    passwords: set[str] = field(default_factory=set)
    faults: list[ErrorItem] = field(default_factory=list)

    def refuse(self, code: str, detail: str, pointer: str, suggestions: tuple[str, ...] = ()) -> None:
        """Note a fault."""
        self.faults.append(ErrorItem(code, detail, pointer=pointer, suggestions=suggestions))

    def adopt(self, refused: ValidationFailed, pointer: str) -> None:
        """Note the faults that an override found; its pointers begin at the body, which itself stands at `pointer`."""
        for item in refused.errors or (ErrorItem("bad-operand", refused.detail, pointer=""),):
            self.faults.append(item if item.pointer is None else replace(item, pointer=f"{pointer}{item.pointer}"))

    def finish(self) -> None:
        """Raise all faults at once, if there are any.

        Raises:
            ValidationFailed: There are.
        """
        if self.faults:
            raise ValidationFailed(errors=self.faults)


@light
@dataclass(frozen=True, slots=True)
class Frame:
    """What all bodies of a write of one type have in common.

    Attributes:
        segments: Keys of children that the body may have; they are left to `plan/nested.py`.
        pointer: Where the body stands in the request's.
    """

    resource: Resource
    context: PlanContext
    overrides: Overrides
    caller: Caller
    segments: frozenset[str] = frozenset()
    pointer: str = ""

    def place(self, name: str) -> str:
        """The pointer of a key."""
        return f"{self.pointer}/{escape_pointer(name)}"


def draft_create(frame: Frame, body: object, bound: tuple[str, str | None] | None) -> Draft:
    """Read the body of a create; defaults are filled in.

    Args:
        frame: Type and caller.
        body: Decoded JSON.
        bound: The parent's field and public id that the path gives; the id is None for a parent that the same request
            creates.

    Returns:
        The draft, faults and all.
    """
    draft = Draft()
    given = require_object(body, frame.pointer)
    resource = frame.resource
    createable = frame.context.rights.createable(resource.name)
    for name, value in given.items():
        if name in frame.segments:
            continue
        if name in createable:
            _take(draft, frame, resource.fields[name], value)
        else:
            _refuse_name(draft, frame, name, createable)
    _settle_parent(draft, frame, bound)
    _fill_defaults(draft, frame, createable)
    return draft


def draft_update(frame: Frame, body: object, before: Mapping[str, object]) -> Draft:
    """Read the body of an update: what is named changes, what is not stays.

    Args:
        frame: Type and caller.
        body: Decoded JSON.
        before: The object as it is: canonical values by wire name, at least of the readable fields that the body names.

    Returns:
        The draft, faults and all. Values that are what they were are not in it.
    """
    draft = Draft()
    given = require_object(body, frame.pointer)
    if not given:
        draft.refuse("required", "The body names nothing to change.", frame.pointer)
    updateable = frame.context.rights.updateable(frame.resource.name)
    for name, value in given.items():
        if name in frame.segments:
            continue
        if name in updateable:
            _take(draft, frame, frame.resource.fields[name], value)
        else:
            _accept_stated(draft, frame, name, value, before, updateable)
    return draft


def draft_replace(frame: Frame, body: object, before: Mapping[str, object]) -> Draft:
    """Read the body of a replacement: what is missing takes its default or NULL.

    Secret, hidden, create-only, parent and not writable fields stay as they are.
    """
    given = require_object(body, frame.pointer)
    draft = draft_update(frame, given, before) if given else Draft()
    updateable = frame.context.rights.updateable(frame.resource.name)
    for name, known in frame.resource.fields.items():
        if name in given or name not in updateable or known.secret:
            continue
        if not _fill_default(draft, frame, known):
            if known.nullable and not known.required:
                _store(draft, known, None)
            else:
                draft.refuse("required", f"{name} is required.", frame.place(name))
    return draft


def require_object(body: object, pointer: str) -> Mapping[str, Any]:
    """The body as an object.

    Raises:
        ValidationFailed: It is anything else.
    """
    if not isinstance(body, dict):
        raise ValidationFailed(errors=[ErrorItem("type-mismatch", "The body must be a JSON object.", pointer=pointer)])
    return body


def target_of(resource: Resource, known: Field) -> str:
    """The type that a relation's or parent's field points at."""
    relation = resource.relations.get(known.relation or "")
    if relation is not None:
        return relation.target
    return next(parent.type for parent in resource.parents if parent.field == known.name)


# ---------------------------------------------------------------- private


def _take(draft: Draft, frame: Frame, known: Field, value: object) -> None:
    """Take one value that the caller may write."""
    name = known.name
    if value is None:
        if not known.nullable or known.required:
            draft.refuse("required", f"{name} cannot be null.", frame.place(name))
        _store(draft, known, None)
        return
    kind = KINDS[known.kind]
    try:
        canonical = kind.parse(value, known)
        if known.kind == "relation":
            public_id = str(canonical)
            draft.values[name] = public_id
            draft.references.append(Reference(frame.place(name), name, target_of(frame.resource, known), public_id))
            return
        draft.values[name] = canonical
        draft.stored[name] = kind.bind[frame.context.dialect](canonical, known)
    except KindError as refused:
        draft.refuse(refused.code, refused.detail, frame.place(name))
        return
    if known.password:
        draft.passwords.add(name)


def _store(draft: Draft, known: Field, value: None) -> None:
    draft.values[known.name] = value
    if known.kind != "relation":
        draft.stored[known.name] = value


def _refuse_name(draft: Draft, frame: Frame, name: str, writable: frozenset[str]) -> None:
    resource = frame.resource
    readable = frame.context.rights.readable(resource.name)
    if name in readable:
        draft.refuse("read-only", f"{name} cannot be written here.", frame.place(name))
        return
    names = sorted(writable | readable | frame.segments)
    close = tuple(difflib.get_close_matches(name[:80], names, n=3))
    draft.refuse("unknown-field", f"{resource.name} has no field {name[:80]!r}.", frame.place(name), close)


def _accept_stated(
    draft: Draft, frame: Frame, name: str, value: object, before: Mapping[str, object], updateable: frozenset[str]
) -> None:
    """A field that cannot be changed may be stated as it is, so that what was read can be sent back."""
    if name in frame.context.rights.readable(frame.resource.name) and name in before:
        known = frame.resource.fields[name]
        present = before[name]
        try:
            stated = value if value is None or known.computed else KINDS[known.kind].parse(value, known)
        except KindError:
            stated = _MISSING
        if type(stated) is type(present) and stated == present:
            return
    _refuse_name(draft, frame, name, updateable)


def _settle_parent(draft: Draft, frame: Frame, bound: tuple[str, str | None] | None) -> None:
    """See that exactly one parent is named, by the path or by the body."""
    parents = frame.resource.parents
    if not parents:
        return
    named = [parent for parent in parents if draft.values.get(parent.field) is not None]
    if bound is not None:
        field_name, public_id = bound
        for parent in named:
            if parent.field != field_name or draft.values[parent.field] != public_id:
                detail = f"{parent.field} names another parent than the path."
                draft.refuse("parent-mismatch", detail, frame.place(parent.field))
        draft.references = [one for one in draft.references if one.field != field_name]
        draft.values[field_name] = public_id
        if public_id is not None:
            (parent,) = [one for one in parents if one.field == field_name]
            draft.references.append(Reference(None, field_name, parent.type, public_id))
        return
    refused = {fault.pointer for fault in draft.faults}
    if any(frame.place(parent.field) in refused for parent in parents):
        return
    if len(parents) == 1:
        (parent,) = parents
        is_needed = frame.resource.account.kind == "inherited" or not frame.resource.fields[parent.field].nullable
        if not named and is_needed:
            draft.refuse("required", f"{parent.field} is required here.", frame.place(parent.field))
    elif len(named) != 1:
        choices = ", ".join(parent.field for parent in parents)
        draft.refuse("parent-mismatch", f"Exactly one of {choices} must be given.", frame.pointer)


def _fill_defaults(draft: Draft, frame: Frame, createable: frozenset[str]) -> None:
    faulty = {fault.pointer for fault in draft.faults}
    for name, known in frame.resource.fields.items():
        if name in draft.values or known.role not in ("plain", "relation") or known.computed or known.column is None:
            continue
        if (faulty and frame.place(name) in faulty) or _fill_default(draft, frame, known):
            continue
        if known.required and not known.readonly:
            # A caller who may not know the field is not told its name.
            place, shown = (frame.place(name), name) if name in createable else (frame.pointer, "A field of this type")
            draft.refuse("required", f"{shown} is required.", place)


def _fill_default(draft: Draft, frame: Frame, known: Field) -> bool:
    """Give a field its default; False where it has none."""
    make = frame.overrides.defaults.get(known.name)
    value: object
    if make is not None:
        value = make(frame.caller, draft.values)
    elif known.has_default:
        value = _expand_default(known, frame)
    else:
        return False
    if value is None and known.nullable:
        _store(draft, known, None)
    else:
        _take(draft, frame, known, value)
    return True


def _expand_default(known: Field, frame: Frame) -> object:
    """A declared default, in which few macros stand for what only a request knows."""
    default = known.default
    if not isinstance(default, str) or not default.startswith("$"):
        return default
    now = frame.context.now
    macros: dict[str, object] = {
        "$now": now.isoformat().replace("+00:00", "Z"),
        "$today": now.date().isoformat(),
        "$current_user": frame.caller.subject,
    }
    return macros.get(default, default.removeprefix("$") if default.startswith("$$") else default)
