"""Advice: what works, but costs time, surprises people, or waits for a feature to come. Never stops a start."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.registry.findings import Path, Report
from engine.registry.grammar import ACCOUNT_COLUMN, RegistryFile, TypeDeclaration
from engine.registry.names import QUERY_PARAMETERS
from engine.registry.reflection import ReflectedDatabase, ReflectedTable
from engine.registry.resource import Field, Registry, Resource

# Operators that an index can serve; the others read rows whatever there is.
_INDEXED = frozenset({"eq", "in", "lt", "lte", "gt", "gte", "between", "starts_with"})
_SECRETIVE = re.compile(r"(^|_)(password|passwd|passcode|secret|token|api_key|private_key|password_hash|salt)($|_)")
_PREFIX_CHARS = 255


def advise(registry: Registry, said: RegistryFile, reflection: ReflectedDatabase | None, report: Report) -> None:
    """Report what could be better."""
    for name, one in said.types.items():
        resource = registry.types[name]
        path: Path = ("types", name)
        _advise_later(one, path, report)
        _advise_names(resource, one, path, report)
        _advise_account(one, path, report)
        _advise_rules(registry, one, path, report)
        table = reflection.table(one.table) if reflection is not None else None
        if table is not None:
            _advise_table(resource, one, table, path, report)
            _advise_indexes(resource, table, "" if reflection is None else reflection.dialect, path, report)


# ---------------------------------------------------------------- private


def _advise_later(said: TypeDeclaration, path: Path, report: Report) -> None:
    """Keys whose feature does not exist yet."""
    later: list[tuple[Path, str]] = []
    if said.history:
        later.append(((*path, "history"), "recorded versions"))
    later += [
        ((*path, "fields", name, "regex"), "regular expressions") for name, one in said.fields.items() if one.regex
    ]
    for index, one in enumerate(said.indexes or ()):
        if one.kind == "fulltext":
            later.append(((*path, "indexes", index, "kind"), "full-text indexes"))
    for place, what in later:
        report.add("W101", place, f"{what} are not there yet, so this key does nothing", at_key=True)


def _advise_names(resource: Resource, said: TypeDeclaration, path: Path, report: Report) -> None:
    for name in resource.fields:
        if name in QUERY_PARAMETERS:
            at = (*path, "fields", name) if name in said.fields else path
            message = f"`{name}` is a parameter of lists too, so a query string cannot filter by the field"
            report.add("W102", at, message, at_key=True, help="`filter=` and POST …/search still do")


def _advise_account(said: TypeDeclaration, path: Path, report: Report) -> None:
    reason = said.account.none
    if reason is not None and reason.startswith("introspected"):
        message = f"everybody who may read {path[-1]} sees all of its rows, and nobody has decided that yet"
        report.add("W104", (*path, "account"), message, help="say `own`, `inherited`, or why its rows are everybody's")


def _advise_rules(registry: Registry, said: TypeDeclaration, path: Path, report: Report) -> None:
    """Row rules of a parent hide its children by path only."""
    for index, parent in enumerate(said.parent or ()):
        above = registry.types.get(parent.type)
        bare = [role for role in above.rows if role not in (said.rows or {})] if above is not None else []
        if bare:
            message = f"{parent.type} has row rules for {', '.join(bare)}, {path[-1]} has none"
            help_ = "flat lists follow the child's own rules: give it some under `rows:`"
            report.add("W105", (*path, "parent", index), message, help=help_)


def _advise_table(resource: Resource, said: TypeDeclaration, table: ReflectedTable, path: Path, report: Report) -> None:
    at: Path = (*path, "table")
    if resource.account.kind == "inherited" and resource.account.column is None:
        report.add(
            "W106", at, f"`{table.name}` has no `{ACCOUNT_COLUMN}`: every list of {resource.name} goes by its parents",
            help=f"`aether migrate --add-account-column` runs ALTER TABLE `{table.name}` ADD `{ACCOUNT_COLUMN}` …",
        )  # fmt: skip
    columns = {field.column: field for field in resource.fields.values()}
    own = {resource.key, resource.public_id, resource.account.column, resource.version, resource.soft_delete}
    for column in table.columns.values():
        field = columns.get(column.name)
        if column.name in own or column.nullable or column.has_default or resource.is_view:
            continue
        if field is None or field.hidden or (field.readonly and field.role == "plain" and not field.has_default):
            message = (
                f"`{table.name}.{column.name}` takes no NULL, and nothing fills it: creating {resource.name} will fail"
            )
            report.add("W109", at, message, help="give the column a default, or the type a field that callers may give")
    for field in resource.fields.values():
        if field.name not in said.fields and field.is_readable and _SECRETIVE.search(field.name):
            message = f"{field.name} looks like a secret, and whoever reads {resource.name} reads it"
            report.add("W112", at, message, help=f"say `fields: {{{field.name}: {{hidden: true}}}}`")


def _advise_indexes(resource: Resource, table: ReflectedTable, dialect: str, path: Path, report: Report) -> None:
    """Fields that may be searched but have no index: one finding for a type, with the DDL for all."""
    if table.is_view or _is_ours(resource, table):
        return
    missing = list(_unindexed(resource, table))
    if missing:
        ddl = tuple(_ddl(resource, table, field, dialect) for field in missing)
        message = f"{resource.name} can be searched by {', '.join(field.name for field in missing)} without an index"
        help_ = "make the indexes that are worth it, and take out of `search` what nobody asks"
        report.add("W103", (*path, "search"), message, at_key=True, help=help_, notes=ddl)


def _is_ours(resource: Resource, table: ReflectedTable) -> bool:
    """Whether `aether migrate` made the table: then it has the indexes that its author asked for under `indexes`."""
    created = table.columns.get(resource.created or "")
    return created is not None and created.is_utc and created.type.startswith("datetime")


def _unindexed(resource: Resource, table: ReflectedTable) -> Iterator[Field]:
    bound = {resource.account.column, *(resource.fields[parent.field].column for parent in resource.parents)}
    led = {index.columns[1] for index in table.indexes if len(index.columns) > 1 and index.columns[0] in bound}
    for field in resource.fields.values():
        if field.column is None or field.kind in ("text", "json", "boolean", "enum") or field.column in led:
            continue
        is_asked = field.role in ("relation", "parent") or (field.role == "plain" and _INDEXED & set(field.operators))
        if is_asked and not table.is_indexed(field.column):
            yield field


def _ddl(resource: Resource, table: ReflectedTable, field: Field, dialect: str) -> str:
    quote = '"' if dialect == "sqlite" else "`"
    column = f"{quote}{field.column}{quote}"
    if dialect != "sqlite" and field.size is not None and field.size > _PREFIX_CHARS and field.kind != "relation":
        column += f"({_PREFIX_CHARS})"
    account = resource.account.column
    columns = f"{quote}{account}{quote}, {column}" if account and field.role == "plain" else column
    name = f"ix_{table.name}__{field.column}"[:64]
    return f"CREATE INDEX {quote}{name}{quote} ON {quote}{table.name}{quote} ({columns})"
