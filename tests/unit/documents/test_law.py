"""The law of the schema documents, held value by value: what ``schemas.create`` takes, the server takes.

Whatever the server refuses besides is excused by a server rule that names the field.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from engine.documents.schema import type_document
from engine.plan.rights import rights_of
from engine.registry.kinds import KINDS, KindError
from tests.support.registries import ALL, wide_registry

REGISTRY = wide_registry()
HOUSE = REGISTRY.types["house"]
DOCUMENT = type_document(REGISTRY, HOUSE, rights_of(REGISTRY, ALL))
FORMATS = FormatChecker(formats=["date"])
FIELDS = sorted(DOCUMENT["schemas"]["create"]["properties"])
# Rules that excuse the refusal of a single value, and of which values.
VALUE_RULES: dict[str, Callable[[Any], bool]] = {
    "text-characters": lambda value: "\\u0000" in json.dumps(value),
    "date-range": lambda value: str(value)[:4] in ("0000", "0001", "9999"),
    "out-of-range": lambda value: True,
    "finite-number": lambda value: abs(value) > 1e300,
    "json-nesting": lambda value: False,
    "json-not-null": lambda value: value is None,
    "pattern": lambda value: True,
}

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 9, 10, 255, 256, 2**31 - 1, 2**31, - 1, 2**63 - 1, 2**63, - 1, 10**30, 0.0,
    1.0, 1.5, -0.0, 1e308, "", "a", "A", "Ab", "ABCDEFGHIJ", "ABCDEFGHIJK", "red", "green", "RED", " ",
    "x" * 255, "x" * 256, "x" * 2_049, "🙂" * 255, "a\0b", "0", "00", "-0", "1", "-1", "1.", ".5", "1.5",
    "1.25", "1.255", "1e3", "+1", "0000000000000000001", "9999999999999999.99", "99999999999999999.99", " 1",
    "1\n", "2026-02-28", "2026-02-30", "0000-00-00", "0001-01-01", "9999-12-31", "10000-01-01", "2026-2-1",
    "2026-02-28\n", "2026-02-11T14:03:00Z", "2026-02-11T14:03:00z", "2026-02-11t14:03:00Z",
    "2026-02-11 14:03:00Z", "2026-02-11T14:03:00", "2026-02-11T14:03:00+02:00", "2026-02-11T14:03:00.123456Z",
    "2026-02-11T14:03:00.1234567Z", "2026-02-11T24:00:00Z", "9999-12-31T23:59:60Z",
    "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "2026-02-11T14:03:00+99:99", "12:30:00",
    "12:30", "24:00:00", "23:59:60", "12:30:00.5", "12:30:00.500000", "a" * 11, "a" * 22, "a" * 64, "a" * 65,
    "a" * 10 + "!", "123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000",
    "123e4567e89b12d3a456426614174000", "a@b.org", "a@b", "@b.org", "a b@c.org",
    "https://example.org/a?b=c#d", "example.org", "mailto:a@b.org", "http://exa mple", "YQ==", "YWI=", "YWJj",
    "YQ=", "!", [], ["a"], ["a", 1], [None], {}, {"a": 1}, {"a": "x\0"}, [[[]]],
)  # fmt: skip


def is_taken(name: str, value: Any) -> bool:
    field = HOUSE.fields[name]
    if value is None:
        return field.nullable
    try:
        KINDS[field.kind].parse(value, field)
    except KindError:
        return False
    return True


def is_excused(name: str, value: Any) -> bool:
    rules = [rule["code"] for rule in DOCUMENT["serverRules"] if name in rule["fields"]]
    return any(code in VALUE_RULES and VALUE_RULES[code](value) for code in rules)


def is_valid(validator: Draft202012Validator, value: Any) -> bool:
    """As ECMAScript sees it: there ``$`` does not match before a last line break, as it does in Python."""
    return not (isinstance(value, str) and value.endswith("\n")) and bool(validator.is_valid(value))


@pytest.mark.parametrize("name", FIELDS)
def test_a_value_that_the_schema_takes_is_taken_or_a_rule_says_why_not(name: str) -> None:
    validator = Draft202012Validator(DOCUMENT["schemas"]["create"]["properties"][name], format_checker=FORMATS)
    broken = [
        value
        for value in VALUES
        if is_valid(validator, value) and not is_taken(name, value) and not is_excused(name, value)
    ]
    assert broken == []


@pytest.mark.parametrize("name", FIELDS)
def test_a_value_that_the_server_takes_is_one_of_the_schema(name: str) -> None:
    validator = Draft202012Validator(DOCUMENT["schemas"]["create"]["properties"][name], format_checker=FORMATS)
    # A form cannot draw JSON of any type: there the schema is narrower than the server, on purpose.
    is_any_json = name.endswith("_json")
    asked = [value for value in VALUES if isinstance(value, dict | None) or not is_any_json]
    assert [value for value in asked if is_taken(name, value) and not validator.is_valid(value)] == []


@given(st.dates(min_value=date(1, 1, 1)))
def test_every_day_of_the_calendar_is_a_date(day: date) -> None:
    schema = DOCUMENT["schemas"]["create"]["properties"]["a_date"]
    text = f"{day.year:04}-{day.month:02}-{day.day:02}"
    assert Draft202012Validator(schema, format_checker=FORMATS).is_valid(text)
    assert is_taken("a_date", text)


@given(st.text(max_size=300))
def test_text_without_nul_is_taken_as_the_schema_says(text: str) -> None:
    schema = DOCUMENT["schemas"]["create"]["properties"]["a_string"]
    if "\0" not in text:
        assert Draft202012Validator(schema).is_valid(text) == is_taken("a_string", text)
