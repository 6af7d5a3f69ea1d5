"""The pages of `docs/` as tests and writers see them: examples that can be run, and tables made from the source.

An example is a `bash` block that begins with `curl`, and the `json` or `http` block right below it. Answers are
shortened in ways that stay valid JSON: a text that ends with `…` may go on, an item `"…"` stands for any number of
items, a key `"…"` for any other keys. A `bash` block of lines ``ID=…  # data.id`` takes variables from the answer above
it; one of lines ``echo "text" > name`` makes the files that commands send. ``python -m tests.support.pages`` writes the
tables of all pages anew.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from engine.errors import CODES
from engine.operators import OPERATORS
from engine.registry.families import DEFAULTS, FAMILIES, FUNCTIONS, SIX
from engine.registry.kinds import KINDS
from engine.registry.resource import Limits
from tests.support import migration

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ELLIPSIS = "…"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "------------------------aether"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_TAKEN = re.compile(r"^([A-Z]+)=… +# ([\w.]+)$", re.MULTILINE)
_WRITTEN = re.compile(r'^echo "([^"]*)" > (\S+)$', re.MULTILINE)
_ORIGIN = re.compile(r"^https?://[^/]+")
_TABLE = re.compile(r"^<!-- made: (\w+) -->\n(.*?)^<!-- /made -->", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Request:
    """What a `curl` command sends."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Example:
    """A command of a page and what it is said to answer.

    Attributes:
        line: Of the command, for messages.
        language: Of the answer: ``json`` is the body alone; ``http`` begins with status and headers.
        taken: Variable → where in the answer its value stands, in words with dots.
    """

    line: int
    command: str
    language: str
    answer: str
    taken: Mapping[str, str] = field(default_factory=dict)


def examples_of(text: str) -> Iterator[Example]:
    """The examples of a page, in its order.

    Raises:
        ValueError: A command has no answer below it.
    """
    blocks = list(_BLOCK.finditer(text))
    for block, after, last in zip(blocks, [*blocks[1:], None], [*blocks[2:], None, None], strict=False):
        if block[1] != "bash" or not block[2].startswith("curl "):
            continue
        line = text[: block.start()].count("\n") + 2
        if after is None or after[1] not in ("json", "http") or text[block.end() : after.start()].strip():
            raise ValueError(f"line {line}: no answer stands below the command")
        taken = dict(_TAKEN.findall(last[2])) if last is not None and last[1] == "bash" else {}
        yield Example(line, block[2], after[1], after[2], taken)


def files_of(text: str) -> dict[str, bytes]:
    """The files that a page makes for its commands to send, by name."""
    blocks = [block[2] for block in _BLOCK.finditer(text) if block[1] == "bash"]
    return {name: f"{said}\n".encode() for block in blocks for said, name in _WRITTEN.findall(block)}


def read_curl(command: str, variables: dict[str, str], files: Mapping[str, bytes] = MappingProxyType({})) -> Request:
    """Read a `curl` command as a shell and curl would.

    Args:
        command: As it stands in the page.
        variables: Of the shell.
        files: What lies in the directory, by name.

    Raises:
        ValueError: It has an option that is not known here.
    """
    words = iter(shlex.split(_expand(command.replace("\\\n", " "), variables)))
    next(words)
    method, url, headers, body, query = "", "", {}, None, []
    parts: list[str] = []
    is_query = False
    for word in words:
        if word in ("-s", "-i", "-si"):
            continue
        if word == "-G":
            is_query = True
        elif word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(":")
            headers[name] = value.strip()
        elif word in ("-d", "--json"):
            body = next(words).encode()
            headers.setdefault("Content-Type", JSON if word == "--json" else FORM)
        elif word == "--data-binary":
            body = files[next(words).removeprefix("@")]
            headers.setdefault("Content-Type", FORM)
        elif word == "-F":
            parts.append(next(words))
        elif word == "--data-urlencode":
            query.append(next(words))
        elif word.startswith("-"):
            raise ValueError(f"option {word} is not known to the test")
        else:
            url = word
    if parts:
        body = _form(parts, files)
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
    target = _ORIGIN.sub("", url)
    if is_query:
        target += ("&" if "?" in target else "?") + "&".join(_urlencode(part) for part in query)
    return Request(method or ("GET" if body is None else "POST"), target, headers, body)


