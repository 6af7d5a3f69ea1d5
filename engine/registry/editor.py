"""The JSON Schema that editors check a registry file with, made from the grammar's models.

It is committed as `resources.schema.json`; a test fails when the two differ.
"""

from __future__ import annotations

import json
from typing import Any

from engine.registry.grammar import RegistryFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def editor_schema() -> dict[str, Any]:
    """The schema of a registry file, short forms included."""
    schema = RegistryFile.model_json_schema(by_alias=True, mode="validation")
    _tidy(schema)
    schema = {"$schema": DIALECT, **schema, "title": "Aether registry"}
    # A file that another one includes has no version of its own.
    schema.pop("required", None)
    return schema


def editor_schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(editor_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(node: Any) -> None:
    """Take away what models say and files cannot: null for a key that is absent, and Python's defaults and titles."""
    if isinstance(node, list):
        for one in node:
            _tidy(one)
    if not isinstance(node, dict):
        return
    if "anyOf" in node:
        node["anyOf"] = [one for one in node["anyOf"] if one != {"type": "null"}]
        if len(node["anyOf"]) == 1:
            node.update(node.pop("anyOf")[0])
    for properties in (node.get("properties"), node.get("$defs")):
        for one in (properties or {}).values():
            if one.get("default", ...) in (None, {}, []) or isinstance(one.get("default"), dict):
                one.pop("default", None)
            one.pop("title", None)
    for one in node.values():
        _tidy(one)
