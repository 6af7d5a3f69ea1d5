"""Tables in a statement: aliases, the joins of to-one relations, guards, and conditions over them.

`Scope` is the only thing that puts a table into a statement, and it never does
so without the table's guard (see `plan/tenancy.py`). What is selected and in
what order is `sql/read.py`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, false, func, literal_column, or_, select, true
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.selectable import FromClause

from engine.operators import (
    Subject,
    as_double,
    build_count,
    build_field_leaf,
    build_function,
    build_leaf,
    position,
    sortable,
    subject_of,
)
from engine.plan.shape import (
    And,
    Condition,
    Const,
    Count,
    Deleted,
    Exists,
    FieldLeaf,
    Leaf,
    Or,
    Path,
    Present,
    Viewer,
)
from engine.plan.tenancy import guard_type, rule_bind
from engine.registry.resource import Field, Relation, Resource
from engine.sql.setting import Names, Setting, public_name, stored_name


class Scope:
    """One SELECT's tables: the root, and the to-one relations joined to it.

    Args:
        setting: Registry, tables, dialect and caller.
        type_name: The root's type.
        names: Shared with the other scopes of the statement.
        deleted: Which rows of the root are wanted.
        with_rule: False within a row rule.
        proven: A parent field whose target is known to be there, since it stands in the statement with its own guard.
        image: Stands in the place of the root's table: rows that are given by value (see `sql/live.py`).
    """

    def __init__(
        self,
        setting: Setting,
        type_name: str,
        names: Names,
        *,
        deleted: Deleted = "exclude",
        with_rule: bool = True,
        proven: str | None = None,
        image: FromClause | None = None,
    ) -> None:
        self.setting = setting
        self.names = names
        self.resource = setting.registry.types[type_name]
        self.with_rule = with_rule
        self.image = image
        self.root: FromClause = setting.tables[type_name].alias(names.next_alias()) if image is None else image
        self.source: FromClause = self.root
        self._joined: dict[tuple[tuple[str, ...], bool], FromClause] = {}
        self.guard = guard_clauses(self, self.root, self.resource, deleted=deleted, proven=proven)

    # ------------------------------------------------------------ columns

    def shown(self, path: Path) -> ColumnElement[object]:
        """The column of a path without function, to be rendered; for ids the public id, never the row id."""
        column, field_ = self._column(path)
        return as_double(column, field_)

    def order(self, path: Path) -> tuple[ColumnElement[object], ColumnElement[object]]:
        """What a path sorts by, function included, and the same as a cursor keeps it."""
        if path.function:
            key = build_function(path.function, self.subject(path))
            return key, key
        column, field_ = self._column(path)
        key = sortable(column, field_, self.setting.dialect)
        return key, position(key, field_)

    def subject(self, path: Path, zone: str | None = None, *, beside_field: bool = False) -> Subject:
        """A path as the operators take it; for ids the public id, never the row id."""
        column, field_ = self._column(path)
        return subject_of(column, field_, path.function, zone, self.setting.dialect, beside_field=beside_field)

    def row_id(self, hops: tuple[str, ...]) -> ColumnElement[object]:
        """The row id at the end of to-one relations; NULL where the target is not there."""
        table, resource = self.follow(hops)
        return table.c[resource.key]

    def follow(self, hops: tuple[str, ...], *, visible: bool = True) -> tuple[FromClause, Resource]:
        """Join to-one relations, each once, and answer the last table with its type.

        Args:
            hops: Relation names from the root.
            visible: Whether the last target must be visible (not deleted, not ruled out). If not, only its
                account must be right: then its id is shown though the rest of it is not.
        """
        resource = self.resource
        table: FromClause = self.root
        for i in range(len(hops)):
            relation = resource.relations[hops[i]]
            target = self.setting.registry.types[relation.target]
            must_show = visible or i < len(hops) - 1
            table = self._join(hops[: i + 1], table, resource, relation, target, visible=must_show)
            resource = target
        return table, resource

    def reuse(self, hops: tuple[str, ...], table: FromClause) -> None:
        """Take a table that stands in the statement already, with its guard, as the target of to-one relations."""
        self._joined[hops, True] = self._joined[hops, False] = table

    # ------------------------------------------------------------ conditions

    def condition(self, condition: Condition) -> ColumnElement[bool]:
        """Build a condition over the root; its binds are numbered in the order of its values."""
        match condition:
            case Const():
                return true() if condition.value else false()
            case And():
                return and_(true(), *[self.condition(part) for part in condition.parts])
            case Or():
                return or_(false(), *[self.condition(part) for part in condition.parts])
            case Leaf():
                return build_leaf(
                    condition.operator,
                    self.subject(condition.path, condition.zone),
                    self._values(condition.arity),
                    negated=condition.negated,
                    variant=condition.variant,
                )
            case FieldLeaf():
                return build_field_leaf(
                    condition.operator,
                    self.subject(condition.path, condition.zone, beside_field=True),
                    self.subject(condition.other, condition.zone, beside_field=True),
                    negated=condition.negated,
                )
            case Present():
                row_id = self.row_id(condition.hops)
                return row_id.is_(None) if condition.negated else row_id.is_not(None)
            case Exists():
                found = self._related(condition.hops, condition.relation, condition.condition, counted=False)
                return ~exists(found) if condition.negated else exists(found)
            case Count():
                counted = self._related(condition.hops, condition.relation, condition.condition, counted=True)
                return build_count(
                    condition.operator,
                    counted.scalar_subquery(),
                    self._values(condition.arity),
                    negated=condition.negated,
                )

    def count_of(self, hops: tuple[str, ...], relation: str) -> ColumnElement[int]:
        """How many rows of a to-many relation the caller sees: what ``count(x)`` sorts by."""
        return self._related(hops, relation, None, counted=True).scalar_subquery()

    # ------------------------------------------------------------ private

    def _values(self, count: int) -> list[BindParameter[object]]:
        return self.names.next_values(count)

    def _column(self, path: Path) -> tuple[ColumnElement[object], Field]:
        table, resource = self.follow(path.hops)
        field_ = resource.fields[path.field]
        if field_.relation is not None:
            # The id of what it points at: a column of the target, compared as the target's ids are.
            table, resource = self.follow((*path.hops, field_.relation), visible=False)
            field_ = resource.fields["id"]
        if field_.role == "public_id":
            return table.c[public_name(resource)], field_
        if field_.column is None:
            raise LookupError(f"{resource.name}.{field_.name} has no column")
        return table.c[field_.column], field_

    def _join(
        self,
        hops: tuple[str, ...],
        table: FromClause,
        resource: Resource,
        relation: Relation,
        target: Resource,
        *,
        visible: bool,
    ) -> FromClause:
        must_show = visible and self._can_hide(target)
        known = self._joined.get((hops, must_show))
        if known is not None:
            return known
        joined = self.setting.tables[target.name].alias(self.names.next_alias())
        source_column = table.c[stored_name(resource, relation.field)]
        on = [joined.c[target.key] == source_column, *account_clauses(self, joined, target)]
        same_account = self._same_account(table, resource, joined, target)
        if same_account is not None:
            on.append(same_account)
        if must_show:
            on.extend(guard_clauses(self, joined, target, with_account=False))
        self.source = self.source.outerjoin(joined, and_(*on))
        self._joined[hops, must_show] = joined
        return joined

    def _can_hide(self, target: Resource) -> bool:
        guard = guard_type(
            self.setting.registry, target, self.setting.viewer, self.setting.rights, with_rule=self.with_rule
        )
        return guard.deleted is not None or bool(guard.mortal_parents) or guard.rule.shape != Const(True)

    def _same_account(
        self, table: FromClause, resource: Resource, joined: FromClause, target: Resource
    ) -> ColumnElement[bool] | None:
        """With several accounts in view, a target must be of the row's own; with one it follows by itself."""
        if self.setting.viewer.accounts == 1 or not (resource.account.column and target.account.column):
            return None
        return joined.c[target.account.column] == table.c[resource.account.column]

    def _related(
        self, hops: tuple[str, ...], relation_name: str, condition: Condition | None, *, counted: bool
    ) -> Select[Any]:
        near_table, near = self.follow(hops)
        relation = near.relations[relation_name]
        proven = relation.field if relation.child else None
        inner = Scope(self.setting, relation.target, self.names, with_rule=self.with_rule, proven=proven)
        clauses = [inner.root.c[stored_name(inner.resource, relation.field)] == near_table.c[near.key], *inner.guard]
        if condition is not None:
            clauses.append(inner.condition(condition))
        what: ColumnElement[int] = func.count() if counted else literal_column("1")
        return select(what).select_from(inner.source).where(*clauses).correlate(near_table)


