"""A real server of the S3 protocol for tests: moto's, in a process of its own, with a bucket for each test.

It runs in another process because its own warnings are not ours to have, and because a test should talk to it over
the network as to any other.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

REGION = "us-east-1"
SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class ObjectServer:
    """The server.

    Attributes:
        endpoint: Its URL.
    """

    endpoint: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs in its environment to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_REGION": REGION,
        }

    def make_bucket(self) -> str:
        """A new bucket; its name."""
        name = f"bucket-{uuid4().hex}"
        self.call("PUT", f"/{name}")
        return name

    def call(self, method: str, target: str, body: bytes | None = None) -> bytes:
        """Ask the server something that stores have no way to ask. It does not ask who we are."""
        request = urllib.request.Request(self.endpoint + target, body, method=method)
        request.add_header("Content-Type", "application/octet-stream")
        request.add_header("Authorization", f"AWS4-HMAC-SHA256 Credential=test-key/20200101/{REGION}/s3/aws4_request")
        with urllib.request.urlopen(request, timeout=30) as reply:
            content: bytes = reply.read()
            return content

    def keys(self, bucket: str) -> list[str]:
        """Every key of a bucket."""
        return re.findall("<Key>([^<]*)</Key>", self.call("GET", f"/{bucket}?list-type=2").decode())

    def unfinished_uploads(self, bucket: str) -> int:
        """How many uploads in parts were begun and neither completed nor aborted."""
        return self.call("GET", f"/{bucket}?uploads").count(b"<UploadId>")

    def require_credentials(self, after: int | None) -> None:
        """Check from now on, after so many requests more, who asks (nobody is known); None: no longer."""
        # moto counts the requests that it lets through unchecked.
        self.call("POST", "/moto-api/reset-auth", str("inf" if after is None else after).encode())


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    """Start the server; it ends with the block, or with this process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    with process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("no pipes")
        port = process.stdout.readline().decode().strip()
        if not port.isdigit():
            raise RuntimeError("moto's server did not start")
        try:
            yield ObjectServer(f"http://127.0.0.1:{port}")
        finally:
            process.stdin.close()
            process.terminate()
