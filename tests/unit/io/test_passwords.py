"""Passwords: what holds, what takes as long though it does not, and how many are let in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import anyio
import pytest
from argon2 import PasswordHasher

from engine.errors import Unavailable
from engine.io.passwords import Passwords

LIGHT = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


class Counting(PasswordHasher):
    """Counts the hashes that are computed, and holds them up until it is told."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.verified: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:
        """As always."""
        self.gate.wait(10)
        self.verified.append(str(hash))
        return super().verify(hash, password)


@pytest.fixture
def hasher() -> Counting:
    """What `passwords` computes with."""
    return Counting()


@pytest.fixture
def passwords(hasher: Counting) -> Iterator[Passwords]:
    """One thread, one who may wait."""
    made = Passwords(1, waiting=1, hasher=hasher)
    yield made
    hasher.gate.set()
    made.close()


async def test_a_password_holds_against_its_own_hash_alone(passwords: Passwords) -> None:
    stored = await passwords.hash("open sesame")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify("open sesame", stored)
    assert not await passwords.verify("open Sesame", stored)
    assert not await passwords.verify("", stored)


@pytest.mark.parametrize("stored", [None, "", "x", "$2b$12$KIXQ0bq", "$argon2id$v=19$m=64,t=1,p=1$broken"])
async def test_where_there_is_no_hash_one_is_computed_all_the_same(
    passwords: Passwords, hasher: Counting, stored: str | None
) -> None:
    assert not await passwords.verify("open sesame", stored)
    assert "m=64,t=1,p=1$" in hasher.verified[-1]
    assert hasher.verified[-1] != stored
    assert len(hasher.verified[-1]) == len(await passwords.hash("open sesame"))


async def test_a_hash_of_other_parameters_is_outdated(passwords: Passwords) -> None:
    assert not passwords.is_outdated(await passwords.hash("x"))
    assert passwords.is_outdated(PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash("x"))


async def test_who_finds_the_queue_full_is_sent_away_at_once_and_is_let_in_later(
    passwords: Passwords, hasher: Counting
) -> None:
    stored = LIGHT.hash("x")
    hasher.gate.clear()
    waiting = [asyncio.create_task(passwords.verify("x", stored)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await passwords.verify("x", stored)
    assert dict(refused.value.headers)["Retry-After"]
    hasher.gate.set()
    assert await asyncio.gather(*waiting) == [True, True]
    assert await passwords.verify("x", stored)


async def test_who_hangs_up_frees_his_place_when_his_thread_is_done(passwords: Passwords, hasher: Counting) -> None:
    stored = LIGHT.hash("x")
    hasher.gate.clear()
    with anyio.move_on_after(0.01):
        await passwords.verify("x", stored)
    waiting = asyncio.create_task(passwords.verify("x", stored))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await passwords.verify("x", stored)
    hasher.gate.set()
    assert await waiting
    assert await passwords.verify("x", stored)
