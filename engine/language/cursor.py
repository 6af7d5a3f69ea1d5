"""Cursors: a position in one search, sealed so that nothing in it can be read or altered.

What the position means in SQL is `sql/keyset.py`'s business. A cursor grants
nothing: the search it continues is checked as if it came without one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import CursorMismatch
from engine.light import light

PREFIX = "c1."
MAX_TOKEN_BYTES = 16 * 1024
MAX_POSITION_BYTES = 11 * 1024

_NONCE_BYTES = 12
_REFUSAL = "This cursor does not belong to this search. Start again from the first page."

# Dataclasses by `repr`, which names the class: without it an And and an Or of the same parts would look alike.
_SPELLING = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS

Direction = Literal["next", "prev"]
SortValue = str | int | float | bytes | Decimal | None


@light
@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended.

    Attributes:
        values: What the sort keys were at the last row, as the driver gave them (decimals and times as text or number).
        row_id: The row's integer key, which breaks ties.
        direction: Whether the page after (``next``) or before (``prev``) is asked for.
    """

    values: tuple[SortValue, ...]
    row_id: int
    direction: Direction = "next"


def bind_search(*parts: object) -> bytes:
    """Hash what a cursor is bound to: type, parent, account, filter with its values, sort.

    Args:
        parts: JSON values and tuples of them, and frozen dataclasses, whose `repr` is the same whenever they are equal.
            The order of an object's keys does not count.
    """
    try:
        spelled = orjson.dumps(parts, default=_spell, option=_SPELLING)
    except TypeError:  # an integer beyond 64 bits, which no field takes
        spelled = repr(parts).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(spelled, digest_size=16).digest()


def encode_cursor(position: Position, *, key: bytes, binding: bytes) -> str | None:
    """Seal a position.

    Args:
        position: Where the page ended.
        key: Any secret bytes; the cipher's key is derived from them.
        binding: See `bind_search`. It is authenticated, not contained.

    Returns:
        The token, or None where the sort values are too long for one.
    """
    plain = orjson.dumps(
        [position.row_id, 1 if position.direction == "next" else 0, [_pack(value) for value in position.values]]
    )
    if len(plain) > MAX_POSITION_BYTES:
        return None
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + _cipher(key).encrypt(nonce, plain, binding)
    return PREFIX + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def decode_cursor(token: str, *, key: bytes, binding: bytes) -> Position:
    """Open what an earlier reply gave as ``next_cursor`` or ``prev_cursor``.

    Raises:
        CursorMismatch: The token is too long, is none of ours, was altered, or belongs to another search or key.
            They look alike on purpose.
    """
    if len(token) > MAX_TOKEN_BYTES or not token.startswith(PREFIX) or not token.isascii():
        raise CursorMismatch(_REFUSAL)
    text = token[len(PREFIX) :]
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        # Base64 has several spellings of some bytes; only the one we issue counts, so that no altered token passes.
        if base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii") != text:
            raise CursorMismatch(_REFUSAL)
        plain = _cipher(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], binding)
        row_id, is_next, packed = orjson.loads(plain)
        values = tuple(_unpack(value) for value in packed)
    except (binascii.Error, ValueError, TypeError, InvalidTag) as error:
        raise CursorMismatch(_REFUSAL) from error
    return Position(values, row_id, "next" if is_next else "prev")


@lru_cache(maxsize=512)
def _spell_frozen(value: object) -> str:
    return repr(value)


def _spell(value: object) -> str:
    try:
        return _spell_frozen(value)
    except TypeError:  # not hashable
        return repr(value)


@lru_cache(maxsize=16)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(hashlib.blake2b(key, digest_size=32, person=b"aether-cursor").digest())


def _pack(value: SortValue) -> object:
    if isinstance(value, bytes):
        return {"b": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Decimal):
        return {"d": str(value)}
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return {"i": str(value)}
    return value


def _unpack(value: object) -> SortValue:
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        if kind == "b":
            return base64.b64decode(text)
        return Decimal(text) if kind == "d" else int(text)
    return value  # type: ignore[return-value]
