"""Schemathesis, with all its checks, against a server over the network: no fault, and no reply unknown to OpenAPI.

Ids in paths and bodies are mostly those of objects that are there; without them nearly every reply would be a 404.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.errors import InvalidSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from engine.auth.mint import mint_token
from tests.support import services
from tests.support.populate import Json, is_beyond_schemas, populate, unexplained
from tests.support.schemas import shallow
from tests.support.serving import ROOT, make_settings, serving
from tests.support.stage import stage_on

SHIPPED = ROOT / "resources.yaml"
CALLERS = ["admin", "operator", "nobody"]
# What a type can be is among these: nested, several parents, a demanded version, a public one, JSON, decimals.
FEW = re.compile(
    r"^/v3/crud/(journal|page|event_badge|event_file)(/|$)|^/v3/(meta|action)|^/v3/crud/(schema)?$|^/health"
)
SEGMENTS = {
    ("journal", "entry"): "journal_entry", ("event", "badge"): "event_badge", ("event", "session"): "event_session",
    ("event", "badge_template"): "event_badge_template", ("event_session", "presentation"): "event_presentation",
    ("event_presentation", "presenter"): "event_presenter",
    **{(name, "file"): "event_file" for name in ("event", "event_session", "event_presentation", "event_presenter")},
}  # fmt: skip
SHORT_EXAMPLES = 2
# Of each of some four hundred operations; in two modes, by three callers, on two databases.
LONG_EXAMPLES = 4
SHORT_WALKS, LONG_WALKS, STEPS = 4, 300, 8
# Links lead to objects.
BESIDE = r"/(search|options|schema)$"
TOO_HARD = "Schemathesis does not support"
# Too large, too slow, too busy: not what these requests are about.
ASIDE = {408, 413, 503}


@dataclass
class Site:
    """A server with an account that has some objects of every type."""

    base: str
    headers: dict[str, dict[str, str]]
    ids: dict[str, list[str]]
    documents: dict[str, Json]
    session: requests.Session


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory: Path = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        url = f"sqlite:///{directory / 'test.sqlite3'}"
        if request.param == "mariadb":
            services.require_mariadb()
            url = stack.enter_context(services.make_mariadb_database())
        with stage_on(url, SHIPPED) as stage:
            caller = stage.new_account("one")
            store = populate(caller)
            operator = mint_token(stage.app.settings, is_operator=True)
            headers = {
                "admin": dict(caller.client.headers),
                "operator": {"Authorization": f"Bearer {operator}"},
                "nobody": {},
            }
        server = stack.enter_context(serving(make_settings(url, SHIPPED), directory))
        with requests.Session() as session:
            yield Site(server.base, headers, {**store.ids, "account": [caller.account]}, store.documents, session)


@pytest.mark.parametrize("who", CALLERS)
def test_schemathesis_finds_no_fault_and_no_unknown_reply(site: Site, who: str) -> None:
    _try_all(site, who, SHORT_EXAMPLES, FEW)


@pytest.mark.long
@pytest.mark.parametrize("who", CALLERS)
def test_schemathesis_finds_nothing_in_any_operation(site: Site, who: str) -> None:
    _try_all(site, who, LONG_EXAMPLES, re.compile(""))


@pytest.mark.parametrize("who", ["admin", "operator"])
def test_walks_along_the_links_find_no_fault(site: Site, who: str) -> None:
    _walk(site, who, SHORT_WALKS, r"^/v3/crud/journal(/|$)")


@pytest.mark.long
@pytest.mark.parametrize("who", ["admin", "operator"])
def test_long_walks_along_all_links_find_no_fault(site: Site, who: str) -> None:
    _walk(site, who, LONG_WALKS, r"^/v3/crud/[a-z]")


def _walk(site: Site, who: str, walks: int, wanted: str) -> None:
    """Creates, reads, changes, deletes and restores, one after another, each of what the one before answered."""
    document = requests.get(f"{site.base}/openapi.json", headers=site.headers[who], timeout=30).json()
    schema = schemathesis.openapi.from_dict(shallow(document))
    schema.config.update(base_url=site.base)
    # What breaks a schema on purpose is tried by itself; here ids are mended, and it would be accepted.
    schema.config.generation.update(allow_x00=False, modes=[GenerationMode.POSITIVE])
    steps: Counter[str] = Counter()
    machine: Any = schema.include(path_regex=wanted).exclude(path_regex=BESIDE).as_state_machine()

    class Walk(machine):  # type: ignore[misc]
        """One caller's."""

        def setup(self) -> None:
            self.answered: set[str] = set()
            self.chance = random.Random(0)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"session": site.session, "headers": site.headers[who]}

        def before_call(self, case: Any) -> None:
            # What a link has brought stays as it is.
            brought = {name: id_ for name, id_ in (case.path_parameters or {}).items() if id_ in self.answered}
            _settle(case, site, who, self.chance)
            if brought:
                case.path_parameters.update(brought)
                steps["linked"] += 1

        def after_call(self, response: Any, case: Any) -> None:
            super().after_call(response, case)
            steps[f"{case.method} {response.status_code // 100}xx"] += 1
            assert response.status_code not in (500, 501, 502), (
                f"{case.method} {case.formatted_path} {case.body!r:.800}"
            )
            if response.status_code in (200, 201) and "application/json" in response.headers["content-type"]:
                data = response.json().get("data")
                found = data if isinstance(data, list) else [data]
                self.answered.update(one["id"] for one in found if isinstance(one, dict) and "id" in one)

        def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
            if response.status_code in ASIDE:
                return
            left_out = [positive_data_acceptance] if _is_lawful(response, case, site) else []
            case.validate_response(
                response, headers=site.headers[who], excluded_checks=left_out, recorder=self.recorder
            )

    Walk.run(
        settings=settings(
            max_examples=walks,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
    )
    # The walk went along links, and what it did there was done.
    assert steps["linked"] > walks / 4, steps
    assert steps["POST 2xx"], steps
    assert steps["GET 2xx"], steps


def _try_all(site: Site, who: str, examples: int, wanted: re.Pattern[str]) -> None:
    document = requests.get(f"{site.base}/openapi.json", headers=site.headers[who], timeout=30).json()
    schema = schemathesis.openapi.from_dict(shallow(document))
    schema.config.update(base_url=site.base)
    # NUL in a text is refused; JSON Schema cannot say so, and `serverRules` does.
    schema.config.generation.update(allow_x00=False)
    found: list[str] = []
    tried = 0
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        if wanted.search(operation.path):
            tried += 1
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                found += _try_one(site, who, operation, mode, examples)
    assert tried
    assert not found, f"{len(found)} findings\n\n" + "\n\n".join(found[:20])


def _try_one(site: Site, who: str, operation: Any, mode: GenerationMode, examples: int) -> list[str]:
    found: list[str] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), chance=st.integers(0, 10_000))
    def attempt(case: Any, chance: int) -> None:
        if mode is GenerationMode.POSITIVE:
            _settle(case, site, who, random.Random(chance))
        response = case.call(session=site.session, headers=site.headers[who])
        if response.status_code in ASIDE:
            return
        try:
            left_out = [positive_data_acceptance] if _is_lawful(response, case, site) else []
            if len(operation.body) > 1:
                # A form or the bytes themselves: the tool sends bytes as a form, and a form where it means bytes.
                left_out = [positive_data_acceptance, negative_data_rejection]
            case.validate_response(response, headers=site.headers[who], excluded_checks=left_out)
        except FailureGroup as failures:
            said = "\n".join(f"    {one.title}: {one.message}" for one in failures.exceptions)
            sent = f"{case.method} {case.formatted_path} {case.query} {case.headers} {case.body!r:.800}"
            found.append(f"{mode.value}: {sent} -> {response.status_code} {response.content[:800]!r}\n{said}")

    try:
        attempt()
    except Unsatisfiable:
        # Of a call without parameters and body there is no wrong form.
        assert mode is GenerationMode.NEGATIVE, operation.label
    except InvalidSchema as error:
        # What is wrong on purpose the tool makes of the schema by turning it round, which it cannot do with every one.
        if mode is GenerationMode.POSITIVE or TOO_HARD not in str(error):
            found.append(f"{mode.value}: {operation.label}: {error}")
    return found


