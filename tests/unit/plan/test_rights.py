from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.plan.rights import FULL_KEY, NOTHING, VERBS, WRITE_VERBS, Rights, Verb, full_rights, rights_of
from engine.principal import ANONYMOUS, Account, Principal
from engine.registry.resource import AccountRule, Field, Registry, Resource

ALL = set(VERBS)


def make_field(name: str, **more: Any) -> Field:
    return Field(name=name, column=name, kind=more.pop("kind", "string"), **more)


def make_type(name: str, account: str = "own", *fields: Field, **more: Any) -> Resource:
    own = (make_field("id", kind="id", role="public_id"), make_field("name"), *fields)
    return Resource(
        name=name,
        table=name,
        key="id",
        public_id="id_random",
        title=name,
        plural=f"{name}s",
        account=AccountRule(kind=account, column="account_id" if account in ("own", "inherited") else None),  # type: ignore[arg-type]
        fields={field.name: field for field in own},
        relations={},
        **more,
    )


RULE = {"visibility": "public"}
OTHER_RULE = {"priority": {"gt": 3}}
REGISTRY = Registry(
    types={
        resource.name: resource
        for resource in (
            make_type(
                "note",
                "own",
                make_field("passcode", secret=True),
                make_field("internal", hidden=True),
                make_field("salary", read="note:salary"),
                make_field("grade", read="admin", write="admin"),
                make_field("price", write="note:price"),
                make_field("kind_once", create_only=True),
                make_field("journal_id", role="parent"),
                make_field("created_on", role="created"),
                rows={"viewer": RULE, "reviewer": OTHER_RULE, "writer": OTHER_RULE},
            ),
            make_type("account", "self"),
            make_type("country", "none", public={}),
            make_type("currency", "none"),
            make_type("post", "own", public={"status": "published"}, rows={"viewer": RULE}),
            make_type("report", "own", is_view=True),
        )
    },
    roles={
        "viewer": ("*:read",),
        "reviewer": ("note:read",),
        "editor": ("*:read", "*:write"),
        "writer": ("note:write",),
        "admin": ("*:*", "action:*", "meta:*"),
    },
)
ACCOUNT = Account(1, "A" * 22)


def rights(
    *scopes: str, roles: tuple[str, ...] = (), operator: bool = False, accounts: tuple[Account, ...] = (ACCOUNT,)
) -> Rights:
    return rights_of(
        REGISTRY,
        Principal("user", "u" * 22, () if operator else accounts, operator, frozenset(scopes), tuple(sorted(roles))),
    )


def verbs(found: Rights, name: str) -> set[Verb]:
    return {verb for verb in VERBS if found.may(name, verb)}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("note:read", {"read"}),
        ("note:create", {"create"}),
        ("note:update", {"update"}),
        ("note:delete", {"delete"}),
        ("note:delete_hard", {"delete_hard"}),
        ("note:write", set(WRITE_VERBS)),
        ("note:*", ALL),
        ("*:read", {"read"}),
        ("*:write", set(WRITE_VERBS)),
        ("*:*", ALL),
        ("action:*", set()),
        ("meta:*", set()),
        ("Note:read", set()),
        ("note:Read", set()),
        ("note", set()),
        ("note:", set()),
        (":read", set()),
        ("*", set()),
        ("note:read:x", set()),
        ("not:read", set()),
        ("note:rea", set()),
        (" note:read", set()),
        ("", set()),
    ],
)
def test_a_scope_opens_exactly_its_verbs(scope: str, expected: set[Verb]) -> None:
    found = rights(scope)
    assert verbs(found, "note") == expected
    assert found.sees("note") == bool(expected)


@pytest.mark.parametrize("name", ["country", "currency"])
def test_shared_types_are_written_by_operators_alone(name: str) -> None:
    assert verbs(rights("*:*"), name) == {"read"}
    assert verbs(rights("*:*", operator=True), name) == ALL
    assert not verbs(rights(f"{name}:write"), name) & WRITE_VERBS


def test_an_operator_is_held_to_his_scopes() -> None:
    assert verbs(rights("note:read", operator=True), "note") == {"read"}
    assert verbs(rights(operator=True), "note") == set()


def test_accounts_are_created_by_operators_alone() -> None:
    assert verbs(rights("*:*"), "account") == ALL - {"create"}
    assert verbs(rights("*:*", operator=True), "account") == ALL


def test_a_view_is_read_only_for_everybody() -> None:
    assert verbs(rights("*:*", operator=True), "report") == {"read"}


