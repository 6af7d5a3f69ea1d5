"""Who is asking: the value that every plan is made for.

It holds what a token or key proved, with accounts already resolved to row ids.
It does not hold what the registry makes of it (see `plan/rights.py`) nor how it
was proved (see `auth/`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Account:
    """One account that the caller belongs to."""

    row_id: int
    public_id: str


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller.

    Attributes:
        kind: ``anonymous`` sees public types only; ``user`` came with a token, ``key`` with an API key.
        subject: Public id of the user (the token's ``sub``) or of the key; None for anonymous.
        accounts: The accounts this request reads over. Narrowed to one by ``X-Account-Id``.
        is_operator: A platform operator (``accounts: ["*"]``). With empty `accounts` he reads over all.
        scopes: Scopes as granted directly (``journal:read``, ``*:*``, ``action:…``, ``meta:…``).
        roles: Registry roles as granted; sorted.
        user_row_id: Row id of the user, where the registry names a user type and the row exists.
    """

    kind: Literal["anonymous", "user", "key"]
    subject: str | None = None
    accounts: tuple[Account, ...] = ()
    is_operator: bool = False
    scopes: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ()
    user_row_id: int | None = None

    @property
    def sees_all_accounts(self) -> bool:
        """Whether no account condition narrows this caller: an operator who has picked none."""
        return self.is_operator and not self.accounts


ANONYMOUS = Principal(kind="anonymous")
