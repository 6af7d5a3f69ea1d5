from __future__ import annotations

import pytest

from engine.plan.shape import Dialect
from engine.registry.resource import AccountRule, Field, Resource
from engine.sql.keys import insert_key, select_key, select_keys, update_last_used, update_revoked
from engine.sql.statement import Statement
from engine.sql.users import select_accounts, select_user


def make_type(soft_delete: str | None = "gone_on", public_id: str | None = "id_random") -> Resource:
    return Resource(
        name="tenant",
        table="Tenant 100%",
        key="TenantId",
        public_id=public_id,
        title="Tenant",
        plural="Tenants",
        account=AccountRule(kind="self"),
        fields={"enable": Field(name="enable", column="is_on", kind="boolean")},
        relations={},
        soft_delete=soft_delete,
    )


def texts(statement: Statement | None) -> tuple[str, tuple[str, ...]]:
    assert statement is not None
    return " ".join(statement.text.split()), statement.binds


KEY_COLUMNS = ", ".join(
    f"aether_api_key.{name}" for name in ("scopes", "roles", "expires_on", "revoked_on", "last_used_on")
)
KEY_HEAD = ", ".join(f"aether_api_key.{name}" for name in ("id", "public_id", "secret_hash", "account_id"))


@pytest.mark.parametrize(
    ("dialect", "table", "key", "bind"),
    [("mariadb", "`Tenant 100%%`", "`TenantId`", "%s"), ("sqlite", '"Tenant 100%"', '"TenantId"', "?")],
)
def test_a_key_is_read_with_its_account_if_that_is_alive(dialect: Dialect, table: str, key: str, bind: str) -> None:
    assert texts(select_key(make_type(), dialect)) == (
        f"SELECT {KEY_HEAD}, a.id_random, {KEY_COLUMNS} FROM aether_api_key LEFT OUTER JOIN {table} AS a "
        f"ON aether_api_key.account_id = a.{key} AND a.gone_on IS NULL WHERE aether_api_key.public_id = {bind}",
        ("prefix",),
    )
    for account in (None, make_type(public_id=None)):
        assert texts(select_key(account, dialect))[0] == (
            f"SELECT {KEY_HEAD}, NULL AS account, {KEY_COLUMNS} FROM aether_api_key "
            f"WHERE aether_api_key.public_id = {bind}"
        )


@pytest.mark.parametrize(
    ("dialect", "table", "key", "bind"),
    [("mariadb", "`Tenant 100%%`", "`TenantId`", "%s"), ("sqlite", '"Tenant 100%"', '"TenantId"', "?")],
)
def test_a_user_and_accounts_are_read_by_public_id(dialect: Dialect, table: str, key: str, bind: str) -> None:
    assert texts(select_user(make_type(), dialect)) == (
        f"SELECT {table}.{key}, {table}.id_random, {table}.is_on, {table}.gone_on FROM {table} "
        f"WHERE {table}.id_random = {bind}",
        ("user",),
    )
    assert texts(select_accounts(make_type(), 2, dialect)) == (
        f"SELECT {table}.{key}, {table}.id_random FROM {table} WHERE {table}.id_random IN ({bind}, {bind}) "
        f"AND {table}.gone_on IS NULL",
        ("account0", "account1"),
    )
    assert "gone_on" not in texts(select_accounts(make_type(soft_delete=None), 1, dialect))[0]
    assert select_user(make_type(public_id=None), dialect) is None
    assert select_accounts(make_type(public_id=None), 1, dialect) is None


@pytest.mark.parametrize("dialect", ["mariadb", "sqlite"])
def test_keys_are_changed_by_binds_alone(dialect: Dialect) -> None:
    assert insert_key(dialect).binds[:3] == ("new_public_id", "new_secret_hash", "new_account_id")
    assert update_revoked(dialect, any_account=False).binds == ("moment", "prefix", "account")
    assert update_revoked(dialect, any_account=True).binds == ("moment", "prefix")
    assert update_last_used(dialect).binds == ("moment", "key", "before")
    assert select_keys(None, dialect, all_accounts=True).binds == ()
    assert select_keys(None, dialect, all_accounts=False).binds == ("account",)
    assert "secret_hash" not in select_keys(make_type(), dialect, all_accounts=True).text
