"""Attacks by values: ids that look alike, text that breaks out, numbers and dates at the edge, keys given twice."""

from __future__ import annotations

import json
import secrets
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.attack import World, alike, unknown_id
from tests.support.bodies import create_body
from tests.support.serving import Client, Reply, make_settings, running

FIRST_PRINTABLE = " "


def look_alikes(public_id: str) -> list[str]:
    """Ids that a collation, a trim or a normalisation would take for the given one."""
    letter = next(index for index, one in enumerate(public_id) if one.isalpha())
    digit = next((index for index, one in enumerate(public_id) if one.isdigit()), None)

    def put(index: int, text: str) -> str:
        return public_id[:index] + text + public_id[index + 1 :]

    spellings = [
        put(letter, public_id[letter].swapcase()), public_id.swapcase(), public_id.upper(), public_id.lower(),
        f"{public_id} ", f" {public_id}", f"{public_id}\t", f"{public_id}\n", f"{public_id}\0", f"{public_id}%00",
        f"{public_id}\u00a0", f"{public_id}\u200b", f"\ufeff{public_id}", f"{public_id}\u200d", put(letter, "\u00e1"),
        public_id[: letter + 1] + "\u0301" + public_id[letter + 1 :], put(letter, "\u212a"), put(letter, "\uff21"),
        put(letter, "\u0430"), f"{public_id}=", f"{public_id}==", f"{public_id}'", f"{public_id}\\", f'"{public_id}"',
        f"{public_id},{public_id}", public_id[:-1], public_id[:11], f"{public_id}A", public_id * 2, f"{public_id}%",
        public_id[:-1] + "_", public_id[:-1] + "%", "_" * 22, "%" * 22, "-" * 22,
    ]  # fmt: skip
    if digit is not None:
        spellings += [put(digit, chr(0xFF10 + int(public_id[digit]))), put(digit, chr(0x0660 + int(public_id[digit])))]
    return [one for one in dict.fromkeys(spellings) if one != public_id]


def not_quoting(reply: Reply, given: str) -> Any:
    """A reply without the id that was given."""
    status, headers, body = alike(reply)
    text = json.dumps(body)
    for form in (given, repr(given), json.dumps(given), json.dumps(json.dumps(given))):
        text = text.replace(json.dumps(form)[1:-1], "<id>")
    return status, headers, text


async def test_no_other_spelling_of_an_id_is_that_id(world: World, caller: Client) -> None:
    for type_name in ("journal", "journal_entry", "person"):
        public_id = world.first(type_name)
        for spelling in look_alikes(public_id):
            path = quote(spelling, safe="%" if spelling.endswith("%00") else "")
            expected = await caller.get(f"/v3/crud/{type_name}/{unknown_id()}")
            for tail, method, body in (
                ("", "GET", None), ("", "PATCH", {"name": "taken"}), ("", "DELETE", None), ("/restore", "POST", {}),
            ):  # fmt: skip
                reply = await caller.send(method, f"/v3/crud/{type_name}/{path}{tail}", body)
                assert reply.status == 404, (spelling, str(reply))
                assert method != "GET" or alike(reply) == alike(expected), reply
            for condition in ({"id": spelling}, {"id": {"in": [spelling]}}, {"id": {"ne": spelling}}):
                reply = await caller.search(type_name, {"filter": condition})
                assert reply.status in (200, 422), (spelling, str(reply))
                if reply.status == 200 and "ne" not in str(condition["id"]):
                    assert reply.data == [], (spelling, str(reply))
        row = await world.row(type_name, public_id)
        assert row["name"].startswith("alpha")


async def test_no_other_spelling_of_an_id_is_a_relation(world: World, caller: Client) -> None:
    person, journal = world.first("person"), world.first("journal")
    before = await world.totals()
    for spelling in [*look_alikes(person), *look_alikes(journal)]:
        for field, target in (("person_id", person), ("journal_id", journal)):
            body = {**create_body(world, "journal_entry"), field: spelling}
            reply = await caller.send("POST", "/v3/crud/journal_entry/", body)
            assert reply.status == 422, (spelling, str(reply))
            found = await caller.search("journal_entry", {"filter": {field: spelling}})
            assert found.status == 422 or found.data == [], (spelling, str(found))
            assert target != spelling
        reply = await caller.get(f"/v3/crud/journal/{quote(spelling, safe='')}/entry/")
        assert reply.status == 404, (spelling, str(reply))
    assert await world.totals() == before


