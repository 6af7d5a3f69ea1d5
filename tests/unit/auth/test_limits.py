from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.auth.limits import MAX_CALLERS, RateLimiter, caller_of, make_limiter, network_of
from engine.errors import RateLimited
from engine.io.cache import LocalCache
from engine.principal import ANONYMOUS, Principal
from engine.settings import Settings

START = 1_800_000_000.0


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def spend_all(limiter: RateLimiter, caller: str = "user:a", most: int = 10_000) -> int:
    for count in range(most):
        try:
            limiter.spend(caller)
        except RateLimited:
            return count
    return most


def test_the_allowance_of_a_minute_can_be_spent_at_once_and_comes_back_steadily() -> None:
    clock = Clock()
    limiter = RateLimiter(60, now=clock)
    assert limiter.policy == b'"default";q=60;w=60'
    assert limiter.spend("user:a") == b'"default";r=59;t=1'
    assert limiter.spend("user:a") == b'"default";r=58;t=2'
    assert spend_all(limiter) == 58
    clock.now += 3
    assert spend_all(limiter) == 3
    clock.now += 3600
    assert spend_all(limiter) == 60


def test_a_refusal_says_when_to_come_back_and_does_not_count() -> None:
    clock = Clock()
    limiter = RateLimiter(6, now=clock)
    assert spend_all(limiter) == 6
    for _ in range(50):
        with pytest.raises(RateLimited) as caught:
            limiter.spend("user:a")
    assert dict(caught.value.headers) == {
        "Retry-After": "10",
        "RateLimit-Policy": '"default";q=6;w=60',
        "RateLimit": '"default";r=0;t=60',
    }
    clock.now += 10
    assert limiter.spend("user:a") == b'"default";r=0;t=60'


def test_a_burst_limits_what_comes_at_once_not_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(60, 5, now=clock)
    assert limiter.policy == b'"default";q=5;w=5'
    assert spend_all(limiter) == 5
    spent = 0
    for _ in range(120):
        clock.now += 0.5
        spent += spend_all(limiter)
    assert spent == 60


def test_callers_do_not_share_an_allowance() -> None:
    limiter = RateLimiter(3, now=Clock())
    assert spend_all(limiter, "user:a") == 3
    assert spend_all(limiter, "user:b") == 3
    assert spend_all(limiter, "key:a") == 3


def test_checking_refuses_and_does_not_count() -> None:
    limiter = RateLimiter(2, now=Clock())
    for _ in range(10):
        limiter.check("address:a")
    assert spend_all(limiter, "address:a") == 2
    with pytest.raises(RateLimited):
        limiter.check("address:a")
    limiter.check("address:b")


def test_no_limit_is_set_by_default() -> None:
    assert make_limiter(Settings(mode="dev")) is None
    limiter = make_limiter(Settings(mode="dev", rate_limit_per_minute=7))
    assert limiter is not None
    assert spend_all(limiter) == 7


def test_a_caller_is_his_credential_and_without_one_his_network() -> None:
    assert caller_of(Principal("user", "u1"), "192.0.2.1") == "user:u1"
    assert caller_of(Principal("key", "u1"), "192.0.2.1") == "key:u1"
    assert caller_of(ANONYMOUS, "192.0.2.1") == "address:192.0.2.1"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "address:192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "address:2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "address:192.0.2.1"),
        ("testclient", "address:testclient"),
        ("x" * 500, "address:" + "x" * 64),
        ("", "address:"),
    ],
)
def test_an_address_counts_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_many_callers_are_forgotten_when_their_buckets_are_full() -> None:
    clock = Clock()
    limiter = RateLimiter(60, now=clock)
    for number in range(MAX_CALLERS):
        limiter.spend(f"user:{number}")
    clock.now += 2
    limiter.spend("user:new")
    assert set(limiter._full_at) == {"user:new"}


async def test_two_processes_share_one_allowance_after_a_second() -> None:
    clock, cache = Clock(), LocalCache()
    one, two = (RateLimiter(100, shared=cache, now=clock) for _ in range(2))
    assert spend_all(one, most=60) == 60
    assert spend_all(two, most=5) == 5
    await one.reconcile()
    await two.reconcile()
    # The minute is 0 s old for none of them: what has passed of it may have refilled what the other spent.
    elapsed = int(clock.now % 60 / 0.6) + 1
    left = spend_all(two)
    assert 35 <= left <= 35 + elapsed
    await two.reconcile()
    clock.now += 1
    one.spend("user:a")
    for _ in range(4):
        one.spend("user:a")
    await one.reconcile()
    assert spend_all(one) <= 2


async def test_a_cache_that_is_away_leaves_each_process_its_own_limit() -> None:
    limiter = RateLimiter(20, shared=_Away(), now=Clock())
    assert spend_all(limiter, most=10) == 10
    await limiter.reconcile()
    assert spend_all(limiter) == 10


async def test_light_callers_cost_the_cache_nothing() -> None:
    cache = _Away()
    limiter = RateLimiter(1000, shared=cache, now=Clock())
    for number in range(500):
        limiter.spend(f"user:{number}")
    await limiter.reconcile()
    assert cache.asked == 0


class _Away(LocalCache):
    """A shared cache that does not answer."""

    asked = 0

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int | None:
        self.asked += 1
        return None


@given(
    per_minute=st.integers(1, 600),
    burst=st.integers(0, 50),
    pauses=st.lists(st.floats(0, 30, allow_nan=False), max_size=80),
)
def test_no_caller_gets_more_than_burst_and_rate_allow(per_minute: int, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(per_minute, burst, now=clock)
    granted = 0
    for pause in pauses:
        clock.now += pause
        try:
            header = limiter.spend("user:a")
        except RateLimited:
            continue
        assert header.startswith(b'"default";r=')
        granted += 1
    allowed = (burst or per_minute) + (clock.now - START) * per_minute / 60
    assert granted <= allowed + 0.02
