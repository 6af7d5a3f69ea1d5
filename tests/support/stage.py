"""The application in this process, driven from tests that do not wait: Hypothesis calls plain functions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.auth.mint import mint_token
from engine.language.ids import new_public_id
from tests.support.legacy import OldClient
from tests.support.serving import Client, Reply, Running, make_settings, prepare, running


@dataclass
class Caller:
    """Somebody who sends requests, one after the other.

    Attributes:
        account: Public id of his account; empty for an operator and for nobody.
    """

    stage: Stage
    client: Client
    account: str

    def send(self, method: str, target: str, body: object = None, **more: Any) -> Reply:
        """Send one request; a reply of the server's own fault fails the test."""
        reply: Reply = self.stage.run(self.client.send(method, target, body, **more))
        assert reply.status < 500, f"{reply}\n{body}"
        return reply

    def get(self, target: str) -> Reply:
        """GET."""
        return self.send("GET", target)

    def search(self, type_path: str, body: object) -> Reply:
        """``POST /v3/crud/{type_path}/search``."""
        return self.send("POST", f"/v3/crud/{type_path}/search", body)


class Stage:
    """An application with an event loop of its own.

    Args:
        app: The application.
        loop: Its event loop.
        door: A door of the old API that callers send their V3 requests through; None = none.
    """

    def __init__(self, app: Running, loop: asyncio.AbstractEventLoop, door: str | None = None) -> None:
        self.app = app
        self.door = door
        # Old routes that callers have taken.
        self.used: set[str] = set()
        self._loop = loop

    def through(self, door: str | None) -> Stage:
        """The same application, whose callers come by a door of the old API."""
        return Stage(self.app, self._loop, door)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Wait for something."""
        return self._loop.run_until_complete(work)

    def caller(self, name: str, *, account: str = "", **claims: Any) -> Caller:
        """Somebody with a token; without claims and account nobody."""
        headers = {}
        if account or claims:
            given = {"accounts": [account], "roles": ["admin"]} if account and not claims else claims
            token = mint_token(self.app.settings, user=new_public_id(), **given)
            headers["Authorization"] = f"Bearer {token}"
        application = self.app.engine.application
        if self.door is None:
            return Caller(self, Client(application, name, headers), account)
        registry = self.app.engine.runtime.registry
        client = OldClient(application, name, headers, registry=registry, door=self.door, used=self.used)
        return Caller(self, client, account)

    def operator(self) -> Caller:
        """Sees every account."""
        return self.caller("operator", is_operator=True)

    def new_account(self, name: str) -> Caller:
        """An account without objects, as its administrator."""
        reply = self.operator().send("POST", "/v3/crud/account/", {"name": name})
        assert reply.status == 201, str(reply)
        return self.caller(name, account=reply.data["id"])


@contextmanager
def stage_on(url: str, registry: Path) -> Iterator[Stage]:
    """Prepare a database and run the application on it."""
    settings = make_settings(url, registry)
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()
    try:
        loop.run_until_complete(prepare(settings))
        app = loop.run_until_complete(stack.enter_async_context(running(settings)))
        yield Stage(app, loop)
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()
