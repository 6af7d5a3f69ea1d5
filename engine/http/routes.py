"""The table of generated endpoints: which function answers which path and method."""

from __future__ import annotations

from engine.http import reads, writes
from engine.http.describe import Describer
from engine.http.dispatch import Endpoints, Router
from engine.registry.resource import Registry


def make_router(registry: Registry, describer: Describer) -> Router:
    """The router of the types' endpoints; nested paths take the same ones.

    Args:
        registry: The running registry.
        describer: Answers the describing ones.
    """
    return Router(
        registry,
        collection={"GET": reads.list_objects, "POST": writes.create_object},
        item={
            "GET": reads.get_object,
            "PATCH": writes.update_object,
            "PUT": writes.replace_object,
            "DELETE": writes.delete_object,
        },
        collection_words={
            "search": {"POST": reads.search_objects},
            "schema": {"GET": describer.get_schema},
            "options": {"GET": reads.list_options},
        },
        item_words={"restore": {"POST": writes.restore_object}, "move": {"POST": writes.move_object}},
    )


def root_endpoints(describer: Describer) -> tuple[Endpoints, dict[str, Endpoints]]:
    """The endpoints of ``/v3/crud/`` itself, and of the words right below it."""
    return {"GET": describer.list_types}, {"schema": {"GET": describer.list_schemas}}
