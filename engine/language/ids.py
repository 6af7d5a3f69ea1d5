"""Public ids: what one looks like, and how a new one is drawn.

How a public id becomes a row id is not known here; see `io/resolver.py`.
"""

from __future__ import annotations

import re
import secrets
from typing import TypeGuard

PUBLIC_ID = re.compile(r"[A-Za-z0-9_-]{11,64}")
PUBLIC_ID_LENGTH = 22

_is_match = PUBLIC_ID.fullmatch


def is_public_id(value: object) -> TypeGuard[str]:
    """Whether a value can be a public id at all. Only such values may reach SQL as ids.

    Only a string is an id: in MariaDB ``id_random = 0`` matches nearly every row.
    """
    return type(value) is str and _is_match(value) is not None


def new_public_id() -> str:
    """Draw a new public id: 22 characters that carry 128 random bits."""
    return secrets.token_urlsafe(16)
