"""Authentication against real databases: users, accounts, API keys, and how soon a change is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from engine.auth.gate import Authenticator, require_scope
from engine.auth.keys import ApiKeys, create_key, list_keys, revoke_key
from engine.auth.limits import RateLimiter
from engine.auth.mint import MintRefused, mint_token
from engine.auth.people import People
from engine.auth.sessions import Sessions
from engine.auth.tokens import make_verifier, refuse
from engine.errors import BadRequest, Forbidden, Problem, RateLimited, StorageFault, Unauthenticated
from engine.io.database import Database
from engine.plan.rights import rights_of
from engine.principal import ANONYMOUS, Account, Principal
from engine.registry.resource import AccountRule, Field, Registry, Resource
from engine.settings import Settings
from engine.sql.keys import API_KEYS
from engine.sql.statement import DIALECTS
from tests.support.databases import opened, sql_for

SETTINGS = Settings(mode="dev", jwt_secret="0f8c1e5b7a2d4c6f9e3b1a5d7c9f2e4b-Zq")
NOW = 1_800_000_000.0
A, B, GONE, NOWHERE = ("Account_A".ljust(22, "a"), "Account_B".ljust(22, "b"), "Deleted".ljust(22, "c"), "n" * 22)
USER, DISABLED, DELETED = ("User".ljust(22, "u"), "Disabled".ljust(22, "d"), "Removed".ljust(22, "r"))
ROWS = {A: 7_000_000_001, B: 7_000_000_002}


def make_type(name: str, account: Any, *fields: Field, **more: Any) -> Resource:
    return Resource(
        name=name,
        table=name,
        key="id",
        public_id="id_random",
        title=name,
        plural=f"{name}s",
        account=AccountRule(kind=account, column="account_id" if account == "own" else None),
        fields={item.name: item for item in fields},
        relations={},
        **more,
    )


ENABLE = Field(name="enable", column="enabled", kind="boolean")
REGISTRY = Registry(
    types={
        "tenant": make_type("tenant", "self", soft_delete="deleted_on"),
        "member": make_type("member", "own", ENABLE, soft_delete="deleted_on"),
        "note": make_type("note", "own"),
        "country": make_type("country", "none", public={}),
    },
    user_type="member",
    account_type="tenant",
)
TENANT = REGISTRY.types["tenant"]
TABLES = (
    "CREATE TABLE tenant (id BIGINT PRIMARY KEY, id_random CHAR(22), deleted_on VARCHAR(26))",
    "CREATE TABLE member (id BIGINT PRIMARY KEY, id_random CHAR(22), enabled SMALLINT, deleted_on VARCHAR(26))",
)


@dataclass
class Clock:
    """Both clocks of an authenticator; they stand until a test moves them."""

    now: float = NOW
    statements: list[str] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """A database with rows, and a way to make authenticators over it: one for each process."""

    database: Database
    clock: Clock

    def process(self, registry: Registry = REGISTRY, **more: Any) -> Authenticator:
        account = registry.types.get(registry.account_type or "")
        return Authenticator(
            People(registry, self.database),
            make_verifier(SETTINGS, now=self.clock),
            ApiKeys(self.database, account, now=self.clock),
            Sessions(registry, self.database, now=self.clock),
            now=self.clock,
            steady=self.clock,
            **more,
        )

    async def change(self, sql: str, *binds: object) -> None:
        assert await self.database.execute(sql_for(self.database, sql), binds) == 1

    async def make_key(self, **more: Any) -> tuple[bytes, str]:
        wanted: dict[str, Any] = {"account_row_id": ROWS[A], "name": "n", "scopes": ["note:read"], **more}
        made = await create_key(self.database, now=self.clock, **wanted)
        return made.key.encode(), made.public_id


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    clock = Clock()
    async with opened(database_url) as database:
        dialect = DIALECTS[database.dialect]
        own: tuple[ExecutableDDLElement, ...] = (
            CreateTable(API_KEYS),
            *(CreateIndex(index) for index in API_KEYS.indexes),
        )
        for text in (*TABLES, *(str(item.compile(dialect=dialect)) for item in own)):
            await database.execute(text)
        tenants = ((ROWS[A], A, None), (ROWS[B], B, None), (3, GONE, "2026-01-01"))
        for tenant in tenants:
            await database.execute(sql_for(database, "INSERT INTO tenant VALUES (?, ?, ?)"), tenant)
        for member in (
            (1, USER, 1, None),
            (2, DISABLED, 0, None),
            (3, DELETED, 1, "2026-01-01"),
            (4, "z" * 22, None, None),
        ):
            await database.execute(sql_for(database, "INSERT INTO member VALUES (?, ?, ?, ?)"), member)
        database.on_statement = lambda text, _, __: clock.statements.append(text)
        yield House(database, clock)


def bearer(clock: Clock, **claims: Any) -> bytes:
    wanted: dict[str, Any] = {"user": USER, "accounts": [A], "scopes": ["note:read"], **claims}
    return b"Bearer " + mint_token(SETTINGS, now=clock, **wanted).encode()


async def assert_refused(
    gate: Authenticator, authorization: bytes | None, key: bytes | None = None, account: bytes | None = None
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await gate.authenticate(authorization, key, account)
    assert caught.value.detail == refuse().detail
    assert caught.value.headers == (("WWW-Authenticate", "Bearer"),)
    assert gate.cached(authorization, key, account) is None


async def test_a_token_becomes_a_principal_with_row_ids(house: House) -> None:
    found = await house.process().authenticate(bearer(house.clock, accounts=[B, A], roles=["viewer"]), None, None)
    assert found == Principal(
        "user",
        subject=USER,
        accounts=(Account(ROWS[B], B), Account(ROWS[A], A)),
        scopes=frozenset({"note:read"}),
        roles=("viewer",),
        user_row_id=1,
    )


async def test_a_caller_without_credentials_is_anonymous_at_once(house: House) -> None:
    gate = house.process()
    assert gate.cached(None, None, None) is ANONYMOUS
    assert await gate.authenticate(None, None, A.encode()) is ANONYMOUS
    assert house.clock.statements == []


async def test_a_header_that_is_no_bearer_token_is_refused(house: House) -> None:
    gate = house.process()
    for header in (b"", b"Bearer", b"Bearer ", b"Basic dTpw", b"Token x", b"bearer\tx", b"Bearer a b", b"\xff\xfe"):
        await assert_refused(gate, header)


async def test_the_scheme_is_read_in_any_case(house: House) -> None:
    token = bearer(house.clock)
    assert (await house.process().authenticate(b"bEARER" + token[6:], None, None)).subject == USER


async def test_a_remembered_caller_costs_no_statement_for_four_seconds(house: House) -> None:
    gate, token = house.process(), bearer(house.clock)
    assert gate.cached(token, None, None) is None
    found = await gate.authenticate(token, None, None)
    asked = len(house.clock.statements)
    house.clock.now += 3.9
    assert gate.cached(token, None, None) is found
    assert await gate.authenticate(token, None, None) is found
    assert len(house.clock.statements) == asked
    house.clock.now += 0.1
    assert gate.cached(token, None, None) is None


async def test_a_caller_is_never_remembered_past_his_tokens_end(house: House) -> None:
    gate, token = house.process(), bearer(house.clock, ttl_s=2)
    await gate.authenticate(token, None, None)
    house.clock.now += 1.9
    assert gate.cached(token, None, None) is not None
    house.clock.now += 0.1
    assert gate.cached(token, None, None) is None
    await assert_refused(gate, token)


@pytest.mark.parametrize(
    ("change", "binds"),
    [
        ("UPDATE member SET enabled = 0 WHERE id_random = ?", (USER,)),
        ("UPDATE member SET deleted_on = '2026-01-01' WHERE id_random = ?", (USER,)),
        ("DELETE FROM member WHERE id_random = ?", (USER,)),
        ("UPDATE tenant SET deleted_on = '2026-01-01' WHERE id_random = ?", (A,)),
        ("DELETE FROM tenant WHERE id_random = ?", (A,)),
    ],
)
async def test_o18_who_is_disabled_or_deleted_is_refused_within_five_seconds_by_every_process(
    change: str, binds: tuple[str, ...], house: House
) -> None:
    token = bearer(house.clock)
    processes = [house.process(), house.process()]
    for gate in processes:
        await gate.authenticate(token, None, None)
    await house.change(change, *binds)
    house.clock.now += 4.999
    for gate in processes:
        await assert_refused(gate, token)


async def test_a_disabled_or_deleted_user_is_refused(house: House) -> None:
    for user in (DISABLED, DELETED):
        await assert_refused(house.process(), bearer(house.clock, user=user))


async def test_a_user_whose_enable_is_null_is_not_disabled(house: House) -> None:
    assert (await house.process().authenticate(bearer(house.clock, user="z" * 22), None, None)).user_row_id == 4


async def test_a_subject_without_a_row_is_trusted_unless_rows_are_required(house: House) -> None:
    trusting, strict = house.process(), house.process(replace(REGISTRY, require_user=True))
    for user in ("x" * 22, USER.swapcase(), USER[:-1], "service:billing", "' OR 1=1 --", "é" * 22):
        token = bearer(house.clock, user=user)
        assert (await trusting.authenticate(token, None, None)).user_row_id is None
        await assert_refused(strict, token)


async def test_a_registry_without_a_user_type_trusts_every_subject(house: House) -> None:
    gate = house.process(replace(REGISTRY, user_type=None))
    assert (await gate.authenticate(bearer(house.clock, user=DISABLED), None, None)).user_row_id is None


async def test_unknown_accounts_are_dropped_and_a_token_of_none_that_exists_is_refused(house: House) -> None:
    gate = house.process()
    some = await gate.authenticate(bearer(house.clock, accounts=[NOWHERE, GONE, A, A.swapcase(), "x", A]), None, None)
    assert [account.public_id for account in some.accounts] == [A]
    for accounts in ([NOWHERE], [GONE], ["x"], [A.swapcase()], [A + " "], ["7000000001"], [NOWHERE, GONE]):
        await assert_refused(gate, bearer(house.clock, accounts=accounts))
    nobody = await gate.authenticate(bearer(house.clock, accounts=[]), None, None)
    assert nobody.accounts == ()


async def test_a_registry_without_accounts_asks_for_none(house: House) -> None:
    gate = house.process(replace(REGISTRY, account_type=None))
    assert (await gate.authenticate(bearer(house.clock, accounts=[NOWHERE]), None, None)).accounts == ()


async def test_the_account_header_narrows_to_one_of_the_callers_accounts(house: House) -> None:
    gate, token = house.process(), bearer(house.clock, accounts=[A, B])
    for picked in (A, B):
        found = await gate.authenticate(token, None, picked.encode())
        assert found.accounts == (Account(ROWS[picked], picked),)
        assert gate.cached(token, None, picked.encode()) is found
    assert len((await gate.authenticate(token, None, None)).accounts) == 2


FOREIGN = (NOWHERE, GONE, "", "*", "x", A.swapcase(), A + " ", "7000000001", "' OR 1=1 --", "ä" * 22, A + "," + A)


@pytest.mark.parametrize("operator", [False, True])
async def test_a_foreign_and_an_unknown_account_are_the_same_refusal(operator: bool, house: House) -> None:
    claims: dict[str, Any] = {"is_operator": True, "accounts": []} if operator else {}
    token = bearer(house.clock, **claims)
    gate = house.process()
    for header in FOREIGN if operator else (B, *FOREIGN):
        with pytest.raises(Forbidden) as caught:
            await gate.authenticate(token, None, header.encode())
        assert caught.value.detail == "X-Account-Id names no account of yours."
        assert [item.header for item in caught.value.errors] == ["X-Account-Id"]
        assert gate.cached(token, None, header.encode()) is None


async def test_an_operator_reads_over_all_accounts_and_may_name_any(house: House) -> None:
    gate, token = house.process(), bearer(house.clock, is_operator=True, accounts=[])
    everywhere = await gate.authenticate(token, None, None)
    assert everywhere.sees_all_accounts
    there = await gate.authenticate(token, None, B.encode())
    assert there.is_operator
    assert there.accounts == (Account(ROWS[B], B),)
    assert not there.sees_all_accounts


async def test_two_credentials_are_one_too_many(house: House) -> None:
    key, _ = await house.make_key()
    with pytest.raises(BadRequest) as caught:
        await house.process().authenticate(bearer(house.clock), key, None)
    assert [item.header for item in caught.value.errors] == ["X-API-Key"]


async def test_an_address_that_fails_too_often_is_told_to_wait(house: House) -> None:
    gate = house.process(failures=RateLimiter(3, now=house.clock))
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await gate.authenticate(b"Bearer x", None, None, address="192.0.2.1")
    with pytest.raises(RateLimited):
        await gate.authenticate(b"Bearer x", None, None, address="192.0.2.1")
    token = bearer(house.clock)
    assert (await gate.authenticate(token, None, None, address="192.0.2.2")).subject == USER
    # Who is remembered does not pay for a neighbour.
    assert (await gate.authenticate(token, None, None, address="192.0.2.1")).subject == USER
    house.clock.now += 20
    assert (await gate.authenticate(bearer(house.clock), None, None, address="192.0.2.1")).subject == USER


async def test_calls_that_come_together_are_verified_once(house: House) -> None:
    gate, token = house.process(), bearer(house.clock)
    house.clock.statements.clear()
    found = await asyncio.gather(*(gate.authenticate(token, None, None) for _ in range(20)))
    assert len(house.clock.statements) == 2
    assert len({id(principal) for principal in found}) == 1
    wrong = await asyncio.gather(
        *(gate.authenticate(bearer(house.clock, user=DISABLED, accounts=[A]), None, None) for _ in range(5)),
        return_exceptions=True,
    )
    assert {type(refusal) for refusal in wrong} == {Unauthenticated}
    assert gate._pending == {}


async def test_callers_renewed_together_are_who_each_of_them_is_alone(house: House) -> None:
    key, _ = await house.make_key()
    tokens = [
        bearer(house.clock),
        bearer(house.clock, accounts=[A, B, NOWHERE]),
        bearer(house.clock, accounts=[]),
        bearer(house.clock, accounts=[GONE]),
        bearer(house.clock, user="service:billing"),
        bearer(house.clock, user=DISABLED),
        bearer(house.clock, user=DELETED),
        bearer(Clock(NOW - 1e6)),
        b"Basic eHk6eg==",
        b"Bearer x.y.z",
    ]
    asked = [
        *((token, None, None) for token in tokens),
        (tokens[1], None, B.encode()),
        (tokens[0], None, B.encode()),
        (None, key, None),
        (None, key[:-1] + b"-", None),
    ]
    for registry in (REGISTRY, replace(REGISTRY, require_user=True), replace(REGISTRY, account_type=None)):
        together, alone = house.process(registry), house.process(registry)
        house.clock.statements.clear()
        renewed = await together.renew(asked)
        assert len(house.clock.statements) <= 8
        for one, found in zip(asked, renewed, strict=True):
            try:
                expected: Principal | Problem = await alone.authenticate(*one)
            except Problem as refused:
                expected = refused
            if isinstance(expected, Problem):
                assert isinstance(found, Problem)
                assert (type(found), found.detail, found.headers) == (type(expected), expected.detail, expected.headers)
                assert together.cached(*one) is None
            else:
                assert found == expected
                assert together.cached(*one) is found


async def test_one_credential_that_cannot_be_looked_at_hides_no_other_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = house.process()
    odd = StorageFault("no such thing")

    async def fail(*_: object) -> Any:
        raise odd

    monkeypatch.setattr(ApiKeys, "verify", fail)
    token, gone = bearer(house.clock), bearer(house.clock, user=DELETED)
    first, second, third = await gate.renew([(None, b"key", None), (token, None, None), (gone, None, None)])
    assert first is odd
    assert isinstance(second, Principal)
    assert isinstance(third, Unauthenticated)
    (both,) = await gate.renew([(token, b"key", None)])
    assert isinstance(both, BadRequest)
    monkeypatch.setattr(People, "find_users", fail)
    again = await gate.renew([(token, None, None), (gone, None, None)])
    assert [type(one) for one in again] == [Principal, Unauthenticated]


async def test_a_caller_who_hangs_up_takes_nobody_with_him(house: House) -> None:
    gate, token = house.process(), bearer(house.clock)
    first, second = (asyncio.create_task(gate.authenticate(token, None, None)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).subject == USER
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_memory_of_callers_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.auth.gate.MAX_REMEMBERED", 10)
    gate = house.process()
    tokens = [bearer(house.clock, user=None) for _ in range(40)]
    for token in tokens:
        await gate.authenticate(token, None, None)
        assert len(gate._remembered) <= 10
    assert gate.cached(tokens[-1], None, None) is not None


# ---------------------------------------------------------------- API keys


async def test_a_key_becomes_a_principal_of_its_account(house: House) -> None:
    key, public_id = await house.make_key(scopes=["note:read", "note:create"], roles=["viewer"])
    assert await house.process().authenticate(None, key, None) == Principal(
        "key",
        subject=public_id,
        accounts=(Account(ROWS[A], A),),
        scopes=frozenset({"note:read", "note:create"}),
        roles=("viewer",),
    )


async def test_a_key_picks_no_account_but_its_own(house: House) -> None:
    key, _ = await house.make_key()
    gate = house.process()
    assert (await gate.authenticate(None, key, A.encode())).accounts == (Account(ROWS[A], A),)
    with pytest.raises(Forbidden):
        await gate.authenticate(None, key, B.encode())


async def test_o19_only_a_digest_of_a_key_is_stored(house: House) -> None:
    key, public_id = await house.make_key()
    secret = key.decode().partition(".")[2]
    rows = await house.database.fetch("SELECT * FROM aether_api_key")
    assert secret not in repr(rows)
    assert public_id in repr(rows)
    assert secret not in repr(house.clock.statements)


async def test_o19_a_key_that_shares_all_but_one_character_is_refused_like_an_unknown_one(house: House) -> None:
    key, _ = await house.make_key()
    gate = house.process()
    house.clock.statements.clear()
    for position in range(len(key)):
        if key[position : position + 1] == b".":
            continue
        wrong = key[:position] + (b"A" if key[position : position + 1] != b"A" else b"B") + key[position + 1 :]
        await assert_refused(gate, None, wrong)
    # Whether the prefix is known or not: the same one statement.
    assert len(house.clock.statements) == len(key) - 1
    assert len(set(house.clock.statements)) == 1


NO_KEYS = (b"", b".", b"x.y", b"\xff" * 40, b"a" * 10_000, b"' OR 1=1 --", b"%s" * 20, b"%(key)s.%(key)s", b"{0}.{0}")


async def test_what_is_no_key_is_refused_without_a_statement(house: House) -> None:
    house.clock.statements.clear()
    for wrong in NO_KEYS:
        await assert_refused(house.process(), None, wrong)
    assert house.clock.statements == []


async def test_spellings_of_a_key_are_refused(house: House) -> None:
    key, _ = await house.make_key()
    prefix, _, secret = key.partition(b".")
    gate = house.process()
    for wrong in (key.swapcase(), key + b" ", b" " + key, key + b"\n", prefix, prefix + b".", b"." + secret):
        await assert_refused(gate, None, wrong)
    await assert_refused(gate, None, secret + b"." + prefix)
    await assert_refused(gate, b"Bearer " + key)


async def test_o18_a_revoked_key_is_refused_within_five_seconds_by_every_process(house: House) -> None:
    key, public_id = await house.make_key()
    processes = [house.process(), house.process()]
    for gate in processes:
        await gate.authenticate(None, key, None)
    assert not await revoke_key(house.database, public_id, account_row_id=ROWS[B], now=house.clock)
    assert await revoke_key(house.database, public_id, account_row_id=ROWS[A], now=house.clock)
    assert not await revoke_key(house.database, public_id, now=house.clock)
    house.clock.now += 4.999
    for gate in processes:
        await assert_refused(gate, None, key)


async def test_a_key_ends_at_its_expiry_remembered_or_not(house: House) -> None:
    ends = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=2)
    key, _ = await house.make_key(expires_on=ends)
    gate = house.process()
    await gate.authenticate(None, key, None)
    house.clock.now += 1.9
    assert gate.cached(None, key, None) is not None
    house.clock.now += 0.1
    assert gate.cached(None, key, None) is None
    await assert_refused(gate, None, key)


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM tenant WHERE id_random = ?", "UPDATE tenant SET deleted_on = '2026-01-01' WHERE id_random = ?"],
)
async def test_a_key_goes_with_its_account(change: str, house: House) -> None:
    key, _ = await house.make_key()
    await house.change(change, A)
    await assert_refused(house.process(), None, key)


async def test_a_key_of_no_account_is_a_known_caller_without_one(house: House) -> None:
    key, _ = await house.make_key(account_row_id=None)
    assert (await house.process().authenticate(None, key, None)).accounts == ()


async def test_the_last_use_is_recorded_at_most_once_a_minute(house: House) -> None:
    key, _ = await house.make_key()

    async def use() -> datetime | None:
        gate = house.process()
        await gate.authenticate(None, key, None)
        await gate.close()
        return (await list_keys(house.database, TENANT))[0].last_used_on

    first = await use()
    assert first == datetime.fromtimestamp(NOW, UTC)
    house.clock.now += 59
    assert await use() == first
    house.clock.now += 1
    assert await use() == first + timedelta(seconds=60)


async def test_one_process_does_not_record_a_use_twice_in_a_minute(house: House) -> None:
    key, _ = await house.make_key()
    gate = house.process()
    for _ in range(10):
        await gate.authenticate(None, key, None)
        house.clock.now += 5
    await gate.close()
    assert sum(text.startswith("UPDATE") for text in house.clock.statements) == 1


async def test_keys_are_listed_by_account_without_their_digest(house: House) -> None:
    ends = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    _, first = await house.make_key(name="Näme %s", expires_on=ends, roles=["b", "a"], scopes=["z:read", "a:read"])
    _, second = await house.make_key(account_row_id=ROWS[B])
    found = await list_keys(house.database, TENANT)
    assert [(key.public_id, key.account_id) for key in found] == [(first, A), (second, B)]
    (mine,) = await list_keys(house.database, TENANT, account_row_id=ROWS[A])
    assert (mine.name, mine.scopes, mine.roles) == ("Näme %s", ("a:read", "z:read"), ("a", "b"))
    assert (mine.expires_on, mine.revoked_on, mine.last_used_on) == (ends, None, None)
    assert mine.created_on == datetime.fromtimestamp(NOW, UTC)
    assert not {"secret", "hash"} & {part for name in mine.__slots__ for part in name.split("_")}


async def test_a_key_that_could_do_nothing_is_not_made(house: House) -> None:
    too_late = datetime.fromtimestamp(NOW, UTC)
    wrong: tuple[dict[str, Any], ...] = ({"scopes": []}, {"name": "n" * 201}, {"expires_on": too_late})
    for wanted in wrong:
        with pytest.raises(MintRefused):
            await house.make_key(**wanted)
    assert await list_keys(house.database, TENANT) == []


# ---------------------------------------------------------------- may he?


def test_a_named_scope_is_asked_for_by_name() -> None:
    with pytest.raises(Unauthenticated):
        require_scope(ANONYMOUS, rights_of(REGISTRY, ANONYMOUS), "meta:metrics")
    operator = Principal("user", USER, (), True, frozenset({"*:*"}))
    with pytest.raises(Forbidden, match="meta:metrics"):
        require_scope(operator, rights_of(REGISTRY, operator), "meta:metrics")
    named = replace(operator, scopes=frozenset({"meta:metrics"}))
    require_scope(named, rights_of(REGISTRY, named), "meta:metrics")
