"""Strict JSON: bytes to Python values, or every fault with its place.

orjson does the parsing. What it lets through and the contract does not (a key
given twice, NUL characters, integers that it would turn into floats) is looked
for by counting, and only a body that fails the count is parsed a second time by
the standard library, which is slower but can be asked what it saw.
"""

from __future__ import annotations

import json
import math
import re

import orjson

from engine.errors import BadJson, ErrorItem, ValidationFailed

MAX_DEPTH = 100
MAX_FAULTS = 100
MAX_DIGITS = 4_000

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
# orjson reads an integer beyond 64 bits as a float; no other float is as large and still worth a second look.
_FIRST_SUSPECT_FLOAT = 2.0**63


class _Fault:
    """Stands in a parsed value for one that is refused, until its place is known."""

    __slots__ = ("code", "detail")

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail


class _Doubled(dict[str, object]):
    """An object in which a key was given twice."""

    __slots__ = ("key",)
    key: str


def decode_json(raw: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Read a request's body.

    Args:
        raw: The body as it came. An empty one is ``{}``.
        max_depth: How deep arrays and objects may nest.

    Returns:
        Dicts, lists, strings, integers of any size, finite floats, booleans and None.

    Raises:
        BadJson: It is no JSON, nests too deep, or an object has a key twice (with the key's pointer).
        ValidationFailed: It holds NaN, an infinity, a number beyond a double, a NUL character or half a surrogate pair.
    """
    if not raw:
        return {}
    if raw.count(b"{") + raw.count(b"[") > max_depth:
        _check_depth(raw, max_depth)
    if b"\\u" not in raw:
        try:
            value: object = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return _decode_slowly(raw)
        if _is_sound(value, raw.count(b":")):
            return value
    return _decode_slowly(raw)


def escape_pointer(token: str) -> str:
    """Spell one token of a JSON Pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1") if "~" in token or "/" in token else token


def _is_sound(root: object, colons: int) -> bool:
    r"""Whether orjson saw every key once and every number as it was written.

    Without ``\u`` escapes each colon of the text is either behind a key or inside a string of the result (or of a
    value that a doubled key has hidden). So there are exactly as many keys as colons that no string explains,
    or a key was doubled.
    """
    keys = 0
    texts: list[str] = []
    stack = [root]
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is dict:
            keys += len(node)  # type: ignore[arg-type]
            texts += node  # type: ignore[arg-type]
            children = node.values()  # type: ignore[attr-defined]
        elif kind is list:
            children = node
        elif kind is str:
            texts.append(node)  # type: ignore[arg-type]
            continue
        elif kind is float:
            if not -_FIRST_SUSPECT_FLOAT < node < _FIRST_SUSPECT_FLOAT:  # type: ignore[operator]
                return False
            continue
        else:
            continue
        stack.extend(children)
    if keys == colons:
        return True
    return keys + "\n".join(texts).count(":") == colons


def _check_depth(raw: bytes, max_depth: int) -> None:
    """Refuse what nests too deep before any parser recurses into it.

    Only brackets are kept, as if there were one kind of them, and each round removes the innermost pairs: as many
    rounds as levels, each at C speed. That they match, the parser sees.
    """
    brackets = _STRING.sub(b"", raw).translate(_ONE_KIND, _ALL_BUT_BRACKETS)
    for _ in range(max_depth):
        shorter = brackets.replace(b"[]", b"")
        if not shorter:
            return
        if len(shorter) == len(brackets):
            # Unbalanced: a syntax error, unless even what is open nests too deep.
            if shorter.count(b"[") > max_depth:
                break
            return
        brackets = shorter
    raise BadJson(f"The JSON nests deeper than {max_depth} levels, or its brackets do not match.")


def _decode_slowly(raw: bytes) -> object:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"The body is not valid UTF-8: byte {error.start} does not belong there.") from error
    try:
        value: object = json.loads(
            text,
            object_pairs_hook=_read_object,
            parse_constant=_read_constant,
            parse_float=_read_float,
            parse_int=_read_int,
        )
    except json.JSONDecodeError as error:
        raise BadJson(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    except RecursionError as error:  # a bracket inside a broken string can slip past the depth check
        raise BadJson("The body is not JSON: it nests too deep.") from error
    faults = _find_faults(value)
    if faults:
        raise ValidationFailed(errors=faults)
    return value


def _read_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) == len(pairs):
        return read
    doubled = _Doubled(read)
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            doubled.key = key
            break
        seen.add(key)
    return doubled


def _read_constant(word: str) -> _Fault:
    return _Fault("type-mismatch", f"{word} is not a JSON number.")


def _read_float(digits: str) -> object:
    number = float(digits)
    if math.isfinite(number):
        return number
    return _Fault("out-of-range", "The number is beyond what a double can hold.")


def _read_int(digits: str) -> object:
    # Python refuses to convert very long digit strings, for their quadratic cost.
    if len(digits) > MAX_DIGITS:
        return _Fault("out-of-range", f"The integer has more than {MAX_DIGITS} digits.")
    return int(digits)


def _find_faults(root: object) -> list[ErrorItem]:
    faults: list[ErrorItem] = []
    stack: list[tuple[object, str]] = [(root, "")]
    while stack and len(faults) < MAX_FAULTS:
        node, pointer = stack.pop()
        if isinstance(node, dict):
            if isinstance(node, _Doubled):
                place = f"{pointer}/{_printable(escape_pointer(node.key))}"
                detail = f"The key at {place} is given twice."
                raise BadJson(detail, errors=[ErrorItem("duplicate", detail, pointer=place)])
            for key in node:
                fault = _fault_of_text(key)
                if fault:
                    faults.append(ErrorItem("type-mismatch", f"A key {fault}.", pointer=pointer))
            stack.extend(
                (child, f"{pointer}/{_printable(escape_pointer(key))}") for key, child in reversed(node.items())
            )
        elif isinstance(node, list):
            stack.extend((node[index], f"{pointer}/{index}") for index in range(len(node) - 1, -1, -1))
        elif isinstance(node, str):
            fault = _fault_of_text(node)
            if fault:
                faults.append(ErrorItem("type-mismatch", f"The text {fault}.", pointer=pointer))
        elif isinstance(node, _Fault):
            faults.append(ErrorItem(node.code, node.detail, pointer=pointer))
    return faults


def _fault_of_text(text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character"
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "holds half of a surrogate pair"
    return None


def _printable(token: str) -> str:
    """A pointer goes into a reply, which is UTF-8: half a surrogate pair cannot."""
    return token.encode("utf-8", "replace").decode("utf-8")
