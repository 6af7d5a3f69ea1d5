"""The demo: its data, a token for its first account, and something to try. `serving.py` serves it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from engine.auth.mint import EVERYTHING, mint_token
from engine.cli.ground import opened
from engine.cli.terminal import say
from engine.io.seed import seed, seed_id
from engine.main import plugin_directory
from engine.registry.resource import Registry
from engine.registry.source import read_source
from engine.settings import Settings

DATA = "demo.yaml"
TOKEN_FILE = Path("var/demo/token")
TTL_S = 12 * 3600

TEXT = """
Aether API answers at {url} with demo data. A token for twelve hours stands in {token_file}. Try, in another terminal:

  curl -s {url}{path}{body} \\
    -H "Authorization: Bearer $(cat {token_file})"
{people}
  {url}/docs shows every route. Ctrl-C stops the server.
  After `export AETHER_MODE=demo` the other commands (.venv/bin/aether doctor, say) work on the same data.
"""
SEARCH = """ \\
    -H 'Content-Type: application/json' -d '{"q": "field", "limit": 2}'"""
PEOPLE = """
Or sign in at POST /v3/action/auth/login, with one of these names and passwords:

"""


async def show_demo(settings: Settings, registry: Registry, url: str) -> None:
    """Put the demo data in where it is not yet, leave a token, and say what to try.

    Raises:
        SeedRefused: The data does not fit the registry.
    """
    file = data_file(settings)
    content: dict[str, dict[str, Any]] = {}
    if file.is_file():
        async with opened(settings) as database:
            await seed(database, registry, file)
        content = read_source(file.read_bytes(), str(file)).value or {}
    account, user = (_first_id(content, name) for name in (registry.account_type, registry.user_type))
    token = mint_token(
        settings,
        user=user,
        accounts=[account] if account else (),
        is_operator=account is None,
        scopes=EVERYTHING,
        ttl_s=TTL_S,
    )
    _keep(token)
    # The type with the most rows is the one worth searching.
    most = max((name for name in content if name in registry.types), key=lambda name: len(content[name]), default=None)
    path, body = ("/v3/crud/", "") if most is None else (f"/v3/crud/{most}/search", SEARCH)
    people = _people(content, registry)
    say(TEXT.format(url=url, token_file=TOKEN_FILE, path=path, body=body, people=people))


def data_file(settings: Settings) -> Path:
    """The demo data: beside the registry's overrides, else the shipped ones."""
    return plugin_directory(settings, "resources") / DATA


def _first_id(content: dict[str, dict[str, Any]], type_name: str | None) -> str | None:
    """The public id of a type's first row in the data."""
    rows = content.get(type_name or "") or {}
    for name, row in rows.items():
        return str((row or {}).get("id") or seed_id(type_name or "", name))
    return None


def _people(content: dict[str, dict[str, Any]], registry: Registry) -> str:
    """Who may sign in, as the data say; the passwords of a demo are no secrets."""
    fields = registry.sign_in
    if fields is None:
        return ""
    rows = (content.get(registry.user_type or "") or {}).values()
    lines = []
    for row in rows:
        if row and {fields.login, fields.password} <= row.keys():
            roles = ", ".join(row.get(fields.roles or "") or fields.default_roles)
            lines.append(f"  {row[fields.login]}  {row[fields.password]}  ({roles})\n")
    return PEOPLE + "".join(lines) if lines else ""


def _keep(token: str) -> None:
    """Write the token where only its owner reads it."""
    TOKEN_FILE.parent.mkdir(parents=True, exist_ok=True)
    TOKEN_FILE.unlink(missing_ok=True)
    descriptor = os.open(TOKEN_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
