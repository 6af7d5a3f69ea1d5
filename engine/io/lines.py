"""Log lines: an observation becomes one JSON object on one line, or a coloured line for a terminal.

No line holds a raw control character, a line separator of any alphabet, or what could hold a caller's value: of a
driver's exception only its number is told. Where lines go is `sinks.py`'s business.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from structlog.dev import ConsoleRenderer

from engine.observe import LINES, Notice, Observation, OldRouteUsed, RequestServed

Line = dict[str, Any]
Render = Callable[[Line], str]
MAX_TEXT = 4_000
MAX_FRAMES = 40
OLD_ROUTE = "!!! DEPRECATED ROUTE ACCESSED"
EVENTS = {"RequestServed": "request", "RequestFailed": "request failed"}

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_WORDS = re.compile(r"(?<!^)(?=[A-Z])")


def place_of(observation: Observation) -> tuple[str, str]:
    """The logger and the level of an observation."""
    if isinstance(observation, Notice):
        return observation.logger, observation.level
    return LINES[type(observation)]


def make_line(observation: Observation, *, logger: str, level: str, now: float) -> Line:
    """The line's content: ``time level logger event`` first, then what the observation holds."""
    if isinstance(observation, RequestServed):
        return _request_line(observation)
    if isinstance(observation, OldRouteUsed):
        return _old_use_line(observation, level, logger, now)
    line: Line = {"time": show_time(now), "level": level, "logger": logger}
    if isinstance(observation, Notice):
        line["event"] = observation.event
        for name, value in observation.details:
            line.setdefault(name, _clip(value))
        return line
    name = type(observation).__name__
    line["event"] = EVENTS.get(name) or _WORDS.sub(" ", name).lower()
    for key, value in observation._asdict().items():
        if isinstance(value, BaseException):
            line[key] = describe_error(value)
        elif key.endswith("_s"):
            line[f"{key[:-2]}_ms"] = round(value * 1000, 2)
        elif value is not None:
            line[key] = _clip(value) if isinstance(value, str) else value
    return line


def render_json(line: Line) -> str:
    """One JSON object on one line."""
    try:
        raw = orjson.dumps(line)
    except (orjson.JSONEncodeError, TypeError):
        # A lone surrogate somewhere: the standard library writes it as an escape.
        return _escape(json.dumps(line, default=str, separators=(",", ":")))
    if raw.isascii() and b"\x7f" not in raw:
        return raw.decode("ascii")
    return _escape(raw.decode())


def make_pretty() -> Render:
    """A renderer for people in front of a terminal."""
    console = ConsoleRenderer(pad_event_to=30, timestamp_key="time")

    def render(line: Line) -> str:
        safe = {key: _escape(value) if isinstance(value, str) else value for key, value in line.items()}
        if "error" in line:
            # Its lines are ours, and easier to read as lines.
            safe["error"] = "\n".join(map(_escape, line["error"].split("\n")))
        return str(console(None, line["level"], safe))

    return render


def describe_error(error: BaseException) -> str:
    """An exception's chain with its frames; the messages of drivers, which quote values, are left out."""
    return "\n".join(_describe_chain(error))


def show_time(at: float) -> str:
    """Unix time as RFC 3339 with milliseconds."""
    return f"{_show_second(int(at))}.{int(at * 1000) % 1000:03d}Z"


# The lines of a batch are all written at the same moment.
_show_now = lru_cache(maxsize=4)(show_time)


@lru_cache(maxsize=4)
def _show_second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _request_line(seen: RequestServed) -> Line:
    """The same as the general way, in a quarter of the time: there is one for every request."""
    line: Line = {
        "time": show_time(seen.at),
        "level": "info",
        "logger": "engine.http",
        "event": "request",
        "request_id": seen.request_id,
        "method": seen.method,
        "route": seen.route,
        "status": seen.status,
        "duration_ms": round(seen.duration_s * 1000, 2),
    }
    if seen.account is not None:
        line["account"] = seen.account
    if seen.caller is not None:
        line["caller"] = seen.caller
    if seen.problem is not None:
        line["problem"] = seen.problem
    return line


def _old_use_line(seen: OldRouteUsed, level: str, logger: str, now: float) -> Line:
    """A sentence for whoever looks for it in the log, and the same in parts."""
    call = _clip(seen.call)
    parts: Line = {
        "time": _show_now(now),
        "level": level,
        "logger": logger,
        "event": f"{OLD_ROUTE} {seen.route} by {seen.caller}; call {call} in its place",
        "request_id": seen.request_id,
        "version": seen.version,
        "route": seen.route,
        "caller": seen.caller,
        "replacement": call,
        "status": seen.status,
    }
    if seen.account is not None:
        parts["account"] = seen.account
    return parts


def _describe_chain(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        kind = type(current)
        yield f"{kind.__module__}.{kind.__qualname__}: {_message_of(current)}".rstrip(": ")
        for frame in traceback.extract_tb(current.__traceback__, limit=-MAX_FRAMES):
            yield f"  {frame.filename}:{frame.lineno} {frame.name}"
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _message_of(error: BaseException) -> str:
    module = type(error).__module__.partition(".")[0]
    if module in ("asyncmy", "sqlite3", "pydantic_core", "redis"):
        number = getattr(error, "sqlite_errorname", None) or (error.args[0] if error.args else "")
        return str(number) if isinstance(number, int) or str(number).startswith("SQLITE_") else ""
    return _clip(str(error))


def _clip(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"


def _escape(text: str) -> str:
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
