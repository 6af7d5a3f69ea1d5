"""A type at the beginning of its making: its table, the engine's own columns in it, its account.

Its fields are put into the draft by `assemble.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.registry.findings import Path, Report
from engine.registry.grammar import ACCOUNT_COLUMN, NO_TABLE, TypeDeclaration
from engine.registry.reflection import ReflectedDatabase, ReflectedTable
from engine.registry.resource import AccountRule, ColumnNames, Field


@dataclass(slots=True)
class Draft:
    """A type that is being made."""

    name: str
    said: TypeDeclaration
    found: ReflectedTable | None
    columns: ColumnNames
    key: str = "id"
    public_id: str | None = None
    account: AccountRule = field(default_factory=lambda: AccountRule(kind="none"))
    fields: dict[str, Field] = field(default_factory=dict)
    soft_delete: str | None = None

    @property
    def path(self) -> Path:
        """Where the type stands."""
        return ("types", self.name)

    def column(self, name: str) -> str | None:
        """The found table's own spelling of a column's name; None where it has no such column."""
        if self.found is None:
            return None
        if name in self.found.columns:
            return name
        folded = name.lower()
        return next((column for column in self.found.columns if column.lower() == folded), None)


def start_type(
    name: str, said: TypeDeclaration, reflection: ReflectedDatabase | None, columns: ColumnNames, report: Report
) -> Draft:
    """Begin a type: find its table, its keys, and how it belongs to an account."""
    found = reflection.table(said.table) if reflection is not None else None
    draft = Draft(name, said, found, columns)
    path = draft.path
    is_declared = any(one.type or one.enum is not None or one.ref for one in said.fields.values())
    if reflection is not None and found is None and not is_declared and said.table != NO_TABLE:
        report.add(
            "R301", (*path, "table"), f"the database has no table `{said.table}`, and {name} declares no fields",
            help="correct the name, or declare `fields` and let `aether migrate` create it",
        )  # fmt: skip
    draft.key, draft.public_id = columns.row, columns.public
    draft.soft_delete = said.soft_delete
    if found is not None:
        _start_found(draft, found, report)
    draft.account = _account_of(draft, report)
    return draft


def report_column(draft: Draft, name: str, path: Path, report: Report) -> None:
    """Report that a found table lacks a column."""
    table = draft.found.name if draft.found else draft.said.table
    help_ = "`aether migrate` adds it; if it has another name there, say `column:`"
    report.add("R302", path, f"`{table}` has no column `{name}`", help=help_, at_key=True, is_mendable=True)


# ---------------------------------------------------------------- private


def _start_found(draft: Draft, found: ReflectedTable, report: Report) -> None:
    table, name = found.name, draft.columns.row
    key = draft.column(name)
    if key is None or found.primary_key != (key,) or found.integer_key != key:
        key = found.integer_key or (key if found.is_view else None)
    if key is None:
        help_ = "`aether migrate` adds `row_id`" if not found.is_view else f"let the view have a column `{name}`"
        message = f"`{table}` has no single integer key"
        report.add("R304", (*draft.path, "table"), message, help=help_, is_mendable=not found.is_view)
    draft.key = key or "row_id"
    draft.public_id = draft.column(draft.columns.public)
    if draft.public_id is None:
        report.add(
            "R303", (*draft.path, "table"), f"`{table}` has no public ids: no column `{draft.columns.public}`",
            help="`aether migrate` adds and fills it", is_mendable=not found.is_view,
        )  # fmt: skip
    if draft.soft_delete is not None:
        column = draft.column(draft.soft_delete)
        if column is None:
            report_column(draft, draft.soft_delete, (*draft.path, "soft_delete"), report)
        draft.soft_delete = column or draft.soft_delete


def _account_of(draft: Draft, report: Report) -> AccountRule:
    said = draft.said.account
    if said.self_:
        return AccountRule(kind="self")
    if said.own is not None:
        column = draft.column(said.own)
        if draft.found is not None and column is None:
            report.add(
                "R307", (*draft.path, "account"), f"`{draft.found.name}` has no column `{said.own}` for its account",
                help="name the column: `account: {own: column}`, or add it and say which account each row is of",
            )  # fmt: skip
        return AccountRule(kind="own", column=column or said.own)
    if said.inherited:
        column = ACCOUNT_COLUMN if draft.found is None else draft.column(ACCOUNT_COLUMN)
        return AccountRule(kind="inherited", column=column)
    return AccountRule(kind="none", reason=said.none)
