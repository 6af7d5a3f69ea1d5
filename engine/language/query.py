"""The query string: the short form of a search that GET lists take, and the flags of the other calls.

What ``created_on.gte`` means is left to `plan/conditions.py`: only the registry
knows whether ``gte`` is a field or an operator. `split_term` says how to ask it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from urllib.parse import unquote_to_bytes

from engine.errors import BadJson, BadRequest, ErrorItem, ValidationFailed
from engine.language.json import decode_json
from engine.language.search import (
    COUNT_MODES,
    DELETED_MODES,
    EMPTY_SEARCH,
    MAX_Q,
    ExpandNode,
    SearchBody,
    Term,
    expand_paths,
    is_relation_path,
    is_timezone,
    read_sort_key,
    suggest,
)
from engine.registry.resource import SortKey

_MAX_DIGITS = 20
MAX_PARAMETERS = 250
MAX_QUERY_BYTES = 64 * 1024

LIST_PARAMETERS = (
    "filter", "q", "fields", "expand", "sort", "limit", "offset", "cursor", "count", "deleted", "timezone", "explain",
)  # fmt: skip
_FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}


def split_query(query: str | bytes) -> list[tuple[str, str]]:
    """Split a query string into its parameters, percent-decoded, ``+`` read as a space.

    Raises:
        BadRequest: It is too long, has too many parameters, is not UTF-8, or names one twice.
    """
    if not query:
        return []
    text = query if isinstance(query, str) else query.decode("latin-1")
    if len(text) > MAX_QUERY_BYTES:
        raise BadRequest(f"The query string is longer than {MAX_QUERY_BYTES} bytes; POST …/search takes more.")
    if text.count("&") >= MAX_PARAMETERS:
        raise BadRequest(f"The query string has more than {MAX_PARAMETERS} parameters.")
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    for part in text.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        name = _decode(name)
        if name in seen:
            detail = f"The parameter {name!r} is given twice; a list is written with commas."
            raise BadRequest(detail, errors=[ErrorItem("duplicate", detail, parameter=name)])
        seen.add(name)
        pairs.append((name, _decode(value)))
    return pairs


def parse_query(query: str | bytes) -> SearchBody:
    """Read the query string of a GET list.

    Returns:
        The search. Parameters that are not the search's own become its `terms`, for the planner to resolve.

    Raises:
        BadRequest: See `split_query`; ``filter=`` is no JSON.
        ValidationFailed: A value is wrong; each fault names its parameter.
    """
    pairs = split_query(query)
    if not pairs:
        return EMPTY_SEARCH
    found: dict[str, object] = {"is_query": True}
    terms: list[Term] = []
    faults: list[ErrorItem] = []
    for name, text in pairs:
        read = _READERS.get(name)
        if read is None:
            terms.append(Term(name, text))
            continue
        try:
            found[name] = read(text)
        except _WrongValue as wrong:
            faults.append(ErrorItem(wrong.code, wrong.detail, parameter=name, suggestions=wrong.suggestions))
    if "cursor" in found and "offset" in found:
        detail = "offset and cursor exclude each other; a cursor knows its place."
        faults.append(ErrorItem("bad-operand", detail, parameter="offset"))
    if faults:
        raise ValidationFailed(errors=faults)
    if terms:
        found["terms"] = tuple(terms)
    return SearchBody(**found)  # type: ignore[arg-type]


def read_flags(query: str | bytes, names: Collection[str]) -> dict[str, str]:
    """Read the parameters of a call that takes only these; the values stay text.

    Raises:
        BadRequest: One is unknown, or see `split_query`.
    """
    pairs = split_query(query)
    for name, _ in pairs:
        if name not in names:
            raise unknown_parameter(name, tuple(names))
    return dict(pairs)


def read_boolean(name: str, text: str) -> bool:
    """Read a flag such as ``hard=true``; ``?hard`` alone is true.

    Raises:
        ValidationFailed: It is neither true nor false.
    """
    value = _FLAGS.get(text)
    if value is None:
        raise ValidationFailed(errors=[ErrorItem("type-mismatch", f"{name} is true or false.", parameter=name)])
    return value


def unknown_parameter(name: str, possible: Collection[str]) -> BadRequest:
    """The refusal of a parameter that does not exist here; it says which do."""
    shown = sorted(possible)
    detail = f"{name[:80]!r} is not a parameter of this call. Possible: {', '.join(shown) or 'none'}."
    return BadRequest(
        detail, errors=[ErrorItem("unknown-field", detail, parameter=name, suggestions=suggest(name, shown))]
    )


def split_term(
    parameter: str, is_field: Callable[[str], bool], is_operator: Callable[[str], bool]
) -> tuple[str, str] | None:
    """Tell ``created_on.gte`` (field and operator) from ``person.name`` (a path): a field of that name wins.

    Returns:
        The field expression and the operator word, or None where it is neither.
    """
    if is_field(parameter):
        return parameter, "eq"
    head, dot, last = parameter.rpartition(".")
    if dot and is_operator(last) and is_field(head):
        return head, last
    return None


class _WrongValue(Exception):
    def __init__(self, detail: str, code: str = "type-mismatch", suggestions: tuple[str, ...] = ()) -> None:
        self.detail = detail
        self.code = code
        self.suggestions = suggestions


def _decode(text: str) -> str:
    """Decode one name or value; the common one has nothing to decode."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text and text.isascii():
        decoded = text
    else:
        # A server hands the query over as latin-1 text, so that any byte survives until here.
        raw = unquote_to_bytes(text if text.isascii() else _raw_bytes(text))
        try:
            decoded = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequest("The query string is not valid UTF-8.") from error
    if "\0" in decoded:
        raise BadRequest("The query string holds a NUL character.")
    return decoded


