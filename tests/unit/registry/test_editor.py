"""The editor's schema is the grammar's, and takes what we ship."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from engine.registry.editor import editor_schema, editor_schema_text
from engine.registry.source import read_source

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "resources.yaml"


def test_the_committed_schema_is_the_one_that_the_models_make() -> None:
    """Mend it with `aether schema --registry`, or by `editor_schema_text()`."""
    assert (ROOT / "resources.schema.json").read_text(encoding="utf-8") == editor_schema_text()


def test_the_schema_is_a_schema_and_takes_the_shipped_file() -> None:
    schema = editor_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read_source(SHIPPED.read_bytes(), "resources.yaml").value, schema)


@pytest.mark.parametrize(
    "type_",
    [
        {"table": "t", "account": {"own": "owner"}},
        {"table": "t", "account": {"none": "why"}},
        {"table": "t", "account": "inherited", "parent": "a"},
        {"table": "t", "account": "inherited", "parent": {"type": "a", "on_delete": "detach"}},
        {"table": "t", "account": "inherited", "parent": ["a", {"type": "b", "segment": "s"}]},
        {"table": "t", "account": "own", "search": {"a": ["eq"], "b": "range", "c": "text", "d": True}},
        {"table": "t", "account": "own", "fields": {"a": {"enum": ["x", "y"]}, "b": {"enum": {"x": {"color": "red"}}}}},
        {"table": "t", "account": "own", "soft_delete": True, "sort": "-a", "list": "a"},
        {"table": "t", "account": "own", "unique": [["a", "b"]], "indexes": ["a", {"fields": ["b"]}]},
        {"table": "t", "account": {"none": "why"}, "public": "read", "display": {"title": "{a}"}},
    ],
)
def test_every_short_form_is_taken(type_: dict[str, object]) -> None:
    jsonschema.validate({"version": 1, "types": {"t": type_}}, editor_schema())


@pytest.mark.parametrize(
    "type_", [{"table": "t", "account": "none"}, {"table": "t", "account": "own", "dispaly": "{a}"}, {"account": "own"}]
)
def test_what_a_check_would_refuse_is_refused_in_the_editor(type_: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "types": {"t": type_}}, json.loads(editor_schema_text()))
