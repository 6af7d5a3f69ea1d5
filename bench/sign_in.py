"""Whether time tells a name that somebody has from one that nobody has, at the sign-in.

    python -m bench.sign_in

200 pairs of attempts with a wrong password, one for the name of a user and one for a name that nobody has, in
changing order, on an SQLite database of its own with the shipped registry. The medians must be within 5 %. A right
password is timed beside them.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.client import Client, open_client
from bench.servers import OURS, ROOT, run_command, run_server

PAIRS = 200
WARM_UP_PAIRS = 10
MOST_APART = 0.05
USERS = 50
PASSWORD = "a password of benchmarks"
MANY = "1000000"


def main() -> int:
    """Measure; 1 when the time tells."""
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as folder:
        url = f"sqlite:///{folder}/bench.sqlite3"
        settings = {"AETHER_DATABASE_URL": url, "AETHER_REGISTRY": str(ROOT / "resources.yaml")}
        data = Path(folder, "data.yaml")
        data.write_text(_data(), encoding="utf-8")
        run_command("migrate", "--yes", settings=settings)
        run_command("seed", str(data), settings=settings)
        ours = replace(OURS, settings={**OURS.settings, **settings, "AETHER_SIGN_IN_PER_MINUTE": MANY})
        with run_server(ours, url) as server, open_client(server.port) as client:
            known_ms, unknown_ms, right_ms = _measure(client)
    apart = abs(known_ms - unknown_ms) / min(known_ms, unknown_ms)
    print(f"wrong password   known {known_ms:6.1f} ms   unknown {unknown_ms:6.1f} ms   {apart:5.1%} apart")
    print(f"right password         {right_ms:6.1f} ms")
    print("TELLING: the medians differ by more than 5 %." if apart > MOST_APART else "Time tells nothing.")
    return 1 if apart > MOST_APART else 0


def _data() -> str:
    users = "\n".join(
        f'  user{number}: {{account_id: "@north", name: U, email: {_name(number)}, password: {PASSWORD}}}'
        for number in range(USERS)
    )
    return f"account:\n  north: {{name: North}}\nuser:\n{users}\n"


def _measure(client: Client) -> tuple[float, float, float]:
    """Medians in milliseconds: of a known name, of an unknown one, and of a right password."""
    dice = random.Random(1)
    times: dict[str, list[float]] = {"known": [], "unknown": [], "right": []}
    for pair in range(WARM_UP_PAIRS + PAIRS):
        kinds = ["known", "unknown"] if dice.random() < 0.5 else ["unknown", "known"]
        if pair % 10 == 0:
            kinds.append("right")
        for kind in kinds:
            name = _name(dice.randrange(USERS)) if kind != "unknown" else f"nobody{dice.randrange(10**6)}@bench.example"
            request = _request(name, PASSWORD if kind == "right" else f"wrong {dice.randrange(10**6)}")
            started = time.perf_counter()
            status, _ = client.ask(request)
            if pair >= WARM_UP_PAIRS:
                times[kind].append((time.perf_counter() - started) * 1e3)
            if status != (200 if kind == "right" else 401):
                raise RuntimeError(f"{kind}: {status}")
    return statistics.median(times["known"]), statistics.median(times["unknown"]), statistics.median(times["right"])


def _name(number: int) -> str:
    return f"user{number:06d}@bench.example"


def _request(name: str, password: str) -> bytes:
    body = json.dumps({"email": name, "password": password}).encode()
    head = (
        "POST /v3/action/auth/login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    sys.exit(main())
