"""Which indexes a type's table wants, what they are called, and which fields an index stands for.

An index here is names of columns; whether the database has it already is `io/`'s question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.registry.kinds import KINDS
from engine.registry.resource import Field, Index, Resource

MAX_NAME = 64
DECLARED = "declared"
MAX_INDEX_BYTES = 3072
MAX_SORTED_CHARACTERS = 255
CHARACTER_BYTES = {"utf8mb4": 4, "utf8mb3": 3, "latin1": 1, "ascii": 1}
_FIXED_BYTES = {"date": 3, "time": 6, "datetime": 8, "boolean": 1, "integer": 4, "float": 8, "decimal": 16, "uuid": 144}
_TEXT_KINDS = frozenset({"string", "email", "uri", "enum"})


@dataclass(frozen=True, slots=True)
class IndexPart:
    """One column of an index, with its direction."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class TableIndex:
    """An index that a table should have.

    Attributes:
        name: What we call it; at most 64 characters.
        fields: The wire fields it stands for, without the account's and the key.
        purpose: Why it is there, for people.
    """

    name: str
    table: str
    parts: tuple[IndexPart, ...]
    is_unique: bool
    fields: tuple[str, ...]
    purpose: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in order."""
        return tuple(part.column for part in self.parts)


def indexes_of(resource: Resource) -> tuple[TableIndex, ...]:
    """The indexes of a type, each needed: none is the beginning of another one that is not smaller by being unique.

    Unique ones come first: the public id, then what the registry declares unique (per account for account-bound
    types), then those that the lists are read by, the declared ones, and one for each relation without.
    """
    if resource.is_view:
        return ()
    wanted = list(_unique_indexes(resource))
    for index in _plain_indexes(resource):
        # What nobody asked for by name is left out where MariaDB cannot hold it.
        is_too_long = index.purpose != DECLARED and index_bytes(resource, index) > MAX_INDEX_BYTES
        if not is_too_long and not any(_serves(other, index) for other in wanted):
            wanted = [other for other in wanted if other.is_unique or not _serves(index, other)]
            wanted.append(index)
    wanted.extend(
        index for index in _relation_indexes(resource) if not any(index.parts[0] == one.parts[0] for one in wanted)
    )
    return tuple(wanted)


def fields_of_index(resource: Resource, name: str) -> tuple[str, ...] | None:
    """Which fields a unique index stands for, by what a database calls it in a duplicate-key fault.

    Args:
        resource: The type that was written.
        name: An index's name (MariaDB), or ``table.column, table.column`` (SQLite).

    Returns:
        Wire names without the account's field (unless it is alone), or None for an index that is not known.
    """
    by_column = {field.column.casefold(): field for field in resource.fields.values() if field.column}
    prefix = f"{resource.table}.".casefold()
    parts = [part.strip().casefold() for part in name.split(", ")]
    columns = [part.removeprefix(prefix) for part in parts]
    if all(part.startswith(prefix) for part in parts) and all(column in by_column for column in columns):
        return _without_account([by_column[column] for column in columns])
    bare = name.casefold().removeprefix(prefix)
    for index in _unique_indexes(resource):
        if index.name.casefold() == bare:
            return index.fields
    for declared in resource.unique:
        if declared.name is not None and declared.name.casefold() == bare:
            return _without_account([resource.fields[part.lstrip("-")] for part in declared.fields])
    return None


def index_bytes(resource: Resource, index: TableIndex) -> int:
    """How long an entry of the index may be in MariaDB, which takes at most `MAX_INDEX_BYTES`; the key is left out."""
    by_column = {field.column: field for field in resource.fields.values() if field.column}
    return sum(_bytes_of(by_column.get(part.column)) for part in index.parts if part.column != resource.key)


def index_name(table: str, parts: Iterable[IndexPart], *, is_unique: bool) -> str:
    """Name an index by what it holds, so that the same index always has the same name."""
    columns = "__".join(f"{part.column}_desc" if part.descending else part.column for part in parts)
    return bounded_name(f"{'uq' if is_unique else 'ix'}_{table}__{columns}")


def bounded_name(name: str) -> str:
    """A name of at most 64 characters: longer ones end in a hash of the whole."""
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: MAX_NAME - 13]}_{digest}"


# ---------------------------------------------------------------- private


def _unique_indexes(resource: Resource) -> Iterator[TableIndex]:
    if resource.public_id:
        yield _make(resource, (IndexPart(resource.public_id),), is_unique=True, fields=("id",), purpose="public ids")
    declared = list(resource.unique)
    named = {index.fields for index in declared}
    declared.extend(
        Index((field.name,), is_unique=True)
        for field in resource.fields.values()
        if field.unique and field.role != "public_id" and (field.name,) not in named
    )
    account = resource.account.column
    for index in declared:
        fields = [resource.fields[part.lstrip("-")] for part in index.fields]
        if any(field.column is None for field in fields):
            continue
        parts = tuple(IndexPart(field.column or "") for field in fields)
        # A parent is always of the same account: with it, the account column would add nothing.
        is_bound = any(field.role in ("parent", "account") for field in fields)
        if account and not is_bound and index.name is None:
            parts = (IndexPart(account), *parts)
        names = ", ".join(index.fields)
        known = _without_account(fields)
        yield _make(resource, parts, is_unique=True, fields=known, name=index.name, purpose=f"unique {names}")


def _plain_indexes(resource: Resource) -> Iterator[TableIndex]:
    key = IndexPart(resource.key)
    account = resource.account.column
    order = _sort_parts(resource)
    # What the flat and the nested lists are read by.
    if account:
        yield _make(resource, (IndexPart(account), key), purpose="lists of an account")
        if order:
            yield _make(resource, (IndexPart(account), *order), purpose="lists of an account, as sorted by default")
    elif order:
        yield _make(resource, order, purpose="lists, as sorted by default")
    for parent in resource.parents:
        column = resource.fields[parent.field].column
        if column:
            rest = order or (key,)
            yield _make(resource, (IndexPart(column), *rest), purpose=f"lists under {parent.type}")
    if resource.file and (column := resource.fields[resource.file.digest].column):
        yield _make(resource, (IndexPart(column),), purpose="which bytes have rows")
    for index in resource.indexes:
        parts = tuple(_declared_parts(resource, index))
        if parts:
            yield _make(resource, parts, name=index.name, purpose=DECLARED)


def _relation_indexes(resource: Resource) -> Iterator[TableIndex]:
    key = IndexPart(resource.key)
    for field in resource.fields.values():
        if field.role in ("relation", "parent") and field.column:
            yield _make(resource, (IndexPart(field.column), key), purpose=f"rows of a {field.relation or field.name}")


def _declared_parts(resource: Resource, index: Index) -> Iterator[IndexPart]:
    for part in index.fields:
        field = resource.fields[part.lstrip("-")]
        if field.column:
            yield IndexPart(field.column, part.startswith("-"))


def _sort_parts(resource: Resource) -> tuple[IndexPart, ...]:
    """The default order as index parts, with the key that breaks ties; empty where no index can hold it.

    Where all keys have one direction the index is ascending: it is read backwards as well as forwards.
    """
    fields: list[tuple[Field, bool]] = []
    for key in resource.sort:
        field = resource.fields.get(key.expression)
        if field is None or field.column is None or not _is_indexable(field):
            return ()
        fields.append((field, key.descending))
    if not fields:
        return ()
    directions = [descending for _, descending in fields]
    directions.append(directions[-1])
    if len(set(directions)) == 1:
        directions = [False] * len(directions)
    columns = [*(field.column or "" for field, _ in fields), resource.key]
    return tuple(IndexPart(column, descending) for column, descending in zip(columns, directions, strict=True))


def _is_indexable(field: Field) -> bool:
    if field.kind == "string" and (field.size or 0) > MAX_SORTED_CHARACTERS:
        return False
    return KINDS[field.kind].is_sortable or field.kind in ("id", "relation")


def _make(
    resource: Resource,
    parts: tuple[IndexPart, ...],
    *,
    is_unique: bool = False,
    fields: tuple[str, ...] = (),
    name: str | None = None,
    purpose: str,
) -> TableIndex:
    name = name or index_name(resource.table, parts, is_unique=is_unique)
    return TableIndex(name, resource.table, parts, is_unique, fields, purpose)


def _serves(one: TableIndex, other: TableIndex) -> bool:
    """Whether `one` does all that `other` would do for reading."""
    return one.parts[: len(other.parts)] == other.parts


def _without_account(fields: list[Field]) -> tuple[str, ...]:
    names = tuple(field.name for field in fields if field.role != "account")
    return names or tuple(field.name for field in fields)


def _bytes_of(field: Field | None) -> int:
    if field is None or field.kind in ("bigint", "relation"):
        return 8
    if field.kind in _TEXT_KINDS or field.kind == "id":
        return (field.size or MAX_SORTED_CHARACTERS) * CHARACTER_BYTES.get(field.charset or "", 4) + 2
    return _FIXED_BYTES.get(field.kind, MAX_INDEX_BYTES + 1)
