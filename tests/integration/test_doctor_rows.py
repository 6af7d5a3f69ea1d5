"""The doctor looks into rows where a type's own file knows how: layouts of badges, and the plan that mends them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.cli.examination import examine_rows
from engine.io.reflect import reflect_structure
from engine.io.structure import Structure, open_structure
from engine.main import find_all_plugins, target_registry
from engine.settings import Settings
from engine.sql.doctor import Probe
from tests.support.desk import PLACE, Desk, layout, make_client, open_desk, png, text_item


async def examine(structure: Structure, settings: Settings) -> dict[str, Probe]:
    """What the doctor finds in rows, by what it says."""
    reflection = await reflect_structure(structure)
    registry = target_registry(settings, reflection)
    overrides = find_all_plugins(settings, registry)[0].overrides
    found = [probe async for probe in examine_rows(structure, registry, reflection, overrides)]
    return {f"{probe.subject}: {probe.complaint.format(1)}": probe for probe in found}


async def row_id(desk: Desk, file: str) -> int:
    """The row id of a file."""
    rows = await desk.fetch("SELECT id FROM hosted_file WHERE id_random = ?", file)
    return int(rows[0][0])


def picture(value: object, **more: Any) -> dict[str, Any]:
    """An item that shows a file."""
    return {"kind": "image", **PLACE, "value": value, **more}


async def test_row_ids_in_a_layout_are_found_and_the_plan_puts_the_public_ids_of_the_account_in(
    database_url: str, tmp_path: Path
) -> None:
    async with open_desk(database_url, tmp_path / "blobs") as desk:
        ours = await desk.file(png())
        theirs = await desk.file(png(), by=make_client(desk.app, desk.ids["other"]))
        number, foreign = await row_id(desk, ours), await row_id(desk, theirs)
        items = [picture(number), text_item(), picture(str(number)), picture(foreign), picture(10**9)]
        broken = await desk.broken(layout(*items))
        healthy = await desk.template(layout(picture(ours), text_item()))
        badge = await desk.badge(broken)
        assert (await desk.render(badge)).status == 422
        async with open_structure(database_url) as structure:
            found = await examine(structure, desk.app.settings)
            assert [key.split(": ")[0] for key in found] == [
                f"event_badge_template {broken} layout/items/{index}/value" for index in (0, 2, 3, 4)
            ]
            probes = list(found.values())
            assert [bool(probe.remedy) for probe in probes] == [True, True, False, False]
            assert all(probe.remedy or "person" in probe.advice for probe in probes)
            for probe in probes:
                if probe.remedy:
                    assert await structure.execute(probe.remedy) == 1
                    assert await structure.execute(probe.remedy) == 0
            assert list(await examine(structure, desk.app.settings)) == list(found)[2:]
        stored = (await desk.admin.get(f"/v3/crud/event_badge_template/{broken}?fields=layout")).data["layout"]
        assert [item.get("value") for item in stored["items"]] == [ours, None, ours, foreign, 10**9]
        del stored["items"][3:]
        mended = await desk.admin.send("PATCH", f"/v3/crud/event_badge_template/{broken}", {"layout": stored})
        assert mended.status == 200, str(mended)
        assert (await desk.render(badge)).status == 200
        assert (await desk.render(await desk.badge(healthy))).status == 200


async def test_what_only_a_person_can_mend_is_listed_with_its_place(database_url: str, tmp_path: Path) -> None:
    async with open_desk(database_url, tmp_path / "blobs") as desk:
        broken = await desk.broken(layout(text_item(field=42), text_item(field="sur{name}")))
        other = await desk.broken([])
        await desk.broken(json.dumps("text"))
        async with open_structure(database_url) as structure:
            found = await examine(structure, desk.app.settings)
    assert [key.split(": ")[0].replace("event_badge_template ", "") for key in found][:3] == [
        f"{broken} layout/items/0/field",
        f"{broken} layout/items/1/field",
        f"{other} layout",
    ]
    assert len(found) == 4
    assert not any(probe.remedy for probe in found.values())
    assert any("'sur{name}'" in key for key in found)
