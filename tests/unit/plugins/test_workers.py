"""Workers are found in plug-ins, and what cannot run as one is said with its place."""

from __future__ import annotations

from types import ModuleType

import pytest

from engine.plugins.workers import Worker, check_workers, collect_workers
from tests.support.registries import shipped_registry

SOURCE = """
from engine.plugins.workers import worker

@worker("one", type="journal", every_s=5)
async def look(host):
    pass

async def plain(host):
    pass
"""


def module_of(source: str) -> ModuleType:
    """A plug-in."""
    module = ModuleType("aether_actions_test")
    exec(compile(source, "actions/test.py", "exec"), vars(module))
    return module


def test_marked_functions_are_workers() -> None:
    (found,) = collect_workers(module_of(SOURCE))
    assert (found.name, found.type, found.every_s) == ("one", "journal", 5)
    assert found.source == "actions/test.py:4"
    assert check_workers([found], shipped_registry()) == ((found,), ())


def test_a_worker_of_a_type_that_is_not_there_is_left_out_with_a_notice() -> None:
    (found,) = collect_workers(module_of(SOURCE.replace("journal", "jurnal")))
    running, (finding,) = check_workers([found], shipped_registry())
    assert (running, finding.severity) == ((), "notice")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"one"', '"One"', "no name"),
        ("async def look", "def look", "not async"),
        ("look(host)", "look(host, more)", "one argument"),
        ("every_s=5", "every_s=0", "hardly sleep"),
    ],
)
def test_what_cannot_run_is_a_finding(old: str, new: str, said: str) -> None:
    (found,) = collect_workers(module_of(SOURCE.replace(old, new)))
    running, (finding,) = check_workers([found], shipped_registry())
    assert running == ()
    assert finding.severity == "error"
    assert said in finding.message
    assert finding.place is not None
    assert finding.place.file == "actions/test.py"


def test_two_workers_have_two_names() -> None:
    first: Worker
    (first,) = collect_workers(module_of(SOURCE))
    (second,) = collect_workers(module_of(SOURCE))
    running, (finding,) = check_workers([first, second], shipped_registry())
    assert running == (first,)
    assert "two workers" in finding.message
