"""What of committed writes travels to those who follow changes: rows as they were and as they are, one entry a commit.

Entries leave the process sealed: what Redis holds for a while can be neither read nor forged there. They never reach
a client. Who publishes and reads them is `streams.py`'s and `redis_streams.py`'s business.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_IMAGE_BYTES = 16 * 1024
MAX_VALUE_BYTES = 256
ROWS_PER_ENTRY = 100
ROW_BYTES, VALUE_BYTES = 100, 16

_NONCE_BYTES = 12
_BINDING = b"aether live entry"
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


@dataclass(frozen=True, slots=True)
class Image:
    """A row as it was at one moment.

    Attributes:
        values: As the driver gave them, in the order of `sql.live.image_columns`.
        omitted: Places whose values were too large to carry.
    """

    values: tuple[Any, ...]
    omitted: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class RowChange:
    """What one commit made of one row.

    Attributes:
        type: A type of the row's table.
        row_id: Never leaves the server.
        account_row_id: Whose row it is; None = of no account, or not known here.
        version: After the change; None where the type keeps none, or where the row is gone.
        before: None where there was no row.
        after: None where there is none any more.
        is_blind: Nothing is known but that rows of the type have changed.
    """

    type: str
    public_id: str
    row_id: int
    account_row_id: int | None
    version: int | None = None
    before: Image | None = None
    after: Image | None = None
    is_blind: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One commit.

    Attributes:
        node: The process that wrote.
        number: Counts its entries, so that a lost one is noticed.
        digest: Of its registry; another registry's images mean something else.
        rows: What was changed; none where the process has lost something and says so.
    """

    node: str
    number: int
    digest: str
    rows: tuple[RowChange, ...]


def make_image(values: Sequence[Any]) -> Image:
    """A row as an image; the largest values are left out where it would be too large."""
    sizes = {
        index: len(value)
        for index, value in enumerate(values)
        if isinstance(value, (str, bytes)) and len(value) > MAX_VALUE_BYTES
    }
    left = sum(sizes.values())
    omitted: set[int] = set()
    for index in sorted(sizes, key=lambda one: -sizes[one]):
        if left <= MAX_IMAGE_BYTES:
            break
        omitted.add(index)
        left -= sizes[index]
    if not omitted:
        return Image(tuple(values))
    kept = tuple(None if index in omitted else value for index, value in enumerate(values))
    return Image(kept, frozenset(omitted))


def size_of(row: RowChange) -> int:
    """About how many bytes a row's change holds."""
    size = ROW_BYTES
    for image in (row.before, row.after):
        if image is not None:
            size += sum(len(value) if isinstance(value, (str, bytes)) else VALUE_BYTES for value in image.values)
    return size


def seal_entry(entry: Entry, *, key: bytes) -> bytes:
    """An entry as it travels."""
    rows = [
        [row.type, row.public_id, row.row_id, row.account_row_id, row.version, _pack(row.before), _pack(row.after),
         row.is_blind]
        for row in entry.rows
    ]  # fmt: skip
    plain = orjson.dumps([entry.node, entry.number, entry.digest, rows], default=_tag, option=_OPTIONS)
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(entry_key(key)).encrypt(nonce, plain, _BINDING)


def open_entry(sealed: bytes, *, key: bytes) -> Entry | None:
    """Read an entry; None where it is none of ours."""
    try:
        plain = AESGCM(entry_key(key)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _BINDING)
        node, number, digest, rows = orjson.loads(plain)
        return Entry(
            node,
            number,
            digest,
            tuple(
                RowChange(name, public_id, row_id, account, version, _unpack(before), _unpack(after), is_blind)
                for name, public_id, row_id, account, version, before, after, is_blind in rows
            ),
        )
    except (InvalidTag, ValueError, TypeError):
        return None


def entry_key(key: bytes) -> bytes:
    """The cipher's key, made of the deployment's secret."""
    return hashlib.blake2b(key, digest_size=32, person=b"aether-entries").digest()


def _pack(image: Image | None) -> object:
    return None if image is None else [list(image.values), sorted(image.omitted)]


def _unpack(packed: Any) -> Image | None:
    if packed is None:
        return None
    values, omitted = packed
    return Image(tuple(_untag(value) if type(value) is dict else value for value in values), frozenset(omitted))


def _tag(value: object) -> object:
    match value:
        case datetime():
            return {"m": value.isoformat()}
        case date():
            return {"d": value.isoformat()}
        case time():
            return {"t": value.isoformat()}
        case Decimal():
            return {"n": str(value)}
        case bytes() | bytearray():
            return {"b": base64.b64encode(value).decode("ascii")}
    raise TypeError(type(value).__name__)


def _untag(tagged: dict[str, str]) -> object:
    ((kind, text),) = tagged.items()
    return _READERS[kind](text)


_READERS: dict[str, Any] = {
    "m": datetime.fromisoformat,
    "d": date.fromisoformat,
    "t": time.fromisoformat,
    "n": Decimal,
    "b": base64.b64decode,
}
