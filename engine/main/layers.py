"""Layers around the application: plug-ins that translate other requests into ours, found by their name.

`legacy_shim/` is one: while the folder is there, V1 and V2 are served; without it nothing is missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from engine.plugins.layers import Host, OldRoute
from engine.registry.resource import Registry

LAYERS = ("legacy_shim",)

Asgi = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


def put_layers_around(application: Asgi, host: Host) -> Asgi:
    """Put each layer that is installed around an application, the first one innermost."""
    for module in _find_layers():
        application = module.make_layer(application, host)
    return application


def find_old_routes(registry: Registry) -> tuple[OldRoute, ...]:
    """The routes that the layers serve, for each type of a registry, in the order of their tables."""
    return tuple(route for module in _find_layers() for route in module.list_routes(registry))


def _find_layers() -> Iterator[Any]:
    for name in LAYERS:
        # A folder that lost its files is a namespace without a loader, and no layer.
        spec = find_spec(name)
        if spec is not None and spec.loader is not None and find_spec(f"{name}.app") is not None:
            yield import_module(f"{name}.app")
