"""What override files do to writes, on both databases."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import anyio
import pytest

from engine.errors import ErrorItem, ValidationFailed
from engine.plugins.overrides import Overrides, Written
from tests.support.writing import ACCOUNTS, running, shown


def refuse(name: str) -> ValidationFailed:
    return ValidationFailed(errors=[ErrorItem("out-of-range", f"{name} is not wanted.", pointer=f"/{name}")])


def check_journal(values: Any, before: Any) -> None:
    if values["name"] == "bad" or (before and before["name"] == "old" and values["size"] > 5):
        raise refuse("name")


def check_entry(values: Any, before: Any) -> None:
    if values["title"] == "bad":
        raise refuse("title")


async def test_validate_sees_the_whole_object_and_its_faults_join_the_others(database_url: str) -> None:
    overrides = {
        "journal": Overrides(type="journal", validate=check_journal),
        "entry": Overrides(type="entry", validate=check_entry),
    }
    async with running(database_url, overrides) as engine:
        with pytest.raises(ValidationFailed) as refused:
            await engine.create("journal", {"name": "bad", "entry": [{"title": "x"}, {"title": "bad"}]})
        assert [item.pointer for item in refused.value.errors] == ["/name", "/entry/1/title"]
        public_id = await engine.make("journal", {"name": "old", "size": 2})
        with pytest.raises(ValidationFailed):
            await engine.patch("journal", public_id, {"size": 6})
        assert (await engine.patch("journal", public_id, {"size": 5}))["size"] == 5


async def test_hooks_run_in_the_transaction_and_may_add_fields(database_url: str) -> None:
    async def before_create(values: Any, caller: Any) -> dict[str, object]:
        await anyio.lowlevel.checkpoint()
        return {"code": f"{values['name']}!", "internal": caller.account_id[:3]}

    def before_update(values: Any, before: Any, caller: Any) -> None:
        if before["name"] == "locked":
            raise refuse("name")

    def before_delete(before: Any, caller: Any) -> None:
        if before["name"] == "locked":
            raise refuse("name")

    overrides = {
        "journal": Overrides(
            type="journal", before_create=before_create, before_update=before_update, before_delete=before_delete
        )
    }
    async with running(database_url, overrides) as engine:
        made = await engine.create("journal", {"name": "locked"})
        assert shown(made)["code"] == "locked!"
        assert await engine.column("journal", made.public_id, "internal") == "aaa"
        with pytest.raises(ValidationFailed):
            await engine.patch("journal", made.public_id, {"name": "x"})
        with pytest.raises(ValidationFailed):
            await engine.delete("journal", made.public_id)
        assert (await engine.get("journal", made.public_id))["name"] == "locked"


async def test_hooks_behind_the_commit_are_told_what_was_and_what_is(database_url: str) -> None:
    told: list[Written] = []
    overrides = {
        "thing": Overrides(type="thing", after_commit=told.append),
        "person": Overrides(type="person", after_commit=told.append),
    }
    async with running(database_url, overrides) as engine:
        public_id = await engine.make("thing", {"a_decimal": "1.5", "a_boolean": True})
        await engine.patch("thing", public_id, {"a_decimal": "2.5"})
        await engine.patch("thing", public_id, {"a_decimal": "9"}, is_trial=True)
        with pytest.raises(ValidationFailed):
            await engine.patch("thing", public_id, {"a_decimal": 3})
        await engine.delete("thing", public_id)
        await engine.make("person", {"name": "P", "pin": "1234"})
        await engine.announcer.close()
    created, updated, deleted, person = told
    assert (created.verb, created.id, created.account_id, created.before) == ("create", public_id, ACCOUNTS[0], None)
    assert created.after is not None
    assert created.after["a_decimal"] == Decimal("1.500")
    assert updated.before is not None
    assert updated.after is not None
    assert (updated.before["a_decimal"], updated.after["a_decimal"]) == (Decimal("1.500"), Decimal("2.500"))
    assert updated.after["a_boolean"] is True
    assert deleted.before is not None
    assert deleted.before["a_decimal"] == Decimal("2.500")
    assert deleted.after is None
    assert person.after is not None
    assert "pin" not in person.after