async def test_a_row_id_is_never_an_id(world: World, caller: Client) -> None:
    number = world.row_ids[world.first("journal")]
    for text in (
        str(number),
        "0",
        "1",
        "-1",
        f"{number}.0",
        f"0{number}",
        hex(number),
        "true",
        "null",
        "7e9",
        "id",
        "*",
    ):
        for path in (
            f"/v3/crud/journal/{text}",
            f"/v3/crud/journal/{text}/entry/",
            f"/v3/action/journal/{text}/summary",
        ):
            reply = await caller.get(path)
            assert reply.status in (403, 404), reply
    for value in (number, 0, 1, 0.0, True, False, [], {}, [0], {"eq": 0}, f"{number}", -1, 1e9):
        for field in ("id", "person_id", "account_id", "person.id"):
            if value in ([], {}):
                continue
            reply = await caller.search("journal", {"filter": {field: value}})
            assert reply.status == 422 or reply.data == [], (field, value, str(reply))
        for field in ("person_id",):
            reply = await caller.send("POST", "/v3/crud/journal/", {"name": "x", field: value})
            assert reply.status == 422, (value, str(reply))
            reply = await caller.send("PATCH", f"/v3/crud/journal/{world.first('journal')}", {field: value})
            assert reply.status == 422, (value, str(reply))
        move = {"parent": {"type": "journal", "id": value}}
        reply = await caller.send("POST", f"/v3/crud/journal_entry/{world.first('journal_entry')}/move", move)
        assert reply.status == 422, (value, str(reply))


NASTY = [
    "'", '"', "\\", ";--", "' OR '1'='1", "') OR 1=1 -- ", "\\' OR 1=1 #", "%s", "%(x)s", "%%", "%n%n", "{0}", "{x}",
    "{{7*7}}", "${7*7}", "$(id)", "`id`", "\u00ff", "\u0080", "?", ":x", ":1", "?1", "@@version", "/*!50000 x*/",
    "\r\nX-Evil: 1", "\u2028", "\u202e", "\ufeff", "🙂" * 50, "a" * 10_240, "\x1b[2J", "../../etc/passwd",
    "NULL", "null",
    "0x27", "char(39)", "\u02bc", "\uff07", "\u0f00" * 100, "<script>", "__proto__", "1; DROP TABLE tbl",
    "$now(-7 days)x",
    "$current_user", "$$now", "x" * 191 + "é", "\U0010ffff", "ﷺ" * 60, "Z͑ͫ̓ͪ" * 20,
]  # fmt: skip


async def test_no_text_breaks_out_of_a_value(world: World, caller: Client) -> None:
    journal = world.first("journal")
    for text in NASTY:
        shown = quote(text, safe="")
        for reply in (
            await caller.get(f"/v3/crud/journal/{shown}"),
            await caller.get(f"/v3/crud/{shown}/"),
            await caller.get(f"/v3/crud/journal/{journal}/{shown}/"),
            await caller.get(f"/v3/crud/journal/?name={shown}"),
            await caller.get(f"/v3/crud/journal/?{shown}=1"),
            await caller.get(f"/v3/crud/journal/?sort={shown}"),
            await caller.get(f"/v3/crud/journal/?q={shown}"),
            await caller.get(f"/v3/crud/journal/?filter={shown}"),
            await caller.get(f"/v3/crud/journal/?cursor={shown}"),
            await caller.get(f"/v3/crud/journal/options?q={shown}"),
            await caller.get(f"/v3/crud/journal/schema?mode={shown}"),
            await caller.get(f"/v3/crud/journal/schema?mode=create&inline={shown}"),
            await caller.get(f"/v3/meta/problems/{shown}"),
            await caller.get(f"/v3/action/{shown}"),
            await caller.get("/v3/crud/journal/", pairs=[("X-Account-Id", text.encode())]),
            await caller.get("/v3/crud/journal/", pairs=[("Prefer", text.encode())]),
            await caller.search("journal", {"timezone": text}),
            await caller.search("journal", {"filter": {"id": text}}),
            await caller.search("journal", {text: 1}),
            await caller.search("journal", {"filter": {text: 1}}),
            await caller.search("journal", {"filter": {"name": {text: 1}}}),
            await caller.send("PATCH", f"/v3/crud/journal/{journal}", {"person_id": text}),
            await caller.send("PATCH", f"/v3/crud/journal/{journal}", {text: "x"}),
            await caller.send("PATCH", f"/v3/crud/journal/{journal}", {"name": "x"}, headers={"If-Match": "x"}),
        ):
            assert reply.status in (200, 400, 401, 403, 404, 405, 422), reply
            assert b"root:" not in reply.body
        for operator in ("eq", "icontains", "starts_with", "like", "ilike", "lt"):
            reply = await caller.search("journal_entry", {"filter": {"name": {operator: text}}})
            assert reply.status in (200, 422), (operator, text, str(reply))
        for condition in (
            {"extra": {"json": {text: {"eq": text}}}},
            {"extra": {"has": text}},
            {"extra": {"has_key": text}},
        ):
            reply = await caller.search("journal_entry", {"filter": condition})
            assert reply.status in (200, 422), (condition, str(reply))


