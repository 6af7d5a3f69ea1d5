"""The generated endpoints that describe: the catalogue of types and the schema documents.

Documents depend on the rights alone, so each is rendered once and kept as bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

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


class DocumentCache:
    """Rendered documents by what they depend on; bounded."""

    def __init__(self) -> None:
        self._documents: OrderedDict[tuple[object, ...], Document] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> Document | None:
        """A document that was rendered before."""
        return self._documents.get(key)

    def keep(self, key: tuple[object, ...], content: object) -> Document:
        """Render a document and keep it."""
        body = encode_json(content)
        document = Document(body, f'"{blake2b(body, digest_size=8).hexdigest()}"')
        self._documents[key] = document
        if len(self._documents) > MAX_DOCUMENTS:
            self._documents.popitem(last=False)
        return document
