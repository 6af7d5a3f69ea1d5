"""Uses of old routes are counted: none lost and none twice, by however many processes, whatever fails in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import StorageFault, Unavailable
from engine.io.database import Database, open_database
from engine.io.own_tables import upgrade_statements
from engine.io.uses import KEPT_DAYS, OTHER, Uses, list_totals, list_uses
from engine.observe import Notice, take_observations
from engine.plugins.layers import OldUse
from engine.principal import ANONYMOUS, Account, Principal
from tests.support.databases import make_settings, opened
from tests.support.proxy import open_proxy

TABLE = "aether_legacy_use"
ACCOUNTS = [Account(11, "account-of-a"), Account(22, "account-of-b")]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400
OPERATOR = Principal("user", "operator-id-1", is_operator=True)


def user(name: str, *accounts: Account) -> Principal:
    """A user of some accounts."""
    return Principal("user", name, accounts=accounts)


CALLERS: list[Principal | None] = [
    None,
    ANONYMOUS,
    user("ann", ACCOUNTS[0]),
    user("bob", ACCOUNTS[1]),
    user("both", *ACCOUNTS),
    user("both", ACCOUNTS[0]),
    user("other"),
    Principal("key", "ann", accounts=(ACCOUNTS[0],)),
    OPERATOR,
]


def use_of(route: str) -> OldUse:
    """A use of a route."""
    new = route.replace("/v2/", "/v3/")
    return OldUse("v2:get", "v2", route, new, f"{new}?limit=1", 200, "request-1")


async def make_table(database: Database) -> None:
    """The tables of our own."""
    for statement in upgrade_statements(None, database.dialect):
        await database.execute(statement.replace("%", "%%") if database.dialect == "mariadb" else statement)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with the table."""
    async with opened(database_url) as made:
        await make_table(made)
        yield made


async def total_of(database: Database) -> int:
    """All uses that are counted."""
    return sum(one.uses for one in await list_uses(database, OPERATOR, limit=10_000))


# ---------------------------------------------------------------- the law


@contextmanager
def loop_on(url: str) -> Iterator[tuple[asyncio.AbstractEventLoop, Database]]:
    """An event loop for Hypothesis, which calls plain functions, and a database with the table."""
    loop = asyncio.new_event_loop()
    database = open_database(make_settings(url))
    try:
        loop.run_until_complete(make_table(database))
        yield loop, database
    finally:
        loop.run_until_complete(database.close())
        loop.close()


ROUTES = [f"GET /v2/crud/{name}/{{id}}" for name in ("a", "b", "c", "d", "e")]
USED = st.tuples(st.just("use"), st.integers(0, 1), st.sampled_from(ROUTES[:3]), st.integers(0, len(CALLERS) - 1))
FLUSHED = st.tuples(st.just("flush"), st.integers(0, 1), st.none(), st.none())
BROKEN = st.tuples(st.just("break"), st.none(), st.sampled_from(ROUTES[:3]), st.none())
MENDED = st.tuples(st.just("mend"), st.none(), st.none(), st.none())
LATER = st.tuples(st.just("later"), st.sampled_from([1, DAY_S]), st.none(), st.none())
STEPS = st.lists(st.one_of(USED, USED, USED, FLUSHED, FLUSHED, BROKEN, MENDED, LATER), min_size=10, max_size=40)
# A batch that fails after another was counted, and a call while it is not known yet.
FAILING: list[tuple[str, int | None, str | None, int | None]] = [
    *(("use", 0, route, 0) for route in ROUTES),
    ("break", None, ROUTES[3], None),
    ("flush", 0, None, None),
    ("use", 0, ROUTES[3], 0),
]


def refuse_rows(database: Database, route: str) -> list[str]:
    """Statements that make the database refuse to count one route, in the middle of a batch perhaps."""
    if database.dialect == "sqlite":
        body = f"WHEN NEW.route = '{route}' BEGIN SELECT RAISE(ABORT, 'no'); END"
        return [f"CREATE TRIGGER refuse BEFORE INSERT ON {TABLE} {body}"]
    body = f"IF NEW.route = '{route}' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF"
    return [f"CREATE TRIGGER refuse BEFORE INSERT ON {TABLE} FOR EACH ROW {body}"]


