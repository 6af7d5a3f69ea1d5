"""Changes reach every subscriber, in order, and no subscriber can hurt a write."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from engine.io.changes import MAX_WAITING, Change, Changes
from engine.observe import ChangesDropped, HookFailed, take_observations


def make_change(number: int) -> Change:
    return Change("thing", "create", f"id{number}", number, None, frozenset(), datetime(2026, 1, 1, tzinfo=UTC))


async def test_each_subscriber_hears_all_changes_in_order() -> None:
    changes, heard = Changes(), {"a": list[str](), "b": list[str]()}
    for name, ids in heard.items():

        async def hear(change: Change, ids: list[str] = ids) -> None:
            await asyncio.sleep(0)
            ids.append(change.public_id)

        changes.subscribe(name, hear)
    for number in range(10):
        changes.announce([make_change(number)])
    await changes.close()
    assert heard == {"a": [f"id{number}" for number in range(10)], "b": [f"id{number}" for number in range(10)]}


async def test_a_subscriber_that_raises_is_logged_and_hears_the_next() -> None:
    changes, heard = Changes(), list[str]()

    async def hear(change: Change) -> None:
        heard.append(change.public_id)
        raise LookupError("mine")

    take_observations()
    changes.subscribe("mine", hear)
    changes.announce([make_change(1), make_change(2)])
    await changes.close()
    assert heard == ["id1", "id2"]
    assert [type(seen) for seen in take_observations()] == [HookFailed, HookFailed]


async def test_who_unsubscribed_hears_nothing_more() -> None:
    changes, heard = Changes(), list[str]()

    async def hear(change: Change) -> None:
        heard.append(change.public_id)

    leave = changes.subscribe("mine", hear)
    changes.announce([make_change(1)])
    leave()
    changes.announce([make_change(2)])
    await changes.close()
    assert heard == []


async def test_a_slow_subscriber_loses_changes_and_the_log_says_how_many() -> None:
    changes, free = Changes(), asyncio.Event()

    async def hear(_: Change) -> None:
        await free.wait()

    take_observations()
    changes.subscribe("slow", hear)
    changes.announce([make_change(number) for number in range(MAX_WAITING + 5)])
    assert take_observations() == [ChangesDropped("slow", 5)]
    free.set()
    await changes.close()


async def test_a_hook_after_the_commit_runs_and_its_fault_is_logged() -> None:
    changes, ran = Changes(), list[str]()

    async def hook() -> None:
        ran.append("ran")
        raise LookupError

    take_observations()
    changes.run_after("thing.after_commit", hook())
    assert ran == []
    await changes.close()
    assert ran == ["ran"]
    assert [type(seen) for seen in take_observations()] == [HookFailed]
