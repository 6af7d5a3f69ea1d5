"""Rows that are shown to a type's ``examine``, and what would mend what it finds in them.

Pure: text for `cli/doctor.py` to ask and for a person to read. What of columns and keys is `doctor.py`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from engine.language.ids import is_public_id
from engine.plan.shape import Dialect
from engine.plugins.overrides import Flaw
from engine.registry.reflection import ReflectedDatabase, ReflectedTable
from engine.registry.resource import Field, Registry, Resource
from engine.sql.ddl import quote
from engine.sql.doctor import Probe

ROWS_AT_ONCE = 200
NOT_SHOWN = frozenset(("id", "relation", "binary"))
_KEY = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class SeenRow:
    """One row as ``examine`` gets it.

    Attributes:
        key: Its row id.
        public_id: Its public id.
        fields: The stored fields as attributes: JSON decoded where it is JSON, else as text; the others as the database
            gives them.
    """

    key: int
    public_id: str
    fields: SimpleNamespace


class Reading:
    """The rows of one type."""

    def __init__(
        self, registry: Registry, reflection: ReflectedDatabase, resource: Resource, table: ReflectedTable
    ) -> None:
        self.registry = registry
        self.reflection = reflection
        self.dialect: Dialect = reflection.dialect
        self.resource = resource
        self.table = table
        self.fields: tuple[Field, ...] = tuple(
            field
            for field in resource.fields.values()
            if field.column in table.columns and field.kind not in NOT_SHOWN and not field.secret
        )

    @property
    def is_possible(self) -> bool:
        """Whether the table has what is asked for."""
        return self.resource.public_id in self.table.columns and self.resource.key in self.table.columns

    def page(self, after: int) -> str:
        """SQL of the rows that follow a key."""
        key = quote(self.resource.key, self.dialect)
        columns = [self.resource.key, str(self.resource.public_id), *(str(field.column) for field in self.fields)]
        listed = ", ".join(quote(column, self.dialect) for column in columns)
        table = quote(self.table.name, self.dialect)
        return f"SELECT {listed} FROM {table} WHERE {key} > {after:d} ORDER BY {key} LIMIT {ROWS_AT_ONCE}"

    def row(self, values: Sequence[object]) -> SeenRow:
        """One of its rows."""
        key, public_id, *stored = values
        assert isinstance(key, int)
        shown = {field.name: _shown(field, value) for field, value in zip(self.fields, stored, strict=True)}
        return SeenRow(key, str(public_id), SimpleNamespace(**shown))

    def probe(self, row: SeenRow, flaw: Flaw) -> Probe:
        """What the doctor says of a flaw, as if it could be mended."""
        complaint = flaw.complaint.replace("{", "{{").replace("}", "}}")
        remedy = self._remedy(row, flaw)
        advice = "" if remedy else "a person has to decide"
        subject = f"{self.resource.name} {row.public_id} {flaw.field}{flaw.pointer}"
        return Probe(subject, complaint, remedy=remedy, advice=advice)

    def target(self, row: SeenRow, flaw: Flaw) -> str | None:
        """SQL that counts the rows whose public id would be put in; None where there is nothing to put in."""
        source = self._source(flaw)
        if source is None:
            return None
        table, key = quote(self.table.name, self.dialect), quote(self.resource.key, self.dialect)
        return f"SELECT COUNT(*) FROM {table} WHERE {key} = {row.key:d} AND ({source}) IS NOT NULL"

    def _remedy(self, row: SeenRow, flaw: Flaw) -> str:
        field = self.resource.fields.get(flaw.field)
        source, path = self._source(flaw), _json_path(flaw.pointer)
        if field is None or field.column is None or field.kind != "json" or source is None or path is None:
            return ""
        if not is_public_id(row.public_id):
            return ""
        assert flaw.target is not None
        table, column = quote(self.table.name, self.dialect), quote(field.column, self.dialect)
        public_id = quote(str(self.resource.public_id), self.dialect)
        present = (
            f"JSON_VALUE({column}, '{path}')"
            if self.dialect == "mariadb"
            else f"CAST(JSON_EXTRACT({column}, '{path}') AS TEXT)"
        )
        return (
            f"UPDATE {table} SET {column} = JSON_SET({column}, '{path}', ({source}))"
            f" WHERE {public_id} = '{row.public_id}' AND {present} = '{flaw.target[1]:d}'"
        )

    def _source(self, flaw: Flaw) -> str | None:
        """The public id of a flaw's target, of the row's own account where the target has one."""
        if flaw.target is None:
            return None
        name, row_id = flaw.target
        target = self.registry.types.get(name)
        other = None if target is None else self.reflection.table(target.table)
        if target is None or other is None or target.public_id not in other.columns:
            return None
        condition = f"p.{quote(target.key, self.dialect)} = {row_id:d}"
        if target.account.kind != "none":
            theirs = target.key if target.account.kind == "self" else target.account.column
            own = self.resource.account.column
            if theirs not in other.columns or own not in self.table.columns:
                return None
            mine = f"{quote(self.table.name, self.dialect)}.{quote(str(own), self.dialect)}"
            condition += f" AND p.{quote(str(theirs), self.dialect)} = {mine}"
        table, public_id = quote(other.name, self.dialect), quote(str(target.public_id), self.dialect)
        return f"SELECT p.{public_id} FROM {table} p WHERE {condition}"


def _shown(field: Field, value: object) -> object:
    if field.kind != "json" or not isinstance(value, (str, bytes)):
        return value
    try:
        found: object = json.loads(value)
    except (ValueError, RecursionError):
        return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return found


def _json_path(pointer: str) -> str | None:
    """A JSON Pointer as a path of the databases; None where it is none of plain keys and indexes."""
    steps = pointer.split("/")[1:]
    if not steps or not all(_KEY.fullmatch(step) for step in steps):
        return None
    return "$" + "".join(f"[{step}]" if step.isdigit() else f'."{step}"' for step in steps)
