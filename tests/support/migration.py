"""The made parts of `docs/migration.md`: old calls beside what replaces them, from the route table and the translation.

Nothing is said twice: what an old call becomes is what `legacy_shim/` makes of it. The page is then read and run like
any other page (`e2e/test_migration.py`), so that a wrong translation is found by its data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.registry.load import load_registry
from engine.registry.resource import Registry
from legacy_shim.routes import ROUTES, VERSIONS, find_place
from legacy_shim.shapes import Example, LegacyCall, LegacyRoute
from legacy_shim.translation import translate
from legacy_shim.words import Words

# An object of the demo by its type, as examples of the table name it.
DEMO_IDS = {"journal": "Zk3_pQ9xR1sT7uVwXyZa0b"}
ACCOUNT_ID = "aB7dE-2fGh4JkLmNoPqRsT"
# One call for each old parameter, on a type that shows what it means.
PARAMETERS = (
    ("journal_entry", "limit=5&offset=10"),
    ("journal_entry", "order_by=title"),
    ("journal_entry", "order_by=entry_date,title&desc=1"),
    ("journal_entry", "for_obj_type=journal&for_obj_id={journal}"),
    ("journal", ""),
    ("journal", "enabled=disabled"),
    ("journal", "enabled=all"),
    ("journal", "x_account_id={account}"),
)
_HEADLINES = {
    "get": "Read one object",
    "list": "List",
    "search": "Search",
    "create": "Create",
    "update": "Change",
    "delete": "Delete",
}
_PAIR = re.compile(r"^```bash\n# (v\d:\w+), before\n(curl .*?)\n# after\n(curl .*?)\n```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pair:
    """An old call of the page and the one that replaces it, as `curl` commands."""

    name: str
    before: str
    after: str


def pairs_of(text: str) -> Iterator[Pair]:
    """The pairs of a page, in its order."""
    for found in _PAIR.finditer(text):
        yield Pair(found[1], found[2], found[3])


def parameter_pairs() -> list[Pair]:
    """The calls of the table of parameters, likewise, as V1 and as V2."""
    pairs = []
    for version, root in (("v1", "/api"), ("v2", "/v2/crud")):
        for type_name, query in PARAMETERS:
            path, asked = f"{root}/{type_name}/list", _fill(query)
            call = _translate("GET", path, asked)
            after = _curl(call.v3_method, call.v3_url, None)
            for name, value in call.v3_headers:
                after += f' -H "{name.decode().title()}: {value.decode()}"'
            before = _curl("GET", f"{path}?{asked}" if asked else path, None)
            pairs.append(Pair(f"{version}:list", before, after))
    return pairs


def old_route_table() -> str:
    """Every old route with all its paths, what it is called in the registry, and what replaces it."""
    lines = ["| old call | V3 call | what came back | switched off as |", "| --- | --- | --- | --- |"]
    for version in VERSIONS:
        for route in version.routes:
            paths = " · ".join(f"`{prefix}{route.pattern}`" for prefix in version.prefixes)
            methods = " or ".join(route.methods)
            lines.append(
                f"| {methods} {paths} | `{route.v3_method} {route.v3_path}` | {route.reply} | `{route.name}` |"
            )
    return "\n".join([*lines, ""])


def old_parameter_table() -> str:
    """The old parameters, each in a call, and what the call is today."""
    lines = ["| old call | V3 call |", "| --- | --- |"]
    for type_name, query in PARAMETERS:
        call = _translate("GET", f"/v2/crud/{type_name}/list", _fill(query))
        lines.append(f"| `GET /v2/crud/{type_name}/list{f'?{_fill(query)}' if query else ''}` | {_in_words(call)} |")
    return "\n".join([*lines, ""])


def old_name_table() -> str:
    """The types and fields of the shipped registry that had other names."""
    lines = ["| old name | today |", "| --- | --- |"]
    for resource in _registry().types.values():
        if resource.legacy.name is not None:
            lines.append(f"| type `{resource.legacy.name}` | `{resource.name}` |")
        lines += [f"| `{old}` of {resource.name} | `{new}` |" for old, new in resource.legacy.fields.items()]
    return "\n".join([*lines, ""])


def old_examples() -> str:
    """A pair of commands for each row of the table, by what is done."""
    parts = []
    for verb, headline in _HEADLINES.items():
        pairs = [_show_pair(route) for route in ROUTES if route.verb == verb]
        parts += [f"### {headline}\n", *pairs] if pairs else []
    return "\n".join(parts)


TABLES = {
    "old_routes": old_route_table,
    "old_parameters": old_parameter_table,
    "old_names": old_name_table,
    "old_examples": old_examples,
}


# ---------------------------------------------------------------- private


@cache
def _registry() -> Registry:
    loaded = load_registry(Path(__file__).parents[2] / "resources.yaml")
    assert loaded.registry is not None
    return loaded.registry


def _fill(text: str) -> str:
    """Put the demo's ids in."""
    for name, public_id in {**DEMO_IDS, "account": ACCOUNT_ID}.items():
        text = text.replace(f"{{{name}}}", public_id)
    return text


def _translate(method: str, path: str, query: str) -> LegacyCall:
    place = find_place(path)
    assert place is not None, path
    everything = Words(_registry())
    words = everything.find(place.word)
    assert words is not None, path
    call = translate(place, method, query.encode("ascii"), (), words, everything)
    assert call.refusal is None, call.refusal
    return call


def _in_words(call: LegacyCall) -> str:
    headers = ", ".join(f"`{name.decode().title()}: {value.decode()}`" for name, value in call.v3_headers)
    return f"`{call.v3_call}`{f' with the header {headers}' if headers else ''}"


def _show_pair(route: LegacyRoute) -> str:
    example: Example = route.example
    body = json.loads(_fill(json.dumps(example.body)))
    path, query = _fill(example.path), _fill(example.query)
    call = _translate(example.method, path, query)
    new_body = body if call.rewrite is None or body is None else call.rewrite(body)
    before = _curl(example.method, f"{path}?{query}" if query else path, body)
    after = _curl(call.v3_method, call.v3_url, new_body)
    return f"```bash\n# {route.name}, before\n{before}\n# after\n{after}\n```\n"


def _curl(method: str, url: str, body: object) -> str:
    is_implied = method == ("GET" if body is None else "POST")
    command = f'curl -s {"" if is_implied else f"-X {method} "}"$API{url}" -H "$AUTH"'
    if body is None:
        return command
    text = json.dumps(body, ensure_ascii=False)
    one_line = f"{command} --json '{text}'"
    if len(one_line) <= 120 or not isinstance(body, dict):
        return one_line
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in body.items()]
    inner = ",\n".join(lines)
    return f"{command} --json '{{\n{inner}\n}}'"
