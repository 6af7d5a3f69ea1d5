"""`aether introspect`: a live database's structure, read and proposed as a registry. It changes nothing.

What is proposed is `registry/propose.py`'s business.
"""

from __future__ import annotations

from engine.io.reflect import reflect
from engine.registry.propose import propose_registry


async def introspect(url: str) -> str:
    """The text of a registry for the database of a checked URL.

    Raises:
        Unavailable: The database cannot be reached.
        StructureFault: It refuses to tell.
    """
    return propose_registry(await reflect(url))
