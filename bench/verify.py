"""Equal answers before equal measures: the servers must say the same about the same rows.

Compared are `data` and `has_more` of every workload, the refusal of another
account's id, of a request without a token, and of a stale version. Writes are
compared without what a server makes itself (ids and instants).
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence

from bench.data import Size, public_id
from bench.servers import Running
from bench.workloads import WORKLOADS, Ask, Workload, ask

SAMPLES = 5
MADE_BY_THE_SERVER = ("id", "created_on", "updated_on")


def find_differences(servers: Sequence[Running], size: Size, cursors: Mapping[str, Mapping[int, str]]) -> list[str]:
    """Ask all servers the same and list where they differ from the first one that can be asked.

    Args:
        servers: Two or more.
        size: Of the data.
        cursors: Per server and account, where the deep page begins.
    """
    differences: list[str] = []
    for workload in WORKLOADS.values():
        able = [server for server in servers if server.name in workload.servers]
        for seed in range(SAMPLES):
            answers = {server.name: _sample(server, workload, size, cursors, seed) for server in able}
            differences.extend(_compare(workload.name, answers))
    return differences + _find_lapses(servers, size)


def _sample(
    server: Running, workload: Workload, size: Size, cursors: Mapping[str, Mapping[int, str]], seed: int
) -> object:
    request = workload.make(random.Random(seed), size, cursors.get(server.name, {}))
    status, body = ask(server.port, request)
    if status >= 300:
        return status, body.decode()[:300]
    answer = json.loads(body)
    data = answer["data"]
    if workload.is_write:
        data = {name: value for name, value in data.items() if name not in MADE_BY_THE_SERVER}
    return {"status": status, "data": data, "has_more": answer["meta"].get("has_more")}


def _compare(what: str, answers: Mapping[str, object]) -> list[str]:
    texts = {name: json.dumps(answer, sort_keys=True) for name, answer in answers.items()}
    if len(set(texts.values())) < 2:
        return []
    return [f"{what}: " + "; ".join(f"{name} says {_around(text, texts)}" for name, text in texts.items())]


def _around(text: str, texts: Mapping[str, str]) -> str:
    """The place where the texts begin to differ, with something before it."""
    same = next((at for at, letters in enumerate(zip(*texts.values(), strict=False)) if len(set(letters)) > 1), 0)
    return "…" + text[max(0, same - 60) : same + 80]


def _find_lapses(servers: Sequence[Running], size: Size) -> list[str]:
    """Where a server answers what it must refuse."""
    path = f"/v3/crud/journal_entry/{public_id('journal_entry', 1)}"
    nested = f"/v3/crud/journal/{public_id('journal', 1)}/entry/?limit=5"
    change = {"title": "stale"}
    cases = [
        ("another account's entry", Ask("GET", path, size.accounts), {}, 404),
        ("another account's journal", Ask("GET", nested, size.accounts), {}, 404),
        ("another account's entry to change", Ask("PATCH", path, size.accounts, change), {}, 404),
        ("no token", Ask("GET", path, 0), {}, 401),
        ("a stale version", Ask("PATCH", path, 1, change), {"If-Match": '"0"'}, 412),
    ]
    lapses: list[str] = []
    for server in servers:
        for what, request, headers, wanted in cases:
            status, _ = ask(server.port, request, **headers)
            if status != wanted:
                lapses.append(f"{server.name} answers {status} to {what}, not {wanted}")
    return lapses
