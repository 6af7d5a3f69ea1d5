"""Which scopes may be given away: never more than there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.plan.grants import is_scope, may_grant
from engine.plan.rights import VERBS, rights_of
from tests.support.registries import example_registry, principal_of

REGISTRY = example_registry()
WORDS = st.builds(
    "{}:{}".format, st.sampled_from([*REGISTRY.types, "*", "spaceship"]), st.sampled_from([*VERBS, "write", "*"])
)
NAMED = st.builds("{}:{}".format, st.sampled_from(["action", "meta"]), st.sampled_from(["one", "two", "*"]))


@given(has=st.sets(WORDS | NAMED, max_size=6), wants=WORDS | NAMED)
def test_who_has_what_was_given_may_do_nothing_that_the_giver_may_not(has: set[str], wants: str) -> None:
    giver = rights_of(REGISTRY, principal_of(*has))
    if not may_grant(wants, giver):
        return
    taker = rights_of(REGISTRY, principal_of(wants))
    for name in REGISTRY.types:
        assert taker.of(name).verbs <= giver.of(name).verbs or taker.is_public_only(name)
        for fields in ("readable", "createable", "updateable"):
            if not taker.is_public_only(name):
                assert getattr(taker.of(name), fields) <= getattr(giver.of(name), fields)
        assert giver.rule(name) is None or taker.is_public_only(name) or not taker.sees(name)
    for scope in ("action:one", "meta:two", "action:three", "meta:*"):
        assert giver.has_scope(scope) or not taker.has_scope(scope)


@given(wants=WORDS)
def test_who_has_everything_gives_whatever_there_is(wants: str) -> None:
    giver = rights_of(REGISTRY, principal_of("*:*"))
    assert may_grant(wants, giver) is not wants.startswith("spaceship")


@given(wants=WORDS | NAMED)
def test_who_has_nothing_gives_nothing(wants: str) -> None:
    assert not may_grant(wants, rights_of(REGISTRY, principal_of()))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("journal:read", True), ("*:*", True), ("journal:write", True), ("action:journal_summary", True),
        ("meta:*", True), ("action:event.file", True), ("*:read", True), ("journal:reed", False), ("journal", False),
        ("journal:", False), (":read", False), ("", False), ("journal:read ", False), ("Journal:read", False),
        ("action:", False), ("journal:read:x", False), ("*:x", False),
    ],
)  # fmt: skip
def test_the_form_of_a_scope(text: str, is_one: bool) -> None:
    assert is_scope(text) is is_one
