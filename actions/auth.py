"""Sign-in: a password becomes a pair of tokens, a refresh token the next pair; and the API keys of an account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from engine import (
    Caller,
    ListedKey,
    Response,
    SignedIn,
    SignInDesk,
    action,
    envelope,
    list_api_keys,
    make_api_key,
    revoke_api_key,
)

API_KEYS = "action:api_key"
SCOPE = (
    r"^(?:(?:action|meta):(?:\*|[a-z0-9][a-z0-9_.-]*)"
    r"|(?:\*|[a-z][a-z0-9_]*):(?:read|create|update|delete|delete_hard|write|\*))$"
)
SMALL = 16 * 1024


class Body(BaseModel):
    """What all bodies here have in common: nothing is in them that is not known."""

    model_config = ConfigDict(extra="forbid")


class Login(Body):
    """A name and a password."""

    email: str = Field(min_length=1, max_length=320)
    password: str = Field(min_length=1, max_length=1024)
    account_id: str | None = Field(
        default=None, max_length=64, description="Where one address is used in several accounts: which."
    )
    refresh_token: str | None = Field(
        default=None, max_length=200, description="One of before, though it has ended: it shows that you are known."
    )


class Refresh(Body):
    """A refresh token."""

    refresh_token: str = Field(min_length=1, max_length=200)


class NewKey(Body):
    """What a key is for."""

    name: str = Field(min_length=1, max_length=200)
    scopes: list[Annotated[str, Field(max_length=200, pattern=SCOPE)]] = Field(min_length=1, max_length=200)
    expires_on: str | None = Field(default=None, max_length=64, json_schema_extra={"format": "date-time"})


@action("POST", "auth/login", name="auth_login", title="Sign in", scope=None, body_bytes=SMALL)
async def login(body: Login, desk: SignInDesk) -> Response:
    """Sign in with a password.

    The access token goes into `Authorization: Bearer …` until it expires; the refresh token gets the next pair.
    """
    signed_in = await desk.login(body.email, body.password, account_id=body.account_id, known_by=body.refresh_token)
    return _tokens(signed_in)


@action("POST", "auth/refresh", name="auth_refresh", title="Refresh tokens", scope=None, body_bytes=SMALL)
async def refresh(body: Refresh, desk: SignInDesk) -> Response:
    """Exchange a refresh token for a new pair. It holds once: used a second time, it ends the whole sign-in."""
    return _tokens(await desk.refresh(body.refresh_token))


@action("POST", "auth/logout", name="auth_logout", title="Sign out", scope=None, status=204, body_bytes=SMALL)
async def logout(body: Refresh, desk: SignInDesk) -> Response:
    """End a sign-in with all its tokens. Every process refuses them within five seconds."""
    await desk.logout(body.refresh_token)
    return Response(status_code=204)


@action("POST", "auth/api_key", name="api_key_make", title="Make an API key", scope=API_KEYS, status=201)
async def make_key(body: NewKey, caller: Caller) -> Response:
    """Make an API key for your account. It is shown this once, and opens nothing that you may not do yourself."""
    made = await make_api_key(caller, body.name, body.scopes, expires_on=body.expires_on)
    return envelope({**_shown(made.shown), "key": made.key}, status=201, is_secret=True)


@action("GET", "auth/api_key", name="api_key_list", title="List API keys", scope=API_KEYS)
async def list_keys(caller: Caller) -> Response:
    """The API keys of your account, oldest first: what they open, when they end, when they were used last."""
    return envelope([_shown(key) for key in await list_api_keys(caller)])


@action("DELETE", "auth/api_key/{id}", name="api_key_revoke", title="Revoke an API key", scope=API_KEYS, status=204)
async def revoke_key(id: str, caller: Caller) -> Response:
    """Revoke an API key of your account. Every process refuses it within five seconds."""
    await revoke_api_key(caller, id)
    return Response(status_code=204)


def _tokens(signed_in: SignedIn) -> Response:
    data = {
        "access_token": signed_in.access_token,
        "refresh_token": signed_in.refresh_token,
        "token_type": "Bearer",
        "expires_in": signed_in.expires_in,
    }
    return envelope(data, is_secret=True)


def _shown(key: ListedKey) -> dict[str, Any]:
    moments = {
        "created_on": key.created_on,
        "expires_on": key.expires_on,
        "last_used_on": key.last_used_on,
        "revoked_on": key.revoked_on,
    }
    return {
        "id": key.public_id,
        "account_id": key.account_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "roles": list(key.roles),
        **{name: _moment(value) for name, value in moments.items()},
    }


def _moment(value: datetime | None) -> str | None:
    """RFC 3339 in UTC; the fraction only where there is one."""
    if value is None:
        return None
    return value.replace(tzinfo=None).isoformat(timespec="microseconds" if value.microsecond else "seconds") + "Z"