def _raw_bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _read_filter(text: str) -> object:
    try:
        value = decode_json(text.encode("utf-8")) if text else None
    except BadJson as error:
        detail = f"filter= is not JSON: {error.detail}"
        raise BadRequest(detail, errors=[ErrorItem("bad-operand", detail, parameter="filter")]) from error
    except ValidationFailed as error:
        raise ValidationFailed(
            errors=[ErrorItem(item.code, item.detail, parameter="filter") for item in error.errors]
        ) from error
    if value is not None and not isinstance(value, dict):
        raise _WrongValue("filter= takes a JSON object.")
    return value


def _read_q(text: str) -> object:
    if len(text) > MAX_Q:
        raise _WrongValue(f"q takes at most {MAX_Q} characters.", "too-long")
    return text


def _split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _read_fields(text: str) -> tuple[str, ...]:
    return tuple(_split_list(text))


def _read_sort(text: str) -> tuple[SortKey, ...] | None:
    keys: list[SortKey] = []
    for part in _split_list(text):
        key = read_sort_key(part)
        if key is None:
            raise _WrongValue(f"{part[:80]!r} is not a sort key.", "bad-operand")
        keys.append(key)
    return tuple(keys) or None


def _read_expand(text: str) -> tuple[ExpandNode, ...]:
    paths = _split_list(text)
    for path in paths:
        if not is_relation_path(path):
            raise _WrongValue(f"{path[:80]!r} is not a relation, or several with dots between.", "bad-operand")
    return expand_paths(paths, ["expand"] * len(paths))


def _read_size(text: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        raise _WrongValue("An integer is expected here.")
    if text[0] == "-":
        raise _WrongValue("It cannot be negative.", "out-of-range")
    # However large: a limit is reduced and an offset refused by what they may be. Python reads 4,300 digits at most.
    return int(text[-_MAX_DIGITS:]) if len(text.lstrip("0")) <= _MAX_DIGITS else 10**_MAX_DIGITS


def _read_word(words: tuple[str, ...]) -> Callable[[str], object]:
    def read(text: str) -> object:
        if text not in words:
            raise _WrongValue(f"One of {', '.join(words)} is expected here.", "not-in-enum", suggest(text, words))
        return text

    return read


def _read_timezone(text: str) -> object:
    if not is_timezone(text):
        raise _WrongValue(f"{text[:80]!r} is not a time zone; IANA names such as Europe/Berlin are.", "bad-operand")
    return text


def _read_flag(text: str) -> object:
    value = _FLAGS.get(text)
    if value is None:
        raise _WrongValue("true or false is expected here.")
    return value


_READERS: dict[str, Callable[[str], object]] = {
    "filter": _read_filter,
    "q": _read_q,
    "fields": _read_fields,
    "expand": _read_expand,
    "sort": _read_sort,
    "limit": _read_size,
    "offset": _read_size,
    "cursor": lambda text: text or None,
    "count": _read_word(COUNT_MODES),
    "deleted": _read_word(DELETED_MODES),
    "timezone": _read_timezone,
    "explain": _read_flag,
}
