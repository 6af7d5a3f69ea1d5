"""Pages for people: the docs page, which reads OpenAPI in the browser, and a page for each problem code.

They need nothing from outside: script and style are files of ours beside this one, served
from the same host, so that the strict `PAGE_POLICY` holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from engine.documents.links import PROBLEMS
from engine.errors import CODES

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HTML = "text/html; charset=utf-8"

# What may be asked for below /docs/, with its type. Nothing else of the folder is served.
STATIC_FILES = {"docs.js": "text/javascript; charset=utf-8", "docs.css": "text/css; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of a page."""

    body: bytes
    content_type: str


def docs_page() -> str:
    """The docs page as HTML; it loads `STATIC_FILES` from ``/docs/`` and the document from ``/openapi.json``."""
    return _read("docs.html").decode("utf-8")


def static_file(name: str) -> StaticFile | None:
    """A file below ``/docs/``, or None where there is none of that name."""
    content_type = STATIC_FILES.get(name)
    return None if content_type is None else StaticFile(_read(name), content_type)


def problem_page(code: str) -> dict[str, Any] | None:
    """What is to be said about a problem code, as JSON in the envelope; None for a code that does not exist."""
    row = CODES.get(code)
    if row is None:
        return None
    return {
        "data": {
            "code": row.code,
            "type": f"{PROBLEMS}/{row.code}",
            "status": row.status,
            "title": row.title,
            "meaning": row.meaning,
            "way_out": row.way_out,
        },
        "meta": {},
    }


def problem_html(code: str) -> str | None:
    """The same for people; None for a code that does not exist."""
    row = CODES.get(code)
    if row is None:
        return None
    words = {"code": row.code, "title": row.title, "meaning": row.meaning, "way_out": row.way_out}
    page = Template(_read("problem.html").decode("utf-8"))
    return page.substitute({key: escape(text) for key, text in words.items()}, status=row.status)


def prefers_html(accept: str | None) -> bool:
    """Whether an ``Accept`` header asks for HTML before JSON, as browsers do."""
    for part in (accept or "").split(","):
        media = part.split(";", 1)[0].strip().lower()
        if media in ("application/json", "application/*", "*/*"):
            return False
        if media in ("text/html", "text/*"):
            return True
    return False


@cache
def _read(name: str) -> bytes:
    return (files("engine.documents") / "static" / name).read_bytes()
