"""Signed URLs: leave for whoever holds one to fetch one file for a while, without credentials.

The signature binds method, object, account, bytes and the time at which it ends; nothing of it can be altered.
What it is worth is decided anew at each use: the object must still be there, with the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

MAX_EXPIRES_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Leave:
    """What a signature covers.

    Attributes:
        path: Of the URL, its ids in it.
        account: Public id of the account on whose behalf the file is read; empty for a file of none.
        digest: Of the bytes that were there when it was signed.
        expires_at: Unix time in whole seconds.
    """

    path: str
    account: str
    digest: str
    expires_at: int


def sign(leave: Leave, key: bytes) -> str:
    """The signature, URL-safe.

    Args:
        leave: What is allowed: GET and HEAD of its path.
        key: Any secret bytes; the key of signatures is derived from them.
    """
    spelled = "\n".join(("GET", leave.path, leave.account, leave.digest, str(leave.expires_at)))
    signing_key = hashlib.blake2b(key, digest_size=32, person=b"aether signed").digest()
    digest = hmac.digest(signing_key, spelled.encode("utf-8"), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def holds(leave: Leave, signature: str, key: bytes, *, now: float) -> bool:
    """Whether a signature is of this leave, and its time has not come. The comparison takes as long for all."""
    is_ours = hmac.compare_digest(sign(leave, key).encode("ascii"), signature.encode("utf-8", "replace"))
    return is_ours and now < leave.expires_at


def read_expiry(text: str) -> int:
    """The time that a URL says; one that has passed where it says none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_EXPIRES_DIGITS else 0