async def test_every_text_comes_back_as_it_was_given(world: World, caller: Client) -> None:
    for text in NASTY:
        if len(text) > 200:
            continue
        body = {
            **create_body(world, "journal_entry"),
            "body": text,
            "extra": {"k": text, text: [text]},
            "passcode": text,
        }
        made = await caller.send("POST", "/v3/crud/journal_entry/?fields=body,extra", body)
        assert made.status == 201, (text, str(made))
        assert made.data["body"] == text
        assert made.data["extra"] == {"k": text, text: [text]}
        for condition in ({"body": text}, {"body": {"contains": text}}, {"extra": {"json": {"k": text}}}):
            if text.startswith("$"):
                continue
            found = await caller.search("journal_entry", {"filter": {"id": made.data["id"], **condition}})
            assert [row["id"] for row in found.data] == [made.data["id"]], (text, condition, str(found))
        gone = await caller.send("DELETE", f"/v3/crud/journal_entry/{made.data['id']}")
        assert gone.status == 204, gone


async def test_no_foreign_origin_is_let_in(world: World, caller: Client) -> None:
    preflight = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
    for origin in ("https://evil.test", "null", "https://ours.evil.test", "http://testserver", "*", "file://", "\xff"):
        for method, path in (("GET", "/v3/crud/journal/?limit=1"), ("OPTIONS", "/v3/crud/journal/"), ("GET",
                "/v3/nowhere"),
                             ("OPTIONS", "/openapi.json"), ("GET", "/health/live"), ("POST",
                             "/v3/crud/journal/search")):  # fmt: skip
            for extra in ({}, preflight):
                for client in (caller, world.nobody):
                    reply = await client.send(method, path, headers={"Origin": origin, **extra})
                    assert reply.header("access-control-allow-origin") is None, reply
                    assert reply.header("access-control-allow-credentials") is None, reply
                    assert reply.status < 500


async def test_only_an_origin_that_is_configured_exactly_is_let_in(world: World) -> None:
    ours = "https://ours.test"
    settings = make_settings(world.running.settings.database_url, world.running.settings.registry, cors_origins=(ours,))
    preflight = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
    async with running(settings) as app:
        client = Client(app.engine.application, "user", world.user.headers, world.replies.append)
        for origin in (
            "https://evil.test", "null", "https://ours.evil.test", "https://ours.test.evil.test",
            "https://evilours.test",
            "http://ours.test", "https://ours.test:8443", "https://OURS.test", "https://ours.test/",
            " https://ours.test x",
            "https://ours.test,https://evil.test", "https://ours.tes", "*", "https://ours.test\x00",
            "https://sub.ours.test",
        ):  # fmt: skip
            for method, extra in (("GET", {}), ("OPTIONS", preflight), ("OPTIONS", {})):
                reply = await client.send(method, "/v3/crud/journal/", headers={"Origin": origin, **extra})
                assert reply.header("access-control-allow-origin") is None, reply
                assert reply.header("access-control-allow-credentials") is None, reply
        for method, extra in (("GET", {}), ("OPTIONS", preflight)):
            reply = await client.send(method, "/v3/crud/journal/", headers={"Origin": ours, **extra})
            assert reply.header("access-control-allow-origin") == ours, reply
            assert "origin" in " ".join(value for name, value in reply.headers if name == "vary").lower(), reply
            assert reply.header("access-control-allow-credentials") is None, reply


