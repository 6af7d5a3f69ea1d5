"""What the README tells a newcomer to type works, and answers what it shows."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.support import services

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = {
    language: re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for language in ("bash", "json", "yaml")
}
START_TIMEOUT_S = 40


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The demo with the README's type added, in a folder and on a port of its own."""
    folder = tmp_path_factory.mktemp("demo")
    registry = (ROOT / "resources.yaml").read_text(encoding="utf-8")
    (folder / "resources.yaml").write_text(_with_type(registry, BLOCKS["yaml"][0]), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
    command = [sys.executable, "-m", "engine.cli", "serve", "--demo", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health/ready", server, folder / "log")
        yield f"http://127.0.0.1:{port}", folder
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def test_the_first_search_answers_what_the_readme_shows(demo: tuple[str, Path]) -> None:
    url, folder = demo
    command = next(block for block in BLOCKS["bash"] if block.startswith("curl"))
    assert json.loads(_run(command, url, folder)) == json.loads(BLOCKS["json"][0])


def test_the_demo_keeps_its_files_apart_from_those_of_other_databases(demo: tuple[str, Path]) -> None:
    url, folder = demo
    sent = f'curl -s "{url}/v3/action/hosted_file" -H "Authorization: Bearer $(cat var/demo/token)" -F "file=@log"'
    assert json.loads(_run(sent, url, folder))["data"]["file_name"] == "log"
    assert [file for file in (folder / "var" / "demo" / "blobs").glob("??/??/*") if file.is_file()] != []
    assert not (folder / "var" / "blobs").exists()


def test_a_type_of_four_lines_is_served(demo: tuple[str, Path]) -> None:
    url, folder = demo
    assert len(BLOCKS["yaml"][0].splitlines()) == 4
    create = (
        f'curl -s {url}/v3/crud/venue/ -H "Authorization: Bearer $(cat var/demo/token)" --json \'{{"name": "Hall"}}\''
    )
    assert json.loads(_run(create, url, folder))["data"]["name"] == "Hall"
    listed = f'curl -s {url}/v3/crud/venue/ -H "Authorization: Bearer $(cat var/demo/token)"'
    assert [row["name"] for row in json.loads(_run(listed, url, folder))["data"]] == ["Hall"]


@pytest.mark.mariadb
def test_a_mariadb_of_others_is_taken_over_as_the_readme_says(mariadb_url: str, tmp_path: Path) -> None:
    services.run_on_mariadb(
        "CREATE TABLE shelf (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL)",
        "INSERT INTO shelf (name) VALUES ('upper')",
        database=mariadb_url.rpartition("/")[2],
    )
    (block,) = (block for block in BLOCKS["bash"] if "introspect" in block)
    commands = block.replace("mysql+asyncmy://user:password@127.0.0.1:3306/yours", mariadb_url)
    commands = commands.replace("$(openssl rand -base64 48)", "readme-" * 10).replace(".venv/bin/aether serve", "")
    commands = f'set -e\naether() {{ {sys.executable} -m engine.cli "$@"; }}\n' + commands.replace(
        ".venv/bin/aether", "aether"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def _with_type(registry: str, lines: str) -> str:
    head, types, rest = registry.partition("\ntypes:\n")
    return f"{head}{types}{lines}\n{rest}"


def _run(command: str, url: str, folder: Path) -> str:
    asked = command.replace("http://127.0.0.1:5005", url)
    return subprocess.run(["bash", "-c", asked], cwd=folder, capture_output=True, text=True, check=True).stdout


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urlopen(url, timeout=2).close()
        except URLError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the demo does not answer:\n{log.read_text()[-2000:]}")
