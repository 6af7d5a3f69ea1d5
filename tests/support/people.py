"""An application with people who sign in: two accounts, their users, and clients from any address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from engine.auth.mint import mint_token
from engine.io.passwords import Passwords
from tests.support.databases import sql_for
from tests.support.serving import ROOT, Client, Reply, Running, make_settings, prepare, running

SHIPPED = ROOT / "resources.yaml"
PASSWORD = "a password of tests"
LIGHT = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""Computes what it must and costs nothing: the real parameters take a tenth of a second each."""


def lighten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let applications that start from now on compute passwords by light parameters."""
    monkeypatch.setattr("engine.main.Passwords", partial(Passwords, hasher=LIGHT))


@dataclass
class Town:
    """A running application, and what was made in it.

    Attributes:
        accounts: Public ids by letter.
        users: Public ids by e-mail address.
        replies: Everything that was answered.
    """

    app: Running
    accounts: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)

    def client(self, headers: Mapping[str, str] | None = None, *, address: str = "192.0.2.1") -> Client:
        """Somebody at an address."""
        application = self.app.engine.application

        async def at_address(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await application({**scope, "client": (address, 50_000)}, receive, send)

        return Client(at_address, headers=headers or {}, listener=self.replies.append)

    def minted(self, letter: str = "a", **claims: Any) -> Client:
        """Somebody of an account, with a token that no sign-in made; an administrator unless told."""
        given = claims or {"roles": ["admin"]}
        token = mint_token(self.app.settings, accounts=[self.accounts[letter]], **given)
        return self.client({"Authorization": f"Bearer {token}"})

    def operator(self, letter: str | None = None) -> Client:
        """Who sees everything; in an account where one is given."""
        headers = {"Authorization": f"Bearer {mint_token(self.app.settings, is_operator=True)}"}
        if letter is not None:
            headers["X-Account-Id"] = self.accounts[letter]
        return self.client(headers)

    def bearing(self, reply: Reply) -> Client:
        """Who has signed in."""
        return self.client({"Authorization": f"Bearer {reply.data['access_token']}"})

    async def make_account(self, letter: str) -> None:
        """A new account."""
        reply = await self.operator().send("POST", "/v3/crud/account/", {"name": letter})
        assert reply.status == 201, reply
        self.accounts[letter] = reply.data["id"]

    async def make_user(self, email: str, letter: str = "a", **more: Any) -> str:
        """A new user."""
        body = {"name": email, "email": email, "password": PASSWORD, **more}
        reply = await self.operator(letter).send("POST", "/v3/crud/user/", body)
        assert reply.status == 201, reply
        self.users[email] = reply.data["id"]
        return str(reply.data["id"])

    async def login(
        self, email: str, password: str = PASSWORD, *, address: str = "192.0.2.1", headers: Any = None, **more: Any
    ) -> Reply:
        """Try to sign in."""
        client = self.client(headers, address=address)
        return await client.send("POST", "/v3/action/auth/login", {"email": email, "password": password, **more})

    async def refresh(self, token: str) -> Reply:
        """Try to exchange a refresh token."""
        return await self.client().send("POST", "/v3/action/auth/refresh", {"refresh_token": token})

    async def logout(self, token: str) -> Reply:
        """Sign out."""
        return await self.client().send("POST", "/v3/action/auth/logout", {"refresh_token": token})

    async def execute(self, sql: str, *binds: object) -> int:
        """A change by SQL, past the application."""
        database = self.app.engine.database
        return await database.execute(sql_for(database, sql), binds)

    async def fetch(self, sql: str, *binds: object) -> list[tuple[Any, ...]]:
        """Rows by SQL, past the application."""
        database = self.app.engine.database
        return list(await database.fetch(sql_for(database, sql), binds))


@asynccontextmanager
async def settled(url: str, registry: Path = SHIPPED, **settings: Any) -> AsyncIterator[Town]:
    """An application with the accounts ``a`` and ``b``. Callers are not remembered, so that changes show at once."""
    made = make_settings(url, registry, **{"token_cache_s": 0, **settings})
    await prepare(made)
    async with running(made) as app:
        town = Town(app)
        for letter in "ab":
            await town.make_account(letter)
        yield town