def test_the_sum_of_the_counts_is_the_number_of_calls_whatever_is_flushed_and_fails(database_url: str) -> None:
    with loop_on(database_url) as (loop, database):

        async def play(steps: list[tuple[str, int | None, str | None, int | None]]) -> None:
            await database.execute(f"DELETE FROM {TABLE}")
            await database.execute("DROP TRIGGER IF EXISTS refuse")
            clock = [NOON]
            processes = [Uses(database, now=lambda: clock[0], batch=2, most_callers=4) for _ in range(2)]
            called: Counter[str] = Counter()
            for what, number, route, caller in steps:
                if what == "use" and number is not None and route is not None and caller is not None:
                    processes[number].note(use_of(route), CALLERS[caller])
                    called[route] += 1
                elif what == "flush" and number is not None:
                    try:
                        await processes[number].flush()
                    except StorageFault:
                        continue
                elif what == "break" and route is not None:
                    await database.execute("DROP TRIGGER IF EXISTS refuse")
                    for statement in refuse_rows(database, route):
                        await database.execute(statement)
                elif what == "mend":
                    await database.execute("DROP TRIGGER IF EXISTS refuse")
                elif what == "later" and number is not None:
                    clock[0] += number
            await database.execute("DROP TRIGGER IF EXISTS refuse")
            for process in processes:
                await process.close()
            found: Counter[str] = Counter()
            for one in await list_uses(database, OPERATOR, limit=10_000):
                found[one.route] += one.uses
                assert NOON <= one.first_used_on.timestamp() <= one.last_used_on.timestamp() <= clock[0]
            assert found == called
            assert {one.route: one.uses for one in (await list_totals(database))[1]} == called
            take_observations(100_000)

        @settings(max_examples=40)
        @example(FAILING)
        @given(STEPS)
        def law(steps: list[tuple[str, int | None, str | None, int | None]]) -> None:
            loop.run_until_complete(play(steps))

        law()


# ---------------------------------------------------------------- who, when, where


async def test_days_and_callers_are_rows_and_add_up_to_one_line(database: Database) -> None:
    clock = [NOON]
    uses = Uses(database, now=lambda: clock[0])
    for at in (NOON, NOON + 60, NOON + DAY_S):
        clock[0] = at
        uses.note(use_of(ROUTES[0]), user("ann", ACCOUNTS[0]))
        assert await uses.flush() == 1
    rows = await database.fetch(f"SELECT day, uses, account_id FROM {TABLE} WHERE route <> '' ORDER BY day")
    assert [tuple(row) for row in rows] == [("2026-11-24", 2, 11), ("2026-11-25", 1, 11)]
    (one,) = await list_uses(database, OPERATOR, limit=10)
    assert (one.caller, one.uses, one.version, one.replacement) == ("ann", 3, "v2", "GET /v3/crud/a/{id}")
    assert one.first_used_on == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert one.last_used_on == datetime(2026, 11, 25, 12, tzinfo=UTC)


async def test_nobody_knows_of_the_callers_of_other_accounts(database: Database) -> None:
    uses = Uses(database, now=lambda: NOON)
    for caller in CALLERS:
        uses.note(use_of(ROUTES[0]), caller)
    await uses.flush()

    async def seen_by(asker: Principal) -> list[tuple[str, int]]:
        return sorted((one.caller, one.uses) for one in await list_uses(database, asker, limit=100))

    everybody = [("ann", 1), ("ann", 1), ("anonymous", 2), ("bob", 1), ("both", 2), ("operator-id-1", 1), ("other", 1)]
    assert await seen_by(OPERATOR) == everybody
    assert await seen_by(user("admin-of-a", ACCOUNTS[0])) == [("ann", 1), ("ann", 1), ("both", 1)]
    assert await seen_by(user("admin-of-b", ACCOUNTS[1])) == [("bob", 1)]
    assert await seen_by(user("both", *ACCOUNTS)) == [("ann", 1), ("ann", 1), ("bob", 1), ("both", 2)]
    assert await seen_by(user("other")) == [("other", 1)]
    assert await seen_by(Principal("key", "other")) == []
    picked = Principal("user", "operator-id-1", accounts=(ACCOUNTS[1],), is_operator=True)
    assert await seen_by(picked) == [("bob", 1), ("operator-id-1", 1)]


async def test_so_many_callers_of_a_day_are_told_apart_and_no_more(database: Database) -> None:
    uses = Uses(database, now=lambda: NOON, most_callers=3)
    for number in range(10):
        uses.note(use_of(ROUTES[0]), user(f"u{number}", ACCOUNTS[0]))
        uses.note(use_of(ROUTES[1]), user("u0", ACCOUNTS[0]))
    await uses.flush()
    found = {(one.route, one.caller): one.uses for one in await list_uses(database, OPERATOR, limit=100)}
    named = {(ROUTES[0], f"u{number}"): 1 for number in range(3)}
    assert found == {**named, (ROUTES[0], OTHER): 7, (ROUTES[1], "u0"): 10}
    # Nobody's account is told of those who are only "other".
    assert not [one for one in await list_uses(database, user("x", ACCOUNTS[0]), limit=9) if one.caller == OTHER]


