"""The search body: which keys it has and which JSON types they take.

Fields, relations and operators are names here and no more; whether they exist is
for `plan/` to say. The query-string form of the same is `query.py`'s.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from zoneinfo import available_timezones

from engine.errors import ErrorItem, ValidationFailed
from engine.language.json import escape_pointer
from engine.light import light
from engine.registry.resource import SortKey

CountMode = Literal["none", "exact", "estimated"]
DeletedMode = Literal["exclude", "include", "only"]

COUNT_MODES: tuple[CountMode, ...] = ("none", "exact", "estimated")
DELETED_MODES: tuple[DeletedMode, ...] = ("exclude", "include", "only")
MAX_Q = 1_000
MAX_NAMES = 1_000
MAX_SORT_KEY = 400
MAX_EXPAND_NODES = 200
# Deeper than any registry's own limit, which the planner checks; this one only bounds our recursion.
MAX_EXPAND_DEPTH = 20

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_SORT_KEY = re.compile(
    rf"(-?)((?:{_NAME}\()?{_NAME}(?:\.{_NAME})*\)?)(?::(nulls_first|nulls_last))?",
)
_RELATION_PATH = re.compile(rf"{_NAME}(?:\.{_NAME})*")


@dataclass(frozen=True, slots=True)
class ExpandNode:
    """One relation to expand.

    Attributes:
        relation: Its name, unchecked.
        place: Where it stands in the request: a JSON Pointer, or the name of a query parameter.
        fields, filter, sort, limit: As in a search body; None = absent.
        children: What to expand inside it.
    """

    relation: str
    place: str
    fields: tuple[str, ...] | None = None
    filter: object = None
    sort: tuple[SortKey, ...] | None = None
    limit: int | None = None
    children: tuple[ExpandNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """One field parameter of a query string (``created_on.gte=2026-01-01``), not yet understood."""

    parameter: str
    text: str


@light
@dataclass(frozen=True, slots=True)
class SearchBody:
    """What a search asks for, as written. None or empty = absent.

    Attributes:
        filter: The filter as JSON; see `plan/conditions.py` for its grammar.
        terms: The field parameters of a query string; they join `filter` by AND.
        is_query: It came as a query string: faults name a ``parameter`` where a body's name a ``pointer``.
    """

    filter: object = None
    q: str | None = None
    fields: tuple[str, ...] | None = None
    expand: tuple[ExpandNode, ...] = ()
    sort: tuple[SortKey, ...] | None = None
    limit: int | None = None
    offset: int | None = None
    cursor: str | None = None
    count: CountMode = "none"
    deleted: DeletedMode = "exclude"
    timezone: str | None = None
    explain: bool = False
    terms: tuple[Term, ...] = ()
    is_query: bool = False


EMPTY_SEARCH = SearchBody()


class _Reader:
    """Reads one body and keeps what is wrong with it."""

    __slots__ = ("expand_nodes", "faults")

    def __init__(self) -> None:
        self.faults: list[ErrorItem] = []
        self.expand_nodes = 0

    def fault(self, pointer: str, detail: str, code: str = "type-mismatch", suggestions: Sequence[str] = ()) -> None:
        self.faults.append(ErrorItem(code, detail, pointer=pointer, suggestions=tuple(suggestions)))


def parse_search(raw: object) -> SearchBody:
    """Read a search body.

    Raises:
        ValidationFailed: With every fault at once: unknown keys, wrong types, ``offset`` beside ``cursor``.
    """
    reader = _Reader()
    found = _read_keys(raw, "", _BODY_KEYS, reader)
    if found.get("cursor") is not None and found.get("offset") is not None:
        reader.fault("/offset", "offset and cursor exclude each other; a cursor knows its place.", "bad-operand")
    if reader.faults:
        raise ValidationFailed(errors=reader.faults)
    return SearchBody(**found) if found else EMPTY_SEARCH  # type: ignore[arg-type]


def read_sort_key(text: str) -> SortKey | None:
    """Read ``-created_on:nulls_last``, ``lower(title)`` or ``-count(entry)``; None where it is none of these."""
    # A memo keeps its keys, so long ones stay out of it.
    return _read_sort_key(text) if len(text) <= MAX_SORT_KEY else None


@lru_cache(maxsize=4096)
def _read_sort_key(text: str) -> SortKey | None:
    match = _SORT_KEY.fullmatch(text)
    if match is None:
        return None
    minus, expression, nulls = match.groups()
    if ("(" in expression) != (")" in expression):
        return None
    return SortKey(expression, minus == "-", None if nulls is None else nulls == "nulls_last")


def is_timezone(name: str) -> bool:
    """Whether a name is in the IANA time zone database."""
    return name in _zone_names()


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    # Some systems keep two files beside the zones that are none.
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def expand_paths(paths: Sequence[str], places: Sequence[str]) -> tuple[ExpandNode, ...]:
    """Make the tree of ``["account", "entry.file"]``. The paths are well formed; `places` stand beside them."""
    tree: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for path, place in zip(paths, places, strict=True):
        head, _, tail = path.partition(".")
        inner = tree.setdefault(head, (place, []))[1]
        if tail:
            inner.append((tail, place))
    return tuple(
        ExpandNode(
            relation,
            place,
            children=expand_paths([tail for tail, _ in inner], [spot for _, spot in inner]) if inner else (),
        )
        for relation, (place, inner) in tree.items()
    )


def is_relation_path(text: str) -> bool:
    """Whether a text is dotted names, few enough that the tree they make stays shallow."""
    return len(text) <= 400 and text.count(".") < MAX_EXPAND_DEPTH and _RELATION_PATH.fullmatch(text) is not None


def suggest(name: str, possible: Sequence[str]) -> tuple[str, ...]:
    """What a caller may have meant by a name that does not exist; at most three."""
    return tuple(difflib.get_close_matches(name[:80], possible, n=3, cutoff=0.6))


_Read = Callable[[object, str, _Reader], object]


def _read_keys(raw: object, pointer: str, keys: Mapping[str, _Read], reader: _Reader) -> dict[str, object]:
    if not isinstance(raw, dict):
        reader.fault(pointer, "An object is expected here.")
        return {}
    found: dict[str, object] = {}
    for key, value in raw.items():
        read = keys.get(key)
        if read is None:
            place = f"{pointer}/{escape_pointer(key)}"
            reader.fault(place, f"{key!r} is not a key of a search.", "unknown-field", suggest(key, tuple(keys)))
        elif value is not None:
            found[key] = read(value, f"{pointer}/{key}", reader)
    return found


def _read_filter(value: object, pointer: str, reader: _Reader) -> object:
    if not isinstance(value, dict):
        reader.fault(pointer, "A filter is an object: {field: value, …}.")
    return value


def _read_text(value: object, pointer: str, reader: _Reader) -> object:
    if not isinstance(value, str):
        reader.fault(pointer, "A string is expected here.")
    elif pointer == "/q" and len(value) > MAX_Q:
        reader.fault(pointer, f"q takes at most {MAX_Q} characters.", "too-long")
    return value


def _read_flag(value: object, pointer: str, reader: _Reader) -> object:
    if not isinstance(value, bool):
        reader.fault(pointer, "true or false is expected here.")
    return value


def _read_size(value: object, pointer: str, reader: _Reader) -> object:
    if type(value) is float and value.is_integer():
        # 5.0 is 5 in JSON, and an integer to every JSON Schema.
        value = int(value)
    if type(value) is not int:
        reader.fault(pointer, "An integer is expected here.")
    elif value < 0:
        reader.fault(pointer, "It cannot be negative.", "out-of-range")
    return value


def _read_word(words: Sequence[str]) -> _Read:
    def read(value: object, pointer: str, reader: _Reader) -> object:
        if not isinstance(value, str):
            reader.fault(pointer, "A string is expected here.")
        elif value not in words:
            reader.fault(pointer, f"One of {', '.join(words)} is expected here.", "not-in-enum", suggest(value, words))
        return value

    return read


def _read_timezone(value: object, pointer: str, reader: _Reader) -> object:
    if not isinstance(value, str):
        reader.fault(pointer, "A string is expected here.")
    elif not is_timezone(value):
        reader.fault(
            pointer, f"{value[:80]!r} is not a time zone; IANA names such as Europe/Berlin are.", "bad-operand"
        )
    return value


def _read_names(value: object, pointer: str, reader: _Reader) -> object:
    if not isinstance(value, list):
        reader.fault(pointer, "A list of field names is expected here.")
        return ()
    if len(value) > MAX_NAMES:
        reader.fault(pointer, f"At most {MAX_NAMES} names.", "too-complex")
        return ()
    for index, name in enumerate(value):
        if not isinstance(name, str):
            reader.fault(f"{pointer}/{index}", "A field name is expected here.")
    return tuple(value)


def _read_sort(value: object, pointer: str, reader: _Reader) -> object:
    if not isinstance(value, list):
        reader.fault(pointer, "A list of sort keys is expected here.")
        return ()
    if len(value) > MAX_NAMES:
        reader.fault(pointer, f"At most {MAX_NAMES} sort keys.", "too-complex")
        return ()
    keys: list[SortKey] = []
    for index, text in enumerate(value):
        key = read_sort_key(text) if isinstance(text, str) else None
        if key is None:
            detail = "A sort key is a field, with '-' before and ':nulls_first' or ':nulls_last' behind it if wanted."
            reader.fault(f"{pointer}/{index}", detail, "bad-operand" if isinstance(text, str) else "type-mismatch")
        else:
            keys.append(key)
    return tuple(keys)


def _read_expand(value: object, pointer: str, reader: _Reader) -> tuple[ExpandNode, ...]:
    if pointer.count("/") > 2 * MAX_EXPAND_DEPTH:
        reader.fault(pointer, f"expand nests deeper than {MAX_EXPAND_DEPTH} levels.", "too-complex")
        return ()
    if isinstance(value, list):
        paths: list[str] = []
        places: list[str] = []
        for index, path in enumerate(value[: MAX_EXPAND_NODES + 1]):
            place = f"{pointer}/{index}"
            if isinstance(path, str) and is_relation_path(path):
                paths.append(path)
                places.append(place)
            else:
                detail = "The name of a relation, or several with dots between, is expected here."
                reader.fault(place, detail, "bad-operand" if isinstance(path, str) else "type-mismatch")
        _count_nodes(len(value), pointer, reader)
        return expand_paths(paths, places)
    if not isinstance(value, dict):
        reader.fault(pointer, "A list of relations or an object by relation is expected here.")
        return ()
    if not _count_nodes(len(value), pointer, reader):
        return ()
    nodes: list[ExpandNode] = []
    for relation, inner in value.items():
        place = f"{pointer}/{escape_pointer(relation)}"
        if not is_relation_path(relation) or "." in relation:
            reader.fault(place, "The name of a relation is expected here.", "unknown-field")
        elif inner is not None:
            found = _read_keys(inner, place, _EXPAND_KEYS, reader)
            children = found.pop("expand", ())
            nodes.append(ExpandNode(relation, place, children=children, **found))  # type: ignore[arg-type]
    return tuple(nodes)


def _count_nodes(more: int, pointer: str, reader: _Reader) -> bool:
    reader.expand_nodes += more
    if reader.expand_nodes <= MAX_EXPAND_NODES:
        return True
    reader.fault(pointer, f"expand names more than {MAX_EXPAND_NODES} relations.", "too-complex")
    return False


_EXPAND_KEYS: dict[str, _Read] = {
    "fields": _read_names,
    "filter": _read_filter,
    "sort": _read_sort,
    "limit": _read_size,
    "expand": _read_expand,
}

_BODY_KEYS: dict[str, _Read] = {
    "filter": _read_filter,
    "q": _read_text,
    "fields": _read_names,
    "expand": _read_expand,
    "sort": _read_sort,
    "limit": _read_size,
    "offset": _read_size,
    "cursor": _read_text,
    "count": _read_word(COUNT_MODES),
    "deleted": _read_word(DELETED_MODES),
    "timezone": _read_timezone,
    "explain": _read_flag,
}
