"""By which fields people sign in, and that nobody gives himself roles."""

from __future__ import annotations

import pytest

from engine.registry.load import Loaded, load_registry_text
from engine.registry.reflection import ReflectedDatabase
from engine.registry.sign_in import SignInFields

TEXT = """\
version: 1
auth: {user: member AUTH}
roles: {viewer: ["*:read"], editor: ["*:write"]}
types:
  firm: {table: firm, account: self, fields: {name: {type: string(200), required: true}}}
  member:
    table: member
    account: own
    fields:
      email: {type: email, required: true}
      nick: {type: string(40)}
      pass: {type: string(255), password: true}
      granted: {type: json, items: string GRANTED}
      last_login_on: {type: datetime, readonly: true}
"""


def load(auth: str = "", granted: str = "", text: str = TEXT) -> Loaded:
    """The registry with something more said."""
    said = text.replace(" AUTH", auth).replace(" GRANTED", granted)
    return load_registry_text(said, ReflectedDatabase(dialect="mariadb"))


def test_a_name_and_a_password_are_found_by_what_they_are() -> None:
    target = load().target
    assert target is not None
    assert target.sign_in == SignInFields(login="email", password="pass", last_login="last_login_on")


def test_what_is_named_is_taken() -> None:
    loaded = load(", login: nick, password: pass, roles: granted, default_roles: [viewer]", ', write: "meta:roles"')
    assert loaded.findings == ()
    assert loaded.target is not None
    assert loaded.target.sign_in == SignInFields(
        login="nick", password="pass", roles="granted", default_roles=("viewer",), last_login="last_login_on"
    )


@pytest.mark.parametrize("granted", ['write: "meta:roles"', "write: editor", "readonly: true", "hidden: true"])
def test_roles_that_not_all_may_write_are_taken(granted: str) -> None:
    loaded = load(", roles: granted", f", {granted}")
    assert loaded.findings == ()


def test_roles_that_everybody_may_write_who_may_change_users_are_an_error() -> None:
    (finding,) = load(", roles: granted").findings
    assert (finding.code, finding.severity) == ("R505", "error")
    assert "any role" in finding.message
    assert "meta:roles" in (finding.help or "")


@pytest.mark.parametrize(
    ("old", "new"),
    [("email: {type: email, required: true}", "mail: {type: email}"), (", password: true", ", secret: true")],
)
def test_without_a_name_or_a_password_nobody_signs_in(old: str, new: str) -> None:
    loaded = load(text=TEXT.replace(old, new))
    assert loaded.findings == ()
    assert loaded.target is not None
    assert loaded.target.sign_in is None
