"""Which declared actions are served, and what is said about the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import ModuleType

import pytest
from fastapi.routing import APIRoute

from engine.http.actions import action_router, describe_actions
from engine.plan.rights import rights_of
from engine.plugins.actions import (
    BROKEN,
    CLAIMED,
    SKIPPED,
    UNFIT,
    UNSCOPED,
    Action,
    action,
    check_actions,
    collect_actions,
    place_of,
)
from engine.registry.findings import Place
from tests.support.registries import example_registry, principal_of

REGISTRY = example_registry()


async def summarise(journal_id: str) -> object:
    """Say what there is."""
    return journal_id


def declare(handler: Callable[..., Awaitable[object]] = summarise, **more: object) -> Action:
    """An action that nothing is wrong with, unless told otherwise."""
    said = {"method": "GET", "path": "journal/{journal_id}/summary", "name": "journal_summary", "title": "Summary"}
    arguments = {**said, "scope": "default", **more}
    if arguments["scope"] == "left out":
        del arguments["scope"]
    module = ModuleType("aether_actions_test")

    async def copied(journal_id: str) -> object:
        return await handler(journal_id)

    if handler is summarise:
        copied.__doc__ = handler.__doc__
        handler = copied
    handler.__module__ = module.__name__
    method, path = arguments.pop("method"), arguments.pop("path")
    module.handler = action(method, path, **arguments)(handler)  # type: ignore[attr-defined, arg-type]
    (declared,) = collect_actions(module, REGISTRY)
    return declared


def test_an_action_is_declared_by_its_mark_and_nothing_else() -> None:
    declared = declare(type="journal", confirm="Sure?", status=202)
    assert (declared.name, declared.method, declared.path) == (
        "journal_summary",
        "GET",
        "journal/{journal_id}/summary",
    )
    assert declared.scope == "action:journal_summary"
    assert declared.summary == "Say what there is."
    assert (declared.type, declared.confirm, declared.status) == ("journal", "Sure?", 202)
    assert place_of(declared.source) is not None


def test_the_scope_can_be_another_or_none() -> None:
    assert declare(scope="action:reports").scope == "action:reports"
    assert declare(scope=None).scope is None


def test_what_a_module_only_imports_is_not_its_action() -> None:
    module = ModuleType("aether_actions_other")
    module.borrowed = declare().handler  # type: ignore[attr-defined]
    assert collect_actions(module, REGISTRY) == ()


def test_an_action_without_faults_is_served() -> None:
    declared = declare(type="journal")
    assert check_actions([declared], REGISTRY) == ((declared,), ())


def test_an_action_of_a_type_that_the_registry_lacks_is_left_out_with_a_notice() -> None:
    served, (finding,) = check_actions([declare(type="spaceship")], REGISTRY)
    assert served == ()
    assert (finding.code, finding.severity) == (SKIPPED, "notice")
    assert "spaceship" in finding.message


def _plain(journal_id: str) -> object:
    """Not async."""
    return journal_id


async def _silent(journal_id: str) -> object:
    return journal_id


async def _deaf() -> object:
    """Takes nothing."""
    return None


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (declare(_plain), "is not async"),
        (declare(_silent), "has no docstring"),
        (declare(_deaf), "does not take `journal_id` of its path"),
        (declare(name="journalSummary"), "is no name for an action"),
        (declare(path="journal//summary/{journal_id}"), "is no path for an action"),
        (declare(path="Journal/{journal_id}"), "is no path for an action"),
        (declare(path="journal/{journal_id}.{format}"), "is no path for an action"),
        (declare(path=""), "is no path for an action"),
        (declare(scope="everybody"), "`everybody` is no scope"),
    ],
    ids=["plain", "silent", "deaf", "name", "slashes", "capitals", "half", "empty", "scope"],
)
def test_an_action_that_cannot_be_served_is_an_error_with_a_place_and_a_way_out(declared: Action, said: str) -> None:
    served, findings = check_actions([declared], REGISTRY)
    assert served == ()
    assert any(said in finding.message for finding in findings)
    for finding in findings:
        assert (finding.code, finding.severity) == (UNFIT, "error")
        assert finding.place is not None
        assert finding.help


def test_an_action_that_does_not_say_who_may_call_it_is_an_error_with_a_place_and_a_way_out() -> None:
    served, (finding,) = check_actions([declare(scope="left out")], REGISTRY)
    assert served == ()
    assert (finding.code, finding.severity) == (UNSCOPED, "error")
    assert finding.place is not None
    assert finding.place.file.endswith("test_actions.py")
    assert "action:journal_summary" in (finding.help or "")


def test_two_actions_of_one_name_are_an_error_that_names_both_places() -> None:
    first, second = declare(path="a/{journal_id}"), declare(path="b/{journal_id}")
    served, findings = check_actions([second, first], REGISTRY)
    assert len(served) == 1
    (finding,) = findings
    assert (finding.code, finding.severity) == (CLAIMED, "error")
    assert "`journal_summary`" in finding.message
    assert finding.notes[0].startswith("first declared in ")


def test_two_actions_of_one_path_are_an_error_whatever_they_call_its_parameters() -> None:
    async def other(key: str) -> object:
        """Say something else."""
        return key

    first, second = declare(), declare(other, name="z_other", path="journal/{key}/summary")
    served, (finding,) = check_actions([first, second], REGISTRY)
    assert served == (first,)
    assert "`GET journal/{key}/summary`" in finding.message


def test_one_path_may_have_an_action_for_each_method() -> None:
    first, second = declare(), declare(name="journal_close", method="POST")
    served, findings = check_actions([first, second], REGISTRY)
    assert set(served) == {first, second}
    assert findings == ()


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("actions/a.py:7", Place("actions/a.py", 7, 1)),
        ("C:\\actions\\a.py:7", Place("C:\\actions\\a.py", 7, 1)),
        ("actions/a.py", Place("actions/a.py", 1, 1)),
        ("", None),
    ],
)
def test_a_source_is_a_place(source: str, place: Place | None) -> None:
    assert place_of(source) == place


def test_the_codes_say_by_their_letter_what_stops_a_start() -> None:
    assert [code[0] for code in (BROKEN, UNFIT, CLAIMED, UNSCOPED, SKIPPED)] == ["R", "R", "R", "R", "N"]


def test_each_action_is_a_route_below_the_prefix() -> None:
    (route,) = action_router([declare()]).routes
    assert isinstance(route, APIRoute)
    assert route.path == "/v3/action/journal/{journal_id}/summary"
    assert route.methods == {"GET"}


def test_openapi_names_an_action_to_those_who_may_call_it_only() -> None:
    actions = [declare(), declare(name="hello", path="hello/{journal_id}", scope=None)]
    fragments = describe_actions(action_router(actions), actions)
    may = fragments(rights_of(REGISTRY, principal_of("action:journal_summary")))
    may_not = fragments(rights_of(REGISTRY, principal_of("*:*")))
    assert set(may[0]["paths"]) == {"/v3/action/journal/{journal_id}/summary", "/v3/action/hello/{journal_id}"}
    assert set(may_not[0]["paths"]) == {"/v3/action/hello/{journal_id}"}
    operation = may[0]["paths"]["/v3/action/journal/{journal_id}/summary"]["get"]
    assert operation["operationId"] == "journal_summary"
    assert operation["summary"] == "Summary"
    assert [one["name"] for one in operation["parameters"]] == ["journal_id"]
    assert set(operation["responses"]) == {"200"}


def test_without_actions_openapi_gets_nothing() -> None:
    assert list(describe_actions(action_router([]), [])(rights_of(REGISTRY, principal_of("*:*")))) == []
