"""The façade: the only names that plug-ins (`actions/`, `resources/`, `legacy_shim/`) may import from the engine.

Each is looked up when it is first asked for, so that importing a part of the engine does not load all of it. What the
names mean is said where they are made; `docs/plugins.md` shows them at work.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.auth.keys import ListedKey as ListedKey
    from engine.documents.forms import property_of as property_of
    from engine.drawing.draw import draw as draw
    from engine.drawing.layout import Item as Item
    from engine.drawing.layout import Layout as Layout
    from engine.drawing.layout import read_layout as read_layout
    from engine.errors import Conflict as Conflict
    from engine.errors import ErrorItem as ErrorItem
    from engine.errors import Forbidden as Forbidden
    from engine.errors import Gone as Gone
    from engine.errors import MethodNotAllowed as MethodNotAllowed
    from engine.errors import NotFound as NotFound
    from engine.errors import PayloadTooLarge as PayloadTooLarge
    from engine.errors import Problem as Problem
    from engine.errors import ValidationFailed as ValidationFailed
    from engine.execute.acting import Acting as Acting
    from engine.execute.files import HeldFile as HeldFile
    from engine.execute.threads import in_thread as in_thread
    from engine.execute.workers import WorkerHost as WorkerHost
    from engine.http.contents import made_file as made_file
    from engine.http.contents import read_file as read_file
    from engine.http.dependencies import Caller as Caller
    from engine.http.dependencies import CallerContext as CallerContext
    from engine.http.dependencies import Filtering as Filtering
    from engine.http.dependencies import Pagination as Pagination
    from engine.http.dependencies import Response as Response
    from engine.http.dependencies import envelope as envelope
    from engine.http.dependencies import page_envelope as page_envelope
    from engine.http.files import find_digest as find_digest
    from engine.http.files import find_file as find_file
    from engine.http.files import open_signed as open_signed
    from engine.http.files import send_file as send_file
    from engine.http.files import sign_url as sign_url
    from engine.http.keys import list_api_keys as list_api_keys
    from engine.http.keys import make_api_key as make_api_key
    from engine.http.keys import revoke_api_key as revoke_api_key
    from engine.http.receiving import Destination as Destination
    from engine.http.receiving import link_file as link_file
    from engine.http.receiving import receive_file as receive_file
    from engine.http.sign_in import SignedIn as SignedIn
    from engine.http.sign_in import SignInDesk as SignInDesk
    from engine.http.uploads import Upload as Upload
    from engine.language.files import extension_of as extension_of
    from engine.language.ids import is_public_id as is_public_id
    from engine.plan.files import containers as containers
    from engine.plan.files import file_hops as file_hops
    from engine.plan.files import file_type as file_type
    from engine.plan.files import file_types as file_types
    from engine.plan.read import not_found as not_found
    from engine.plugins.actions import action as action
    from engine.plugins.actions import for_registry as for_registry
    from engine.plugins.layers import TRANSLATION as TRANSLATION
    from engine.plugins.layers import Host as Host
    from engine.plugins.layers import InnerReply as InnerReply
    from engine.plugins.layers import OldRoute as OldRoute
    from engine.plugins.layers import OldUse as OldUse
    from engine.plugins.layers import Translation as Translation
    from engine.plugins.overrides import Caller as Writer
    from engine.plugins.overrides import Flaw as Flaw
    from engine.plugins.overrides import Values as Values
    from engine.plugins.overrides import Written as Written
    from engine.plugins.workers import worker as worker
    from engine.principal import Principal as Principal
    from engine.registry.legacy import LegacySwitches as LegacySwitches
    from engine.registry.resource import Registry as Registry
    from engine.registry.resource import Resource as Resource
    from engine.render.rows import encode_json as encode_json

# Name → where it is made, and what it is called there.
_NAMES = {
    # an action
    "action": ("engine.plugins.actions", "action"),
    "for_registry": ("engine.plugins.actions", "for_registry"),
    "Caller": ("engine.http.dependencies", "Caller"),
    "Filtering": ("engine.http.dependencies", "Filtering"),
    "SignInDesk": ("engine.http.sign_in", "SignInDesk"),
    "SignedIn": ("engine.http.sign_in", "SignedIn"),
    "ListedKey": ("engine.auth.keys", "ListedKey"),
    "list_api_keys": ("engine.http.keys", "list_api_keys"),
    "make_api_key": ("engine.http.keys", "make_api_key"),
    "revoke_api_key": ("engine.http.keys", "revoke_api_key"),
    "Pagination": ("engine.http.dependencies", "Pagination"),
    "envelope": ("engine.http.dependencies", "envelope"),
    "page_envelope": ("engine.http.dependencies", "page_envelope"),
    "Response": ("engine.http.dependencies", "Response"),
    "CallerContext": ("engine.http.dependencies", "CallerContext"),
    # files
    "HeldFile": ("engine.execute.files", "HeldFile"),
    "containers": ("engine.plan.files", "containers"),
    "file_hops": ("engine.plan.files", "file_hops"),
    "file_type": ("engine.plan.files", "file_type"),
    "file_types": ("engine.plan.files", "file_types"),
    "Destination": ("engine.http.receiving", "Destination"),
    "link_file": ("engine.http.receiving", "link_file"),
    "property_of": ("engine.documents.forms", "property_of"),
    "receive_file": ("engine.http.receiving", "receive_file"),
    "Upload": ("engine.http.uploads", "Upload"),
    "extension_of": ("engine.language.files", "extension_of"),
    "find_digest": ("engine.http.files", "find_digest"),
    "find_file": ("engine.http.files", "find_file"),
    "open_signed": ("engine.http.files", "open_signed"),
    "send_file": ("engine.http.files", "send_file"),
    "sign_url": ("engine.http.files", "sign_url"),
    # an override
    "Values": ("engine.plugins.overrides", "Values"),
    "Writer": ("engine.plugins.overrides", "Caller"),
    "Written": ("engine.plugins.overrides", "Written"),
    # a layer around the application
    "Host": ("engine.plugins.layers", "Host"),
    "OldRoute": ("engine.plugins.layers", "OldRoute"),
    "OldUse": ("engine.plugins.layers", "OldUse"),
    "InnerReply": ("engine.plugins.layers", "InnerReply"),
    "encode_json": ("engine.render.rows", "encode_json"),
    "Translation": ("engine.plugins.layers", "Translation"),
    "TRANSLATION": ("engine.plugins.layers", "TRANSLATION"),
    "LegacySwitches": ("engine.registry.legacy", "LegacySwitches"),
    "Registry": ("engine.registry.resource", "Registry"),
    "Resource": ("engine.registry.resource", "Resource"),
    "Principal": ("engine.principal", "Principal"),
    "is_public_id": ("engine.language.ids", "is_public_id"),
    # work in the background
    "Acting": ("engine.execute.acting", "Acting"),
    "WorkerHost": ("engine.execute.workers", "WorkerHost"),
    "worker": ("engine.plugins.workers", "worker"),
    # drawing, and what else computes
    "Item": ("engine.drawing.layout", "Item"),
    "Layout": ("engine.drawing.layout", "Layout"),
    "read_layout": ("engine.drawing.layout", "read_layout"),
    "draw": ("engine.drawing.draw", "draw"),
    "PayloadTooLarge": ("engine.errors", "PayloadTooLarge"),
    "in_thread": ("engine.execute.threads", "in_thread"),
    "made_file": ("engine.http.contents", "made_file"),
    "read_file": ("engine.http.contents", "read_file"),
    "Flaw": ("engine.plugins.overrides", "Flaw"),
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
    "Acting",
    "WorkerHost",
    "worker",
    "Item",
    "Layout",
    "read_layout",
    "draw",
    "PayloadTooLarge",
    "in_thread",
    "made_file",
    "read_file",
    "Flaw",
    "encode_json",
    "action",
    "for_registry",
    "Caller",
    "Filtering",
    "Pagination",
    "SignInDesk",
    "SignedIn",
    "ListedKey",
    "list_api_keys",
    "make_api_key",
    "revoke_api_key",
    "envelope",
    "page_envelope",
    "Response",
    "CallerContext",
    "HeldFile",
    "containers",
    "Destination",
    "extension_of",
    "link_file",
    "property_of",
    "receive_file",
    "Upload",
    "file_hops",
    "file_type",
    "file_types",
    "find_digest",
    "find_file",
    "open_signed",
    "send_file",
    "sign_url",
    "Values",
    "Writer",
    "Written",
    "Host",
    "OldRoute",
    "OldUse",
    "InnerReply",
    "Translation",
    "TRANSLATION",
    "LegacySwitches",
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
