"""Changes reach every subscriber, in order, and no subscriber can hurt a write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.io.changes import MAX_WAITING, Change, Changes
from engine.io.live_entries import Image, RowChange
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


# ---------------------------------------------------------------- turns


def change_of(row_id: int, version: int) -> RowChange:
    return RowChange("note", f"public-{row_id}", row_id, 7, version, None, Image((row_id, version)))


def told_to(changes: Changes) -> list[tuple[int, int | None]]:
    """Take down what is told from now on: row and version."""
    told: list[tuple[int, int | None]] = []
    changes.row_sink = lambda rows: told.extend((row.row_id, row.version) for row in rows)
    return told


def test_commits_of_one_row_are_told_in_the_order_of_their_turns_whoever_is_answered_first() -> None:
    changes = Changes()
    told = told_to(changes)
    rows = [change_of(1, version) for version in range(4)]
    turns = [changes.take_turn([row]) for row in rows]
    for number in (2, 1, 3, 0):
        changes.end_turn(turns[number], [rows[number]])
    assert told == [(1, 0), (1, 1), (1, 2), (1, 3)]


def test_commits_of_other_rows_wait_for_nobody() -> None:
    changes = Changes()
    told = told_to(changes)
    changes.take_turn([change_of(1, 1)])
    changes.end_turn(changes.take_turn([change_of(2, 1)]), [change_of(2, 1)])
    assert told == [(2, 1)]


def test_a_commit_that_came_to_nothing_is_waited_for_no_longer() -> None:
    changes = Changes()
    told = told_to(changes)
    first, second = changes.take_turn([change_of(1, 1)]), changes.take_turn([change_of(1, 1)])
    changes.end_turn(second, [change_of(1, 1)])
    assert told == []
    changes.end_turn(first)
    assert told == [(1, 1)]


@given(
    commits=st.lists(st.sets(st.integers(1, 4), min_size=1), max_size=8),
    order=st.randoms(use_true_random=False),
    lost=st.sets(st.integers(0, 7)),
)
def test_however_commits_end_all_are_told_and_each_row_in_order(
    commits: list[set[int]], order: Random, lost: set[int]
) -> None:
    changes = Changes()
    told = told_to(changes)
    given_rows = [[change_of(row_id, number) for row_id in sorted(ids)] for number, ids in enumerate(commits)]
    turns = [changes.take_turn(rows) for rows in given_rows]
    numbers = list(range(len(commits)))
    order.shuffle(numbers)
    for number in numbers:
        changes.end_turn(turns[number], [] if number in lost else given_rows[number])
    for row_id in range(1, 5):
        wanted = [number for number, ids in enumerate(commits) if row_id in ids and number not in lost]
        assert [version for told_id, version in told if told_id == row_id] == wanted
    assert not changes._turns


def test_a_row_that_is_written_very_often_while_one_commit_hangs_is_told_of_afterwards() -> None:
    changes = Changes()
    told = told_to(changes)
    rows = [change_of(1, version) for version in range(3_000)]
    turns = [changes.take_turn([row]) for row in rows]
    for turn, row in reversed(list(zip(turns, rows, strict=True))):
        changes.end_turn(turn, [row])
    assert [version for _, version in told] == list(range(3_000))


def test_whoever_fails_to_be_told_keeps_no_other_commit_waiting() -> None:
    changes = Changes()
    told: list[int | None] = []

    def tell(rows: Sequence[RowChange]) -> None:
        told.append(rows[0].version)
        raise LookupError("mine")

    changes.row_sink = tell
    turns = [changes.take_turn([change_of(1, version)]) for version in range(3)]
    for version in (2, 1, 0):
        changes.end_turn(turns[version], [change_of(1, version)])
    assert told == [0, 1, 2]
    take_observations()


def test_a_commit_of_which_nothing_is_known_has_everybody_look_again() -> None:
    changes = Changes()
    seen: list[RowChange] = []
    changes.row_sink = seen.extend
    changes.end_turn(changes.take_turn([change_of(1, 1)]), (), {"note"})
    assert [(row.type, row.is_blind) for row in seen] == [("note", True)]
