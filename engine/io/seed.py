"""`aether seed`: puts the rows of a data file into a database, through a registry, once however often it runs.

The file names types and rows; each row has a name of its own that other rows refer to as ``@name``:

    account:
      north_lab: {name: North Lab}
    journal:
      field_notes: {account_id: "@north_lab", name: Field notes 2026}

A row's public id is what its ``id`` says, else made of its type and name: so the same file gives the same ids in
every database. Rows whose id is there already stay as they are. This does not go through rights, rows' rules or
overrides: it is for whoever may write to the database anyway. What the files say is not known here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from engine.io.storage import Database, Dialect, Transaction
from engine.language.ids import PUBLIC_ID_LENGTH, is_public_id
from engine.registry.kinds import KINDS, KindError
from engine.registry.resource import Field, Registry, Resource
from engine.registry.source import read_source
from engine.sql.ddl import quote

MARK = "@"
FIRST_VERSION = 1


class SeedRefused(Exception):
    """The file cannot be applied; each fault is a line that names the row. Nothing was written."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Seeded:
    """What a seed did: rows by type, those that were made and those that were there."""

    made: Mapping[str, int]
    kept: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Known:
    """A row that is in the database."""

    type: str
    row_id: int
    account: int | None


@dataclass(slots=True)
class _Seeding:
    """One run over a file."""

    registry: Registry
    dialect: Dialect
    now: datetime
    rows: dict[str, _Known] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)


async def seed(database: Database, registry: Registry, file: Path, *, now: datetime | None = None) -> Seeded:
    """Apply a data file, in one transaction.

    Args:
        database: Migrated for the registry.
        registry: The types that the file speaks of. Types of the file that it lacks are passed over.
        file: YAML, as described above.
        now: Time of creation of rows that do not say one; UTC.

    Raises:
        SeedRefused: Something in the file does not fit.
        StorageFault: The database refused a row.
    """
    content = _read(file)
    moment = (now or datetime.now(UTC)).replace(tzinfo=None)

    async def work(transaction: Transaction) -> Seeded:
        run = _Seeding(registry, database.dialect, moment)
        for type_name, rows in content.items():
            resource = registry.types.get(type_name)
            if resource is None:
                continue
            for name, row in rows.items():
                await _seed_row(run, transaction, resource, name, row)
        return Seeded(run.made, run.kept)

    return await database.run(work)


