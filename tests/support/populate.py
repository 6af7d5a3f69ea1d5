"""Objects of every type that an application declares, made from its own schema documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.schemas import values_of
from tests.support.stage import Caller

Json = dict[str, Any]
Choose = Callable[[Sequence[str]], str]

# An order of bounds, the calendar's end, the size of the whole.
_BEYOND = ("lower bound first", "lower one first", "is not a path", "before year 1", "date", "collation", "words")


@dataclass
class Store:
    """What an account has.

    Attributes:
        documents: The schema document of each type.
        ids: Public ids of the objects that were made, by type.
    """

    caller: Caller
    documents: dict[str, Json]
    ids: dict[str, list[str]] = field(default_factory=dict)

    def creatable(self) -> list[str]:
        """Types that the caller may create."""
        return [name for name, one in self.documents.items() if one["permissions"]["create"]]

    def bodies(self, type_name: str) -> st.SearchStrategy[Json]:
        """Bodies that the document takes; the ids in them are not of this world."""
        return values_of(self.documents[type_name]["schemas"]["create"], {})

    def settle(self, type_name: str, body: Json, choose: Choose) -> Json:
        """The same body with ids of objects that are there, with exactly one parent, and with examples as documents."""
        fields = self.documents[type_name]["fields"]
        settled = {name: value for name, value in body.items() if not fields.get(name, {}).get("parent")}
        parents = [name for name, one in fields.items() if one.get("parent") and self.ids.get(_target(one))]
        if parents:
            name = choose(parents)
            settled[name] = choose(self.ids[_target(fields[name])])
        for name, value in list(settled.items()):
            if "relation" in fields.get(name, {}) and not fields[name].get("parent") and value is not None:
                there = self.ids.get(_target(fields[name]))
                if there:
                    settled[name] = choose(there)
                else:
                    del settled[name]
        for name, schema in self.documents[type_name]["schemas"]["create"]["properties"].items():
            if name in settled and fields[name]["type"] == "json" and "examples" in schema:
                settled[name] = schema["examples"][0]
        return settled

    def is_possible(self, type_name: str) -> bool:
        """Whether there are objects for all that the type needs."""
        fields = self.documents[type_name]["fields"]
        needed = [one for one in fields.values() if "relation" in one and one.get("required")]
        parents = [one for one in fields.values() if one.get("parent")]
        has_parent = not parents or any(self.ids.get(_target(one)) for one in parents)
        return has_parent and all(self.ids.get(_target(one)) for one in needed)


def open_store(caller: Caller) -> Store:
    """Read the schema documents of all types that a caller sees."""
    names = [one["name"] for one in caller.get("/v3/crud/schema").json["types"]]
    return Store(caller, {name: caller.get(f"/v3/crud/{name}/schema").json for name in names})


def populate(caller: Caller, *, count: int = 8) -> Store:
    """Make some objects of every type."""
    store = open_store(caller)
    waiting = store.creatable()
    while waiting:
        ready = [name for name in waiting if store.is_possible(name)]
        assert ready, f"nothing can be made of {waiting}"
        for name in ready:
            store.ids[name] = []
            for number, body in enumerate(some(store.bodies(name), count)):
                turn = _turns(number)
                reply = caller.send("POST", f"/v3/crud/{name}/", store.settle(name, body, turn))
                if reply.status == 201:
                    store.ids[name].append(reply.data["id"])
            assert store.ids[name], f"no {name} could be made: {reply}"
        waiting = [name for name in waiting if name not in ready]
    return store


def some(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """A few values, the same every time."""
    found: list[Any] = []

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def unexplained(document: Mapping[str, Any], errors: Sequence[Json]) -> list[Json]:
    """The errors of a refused create that neither the schema nor a server rule of the document speaks of."""
    rules = document["serverRules"]
    codes = {rule["code"] for rule in rules}
    left = []
    for error in errors:
        name = re.sub(r"^/([^/]*).*", r"\1", error.get("pointer") or "")
        about = [rule for rule in rules if not rule["fields"] or name in rule["fields"]]
        if error["code"] in {rule["code"] for rule in about}:
            continue
        if error["code"] in ("required", "parent-mismatch") and {"parent-required", "parent-mismatch"} <= codes:
            continue
        if "validate" in codes and (error.get("pointer") or "").count("/") > 1:
            # A place inside a value: what stands there only the type's own rule looks at.
            continue
        if about and error["code"] in ("out-of-range", "type-mismatch", "required", "pattern"):
            continue
        left.append(error)
    return left


def is_beyond_schemas(problem: Mapping[str, Any]) -> bool:
    """Whether a search was refused only for what no schema of it could say."""
    errors = problem.get("errors", [])
    return bool(errors) and all(
        one["code"] == "too-complex" or any(words in one["detail"] for words in _BEYOND) for one in errors
    )


def _target(one: Json) -> str:
    return str(one["relation"]["type"])


def _turns(number: int) -> Choose:
    return lambda choices: choices[number % len(choices)]