# ---------------------------------------------------------------- guards


def guard_clauses(
    scope: Scope,
    table: FromClause,
    resource: Resource,
    *,
    deleted: Deleted = "exclude",
    with_account: bool = True,
    proven: str | None = None,
) -> list[ColumnElement[bool]]:
    """The clauses of a type's guard over one of its tables.

    Args:
        scope: Where the table stands; a row rule's to-one relations are joined there.
        table: An alias of the type's table.
        resource: The type.
        deleted: Which rows are wanted.
        with_account: False where the account clauses stand already.
        proven: See `Scope`.
    """
    setting = scope.setting
    guard = guard_type(
        setting.registry, resource, setting.viewer, setting.rights, deleted=deleted, with_rule=scope.with_rule
    )
    clauses = account_clauses(scope, table, resource) if with_account else []
    if resource.soft_delete and guard.deleted == "exclude":
        clauses.append(table.c[resource.soft_delete].is_(None))
    elif resource.soft_delete and guard.deleted == "only":
        clauses.append(table.c[resource.soft_delete].is_not(None))
    mortal = [name for name in guard.mortal_parents if name != proven]
    clauses.extend(_alive_clauses(scope, table, resource, mortal))
    if guard.rule.shape != Const(True):
        clauses.append(_rule_clause(scope, table, resource, guard.rule.shape))
    return clauses


