"""V3 requests said at the doors of the old API, and what came back said in V3 again.

`OldClient` is a client like any other: what sends V3 requests by it goes through V1 or V2 wherever they can say it, and
each answer is compared with what V3 itself says. So whatever is tested of V3 is tested of the old doors too. It shares
no code with `legacy_shim/`: how things are said in the old API is written down here once more, from its description.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from engine.registry.resource import Registry
from tests.support.serving import Client, HeaderPairs, Reply

Json = dict[str, Any]

V3 = "/v3/crud/"
DOORS = {"/": "v1", "/api": "v1", "/crud": "v2", "/v2/crud": "v2"}
WORDS = ("search", "schema", "options", "bulk", "upsert", "export", "restore", "move", "history")
# What is asked for by a parameter of a list, beside the filter.
_LIST_KEYS = ("q", "limit", "offset", "deleted", "timezone")
_OLD_WORDS = re.compile(r"_random\b|[?&](?:order_by|desc|enabled|for_obj_type|for_obj_id|x_account_id)=")
# Longer filters stay where they are: a query string takes less than a body.
_MOST_FILTER = 2_000


@dataclass(frozen=True)
class Said:
    """A V3 request in old words.

    Attributes:
        verb: Of the old API: ``get list search create update delete``.
        type: Resource type.
        is_exact: The old words are refused with the very words of V3 too.
    """

    verb: str
    type: str
    method: str
    target: str
    body: object = None
    is_exact: bool = True


@dataclass
class OldClient(Client):
    """Sends V3 requests through an old door.

    Attributes:
        registry: What is served, to know which fields are ids.
        door: One of `DOORS`.
        used: Old routes that were taken, as ``door verb``.
    """

    registry: Registry = field(default_factory=lambda: Registry(types={}))
    door: str = "/"
    used: set[str] = field(default_factory=set)

    async def send(
        self,
        method: str,
        target: str | bytes,
        body: object = None,
        *,
        raw: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        pairs: HeaderPairs = (),
    ) -> Reply:
        """Send a request by the old door if it can be said there, compare, and answer as V3 does."""
        more: Any = {"headers": headers, "pairs": pairs}
        given = {name.lower() for name in (headers or {})}
        said = None
        if isinstance(target, str) and raw is None and "prefer" not in given:
            said = say(self.registry, self.door, method, target, body)
        if said is None:
            return await super().send(method, target, body, raw=raw, **more)
        self.used.add(f"{self.door} {said.verb}")
        old = await super().send(said.method, said.target, said.body, **more)
        changes = said.verb in ("create", "update", "delete") and "validate_only" not in str(target)
        if changes and old.status < 400:
            return self._said_again(said, old, str(target))
        new = await super().send(method, target, body, **more)
        self._compare(said, old, new)
        return new

    def with_headers(self, **headers: str) -> OldClient:
        """The same caller with other headers; underscores stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})

    def _said_again(self, said: Said, old: Reply, target: str) -> Reply:
        """The reply that V3 would have given to a write."""
        assert old.status == 200, old
        shown = old.json
        if DOORS[self.door] == "v2":
            code = {"create": 201, "update": 200, "delete": 204}[said.verb]
            name = {201: "Created", 200: "OK", 204: "No Content"}[code]
            assert shown["meta"] == {"status_code": code, "status_name": name, "success": True, "count": 1}, old
            shown = shown["data"]
        if said.verb == "delete":
            public_id = target.partition("?")[0].rstrip("/").rpartition("/")[2]
            assert shown == {"deleted": True, "id_random": public_id}, old
            return replace(old, status=204, body=b"")
        data = without_old_names(self.registry, said.type, shown)
        assert with_old_names(self.registry, said.type, data) == shown, old
        status, headers = 200, old.headers
        if said.verb == "create":
            status = 201
            headers = (*headers, ("location", f"{V3}{said.type}/{data['id']}"))
        return replace(old, status=status, headers=headers, body=json.dumps({"data": data, "meta": {}}).encode())

    def _compare(self, said: Said, old: Reply, new: Reply) -> None:
        where = f"\nold: {old}\nnew: {new}"
        if said.method in ("HEAD", "OPTIONS") or new.status in (204, 304):
            assert old.status == 200 if new.status == 204 and said.verb == "delete" else old.status == new.status, where
            assert old.body == b"" or said.verb == "delete", where
            return
        if new.status >= 400:
            assert old.status == new.status if said.is_exact else old.status >= 400, where
            self._compare_refusal(said, old, new, where)
            return
        assert old.status == 200, where
        shown = old.json
        if DOORS[self.door] == "v2":
            count = len(shown["data"]) if isinstance(shown["data"], list) else 1
            code = new.status
            assert shown["meta"]["status_code"] == code, where
            assert (shown["meta"]["success"], shown["meta"]["count"]) == (True, count), where
            assert list(shown["meta"]) == ["status_code", "status_name", "success", "count"], where
            shown = shown["data"]
        wanted = with_old_names(self.registry, said.type, new.data)
        if said.verb in ("create", "update"):
            # Not written, so the same but for the moment that it would have been written at.
            shown, wanted = [{**one, "created_on": "", "updated_on": ""} for one in (shown, wanted)]
        assert shown == wanted, where
        assert said.verb in ("create", "update") or old.header("etag") == new.header("etag"), where

    def _compare_refusal(self, said: Said, old: Reply, new: Reply, where: str) -> None:
        if old.header("content-type") == "application/problem+json":
            # A type that the caller may not see is as unknown as a word that is no type.
            assert {**old.json, "instance": "", "request_id": ""} == {**new.json, "instance": "", "request_id": ""}, (
                where
            )
            return
        detail = detail_of(old, DOORS[self.door])
        if said.is_exact and old.status != 405:
            wanted = [one["detail"] for one in new.json.get("errors", [])[:20]] or [new.json["detail"]]
            assert all(one in detail for one in wanted), where
        for name in ("www-authenticate", "retry-after", "ratelimit-policy"):
            assert (old.header(name) is None) == (new.header(name) is None), where


