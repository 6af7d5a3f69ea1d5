"""What `storage.Database` promises, held by both dialects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ForeignKeyViolated, QueryTooComplex, StorageFault, UniqueViolated, ValueRefused
from engine.io.database import Database, Transaction
from tests.support.databases import opened, sql_for

TABLES = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER NOT NULL, code VARCHAR(20), note TEXT,"
    " CONSTRAINT child_parent FOREIGN KEY (parent_id) REFERENCES parent (id))",
    "CREATE UNIQUE INDEX child_code ON child (code)",
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with opened(database_url) as database:
        for table in TABLES:
            await database.execute(table)
        await database.execute("INSERT INTO parent VALUES (1, 'one'), (2, 'two')")
        yield database


async def test_a_statement_yields_the_same_rows_each_time_it_runs(database: Database) -> None:
    sql = sql_for(database, "SELECT id, name FROM parent WHERE id >= ? ORDER BY id")
    # The first time as text, later prepared, on MariaDB.
    assert [list(await database.fetch(sql, (1,))) for _ in range(4)] == [[(1, "one"), (2, "two")]] * 4
    assert [list(await database.fetch(sql, (3,), point=True)) for _ in range(2)] == [[], []]


async def test_an_update_counts_matched_rows_not_changed_ones(database: Database) -> None:
    sql = sql_for(database, "UPDATE parent SET name = ? WHERE id = ?")
    assert [await database.execute(sql, ("one", 1)) for _ in range(3)] == [1, 1, 1]
    assert await database.execute(sql, ("one", 9)) == 0


async def test_an_insert_returns_columns(database: Database) -> None:
    sql = sql_for(database, "INSERT INTO child (id, parent_id, code) VALUES (?, ?, ?) RETURNING id, code")
    assert list(await database.fetch(sql, (1, 1, "a"))) == [(1, "a")]
    assert list(await database.fetch(sql, (2, 1, "b"))) == [(2, "b")]
    assert list(await database.fetch(sql, (3, 1, "c"))) == [(3, "c")]


async def test_a_taken_unique_value_names_its_key(database: Database) -> None:
    sql = sql_for(database, "INSERT INTO child (id, parent_id, code) VALUES (?, ?, ?)")
    await database.execute(sql, (1, 1, "it's for key 'x'"))
    for number in range(2, 5):
        with pytest.raises(UniqueViolated) as caught:
            await database.execute(sql, (number, 1, "it's for key 'x'"))
        assert caught.value.key == ("child_code" if database.dialect == "mariadb" else "child.code")


async def test_a_missing_parent_is_told_from_a_child_in_the_way(database: Database) -> None:
    sql = sql_for(database, "INSERT INTO child (id, parent_id) VALUES (?, ?)")
    with pytest.raises(ForeignKeyViolated) as missing:
        await database.execute(sql, (1, 9))
    assert not missing.value.is_delete
    await database.execute(sql, (1, 1))
    with pytest.raises(ForeignKeyViolated) as in_the_way:
        await database.execute("DELETE FROM parent WHERE id = 1")
    assert in_the_way.value.is_delete


@pytest.mark.parametrize(
    "value", ["\ud800", "\udc80'", 2**70, -(2**70)], ids=["lone surrogate", "escaped byte", "2^70", "-2^70"]
)
async def test_a_value_that_no_database_holds_is_refused(database: Database, value: object) -> None:
    sql = sql_for(database, "UPDATE child SET note = ? WHERE id = 1")
    for _ in range(3):
        with pytest.raises(ValueRefused):
            await database.execute(sql, (value,))
    assert await database.ping() >= 0


async def test_null_where_none_may_be_names_the_column(database: Database) -> None:
    sql = sql_for(database, "UPDATE parent SET name = ? WHERE id = 1")
    for _ in range(3):
        with pytest.raises(ValueRefused) as caught:
            await database.execute(sql, (None,))
        assert caught.value.column == "name"


async def test_a_transaction_is_committed_whole(database: Database) -> None:
    insert = sql_for(database, "INSERT INTO parent VALUES (?, ?)")

    async def work(transaction: Transaction) -> int:
        await transaction.execute(insert, (3, "three"))
        await transaction.execute(insert, (4, "four"))
        return len(await transaction.fetch("SELECT id FROM parent", point=True))

    assert await database.run(work) == 4
    assert len(await database.fetch("SELECT id FROM parent")) == 4


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    insert = sql_for(database, "INSERT INTO parent VALUES (?, ?)")

    async def work(transaction: Transaction) -> None:
        await transaction.execute(insert, (3, "three"))
        raise LookupError

    with pytest.raises(LookupError):
        await database.run(work)
    assert len(await database.fetch("SELECT id FROM parent")) == 2
    await database.execute(insert, (3, "again"))


async def test_a_refused_statement_does_not_end_its_transaction(database: Database) -> None:
    insert = sql_for(database, "INSERT INTO parent VALUES (?, ?)")

    async def work(transaction: Transaction) -> None:
        await transaction.execute(insert, (3, "three"))
        with pytest.raises(UniqueViolated):
            await transaction.execute(insert, (3, "three"))
        await transaction.execute(insert, (4, "four"))

    await database.run(work)
    assert len(await database.fetch("SELECT id FROM parent")) == 4


async def test_a_transaction_without_a_statement_is_fine(database: Database) -> None:
    async def work(_: Transaction) -> str:
        return "nothing"

    assert await database.run(work) == "nothing"


async def test_a_cancelled_transaction_leaves_nothing_and_frees_its_connection(database: Database) -> None:
    began = asyncio.Event()

    async def work(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM parent")
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(database.run(work))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await database.fetch("SELECT id FROM parent")) == 2
    assert await database.execute("UPDATE parent SET name = 'free' WHERE id = 1") == 1


async def test_hundred_writers_lose_no_update(database: Database) -> None:
    await database.execute("CREATE TABLE counter (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)")
    await database.execute("INSERT INTO counter VALUES (1, 0)")
    lock = " FOR UPDATE" if database.dialect == "mariadb" else ""
    update = sql_for(database, "UPDATE counter SET value = ? WHERE id = 1")

    async def work(transaction: Transaction) -> None:
        await transaction.execute("UPDATE counter SET value = value WHERE id = 1")
        rows = await transaction.fetch(f"SELECT value FROM counter WHERE id = 1{lock}", point=True)
        await transaction.execute(update, (rows[0][0] + 1,))

    await asyncio.gather(*(database.run(work) for _ in range(100)))
    assert list(await database.fetch("SELECT value FROM counter")) == [(100,)]


async def test_every_statement_is_told_to_the_listener(database: Database) -> None:
    heard: list[tuple[str, int]] = []
    database.on_statement = lambda sql, _, rows: heard.append((sql, rows))
    await database.fetch("SELECT id FROM parent")

    async def work(transaction: Transaction) -> None:
        await transaction.execute("UPDATE parent SET name = 'x'")

    await database.run(work)
    assert ("SELECT id FROM parent", 2) in heard
    assert ("UPDATE parent SET name = 'x'", 0) in heard


async def test_a_broken_statement_is_a_storage_fault_and_the_database_goes_on(database: Database) -> None:
    for _ in range(3):
        with pytest.raises(StorageFault):
            await database.fetch("SELECT nothing FROM nowhere")
    assert len(await database.fetch("SELECT id FROM parent")) == 2


async def test_percent_signs_and_question_marks_in_the_text_are_letters(database: Database) -> None:
    sql = sql_for(database, "SELECT ?, '100%'")
    for _ in range(3):
        assert list(await database.fetch(sql, ("%s %d %% ?",))) == [("%s %d %% ?", "100%")]
    bare = "SELECT '100%%'" if database.dialect == "mariadb" else "SELECT '100%'"
    for _ in range(3):
        assert list(await database.fetch(bare)) == [("100%",)]


JOINS = " ".join(f"JOIN parent p{number} ON p{number}.id = p.id" for number in range(70))


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(f"SELECT id FROM parent WHERE {'(' * 3000}id = 1{')' * 3000}", id="parentheses"),
        pytest.param(f"SELECT p.id FROM parent p {JOINS} WHERE p.id = 1", id="tables"),
    ],
)
async def test_what_the_database_cannot_take_is_too_complex_not_a_fault(database: Database, sql: str) -> None:
    for _ in range(2):
        try:
            rows = await database.fetch(sql)
        except QueryTooComplex:
            continue
        assert list(rows) == [(1,)]
    assert await database.ping() >= 0


TEXTS = st.text(
    st.one_of(st.sampled_from("'\"\\%_`;-#?\x00\n\r\x1a\x08\t\ufeff😀é"), st.characters(exclude_categories=["Cs"])),
    max_size=60,
)


async def test_any_text_comes_back_as_it_went(database: Database) -> None:
    await database.execute("INSERT INTO child (id, parent_id) VALUES (1, 1)")
    write = sql_for(database, "UPDATE child SET note = ? WHERE id = 1")
    read = sql_for(database, "SELECT note FROM child WHERE id = 1 AND note = ?")

    async def goes_round(text: str) -> None:
        # Written and read through both ways that MariaDB knows: one text is new, the other prepared by now.
        await database.execute(write, (text,))
        assert list(await database.fetch(read, (text,))) == [(text,)]
        await database.execute(f"{write} OR id = {abs(hash(text)) + 2}", (text,))
        assert list(await database.fetch(f"{read} OR id = {abs(hash(text)) + 2}", (text,))) == [(text,)]

    loop_texts: list[str] = []

    @given(TEXTS)
    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def collect(text: str) -> None:
        loop_texts.append(text)

    collect()
    for text in loop_texts:
        await goes_round(text)
