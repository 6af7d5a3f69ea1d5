"""The generated endpoints that describe: the catalogue of types and the schema documents.

Documents depend on the rights alone, so each is rendered once and kept as bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from engine.documents.schema import (
    PARTS,
    catalogue,
    inline_options,
    inlineable,
    schema_mode,
    select_parts,
    type_document,
)
from engine.errors import ErrorItem, ValidationFailed
from engine.execute.read import read_page, require_chain
from engine.http.call import Request
from engine.http.dispatch import Asked
from engine.http.reads import plan_context
from engine.http.reply import JSON_TYPE, PRIVATE_HEADERS, Reply
from engine.language.call import parse_precondition
from engine.language.search import EMPTY_SEARCH
from engine.plan.options import MAX_OPTIONS, label_of, plan_options
from engine.plan.read import plan_list
from engine.plugins.actions import Action
from engine.render.rows import encode_json

SCHEMA_TYPE = b"application/schema+json"
SCHEMA_PARAMETERS = frozenset({"mode", "inline", "part"})
MODES = ("create", "update", "read")
MAX_DOCUMENTS = 5_000


@dataclass(frozen=True, slots=True)
class Document:
    """A rendered document."""

    body: bytes
    etag: str


class Describer:
    """The describing endpoints, with what they have rendered so far.

    Args:
        actions: The actions that are served.
        drift: By type, the differences between registry and database.
    """

    def __init__(self, actions: Sequence[Action], drift: dict[str, tuple[str, ...]] | None = None) -> None:
        self._actions = tuple(actions)
        self._drift = drift or {}
        self._documents: OrderedDict[tuple[object, ...], Document] = OrderedDict()

    async def list_types(self, asked: Asked) -> Reply:
        """``GET /v3/crud/``: the types that the caller sees, in the envelope."""
        asked.request.flags(frozenset())
        document = self._find(("types", asked.rights.key)) or self._keep(
            ("types", asked.rights.key), {"data": catalogue(asked.runtime.registry, asked.rights), "meta": {}}
        )
        return document_reply(asked.request, document)

    async def list_schemas(self, asked: Asked) -> Reply:
        """``GET /v3/crud/schema``: the same, as a document."""
        asked.request.flags(frozenset())
        document = self._find(("schemas", asked.rights.key)) or self._keep(
            ("schemas", asked.rights.key), {"types": catalogue(asked.runtime.registry, asked.rights)}
        )
        return document_reply(asked.request, document)

    async def get_schema(self, asked: Asked) -> Reply:
        """``GET /v3/crud/{type}/schema``: the describe document, one of its schemas, or some of its parts."""
        flags = asked.request.flags(SCHEMA_PARAMETERS)
        mode = flags.get("mode")
        if mode is not None and mode not in MODES:
            raise _wrong("mode", f"{mode[:80]!r} is no mode; {', '.join(MODES)} are.", MODES)
        parts = _names(flags.get("part"))
        for part in parts:
            if part not in PARTS:
                raise _wrong("part", f"{part[:80]!r} is no part of a schema document.", PARTS)
        inline = _names(flags.get("inline"))
        await require_chain(asked.runtime, asked.target.chain, plan_context(asked))
        if inline:
            return await self._inline(asked, mode, inline)
        key = ("type", asked.target.resource.name, asked.rights.key, mode, parts)
        document = self._find(key)
        if document is None:
            content = self._render(asked)
            if mode is not None:
                content = schema_mode(content, mode)
            elif parts:
                content = select_parts(content, parts)
            document = self._keep(key, content)
        return document_reply(asked.request, document, JSON_TYPE if mode is None else SCHEMA_TYPE)

    # ------------------------------------------------------------ private

    def _render(self, asked: Asked) -> dict[str, Any]:
        resource = asked.target.resource
        overrides = asked.runtime.overrides.get(resource.name)
        return type_document(
            asked.runtime.registry,
            resource,
            asked.rights,
            actions=self._actions,
            validates=overrides is not None and bool(overrides.validate or overrides.before_create),
            defaults=() if overrides is None else tuple(overrides.defaults),
            drift=self._drift.get(resource.name, ()),
        )

    async def _inline(self, asked: Asked, mode: str | None, names: tuple[str, ...]) -> Reply:
        """A form schema with relation ids as choices; these are data, so nothing of it is kept."""
        if mode not in ("create", "update"):
            raise _wrong("inline", "inline= needs mode=create or mode=update.")
        possible = inlineable(asked.runtime.registry, asked.target.resource, asked.rights)
        choices: dict[str, list[tuple[str, str]]] = {}
        for name in names:
            if name not in possible:
                raise _wrong("inline", f"{name[:80]!r} is no relation id that can be listed here.", possible)
            choices[name] = await self._choices(asked, name)
        content = inline_options(schema_mode(self._render(asked), mode), choices)
        return document_reply(asked.request, make_document(content), SCHEMA_TYPE)

    async def _choices(self, asked: Asked, field_name: str) -> list[tuple[str, str]]:
        resource = asked.target.resource
        field = resource.fields[field_name]
        target = asked.runtime.registry.types[resource.relations[field.relation or ""].target]
        context = plan_context(asked)
        search, template = plan_options(target, EMPTY_SEARCH, None, context, where=field.where, limit=MAX_OPTIONS)
        plan = plan_list(target, (), search, context, cursor_key=asked.runtime.cursor_key)
        page = await read_page(asked.runtime, plan, context)
        return [(row["id"], label_of(template, row)) for row in page.data]

    def _find(self, key: tuple[object, ...]) -> Document | None:
        return self._documents.get(key)

    def _keep(self, key: tuple[object, ...], content: object) -> Document:
        document = self._documents[key] = make_document(content)
        if len(self._documents) > MAX_DOCUMENTS:
            self._documents.popitem(last=False)
        return document


def document_reply(request: Request, document: Document, content_type: bytes = JSON_TYPE) -> Reply:
    """A rendered document as a reply, or 304."""
    headers = (*PRIVATE_HEADERS, (b"etag", document.etag.encode("ascii")))
    wanted = request.header(b"if-none-match")
    if wanted is not None and parse_precondition(wanted, "If-None-Match").matches_weakly(document.etag.strip('"')):
        return Reply(304, b"", headers, content_type=None)
    return Reply(200, document.body, headers, content_type)


def make_document(content: object) -> Document:
    """Render a document."""
    body = encode_json(content)
    return Document(body, f'"{blake2b(body, digest_size=8).hexdigest()}"')


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


def _wrong(parameter: str, detail: str, suggestions: Sequence[str] = ()) -> ValidationFailed:
    return ValidationFailed(
        errors=[ErrorItem("not-in-enum", detail, parameter=parameter, suggestions=tuple(suggestions)[:20])]
    )
