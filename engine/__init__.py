"""The façade: the only names that plug-ins (`actions/`, `resources/`, `legacy_shim/`) may import from the engine.

Each is looked up when it is first asked for, so that importing a part of the engine does not load all of it. What the
names mean is said where they are made; `docs/plugins.md` shows them at work.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.errors import Conflict as Conflict
    from engine.errors import ErrorItem as ErrorItem
    from engine.errors import Forbidden as Forbidden
    from engine.errors import Gone as Gone
    from engine.errors import MethodNotAllowed as MethodNotAllowed
    from engine.errors import NotFound as NotFound
    from engine.errors import Problem as Problem
    from engine.errors import ValidationFailed as ValidationFailed
    from engine.http.dependencies import Caller as Caller
    from engine.http.dependencies import Filtering as Filtering
    from engine.http.dependencies import Pagination as Pagination
    from engine.http.dependencies import Response as Response
    from engine.http.dependencies import envelope as envelope
    from engine.http.dependencies import page_envelope as page_envelope
    from engine.language.ids import is_public_id as is_public_id
    from engine.plan.read import not_found as not_found
    from engine.plugins.actions import action as action
    from engine.plugins.actions import for_registry as for_registry
    from engine.plugins.layers import TRANSLATION as TRANSLATION
    from engine.plugins.layers import Host as Host
    from engine.plugins.layers import OldUse as OldUse
    from engine.plugins.layers import Translation as Translation
    from engine.plugins.overrides import Caller as Writer
    from engine.plugins.overrides import Values as Values
    from engine.plugins.overrides import Written as Written
    from engine.principal import Principal as Principal
    from engine.registry.resource import Registry as Registry
    from engine.registry.resource import Resource as Resource

# Name → where it is made, and what it is called there.
_NAMES = {
    # an action
    "action": ("engine.plugins.actions", "action"),
    "for_registry": ("engine.plugins.actions", "for_registry"),
    "Caller": ("engine.http.dependencies", "Caller"),
    "Filtering": ("engine.http.dependencies", "Filtering"),
    "Pagination": ("engine.http.dependencies", "Pagination"),
    "envelope": ("engine.http.dependencies", "envelope"),
    "page_envelope": ("engine.http.dependencies", "page_envelope"),
    "Response": ("engine.http.dependencies", "Response"),
    # an override
    "Values": ("engine.plugins.overrides", "Values"),
    "Writer": ("engine.plugins.overrides", "Caller"),
    "Written": ("engine.plugins.overrides", "Written"),
    # a layer around the application
    "Host": ("engine.plugins.layers", "Host"),
    "OldUse": ("engine.plugins.layers", "OldUse"),
    "Translation": ("engine.plugins.layers", "Translation"),
    "TRANSLATION": ("engine.plugins.layers", "TRANSLATION"),
    "Registry": ("engine.registry.resource", "Registry"),
    "Resource": ("engine.registry.resource", "Resource"),
    "Principal": ("engine.principal", "Principal"),
    "is_public_id": ("engine.language.ids", "is_public_id"),
    # a refusal
    "Problem": ("engine.errors", "Problem"),
    "NotFound": ("engine.errors", "NotFound"),
    "Forbidden": ("engine.errors", "Forbidden"),
    "Conflict": ("engine.errors", "Conflict"),
    "ValidationFailed": ("engine.errors", "ValidationFailed"),
    "ErrorItem": ("engine.errors", "ErrorItem"),
    "MethodNotAllowed": ("engine.errors", "MethodNotAllowed"),
    "Gone": ("engine.errors", "Gone"),
    "not_found": ("engine.plan.read", "not_found"),
}

__all__ = [
    "action",
    "for_registry",
    "Caller",
    "Filtering",
    "Pagination",
    "envelope",
    "page_envelope",
    "Response",
    "Values",
    "Writer",
    "Written",
    "Host",
    "OldUse",
    "Translation",
    "TRANSLATION",
    "Registry",
    "Resource",
    "Principal",
    "is_public_id",
    "Problem",
    "NotFound",
    "Forbidden",
    "Conflict",
    "ValidationFailed",
    "ErrorItem",
    "MethodNotAllowed",
    "Gone",
    "not_found",
]


def __getattr__(name: str) -> object:
    """Look a name of the façade up (PEP 562)."""
    if name not in _NAMES:
        raise AttributeError(f"the engine offers no {name!r} to plug-ins; it offers {', '.join(__all__)}")
    module, original = _NAMES[name]
    found: object = getattr(import_module(module), original)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
