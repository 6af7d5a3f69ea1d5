"""Uploads to a server that may fail: what was sent, what was answered, and what must be true of it afterwards."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.blobs import contents, digest_of, get, leftovers, store_at
from tests.support.serving import ROOT

TIMEOUT_S = 60
PAGE = 200


@dataclass(frozen=True)
class Sender:
    """Somebody who sends files, each over a connection of its own.

    Attributes:
        token: His bearer token.
        event: Public id of an event of his account.
    """

    token: str
    event: str = ""

    def ask(self, port: int, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """One request with a JSON body; status and JSON."""
        raw = None if body is None else json.dumps(body).encode()
        status, content = self.send(port, method, target, raw, {"Content-Type": "application/json"} if raw else {})
        return status, json.loads(content) if content else None

    def send(
        self, port: int, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """One request; status and bytes. Raises `OSError` or `HTTPException` where the connection breaks."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        try:
            connection.request(method, target, body, {"Authorization": f"Bearer {self.token}", **headers})
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def upload(self, port: int, content: bytes, name: str = "file.bin") -> int:
        """Upload a file to the event; the status, or 0 where there was no answer."""
        target = f"/v3/action/event/{self.event}/file?file_name={name}"
        try:
            return self.send(port, "POST", target, content, {"Content-Type": "application/octet-stream"})[0]
        except (OSError, http.client.HTTPException):
            return 0

    def list_all(self, port: int, type_name: str, fields: str) -> list[dict[str, Any]]:
        """All objects of a type that he sees."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            status, reply = self.ask(port, "GET", f"/v3/crud/{type_name}/?limit={PAGE}&fields={fields}{cursor}")
            assert status == 200, reply
            found.extend(reply["data"])
            if not reply["meta"].get("next_cursor"):
                return found
            cursor = f"&cursor={reply['meta']['next_cursor']}"


@dataclass
class Ledger:
    """What was sent, and what was answered.

    Attributes:
        kept: Digests that were answered with 2xx.
        sent: All digests.
    """

    kept: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)

    def note(self, content: bytes, status: int) -> None:
        """One upload, and its status (0: no answer)."""
        digest = digest_of(content)
        self.sent.add(digest)
        if 200 <= status < 300:
            self.kept.add(digest)


async def check_files(port: int, sender: Sender, storage_url: str, ledger: Ledger) -> None:
    """What must be true at every time: each row has its bytes, each blob is whole, and what was answered is there."""
    rows = sender.list_all(port, "hosted_file", "id,hash_sha256,size_bytes")
    digests = {row["hash_sha256"] for row in rows}
    assert ledger.kept <= digests, "answered with 2xx, and not kept"
    assert digests <= ledger.sent
    for row in rows:
        status, content = sender.send(port, "GET", f"/v3/action/hosted_file/{row['id']}/download", None, {})
        assert status == 200, "a row without its bytes"
        assert (digest_of(content), len(content)) == (row["hash_sha256"], row["size_bytes"])
    files = sender.list_all(port, "event_file", "id,hosted_file_id")
    assert {one["hosted_file_id"] for one in files} == {row["id"] for row in rows}, "half an upload"
    async with store_at(storage_url) as blobs:
        for digest in await contents(blobs):
            content_of = await get(blobs, digest)
            assert content_of is not None
            assert digest_of(content_of) == digest, "half a blob under a hash"


async def check_clean(port: int, sender: Sender, storage_url: str) -> None:
    """What must be true after a clean-up: nothing but the bytes of rows."""
    rows = sender.list_all(port, "hosted_file", "id,hash_sha256")
    async with store_at(storage_url) as blobs:
        assert set(await contents(blobs)) == {row["hash_sha256"] for row in rows}
        assert await leftovers(blobs) == []


def clean_up(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """``aether gc`` as a command."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
    return subprocess.run(
        [sys.executable, "-m", "engine.cli", "gc", *arguments],
        cwd=ROOT,
        env={**given, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
