"""Creates, updates, deletes, restores and moves, as callers of two accounts, on SQLite and on MariaDB."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from engine.errors import (
    Conflict,
    Duplicate,
    Forbidden,
    ForeignKeyInUse,
    NotFound,
    PreconditionRequired,
    Problem,
    StaleVersion,
    ValidationFailed,
)
from tests.support.writing import ACCOUNTS, running, shown

EVERYTHING: dict[str, Any] = {
    "a_string": "Zoë 😀 ", "a_text": "line\nline", "a_integer": -5, "a_bigint": 2**62, "a_float": 1.5,
    "a_boolean": True, "a_date": "2026-02-28", "a_time": "23:59:59.000001", "a_datetime": "2026-02-11T16:03:00+02:00",
    "a_json": {"b": [1, None, "ä"]}, "a_uuid": "123e4567-e89b-12d3-a456-426614174000", "a_email": "a@example.org",
    "a_uri": "https://example.org/", "a_decimal": "-1.5",
}  # fmt: skip
ANSWERED = {**EVERYTHING, "a_datetime": "2026-02-11T14:03:00Z", "a_decimal": "-1.500"}


def is_unknown(problem: Problem) -> bool:
    return (problem.status, problem.code) == (422, "foreign-key")


def items(problem: Problem) -> list[tuple[str, str | None]]:
    return sorted((item.code, item.pointer) for item in problem.errors)


async def test_a_create_answers_what_a_get_would_and_takes_one_statement(database_url: str) -> None:
    async with running(database_url) as engine:
        await engine.make("thing", {})
        async with engine.counted() as statements:
            outcome = await engine.create("thing", EVERYTHING)
        assert len(statements) == 1
        answered = shown(outcome)
        assert {name: answered[name] for name in ANSWERED} == ANSWERED
        assert answered == await engine.get("thing", outcome.public_id)
        assert answered["account_id"] == ACCOUNTS[0]


async def test_a_patch_answers_what_a_get_would_and_takes_two_statements(database_url: str) -> None:
    async with running(database_url) as engine:
        public_id = await engine.make("thing", {})
        async with engine.counted() as statements:
            answered = await engine.patch("thing", public_id, EVERYTHING)
        assert len(statements) == 2
        assert {name: answered[name] for name in ANSWERED} == ANSWERED
        assert answered == await engine.get("thing", public_id)
        nulls = dict.fromkeys(EVERYTHING)
        assert (await engine.patch("thing", public_id, nulls)).items() >= nulls.items()


async def test_a_nested_create_binds_the_parent_in_one_statement(database_url: str) -> None:
    async with running(database_url) as engine:
        journal = await engine.make("journal", {"name": "J"})
        await engine.make("entry", {"title": "warm"}, under=("journal", journal))
        async with engine.counted() as statements:
            outcome = await engine.create("entry", {"title": "E", "journal_id": journal}, under=("journal", journal))
        assert len(statements) == 1
        assert shown(outcome)["journal_id"] == journal
        assert shown(outcome) == await engine.get("entry", outcome.public_id)


async def test_every_fault_of_a_body_comes_at_once(database_url: str) -> None:
    async with running(database_url) as engine:
        other = await engine.make("person", {"name": "B"}, engine.context(2))
        with pytest.raises(ValidationFailed) as refused:
            await engine.create(
                "journal",
                {"nam": "x", "Name": "x", "size": 10, "status": "lost", "internal": "x", "account_id": ACCOUNTS[0],
                 "id": "i" * 22, "created_on": "2026-01-01T00:00:00Z", "person_id": other},
            )  # fmt: skip
        assert items(refused.value) == sorted(
            [
                ("unknown-field", "/nam"), ("unknown-field", "/Name"), ("out-of-range", "/size"),
                ("not-in-enum", "/status"), ("unknown-field", "/internal"), ("read-only", "/account_id"),
                ("read-only", "/id"), ("read-only", "/created_on"), ("required", "/name"),
                ("foreign-key", "/person_id"),
            ]
        )  # fmt: skip
        assert await engine.count("journal") == 0


@pytest.mark.parametrize("target", ["unknown00000000000000A", "B", "journal", "7000000001", ""])
async def test_relation_targets_that_do_not_hold_are_alike(database_url: str, target: str) -> None:
    async with running(database_url) as engine:
        given = target
        if target == "B":
            given = await engine.make("person", {"name": "B"}, engine.context(2))
        elif target == "journal":
            given = await engine.make("journal", {"name": "J"})
        if target in ("7000000001", ""):
            with pytest.raises(ValidationFailed) as refused:
                await engine.create("journal", {"name": "x", "person_id": given})
            assert items(refused.value) == [("type-mismatch", "/person_id")]
            return
        before = await engine.count("journal")
        with pytest.raises(ValidationFailed, check=is_unknown) as unknown:
            await engine.create("journal", {"name": "x", "person_id": given})
        assert items(unknown.value) == [("foreign-key", "/person_id")]
        assert await engine.count("journal") == before


async def test_parents_are_checked(database_url: str) -> None:
    async with running(database_url) as engine:
        mine = await engine.make("journal", {"name": "A"})
        mine_too = await engine.make("journal", {"name": "A2"})
        theirs = await engine.make("journal", {"name": "B"}, engine.context(2))
        person = await engine.make("person", {"name": "P"})
        for gone in (theirs, "u" * 22, "short"):
            with pytest.raises(NotFound):
                await engine.create("entry", {"title": "x"}, under=("journal", gone))
        for body, code in (
            ({"title": "x"}, ("required", "/journal_id")),
            ({"title": "x", "journal_id": theirs}, ("foreign-key", "/journal_id")),
        ):
            with pytest.raises(ValidationFailed) as refused:
                await engine.create("entry", body)
            assert items(refused.value) == [code]
        with pytest.raises(ValidationFailed) as refused:
            await engine.create("entry", {"title": "x", "journal_id": mine_too}, under=("journal", mine))
        assert items(refused.value) == [("parent-mismatch", "/journal_id")]
        for body in ({}, {"journal_id": mine, "person_id": person}):
            with pytest.raises(ValidationFailed) as refused:
                await engine.create("photo", body)
            assert items(refused.value) == [("parent-mismatch", "")]
        with pytest.raises(ValidationFailed) as refused:
            await engine.create("photo", {"person_id": person}, under=("journal", mine))
        assert items(refused.value) == [("parent-mismatch", "/person_id")]
        await engine.delete("journal", mine)
        with pytest.raises(NotFound):
            await engine.create("entry", {"title": "x"}, under=("journal", mine))
        assert await engine.count("entry") == 0


async def test_a_parent_that_was_deleted_behind_the_cache_is_not_there(database_url: str) -> None:
    async with running(database_url) as engine:
        journal = await engine.make("journal", {"name": "A"})
        await engine.make("entry", {"title": "x"}, under=("journal", journal))
        await engine.database.execute("UPDATE journal SET deleted_on = '2026-01-01 00:00:00.000000'")
        with pytest.raises(NotFound):
            await engine.create("entry", {"title": "y"}, under=("journal", journal))
        with pytest.raises(ValidationFailed, check=is_unknown):
            await engine.create("entry", {"title": "y", "journal_id": journal})
        assert await engine.count("entry") == 1


async def test_whose_account_a_new_object_is(database_url: str) -> None:
    async with running(database_url) as engine:
        both = engine.context(1, 2)
        with pytest.raises(ValidationFailed) as refused:
            await engine.create("person", {"name": "x"}, both)
        assert refused.value.errors[0].header == "X-Account-Id"
        with pytest.raises(ValidationFailed):
            await engine.create("person", {"name": "x"}, engine.context(operator=True))
        with pytest.raises(Forbidden):
            await engine.create("person", {"name": "x"}, engine.context())
        with pytest.raises(Forbidden):
            await engine.create("word", {"name": "x"}, engine.context(1))
        assert shown(await engine.create("word", {"name": "x"}, engine.context(operator=True)))["name"] == "x"
        theirs = await engine.make("journal", {"name": "B"}, engine.context(2))
        made = shown(await engine.create("entry", {"title": "x", "journal_id": theirs}, both))
        assert made["account_id"] == ACCOUNTS[1]
        mine = await engine.make("person", {"name": "A"})
        with pytest.raises(ValidationFailed, check=is_unknown):
            await engine.patch("journal", theirs, {"person_id": mine}, both)
        operator = engine.context(operator=True)
        made = shown(await engine.create("entry", {"title": "y", "journal_id": theirs}, operator))
        assert made["account_id"] == ACCOUNTS[1]


async def test_what_others_own_cannot_be_written(database_url: str) -> None:
    async with running(database_url) as engine:
        theirs = await engine.make("journal", {"name": "B"}, engine.context(2))
        for public_id in (theirs, theirs.swapcase(), "u" * 22, "7", ""):
            for write in (engine.patch, engine.put):
                with pytest.raises(NotFound):
                    await write("journal", public_id, {"name": "x"})
            with pytest.raises(NotFound):
                await engine.delete("journal", public_id)
            with pytest.raises(NotFound):
                await engine.restore("journal", public_id)
        assert await engine.column("journal", theirs, "name") == "B"
        assert await engine.column("journal", theirs, "row_version") == 1


async def test_read_only_fields_may_be_stated_as_they_are(database_url: str) -> None:
    async with running(database_url) as engine:
        public_id = await engine.make("journal", {"name": "J", "born": "here"})
        whole = await engine.get("journal", public_id)
        assert (await engine.patch("journal", public_id, whole))["name"] == "J"
        whole = await engine.get("journal", public_id)
        assert (await engine.put("journal", public_id, {**whole, "name": "K"}))["name"] == "K"
        for name, value in (
            ("id", "x" * 22), ("account_id", ACCOUNTS[1]), ("created_on", None), ("born", "there"), ("updated_on", ""),
        ):  # fmt: skip
            with pytest.raises(ValidationFailed) as refused:
                await engine.patch("journal", public_id, {name: value})
            assert items(refused.value) == [("read-only", f"/{name}")]
        with pytest.raises(ValidationFailed) as refused:
            await engine.patch("journal", public_id, {})
        assert items(refused.value) == [("required", "")]


async def test_a_replacement_gives_what_is_missing_its_default(database_url: str) -> None:
    async with running(database_url) as engine:
        person = await engine.make("person", {"name": "P", "pin": "secret"})
        pin = await engine.column("person", person, "pin")
        public_id = await engine.make(
            "journal", {"name": "J", "code": "c", "size": 5, "status": "shut", "born": "here", "person_id": person}
        )
        replaced = await engine.put("journal", public_id, {"name": "K"})
        assert replaced.items() >= {"name": "K", "code": None, "size": 1, "status": "open", "born": "here"}.items()
        assert replaced["person_id"] is None
        assert replaced == await engine.get("journal", public_id)
        with pytest.raises(ValidationFailed) as refused:
            await engine.put("journal", public_id, {"size": 2})
        assert items(refused.value) == [("required", "/name")]
        await engine.put("person", person, {"name": "Q"})
        assert await engine.column("person", person, "pin") == pin
        assert str(pin).startswith("$argon2id$")


async def test_if_match_guards_every_write(database_url: str) -> None:
    async with running(database_url) as engine:
        public_id = await engine.make("journal", {"name": "J"})
        await engine.patch("journal", public_id, {"name": "K"}, if_match='"1-00000000"')
        for tag in ('"1-00000000"', 'W/"2-00000000"', '"x"'):
            for write in (engine.patch, engine.put):
                with pytest.raises(StaleVersion):
                    await write("journal", public_id, {"name": "L"}, if_match=tag)
            with pytest.raises(StaleVersion):
                await engine.delete("journal", public_id, if_match=tag)
        await engine.patch("journal", public_id, {"name": "L"}, if_match='"9-0", "2-00000000"')
        await engine.delete("journal", public_id, if_match="*")
        with pytest.raises(StaleVersion):
            await engine.restore("journal", public_id, if_match='"1-0"')


async def test_concurrent_patches_of_different_fields_both_survive(database_url: str) -> None:
    async with running(database_url) as engine:
        public_id = await engine.make("thing", {"a_integer": 0, "a_bigint": 0})
        conflicts = 0

        async def write(name: str) -> None:
            nonlocal conflicts
            for number in range(1, 6):
                try:
                    await engine.patch("thing", public_id, {name: number})
                except Conflict:
                    conflicts += 1

        async with anyio.create_task_group() as group:
            for name in ("a_integer", "a_bigint"):
                group.start_soon(write, name)
        after = await engine.get("thing", public_id)
        assert await engine.column("thing", public_id, "row_version") == 11 - conflicts
        if not conflicts:
            assert (after["a_integer"], after["a_bigint"]) == (5, 5)


async def test_exactly_one_of_many_writers_of_a_known_version_wins(database_url: str) -> None:
    async with running(database_url) as engine:
        public_id = await engine.make("journal", {"name": "J"})
        won: list[int] = []

        async def write(number: int) -> None:
            try:
                await engine.patch("journal", public_id, {"name": str(number)}, if_match='"1-0"')
                won.append(number)
            except StaleVersion:
                pass

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(write, number)
        assert len(won) == 1
        assert (await engine.get("journal", public_id))["name"] == str(won[0])


async def test_unique_values_are_unique_within_an_account(database_url: str) -> None:
    async with running(database_url) as engine:
        first = await engine.make("journal", {"name": "J", "code": "c"})
        second = await engine.make("journal", {"name": "J", "code": "d"})
        await engine.make("journal", {"name": "J", "code": "c"}, engine.context(2))
        with pytest.raises(Duplicate) as refused:
            await engine.create("journal", {"name": "J", "code": "c"})
        assert items(refused.value) == [("duplicate", "/code")]
        with pytest.raises(Duplicate):
            await engine.patch("journal", second, {"code": "c"})
        await engine.delete("journal", first)
        with pytest.raises(Duplicate):
            await engine.create("journal", {"name": "J", "code": "c"})
        with pytest.raises(Duplicate) as refused:
            await engine.create("journal", {"name": "N", "entry": [{"title": "x"}, {"title": "x"}]})
        assert ("duplicate", "/entry/1/title") in items(refused.value)
        assert await engine.count("entry") == 0


async def test_soft_deleted_children_follow_and_come_back_with_it(database_url: str) -> None:
    async with running(database_url) as engine:
        journal = await engine.make(
            "journal", {"name": "J", "entry": [{"title": "1", "note": [{"body": "n"}]}, {"title": "2"}]}
        )
        assert (await engine.count("entry"), await engine.count("note")) == (2, 1)
        rows = await engine.database.fetch("SELECT id_random FROM entry ORDER BY id")
        first, second = (row[0] for row in rows)
        ((note,),) = await engine.database.fetch("SELECT id_random FROM note")
        await engine.delete("entry", second)
        await engine.delete("journal", journal)
        for type_name, public_id in (("journal", journal), ("entry", first), ("note", note)):
            with pytest.raises(NotFound):
                await engine.get(type_name, public_id)
            with pytest.raises(NotFound):
                await engine.patch(type_name, public_id, {"name": "x"})
        with pytest.raises(NotFound):
            await engine.delete("journal", journal)
        restored = shown(await engine.restore("journal", journal))
        assert restored == await engine.get("journal", journal)
        assert (await engine.get("note", note))["body"] == "n"
        assert (await engine.get("entry", first))["title"] == "1"
        with pytest.raises(NotFound):
            await engine.get("entry", second)
        with pytest.raises(NotFound):
            await engine.restore("journal", journal)


async def test_nothing_is_restored_below_what_is_deleted(database_url: str) -> None:
    async with running(database_url) as engine:
        journal = await engine.make("journal", {"name": "J", "entry": [{"title": "1"}, {"title": "2"}]})
        rows = await engine.database.fetch("SELECT id_random FROM entry ORDER BY title")
        alone, along = (row[0] for row in rows)
        await engine.delete("entry", alone)
        await engine.delete("journal", journal)
        for entry in (alone, along):
            with pytest.raises(Conflict, match="journal that it stands under is not there; restore that first"):
                await engine.restore("entry", entry)
            with pytest.raises(NotFound):
                await engine.get("entry", entry)
        await engine.restore("journal", journal)
        assert (await engine.get("entry", along))["title"] == "2"
        await engine.restore("entry", alone)
        assert (await engine.get("entry", alone))["title"] == "1"


async def test_a_hard_delete_takes_children_by_their_rules(database_url: str) -> None:
    async with running(database_url) as engine:
        person = await engine.make("person", {"name": "P"})
        journal = await engine.make("journal", {"name": "J", "entry": [{"title": "1", "note": [{"body": "n"}]}]})
        photo = await engine.make("photo", {}, under=("journal", journal))
        with pytest.raises(Forbidden):
            await engine.delete("journal", journal, engine.context(1, scopes="*:read *:write"), is_hard=True)
        await engine.delete("journal", journal, is_hard=True)
        assert [await engine.count(name) for name in ("journal", "entry", "note", "photo")] == [0, 0, 0, 1]
        assert (await engine.get("photo", photo))["journal_id"] is None
        tag = await engine.make("tag", {"word": "w"}, under=("person", person))
        await engine.make("photo", {}, under=("person", person))
        with pytest.raises(ForeignKeyInUse):
            await engine.delete("person", person)
        assert await engine.count("photo") == 2
        await engine.delete("tag", tag)
        pointing = await engine.make("journal", {"name": "K", "person_id": person})
        with pytest.raises(ForeignKeyInUse) as refused:
            await engine.delete("person", person)
        assert refused.value.errors == ()
        await engine.patch("journal", pointing, {"person_id": None})
        await engine.delete("person", person)
        assert [await engine.count(name) for name in ("person", "photo")] == [0, 1]


async def test_a_move_changes_the_parent_within_the_account(database_url: str) -> None:
    async with running(database_url) as engine:
        one, two = [await engine.make("journal", {"name": name}) for name in "ab"]
        theirs = await engine.make("journal", {"name": "B"}, engine.context(2))
        entry = await engine.make("entry", {"title": "x"}, under=("journal", one))
        moved = shown(await engine.move("entry", entry, ("journal", two)))
        assert moved["journal_id"] == two
        assert moved == await engine.get("entry", entry)
        for target, code in ((("journal", theirs), "foreign-key"), (("person", one), "parent-mismatch")):
            with pytest.raises(ValidationFailed) as refused:
                await engine.move("entry", entry, target)
            assert refused.value.errors[0].code == code
        with pytest.raises(ValidationFailed, check=is_unknown):
            await engine.move("entry", entry, ("journal", theirs), engine.context(1, 2))
        other = await engine.make("entry", {"title": "x"}, under=("journal", one))
        with pytest.raises(Duplicate):
            await engine.move("entry", other, ("journal", two))


async def test_a_write_that_leaves_the_row_rule_is_refused(database_url: str) -> None:
    async with running(database_url) as engine:
        reader = engine.context(1, role="reader")
        with pytest.raises(Forbidden):
            await engine.create("journal", {"name": "x", "status": "shut"}, reader)
        public_id = await engine.make("journal", {"name": "x"}, reader)
        with pytest.raises(Forbidden):
            await engine.patch("journal", public_id, {"status": "shut"}, reader)
        assert (await engine.patch("journal", public_id, {"name": "y"}, reader))["name"] == "y"
        hidden = await engine.make("journal", {"name": "x", "status": "shut"})
        with pytest.raises(NotFound):
            await engine.patch("journal", hidden, {"name": "y"}, reader)
        with pytest.raises(NotFound):
            await engine.create("entry", {"title": "x"}, reader, under=("journal", hidden))
        assert await engine.count("journal") == 2
        assert await engine.count("entry") == 0


async def test_children_can_be_written_with_their_parent(database_url: str) -> None:
    async with running(database_url) as engine:
        with pytest.raises(ValidationFailed) as refused:
            await engine.create("journal", {"name": "J", "entry": [{"titel": "1"}, {"title": "", "note": [{}]}, 5]})
        assert items(refused.value) == sorted([
            ("unknown-field", "/entry/0/titel"), ("required", "/entry/0/title"), ("too-short", "/entry/1/title"),
            ("required", "/entry/1/note/0/body"), ("type-mismatch", "/entry/2"),
        ])  # fmt: skip
        journal = await engine.make("journal", {"name": "J", "entry": [{"title": "1"}, {"title": "2"}]})
        other = await engine.make("journal", {"name": "K", "entry": [{"title": "3"}]})
        rows = await engine.database.fetch("SELECT id_random FROM entry ORDER BY id")
        one, two, three = (row[0] for row in rows)
        changes = {"create": [{"title": "new"}], "update": [{"id": one, "title": "one"}], "delete": [two]}
        await engine.patch("journal", journal, {"name": "L", "entry": changes})
        assert (await engine.get("entry", one))["title"] == "one"
        with pytest.raises(NotFound):
            await engine.get("entry", two)
        assert await engine.count("entry") == 4
        for wrong in ({"update": [{"id": three, "title": "x"}]}, {"delete": [three]}, {"delete": ["u" * 22]}):
            with pytest.raises(ValidationFailed, check=is_unknown):
                await engine.patch("journal", journal, {"name": "M", "entry": wrong})
        assert (await engine.get("journal", journal))["name"] == "L"
        assert (await engine.get("entry", three))["journal_id"] == other


async def test_a_trial_answers_and_keeps_nothing(database_url: str) -> None:
    async with running(database_url) as engine:
        public_id = await engine.make("journal", {"name": "J"})
        trial = await engine.create("journal", {"name": "T", "entry": [{"title": "x"}]}, is_trial=True)
        assert shown(trial)["name"] == "T"
        assert (await engine.patch("journal", public_id, {"name": "T"}, is_trial=True))["name"] == "T"
        await engine.delete("journal", public_id, is_trial=True)
        await engine.make("journal", {"name": "J", "code": "c"})
        with pytest.raises(Duplicate):
            await engine.create("journal", {"name": "J", "code": "c"}, is_trial=True)
        assert (await engine.get("journal", public_id))["name"] == "J"
        assert [await engine.count(name) for name in ("journal", "entry")] == [2, 0]
        await engine.announcer.close()
        assert [change.verb for change in engine.changes] == ["create", "create"]


async def test_a_type_without_a_version_compares_what_changes(database_url: str) -> None:
    async with running(database_url) as engine:
        public_id = await engine.make("plain", {"name": "a"})
        assert (await engine.patch("plain", public_id, {"name": "b"}))["name"] == "b"
        with pytest.raises(StaleVersion):
            await engine.patch("plain", public_id, {"name": "c"}, if_match='"0-0"')
        await engine.delete("plain", public_id)
        assert await engine.count("plain") == 0


async def test_a_type_may_demand_a_version(database_url: str) -> None:
    async with running(database_url) as engine:
        public_id = await engine.make("person", {"name": "a"})
        object.__setattr__(engine.registry.types["person"], "if_match_required", True)
        with pytest.raises(PreconditionRequired):
            await engine.patch("person", public_id, {"name": "b"})
        with pytest.raises(PreconditionRequired):
            await engine.delete("person", public_id)
        assert (await engine.patch("person", public_id, {"name": "b"}, if_match="*"))["name"] == "b"


async def test_children_that_demand_a_version_are_not_changed_from_their_parents_body(database_url: str) -> None:
    async with running(database_url) as engine:
        journal = await engine.make("journal", {"name": "J", "entry": [{"title": "1"}]})
        ((entry,),) = await engine.database.fetch("SELECT id_random FROM entry")
        object.__setattr__(engine.registry.types["entry"], "if_match_required", True)
        for change in ({"update": [{"id": entry, "title": "2"}]}, {"delete": [entry]}):
            with pytest.raises(PreconditionRequired):
                await engine.patch("journal", journal, {"name": "K", "entry": change})
        assert (await engine.get("journal", journal))["name"] == "J"
        assert (await engine.get("entry", entry))["title"] == "1"
        await engine.patch("journal", journal, {"entry": {"create": [{"title": "3"}]}})


async def test_writes_are_announced_after_the_commit(database_url: str) -> None:
    async with running(database_url) as engine:
        journal = await engine.make("journal", {"name": "J", "entry": [{"title": "x"}]})
        await engine.patch("journal", journal, {"name": "K"})
        with pytest.raises(Duplicate):
            await engine.create("journal", {"name": "J", "entry": [{"title": "x"}, {"title": "x"}]})
        await engine.delete("journal", journal)
        await engine.restore("journal", journal)
        await engine.announcer.close()
        assert [(change.type, change.verb) for change in engine.changes] == [
            ("journal", "create"), ("entry", "create"), ("journal", "update"), ("entry", "delete"),
            ("journal", "delete"), ("journal", "restore"), ("entry", "restore"),
        ]  # fmt: skip


async def test_a_caller_without_the_right_learns_nothing(database_url: str) -> None:
    async with running(database_url) as engine:
        public_id = await engine.make("journal", {"name": "J"})
        for scopes, fault in (("*:read", Forbidden), ("person:read", NotFound)):
            who = engine.context(1, scopes=scopes)
            with pytest.raises(fault):
                await engine.create("journal", {"name": "x"}, who)
            with pytest.raises(fault):
                await engine.patch("journal", public_id, {"name": "x"}, who)
            with pytest.raises(fault):
                await engine.delete("journal", public_id, who)
        writer = engine.context(1, scopes="journal:create journal:update")
        outcome = await engine.create("journal", {"name": "x"}, writer)
        assert outcome.found is None
        assert await engine.column("journal", outcome.public_id, "name") == "x"


async def test_writes_in_transactions_need_no_second_connection(mariadb_url: str) -> None:
    async with running(mariadb_url, database_pool_size=1, database_pool_wait_s=0.5) as engine:
        journal = await engine.make("journal", {"name": "J"})
        person = await engine.make("person", {"name": "P"})
        await engine.runtime.resolver.forget("person", person)
        await engine.runtime.resolver.forget("journal", journal)
        both = engine.context(1, 2)
        body = {"person_id": person, "entry": {"create": [{"title": "x"}]}}
        assert (await engine.patch("journal", journal, body, both))["person_id"] == person
        assert (await engine.patch("journal", journal, {"name": "K"}, is_trial=True))["name"] == "K"
        await engine.delete("journal", journal, both)
        await engine.restore("journal", journal, both)
