"""Badges: what a registration desk prints, and what is said of a template that cannot be drawn."""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pypdfium2
import pytest
import zxingcpp
from hypothesis import HealthCheck, given, settings
from PIL import Image

from engine.language.ids import new_public_id
from tests.support.attack import sql_for
from tests.support.desk import PLACE, Desk, layout, made, make_client, open_desk, png, text_item
from tests.support.layouts import odd_layouts
from tests.support.serving import ROOT, Client
from tests.support.stage import Stage, stage_on

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk on either database."""
    async with open_desk(database_url, tmp_path / "blobs") as made_desk:
        yield made_desk


def texts_of(svg: bytes) -> list[str]:
    """The texts of an SVG, in order."""
    return [str(one.text) for one in ET.fromstring(svg).iter(f"{SVG}text")]


def pixels_of(body: bytes) -> Image.Image:
    """A PNG, decoded."""
    image = Image.open(io.BytesIO(body))
    image.load()
    return image.convert("RGB")


async def test_a_badge_is_drawn_in_each_format_with_the_same_texts(desk: Desk) -> None:
    person = await made(desk.admin, "person", {"given_name": "L", "family_name": "N", "email": "lucja@example.org"})
    template = await desk.template(
        layout(
            {"kind": "rect", "x_mm": 0, "y_mm": 0, "width_mm": 90, "height_mm": 12, "color": "#036"},
            {"kind": "text", "x_mm": 4, "y_mm": 2, "width_mm": 80, "height_mm": 8, "value": "GUEST", "color": "white"},
            text_item(x_mm=4, y_mm=16, field="given_name", size_pt=20),
            text_item(x_mm=4, y_mm=28),
            text_item(x_mm=4, y_mm=40, field="person.email", size_pt=9),
            text_item(x_mm=48, y_mm=45, field="event.name", size_pt=9, align="right"),
            {"kind": "qr", "x_mm": 60, "y_mm": 16, "width_mm": 25, "height_mm": 25, "field": "code"},
        )
    )
    badge = await desk.badge(template, person_id=person, code="CL26-101")
    drawn = {name: await desk.render(badge, name) for name in ("svg", "pdf", "png")}
    assert {name: (one.status, one.header("content-type")) for name, one in drawn.items()} == {
        "svg": (200, "image/svg+xml"),
        "pdf": (200, "application/pdf"),
        "png": (200, "image/png"),
    }
    said = ["GUEST", "Łucja", "Núñez", "lucja@example.org", "Cold <Lakes> & 'more'"]
    assert texts_of(drawn["svg"].body) == said
    document = pypdfium2.PdfDocument(drawn["pdf"].body)
    assert len(document) == 1
    read = document[0].get_textpage().get_text_range()
    assert all(text in read for text in said), read
    assert [round(side / 72 * 25.4) for side in document[0].get_size()] == [90, 55]
    document.close()
    image = pixels_of(drawn["png"].body)
    assert image.size == (1063, 650)
    assert image.getpixel((5, 5)) == (0, 0x33, 0x66)
    assert [one.text for one in zxingcpp.read_barcodes(image)] == ["CL26-101"]


async def test_a_drawing_is_answered_such_that_nothing_in_it_can_run(desk: Desk) -> None:
    nasty = "</text><script>alert(1)</script>]]>"
    badge = await desk.badge(await desk.template(layout(text_item(height_mm=30))), family_name=nasty)
    reply = await desk.render(badge)
    root = ET.fromstring(reply.body)
    assert {one.tag.removeprefix(SVG) for one in root.iter()} == {"svg", "style", "rect", "text"}
    assert "".join(texts_of(reply.body)).replace(" ", "") == nasty
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("cache-control") == "private, no-cache"
    assert "sandbox" in str(reply.header("content-security-policy"))
    assert "default-src 'none'" in str(reply.header("content-security-policy"))
    assert reply.header("content-disposition") == f'attachment; filename="badge-{badge}.svg"'
    for name in ("pdf", "png"):
        shown = await desk.render(badge, name)
        assert shown.header("content-disposition") == f'inline; filename="badge-{badge}.{name}"'
    head = await desk.admin.send("HEAD", f"/v3/action/event_badge/{badge}/render")
    assert (head.status, head.body, head.header("content-type")) == (200, b"", "image/svg+xml")


@pytest.mark.parametrize(
    "name",
    [
        "Çağlar Öz",
        "Łukasz",
        "山田 太郎",
        "김철수",
        "محمد علي",
        "שלום",
        "สมชาย",
        "A\u0007B",
        "👩‍🚀 Ada",
        "a\u202eb",
        "x" * 100,
    ],
)
async def test_names_of_all_scripts_are_drawn(sqlite_url: str, tmp_path: Path, name: str) -> None:
    async with open_desk(sqlite_url, tmp_path / "blobs") as desk:
        badge = await desk.badge(await desk.template(layout(text_item())), family_name=name)
        for format in ("svg", "pdf", "png"):
            reply = await desk.render(badge, format)
            assert reply.status == 200, str(reply)
        dark = sum(count for count, color in pixels_of(reply.body).getcolors(1 << 20) or () if max(color) < 128)
        assert dark > 100


async def test_a_picture_comes_from_a_file_that_the_caller_may_read(desk: Desk) -> None:
    file = await desk.file(png())
    box = {"kind": "image", "x_mm": 10, "y_mm": 10, "width_mm": 40, "height_mm": 20, "value": file}
    badge = await desk.badge(await desk.template(layout(box)))
    for format in ("svg", "pdf", "png"):
        reply = await desk.render(badge, format)
        assert reply.status == 200, str(reply)
    at = tuple(round(mm / 25.4 * 300) for mm in (30, 20))
    assert pixels_of(reply.body).getpixel(at) == (0xCC, 0x22, 0x22)
    contained = await made(desk.admin, "event_file", {"event_id": desk.event, "title": "x", "hosted_file_id": file})
    badge = await desk.badge(await desk.template(layout({**box, "value": contained})))
    assert (await desk.render(badge)).status == 200


async def test_a_picture_of_another_account_is_as_unknown_as_one_that_is_not_there(desk: Desk) -> None:
    foreign = await desk.file(png(), by=make_client(desk.app, desk.ids["other"]))
    details = []
    for file in (foreign, new_public_id()):
        box = {"kind": "image", **PLACE, "value": file}
        template = await desk.template(layout(text_item(), box))
        reply = await desk.render(await desk.badge(template))
        assert (reply.status, reply.code) == (422, "foreign-key"), str(reply)
        (error,) = reply.json["errors"]
        assert error["pointer"] == "/layout/items/1/value"
        details.append(
            {**reply.json, "instance": "", "request_id": "", "detail": reply.json["detail"].replace(template, "")}
        )
    assert details[0] == details[1]


@pytest.mark.parametrize("data", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a\x01\x00", b"", png()[:60]])
async def test_what_is_no_picture_is_said_at_its_item(sqlite_url: str, tmp_path: Path, data: bytes) -> None:
    async with open_desk(sqlite_url, tmp_path / "blobs") as desk:
        file = await desk.file(data)
        badge = await desk.badge(await desk.template(layout({"kind": "image", **PLACE, "value": file})))
        reply = await desk.render(badge, "png")
        assert reply.status == 422, str(reply)
        assert reply.json["errors"][0]["pointer"] == "/layout/items/0/value"


async def test_a_picture_that_would_unfold_to_gigabytes_is_refused_before_it_does(desk: Desk) -> None:
    bomb = bytearray(png(8, 8))
    bomb[16:24] = (60_000).to_bytes(4) + (60_000).to_bytes(4)

    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4)
    file = await desk.file(bytes(bomb))
    badge = await desk.badge(await desk.template(layout({"kind": "image", **PLACE, "value": file})))
    reply = await desk.render(badge, "png")
    assert reply.status == 422, str(reply)
    assert "million pixels" in reply.json["errors"][0]["detail"]


async def test_a_badge_without_a_template_takes_the_events_default_one(desk: Desk) -> None:
    badge = await desk.badge()
    missing = await desk.render(badge)
    assert missing.status == 422
    assert "default" in missing.json["detail"]
    await desk.template(layout(text_item(field="given_name")), is_default=False)
    await desk.template(layout(text_item(field="code")), is_default=True, enable=False)
    assert (await desk.render(badge)).status == 422
    await desk.template(layout(text_item()), is_default=True)
    assert texts_of((await desk.render(badge)).body) == ["Núñez"]
    own = await desk.template(layout(text_item(field="given_name")))
    assert texts_of((await desk.render(await desk.badge(own))).body) == ["Łucja"]


async def test_another_accounts_badge_is_not_there(desk: Desk) -> None:
    badge = await desk.badge(await desk.template(layout(text_item())))
    other = make_client(desk.app, desk.ids["other"])
    replies = [await desk.render(one, by=other) for one in (badge, new_public_id(), "1")]
    assert [one.status for one in replies] == [404] * 3
    assert len({json.dumps({**one.json, "instance": "", "request_id": ""}) for one in replies}) == 1
    assert (await desk.render(badge, by=Client(desk.admin.app))).status == 401
    assert (await desk.render(badge, by=desk.caller("*:*"))).status == 403


async def test_a_field_that_the_caller_may_not_read_is_as_unknown_as_one_that_is_not_there(desk: Desk) -> None:
    person = await made(desk.admin, "person", {"given_name": "L", "family_name": "N", "tax_number": "CANARY-1"})
    template = await desk.template(layout(text_item(), text_item(field="person.tax_number")))
    badge = await desk.badge(template, person_id=person)
    assert texts_of((await desk.render(badge)).body) == ["Núñez", "CANARY-1"]
    clerk = desk.caller("*:read", "action:event_badge_render")
    refused = await desk.render(badge, by=clerk)
    unknown = await desk.broken(layout(text_item(), text_item(field="person.tax_nummer")))
    other = await desk.render(await desk.badge(unknown, person_id=person), by=clerk)
    assert (refused.status, refused.code) == (other.status, other.code) == (422, "unknown-field")
    assert [one.json["errors"][0]["pointer"] for one in (refused, other)] == ["/layout/items/1/field"] * 2
    assert refused.json["errors"][0]["detail"] == other.json["errors"][0]["detail"].replace("nummer", "number")
    assert b"CANARY" not in refused.body


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        ("no layout", {"/layout"}),
        ([], {"/layout"}),
        ({}, {"/layout/size", "/layout/items"}),
        ({"size": {"width_mm": -1}, "items": {}}, {"/layout/size/width_mm", "/layout/size/height_mm", "/layout/items"}),
        (layout(text_item(field=42)), {"/layout/items/0/field"}),
        (layout(text_item(field="42")), {"/layout/items/0/field"}),
        (layout(text_item(), text_item(field="surname")), {"/layout/items/1/field"}),
        (layout(text_item(field="person_id.email")), {"/layout/items/0/field"}),
        (layout(text_item(field="event.settings")), {"/layout/items/0/field"}),
        (layout({"kind": "image", **PLACE, "value": 17}), {"/layout/items/0/value"}),
        (layout({"kind": "image", **PLACE, "value": "17"}), {"/layout/items/0/value"}),
        (layout({"kind": "image", **PLACE, "value": "http://127.0.0.1/x.png"}), {"/layout/items/0/value"}),
        (
            layout(
                text_item(kind="picture", colour="#000"),
                text_item(width_mm=-5, color="reddish", align="middle", x_mm=90),
                {"kind": "rect", **PLACE, "value": "x", "size_pt": True},
                {"kind": "qr", **PLACE},
                7,
            ),
            {
                "/layout/items/0/kind",
                "/layout/items/0/colour",
                "/layout/items/1/width_mm",
                "/layout/items/1/color",
                "/layout/items/1/align",
                "/layout/items/1/x_mm",
                "/layout/items/2/value",
                "/layout/items/2/size_pt",
                "/layout/items/3/value",
                "/layout/items/4",
            },
        ),
        ({**layout(), "items": [text_item()] * 101}, {"/layout/items"}),
    ],
)
async def test_a_wrong_layout_is_refused_when_it_is_saved_and_named_where_it_lies_in_the_table(
    desk: Desk, document: object, pointers: set[str]
) -> None:
    body = {"event_id": desk.event, "name": "T", "layout": document}
    refused = await desk.admin.send("POST", "/v3/crud/event_badge_template/", body)
    assert refused.status == 422, str(refused)
    assert {one["pointer"] for one in refused.json["errors"]} == pointers
    template = await desk.template(layout(text_item()))
    patched = await desk.admin.send("PATCH", f"/v3/crud/event_badge_template/{template}", {"layout": document})
    assert (patched.status, {one["pointer"] for one in patched.json["errors"]}) == (422, pointers)
    old = await desk.broken(json.dumps(document))
    badge = await desk.badge(old)
    for format in ("svg", "pdf", "png"):
        reply = await desk.render(badge, format)
        assert reply.status == 422, str(reply)
        assert {one["pointer"] for one in reply.json["errors"]} == pointers
        assert old in reply.json["detail"]
    renamed = await desk.admin.send("PATCH", f"/v3/crud/event_badge_template/{old}", {"name": "Old"})
    assert renamed.status == 200, str(renamed)
    mended = await desk.admin.send("PATCH", f"/v3/crud/event_badge_template/{old}", {"layout": layout(text_item())})
    assert mended.status == 200, str(mended)
    assert (await desk.render(badge)).status == 200


@pytest.mark.parametrize("text", ["{", "", '{"size": NaN', "[" * 5_000, "\x00"])
async def test_a_layout_that_is_no_json_is_named_too(sqlite_url: str, tmp_path: Path, text: str) -> None:
    async with open_desk(sqlite_url, tmp_path / "blobs") as desk:
        template = await desk.broken(text)
        reply = await desk.render(await desk.badge(template))
        assert reply.status == 422, str(reply)
        assert reply.json["errors"][0]["pointer"] == "/layout"
        mended = await desk.admin.send("PATCH", f"/v3/crud/event_badge_template/{template}", {"layout": layout()})
        assert mended.status == 200, str(mended)


async def test_unknown_formats_and_parameters_are_refused(desk: Desk) -> None:
    badge = await desk.badge(await desk.template(layout(text_item())))
    wrong = await desk.render(badge, "gif")
    assert (wrong.status, wrong.json["errors"][0]["parameter"]) == (422, "format")
    assert (await desk.admin.get(f"/v3/action/event_badge/{badge}/render?size=3")).status == 400
    assert (await desk.admin.send("POST", f"/v3/action/event_badge/{badge}/render", {})).status == 405


async def test_the_document_of_badges_names_the_action(desk: Desk) -> None:
    document = (await desk.admin.get("/v3/crud/event_badge/schema")).json
    assert [one["name"] for one in document["actions"] if one["allowed"]] == ["event_badge_render"]
    operation = (await desk.admin.get("/openapi.json")).json["paths"]["/v3/action/event_badge/{event_badge_id}/render"][
        "get"
    ]
    assert set(operation["responses"]["200"]["content"]) == {"image/svg+xml", "application/pdf", "image/png"}
    assert re.search("422", operation["description"])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_layouts())
def test_whatever_lies_in_the_table_is_drawn_or_a_refusal_with_places(laid: Stage, document: Any) -> None:
    admin = laid.new_account("Odd")
    about = {"name": "E", "starts_on": "2026-09-10T09:00:00Z"}
    event = admin.send("POST", "/v3/crud/event/", about).data["id"]
    body = {"event_id": event, "name": "T", "layout": layout(), "is_default": True}
    template = admin.send("POST", "/v3/crud/event_badge_template/", body).data["id"]
    person = {"event_id": event, "given_name": "A", "family_name": "B"}
    badge = admin.send("POST", "/v3/crud/event_badge/", person).data["id"]
    database = laid.app.engine.database
    sql = sql_for(database, "UPDATE event_badge_template SET layout = ? WHERE id_random = ?")
    laid.run(database.execute(sql, (json.dumps(document), template)))
    replies = [admin.get(f"/v3/action/event_badge/{badge}/render?format={name}") for name in ("svg", "pdf", "png")]
    assert {reply.status for reply in replies} in ({200}, {422}), str(replies[0])
    saved = admin.send("POST", "/v3/crud/event_badge_template/?validate_only=true", {**body, "layout": document})
    if saved.status == 200:
        assert replies[0].status == 200, str(replies[0])
    if replies[0].status == 422:
        assert saved.status == 422
        assert all(error["pointer"].startswith("/layout") for error in replies[0].json["errors"])


@pytest.fixture
def laid(database_url: str) -> Iterator[Stage]:
    """The shipped registry, for plain functions."""
    with stage_on(database_url, ROOT / "resources.yaml") as stage:
        yield stage