async def test_two_processes_count_into_the_same_rows_at_the_same_time(database_url: str, database: Database) -> None:
    async with opened(database_url) as second:
        processes = [Uses(one, now=lambda: NOON, batch=3) for one in (database, second)]
        for number in range(200):
            for process in processes:
                process.note(use_of(ROUTES[number % len(ROUTES)]), CALLERS[number % len(CALLERS)])
            if number % 20 == 0:
                await asyncio.gather(*(process.flush() for process in processes))
        await asyncio.gather(*(process.flush() for process in processes))
    assert await total_of(database) == 400


async def test_a_row_that_the_database_refuses_keeps_no_other_from_being_counted(database: Database) -> None:
    uses = Uses(database, batch=1)
    for route in ROUTES:
        uses.note(use_of(route), None)
    for statement in refuse_rows(database, ROUTES[1]):
        await database.execute(statement)
    with pytest.raises(StorageFault):
        await uses.flush()
    assert await total_of(database) == len(ROUTES) - 1
    await database.execute("DROP TRIGGER refuse")
    assert await uses.flush() == 1


async def test_what_is_flushed_twice_at_once_is_counted_once(database: Database) -> None:
    uses = Uses(database)
    for _ in range(5):
        uses.note(use_of(ROUTES[0]), None)
    assert sorted(await asyncio.gather(uses.flush(), uses.flush(), uses.flush())) == [0, 0, 5]
    assert await total_of(database) == 5


async def test_the_day_on_which_counting_began_is_kept_though_nobody_calls(database: Database) -> None:
    assert await list_totals(database) == (None, [])
    assert await Uses(database, now=lambda: NOON).flush() == 0
    later = Uses(database, now=lambda: NOON + 9 * DAY_S)
    later.note(use_of(ROUTES[0]), None)
    await later.flush()
    began, totals = await list_totals(database)
    assert began == "2026-11-24"
    assert [(one.route, one.callers, one.uses) for one in totals] == [(ROUTES[0], 1, 1)]
    assert [one.route for one in await list_uses(database, OPERATOR, limit=9)] == [ROUTES[0]]


async def test_what_is_older_than_a_year_and_a_month_is_forgotten_at_a_start(database: Database) -> None:
    for days in (0, 1, 300):
        uses = Uses(database, now=lambda days=days: NOON + days * DAY_S)  # type: ignore[misc]
        uses.note(use_of(ROUTES[0]), None)
        await uses.flush()
    await Uses(database, now=lambda: NOON + (KEPT_DAYS + 1) * DAY_S).flush()
    rows = await database.fetch(f"SELECT day FROM {TABLE} WHERE route <> '' ORDER BY day")
    assert [row[0] for row in rows] == ["2026-11-25", "2027-09-20"]
    began, _ = await list_totals(database)
    assert began == "2026-11-24"


async def test_a_stop_counts_what_is_left_and_ends_the_loop(database: Database) -> None:
    before = asyncio.all_tasks()
    uses = Uses(database)
    uses.start()
    uses.note(use_of(ROUTES[0]), None)
    await uses.close()
    assert [task for task in asyncio.all_tasks() - before if "Uses" in str(task.get_coro())] == []
    assert await total_of(database) == 1


@pytest.mark.mariadb
async def test_uses_wait_while_the_database_is_away_and_are_said_to_be_lost_if_it_stays_away(mariadb_url: str) -> None:
    host, port = mariadb_url.rpartition("@")[2].partition("/")[0].split(":")
    async with opened(mariadb_url) as direct, open_proxy(host, int(port)) as proxy:
        await make_table(direct)
        async with opened(mariadb_url.replace(f"{host}:{port}", f"127.0.0.1:{proxy.port}")) as database:
            uses = Uses(database)
            await uses.flush()
            await proxy.refuse()
            proxy.cut()
            uses.note(use_of(ROUTES[0]), None)
            with pytest.raises((Unavailable, StorageFault)):
                await uses.flush()
            uses.note(use_of(ROUTES[0]), None)
            await proxy.listen()
            assert await _flush_at_last(uses) == 2
            await proxy.refuse()
            proxy.cut()
            uses.note(use_of(ROUTES[0]), None)
            await uses.close()
        assert await total_of(direct) == 2
    lost = [one for one in take_observations(100_000) if isinstance(one, Notice) and "not counted" in one.event]
    assert [one.details for one in lost] == [(("number", "1"),)]


async def _flush_at_last(uses: Uses) -> int:
    """Flush as soon as the database is found to be back."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await uses.flush()
            except (Unavailable, StorageFault):
                await asyncio.sleep(0)