def differences(shown: object, real: object, place: str = "") -> Iterator[str]:
    """Where a shown answer, read with its ellipses, is not the real one."""
    if isinstance(shown, dict) and isinstance(real, dict):
        wanted = {key: value for key, value in shown.items() if key != ELLIPSIS}
        for key, value in wanted.items():
            if key in real:
                yield from differences(value, real[key], f"{place}/{key}")
            else:
                yield f"{place}/{key} is shown and not there"
        if ELLIPSIS not in shown:
            yield from (f"{place}/{key} is there and not shown" for key in real if key not in wanted)
    elif isinstance(shown, list) and isinstance(real, list):
        yield from _list_differences(shown, real, place)
    elif isinstance(shown, str) and isinstance(real, str) and shown.endswith(ELLIPSIS):
        if not real.startswith(shown[:-1]):
            yield f"{place}: {shown!r} is shown, {real!r} answered"
    elif type(shown) is not type(real) or shown != real:
        yield f"{place}: {shown!r} is shown, {real!r} answered"


def with_tables(text: str) -> str:
    """A page with its tables made anew."""
    return _TABLE.sub(lambda found: f"<!-- made: {found[1]} -->\n{TABLES[found[1]]()}<!-- /made -->", text)


def code_table() -> str:
    """The problem codes."""
    rows = [f"| `{row.code}` | {row.status} | {row.meaning} | {row.way_out} |" for row in CODES.values()]
    return _table("| code | status | meaning | way out |", rows)


def operator_table() -> str:
    """The operators, and the families of fields that take them."""
    rows = []
    for name, operator in OPERATORS.items():
        families = [family for family, names in FAMILIES.items() if name in names]
        shown = "all" if len(families) == len(FAMILIES) - 1 else ", ".join(families)
        example = json.dumps({name: operator.example.operand}, ensure_ascii=False)
        named = "" if any(name in names for names in DEFAULTS.values()) else " (where `search` names it)"
        cells = (f"`{name}`", operator.summary, f"`{example}`", f"{shown}{named}")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return _table("| operator | the field … | example | families |", rows)


def family_table() -> str:
    """Which kinds of fields are of which family."""
    rows = []
    for family, names in FAMILIES.items():
        kinds = [f"`{kind.name}`" for kind in KINDS.values() if kind.family == family]
        functions = " ".join(name for name, takers in FUNCTIONS.items() if family in takers)
        further = names[len(SIX) :]
        operators = f"the six{' + ' if further else ''}{' '.join(further)}" if names else "none: it is not filterable"
        rows.append(f"| {family} | {', '.join(kinds)} | {operators} | {functions or '–'} |")
    return _table("| family | field types | operators | functions |", rows)


def limit_table() -> str:
    """The limits of a search that a registry may set, as they are where it says nothing."""
    limits = Limits()
    rows = [f"| `{name}` | {getattr(limits, name):,} |" for name in Limits.__dataclass_fields__]
    return _table("| limit | unless the registry says otherwise |", rows)


TABLES: dict[str, Callable[[], str]] = {
    "codes": code_table,
    "operators": operator_table,
    "families": family_table,
    "limits": limit_table,
    **migration.TABLES,
}


def _table(head: str, rows: list[str]) -> str:
    line = "|" + " --- |" * (head.count("|") - 1)
    return "\n".join([head, line, *rows, ""])


def _list_differences(shown: list[object], real: list[object], place: str) -> Iterator[str]:
    if ELLIPSIS in shown:
        cut = shown.index(ELLIPSIS)
        head, tail = shown[:cut], shown[cut + 1 :]
        if len(real) < len(head) + len(tail):
            yield f"{place}: {len(head) + len(tail)} items are shown, {len(real)} answered"
            return
        real = [*real[: len(head)], *(real[-len(tail) :] if tail else [])]
        shown = [*head, *tail]
    if len(shown) != len(real):
        yield f"{place}: {len(shown)} items are shown, {len(real)} answered"
        return
    for index, (left, right) in enumerate(zip(shown, real, strict=True)):
        yield from differences(left, right, f"{place}/{index}")


def _expand(command: str, variables: dict[str, str]) -> str:
    """Put variables in where a shell does: not within single quotes."""
    parts = re.split(r"('[^']*')", command)
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"\$([A-Z]+)", lambda found: variables[found[1]], parts[index])
    return "".join(parts)


def _form(parts: list[str], files: Mapping[str, bytes]) -> bytes:
    """A form as `curl -F` sends it."""
    sent = b""
    for part in parts:
        name, _, value = part.partition("=")
        is_file = value.startswith("@")
        told = f'; filename="{value[1:]}"' if is_file else ""
        content = files[value[1:]] if is_file else value.encode()
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{told}\r\n\r\n'
        sent += head.encode() + content + b"\r\n"
    return sent + f"--{BOUNDARY}--\r\n".encode()


def _urlencode(part: str) -> str:
    name, _, value = part.partition("=")
    return f"{name}={_quote(value)}"


def _quote(text: str) -> str:
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in text.encode())


if __name__ == "__main__":
    for page in DOCS.glob("*.md"):
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
