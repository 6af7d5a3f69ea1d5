"""By which fields of the user type people sign in. How they are found and checked is `check_sign_in.py`'s business."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInFields:
    """The fields of the user type by which people sign in.

    Attributes:
        login: What they type as their name.
        password: Its argon2id hash.
        roles: A json list of roles; None where all have `default_roles`.
        default_roles: Roles of those whose `roles` is NULL.
        last_login: Takes the time of each sign-in, where the type has it.
    """

    login: str
    password: str
    roles: str | None = None
    default_roles: tuple[str, ...] = ()
    last_login: str | None = None
