"""Problems as ``application/problem+json`` (RFC 9457): the only error shape there is."""

from __future__ import annotations

import orjson

from engine.errors import CODES, ErrorItem, Problem

PROBLEM_TYPE = b"application/problem+json"
PROBLEM_PAGES = "/v3/meta/problems/"
MAX_INSTANCE = 300
MAX_TEXT = 2_000


def render_problem(problem: Problem, *, instance: str, request_id: str) -> bytes:
    """The body of an error reply.

    Args:
        problem: What is refused and why.
        instance: Path of the request, without the query.
        request_id: The id that logs know the request by.
    """
    code = CODES[problem.code]
    body: dict[str, object] = {
        "type": PROBLEM_PAGES + problem.code,
        "title": code.title,
        "status": problem.status,
        "code": problem.code,
        "detail": printable(problem.detail),
        "instance": printable(instance[:MAX_INSTANCE]),
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = [_render_item(item) for item in problem.errors]
    return orjson.dumps(body)


def _render_item(item: ErrorItem) -> dict[str, object]:
    rendered: dict[str, object] = {}
    for name, place in (("pointer", item.pointer), ("parameter", item.parameter), ("header", item.header)):
        if place is not None:
            rendered[name] = printable(place)
    rendered["code"] = item.code
    rendered["detail"] = printable(item.detail)
    if item.suggestions:
        rendered["suggestions"] = list(item.suggestions)
    return rendered


def printable(text: str) -> str:
    """A caller's text as it may stand in a reply: not at any length, and without halves of surrogate pairs."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
