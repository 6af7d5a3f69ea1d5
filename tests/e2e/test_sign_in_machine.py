"""Sign-ins of one user in any order of events, against a model in plain Python: what holds is what the model says."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.support import services
from tests.support.people import Town, lighten, settled

T = TypeVar("T")
BOTH = ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
_NUMBERS = count()


@dataclass
class Stage:
    """An application with an event loop of its own: Hypothesis calls plain functions."""

    town: Town
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something."""
        return self.loop.run_until_complete(work)


@pytest.fixture(scope="module", params=BOTH)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The shipped registry on either database."""
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    with pytest.MonkeyPatch.context() as monkeypatch, ExitStack() as databases:
        lighten(monkeypatch)
        if request.param == "mariadb":
            services.require_mariadb()
            url = databases.enter_context(services.make_mariadb_database())
        else:
            url = f"sqlite:///{tmp_path_factory.mktemp('machine')}/test.sqlite3"
        try:
            town = loop.run_until_complete(stack.enter_async_context(settled(url, sign_in_per_minute=10**6)))
            yield Stage(town, loop)
        finally:
            loop.run_until_complete(stack.aclose())
            loop.close()


@dataclass
class SignIn:
    """What the model knows of a sign-in: its tokens in their order, of which the last is the present one."""

    password: str
    refresh: list[str] = field(default_factory=list)
    access: list[str] = field(default_factory=list)
    is_ended: bool = False


class SignIns(RuleBasedStateMachine):
    """One user, new in each run."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.email = f"user{next(_NUMBERS)}@machine.example"
        self.password, self.is_enabled = "the first password", True
        self.user_id = self.stage.run(self.stage.town.make_user(self.email, password=self.password))
        self.sign_ins: list[SignIn] = []

    def goes_on(self, one: SignIn) -> bool:
        """Whether a sign-in holds."""
        return not one.is_ended and self.is_enabled and one.password == self.password

    def send(self, work: Any) -> Any:
        """Wait for a reply; a fault of the server's fails the test."""
        reply = self.stage.run(work)
        assert reply.status < 500, reply
        return reply

    def patch(self, body: dict[str, Any]) -> None:
        """Change the user."""
        operator = self.stage.town.operator()
        assert self.send(operator.send("PATCH", f"/v3/crud/user/{self.user_id}", body)).status == 200

    @rule(is_right=st.booleans())
    def sign_in(self, is_right: bool) -> None:
        """With the right password, or one that was right once."""
        reply = self.send(self.stage.town.login(self.email, self.password if is_right else "the zeroth password"))
        assert reply.status == (200 if is_right and self.is_enabled else 401), reply
        if reply.status == 200:
            made = SignIn(self.password, [reply.data["refresh_token"]], [reply.data["access_token"]])
            self.sign_ins = [*self.sign_ins[-2:], made]

    @precondition(lambda self: self.sign_ins)
    @rule(data=st.data())
    def refresh(self, data: st.DataObject) -> None:
        """With the present token, or with one that was exchanged."""
        one = data.draw(st.sampled_from(self.sign_ins))
        token = data.draw(st.one_of(st.just(one.refresh[-1]), st.sampled_from(one.refresh)))
        reply = self.send(self.stage.town.refresh(token))
        is_present = token == one.refresh[-1]
        assert reply.status == (200 if is_present and self.goes_on(one) else 401), reply
        if reply.status == 200:
            one.refresh.append(reply.data["refresh_token"])
            one.access.append(reply.data["access_token"])
        elif not is_present:
            one.is_ended = True

    @precondition(lambda self: self.sign_ins)
    @rule(data=st.data(), number=st.integers(2, 4))
    def refresh_at_once(self, data: st.DataObject, number: int) -> None:
        """One wins, and the others are reuse."""
        one = data.draw(st.sampled_from(self.sign_ins))
        goes_on = self.goes_on(one)

        async def all_at_once() -> list[int]:
            tried = (self.stage.town.refresh(one.refresh[-1]) for _ in range(number))
            return sorted(reply.status for reply in await asyncio.gather(*tried))

        won = [200] if goes_on else []
        assert self.stage.run(all_at_once()) == won + [401] * (number - len(won))
        one.is_ended = one.is_ended or goes_on

    @precondition(lambda self: self.sign_ins)
    @rule(data=st.data())
    def sign_out(self, data: st.DataObject) -> None:
        """With any of its tokens."""
        one = data.draw(st.sampled_from(self.sign_ins))
        assert self.send(self.stage.town.logout(data.draw(st.sampled_from(one.refresh)))).status == 204
        one.is_ended = True

    @rule()
    def switch(self) -> None:
        """Disabled, or enabled again."""
        self.is_enabled = not self.is_enabled
        self.patch({"enable": self.is_enabled})

    @rule(number=st.integers(1, 3))
    def change_password(self, number: int) -> None:
        """Another one, or the same once more, which ends sign-ins as well."""
        self.password = f"password number {number}"
        self.patch({"password": self.password})
        for one in self.sign_ins:
            one.password = "none that there is any more"

    @invariant()
    def access_tokens_hold_as_long_as_their_sign_in(self) -> None:
        """Each of them, however old."""
        town = self.stage.town
        for one in self.sign_ins:
            for token in {one.access[0], one.access[-1]}:
                reply = self.send(town.client({"Authorization": f"Bearer {token}"}).get("/v3/crud/account/"))
                assert reply.status == (200 if self.goes_on(one) else 401), reply


def test_sign_ins_hold_as_the_model_says(stage: Stage) -> None:
    class Machine(SignIns):
        pass

    Machine.stage = stage
    run_state_machine_as_test(Machine, settings=settings(max_examples=20, stateful_step_count=20))
