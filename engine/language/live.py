"""Live frames: what a client of `/v3/live` may say, and the tokens by which it goes on where it stopped.

Names in a subscription are names and no more; `plan/live.py` says whether they exist. How frames travel is
`http/live.py`'s business. A token is a position in the stream of changes, sealed: it grants nothing, since
whoever resumes is checked as if he came without one, and it holds nothing of a row.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, replace
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import BadRequest, ErrorItem, Problem, ValidationFailed
from engine.language.json import decode_json
from engine.language.search import EMPTY_SEARCH, SearchBody, parse_search, suggest

MAX_UID = 64
MAX_TOKEN_BYTES = 400
TOKEN_PREFIX = "l1."
SUBSCRIBE_KEYS = ("type", "uid", "obj_type", "parent", "search", "since")

_NONCE_BYTES = 12
_BINDING = b"aether live token"


@dataclass(frozen=True, slots=True)
class Auth:
    """``auth``: the token of a client that could not send headers."""

    token: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """``subscribe``.

    Attributes:
        uid: The client's own name for the subscription.
        parent: Type and public id of the parent whose children are followed; None = all rows.
        since: A token, or None to begin now.
    """

    uid: str
    obj_type: str
    parent: tuple[str, str] | None = None
    search: SearchBody = EMPTY_SEARCH
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """``unsubscribe``."""

    uid: str


@dataclass(frozen=True, slots=True)
class Ping:
    """``ping``; a ``pong`` reads as one that wants no answer."""

    wants_answer: bool = True


Frame = Auth | Subscribe | Unsubscribe | Ping


class FrameRefused(Exception):
    """A frame that says nothing that can be done.

    Attributes:
        uid: The subscription that it is about, as far as it can be told.
        problem: Why.
    """

    def __init__(self, uid: str | None, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.uid = uid
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the stream of changes.

    Attributes:
        entry: The stream's own name for an entry: one committed write, whatever it wrote.
        index: How many of its rows have been told.
    """

    entry: str
    index: int


# ---------------------------------------------------------------- frames


def parse_frame(raw: str | bytes) -> Frame:
    """Read a client's frame.

    Raises:
        FrameRefused: It is not strict JSON, or no frame that there is; with every fault at once.
    """
    try:
        read = decode_json(raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw)
    except Problem as problem:
        raise FrameRefused(None, problem) from problem
    if not isinstance(read, dict):
        raise FrameRefused(None, BadRequest('A frame is an object with a "type".'))
    uid = read.get("uid")
    known = uid if isinstance(uid, str) and len(uid) <= MAX_UID else None
    kind = read.get("type")
    try:
        if kind == "auth":
            return Auth(_text(read, "token"))
        if kind == "subscribe":
            return parse_subscribe(read)
        if kind == "unsubscribe":
            return Unsubscribe(_uid(read))
        if kind in ("ping", "pong"):
            return Ping(kind == "ping")
    except ValidationFailed as problem:
        raise FrameRefused(known, problem) from problem
    detail = "The type of a frame is auth, subscribe, unsubscribe or ping."
    raise FrameRefused(known, ValidationFailed(errors=[ErrorItem("not-in-enum", detail, pointer="/type")]))


def parse_subscribe(read: dict[str, object], *, with_uid: bool = True) -> Subscribe:
    """Read what is to be followed.

    Args:
        read: The frame as JSON.
        with_uid: Whether it names itself; a stream of server-sent events is one subscription and has no name.

    Raises:
        ValidationFailed: With every fault.
    """
    faults: list[ErrorItem] = []
    for key in read:
        if key not in SUBSCRIBE_KEYS:
            detail = f"{key[:80]!r} is not a key of a subscription."
            item = ErrorItem("unknown-field", detail, pointer=f"/{key[:80]}", suggestions=suggest(key, SUBSCRIBE_KEYS))
            faults.append(item)
    uid = ""
    try:
        uid = _uid(read) if with_uid else ""
    except ValidationFailed as fault:
        faults.extend(fault.errors)
    obj_type = read.get("obj_type")
    if not isinstance(obj_type, str):
        faults.append(ErrorItem("required", "obj_type names the type to be followed.", pointer="/obj_type"))
    since = read.get("since")
    if since is not None and not isinstance(since, str):
        faults.append(ErrorItem("type-mismatch", "A token is a string.", pointer="/since"))
    search = EMPTY_SEARCH
    if read.get("search") is not None:
        try:
            search = parse_search(read["search"])
        except ValidationFailed as fault:
            faults.extend(below_search(fault.errors))
    parent = _parent(read.get("parent"), faults)
    if faults:
        raise ValidationFailed(errors=faults)
    return Subscribe(uid, str(obj_type), parent, search, since if isinstance(since, str) else None)


def below_search(errors: tuple[ErrorItem, ...]) -> list[ErrorItem]:
    """Faults of a search as faults of the subscription that it stands in."""
    return [replace(item, pointer=f"/search{item.pointer}") if item.pointer is not None else item for item in errors]


def _uid(read: dict[str, object]) -> str:
    uid = _text(read, "uid")
    if len(uid) > MAX_UID:
        detail = f"A uid has at most {MAX_UID} characters."
        raise ValidationFailed(errors=[ErrorItem("too-long", detail, pointer="/uid")])
    return uid


def _text(read: dict[str, object], key: str) -> str:
    value = read.get(key)
    if not isinstance(value, str) or not value:
        detail = f"A string is needed as {key}."
        raise ValidationFailed(errors=[ErrorItem("required", detail, pointer=f"/{key}")])
    return value


def _parent(value: object, faults: list[ErrorItem]) -> tuple[str, str] | None:
    if value is None:
        return None
    if isinstance(value, dict) and set(value) == {"type", "id"}:
        name, public_id = value["type"], value["id"]
        if isinstance(name, str) and isinstance(public_id, str):
            return name, public_id
    faults.append(ErrorItem("type-mismatch", 'A parent is {"type": …, "id": …}, both strings.', pointer="/parent"))
    return None


# ---------------------------------------------------------------- tokens


def seal_token(place: Place, *, key: bytes) -> str:
    """Make a token of a position."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + _cipher(key).encrypt(nonce, f"{place.index}:{place.entry}".encode("ascii"), _BINDING)
    return TOKEN_PREFIX + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def open_token(token: str, *, key: bytes) -> Place | None:
    """Read a token that we have made; None for anything else, which is as good as one that is too old."""
    if len(token) > MAX_TOKEN_BYTES or not token.startswith(TOKEN_PREFIX) or not token.isascii():
        return None
    text = token[len(TOKEN_PREFIX) :]
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        # Base64 has several spellings of some bytes; only the one that we issue counts.
        if base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii") != text:
            return None
        plain = _cipher(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _BINDING).decode("ascii")
        index, _, entry = plain.partition(":")
        return Place(entry, int(index))
    except (binascii.Error, ValueError, InvalidTag):
        return None


@lru_cache(maxsize=16)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(hashlib.blake2b(key, digest_size=32, person=b"aether-live").digest())
