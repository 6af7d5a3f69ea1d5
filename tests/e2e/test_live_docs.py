"""What the page about live changes shows does what it says: its script in a JavaScript engine, its curl in a shell."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from engine.auth.mint import EVERYTHING, mint_token
from engine.io.database import open_database
from engine.io.seed import seed
from engine.settings import Settings
from tests.support.pages import DOCS
from tests.support.serving import ROOT, ServerProcess, make_settings, prepare, running, serving

NORTH_LAB = "aB7dE-2fGh4JkLmNoPqRsT"
PAGE = (DOCS / "live.md").read_text(encoding="utf-8")
PATIENCE_S = 30


@dataclass
class Demo:
    """A server with the demo's data."""

    server: ServerProcess
    token: str

    async def send(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.server.base, headers=headers, timeout=30) as client:
            reply = await client.request(method, f"/v3/crud/{path}", json=body)
            assert reply.status_code < 300, reply.text
            return reply.json()["data"] if reply.content else None


@pytest.fixture
async def demo(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Demo]:
    settings: Settings = make_settings(sqlite_url, ROOT / "resources.yaml")
    await prepare(settings)
    async with running(settings) as app:
        database = open_database(settings)
        await seed(database, app.engine.runtime.registry, ROOT / "resources" / "demo.yaml")
        await database.close()
    token = mint_token(settings, user="_user", accounts=[NORTH_LAB], scopes=EVERYTHING)
    with serving(settings, tmp_path) as server:
        yield Demo(server, token)


def block(language: str) -> str:
    """The page's first block in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def start(command: list[str], **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env={"PATH": os.environ["PATH"], **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


async def test_the_script_keeps_what_it_shows_right(demo: Demo, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node to run the script")
    script = tmp_path / "page.mjs"
    script.write_text(
        f"const api = {json.dumps(demo.server.base)}, token = {json.dumps(demo.token)};\n"
        "const show = (type, rows) => console.log(JSON.stringify([type, [...rows.values()].map(row => row.title)]));\n"
        f"{block('js')}\nconnect();\n"
    )
    entries = await demo.send("POST", "journal_entry/search", {"filter": {"priority": {"gte": 8}}, "fields": ["title"]})
    titles = sorted(row["title"] for row in entries)
    calm = (await demo.send("POST", "journal_entry/search", {"filter": {"priority": {"lt": 3}}, "limit": 1}))[0]
    process = start([node, "--no-warnings", "--experimental-websocket", str(script)])

    async def shown() -> tuple[str, list[str]]:
        assert process.stdout is not None
        with anyio.fail_after(PATIENCE_S):
            line = await anyio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
        kind, rows = json.loads(line)
        return kind, sorted(rows)

    try:
        assert await shown() == ("subscribed", titles)
        await demo.send("PATCH", f"journal_entry/{calm['id']}", {"priority": 9})
        assert await shown() == ("enter", sorted([*titles, calm["title"]]))
        await demo.send("PATCH", f"journal_entry/{calm['id']}", {"title": "Told at once"})
        assert await shown() == ("update", sorted([*titles, "Told at once"]))
        await demo.send("DELETE", f"journal_entry/{calm['id']}")
        assert await shown() == ("delete", titles)
    finally:
        stop(process)


async def test_the_curl_shows_what_stands_below_it(demo: Demo) -> None:
    found = re.search(r"^```bash\n(.*?)^```\n\n```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    command, expected = found.groups()
    process = start(["bash", "-c", command], API=demo.server.base, AUTH=f"Authorization: Bearer {demo.token}")
    assert process.stdout is not None
    lines: list[str] = []

    def read() -> str:
        assert process.stdout is not None
        return process.stdout.readline().rstrip("\n")

    try:
        with anyio.fail_after(PATIENCE_S):
            for _ in range(4):
                lines.append(await anyio.to_thread.run_sync(read, abandon_on_cancel=True))
            entry = (await demo.send("POST", "journal_entry/search", {"limit": 1}))[0]
            await demo.send("PATCH", f"journal_entry/{entry['id']}", {"title": "A new title"})
            for _ in range(3):
                lines.append(await anyio.to_thread.run_sync(read, abandon_on_cancel=True))
    finally:
        stop(process)
    pattern = re.escape(expected.rstrip("\n")).replace("…", "[A-Za-z0-9_-]+")
    assert re.fullmatch(pattern, "\n".join(lines)), "\n".join(lines)