async def test_what_a_caller_sends_breaks_no_log_line(world: World) -> None:
    breaks = [
        '\n{"level":"fatal"}',
        "\x1b[2J\x1b[1;1H",
        "\u2028{}",
        "\u0085",
        "\r\n\r\n",
        "\x00",
        "\x7f",
        "\u202e",
        '"}\n{"',
    ] * 1
    for client in (world.nobody, world.user):
        for text in breaks:
            raw = text.encode()
            for reply in (
                await client.get("/v3/crud/" + quote(text, safe="")),
                await client.get("/" + quote(text, safe="")),
                await client.get("/v3/crud/journal/?q=" + quote(text, safe="")),
                await client.get("/v3/action/" + quote(text, safe="")),
                await client.send(
                    "GET", "/v3/crud/journal/", pairs=[("User-Agent", raw), ("Referer", raw), ("Host", raw)]
                ),
                await client.send("GET", "/v3/crud/journal/", pairs=[("X-Request-Id", raw)]),
                await client.send("GET", "/v3/crud/journal/", pairs=[("X-Forwarded-For", raw), ("Accept", raw)]),
                await client.send(f"GET{text}", "/v3/crud/journal/"),
                await client.send("POST", "/v3/crud/journal/search", {"filter": {text: text}, text: text}),
                await client.send("POST", "/v3/crud/journal/", {text: text, "name": text}),
                await client.send(
                    "POST", "/v3/crud/journal/search", raw=raw, headers={"Content-Type": "application/json"}
                ),
            ):
                assert reply.status < 500, reply
                for name, value in reply.headers:
                    assert not [one for one in name + value if one < FIRST_PRINTABLE], reply
                assert text not in (reply.header("x-request-id") or "")


TWICE = [
    '{"name":"x","account_id":"%(a)s","account_id":"%(b)s"}', '{"name":"x","name":"y"}',
    '{"name":"x","na\\u006de":"y"}',
    '{"name":"x","person_id":null,"person_id":"%(person)s"}', '{"name":"x","entry":[{"name":"a","name":"b"}]}',
    '{"name":"x","entry":[{"name":"a","journal_id":"%(a)s","journal_id":"%(b)s"}]}', '{"":1,"":2}',
]  # fmt: skip


async def test_a_key_given_twice_is_refused_at_any_depth(world: World, caller: Client) -> None:
    values = {"a": world.accounts["a"], "b": world.accounts["b"], "person": world.first("person", "b")}
    journal = world.first("journal")
    before = await world.totals(), await world.row("journal", journal)
    headers = {"Content-Type": "application/json"}
    for text in TWICE:
        for method, path in (("POST", "/v3/crud/journal/"), ("PATCH", f"/v3/crud/journal/{journal}"),
                             ("PUT", f"/v3/crud/journal/{journal}")):  # fmt: skip
            reply = await caller.send(method, path, raw=(text % values).encode(), headers=headers)
            assert reply.status == 400, (text, str(reply))
    entry = '{"name":"x","extra":{"a":{"b":[{"c":1,"c":2}]}}}'
    reply = await caller.send("POST", "/v3/crud/journal_entry/", raw=entry.encode(), headers=headers)
    assert reply.status == 400, reply
    for text in ('{"filter":{"name":"a","name":"b"}}', '{"filter":{},"filter":{"name":"x"}}', '{"limit":1,"limit":2}',
                 '{"filter":{"or":[{"name":{"eq":"a","eq":"b"}}]}}', '{"expand":{"entry":{},"entry":{}}}'):  # fmt: skip
        reply = await caller.send("POST", "/v3/crud/journal/search", raw=text.encode(), headers=headers)
        assert reply.status == 400, (text, str(reply))
        if text.startswith('{"filter"'):
            inner = quote(text[len('{"filter":') : -1].split(',"filter"', maxsplit=1)[0], safe="")
            reply = await caller.get(f"/v3/crud/journal/?filter={inner}")
            assert reply.status in (200, 400, 422) if inner == "%7B%7D" else reply.status in (400, 422), reply
    for query in ("limit=1&limit=2", "name=a&name=b", "filter=%7B%7D&filter=%7B%7D",
            "account_id=a&account_id=b", "q=a&q=b",
                  "fields=id&fields=name", "name=a&n%61me=b"):  # fmt: skip
        reply = await caller.get(f"/v3/crud/journal/?{query}")
        assert reply.status == 400, (query, str(reply))
    assert (await world.totals(), await world.row("journal", journal)) == before


