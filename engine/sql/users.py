"""The statements by which authentication looks at rows: the user's, and the accounts'; and what a sign-in writes there.

They read a few columns of the registry's user and account types and nothing else, before
there is a caller whose account could narrow them. Whether the answer is a 401 is
`auth/gate.py`'s business. Public ids are read back, to be compared in Python: a column's
collation may fold case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, column, literal_column, null, select, table, update
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.sql.selectable import FromClause

from engine.plan.shape import Dialect
from engine.registry.resource import Resource
from engine.registry.sign_in import SignInFields
from engine.sql.statement import Statement, compile_statement

ENABLE_FIELD = "enable"


def select_user(user: Resource, dialect: Dialect) -> Statement | None:
    """The row of a user by its public id.

    Args:
        user: The type whose rows are people.
        dialect: For which database.

    Returns:
        A statement with the bind ``user``, or None where the type has no public ids yet. Its columns: row id, public
        id, the `enable` column (NULL where there is none), the time of its deletion (NULL where it is alive).
    """
    if user.public_id is None:
        return None
    people, chosen = _user_rows(user)
    return compile_statement(chosen.where(people.c[user.public_id] == bindparam("user")), dialect)


def select_users(user: Resource, width: int, dialect: Dialect) -> Statement | None:
    """The rows of several users, by the binds ``user0`` …; as `select_user`.

    Args:
        user: The type whose rows are people.
        width: How many are asked for.
        dialect: For which database.
    """
    if user.public_id is None:
        return None
    people, chosen = _user_rows(user)
    wanted = people.c[user.public_id].in_([bindparam(f"user{index}") for index in range(width)])
    return compile_statement(chosen.where(wanted), dialect)


def _user_rows(user: Resource) -> tuple[TableClause, Select[Any]]:
    field = user.fields.get(ENABLE_FIELD)
    enable = field.column if field is not None and field.kind == "boolean" else None
    people = _table_of(user, enable)
    chosen = select(
        people.c[user.key],
        people.c[user.public_id or ""],
        people.c[enable] if enable is not None else null().label("enable"),
        people.c[user.soft_delete] if user.soft_delete is not None else null().label("deleted"),
    )
    return people, chosen


def select_accounts(account: Resource, width: int, dialect: Dialect) -> Statement | None:
    """The rows of accounts by their public ids, without deleted ones.

    Args:
        account: The type whose rows are accounts.
        width: How many ids are asked for.
        dialect: For which database.

    Returns:
        A statement with the binds ``account0`` …, or None where the type has no public ids yet. Its columns: row id,
        public id.
    """
    if account.public_id is None:
        return None
    rows = _table_of(account)
    wanted = rows.c[account.public_id].in_([bindparam(f"account{index}") for index in range(width)])
    chosen = select(rows.c[account.key], rows.c[account.public_id]).where(wanted)
    if account.soft_delete is not None:
        chosen = chosen.where(rows.c[account.soft_delete].is_(None))
    return compile_statement(chosen, dialect)


# ---------------------------------------------------------------- people who sign in

PERSON_COLUMNS = (
    "row_id", "public_id", "login", "password", "roles", "enable", "deleted", "account_row_id", "account_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PersonSource:
    """Where a person is read from, in any statement.

    Attributes:
        table: The table of people.
        key: Its row id.
        columns: `PERSON_COLUMNS`, in their order; NULL stands for what the type does not have.
        account_is: What ties `account` to a person; None where people belong to no account.
    """

    table: FromClause
    key: ColumnElement[int]
    login: ColumnElement[str]
    columns: tuple[ColumnElement[Any], ...]
    account: FromClause | None
    account_is: ColumnElement[bool] | None
    account_public_id: ColumnElement[str] | None

    def join_account(self, source: FromClause) -> FromClause:
        """A source with people in it, joined to their accounts; a deleted account is none."""
        if self.account is None or self.account_is is None:
            return source
        return source.outerjoin(self.account, self.account_is)


def person_source(user: Resource, sign_in: SignInFields, account: Resource | None) -> PersonSource | None:
    """The source of people.

    Args:
        user: The type whose rows are people.
        sign_in: Its fields.
        account: The account type, or None where the registry has none.

    Returns:
        None where the type has no public ids yet.
    """
    if user.public_id is None:
        return None
    enable = user.fields.get(ENABLE_FIELD)
    enable_column = enable.column if enable is not None and enable.kind == "boolean" else None
    login, password = user.fields[sign_in.login].column, user.fields[sign_in.password].column
    roles = user.fields[sign_in.roles].column if sign_in.roles is not None else None
    people = _table_of(user, enable_column, login, password, roles, user.account.column)

    def read(name: str | None) -> ColumnElement[Any]:
        return people.c[name] if name is not None else null()

    accounts, account_is, account_public_id = None, None, None
    if user.account.column is not None and account is not None and account.public_id is not None:
        accounts = _table_of(account).alias("account_of")
        account_is = people.c[user.account.column] == accounts.c[account.key]
        if account.soft_delete is not None:
            account_is = and_(account_is, accounts.c[account.soft_delete].is_(None))
        account_public_id = accounts.c[account.public_id]
    columns = (
        people.c[user.key],
        people.c[user.public_id],
        read(login),
        read(password),
        read(roles),
        read(enable_column),
        read(user.soft_delete),
        read(user.account.column),
        null() if account_public_id is None else account_public_id,
    )
    labelled = tuple(one.label(f"person_{name}") for one, name in zip(columns, PERSON_COLUMNS, strict=True))
    return PersonSource(people, people.c[user.key], read(login), labelled, accounts, account_is, account_public_id)


def select_people(source: PersonSource, user: Resource, dialect: Dialect, *, most: int, in_account: bool) -> Statement:
    """People by the name that they sign in with, without deleted ones, oldest first: `PERSON_COLUMNS`.

    Args:
        source: Where they are read from.
        user: Their type.
        dialect: For which database.
        most: How many.
        in_account: Only those of the account with the bind ``account``.

    Returns:
        A statement with the binds ``login`` and ``folded``: the name as it was typed, and in lower case.
    """
    chosen = select(*source.columns).select_from(source.join_account(source.table))
    chosen = chosen.where(source.login.in_([bindparam("login"), bindparam("folded")]))
    if user.soft_delete is not None:
        chosen = chosen.where(source.table.c[user.soft_delete].is_(None))
    if in_account and source.account_public_id is not None:
        chosen = chosen.where(source.account_public_id == bindparam("account"))
    return compile_statement(
        chosen.order_by(source.key).limit(literal_column(str(most))).offset(literal_column("0")), dialect
    )


def update_sign_in(user: Resource, sign_in: SignInFields, dialect: Dialect) -> Statement | None:
    """Record the time ``moment`` of a sign-in of the person with the row id ``user``; None without a field for it.

    The version changes with it, since what a reader gets does; `updated_on` says when somebody edited the row.
    """
    if sign_in.last_login is None:
        return None
    column_name = user.fields[sign_in.last_login].column
    people = _table_of(user, column_name, user.version)
    values: dict[str, Any] = {str(column_name): bindparam("moment")}
    if user.version is not None:
        values[user.version] = people.c[user.version] + literal_column("1")
    return compile_statement(update(people).values(values).where(people.c[user.key] == bindparam("user")), dialect)


def update_password(user: Resource, sign_in: SignInFields, dialect: Dialect) -> Statement:
    """Put the hash ``new_hash`` in the place of ``old_hash``, where the person ``user`` still has that one."""
    column_name = str(user.fields[sign_in.password].column)
    people = _table_of(user, column_name)
    is_same = and_(people.c[user.key] == bindparam("user"), people.c[column_name] == bindparam("old_hash"))
    return compile_statement(update(people).values({column_name: bindparam("new_hash")}).where(is_same), dialect)


def _table_of(resource: Resource, *more: str | None) -> TableClause:
    wanted = (resource.key, resource.public_id, resource.soft_delete, *more)
    return table(resource.table, *(column(name) for name in dict.fromkeys(wanted) if name is not None))