def account_clauses(scope: Scope, table: FromClause, resource: Resource) -> list[ColumnElement[bool]]:
    """The account condition over one table: empty only for shared types and for operators."""
    setting = scope.setting
    guard = guard_type(setting.registry, resource, setting.viewer, setting.rights, with_rule=False)
    if guard.account == "none":
        return []
    if guard.account == "key":
        return [_in_accounts(table.c[resource.key], setting.viewer)]
    if guard.account == "column":
        return [_in_accounts(table.c[resource.account.column or ""], setting.viewer)]
    return [or_(*[_parent_exists(scope, table, resource, parent.field, alive=False) for parent in resource.parents])]


def _alive_clauses(
    scope: Scope, table: FromClause, resource: Resource, parents: Sequence[str]
) -> list[ColumnElement[bool]]:
    clauses: list[ColumnElement[bool]] = []
    for name in parents:
        alive = _parent_exists(scope, table, resource, name, alive=True)
        field_ = resource.fields[name]
        clauses.append(or_(table.c[field_.column or ""].is_(None), alive) if field_.nullable else alive)
    return clauses


def _parent_exists(
    scope: Scope, table: FromClause, resource: Resource, parent_field: str, *, alive: bool
) -> ColumnElement[bool]:
    setting = scope.setting
    (parent,) = [parent for parent in resource.parents if parent.field == parent_field]
    above = setting.registry.types[parent.type]
    joined: FromClause = setting.tables[above.name].alias(scope.names.next_alias())
    clauses = [joined.c[above.key] == table.c[stored_name(resource, parent_field)]]
    clauses.extend(account_clauses(scope, joined, above))
    if alive:
        if above.soft_delete:
            clauses.append(joined.c[above.soft_delete].is_(None))
        else:
            guard = guard_type(setting.registry, above, setting.viewer, setting.rights, with_rule=False)
            clauses.extend(_alive_clauses(scope, joined, above, guard.mortal_parents))
    found: Select[Any] = select(literal_column("1")).select_from(joined).where(*clauses).correlate(table)
    if scope.names.is_cut and setting.dialect == "mariadb":
        # An EXISTS becomes a join that may begin at the parents, and then all rows are sorted: 113 ms where this,
        # which is looked up row by row in the order of the index, takes 0.8.
        return found.scalar_subquery() == literal_column("1")
    return exists(found)


def _rule_clause(scope: Scope, table: FromClause, resource: Resource, shape: Condition) -> ColumnElement[bool]:
    """A row rule over a table: plain clauses, or, where it needs joins, an EXISTS over the same row.

    The joins must not stand in the outer statement: the table may itself be on the optional side of a join.
    """
    if resource.name not in scope.names.guarded:
        scope.names.guarded.append(resource.name)
    plain = RuleScope(scope, resource, table)
    clause = plain.condition(shape)
    if plain.source is table:
        return clause
    if scope.image is table:
        # There is no such row to be looked up; nor is it on the optional side of a join.
        scope.source = plain.source
        return clause
    own: FromClause = scope.setting.tables[resource.name].alias(scope.names.next_alias())
    joined = RuleScope(scope, resource, own)
    clause = joined.condition(shape)
    same_row = own.c[resource.key] == table.c[resource.key]
    return exists(select(literal_column("1")).select_from(joined.source).where(same_row, clause).correlate(table))


class RuleNames(Names):
    """Numbers a rule's own values apart from the caller's, and tables together with them."""

    def __init__(self, outer: Names, type_name: str) -> None:
        super().__init__(is_cut=outer.is_cut, guarded=outer.guarded)
        self._outer = outer
        self._type_name = type_name

    def next_alias(self) -> str:
        """Name one more table of the whole statement."""
        return self._outer.next_alias()

    def next_values(self, count: int) -> list[BindParameter[object]]:
        """Name the next `count` values of the rule."""
        first, self.values = self.values, self.values + count
        return [bindparam(rule_bind(self._type_name, i)) for i in range(first, first + count)]


class RuleScope(Scope):
    """A scope over a table that stands already, for the rule of its type."""

    def __init__(self, outer: Scope, resource: Resource, table: FromClause) -> None:
        self.setting = outer.setting
        self.names = RuleNames(outer.names, resource.name)
        self.resource = resource
        self.with_rule = False
        self.image = None
        self.root: FromClause = table
        self.source = table
        self._joined = {}
        self.guard = []


def _in_accounts(column: ColumnElement[object], viewer: Viewer) -> ColumnElement[bool]:
    binds: list[BindParameter[object]] = [bindparam(f"account{i}") for i in range(viewer.accounts)]
    return column == binds[0] if len(binds) == 1 else column.in_(binds)