WRONG: dict[str, list[str]] = {
    "priority": ["9223372036854775808", "-9223372036854775809", "1" + "0" * 300, "NaN", "Infinity", "-Infinity",
                 "1e400", "1e1",
                 "true", '"1"', "1.5", "[1]", "{}", '""', "-1", "10", '"0x1"', '"\\u0661"'],
    "big": ["9223372036854775808", "-9223372036854775809", "1" + "0" * 300, "1e400", "true", '"1"', "0.1",
            "1" + "0" * 5_000],
    "amount": ["1", "1.5", "true", '"1.555"', '"1e5"', '"NaN"', '"Infinity"', '"-"', '""', '"1,5"',
               '"' + "9" * 40 + '"', '"\\u0661"',
               '" 1"', '"1 "', '"+1"', '"0x1"', '".5"', '"1."', '"' + "1" * 100_000 + '"'],
    "price": ["NaN", "Infinity", "1e400", "-1e400", "true", '"1.5"', "[]", "1" + "0" * 400],
    "flagged": ["0", "1", '"true"', '"false"', "[]", '""'],
    "entry_date": ['"0000-00-00"', '"2026-02-30"', '"2026-13-01"', '"10000-01-01"', '"infinity"', '"2026-1-1"',
                   '"+2026-01-01"',
                   '"2026-01-01T00:00:00Z"', '"-0001-01-01"', "20260101", '"0000-01-01"', '"2026-01-01\\u0000"',
                   '"epoch"', "true"],
    "moment": ['"9999-12-31T23:59:60Z"', '"2026-01-01T00:00:00+99:99"', '"infinity"', '"10000-01-01T00:00:00Z"',
               '"0000-00-00T00:00:00Z"',
               '"2026-01-01T24:00:01Z"', '"2026-01-01T00:00:00"', '"2026-01-01 00:00"', "1767225600",
               '"0001-01-01T00:00:00+14:00"',
               '"9999-12-31T23:59:59-14:00"', '"2026-01-01T00:00:00.1234567Z"', '"2026-01-01T25:00:00Z"',
               '"now"', "1e400"],
    "clock": ['"24:00:00"', '"-01:00:00"', '"838:59:59"', '"1:2:3"', '"12:60:00"', '"12:00:00Z"', '"noon"',
              "43200", '"12:00:00.1234567"'],
    "code": ['"x"', '"0190"', "1", '"{0190aaaa-0000-7000-8000-000000000000}"',
             '"urn:uuid:0190aaaa-0000-7000-8000-000000000000"'],
    "email": ['"x"', '"a@b\\r\\nBcc: c@d"', '"a@"', '"@b"', "1", '"a b@c.d"'],
    "site": ['"x"', "1", '"http://a b"', '"//evil"', '"http://a\\nb"', '""'],
    "visibility": ['"PUBLIC"', '"public "', '"nope"', "1", '""', '"public\\u0000"'],
    "name": ["1", "true", "[]", "{}", '""', '"' + "x" * 201 + '"', '"a\\u0000b"', '"\\ud800"', "null"],
    "blob": ['"%%%"', "1", '"a"', '"=AAA"'],
}  # fmt: skip


