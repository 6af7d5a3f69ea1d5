"""The table of generated endpoints: which function answers which path and method."""

from __future__ import annotations

from engine.http.describe import Describer
from engine.http.dispatch import Endpoints, Router
from engine.http.reads import get_object, list_objects, list_options, search_objects
from engine.http.writes import create_object, delete_object, move_object, replace_object, restore_object, update_object
from engine.registry.resource import Registry


def make_router(registry: Registry, describer: Describer) -> Router:
    """The router of the types' endpoints; nested paths take the same ones.

    Args:
        registry: The running registry.
        describer: Answers the describing ones.
    """
    return Router(
        registry,
        collection={"GET": list_objects, "POST": create_object},
        item={
            "GET": get_object,
            "PATCH": update_object,
            "PUT": replace_object,
            "DELETE": delete_object,
        },
        collection_words={
            "search": {"POST": search_objects},
            "schema": {"GET": describer.get_schema},
            "options": {"GET": list_options},
        },
        item_words={"restore": {"POST": restore_object}, "move": {"POST": move_object}},
    )


def root_endpoints(describer: Describer) -> tuple[Endpoints, dict[str, Endpoints]]:
    """The endpoints of ``/v3/crud/`` itself, and of the words right below it."""
    return {"GET": describer.list_types}, {"schema": {"GET": describer.list_schemas}}
