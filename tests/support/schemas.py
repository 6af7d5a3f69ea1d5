"""Hypothesis strategies from the JSON Schemas that our documents hold: any value that a schema takes."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

MAX_DEPTH = 5


def values_of(schema: Json, components: Json, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that fulfil a schema.

    Args:
        schema: Of the keywords that our documents use.
        components: What ``#/components/…`` refers to.
        depth: How deep this one stands; deep down only short branches are taken.
    """
    while "$ref" in schema:
        section, name = schema["$ref"].split("/")[-2:]
        schema = components[section][name]
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for key in ("oneOf", "anyOf"):
        if key in schema and not (key == "anyOf" and "properties" in schema):
            forms = schema[key]
            if depth >= MAX_DEPTH:
                forms = [one for one in forms if not _is_deep(one, components)] or forms
            return st.one_of([values_of(one, components, depth) for one in forms])
    kinds = schema.get("type", ["string", "integer", "boolean"])
    if isinstance(kinds, list):
        return st.one_of([values_of({**schema, "type": kind}, components, depth) for kind in kinds])
    return _of_kind(kinds, schema, components, depth)


def _of_kind(kind: str, schema: Json, components: Json, depth: int) -> st.SearchStrategy[Any]:
    if kind == "null":
        return st.none()
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    if kind == "number":
        low, high = schema.get("minimum"), schema.get("maximum")
        return st.floats(low, high, allow_nan=False, allow_infinity=False)
    if kind == "string":
        return _texts(schema)
    if kind == "array":
        most = min(schema.get("maxItems", 3), 0 if depth >= MAX_DEPTH and "minItems" not in schema else 3)
        inner = values_of(schema["items"], components, depth + 1) if most else st.none()
        return st.lists(inner, min_size=schema.get("minItems", 0), max_size=most)
    return _objects(schema, components, depth)


def _texts(schema: Json) -> st.SearchStrategy[str]:
    if schema.get("format") == "date":
        return st.dates().map(lambda day: day.isoformat())
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
    if "pattern" in schema:
        found = st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=False)
        most, least = schema.get("maxLength"), schema.get("minLength", 0)
        # Python's `$` matches before a last line break as well.
        return found.filter(
            lambda text: text[-1:] != "\n" and "\0" not in text and least <= len(text) <= (most or 10**6)
        )
    most = schema.get("maxLength", 30)
    return st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        min_size=schema.get("minLength", 0),
        max_size=min(most, 30),
    )


def _objects(schema: Json, components: Json, depth: int) -> st.SearchStrategy[Json]:
    properties: Json = schema.get("properties", {})
    required = list(schema.get("required", ()))
    if "anyOf" in schema:
        return st.sampled_from(schema["anyOf"]).flatmap(
            lambda one: _objects({**_without(schema), "required": [*required, *one["required"]]}, components, depth)
        )
    optional = [] if depth >= MAX_DEPTH else [name for name in properties if name not in required]
    least = max(schema.get("minProperties", 0) - len(required), 0)
    if least and not optional:
        optional = [name for name in properties if name not in required]

    def fill(names: list[str]) -> st.SearchStrategy[Json]:
        chosen = [*required, *names]
        return st.fixed_dictionaries({name: values_of(properties[name], components, depth + 1) for name in chosen})

    if not optional:
        return fill([])
    few = st.lists(st.sampled_from(optional), unique=True, min_size=least, max_size=max(least, 3))
    return few.flatmap(fill)


def _without(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if key != "anyOf"}


def _is_deep(schema: Json, components: Json) -> bool:
    while "$ref" in schema:
        section, name = schema["$ref"].split("/")[-2:]
        schema = components[section][name]
    return "anyOf" in schema or schema.get("type") in ("object", "array")


def shallow(document: Json) -> Json:
    """An OpenAPI document of ours with the round ways cut, for tools that unroll every reference.

    Filters lose relations and the logic inside a field's operators, expands keep their list form. Nothing is
    changed in what the rest says. A tool that sends both credentials at once is refused, so one scheme is left.
    """
    made: Json = json.loads(json.dumps(document))
    schemas: Json = made["components"]["schemas"]
    for name, schema in schemas.items():
        properties: Json = schema.get("properties", {})
        if name.endswith("Filter") and "and" in properties:
            for key, inner in list(properties.items()):
                if "anyOf" in inner or inner.get("$ref", "").endswith("Relation"):
                    del properties[key]
        elif "Operators" in name:
            for word in ("and", "or", "not"):
                properties.pop(word, None)
        elif name.endswith("Expand") and "anyOf" in schema:
            schemas[name] = {"anyOf": [schema["anyOf"][0], {"type": "object", "maxProperties": 0}]}
    made["components"]["securitySchemes"].pop("apiKey")
    operations = [one for item in made["paths"].values() for one in item.values() if isinstance(one, dict)]
    for operation in [made, *operations]:
        if "security" in operation:
            operation["security"] = [one for one in operation["security"] if "apiKey" not in one]
    return made