@pytest.mark.parametrize("field", WRONG)
async def test_a_value_that_does_not_fit_is_refused_and_stored_nowhere(
    world: World, caller: Client, field: str
) -> None:
    entry, headers = world.first("journal_entry"), {"Content-Type": "application/json"}
    before = await world.totals(), await world.row("journal_entry", entry)
    needed = {key: value for key, value in create_body(world, "journal_entry").items() if key != field}
    for value in WRONG[field]:
        rest = json.dumps(needed)[1:-1]
        for method, path, text in (
            ("POST", "/v3/crud/journal_entry/", f'{{{rest}, "{field}": {value}}}'),
            ("PATCH", f"/v3/crud/journal_entry/{entry}", f'{{"{field}": {value}}}'),
        ):
            reply = await caller.send(method, path, raw=text.encode(), headers=headers)
            assert reply.status in (400, 422), (value[:80], str(reply))
            assert reply.status == 422 or value in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400"), str(reply)
        if field in ("blob", "name", "email", "site", "code"):
            continue
        for operator in ("eq", "in", "lt", "between", "ne"):
            operand = {"in": f"[{value}]", "between": f"[{value},{value}]"}.get(operator, value)
            raw = f'{{"filter": {{"{field}": {{"{operator}": {operand}}}}}}}'.encode()
            reply = await caller.send("POST", "/v3/crud/journal_entry/search", raw=raw, headers=headers)
            assert reply.status in (200, 400, 422), (value[:80], str(reply))
        reply = await caller.get(f"/v3/crud/journal_entry/?{field}={quote(value.strip(chr(34)), safe='')}")
        assert reply.status in (200, 400, 422), reply
    assert (await world.totals(), await world.row("journal_entry", entry)) == before


EDGES: list[dict[str, Any]] = [
    {"moment": {"gte": "$now(-99999999999 days)"}}, {"moment": {"gte": "$now(1e9 years)"}},
    {"entry_date": "$today(999999)"},
    {"moment": {"lt": "$year_start(-5000)"}}, {"moment": {"lt": "$month_start(99999999)"}}, {"year(moment)": 10**30},
    {"year(moment)": -1}, {"year(moment)": 0}, {"year(moment)": 9999}, {"year(moment)": 10000}, {"month(moment)": 13},
    {"date(moment)": "9999-12-31"}, {"date(moment)": "0001-01-01"}, {"moment": "9999-12-31"}, {"moment": "0001-01-01"},
    {"length(name)": 10**20}, {"length(name)": {"in": [2**63]}}, {"hour(moment)": {"between": [25, 99]}},
    {"week(entry_date)": {"eq": {"field": "priority"}}}, {"moment": {"between": ["0001-01-01", "9999-12-31"]}},
    {"entry_date": {"between": ["$today", "$today(-1)"]}}, {"lower(name)": "x" * 70_000}, {"year(name)": 1},
    {"twins": {"count": {"gte": 2**63}}}, {"twins": {"count": {"in": [-1, 10**30]}}}, {"twins": {"count": {}}},
]  # fmt: skip


async def test_functions_and_macros_at_the_edge_are_no_fault_of_ours(world: World, caller: Client) -> None:
    for condition in EDGES:
        for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Niue"):
            reply = await caller.search("journal_entry", {"filter": condition, "timezone": zone})
            assert reply.status in (200, 422), (condition, str(reply))
    for zone in ("utc ", "../../etc/passwd", "/etc/passwd", "localtime", "posixrules",
            "Europe/../Europe/Berlin", "+99:99",
                 "Etc/GMT+99", "UTC\0", "x" * 5_000, "", "Factory", "SYSTEM", "' OR 1"):  # fmt: skip
        reply = await caller.search("journal_entry", {"timezone": zone, "filter": {"year(moment)": 2026}})
        assert reply.status in (200, 422), (zone, str(reply))


async def test_random_bytes_are_answered_plainly(world: World, caller: Client) -> None:
    for _ in range(60):
        noise = secrets.token_bytes(200)
        for reply in (
            await caller.send("POST", "/v3/crud/journal/", raw=noise, headers={"Content-Type": "application/json"}),
            await caller.get(b"/v3/crud/journal/" + noise.replace(b"?", b"")),
            await caller.get(b"/v3/crud/journal/?" + noise),
            await caller.send("GET", "/v3/crud/journal/", pairs=[("X-Account-Id", noise), ("If-None-Match", noise)]),
        ):
            assert reply.status in (400, 403, 404, 413, 415, 422), reply
