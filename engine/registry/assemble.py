"""The fields of each type, declared and found ones, in the order in which they are shown.

Single fields are made in `fields.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from engine.registry.drafts import Draft, report_column
from engine.registry.fields import SILENT, make_field, zone_of
from engine.registry.findings import Path, Report
from engine.registry.grammar import FieldDeclaration
from engine.registry.names import RESERVED_FIELDS, is_name, relation_of, snake_case, title_of
from engine.registry.reflection import Dialect, ReflectedColumn, ReflectedDatabase, ReflectedTable
from engine.registry.resource import Field

ENGINE_FIELDS = ("id", "account_id", "created_on", "updated_on")

EngineRole = Literal["public_id", "account", "created", "updated", "deleted"]


@dataclass(slots=True)
class Assembler:
    """Gives each type its fields."""

    reflection: ReflectedDatabase | None
    report: Report
    drafts: Mapping[str, Draft]
    tables: Mapping[str, list[Draft]]
    account_type: str | None
    timezone: str
    refs: dict[tuple[str, str], str] = field(default_factory=dict)

    def add_fields(self, draft: Draft) -> None:
        """All fields of a type, in the order in which they are shown."""
        said = draft.said
        self._add(draft, "id", draft.public_id, kind="id", role="public_id", title="ID")
        if draft.account.column and self.account_type:
            self.refs[draft.name, "account_id"] = self.account_type
            self._add(draft, "account_id", draft.account.column, kind="relation", role="account", title="Account")
        parents = {parent.field or f"{parent.type}_id": parent.type for parent in said.parent or ()}
        for name, target in parents.items():
            self._add_relation(draft, name, said.fields.get(name, SILENT), target, is_parent=True)
        for name, one in said.fields.items():
            if name in parents or name in ENGINE_FIELDS:
                continue
            if one.ref is not None:
                self._add_relation(draft, name, one, one.ref, is_parent=False)
            else:
                self._add_plain(draft, name, one)
        if draft.found is not None:
            for column in draft.found.columns.values():
                self._add_reflected(draft, draft.found, column)
        for name, wanted in (("created_on", draft.columns.created), ("updated_on", draft.columns.updated)):
            column_name = wanted if draft.found is None else draft.column(wanted)
            if column_name is not None:
                role: EngineRole = "created" if name == "created_on" else "updated"
                self._add(draft, name, column_name, kind="datetime", role=role, title=title_of(name[:-3]))
        if draft.soft_delete is not None:
            name = snake_case(draft.soft_delete)
            title = title_of(name.removesuffix("_on").removesuffix("_at"))
            self._add(draft, name, draft.soft_delete, kind="datetime", role="deleted", title=title)

    def _add(self, draft: Draft, name: str, column: str | None, *, kind: str, role: EngineRole, title: str) -> None:
        """A field that the engine writes alone; the registry may say how it looks."""
        said = draft.said.fields.get(name, SILENT)
        found = draft.found.columns.get(column) if draft.found is not None and column is not None else None
        draft.fields[name] = Field(
            name=name, column=column, kind=kind, role=role,
            title=said.title or title, help=said.help, widget=said.widget, ui=said.ui, hidden=bool(said.hidden),
            heavy=bool(said.heavy), read=said.read, nullable=role == "deleted", readonly=True,
            relation="account" if role == "account" else None,
            stored_as=found.stored_as if found else "native", bits=found.bits if found else None,
            stores_null=found is not None and found.nullable and role != "deleted",
            unsigned=found.unsigned if found else False, collation=found.collation if found else None,
            charset=found.charset if found else None, is_exact=found.is_exact if found else True,
            zone=zone_of(
                name, kind, said, found, (*draft.path, "fields", name), self.report, self.timezone,
                is_ours=self.reflection is not None and found is None,
            ),
        )  # fmt: skip

    def _add_relation(self, draft: Draft, name: str, said: FieldDeclaration, target: str, *, is_parent: bool) -> None:
        path = (*draft.path, "fields", name) if name in draft.said.fields else (*draft.path, "parent")
        column = self._column_of(draft, name, said, path, target)
        made = make_field(
            name, said, path, self.report, column=column, table=draft.found, dialect=self._dialect,
            role="parent" if is_parent else "relation",
        )  # fmt: skip
        if made is not None:
            if is_parent and draft.found is None:
                # Of several parents exactly one is set, and a detached row has none.
                parents = draft.said.parent or ()
                is_optional = len(parents) > 1 or any(parent.on_delete == "detach" for parent in parents)
                made = replace(made, nullable=is_optional)
            self.refs[draft.name, name] = target
            draft.fields[name] = made

    def _add_plain(self, draft: Draft, name: str, said: FieldDeclaration) -> None:
        path = (*draft.path, "fields", name)
        column = None if said.computed else self._column_of(draft, name, said, path, None)
        is_missing = draft.found is None and self.reflection is not None
        made = make_field(
            name, said, path, self.report, column=column, table=draft.found, dialect=self._dialect,
            timezone=self.timezone,
            is_table_missing=is_missing or (draft.found is not None and column not in draft.found.columns),
        )  # fmt: skip
        if made is None:
            self.report.add("R306", path, f"{name}: no field is of its column's type", at_key=True, help="leave it out")
            return
        target = self._target_of(draft, column) if not said.type and said.enum is None else None
        if target is not None and name.endswith("_id"):
            self._add_relation(draft, name, said, target, is_parent=False)
        else:
            draft.fields[name] = made

    def _add_reflected(self, draft: Draft, table: ReflectedTable, column: ReflectedColumn) -> None:
        """A field for a column that nothing has spoken of yet."""
        own = (draft.key, draft.public_id, draft.account.column, draft.soft_delete)
        others = (draft.columns.created, draft.columns.updated, draft.columns.version)
        if column.name in own or column.name.lower() in [name.lower() for name in others]:
            return
        if any(one.column == column.name for one in draft.fields.values()):
            return
        if column.kind is None:
            message = f"`{table.name}.{column.name}` is {column.type}: no field takes that, so it is left out"
            self.report.add("W111", (*draft.path, "table"), message)
            return
        name = snake_case(column.name)
        target = self._target_of(draft, column.name)
        if target is not None:
            name = name if name.endswith("_id") and name != "id" else f"{name}_id"
        if target is None and column.name in table.primary_key and column.kind in ("integer", "bigint"):
            return  # part of a key: a row id, which never leaves
        if name in RESERVED_FIELDS or not is_name(name):
            message = f"`{table.name}.{column.name}` is no field, since no field can be called `{name}`"
            help_ = f"give it a name: `fields: {{x: {{column: {column.name}}}}}`"
            self.report.add("W108", (*draft.path, "table"), message, help=help_)
            return
        if name in draft.fields or name in ENGINE_FIELDS:
            message = f"`{table.name}.{column.name}` is no field, since {draft.name} has a `{name}` already"
            help_ = f"give it a name: `fields: {{x: {{column: {column.name}}}}}`"
            self.report.add("W108", (*draft.path, "table"), message, help=help_)
            return
        if target is not None:
            said = FieldDeclaration.model_construct(_fields_set=set(), column=column.name)
            self._add_relation(draft, name, said, target, is_parent=False)
            return
        made = make_field(
            name, SILENT, draft.path, self.report, column=column.name, table=table, dialect=self._dialect,
            timezone=self.timezone,
        )  # fmt: skip
        # A key of a table that is no type is a row id, which never leaves.
        is_row_id = table.foreign_key(column.name) is not None and column.kind in ("integer", "bigint")
        if made is not None and not is_row_id:
            draft.fields[name] = made

    def _target_of(self, draft: Draft, column: str | None) -> str | None:
        """The type whose row ids a column holds, by its foreign key."""
        key = draft.found.foreign_key(column) if draft.found is not None and column is not None else None
        if key is None:
            return None
        targets = [one for one in self.tables.get(key.table.lower(), ()) if (one.key,) == key.target_columns]
        return targets[0].name if targets else None

    def _column_of(self, draft: Draft, name: str, said: FieldDeclaration, path: Path, target: str | None) -> str:
        """The column of a declared field, in the table's own spelling."""
        wanted = said.column or name
        if draft.found is None:
            return wanted
        column = draft.column(wanted)
        if column is None and said.column is None:
            column = _alias(draft.found, name, is_relation=target is not None)
        if column is None and target is not None and said.column is None:
            to_target = [key for key in draft.found.foreign_keys if self._target_of(draft, key.columns[0]) == target]
            if len(to_target) == 1 and path[-1] == "parent":
                column = to_target[0].columns[0]
        if column is None:
            report_column(draft, wanted, path, self.report)
            return wanted
        if target is not None and target in self.drafts:
            actual = self._target_of(draft, column)
            if actual is not None and self.drafts[actual].said.table.lower() != self.drafts[target].said.table.lower():
                message = f"{name} points at {target}, its column's foreign key at {actual}"
                self.report.add("R308", path, message, at_key=True, help=f"say `ref: {actual}`")
        return column

    @property
    def _dialect(self) -> Dialect:
        return self.reflection.dialect if self.reflection is not None else "sqlite"


def _alias(table: ReflectedTable, name: str, *, is_relation: bool) -> str | None:
    """The column whose name, written as the wire writes names, is the field's."""
    names = {name, relation_of(name)} if is_relation else {name}
    return next((column for column in table.columns if snake_case(column) in names), None)
