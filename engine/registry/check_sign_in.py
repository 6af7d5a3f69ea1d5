"""How the people of a registry sign in: which fields hold a name, a password and roles; read and checked.

What a sign-in does is `auth/sign_in.py`'s business. A field is found by what it is where `auth` names none: the name
is the field `email`, the password the one with ``password: true``. Roles are never guessed: a field that
happens to be called so, and that anybody may write, would make everybody what he likes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engine.registry.findings import Path, Report, suggest
from engine.registry.grammar import AuthDeclaration, RegistryFile
from engine.registry.resource import Registry, Resource
from engine.registry.sign_in import SignInFields

LOGIN_FIELD = "email"
LAST_LOGIN_FIELD = "last_login_on"

_TEXT = ("string", "email", "text", "uuid")


def read_sign_in(said: AuthDeclaration | None, types: Mapping[str, Resource]) -> SignInFields | None:
    """How people sign in; None where the registry has nobody who could."""
    user = types.get(said.user) if said is not None else None
    if said is None or user is None:
        return None
    login = said.login or LOGIN_FIELD
    password = said.password or next((field.name for field in user.fields.values() if field.password), None)
    if password is None or password not in user.fields or login not in user.fields:
        return None
    if user.account.kind not in ("own", "none"):
        return None
    last_login = user.fields.get(LAST_LOGIN_FIELD)
    return SignInFields(
        login=login,
        password=password,
        roles=said.roles if said.roles in user.fields else None,
        default_roles=tuple(said.default_roles),
        last_login=LAST_LOGIN_FIELD if last_login is not None and last_login.kind == "datetime" else None,
    )


def check_sign_in(registry: Registry, said: RegistryFile, uncertain: Collection[str], report: Report) -> None:
    """Report fields that are none, or cannot be what they are named for, and roles that do not exist."""
    auth = said.auth
    user = registry.types.get(auth.user) if auth is not None else None
    if auth is None or user is None:
        return
    for key, kinds in (("login", _TEXT), ("password", None), ("roles", ("json",))):
        name = getattr(auth, key)
        if name is None:
            continue
        path: Path = ("auth", key)
        field = user.fields.get(name)
        if field is None:
            if user.name not in uncertain:
                message = f"{user.name} has no field `{name[:60]}`"
                report.add("R202", path, message, label=suggest(name, user.fields))
        elif key == "password" and not field.password:
            report.add("R505", path, f"{user.name}.{name} is no password", help=f"{name}: {{password: true}}")
        elif kinds is not None and field.kind not in kinds:
            report.add("R505", path, f"{user.name}.{name} is {field.kind}; {key} takes {' or '.join(kinds)}")
        elif key == "roles" and field.is_createable and field.write is None:
            report.add(
                "R505", path, f"whoever may change {user.plural.lower()} could give himself any role by {name}",
                help=f'{name}: {{type: json, items: string, write: "meta:roles"}}, or readonly: true',
            )  # fmt: skip
    for index, role in enumerate(auth.default_roles):
        if role not in said.roles:
            path = ("auth", "default_roles", index)
            report.add("R505", path, f"there is no role `{role[:60]}`", label=suggest(role, said.roles))
