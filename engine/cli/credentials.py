"""Commands about credentials: `token mint`, `apikey create|list|revoke`. A credential is alone on standard output."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from engine.auth import keys
from engine.auth.mint import mint_token, parse_duration, parse_words
from engine.auth.people import People
from engine.cli.ground import Ground, find_ground, lay_ground, opened, read_settings
from engine.cli.terminal import Refused, remark, say, show_table
from engine.io.database import Database
from engine.language.ids import is_public_id
from engine.registry.findings import suggest
from engine.registry.resource import Registry, Resource
from engine.settings import Settings, load_settings

Scopes = Annotated[str, typer.Option(help='Scopes, like "journal:read journal_entry:write".')]
Roles = Annotated[list[str] | None, typer.Option("--role", help="A role of the registry; may be given again.")]


def mint(
    operator: Annotated[bool, typer.Option("--operator", help="For all accounts; every scope unless told.")] = False,
    user: Annotated[str | None, typer.Option(help="Public id of the user.")] = None,
    account: Annotated[list[str] | None, typer.Option(help="Public id of an account; may be given again.")] = None,
    role: Roles = None,
    scopes: Scopes = "",
    ttl: Annotated[str, typer.Option(help="How long it lives: 30m, 1h, 90d.")] = "1h",
) -> None:
    """Print a token that this server accepts (HS256)."""
    settings = load_settings()
    accounts = account or []
    for what, public_id in [("user", user), *(("account", one) for one in accounts)]:
        if public_id is not None and not is_public_id(public_id):
            raise Refused(f"{what} {public_id!r} is no public id: those have 11 to 64 letters, digits, _ or -.")
    if not operator and not accounts:
        remark("warning: without --account the token opens shared types only.")
    roles = role or []
    if roles:
        _check_roles(roles, settings)
    token = mint_token(
        settings,
        user=user,
        accounts=accounts,
        roles=roles,
        scopes=parse_words(scopes),
        is_operator=operator,
        ttl_s=parse_duration(ttl),
    )
    say(token)


def create_key(
    account: Annotated[str | None, typer.Option(help="Public id of the account it belongs to.")] = None,
    scopes: Scopes = "",
    role: Roles = None,
    expires: Annotated[str | None, typer.Option(help="How long it lives: 30m, 1h, 90d. For ever without.")] = None,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
) -> None:
    """Make an API key and print it: it cannot be shown again."""
    expires_on = None if expires is None else datetime.now(UTC) + timedelta(seconds=parse_duration(expires))
    key = asyncio.run(_create(read_settings(), account, name, parse_words(scopes), role or [], expires_on))
    say(key)


def list_keys(
    account: Annotated[str | None, typer.Option(help="Public id of an account: its keys alone.")] = None,
) -> None:
    """List API keys, revoked and expired ones among them."""
    found = asyncio.run(_list(read_settings(), account))
    now = datetime.now(UTC)
    rows = [
        (
            key.public_id,
            key.account_id or "–",
            key.name or "–",
            " ".join((*key.scopes, *(f"role:{role}" for role in key.roles))),
            _day(key.expires_on),
            _day(key.last_used_on),
            _state(key, now),
        )
        for key in found
    ]
    show_table(("ID", "ACCOUNT", "NAME", "SCOPES", "EXPIRES", "LAST USED", "STATE"), rows)


def revoke_key(id: Annotated[str, typer.Argument(help="The key's id: what stands before its dot.")]) -> None:
    """Revoke an API key. Every process refuses it within five seconds."""
    public_id = id.partition(".")[0]
    if not asyncio.run(_revoke(read_settings(), public_id)):
        raise Refused(f"There is no key {public_id!r} that is not revoked already; `aether apikey list` shows them.")
    say(f"{public_id} is revoked.")


# ---------------------------------------------------------------- private


async def _create(
    settings: Settings,
    account: str | None,
    name: str,
    scopes: Sequence[str],
    roles: Sequence[str],
    expires_on: datetime | None,
) -> str:
    ground = await find_ground(settings)
    if roles:
        _check_known(roles, ground.registry)
    async with opened(settings) as database:
        row_id = None if account is None else await _find_account(ground, database, account)
        if row_id is None:
            remark("warning: without --account the key opens shared types only.")
        made = await keys.create_key(
            database, account_row_id=row_id, name=name, scopes=scopes, roles=roles, expires_on=expires_on
        )
    remark(f"key {made.public_id} made; it is shown this once:")
    return made.key


async def _list(settings: Settings, account: str | None) -> list[keys.ListedKey]:
    ground = await find_ground(settings)
    async with opened(settings) as database:
        row_id = None if account is None else await _find_account(ground, database, account)
        return await keys.list_keys(database, _account_type(ground.registry), account_row_id=row_id)


async def _revoke(settings: Settings, public_id: str) -> bool:
    async with opened(settings) as database:
        return await keys.revoke_key(database, public_id)


async def _find_account(ground: Ground, database: Database, public_id: str) -> int:
    if _account_type(ground.registry) is None:
        raise Refused("The registry has no account type (`account: self`): leave --account out.")
    found = await People(ground.registry, database).find_accounts([public_id])
    if not found:
        raise Refused(f"There is no account {public_id!r}.")
    return found[0].row_id


def _account_type(registry: Registry) -> Resource | None:
    return registry.types.get(registry.account_type) if registry.account_type else None


def _check_roles(roles: Sequence[str], settings: Settings) -> None:
    """Refuse roles that open nothing. A registry that cannot be read keeps nobody from making a token."""
    loaded = lay_ground(settings).loaded
    registry = loaded.registry or loaded.target
    if registry is not None:
        _check_known(roles, registry)


def _check_known(roles: Sequence[str], registry: Registry) -> None:
    for role in roles:
        if role not in registry.roles:
            hint = suggest(role, registry.roles) or f"it has {', '.join(registry.roles) or 'none'}"
            raise Refused(f"The registry has no role {role!r}; {hint}")


def _state(key: keys.ListedKey, now: datetime) -> str:
    if key.revoked_on is not None:
        return "revoked"
    return "expired" if key.expires_on is not None and key.expires_on <= now else "good"


def _day(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"
