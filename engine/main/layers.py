"""Layers around the application: plug-ins that translate other requests into ours, found by their name.

`legacy_shim/` is one: while the folder is there, V1 and V2 are served; without it nothing is missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from engine.plugins.layers import Host

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
    for name in LAYERS:
        # A folder that lost its files is a namespace without a loader, and no layer.
        spec = find_spec(name)
        if spec is not None and spec.loader is not None and find_spec(f"{name}.app") is not None:
            application = import_module(f"{name}.app").make_layer(application, host)
    return application
