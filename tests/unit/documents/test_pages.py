from __future__ import annotations

import re

import pytest

from engine.documents.pages import (
    PAGE_POLICY,
    STATIC_FILES,
    docs_page,
    prefers_html,
    problem_html,
    problem_page,
    static_file,
)
from engine.errors import CODES

MAX_PAGE_BYTES = 40 * 1024


def test_the_docs_page_needs_nothing_from_outside() -> None:
    page = docs_page()
    assert "http://" not in page
    assert "https://" not in page
    asked = re.findall(r'(?:src|href)="(/[^"]*)"', page)
    assert {"/docs/docs.js", "/docs/docs.css", "/openapi.json"} == {*asked}
    for path in asked[:2]:
        found = static_file(path.removeprefix("/docs/"))
        assert found is not None
        assert b"http://" not in found.body
        assert b"https://" not in found.body
        assert b"@import" not in found.body


def test_the_docs_page_keeps_to_its_policy() -> None:
    assert "'unsafe" not in PAGE_POLICY
    page = docs_page()
    assert "<style" not in page
    assert not re.search(r"<script(?![^>]*src=)", page)
    assert not re.search(r"\son\w+=|style=", page)
    script = static_file("docs.js")
    assert script is not None
    assert b"innerHTML" not in script.body
    assert b"eval(" not in script.body


def test_the_docs_page_is_small() -> None:
    files = [static_file(name) for name in STATIC_FILES]
    assert len(docs_page()) + sum(len(one.body) for one in files if one is not None) < MAX_PAGE_BYTES


@pytest.mark.parametrize("name", ["", "docs.html", "problem.html", "../pages.py", "nothing"])
def test_no_other_file_is_served(name: str) -> None:
    assert static_file(name) is None


@pytest.mark.parametrize("code", CODES)
def test_every_problem_code_has_a_page_for_programs_and_one_for_people(code: str) -> None:
    page = problem_page(code)
    assert page is not None
    assert page["data"]["code"] == code
    assert page["data"]["type"] == f"/v3/meta/problems/{code}"
    text = problem_html(code)
    assert text is not None
    assert "$" not in text
    assert code in text


def test_an_unknown_code_has_no_page() -> None:
    assert problem_page("<script>") is None
    assert problem_html("<script>") is None


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
    ],
)
def test_a_browser_gets_html_and_a_program_json(accept: str | None, wanted: bool) -> None:
    assert prefers_html(accept) is wanted
