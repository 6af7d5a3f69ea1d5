"""A YAML file as plain values, with the place of each of them.

Scalars are those of YAML 1.2's core schema: `no`, `on` and dates are text. Keys are
always text, as written. Duplicate keys, merge keys, anchors, aliases and tags are
refused. Reading goes by the parser's events: that is four times as fast as its
nodes, and no nesting overflows a stack. What the values mean is `grammar.py`'s.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from engine.registry.findings import Finding, Path, Place

MAX_DEPTH = 50
MAX_DIGITS = 400

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
# What YAML takes for the end of a line.
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NO_TEXT = "only plain values are taken: no anchors, aliases, merge keys or tags"

# Line and column (from 0) and length of a value, and of the key before it.
_Spot = tuple[int, int, int]


@dataclass(slots=True)
class _Node:
    """The places inside a mapping or sequence; a scalar has no inside."""

    spot: _Spot
    keys: dict[str, _Spot] = field(default_factory=dict)
    inside: dict[str | int, _Node] = field(default_factory=dict)
    scalars: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read.

    Attributes:
        file: Its name in findings.
        value: What it says; None where it cannot be read or is empty.
        findings: What is wrong with it as YAML.
    """

    file: str
    value: Any
    findings: tuple[Finding, ...]
    lines: tuple[str, ...]
    root: _Node

    def place(self, path: Path, at_key: bool = False) -> Place:
        """Where a path stands, or the nearest thing around it that is written down.

        A step that the file does not have is passed over: a short form has fewer steps than what it stands for.
        """
        node, spot = self.root, self.root.spot
        for index, step in enumerate(path):
            at: str | int = node.scalars.get(step, step) if isinstance(step, str) and step not in node.keys else step
            inner = node.inside.get(at)
            if inner is None:
                continue
            spot = inner.spot
            if isinstance(at, str):
                key = node.keys[at]
                # A mapping or sequence on lines of its own is shown by its key.
                if (at_key and index == len(path) - 1) or (inner.inside and inner.spot[0] != key[0]):
                    spot = key
            node = inner
        return self._place(spot)

    def _place(self, spot: _Spot) -> Place:
        line, column, length = spot
        text = self.lines[line] if line < len(self.lines) else ""
        return Place(self.file, line + 1, column + 1, max(1, min(length, len(text) - column)), text)


def read_source(raw: bytes, file: str) -> Source:
    """Read a YAML file; whatever it holds, this raises nothing."""
    reader = _Reader(file)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start)
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1)
        reader.lines = tuple(raw.decode("utf-8", "replace").split("\n"))
        reader.report("R100", (line, column, 1), "the file is not UTF-8", help_="save it as UTF-8")
        return reader.finish()
    reader.lines = tuple(_BREAK.split(text))
    try:
        reader.read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or error.context or "it cannot be read").replace("\n", " ")
        notes = (error.context,) if error.problem and error.context else ()
        reader.report("R104", (mark.line, mark.column, 1) if mark else (0, 0, 1), f"not YAML: {problem}", notes=notes)
        reader.value = None
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0) or 0
        line = text.count("\n", 0, position)
        reader.report("R104", (line, position - (text.rfind("\n", 0, position) + 1), 1), f"not YAML: {_first(error)}")
        reader.value = None
    except _Refused:
        reader.value = None
    return reader.finish()


