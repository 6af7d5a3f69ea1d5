"""`aether doctor`: looks through the rows for what was wrong before we came. It never changes anything.

What is asked of rows is decided in `sql/doctor.py`, and in the files of those types that look into their own rows;
what a server stands on besides is looked at in `surroundings.py`.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from engine.cli.examination import examine_rows
from engine.cli.ground import lay_ground, read_settings
from engine.cli.surroundings import look_around
from engine.cli.terminal import remark, say
from engine.io.reflect import reflect_structure
from engine.io.structure import open_structure
from engine.settings import Settings
from engine.sql.doctor import Probe, probes_of

Ailments = list[tuple[Probe, int]]


def doctor(
    fix_plan: Annotated[
        bool, typer.Option("--fix-plan", help="Print SQL that would mend it, to be read and run by a person.")
    ] = False,
) -> None:
    """Look for wrong ids, dangling references, rows of the wrong account, missing indexes; at clock, cache and storage.

    Ends with 1 where something is wrong.

    It reads whole tables: expect it to take a while on large ones.
    """
    ailments = asyncio.run(_examine(read_settings()))
    for probe, count in ailments:
        complaint = f"{probe.subject}: {probe.complaint.format(count)}"
        if not fix_plan:
            say(f"{complaint}{f'; {probe.advice}' if probe.advice else ''}")
        else:
            say(f"-- {complaint}")
            say(f"-- {probe.advice}" if probe.advice else f"{probe.remedy};")
            if probe.advice and probe.remedy:
                say(f"{probe.remedy};")
    if not ailments:
        say("Nothing is wrong." if not fix_plan else "-- Nothing is wrong.")
        return
    remark("Nothing was changed. `aether doctor --fix-plan` prints what would mend it; make a backup first.")
    raise typer.Exit(1)


async def _examine(settings: Settings) -> Ailments:
    found: Ailments = []
    async with open_structure(settings.database_url) as structure:
        reflection = await reflect_structure(structure)
        ground = lay_ground(settings, reflection)
        registry = ground.registry
        for probe in probes_of(registry, reflection):
            count = 1 if probe.count is None else int((await structure.fetch(probe.count))[0][0])
            if count:
                found.append((probe, count))
        if ground.plugins is not None:
            async for probe in examine_rows(structure, registry, reflection, ground.plugins.overrides):
                found.append((probe, 1))
        async for seen in look_around(settings, structure, registry):
            if isinstance(seen, Probe):
                found.append((seen, 1))
            else:
                remark(seen)
    return found
