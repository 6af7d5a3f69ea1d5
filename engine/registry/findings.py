"""What is wrong with a registry, like a compiler's messages: a stable code, a place, a way out.

A finding is a value; `Report` collects them while files are read, checked and built, so
that everything wrong is said at once. What a code means at length stands in `explain.py`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "notice"]
Format = Literal["text", "json", "github"]
Path = tuple[str | int, ...]

_SEVERITIES: dict[str, Severity] = {"R": "error", "W": "warning", "N": "notice"}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A stretch of a line of a file.

    Attributes:
        file: As the registry was named, or relative to it.
        line, column: From 1, in characters.
        length: In characters, at least 1.
        source: The whole line.
    """

    file: str
    line: int
    column: int
    length: int = 1
    source: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or could be better.

    Attributes:
        code: ``R…`` error, ``W…`` advice, ``N…`` notice.
        message: One sentence, without a full stop.
        place: Where; None for what concerns no line of any file.
        path: Keys from the top of the file.
        label: What stands under the place, as ``did you mean `display`?``.
        help: A way out.
        notes: Other facts, the other side of a disagreement among them.
        is_mendable: `aether migrate` would take it away.
    """

    code: str
    message: str
    place: Place | None = None
    path: Path = ()
    label: str = ""
    help: str = ""
    notes: tuple[str, ...] = ()
    is_mendable: bool = False

    @property
    def severity(self) -> Severity:
        """Errors stop a start; warnings and notices do not."""
        return _SEVERITIES[self.code[0]]


Locate = Callable[[Path, bool], Place | None]


class Report:
    """Findings as they come up, each put at its place.

    Args:
        locate: Finds the place of a path; the flag asks for the key instead of the value.
    """

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self._findings: dict[tuple[str, Path, str], Finding] = {}

    def add(
        self,
        code: str,
        path: Path,
        message: str,
        *,
        label: str = "",
        help: str = "",
        notes: tuple[str, ...] = (),
        at_key: bool = False,
        is_mendable: bool = False,
    ) -> None:
        """Report something about a path. The same thing about the same path is reported once."""
        place = self._locate(path, at_key)
        found = Finding(code, message, place, path, label, help, notes, is_mendable)
        self._findings.setdefault((code, path, message), found)

    def take(self, findings: Iterable[Finding]) -> None:
        """Add findings that have their places already."""
        for finding in findings:
            self._findings.setdefault((finding.code, (*finding.path, str(finding.place)), finding.message), finding)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them, sorted by file and line."""
        return sort_findings(self._findings.values())


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """In the order of the lines they are about; what has no place comes first."""

    def order(finding: Finding) -> tuple[str, int, int, str, str]:
        place = finding.place
        where = (place.file, place.line, place.column) if place else ("", 0, 0)
        return (*where, finding.code, finding.message)

    return tuple(sorted(findings, key=order))


def suggest(name: str, known: Iterable[str]) -> str:
    """``did you mean `x`?``, or nothing where nothing is alike."""
    close = difflib.get_close_matches(name[:80], list(known), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else ""


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any of them stops a start."""
    return any(finding.severity == "error" for finding in findings)


# ---------------------------------------------------------------- rendering


def render_findings(findings: Iterable[Finding], form: Format = "text") -> str:
    """Findings for a terminal, for a program, or for the annotations of a GitHub workflow."""
    ordered = sort_findings(findings)
    if form == "json":
        return json.dumps([_as_json(finding) for finding in ordered], ensure_ascii=False, indent=2)
    if form == "github":
        return "\n".join(_as_annotation(finding) for finding in ordered)
    return "\n\n".join(_as_text(finding) for finding in ordered)


def _as_text(finding: Finding) -> str:
    lines = [f"{finding.severity}[{finding.code}]: {finding.message}"]
    place = finding.place
    gutter = " " * len(str(place.line)) if place else ""
    if place:
        lines.append(f"{gutter}--> {place.file}:{place.line}:{place.column}")
    if place and place.source.strip():
        # Tabs and control characters would move the mark away from what it marks.
        shown = "".join(letter if letter.isprintable() else " " for letter in place.source)
        mark = " " * (place.column - 1) + "^" * max(1, min(place.length, len(shown) - place.column + 1))
        lines += [f"{gutter} |", f"{place.line} | {shown}", f"{gutter} | {mark} {finding.label}".rstrip()]
    elif finding.label:
        lines.append(f"{gutter} = {finding.label}")
    lines += [f"{gutter} = note: {note}" for note in finding.notes]
    if finding.help:
        lines.append(f"{gutter} = help: {finding.help}")
    return "\n".join(lines)


def _as_json(finding: Finding) -> dict[str, object]:
    place = finding.place
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "length": place.length if place else None,
        "path": list(finding.path),
        "label": finding.label or None,
        "help": finding.help or None,
        "notes": list(finding.notes),
        "mendable": finding.is_mendable,
    }


def _as_annotation(finding: Finding) -> str:
    properties = [f"title={finding.code}"]
    if finding.place:
        place = finding.place
        where = [f"file={_escape(place.file, ',:')}", f"line={place.line}", f"col={place.column}"]
        properties = [*where, f"endColumn={place.column + place.length}", *properties]
    text = ". ".join(part for part in (finding.message, finding.label, *finding.notes, finding.help) if part)
    return f"::{finding.severity} {','.join(properties)}::{_escape(text)}"


def _escape(text: str, also: str = "") -> str:
    for letter in "%\r\n" + also:
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text
