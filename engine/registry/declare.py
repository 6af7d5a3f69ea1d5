"""One file's values as the grammar's models, with a finding for everything that does not fit.

What does not fit is taken away and the rest is kept, so that the checks after this
one still say what else is wrong. Nothing here knows what the words mean together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.registry.findings import Path, Report, suggest
from engine.registry.grammar import NO_TABLE, IncludedFile, TypeDeclaration
from engine.registry.normalise import expand, find_nulls, keys_of, model_at

MAX_ROUNDS = 20

File = TypeVar("File", bound=IncludedFile)

_EXPECTED = {
    "string_type": "text", "bool_type": "true or false", "int_type": "a whole number", "dict_type": "a mapping",
    "list_type": "a list", "model_type": "a mapping", "float_type": "a number",
}  # fmt: skip
# What a type goes on with when it lacks what it must have.
_PLACEHOLDERS: Mapping[str, Any] = {"table": NO_TABLE, "account": {"none": "?"}}


def declare(model: type[File], value: Any, report: Report) -> File:
    """Read a file's values as a model; what is wrong goes into the report."""
    if not isinstance(value, dict):
        if value is not None:
            report.add("R103", (), f"a registry is a mapping, not {shown(value)}", help="begin with `version: 1`")
        value = {"version": 1}
    data = expand(model, value)
    for path in reversed(find_nulls(model, data)):
        key = str(path[-1]) if path else ""
        report.add("R103", path, f"`{key}` says nothing", at_key=True, help="leave it out, or say something")
        _take_away(data, path)
    for _ in range(MAX_ROUNDS):
        try:
            return model.model_validate(data)
        except ValidationError as error:
            # The last first: taking away an item of a list moves those after it.
            for fault in sorted(error.errors(include_url=False), key=_order, reverse=True):
                _report_fault(model, fault, report)
                _mend(model, data, fault)
    return model.model_validate({"version": 1})


def shown(value: object) -> str:
    """A value as a sentence repeats it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)[:40]
    if isinstance(value, str):
        return f"`{value[:40]}`"
    return "a list" if isinstance(value, list) else "a mapping"


def dotted(path: Path) -> str:
    """A path as a sentence says it: ``types.journal.fields``."""
    return ".".join(str(step) for step in path)


# ---------------------------------------------------------------- private


def _order(fault: ErrorDetails) -> tuple[str, ...]:
    return tuple(f"{step:09}" if isinstance(step, int) else step for step in fault["loc"])


def _report_fault(model: type[IncludedFile], fault: ErrorDetails, report: Report) -> None:
    path, kind, given = fault["loc"], fault["type"], fault["input"]
    name = str(path[-1]) if path else ""
    within = dotted(path[:-1]) or "the file"
    if kind == "extra_forbidden":
        owner = model_at(model, path[:-1])
        known = keys_of(owner) if owner else ()
        label = suggest(name, known)
        help_ = "" if label else f"known here: {', '.join(known)}"
        report.add("R101", path, f"unknown key `{name}` in {within}", label=label, help=help_, at_key=True)
    elif kind == "missing":
        help_ = _MISSING.get(name, "")
        report.add("R102", path[:-1], f"{within} has no `{name}`", help=help_, at_key=True)
    elif kind == "literal_error":
        expected = str(fault.get("ctx", {}).get("expected", ""))
        words = [word.strip("' ") for word in expected.replace(" or ", ",").split(",")]
        label = suggest(given, words) if isinstance(given, str) else ""
        report.add("R107", path, f"`{name}` is {expected}, not {shown(given)}", label=label)
    elif kind in _EXPECTED:
        report.add("R103", path, f"`{name}` takes {_EXPECTED[kind]}, not {shown(given)}", help=_quote(kind, given))
    elif name == "none":
        report.add("R102", path[:-1], f"{dotted(path[:-2])} is shared and does not say why", help=_MISSING["none"])
    else:
        report.add("R107", path, f"`{name}`: {fault['msg'][:1].lower()}{fault['msg'][1:]}")


_MISSING = {
    "version": "add `version: 1`",
    "table": "add `table:` with the table's name",
    "account": 'say `account: own`, `inherited`, `self`, or `{none: "why"}`; it is never assumed',
    "none": 'write `account: {none: "why its rows are everybody\'s"}`',
}


def _quote(kind: str, given: object) -> str:
    return "put it in quotes" if kind == "string_type" and isinstance(given, (int, float)) else ""


def _mend(model: type[IncludedFile], data: Any, fault: ErrorDetails) -> None:
    path = fault["loc"]
    if fault["type"] != "missing":
        _take_away(data, path)
        return
    owner, name = model_at(model, path[:-1]), str(path[-1])
    if owner is TypeDeclaration and name in _PLACEHOLDERS:
        _walk(data, path[:-1])[name] = _PLACEHOLDERS[name]
    elif name == "version":
        data["version"] = 1
    else:
        _take_away(data, path[:-1])


def _walk(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _take_away(data: Any, path: Path) -> None:
    if not path:
        return
    try:
        del _walk(data, path[:-1])[path[-1]]
    except (KeyError, IndexError, TypeError):
        # An item beside it took its place, or what is around it is gone already.
        return
