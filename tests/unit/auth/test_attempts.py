"""How often a password may be tried: guessing is slow, and nobody uses up the allowance of another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.auth.attempts import ADDRESSES_OF_A_NAME, NAMES_OF_AN_ADDRESS, Attempts
from engine.errors import RateLimited
from engine.io.cache import LocalCache

MOST = 3


@dataclass
class Desk:
    """Attempts with a clock that stands until a test moves it.

    Attributes:
        known: Pairs of name and address at which somebody has signed in before.
    """

    shared: LocalCache | None = None
    now: float = 1_800_000_000.0
    known: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.attempts = Attempts(MOST, shared=self.shared, now=lambda: self.now)

    def knows(self, name: str, network: str) -> Callable[[], Awaitable[bool]]:
        async def is_known() -> bool:
            return (name, network) in self.known

        return is_known

    async def lets_in(self, name: str, network: str, *, is_right: bool = False) -> bool:
        """Whether an attempt is let in."""
        try:
            attempt = await self.attempts.enter(name, network, is_known_here=self.knows(name, network))
        except RateLimited:
            return False
        if is_right:
            await self.attempts.forgive(attempt)
        return True

    async def use_up(self, name: str, network: str) -> None:
        """Guess until nothing is let in any more."""
        for _ in range(MOST):
            assert await self.lets_in(name, network)
        assert not await self.lets_in(name, network)


async def test_a_name_is_guessed_from_an_address_so_often_and_no_more_until_the_next_minute() -> None:
    desk = Desk()
    await desk.use_up("ann", "one")
    with pytest.raises(RateLimited) as refused:
        await desk.attempts.enter("ann", "one", is_known_here=desk.knows("ann", "one"))
    assert dict(refused.value.headers) == {"Retry-After": "60"}
    desk.now += 59.5
    assert not await desk.lets_in("ann", "one")
    desk.now += 0.5
    assert await desk.lets_in("ann", "one")


async def test_the_case_of_a_name_is_no_way_around() -> None:
    desk = Desk()
    await desk.use_up("Ann", "one")
    assert not await desk.lets_in("aNN", "one")


async def test_who_is_right_is_not_counted() -> None:
    desk = Desk()
    for _ in range(5 * MOST * NAMES_OF_AN_ADDRESS):
        assert await desk.lets_in("ann", "one", is_right=True)


async def test_guesses_from_one_address_shut_out_that_address_alone() -> None:
    desk = Desk()
    for _ in range(10 * MOST * ADDRESSES_OF_A_NAME):
        await desk.lets_in("ann", "attacker")
    assert await desk.lets_in("ann", "her own", is_right=True)
    assert await desk.lets_in("ann", "another of hers", is_right=True)


async def test_an_address_has_so_many_guesses_whatever_the_names() -> None:
    desk = Desk()
    let_in = [await desk.lets_in(f"name{number}", "attacker") for number in range(2 * MOST * NAMES_OF_AN_ADDRESS)]
    assert sum(let_in) == MOST * NAMES_OF_AN_ADDRESS
    assert await desk.lets_in("name0", "elsewhere")


async def test_many_addresses_guess_no_faster_and_keep_nobody_out_who_is_known_at_his() -> None:
    desk = Desk(known={("ann", "her own")})
    let_in = [await desk.lets_in("ann", f"bot{number}") for number in range(2 * MOST * ADDRESSES_OF_A_NAME)]
    assert sum(let_in) == MOST * ADDRESSES_OF_A_NAME
    assert not await desk.lets_in("ann", "where she never was", is_right=True)
    assert await desk.lets_in("ann", "her own", is_right=True)
    assert await desk.lets_in("ben", "bot1")
    await desk.use_up("ann", "her own")


async def test_a_known_device_is_counted_by_itself() -> None:
    desk = Desk()
    await desk.use_up("ann", "shared")
    for _ in range(MOST):
        await desk.attempts.enter_known("device")
    with pytest.raises(RateLimited):
        await desk.attempts.enter_known("device")
    await desk.attempts.enter_known("another")


async def test_processes_count_together_and_each_for_itself_when_the_cache_is_gone() -> None:
    cache = LocalCache()
    one, two = Desk(cache), Desk(cache)
    assert [await desk.lets_in("ann", "x") for desk in (one, two, one, two)] == [True, True, True, False]

    class Gone(LocalCache):
        async def add(self, key: str, amount: int, *, ttl_s: float) -> int | None:
            return None

    alone = Desk(Gone())
    await alone.use_up("ann", "x")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.booleans()), max_size=60))
async def test_whatever_others_do_a_known_user_at_his_address_with_the_right_password_is_let_in(
    steps: list[tuple[str, str, bool]],
) -> None:
    desk = Desk(known={("ann", "home")})
    for name, network, is_right in steps:
        await desk.lets_in("ann" if name == "a" else "ben", network, is_right=is_right)
        assert await desk.lets_in("ann", "home", is_right=True)