def test_roles_give_their_scopes_and_unknown_roles_nothing() -> None:
    assert verbs(rights(roles=("editor",)), "note") == {"read"} | WRITE_VERBS
    assert verbs(rights(roles=("nobody", "Editor")), "note") == set()


def test_actions_and_meta_are_never_opened_by_the_star_of_types() -> None:
    found = rights("*:*", "*:read")
    assert not found.has_scope("action:resolve")
    assert not found.has_scope("meta:explain")
    assert rights("action:*").has_scope("action:resolve")
    assert not rights("action:*").has_scope("meta:explain")
    assert rights("meta:explain").has_scope("meta:explain")
    assert not rights("meta:explain").has_scope("meta:metrics")
    assert rights(roles=("admin",)).has_scope("meta:metrics")


def test_hidden_and_secret_fields_are_readable_by_nobody() -> None:
    found = rights("*:*", "note:salary", roles=("admin",), operator=True)
    assert {"passcode", "internal"}.isdisjoint(found.readable("note"))
    assert "internal" not in found.createable("note") | found.updateable("note")
    assert "passcode" in found.createable("note") & found.updateable("note")


def test_a_field_with_a_read_scope_or_role_needs_it() -> None:
    plain = rights("note:read", "note:write")
    assert {"salary", "grade"}.isdisjoint(plain.readable("note"))
    assert {"salary", "grade", "price"}.isdisjoint(plain.createable("note") | plain.updateable("note"))
    named = rights("note:read", "note:write", "note:salary", "note:price")
    assert {"salary", "price"} <= named.readable("note") & named.createable("note") & named.updateable("note")
    assert "grade" not in named.readable("note")
    assert "grade" in rights(roles=("admin",)).readable("note")
    assert "grade" not in rights("*:*").readable("note")
    assert "salary" in rights("*:*").readable("note")


def test_fields_follow_the_verbs_of_their_type() -> None:
    assert rights("note:create").readable("note") == frozenset()
    assert rights("note:create").updateable("note") == frozenset()
    assert rights("note:read").createable("note") == frozenset()
    assert {"kind_once", "journal_id"} <= rights("note:create").createable("note")
    assert {"kind_once", "journal_id"}.isdisjoint(rights("note:update").updateable("note"))
    assert {"id", "created_on"}.isdisjoint(rights("note:create").createable("note"))


@pytest.mark.parametrize(
    ("roles", "scopes", "rule"),
    [
        (("viewer",), (), RULE),
        (("reviewer",), (), OTHER_RULE),
        (("viewer", "reviewer"), (), {"or": [OTHER_RULE, RULE]}),
        (("viewer", "editor"), (), None),
        (("viewer", "writer"), (), RULE),
        (("writer",), ("note:read",), OTHER_RULE),
        (("viewer",), ("*:*",), RULE),
        (("viewer", "nobody"), (), RULE),
        ((), ("note:read",), None),
        (("admin",), (), None),
    ],
)
def test_row_rules_are_the_union_of_the_roles_that_open_reading(
    roles: tuple[str, ...], scopes: tuple[str, ...], rule: object
) -> None:
    assert rights(*scopes, roles=roles).rule("note") == rule


def test_a_public_type_is_read_and_only_read_by_those_without_a_scope() -> None:
    for found in (rights_of(REGISTRY, ANONYMOUS), rights(), rights("note:read")):
        assert verbs(found, "country") == {"read"}
        assert verbs(found, "post") == {"read"}
        assert found.is_public_only("post")
        assert found.rule("post") == {"status": "published"}
        assert found.rule("country") is None
        assert found.createable("post") == frozenset()


def test_a_caller_with_a_scope_reads_a_public_type_by_the_scope() -> None:
    assert not rights("post:read").is_public_only("post")
    assert rights("post:read").rule("post") is None
    assert rights(roles=("viewer",)).rule("post") == {"or": [RULE, {"status": "published"}]}


def test_a_write_scope_alone_never_reaches_the_public_rows_of_others() -> None:
    for verb in ("create", "update", "delete", "delete_hard"):
        found = rights(f"post:{verb}")
        assert not found.is_public_only("post")
        assert verbs(found, "post") == {verb}


def test_a_caller_without_an_account_reads_what_is_public_and_writes_nothing_there() -> None:
    found = rights("*:*", accounts=())
    assert found.is_public_only("post")
    assert verbs(found, "post") == {"read"}
    assert found.sees("note")


