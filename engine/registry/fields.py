"""One field: what the registry says of it and what the database has, made into a `Field` with every default decided.

Which fields a type has is `build.py`'s business, what a filter may ask them `search.py`'s.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from engine.registry.agree import FIELD_TYPES, FieldType, check_agreement, read_type
from engine.registry.findings import Path, Report, suggest
from engine.registry.grammar import EnumValueDeclaration, FieldDeclaration
from engine.registry.kinds import KINDS, KindError
from engine.registry.names import title_of
from engine.registry.parsing import INTEGER_BITS
from engine.registry.reflection import Dialect, ReflectedColumn, ReflectedTable
from engine.registry.resource import EnumValue, Field
from engine.registry.zones import NO_ZONE, is_zone

SILENT = FieldDeclaration()
MEDIUMTEXT_BYTES = 2**24 - 1
# Of argon2id as it is written, with room for stronger settings.
PASSWORD_CHARS = 128

Role = Literal["plain", "relation", "parent"]

_NUMBERS = frozenset({"integer", "bigint", "float", "decimal"})
# SQLite: kinds that a plain text column may be declared to hold.
_IN_TEXT = {"date": "date_text", "datetime": "datetime_text", "time": "time_text", "json": "json_text"}
_TIMES = frozenset({"date", "datetime", "time"})


def make_field(
    name: str,
    said: FieldDeclaration,
    path: Path,
    report: Report,
    *,
    column: str | None,
    table: ReflectedTable | None = None,
    dialect: Dialect = "sqlite",
    role: Role = "plain",
    timezone: str = "UTC",
    is_table_missing: bool = False,
) -> Field | None:
    """Make a field.

    Args:
        name: Its wire name.
        said: What the registry says of it.
        path: Where it says so.
        report: Takes what is wrong.
        column: Its column; None for a computed field.
        table: The table as it was found, if it was.
        dialect: The database's, where `table` is given.
        role: `relation` or `parent` for an id that points somewhere.
        timezone: The registry's, in which found datetime columns are.
        is_table_missing: The table is known not to exist, so nothing but the registry says what the field is.

    Returns:
        The field; None where its column is of a type that no field has.
    """
    found = table.columns.get(column) if table is not None and column is not None else None
    wanted = _wanted(name, said, path, report, found, role, is_table_missing)
    if wanted is None:
        return None
    if table is not None and found is not None and found.kind is not None and (said.type or said.ref or said.enum):
        check_agreement(said, wanted, table, found, dialect, path, report)
    field = _merge(name, said, wanted, found, column, role)
    _check_words(said, field, path, report)
    zone = zone_of(name, wanted.kind, said, found, path, report, timezone, is_ours=is_table_missing)
    return field if zone is None else replace(field, zone=zone)


def zone_of(
    name: str,
    kind: str,
    said: FieldDeclaration,
    found: ReflectedColumn | None,
    path: Path,
    report: Report,
    timezone: str,
    *,
    is_ours: bool = False,
) -> str | None:
    """The zone whose clocks a field's column keeps; None = UTC.

    Args:
        name: The field's.
        kind: The field's.
        said: What the registry says of it.
        path: Where it says so.
        report: Takes what is wrong.
        found: Its column, where it was found.
        timezone: The registry's zone, which holds unless the field says another.
        is_ours: The column is known to be missing, so that we shall make it.
    """
    if said.timezone is not None:
        if not is_zone(said.timezone):
            message, help_ = f"`{said.timezone[:60]}` is no time zone", "such as Europe/Berlin or UTC"
            report.add("R107", (*path, "timezone"), message, help=help_)
            return None
        is_utc = is_ours or (found is not None and found.is_utc)
        if kind != "datetime" or (is_utc and said.timezone not in NO_ZONE):
            why = "its column is UTC" if kind == "datetime" else f"a {kind} has none"
            message = f"{name} cannot be in another time zone: {why}"
            report.add("R310", (*path, "timezone"), message, help="leave `timezone` out")
            return None
    zone = said.timezone or timezone
    if kind != "datetime" or found is None or found.is_utc or zone in NO_ZONE or not is_zone(zone):
        return None
    return zone


# ---------------------------------------------------------------- private


def _wanted(
    name: str,
    said: FieldDeclaration,
    path: Path,
    report: Report,
    found: ReflectedColumn | None,
    role: Role,
    is_table_missing: bool,
) -> FieldType | None:
    """The kind of a field and its sizes, declared ones before reflected ones."""
    if role != "plain":
        return FieldType("relation")
    if said.enum is not None:
        return FieldType("enum")
    if said.type is not None:
        wanted = read_type(said.type)
        if wanted is not None:
            return wanted
        label = suggest(said.type, FIELD_TYPES) if "(" not in said.type else ""
        report.add(
            "R108", (*path, "type"), f"`{said.type}` is no field type", label=label,
            help="one of string(n) text integer bigint decimal(p,s) float boolean date time datetime json uuid email "
            "uri binary",
        )  # fmt: skip
        return FieldType("string", 255)
    if found is not None:
        return FieldType(found.kind) if found.kind is not None else None
    if said.computed or is_table_missing:
        report.add("R102", path, f"{name} has no `type`, and no column says it", at_key=True, help="add `type:`")
    return FieldType("string", 255)


def _merge(
    name: str, said: FieldDeclaration, wanted: FieldType, found: ReflectedColumn | None, column: str | None, role: Role
) -> Field:
    default, has_default = _default(wanted, said, found)
    required = bool(said.required)
    nullable = not (required or has_default)
    stores_null = False
    if found is not None:
        has_value = found.has_default or found.is_generated or has_default
        required = required or (said.required is None and not found.nullable and not has_value)
        nullable = found.nullable and not required and not (has_default and "default" in said.model_fields_set)
        stores_null = found.nullable
    if said.nullable is not None:
        nullable = said.nullable
    text = found if found is not None and found.charset is not None else None
    sizes = _sizes(wanted, found, is_said=said.type is not None)
    return Field(
        name=name,
        column=column,
        kind=wanted.kind,
        role=role,
        title=said.title or title_of(name),
        help=said.help or (found.comment if found is not None else None),
        placeholder=said.placeholder,
        widget=said.widget,
        ui=said.ui,
        has_default=has_default,
        default=default,
        # A parent's id may come from the path instead.
        required=required and role != "parent",
        nullable=nullable,
        stores_null=stores_null and not nullable,
        readonly=bool(said.readonly) or bool(said.computed) or (found is not None and _is_made(found)),
        create_only=bool(said.create_only),
        hidden=bool(said.hidden),
        secret=bool(said.secret or said.password),
        password=bool(said.password),
        heavy=bool(said.heavy),
        computed=bool(said.computed),
        min=said.min,
        max=said.max,
        min_length=said.min_length,
        max_length=said.max_length,
        pattern=said.pattern,
        enum=_enum(said, found) if wanted.kind == "enum" else (),
        where=said.where,
        unique=bool(said.unique),
        read=said.read,
        write=said.write,
        examples=tuple(said.examples or ()),
        deprecated=bool(said.deprecated),
        items=said.items,
        collation=found.collation if found is not None else None,
        charset=text.charset if text is not None else None,
        is_exact=found is None or found.is_exact or KINDS[wanted.kind].family not in ("text", "enum"),
        stored_as=_stored_as(wanted.kind, found),
        **sizes,
    )


def _sizes(wanted: FieldType, found: ReflectedColumn | None, *, is_said: bool) -> dict[str, Any]:
    size, precision, scale = wanted.size, wanted.precision, wanted.scale
    if found is None:
        return {"size": size, "precision": precision, "scale": scale}
    if found.size is not None and wanted.kind not in ("enum", "relation", "json"):
        # From MEDIUMTEXT on a size is bytes that nobody runs out of.
        known = found.size if found.size < MEDIUMTEXT_BYTES else None
        size = min((one for one in (size, known) if one is not None), default=None)
    if wanted.kind == "decimal" and precision is None:
        precision, scale = found.precision, found.scale
    whole = wanted.kind in ("integer", "bigint", "relation")
    bits = found.bits if whole else None
    if is_said and bits is not None and wanted.kind == "integer":
        # A registry may want less of a column, and SQLite's integers all have 64 bits.
        bits = min(bits, INTEGER_BITS["integer"])
    return {"size": size, "precision": precision, "scale": scale, "bits": bits, "unsigned": whole and found.unsigned}


def _stored_as(kind: str, found: ReflectedColumn | None) -> str:
    """How the column stores values of the kind; it may be declared otherwise than the column looks."""
    if found is None:
        return "native"
    if found.kind == kind or found.stored_as == "enum":
        return found.stored_as
    if found.kind in ("text", "string"):
        return _IN_TEXT.get(kind, "native")
    return "real" if kind == "decimal" and found.kind in ("float", "integer", "bigint") else "native"


def _is_made(found: ReflectedColumn) -> bool:
    return found.is_generated or found.auto_increment


def _default(wanted: FieldType, said: FieldDeclaration, found: ReflectedColumn | None) -> tuple[Any, bool]:
    if "default" in said.model_fields_set:
        return said.default, True
    if said.required or found is None or found.default is None or _is_made(found):
        return None, False
    probe = Field(
        name="default", column=None, kind=wanted.kind, size=wanted.size or found.size, bits=found.bits,
        precision=found.precision, scale=found.scale, unsigned=found.unsigned, enum=_enum(said, found),
    )  # fmt: skip
    try:
        KINDS[wanted.kind].parse(found.default, probe)
    except KindError:
        # The database's own business; an insert that leaves the column out still gets it.
        return None, False
    return found.default, True


def _enum(said: FieldDeclaration, found: ReflectedColumn | None) -> tuple[EnumValue, ...]:
    values: dict[str, EnumValueDeclaration] = said.enum or {}
    if not values and found is not None:
        return tuple(EnumValue(value, title_of(value)) for value in found.enum)
    names = [value for value in (found.enum if found is not None else ()) if value in values]
    names += [value for value in values if value not in names]
    return tuple(EnumValue(name, values[name].title or title_of(name), values[name].color) for name in names)


def _check_words(said: FieldDeclaration, field: Field, path: Path, report: Report) -> None:
    """What the declaration says that makes no sense together, or not for the kind."""
    _check_contradictions(said, field, path, report)
    is_text = KINDS[field.kind].family == "text"
    for key in ("min_length", "max_length", "pattern"):
        if getattr(said, key) is not None and not is_text:
            report.add("R111", (*path, key), f"`{key}` is for text; {field.name} is {field.kind}")
    if said.min_length is not None and said.max_length is not None and said.min_length > said.max_length:
        report.add("R111", (*path, "min_length"), f"{field.name}: `min_length` is greater than `max_length`")
    if said.pattern is not None:
        try:
            re.compile(said.pattern)
        except re.error as error:
            report.add("R113", (*path, "pattern"), f"the pattern of {field.name} is none: {error}")
            return
    bounds = [_check_bound(said, field, key, path, report) for key in ("min", "max")]
    low, high = bounds
    if low is not None and high is not None and low > high:
        report.add("R111", (*path, "min"), f"{field.name}: `min` is greater than `max`")
        return
    if "default" in said.model_fields_set and said.default is not None and not said.computed:
        _check_value(said.default, "default", field, (*path, "default"), report)
    for index, example in enumerate(said.examples or ()):
        _check_value(example, "example", field, (*path, "examples", index), report)


def _check_value(value: object, what: str, field: Field, path: Path, report: Report) -> None:
    try:
        KINDS[field.kind].parse(value, field)
    except (KindError, InvalidOperation, ValueError) as error:
        detail = error.detail if isinstance(error, KindError) else str(error)
        report.add("R112", path, f"the {what} of {field.name} is none of its values: {detail}")


def _check_contradictions(said: FieldDeclaration, field: Field, path: Path, report: Report) -> None:
    pairs = (
        ("type", bool(said.type and said.ref), "`ref` decides the type", "leave `type` out"),
        (
            "type",
            bool(said.type and said.enum is not None and (read_type(said.type) or FieldType("")).kind != "string"),
            "`enum` decides the type",
            "leave `type` out",
        ),
        ("enum", said.enum == {}, "an enum has no values", "name them, or leave `enum` out"),
        ("ref", bool(said.ref and said.enum), "it is a `ref` and an `enum`", "keep one of them"),
        ("items", bool(said.items and field.kind != "json"), "`items` is for json", "leave it out"),
        ("password", bool(said.password and KINDS[field.kind].family != "text"), "a password is text", "say string(n)"),
        (
            "password",
            bool(said.password and field.size is not None and field.size < PASSWORD_CHARS),
            f"a stored password takes {PASSWORD_CHARS} characters",
            "say string(255)",
        ),
        ("reverse", bool(said.reverse and not said.ref), "`reverse` needs a `ref`", "add `ref:`"),
        ("where", bool(said.where and not said.ref), "`where` needs a `ref`", "add `ref:`"),
        ("required", bool(said.required and said.hidden), "a hidden field is never given", "leave `required` out"),
        ("required", bool(said.required and said.readonly), "a readonly field is never given", "leave `required` out"),
        ("nullable", bool(said.required and said.nullable), "a required field takes no null", "leave one out"),
        ("computed", bool(said.computed and said.column), "a computed field has no column", "leave `column` out"),
        ("computed", bool(said.computed and said.required), "a computed field is never given", "leave `required` out"),
        (
            "computed",
            bool(said.computed and "default" in said.model_fields_set),
            "a computed field has no default",
            "leave `default` out",
        ),
    )
    for key, is_wrong, why, help_ in pairs:
        if is_wrong:
            report.add("R111", (*path, key), f"{field.name}: {why}", help=help_)


def _check_bound(said: FieldDeclaration, field: Field, key: Literal["min", "max"], path: Path, report: Report) -> Any:
    """A bound as something to compare, or None."""
    value = getattr(said, key)
    if value is None:
        return None
    bare = replace(field, min=None, max=None, enum=())
    try:
        if field.kind in _NUMBERS and type(value) in (int, float, str):
            return Decimal(str(value))
        if field.kind in _TIMES and isinstance(value, str):
            return KINDS[field.kind].parse(value, bare)
    except (KindError, InvalidOperation):
        pass
    kinds = "numbers, dates and times"
    report.add("R112", (*path, key), f"`{key}` of {field.name} is no {field.kind}", help=f"bounds are for {kinds}")
    return None