def read_scalar(text: str) -> object:
    """What a plain scalar is in YAML 1.2's core schema.

    Raises:
        ValueError: It is a number that JSON cannot hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if not (first.isdigit() or first in "+-."):
        return text
    if _INTEGER.fullmatch(text) and text.isascii():
        if len(text) > MAX_DIGITS:
            raise ValueError(text)
        return int(text)
    if _BASED.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text) and text.isascii():
        number = float(text)
        if math.isfinite(number):
            return number
        raise ValueError(text)
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(text)
    return text


# ---------------------------------------------------------------- private


class _Refused(Exception):
    """The rest of the file is not worth reading."""


@dataclass(slots=True)
class _Frame:
    """A mapping or sequence that is being read."""

    value: Any
    node: _Node
    is_mapping: bool
    is_flow: bool
    key: str | None = None
    is_dropped: bool = False


class _Reader:
    """Makes values of events, with an explicit stack."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: tuple[str, ...] = ()
        self.value: Any = None
        self.root = _Node((0, 0, 1))
        self._findings: list[Finding] = []
        self._stack: list[_Frame] = []

    def finish(self) -> Source:
        """The source as far as it was read."""
        return Source(self.file, self.value, tuple(self._findings), self.lines, self.root)

    def report(self, code: str, spot: _Spot, message: str, *, help_: str = "", notes: tuple[str, ...] = ()) -> None:
        """Report something at a spot."""
        line, column, length = spot
        text = self.lines[line] if line < len(self.lines) else ""
        place = Place(self.file, line + 1, column + 1, max(1, min(length, len(text) - column)), text)
        self._findings.append(Finding(code, message, place, (), help=help_, notes=notes))

    def read(self, text: str) -> None:
        """Read all events of a text."""
        documents = 0
        for event in yaml.parse(text, Loader=_LOADER):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._take_scalar(event)
            elif kind in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
                self._open(event, kind is yaml.MappingStartEvent)
            elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
                self._close(event)
            elif kind is yaml.AliasEvent:
                self._take_alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self.report("R104", _spot_of(event), "the file holds a second YAML document", help_="remove `---`")
                    raise _Refused

    def _take_scalar(self, event: Any) -> None:
        frame = self._stack[-1] if self._stack else None
        spot = _spot_of(event)
        if event.anchor is not None or (event.tag is not None and event.tag != "!"):
            self.report("R106", spot, _NO_TEXT, help_="write the value out")
        is_plain = bool(event.implicit[0]) and event.tag is None
        if frame is not None and frame.is_mapping and frame.key is None:
            self._take_key(frame, event.value, spot, is_plain)
            return
        value: object = event.value
        if is_plain:
            try:
                value = read_scalar(event.value)
            except ValueError:
                self.report("R103", spot, f"{event.value[:40]} is no number that JSON knows", help_="quote it as text")
        self._put(value, _Node(spot), spot)

    def _take_key(self, frame: _Frame, key: str, spot: _Spot, is_plain: bool) -> None:
        frame.key, frame.is_dropped = key, False
        if key == "<<" and is_plain:
            self.report("R106", spot, _NO_TEXT, help_="write the keys out")
            frame.is_dropped = True
        elif key in frame.node.keys:
            first = frame.node.keys[key][0] + 1
            notes = (f"it stands on line {first} as well",)
            self.report("R105", spot, f"duplicate key `{key}`", help_="keep one of them", notes=notes)
            frame.is_dropped = True
        else:
            frame.node.keys[key] = spot

    def _take_alias(self, event: Any) -> None:
        spot = _spot_of(event)
        self.report("R106", spot, _NO_TEXT, help_="write the value out")
        frame = self._stack[-1] if self._stack else None
        if frame is None or (frame.is_mapping and frame.key is None):
            raise _Refused
        frame.is_dropped = True
        self._put(None, _Node(spot), spot)

    def _open(self, event: Any, is_mapping: bool) -> None:
        spot = _spot_of(event)
        if event.anchor is not None or (event.tag is not None and event.tag != "!"):
            self.report("R106", spot, _NO_TEXT, help_="write the value out")
        if len(self._stack) >= MAX_DEPTH:
            self.report("R104", spot, f"nested deeper than {MAX_DEPTH}")
            raise _Refused
        if self._stack and self._stack[-1].is_mapping and self._stack[-1].key is None:
            self.report("R104", spot, "a key must be plain text")
            raise _Refused
        frame = _Frame({} if is_mapping else [], _Node(spot), is_mapping, bool(event.flow_style))
        self._put(frame.value, frame.node, spot)
        self._stack.append(frame)

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        line, column, _ = frame.node.spot
        if frame.is_flow and event.end_mark.line == line:
            frame.node.spot = (line, column, event.end_mark.column - column)

    def _put(self, value: Any, node: _Node, spot: _Spot) -> None:
        if not self._stack:
            self.value, self.root = value, node
            return
        frame = self._stack[-1]
        if frame.is_mapping:
            key, frame.key = frame.key or "", None
            if not frame.is_dropped:
                frame.value[key] = value
                frame.node.inside[key] = node
        elif not frame.is_dropped:
            index = len(frame.value)
            frame.value.append(value)
            frame.node.inside[index] = node
            if isinstance(value, str):
                frame.node.scalars.setdefault(value, index)
        frame.is_dropped = False


def _spot_of(event: Any) -> _Spot:
    start, end = event.start_mark, event.end_mark
    length = end.column - start.column if end.line == start.line else 1_000_000
    return start.line, start.column, max(length, 1)


def _first(error: Exception) -> str:
    return str(error).split("\n")[0][:200]