def detail_of(old: Reply, version: str) -> str:
    """The text of a refusal, of which the whole old form is checked."""
    assert old.header("content-type") == "application/json", old
    if version == "v1":
        assert list(old.json) == ["detail"], old
        return str(old.json["detail"])
    meta = old.json["meta"]
    assert (list(old.json), old.json["data"], meta["success"], meta["count"]) == (["data", "meta"], None, False, 0), old
    assert meta["status_code"] == old.status, old
    return str(meta["detail"])


def say(registry: Registry, door: str, method: str, target: str, body: object) -> Said | None:
    """A V3 request in the words of a door; None where it cannot be said."""
    path, _, query = target.partition("?")
    if not path.startswith(V3) or _OLD_WORDS.search(target) or _OLD_WORDS.search(json.dumps(body)):
        # What has another meaning in old words, or one at all.
        return None
    parts = path.removeprefix(V3).removesuffix("/").split("/")
    if "" in parts or parts[0] not in registry.types:
        return None
    root = door.rstrip("/")
    name, rest = parts[0], parts[1:]
    tail = f"?{query}" if query else ""
    if rest and rest[-1] in ("schema", "options", "restore", "move"):
        return None
    if not rest or (len(rest) == 2 and _child(registry, name, rest[1])):
        if method == "POST" and not rest:
            return Said("create", name, "POST", f"{root}/{name}{tail}", _old_body(registry, name, body))
        if method == "GET":
            return _say_list(registry, root, name, rest, query)
        return None
    if rest[-1] == "search" and method == "POST" and not query:
        above = rest[:-1]
        if not above or (len(above) == 2 and _child(registry, name, above[1])):
            return _say_search(registry, door, name, above, body)
        return None
    if len(rest) > 1 or rest[0] in WORDS:
        return None
    item = f"{root}/{name}/{rest[0]}{tail}"
    if method in ("GET", "HEAD", "OPTIONS"):
        return Said("get", name, method, item, body)
    if method == "PATCH":
        # An old PUT was a partial update.
        return Said("update", name, "PUT", item, _old_body(registry, name, body))
    return Said("delete", name, method, item, body) if method == "DELETE" else None


def with_old_names(registry: Registry, type_name: str, shown: Any) -> Any:
    """An object, or a list of them, as the old API shows it."""
    if isinstance(shown, list):
        return [with_old_names(registry, type_name, one) for one in shown]
    resource = registry.types[type_name]
    made: Json = {}
    for name, value in shown.items():
        relation = resource.relations.get(name)
        if relation is not None and isinstance(value, dict):
            is_page = relation.kind == "many"
            inner = with_old_names(registry, relation.target, value["data"] if is_page else value)
            made[name] = {**value, "data": inner} if is_page else inner
        else:
            made[name] = value
            if name in resource.fields and resource.fields[name].kind in ("id", "relation"):
                made[f"{name}_random"] = value
    return made


def without_old_names(registry: Registry, type_name: str, shown: Json) -> Json:
    """An object without the names that only the old API shows."""
    resource = registry.types[type_name]
    made: Json = {}
    for name, value in shown.items():
        relation = resource.relations.get(name)
        if relation is not None and isinstance(value, dict):
            if relation.kind == "many":
                inner = [without_old_names(registry, relation.target, one) for one in value["data"]]
                made[name] = {**value, "data": inner}
            else:
                made[name] = without_old_names(registry, relation.target, value)
        elif not (name.endswith("_random") and name not in resource.fields):
            made[name] = value
    return made


def _child(registry: Registry, above: str, segment: str) -> str | None:
    return next((one.type for one in registry.types[above].children if one.segment == segment), None)