def seed_id(type_name: str, row_name: str) -> str:
    """The public id of a row that says none: always the same one."""
    digest = hashlib.sha256(f"aether seed {type_name} {row_name}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:PUBLIC_ID_LENGTH]


# ---------------------------------------------------------------- private


def _read(file: Path) -> dict[str, dict[str, dict[str, Any]]]:
    source = read_source(file.read_bytes(), str(file))
    if source.findings:
        raise SeedRefused([f"{file}: {finding.message}" for finding in source.findings])
    content = source.value if source.value is not None else {}
    faults = list(_check_form(content, file))
    if faults:
        raise SeedRefused(faults)
    return {type_name: {name: row or {} for name, row in rows.items()} for type_name, rows in content.items() if rows}


def _check_form(content: object, file: Path) -> Iterator[str]:
    if not isinstance(content, dict):
        yield f"{file}: expected types, each with its rows"
        return
    names: set[str] = set()
    for type_name, rows in content.items():
        if rows is not None and not isinstance(rows, dict):
            yield f"{type_name}: expected rows, each with a name"
            continue
        for name, row in (rows or {}).items():
            if row is not None and not isinstance(row, dict):
                yield f"{type_name}.{name}: expected fields"
            if name in names:
                yield f"{type_name}.{name}: another row has this name"
            names.add(name)


async def _seed_row(
    run: _Seeding, transaction: Transaction, resource: Resource, name: str, row: Mapping[str, Any]
) -> None:
    if resource.public_id is None:
        raise SeedRefused([f"{resource.name}: has no public ids yet; run `aether migrate` first"])
    public_id = row.get("id", seed_id(resource.name, name))
    if not is_public_id(public_id):
        raise SeedRefused([f"{resource.name}.{name}: {public_id!r} is no public id"])
    account = resource.account.column
    columns = [resource.key, *([account] if account else [])]
    table, key = _list([resource.table], run.dialect), _list([resource.public_id], run.dialect)
    select = f"SELECT {_list(columns, run.dialect)} FROM {table} WHERE {key} = {_mark(run.dialect)}"
    found = await transaction.fetch(select, (public_id,), point=True)
    if found:
        run.kept[resource.name] = run.kept.get(resource.name, 0) + 1
        account_id = found[0][1] if account else None
    else:
        values = _values_of(run, resource, name, row)
        values[resource.public_id] = public_id
        found = await transaction.fetch(_insert(resource, list(values), run.dialect), list(values.values()))
        run.made[resource.name] = run.made.get(resource.name, 0) + 1
        account_id = values.get(account) if account else None
    row_id = int(found[0][0])
    if resource.account.kind == "self":
        account_id = row_id
    run.rows[name] = _Known(resource.name, row_id, account_id if isinstance(account_id, int) else None)


def _values_of(run: _Seeding, resource: Resource, name: str, row: Mapping[str, Any]) -> dict[str, object]:
    """The row's columns with their driver values.

    Raises:
        SeedRefused: Some of its fields do not fit.
    """
    faults: list[str] = []
    values: dict[str, object] = {}
    account: int | None = None
    for field_name, value in row.items():
        if field_name == "id":
            continue
        wanted = resource.fields.get(field_name)
        if wanted is None or wanted.column is None:
            faults.append(f"{resource.name}.{name}: has no field {field_name!r}")
            continue
        try:
            values[wanted.column] = _value_of(run, resource, wanted, value)
        except (KindError, LookupError) as fault:
            detail = fault.detail if isinstance(fault, KindError) else str(fault.args[0])
            faults.append(f"{resource.name}.{name}: {detail}")
        if wanted.role == "parent" and isinstance(value, str) and value.removeprefix(MARK) in run.rows:
            account = run.rows[value.removeprefix(MARK)].account
    for wanted in resource.fields.values():
        if wanted.column is None or wanted.column in values:
            continue
        if wanted.has_default and wanted.default is not None:
            values[wanted.column] = _bind(run, wanted, wanted.default)
        elif wanted.required:
            faults.append(f"{resource.name}.{name}: lacks {wanted.name}")
    if resource.account.column and resource.account.column not in values:
        if account is None:
            faults.append(f"{resource.name}.{name}: lacks its account, or a parent that has one")
        values[resource.account.column] = account
    if faults:
        raise SeedRefused(faults)
    _stamp(run, resource, values)
    return values


def _stamp(run: _Seeding, resource: Resource, values: dict[str, object]) -> None:
    """The columns that the engine keeps; rows may say when they were made and changed."""
    created = values.get(resource.created) if resource.created else None
    bind = KINDS["datetime"].bind[run.dialect]
    for column, name in ((resource.created, "created_on"), (resource.updated, "updated_on")):
        if column:
            now = bind(run.now, Field(name="now", column=None, kind="datetime", zone=resource.fields[name].zone))
            values.setdefault(column, created or now)
    if resource.version:
        values[resource.version] = FIRST_VERSION


def _value_of(run: _Seeding, resource: Resource, wanted: Field, value: object) -> object:
    if value is None:
        return None
    if wanted.kind == "relation":
        known = run.rows.get(str(value).removeprefix(MARK)) if str(value).startswith(MARK) else None
        relation = resource.relations.get(wanted.relation or "")
        if known is None or (relation is not None and known.type != relation.target):
            target = relation.target if relation else "row"
            raise LookupError(f"{wanted.name} is {value!r}, which is no {target} above it")
        return known.row_id
    bound = _bind(run, wanted, value)
    return PasswordHasher().hash(str(bound)) if wanted.password else bound


def _bind(run: _Seeding, wanted: Field, value: object) -> object:
    kind = KINDS[wanted.kind]
    return kind.bind[run.dialect](kind.parse(value, wanted), wanted)


def _insert(resource: Resource, columns: Sequence[str], dialect: Dialect) -> str:
    marks = ", ".join([_mark(dialect)] * len(columns))
    table, key = _list([resource.table], dialect), _list([resource.key], dialect)
    return f"INSERT INTO {table} ({_list(columns, dialect)}) VALUES ({marks}) RETURNING {key}"


def _list(names: Sequence[str], dialect: Dialect) -> str:
    quoted = ", ".join(quote(name, dialect) for name in names)
    return quoted.replace("%", "%%") if dialect == "mariadb" else quoted


def _mark(dialect: Dialect) -> str:
    return "%s" if dialect == "mariadb" else "?"
