"""Validators of a reply: ETags. What a request's preconditions say about them is `language/call.py`'s.

An object's ETag is ``"<version>-<8 hex digits of a hash of the body>"``. The version is
what writes compare; the hash makes the tag change with what the body shows besides
(a renamed relation, other fields asked for).
"""

from __future__ import annotations

from hashlib import blake2b

_HASH_BYTES = 4


def object_etag(version: int | None, body: bytes) -> str:
    """The ETag of one object.

    Args:
        version: The row's version; None where the type keeps none: then a hash of the row stands in for it.
        body: The bytes of the reply.
    """
    digest = blake2b(body, digest_size=_HASH_BYTES).hexdigest()
    return f'"{digest if version is None else version}-{digest}"'


def etag_version(etag: str) -> str:
    """The version part of an ETag of ours, unquoted; the whole tag where it is none of ours."""
    return etag.strip('"').partition("-")[0]