def _is_lawful(response: Any, case: Any, site: Site) -> bool:
    """Whether a request that fulfils the schemas was refused for what only the server can check."""
    if response.status_code != 422:
        return False
    problem = response.json()
    types = _types_of(case.path)
    if case.method in ("POST", "PUT", "PATCH") and types and not case.path.endswith("/search"):
        # What a relation deep in a body points at may have been deleted a few requests ago.
        errors = [one for one in problem.get("errors", []) if one["code"] != "foreign-key"]
        return not unexplained(site.documents[types[-1]], errors)
    if case.path.startswith("/v3/action/"):
        # Nobody can invent what an action is to work with.
        return all(one["code"] == "foreign-key" for one in problem.get("errors", [])) or is_beyond_schemas(problem)
    return is_beyond_schemas(problem)


def _settle(case: Any, site: Site, who: str, chance: random.Random) -> None:
    """Make of a request that fulfils the schemas one that fulfils what no schema says: ids, parents, versions."""
    types = _types_of(case.path)
    for name in case.path_parameters or {}:
        wanted = name.removesuffix("_id") if name != "id" or not types else types[-1]
        if site.ids.get(wanted) and chance.random() < 0.9:
            case.path_parameters[name] = chance.choice(site.ids[wanted])
    headers = case.headers or {}
    if "X-Account-Id" in headers or who == "operator":
        case.headers = {**headers, "X-Account-Id": site.ids["account"][0]}
    if "If-Match" in headers:
        case.headers["If-Match"] = "*"
    # Nobody can invent a cursor.
    if case.query:
        case.query.pop("cursor", None)
    if isinstance(case.body, dict):
        case.body.pop("cursor", None)
        case.body = _with_ids(case.body, site, chance)
        if case.path.endswith("/move"):
            _move_within_one_type(case, site, who, types[-1])
        elif case.method == "POST" and types and not case.path.endswith("/search"):
            _set_one_parent(case, site, chance, types)


