"""Rows shown to those types whose file has an ``examine``, one after another. Nothing is changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from engine.io.structure import Structure
from engine.plugins.overrides import Overrides
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry
from engine.sql.doctor import Probe
from engine.sql.examine import ROWS_AT_ONCE, Reading


async def examine_rows(
    structure: Structure, registry: Registry, reflection: ReflectedDatabase, overrides: Mapping[str, Overrides]
) -> AsyncIterator[Probe]:
    """What the types' own files find wrong, each with the SQL that would mend it where that can be known."""
    for name, override in overrides.items():
        table = reflection.table(registry.types[name].table)
        if override.examine is None or table is None or table.is_view:
            continue
        reading = Reading(registry, reflection, registry.types[name], table)
        after, more = -(2**63), reading.is_possible
        while more:
            rows = await structure.fetch(reading.page(after))
            more = len(rows) == ROWS_AT_ONCE
            for values in rows:
                row = reading.row(values)
                after = row.key
                for flaw in override.examine(row.fields):
                    probe = reading.probe(row, flaw)
                    question = reading.target(row, flaw)
                    if question is not None and not (await structure.fetch(question))[0][0]:
                        advice = "nothing in its account has that row id: a person has to decide"
                        probe = replace(probe, remedy="", advice=advice)
                    yield probe
