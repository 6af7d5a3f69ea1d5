"""What the pages of `docs/` show is answered just so, and what they list is what there is."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.auth.mint import EVERYTHING, mint_token
from engine.io.database import open_database
from engine.io.metrics import COUNTED
from engine.io.seed import seed
from tests.support.pages import DOCS, Example, differences, examples_of, files_of, read_curl, with_tables
from tests.support.serving import ROOT, Client, Reply, make_settings, prepare, running

NORTH_LAB = "aB7dE-2fGh4JkLmNoPqRsT"
# How many examples each page has at least.
WITH_EXAMPLES = {
    "actions.md": 2,
    "authentication.md": 1,
    "api.md": 10,
    "files.md": 6,
    "search.md": 10,
    "migration.md": 8,
}
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("page", WITH_EXAMPLES)
async def test_every_example_of_a_page_answers_what_it_shows(page: str, database_url: str) -> None:
    wrong: list[str] = []
    count = 0
    async with _demo(database_url) as (client, variables):
        text = (DOCS / page).read_text(encoding="utf-8")
        for example in examples_of(text):
            count += 1
            asked = read_curl(example.command, variables, files_of(text))
            reply = await client.send(asked.method, asked.target, raw=asked.body, headers=asked.headers)
            wrong += [f"{page}:{example.line}: {difference}" for difference in _compare(example, reply)]
            variables |= {name: _find(reply.json, place) for name, place in example.taken.items()}
    assert not wrong, "\n".join(wrong)
    assert count >= WITH_EXAMPLES[page]


@pytest.mark.parametrize("page", [page.name for page in PAGES if page.parent == DOCS])
def test_the_tables_of_a_page_are_what_the_source_says(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text == with_tables(text), "python -m tests.support.pages writes them anew"


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    assert list(_broken_links(ROOT / page)) == []


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index]
    assert missing == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("*.md") if f"(docs/{page.name})" not in readme] == []


def test_the_operations_page_names_every_metric_that_counts() -> None:
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert [name for name, _ in COUNTED.values() if f"{name}_total" not in page] == []


@asynccontextmanager
async def _demo(database_url: str) -> AsyncIterator[tuple[Client, dict[str, str]]]:
    """The demo in this process, and the variables that the pages use."""
    settings = make_settings(database_url, ROOT / "resources.yaml")
    await prepare(settings)
    async with running(settings) as app:
        database = open_database(settings)
        await seed(database, app.engine.runtime.registry, ROOT / "resources" / "demo.yaml")
        await database.close()
        token = mint_token(settings, user="_user", accounts=[NORTH_LAB], scopes=EVERYTHING)
        variables = {"API": "http://127.0.0.1:5005", "AUTH": f"Authorization: Bearer {token}"}
        yield Client(app.engine.application).with_headers(Host="127.0.0.1:5005"), variables


def _compare(example: Example, reply: Reply) -> Iterator[str]:
    shown = example.answer
    if example.language == "http":
        head, _, shown = example.answer.partition("\n\n")
        first, *lines = head.splitlines()
        if int(first.split()[1]) != reply.status:
            yield f"{first!r} is shown, {reply.status} answered: {reply.body[:300]!r}"
        for line in lines:
            name, _, value = line.partition(": ")
            yield from differences(value, reply.header(name), name)
    elif not 200 <= reply.status < 300:
        yield f"{reply.status} is answered: {reply.body[:300]!r}"
    if not shown.strip():
        if reply.body:
            yield f"no body is shown, and there is one: {reply.body[:300]!r}"
    elif "json" in (reply.header("content-type") or ""):
        yield from differences(json.loads(shown), reply.json)
    else:
        yield from differences(shown.rstrip("\n"), reply.body.decode().rstrip("\n"))


def _find(answer: Any, place: str) -> str:
    """What stands at a place, ``data.id``, of an answer."""
    for word in place.split("."):
        answer = answer[word]
    return str(answer)


def _broken_links(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        led_to = (page.parent / path) if path else page
        if not led_to.exists() or (anchor and led_to.suffix == ".md" and anchor not in _anchors(led_to)):
            yield target


def _anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
