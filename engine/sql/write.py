"""Write shapes as statements: inserts, compare-and-set updates, deletes, and the statements over a row's children.

Each is compiled once per shape. No statement leaves without its account condition
where the table has a column for it; a row whose account is only reached through its
parents is named by its row id, which a guarded read has yielded before.

Names of the values: ``s0`` … what is set, ``row_id``, ``version``, ``w0`` … what must be unchanged, ``target0`` …
row ids of relation targets, ``parent0`` … of parents, ``at`` a time of deletion, ``now``, ``account0`` …, ``rule_…``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    literal_column,
    null,
    select,
    update,
)

from engine.operators import as_double
from engine.plan.write import (
    DeleteShape,
    FamilyShape,
    HoldShape,
    ImageShape,
    InsertShape,
    StampShape,
    UpdateShape,
    WriteShape,
)
from engine.registry.resource import Resource
from engine.sql.live import build_images
from engine.sql.relations import Scope, account_clauses
from engine.sql.setting import Names, Setting
from engine.sql.statement import Statement, compile_statement

_ONE: ColumnElement[int] = literal_column("1")


def build_write(shape: WriteShape, setting: Setting) -> Statement:
    """Compile the statement of a write shape.

    Args:
        shape: What is written.
        setting: Registry, tables, dialect and the caller whose rights key is the viewer's.
    """
    match shape:
        case InsertShape():
            return _build_insert(shape, setting)
        case UpdateShape():
            return _build_update(shape, setting)
        case DeleteShape():
            return _build_delete(shape, setting)
        case FamilyShape():
            return _build_family(shape, setting)
        case StampShape():
            return _build_stamp(shape, setting)
        case HoldShape():
            return _build_hold(shape, setting)
        case ImageShape():
            return build_images(shape, setting)


def _build_insert(shape: InsertShape, setting: Setting) -> Statement:
    table = setting.tables[shape.type]
    resource = setting.registry.types[shape.type]
    names = Names()
    binds: list[ColumnElement[Any]] = [bindparam(f"s{i}") for i in range(len(shape.sets))]
    fields = {known.column: known for known in resource.fields.values()}
    returned = [table.c[resource.key], *[as_double(table.c[name], fields[name]) for name in shape.returning]]
    if shape.targets:
        source = select(*binds).where(*_target_clauses(shape.targets, setting, names))
        built: Any = insert(table).from_select(list(shape.sets), source)
    else:
        built = insert(table).values(dict(zip(shape.sets, binds, strict=True)))
    return compile_statement(built.returning(*returned), setting.dialect, tuple(names.guarded))


def _build_update(shape: UpdateShape, setting: Setting) -> Statement:
    table = setting.tables[shape.type]
    resource = setting.registry.types[shape.type]
    names = Names()
    values: dict[str, Any] = {name: bindparam(f"s{i}") for i, name in enumerate(shape.sets)}
    clauses = _row_clauses(table, resource, shape.type, setting, names)
    clauses.extend(table.c[name].is_not_distinct_from(bindparam(f"w{i}")) for i, name in enumerate(shape.compares))
    if resource.soft_delete and shape.state is not None:
        deleted_on = table.c[resource.soft_delete]
        clauses.append(deleted_on.is_(None) if shape.state == "alive" else deleted_on.is_not(None))
    clauses.extend(_target_clauses(shape.targets, setting, names))
    values.update(_next_version(table, resource))
    return compile_statement(update(table).values(values).where(and_(*clauses)), setting.dialect, tuple(names.guarded))


def _build_delete(shape: DeleteShape, setting: Setting) -> Statement:
    table = setting.tables[shape.type]
    resource = setting.registry.types[shape.type]
    names = Names()
    clauses = _row_clauses(table, resource, shape.type, setting, names)
    return compile_statement(delete(table).where(and_(*clauses)), setting.dialect, tuple(names.guarded))


def _build_family(shape: FamilyShape, setting: Setting) -> Statement:
    table = setting.tables[shape.type]
    resource = setting.registry.types[shape.type]
    names = Names()
    column = table.c[resource.fields[shape.field].column or ""]
    parents: list[ColumnElement[Any]] = [bindparam(f"parent{i}") for i in range(shape.width)]
    clauses = [column == parents[0] if shape.width == 1 else column.in_(parents)]
    clauses.extend(_account_clauses(table, resource, setting, names))
    if resource.soft_delete and shape.only != "all":
        deleted_on = table.c[resource.soft_delete]
        clauses.append(deleted_on.is_(None) if shape.only == "alive" else deleted_on == bindparam("at"))
    where = and_(*clauses)
    built: Any
    if shape.action == "find":
        account = table.c[resource.account.column] if resource.account.column else null()
        public = table.c[resource.public_id] if resource.public_id else null()
        # Held, so that none of them leaves before what is below it has been dealt with. SQLite writes one at a time.
        built = select(table.c[resource.key], public, account).where(where).with_for_update()
    elif shape.action == "delete":
        built = delete(table).where(where)
    else:
        values: dict[str, Any] = {**_next_version(table, resource)}
        if resource.updated:
            values[resource.updated] = bindparam("now")
        if shape.action == "detach":
            values[column.name] = null()
        else:
            values[resource.soft_delete or ""] = bindparam("stamp") if shape.action == "stamp" else null()
        built = update(table).values(values).where(where)
    return compile_statement(built, setting.dialect, tuple(names.guarded))


def _build_stamp(shape: StampShape, setting: Setting) -> Statement:
    table = setting.tables[shape.type]
    resource = setting.registry.types[shape.type]
    names = Names()
    clauses = [table.c[resource.key] == bindparam("row_id"), *_account_clauses(table, resource, setting, names)]
    found = select(table.c[resource.soft_delete or ""]).where(*clauses)
    return compile_statement(found, setting.dialect, tuple(names.guarded))


def _build_hold(shape: HoldShape, setting: Setting) -> Statement:
    table = setting.tables[shape.type]
    resource = setting.registry.types[shape.type]
    names = Names()
    clauses = [table.c[resource.key] == bindparam("row_id"), *_account_clauses(table, resource, setting, names)]
    held = select(_ONE).select_from(table).where(*clauses).with_for_update()
    return compile_statement(held, setting.dialect, tuple(names.guarded))


# ---------------------------------------------------------------- parts


def _row_clauses(
    table: Table, resource: Resource, type_name: str, setting: Setting, names: Names
) -> list[ColumnElement[bool]]:
    clauses: list[ColumnElement[bool]] = [table.c[resource.key] == bindparam("row_id")]
    if resource.version:
        clauses.append(table.c[resource.version] == bindparam("version"))
    clauses.extend(_account_clauses(table, resource, setting, names))
    return clauses


def _account_clauses(table: Table, resource: Resource, setting: Setting, names: Names) -> list[ColumnElement[bool]]:
    """The account condition over the table that is written; through parents where it has no column of its own."""
    return account_clauses(Scope(setting, resource.name, names, with_rule=False), table, resource)


def _target_clauses(targets: tuple[str, ...], setting: Setting, names: Names) -> list[ColumnElement[bool]]:
    """That each relation target is there for the caller: its account, its deletion, its row rule.

    On MariaDB the rows are locked while they are looked at. A plain read would see a target as it was before a delete
    that is not yet committed, and the foreign key, which waits for that delete, is content with a row that is still
    in the table: the child would outlive its parent.
    """
    clauses: list[ColumnElement[bool]] = []
    for index, type_name in enumerate(targets):
        scope = Scope(setting, type_name, names)
        key = scope.root.c[scope.resource.key]
        found = select(_ONE).select_from(scope.source).where(key == bindparam(f"target{index}"), *scope.guard)
        clauses.append(exists(found.with_for_update(read=True)))
    return clauses


def _next_version(table: Table, resource: Resource) -> dict[str, Any]:
    return {resource.version: table.c[resource.version] + _ONE} if resource.version else {}
