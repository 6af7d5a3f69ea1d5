from __future__ import annotations

from typing import Any

import pytest

from engine.auth.mint import EVERYTHING, MintRefused, mint_token, parse_duration, parse_words
from engine.auth.tokens import make_verifier
from engine.errors import Unauthenticated
from engine.settings import Settings

NOW = 1_800_000_000
SETTINGS = Settings(mode="dev", jwt_secret="0f8c1e5b7a2d4c6f9e3b1a5d7c9f2e4b-Zq", jwt_audience="api", jwt_issuer="us")
VERIFIER = make_verifier(SETTINGS, now=lambda: NOW)


def mint(**wanted: Any) -> bytes:
    return mint_token(SETTINGS, now=lambda: NOW, **wanted).encode()


def test_a_minted_token_is_accepted_and_claims_what_was_asked() -> None:
    found = VERIFIER.verify(mint(user="u" * 22, accounts=["a" * 22], roles=["editor"], scopes=["x:read"], ttl_s=90))
    assert (found.subject, found.accounts, found.is_operator) == ("u" * 22, ("a" * 22,), False)
    assert (found.roles, found.scopes, found.expires_at) == (("editor",), frozenset({"x:read"}), NOW + 90)


def test_an_operator_gets_every_scope_unless_some_are_named() -> None:
    found = VERIFIER.verify(mint(is_operator=True))
    assert found.is_operator
    assert found.scopes == frozenset(EVERYTHING)
    assert VERIFIER.verify(mint(is_operator=True, scopes=["x:read"])).scopes == {"x:read"}
    assert VERIFIER.verify(mint(is_operator=True, roles=["viewer"])).scopes == frozenset()


def test_a_minted_token_names_the_audience_and_issuer_that_are_configured() -> None:
    other = SETTINGS.model_copy(update={"jwt_audience": "other"})
    with pytest.raises(Unauthenticated):
        VERIFIER.verify(mint_token(other, is_operator=True, now=lambda: NOW).encode())


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"accounts": ["a" * 22]},
        {"is_operator": True, "accounts": ["a" * 22]},
        {"is_operator": True, "ttl_s": 0},
        {"is_operator": True, "ttl_s": -1},
        {"is_operator": True, "ttl_s": 10**9},
    ],
)
def test_a_token_that_could_do_nothing_or_never_ends_is_not_made(wanted: dict[str, Any]) -> None:
    with pytest.raises(MintRefused):
        mint(**wanted)


def test_without_a_secret_nothing_is_signed() -> None:
    with pytest.raises(MintRefused, match="AETHER_JWT_SECRET"):
        mint_token(SETTINGS.model_copy(update={"jwt_secret": None}), is_operator=True)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), (" 90d ", 90 * 86_400), ("2w", 14 * 86_400)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "0h", "-1h", "1.5h", "1y", "1H", "1h1m", "1 h", "9999999999s", "١h"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(MintRefused):
        parse_duration(text)


def test_words_are_separated_by_spaces_or_commas() -> None:
    assert parse_words("a:read, b:write  a:read") == ("a:read", "b:write")
    assert parse_words("") == ()
