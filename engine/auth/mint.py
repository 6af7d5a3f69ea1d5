"""Tokens of our own making: what `aether token mint` and a sign-in hand out.

How a token is verified is `auth/tokens.py`'s business.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

import jwt

from engine.auth.tokens import OPERATOR_MARK, SESSION_CLAIM
from engine.language.ids import new_public_id
from engine.settings import Settings

EVERYTHING = ("*:*", "action:*", "meta:*")
DEFAULT_TTL_S = 3600
MAX_TTL_S = 10 * 366 * 86_400

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhdw])")


class MintRefused(ValueError):
    """A token or key that cannot be made as asked; the text says why and what to give instead."""


def mint_token(
    settings: Settings,
    *,
    user: str | None = None,
    accounts: Sequence[str] = (),
    roles: Sequence[str] = (),
    scopes: Sequence[str] = (),
    is_operator: bool = False,
    session: str | None = None,
    ttl_s: int = DEFAULT_TTL_S,
    now: Callable[[], float] = time.time,
) -> str:
    """Make an HS256 token that this server accepts.

    Args:
        settings: They hold the secret, and the audience and issuer that the token must name.
        user: Public id for ``sub``; a fresh one where none is given.
        accounts: Public ids of the accounts.
        roles: Roles of the registry.
        scopes: Scopes. An operator for whom neither roles nor scopes are named gets all of them.
        is_operator: Claim all accounts instead of some.
        session: The sign-in that it is of; it ends with it, and the user's present roles count.
        ttl_s: Seconds until it expires.
        now: Unix time, seconds.

    Returns:
        The token alone.

    Raises:
        MintRefused: There is no secret to sign with, or the token could do nothing.
    """
    if settings.jwt_secret is None:
        raise MintRefused("There is no AETHER_JWT_SECRET to sign with; tokens come from whoever holds the private key.")
    if is_operator and accounts:
        raise MintRefused("An operator belongs to all accounts: give --operator or --account, not both.")
    if not is_operator and session is None and not (roles or scopes):
        raise MintRefused("The token could do nothing: give --role or --scopes.")
    if not 0 < ttl_s <= MAX_TTL_S:
        raise MintRefused("The token must live between a second and ten years.")
    issued_at = int(now())
    claims: dict[str, object] = {
        "sub": user or new_public_id(),
        "accounts": [OPERATOR_MARK] if is_operator else list(accounts),
        "scopes": list(EVERYTHING) if is_operator and not (roles or scopes) else list(scopes),
        "iat": issued_at,
        "exp": issued_at + ttl_s,
        "jti": new_public_id(),
    }
    if roles:
        claims["roles"] = list(roles)
    if session is not None:
        claims[SESSION_CLAIM] = session
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    return jwt.encode(claims, settings.jwt_secret, algorithm="HS256")


def parse_duration(text: str) -> int:
    """Read a duration of the command line (``90s 15m 1h 90d 2w``) as seconds.

    Raises:
        MintRefused: It is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise MintRefused(f"{text!r} is no duration: write a number and a unit, like 30m, 1h or 90d.")
    return int(match.group(1)) * _UNITS[match.group(2)]


def parse_words(text: str) -> tuple[str, ...]:
    """Read scopes or roles of the command line: separated by spaces or commas."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))
