"""A live database as values: `reflect` reads its structure in a handful of queries, whatever its size.

How each database is asked is in `reflect_mariadb.py` and `reflect_sqlite.py`; what the values mean to a registry is
`registry/build.py`'s.
"""

from __future__ import annotations

from engine.io.reflect_mariadb import reflect_mariadb
from engine.io.reflect_sqlite import reflect_sqlite
from engine.io.structure import Structure, open_structure
from engine.registry.reflection import ReflectedDatabase

OWN_PREFIX = "aether_"


async def reflect(url: str) -> ReflectedDatabase:
    """Read the structure of the database of a checked URL.

    Raises:
        Unavailable: It cannot be reached.
        StructureFault: It refuses to tell.
    """
    async with open_structure(url) as structure:
        return await reflect_structure(structure)


async def reflect_structure(structure: Structure) -> ReflectedDatabase:
    """Read the structure by an open connection; tables of the engine's own are left out."""
    read = reflect_sqlite if structure.dialect == "sqlite" else reflect_mariadb
    tables, ignores_case = await read(structure)
    return ReflectedDatabase(
        dialect=structure.dialect,
        tables={name: table for name, table in tables.items() if not name.startswith(OWN_PREFIX)},
        ignores_case=ignores_case,
    )