def test_a_type_that_does_not_exist_is_nothing() -> None:
    found = rights("*:*", "nothing:*")
    assert found.of("nothing") is NOTHING
    assert not found.sees("nothing")
    assert not found.readable("nothing")


def test_equal_grants_share_their_rights_and_others_never_share_a_key() -> None:
    assert rights("note:read", "post:read") is rights("post:read", "note:read")
    grants: list[tuple[tuple[str, ...], tuple[str, ...], bool]] = [
        ((), (), False),
        ((), (), True),
        (("note:read",), (), False),
        (("note:read",), (), True),
        (("*:read",), (), False),
        ((), ("viewer",), False),
        (("*:read",), ("reviewer",), False),
    ]
    keys = {rights(*scopes, roles=roles, operator=operator).key for scopes, roles, operator in grants}
    assert len(keys) == len(grants)
    assert FULL_KEY not in keys
    assert full_rights(REGISTRY).key == FULL_KEY


def test_a_key_is_the_same_in_every_process() -> None:
    assert rights("note:read").key == 266090010394771290284426697302574057383


def test_full_rights_open_every_field_and_no_rule() -> None:
    full = full_rights(REGISTRY)
    assert full.may("note", "delete_hard")
    assert {"internal", "passcode"} <= full.readable("note")
    assert full.rule("note") is None


def test_visible_types_are_those_the_caller_may_do_something_with() -> None:
    assert rights_of(REGISTRY, ANONYMOUS).visible_types() == ("country", "post")
    assert rights("note:create").visible_types() == ("note", "country", "post")


def test_a_type_is_worked_out_when_it_is_asked_for() -> None:
    many = Registry(types={f"t{i}": make_type(f"t{i}") for i in range(1000)})
    found = rights_of(many, Principal("user", "u" * 22, (ACCOUNT,), False, frozenset({"t7:read"})))
    assert found.may("t7", "read")
    assert set(found._types) == {"t7"}


_PARTS = ["note", "post", "country", "account", "action", "meta", "*", "x", "", "NOTE"]
_VERBS = [*VERBS, "write", "*", "", "salary", "READ"]
_scopes = st.frozensets(
    st.builds("{}:{}".format, st.sampled_from(_PARTS), st.sampled_from(_VERBS)) | st.text(max_size=9)
)
_roles = st.frozensets(st.sampled_from([*REGISTRY.roles, "nobody"]), max_size=3)


@given(st.frozensets(st.sampled_from(["action:*", "meta:*", "action:x", "meta:schema", "x:read", "note", "*", ""])))
def test_without_a_scope_on_a_type_nothing_is_open_but_what_is_public(scopes: frozenset[str]) -> None:
    found = rights(*scopes)
    for name, resource in REGISTRY.types.items():
        assert verbs(found, name) == ({"read"} if resource.public is not None else set())
        assert not found.createable(name) | found.updateable(name)
        if resource.public is None:
            assert not found.readable(name)


@given(_scopes, _roles, st.booleans())
def test_fields_are_open_only_where_the_verb_is_and_hidden_ones_never(
    scopes: frozenset[str], roles: frozenset[str], operator: bool
) -> None:
    found = rights(*scopes, roles=tuple(roles), operator=operator)
    for name, resource in REGISTRY.types.items():
        assert found.may(name, "read") or not found.readable(name)
        assert found.may(name, "create") or not found.createable(name)
        assert found.may(name, "update") or not found.updateable(name)
        assert all(resource.fields[field].is_readable for field in found.readable(name))
        assert all(resource.fields[field].is_createable for field in found.createable(name))
        assert all(resource.fields[field].is_updateable for field in found.updateable(name))
        if found.is_public_only(name):
            assert verbs(found, name) == {"read"}
        if verbs(found, name) & WRITE_VERBS and resource.account.kind == "none":
            assert operator


@given(_scopes, st.sampled_from([f"note:{verb}" for verb in VERBS]))
def test_one_more_scope_takes_nothing_away_from_a_type_that_is_not_public(scopes: frozenset[str], more: str) -> None:
    before, after = rights(*scopes), rights(*scopes, more)
    assert verbs(before, "note") <= verbs(after, "note")
    assert before.readable("note") <= after.readable("note")


def test_more_roles_never_narrow_the_rows() -> None:
    for few in (("viewer",), ("reviewer",)):
        for many in combinations(("viewer", "reviewer", "editor"), 2):
            if set(few) < set(many):
                after = rights(roles=many).rule("note")
                assert after is None or rights(roles=few).rule("note") in after["or"]
