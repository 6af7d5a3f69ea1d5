"""The field kinds: what each takes, what it refuses and with which code, and that nothing is lost on the way back."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql, sqlite

from engine.language.ids import PUBLIC_ID
from engine.registry.kinds import KINDS, Dialect, KindError, column_type, from_text
from engine.registry.parsing import ID_PATTERN, MAX_JSON_DEPTH
from engine.registry.resource import EnumValue, Field

ENUM = (EnumValue("draft", "Draft"), EnumValue("posted", "Posted"))
JSON_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def make(kind: str, **options: Any) -> Field:
    return Field(name="x", column="x", kind=kind, **options)


def parse(field: Field, value: object) -> object:
    return KINDS[field.kind].parse(value, field)


def show(field: Field, driver_value: object, dialect: Dialect) -> object:
    convert = KINDS[field.kind].render[dialect](field)
    shown = driver_value if convert is None else convert(driver_value)
    return json.loads(orjson.dumps(shown, option=JSON_OPTIONS))


def instant(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc, arg-type]


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("field", "value", "canonical"),
    [
        (make("string"), "Zoë", "Zoë"),
        (make("string", size=2), "😀😀", "😀😀"),
        (make("string", pattern="[0-9]"), "a1", "a1"),
        (make("text"), "line\nline", "line\nline"),
        (make("integer"), 5, 5),
        (make("integer"), 5.0, 5),
        (make("integer", bits=8, unsigned=True), 255, 255),
        (make("bigint"), 2**63 - 1, 2**63 - 1),
        (make("decimal", precision=10, scale=2), "1.5", Decimal("1.50")),
        (make("decimal", precision=10, scale=2), "-0", Decimal("0.00")),
        (make("decimal", precision=5, scale=0), "12", Decimal(12)),
        (make("decimal", precision=65, scale=30), "1" * 35 + "." + "2" * 30, Decimal("1" * 35 + "." + "2" * 30)),
        (make("float"), 1, 1.0),
        (make("boolean"), True, True),
        (make("date"), "2026-02-28", date(2026, 2, 28)),
        (make("date"), "0001-01-01", date(1, 1, 1)),
        (make("time"), "23:59:59.000001", time(23, 59, 59, 1)),
        (make("datetime"), "2026-02-11T16:03:00+02:00", instant(2026, 2, 11, 14, 3)),
        (make("datetime"), "2026-02-11T14:03:00.12Z", instant(2026, 2, 11, 14, 3, 0, 120_000)),
        (make("json"), nested(MAX_JSON_DEPTH), nested(MAX_JSON_DEPTH)),
        (make("json", items="string"), ["a"], ["a"]),
        (make("uuid"), "123E4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        (make("email"), "a.b@example.org", "a.b@example.org"),
        (make("uri"), "https://example.org/ä?x=1#y", "https://example.org/ä?x=1#y"),
        (make("enum", enum=ENUM), "draft", "draft"),
        (make("relation"), "Zk3_pQ9xR1sT7uVwXyZa0b", "Zk3_pQ9xR1sT7uVwXyZa0b"),
        (make("binary"), "AAEC", b"\0\1\2"),
    ],
)
def test_what_a_kind_takes_becomes_canonical(field: Field, value: object, canonical: object) -> None:
    parsed = parse(field, value)
    assert parsed == canonical
    assert type(parsed) is type(canonical)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        (make("string"), 5, "type-mismatch"),
        (make("string"), ["a"], "type-mismatch"),
        (make("string"), "a\0b", "type-mismatch"),
        (make("string"), "\ud800", "type-mismatch"),
        (make("string", size=2), "abc", "too-long"),
        (make("string", size=9, max_length=2), "abc", "too-long"),
        (make("string", min_length=1), "", "too-short"),
        (make("string", pattern="^[0-9]+$"), "a", "pattern"),
        (make("text"), "😀" * (4 * 1024 * 1024), "too-long"),
        (make("integer"), True, "type-mismatch"),
        (make("integer"), "5", "type-mismatch"),
        (make("integer"), 1.5, "type-mismatch"),
        (make("integer"), 10.0**300, "type-mismatch"),
        (make("integer"), 2**31, "out-of-range"),
        (make("integer", bits=8, unsigned=True), 256, "out-of-range"),
        (make("integer", bits=8, unsigned=True), -1, "out-of-range"),
        (make("integer", min=0, max=9), 10, "out-of-range"),
        (make("bigint"), 2**63, "out-of-range"),
        (make("bigint"), -(2**63) - 1, "out-of-range"),
        (make("bigint"), 10**300, "out-of-range"),
        (make("decimal", precision=5, scale=2), 1.5, "type-mismatch"),
        (make("decimal", precision=5, scale=2), "1.555", "out-of-range"),
        (make("decimal", precision=5, scale=2), "1234", "out-of-range"),
        (make("decimal", precision=5, scale=2), "NaN", "type-mismatch"),
        (make("decimal", precision=5, scale=2), "1e1", "type-mismatch"),
        (make("decimal", precision=5, scale=2), "1.", "type-mismatch"),
        (make("decimal", precision=5, scale=2), "٣", "type-mismatch"),
        (make("decimal", precision=5, scale=2, min="0"), "-1.00", "out-of-range"),
        (make("float"), True, "type-mismatch"),
        (make("float"), float("inf"), "out-of-range"),
        (make("float"), 10**400, "out-of-range"),
        (make("boolean"), 1, "type-mismatch"),
        (make("boolean"), "true", "type-mismatch"),
        (make("date"), "0000-00-00", "type-mismatch"),
        (make("date"), "2026-02-30", "type-mismatch"),
        (make("date"), "10000-01-01", "type-mismatch"),
        (make("date"), "20260211", "type-mismatch"),
        (make("date"), "2026-02-11T00:00:00Z", "type-mismatch"),
        (make("date", min="2026-01-01"), "2025-12-31", "out-of-range"),
        (make("time"), "24:00:00", "type-mismatch"),
        (make("time"), "12:00", "type-mismatch"),
        (make("time"), "12:00:00.5", "type-mismatch"),
        (make("datetime"), "2026-02-11T14:03:00", "type-mismatch"),
        (make("datetime"), "9999-12-31T23:59:60Z", "type-mismatch"),
        (make("datetime"), "2026-02-11T14:03:00+99:99", "type-mismatch"),
        (make("datetime"), "9999-12-31T23:59:59-01:00", "type-mismatch"),
        (make("datetime"), "0001-01-01T00:00:00+01:00", "type-mismatch"),
        (make("datetime"), "infinity", "type-mismatch"),
        (make("json"), nested(MAX_JSON_DEPTH + 1), "out-of-range"),
        (make("json"), {"a\0": 1}, "type-mismatch"),
        (make("json", items="string"), {"a": 1}, "type-mismatch"),
        (make("json", items="string"), [1], "type-mismatch"),
        (make("uuid"), "123e4567e89b12d3a456426614174000", "pattern"),
        (make("email"), "nobody", "pattern"),
        (make("email"), "a@b.example\n", "pattern"),
        (make("uri"), "//example.org", "pattern"),
        (make("uri"), "javascript:alert(1)", "pattern"),
        (make("uri"), "JavaScript:alert(1)", "pattern"),
        (make("uri"), "vbscript:x", "pattern"),
        (make("uri"), "https://example.org/a b", "pattern"),
        (make("enum", enum=ENUM), "Draft", "not-in-enum"),
        (make("enum", enum=ENUM), 0, "not-in-enum"),
        (make("relation"), 7, "type-mismatch"),
        (make("relation"), "7000000001", "type-mismatch"),
        (make("relation"), "abcdefghijk ", "type-mismatch"),
        (make("binary"), "@", "type-mismatch"),
    ],
)
def test_what_a_kind_does_not_take_is_refused_with_its_code(field: Field, value: object, code: str) -> None:
    with pytest.raises(KindError) as refused:
        parse(field, value)
    assert refused.value.code == code
    assert refused.value.detail.startswith("x ")


@pytest.mark.parametrize(
    ("field", "driver_value", "shown"),
    [
        (make("boolean"), 1, True),
        (make("decimal", scale=2), 150, "1.50"),
        (make("decimal", scale=2), -5, "-0.05"),
        (make("decimal", scale=2, stored_as="real"), 2328.600000000004, "2328.60"),
        (make("date", stored_as="datetime_text"), "2009-01-01 00:00:00", "2009-01-01"),
        (make("datetime"), "2026-02-11 14:03:00.000000", "2026-02-11T14:03:00Z"),
        (make("datetime"), "2026-02-11 14:03:00.120000", "2026-02-11T14:03:00.120000Z"),
        (make("datetime", stored_as="datetime_text"), "2009-01-01 00:00:00", "2009-01-01T00:00:00Z"),
        (make("datetime", stored_as="datetime_text"), "2009-01-01", "2009-01-01T00:00:00Z"),
        (make("datetime", stored_as="datetime_text"), "2009-01-01T10:11:12.5Z", "2009-01-01T10:11:12.500000Z"),
        (make("time"), "10:11:12.000000", "10:11:12"),
        (make("time"), "10:11:12.000100", "10:11:12.000100"),
        (make("json"), '{"a":[1,null]}', {"a": [1, None]}),
    ],
)
def test_sqlite_values_are_shown_as_the_contract_says(field: Field, driver_value: object, shown: object) -> None:
    assert show(field, driver_value, "sqlite") == shown


@pytest.mark.parametrize(
    ("field", "driver_value", "shown"),
    [
        (make("boolean"), 0, False),
        (make("decimal", scale=2), "1.50", "1.50"),
        (make("date"), date(2026, 2, 11), "2026-02-11"),
        (make("datetime"), instant(2026, 2, 11, 14, 3), "2026-02-11T14:03:00Z"),
        (make("datetime"), instant(2026, 2, 11, 14, 3, 0, 120_000), "2026-02-11T14:03:00.120000Z"),
        (make("time"), "10:11:12", "10:11:12"),
        (make("json"), "[]", []),
    ],
)
def test_mariadb_values_are_shown_as_the_contract_says(field: Field, driver_value: object, shown: object) -> None:
    assert show(field, driver_value, "mariadb") == shown


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"relation"}))
def test_every_kind_has_a_column_on_both_databases(name: str) -> None:
    field = make(name, enum=ENUM)
    assert column_type(field, "mariadb").compile(mysql.dialect())
    assert column_type(field, "sqlite").compile(sqlite.dialect())


def test_columns_we_create_are_as_decided() -> None:
    def ddl(field: Field) -> str:
        return column_type(field, "mariadb").compile(mysql.dialect())

    assert ddl(make("string", size=200)) == "VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    assert ddl(make("text")) == "MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    assert ddl(make("datetime")) == "DATETIME(6)"
    assert ddl(make("float")) == "DOUBLE"
    assert ddl(make("boolean")) == "TINYINT(1)"
    assert ddl(make("decimal", precision=15, scale=2)) == "NUMERIC(15, 2)" or "DECIMAL(15, 2)"
    assert ddl(make("relation", bits=32, unsigned=True)) == "INTEGER UNSIGNED"


def test_the_pattern_of_ids_is_that_of_the_language() -> None:
    assert f"^{PUBLIC_ID.pattern}$" == ID_PATTERN


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("integer", "-5", -5), ("float", "1e3", 1000.0), ("boolean", "true", True), ("decimal", "1.5", "1.5"),
     ("json", "[1]", [1]), ("string", "5", "5"), ("date", "2026-01-01", "2026-01-01")],
)  # fmt: skip
def test_texts_of_a_query_string_become_json_values(kind: str, text: str, value: object) -> None:
    assert from_text(text, make(kind)) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [("integer", "1.0"), ("integer", "٣"), ("integer", ""), ("integer", "9" * 500), ("float", "nan"),
     ("float", "inf"), ("boolean", "1"), ("boolean", "True"), ("json", "{"), ("json", "NaN"), ("json", "[" * 100_000)],
)  # fmt: skip
def test_texts_that_stand_for_nothing_are_refused(kind: str, text: str) -> None:
    with pytest.raises(KindError):
        from_text(text, make(kind))


# ---------------------------------------------------------------- laws

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
VALUES: dict[str, tuple[Field, st.SearchStrategy[Any]]] = {
    "string": (make("string"), TEXT),
    "text": (make("text"), TEXT),
    "integer": (make("integer"), st.integers(-(2**31), 2**31 - 1)),
    "bigint": (make("bigint"), st.integers(-(2**63), 2**63 - 1)),
    "decimal": (
        make("decimal", precision=15, scale=3),
        st.decimals(-(10**11), 10**11, places=3, allow_nan=False).map(lambda d: str(abs(d) if d.is_zero() else d)),
    ),
    "float": (make("float"), st.floats(allow_nan=False, allow_infinity=False).map(lambda f: 0.0 if f == 0 else f)),
    "boolean": (make("boolean"), st.booleans()),
    "date": (make("date"), st.dates().map(date.isoformat)),
    "time": (make("time"), st.times().map(time.isoformat)),
    "datetime": (make("datetime"), st.datetimes().map(lambda moment: moment.isoformat() + "Z")),
    "json": (make("json"), DOCUMENTS.filter(lambda value: value is not None)),
    "uuid": (make("uuid"), st.uuids().map(str)),
}


@pytest.mark.parametrize("kind", sorted(VALUES))
@given(data=st.data())
def test_what_is_stored_in_sqlite_comes_back_as_it_was_sent(kind: str, data: st.DataObject) -> None:
    field, strategy = VALUES[kind]
    sent = data.draw(strategy)
    row = KINDS[kind]
    driver_value = row.bind["sqlite"](row.parse(sent, field), field)
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"CREATE TABLE t (x {column_type(field, 'sqlite').compile(sqlite.dialect())})")
        connection.execute("INSERT INTO t VALUES (?)", (driver_value,))
        (stored,) = connection.execute("SELECT x FROM t").fetchone()
    finally:
        connection.close()
    assert show(field, stored, "sqlite") == sent
    assert row.restore["sqlite"](stored, field) == row.parse(sent, field)


@pytest.mark.parametrize("kind", ["decimal", "date", "time", "datetime", "uuid"])
@given(data=st.data())
def test_what_is_accepted_matches_the_published_pattern(kind: str, data: st.DataObject) -> None:
    field, strategy = VALUES[kind]
    sent = data.draw(strategy)
    KINDS[kind].parse(sent, field)
    assert re.search(str(KINDS[kind].schema(field, "create")["pattern"]), sent)


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(value=DOCUMENTS | st.sampled_from([2**63, 10**300, "7", 0, True, "0000-00-00", "infinity"]))
def test_no_value_at_all_is_more_than_a_refusal(kind: str, value: object) -> None:
    field = make(kind, enum=ENUM)
    with suppress(KindError):
        canonical = KINDS[kind].parse(value, field)
        KINDS[kind].bind["sqlite"](canonical, field)
        KINDS[kind].bind["mariadb"](canonical, field)


def test_a_schema_names_bounds_where_values_are_sent_and_null_where_it_may_be() -> None:
    field = make("string", size=200, min_length=1, has_default=True, default="a", nullable=False)
    assert KINDS["string"].schema(field, "create") == {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "default": "a",
    }
    assert KINDS["string"].schema(field, "read") == {"type": "string"}
    assert KINDS["enum"].schema(make("enum", enum=ENUM), "update") == {
        "type": ["string", "null"],
        "oneOf": [
            {"const": "draft", "title": "Draft"},
            {"const": "posted", "title": "Posted"},
            {"const": None, "title": "None"},
        ],
    }