def _old_body(registry: Registry, type_name: str, body: object) -> object:
    """The fields of a body under their old names."""
    if not isinstance(body, dict):
        return body
    fields = registry.types[type_name].fields
    is_id = {name for name, one in fields.items() if one.kind in ("id", "relation")}
    return {f"{name}_random" if name in is_id else name: value for name, value in body.items()}


def _say_list(registry: Registry, root: str, name: str, rest: Sequence[str], query: str) -> Said | None:
    pairs: list[tuple[str, str]] = [("enabled", "all")]
    type_name = name
    if rest:
        type_name = _child(registry, name, rest[1]) or ""
        pairs += [("for_obj_type", name), ("for_obj_id", rest[0])]
    given = query.split("&") if query else []
    for part in given:
        key, _, text = part.partition("=")
        if key == "sort" and (order := _say_order(text.split(","))):
            given = [one for one in given if one is not part]
            pairs += order
    target = f"{root}/{type_name}/list?{'&'.join([*given, urlencode(pairs, safe='%(),')])}"
    return Said("list", type_name, "GET", target)


def _say_order(keys: Sequence[str]) -> list[tuple[str, str]]:
    """A sort in one direction by ``order_by`` and ``desc``; empty where it cannot be said."""
    if keys and all(key.startswith("-") for key in keys):
        return [("order_by", ",".join(key[1:] for key in keys)), ("desc", "1")]
    return [] if any(key.startswith("-") for key in keys) else [("order_by", ",".join(keys)), ("desc", "0")]


def _say_search(registry: Registry, door: str, name: str, above: Sequence[str], body: object) -> Said | None:
    if not isinstance(body, dict):
        return None
    type_name = name if not above else _child(registry, name, above[1]) or ""
    root = door.rstrip("/")
    pairs: list[tuple[str, str]] = [("enabled", "all")]
    if above:
        pairs += [("for_obj_type", name), ("for_obj_id", above[0])]
    asked = {key: value for key, value in body.items() if value is not None and key != "count"}
    condition = asked.pop("filter", {})
    lists = [key for key in ("sort", "fields", "expand") if key in asked]
    if not all(_fits_query(asked[key]) for key in lists):
        return None
    if DOORS[door] == "v2" and set(asked) <= {"sort", "limit", "offset"}:
        old = say_filter(condition)
        order = _say_order(asked["sort"]) if isinstance(asked.get("sort"), list) and asked["sort"] else []
        plain = all(type(asked.get(key, 0)) is int for key in ("limit", "offset"))
        if old is not None and plain and (order or not asked.get("sort")):
            pairs += [(key, str(asked[key])) for key in ("limit", "offset") if key in asked] + order
            target = f"{root}/{type_name}/search?{urlencode(pairs, safe='%(),')}"
            return Said("search", type_name, "POST", target, old)
    filter_text = json.dumps(condition)
    is_flat = all(isinstance(asked.get(key, ""), (str, int)) for key in _LIST_KEYS)
    if set(asked) - {*_LIST_KEYS, *lists} or not is_flat or len(filter_text) > _MOST_FILTER:
        return None
    pairs += [("filter", filter_text)]
    pairs += [(key, str(asked[key])) for key in _LIST_KEYS if key in asked]
    pairs += [(key, ",".join(asked[key])) for key in lists]
    target = f"{root}/{type_name}/list?{urlencode(pairs, quote_via=quote)}"
    return Said("list", type_name, "GET", target, is_exact=False)


def _fits_query(names: object) -> bool:
    """Whether a list of names can be written with commas between."""
    if not isinstance(names, list):
        return False
    return all(isinstance(one, str) and one == one.strip() and one and "," not in one for one in names)


def say_filter(condition: object) -> Json | None:
    """A filter as an old search: conditions that hold together, and beside them some of which one must hold."""
    if not isinstance(condition, dict):
        return None
    made: Json = {"and": [], "or": []}
    for key, inner in condition.items():
        if key in ("and", "or"):
            if not isinstance(inner, list) or not inner or (key == "or" and len(made["or"])):
                return None
            for one in inner:
                leaves = _say_leaves(one)
                if leaves is None or (key == "or" and len(leaves) != 1):
                    return None
                made[key] += leaves
        else:
            leaves = _say_leaves({key: inner})
            if leaves is None:
                return None
            made["and"] += leaves
    return made


def _say_leaves(condition: object) -> list[Json] | None:
    if not isinstance(condition, dict):
        return None
    leaves: list[Json] = []
    for name, inner in condition.items():
        if name.lstrip("_$") in ("and", "or", "not"):
            return None
        asked = inner
        if isinstance(inner, list):
            asked = {"in": inner}
        elif not isinstance(inner, dict):
            asked = {"eq": inner}
        if not asked:
            return None
        for operator, operand in asked.items():
            if operator.lstrip("_$") in ("and", "or", "not"):
                return None
            leaves.append({"field": name, "op": operator, "value": operand})
    return leaves


def parameters_of(target: str) -> dict[str, str]:
    """The parameters of a target."""
    return dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))