def _types_of(path: str) -> list[str]:
    """The types that a path template names, the last one's own name among them where its segment is shorter.

    An action names none: what it takes is its own.
    """
    named: list[str] = []
    if not path.startswith("/v3/crud/"):
        return named
    for part in path.split("/")[3:]:
        if part and "{" not in part and part not in ("search", "options", "schema", "move", "restore"):
            named.append(SEGMENTS.get((named[-1], part), part) if named else part)
    return named


def _set_one_parent(case: Any, site: Site, chance: random.Random, types: list[str]) -> None:
    if types[-1] not in site.documents:
        return
    fields = site.documents[types[-1]]["fields"]
    parents = [name for name, one in fields.items() if one.get("parent")]
    for name in parents:
        case.body.pop(name, None)
    if parents and len(types) == 1:
        name = chance.choice(parents)
        case.body[name] = chance.choice(site.ids[fields[name]["relation"]["type"]])


def _move_within_one_type(case: Any, site: Site, who: str, type_name: str) -> None:
    """An object moves between parents of the type that it has."""
    path = f"{site.base}/v3/crud/{type_name}/{case.path_parameters['id']}"
    present = site.session.get(path, headers=site.headers[who], timeout=10).json().get("data", {})
    for name, one in site.documents[type_name]["fields"].items():
        if one.get("parent") and present.get(name):
            target = one["relation"]["type"]
            case.body["parent"] = {"type": target, "id": site.ids[target][0]}


def _with_ids(body: Any, site: Site, chance: random.Random) -> Any:
    if isinstance(body, list):
        return [_with_ids(one, site, chance) for one in body]
    if not isinstance(body, dict):
        return body
    settled: Json = {}
    if body.keys() <= {"create", "update", "delete"}:
        # Children of this very object, which nobody can invent either.
        body = {name: value for name, value in body.items() if name == "create"}
    for name, value in body.items():
        there = site.ids.get(name.removesuffix("_id"), []) if name.endswith("_id") and isinstance(value, str) else []
        settled[name] = chance.choice(there) if there else _with_ids(value, site, chance)
    return settled
