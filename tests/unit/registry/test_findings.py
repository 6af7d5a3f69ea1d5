"""Bad registry files, each with the finding it gets: the code, the place and the way out."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.registry.explain import PAGES, explain
from engine.registry.findings import Finding, Place, render_findings
from engine.registry.load import load_registry, load_registry_text
from engine.registry.reflection import (
    ReflectedColumn,
    ReflectedDatabase,
    ReflectedForeignKey,
    ReflectedIndex,
    ReflectedTable,
)

ROOT = Path(__file__).parents[3]
EMPTY = ReflectedDatabase(dialect="mariadb")
# A table of every awkward column, under the names that the random documents give their tables.
AWKWARD = [
    ReflectedColumn(name=name, type=kind or "geometry", kind=kind, size=size, bits=bits, nullable=nullable)
    for name, kind, size, bits, nullable in (
        ("id", "bigint", None, 64, False),
        ("id_random", "string", 22, None, False),
        ("Name", "string", 40, None, True),
        ("count", "integer", None, 16, True),
        ("account_id", "integer", None, 32, False),
        ("shape", None, None, None, True),
        ("book_id", "bigint", None, 64, True),
        ("ID", "integer", None, 32, True),
        ("Überschrift", "text", 65_535, None, True),
        ("", "date", None, None, True),
        ("json", "json", None, None, True),
        ("default", "enum", None, None, False),
    )
]
FOUND = ReflectedDatabase(
    dialect="mariadb",
    tables={
        name: ReflectedTable(
            name=name,
            columns={column.name: column for column in AWKWARD},
            primary_key=key,
            indexes=(ReflectedIndex("odd", ("Name", "count"), is_unique=True),),
            foreign_keys=(ReflectedForeignKey(("book_id",), "book", ("id",)),),
            is_view=not key,
        )
        for name, key in (("book", ("id",)), ("person", ("id", "count")), ("table", ()), ("type", ("Name",)))
    },
)

# Three types, the fields in full: what the cases below put something wrong into.
GOOD = """\
version: 1
auth: {user: person}
roles: {viewer: ["*:read"]}
types:
  firm:
    table: firm
    account: self
    fields: {name: {type: string(200), required: true}}
  person:
    table: person
    account: own
    search: [name, born]
    fields:
      name: {type: string(200), required: true}
      born: {type: date}
      secret_word: {type: string(40), secret: true}
  book:
    table: book
    account: own
    display: "{title}"
    search: [title, person_id]
    fields:
      title: {type: string(200), required: true}
      note: {type: text}
      person_id: {ref: person}
  book_page:
    table: book_page
    account: inherited
    parent: book
    search: {number: range}
    sort: [number]
    fields:
      number: {type: integer}
"""


def findings_of(text: str) -> tuple[Finding, ...]:
    return load_registry_text(text, EMPTY).findings


def test_the_good_file_has_no_findings() -> None:
    loaded = load_registry_text(GOOD, EMPTY)
    assert loaded.findings == ()
    assert loaded.registry is not None
    assert loaded.registry == loaded.target


# (what is replaced, by what, code, the marked text, a piece of label or help)
CASES = [
    # keys and syntax
    ('display: "{title}"', 'dispaly: "{title}"', "R101", "dispaly", "did you mean `display`?"),
    ("born: {type: date}", "born: {type: date, requird: true}", "R101", "requird", "did you mean `required`?"),
    ("auth: {user: person}", "auth: {user: person, x: 1}", "R101", "x", "known here: user, require_user, login"),
    ("version: 1", "version: 2", "R107", "2", ""),
    ("version: 1\n", "", "R102", "", "add `version: 1`"),
    ("    table: book_page\n", "", "R102", "book_page", "add `table:`"),
    ("    account: inherited\n", "", "R102", "book_page", "it is never assumed"),
    ("account: own\n    display", "account: none\n    display", "R102", "none", "why its rows are everybody's"),
    (
        "account: own\n    display",
        "account: {own: a, none: b}\n    display",
        "R111",
        "{own: a, none: b}",
        "one of `self`",
    ),
    ("required: true}\n      note", "required: yes}\n      note", "R103", "yes", ""),
    ("number: {type: integer}", "number: {type: integer, title: 7}", "R103", "7", "put it in quotes"),
    ("number: {type: integer}", "number: {type: integer, title: }", "R103", "title", "leave it out"),
    ("number: {type: integer}", "number: integer", "R103", "integer", ""),
    ("    search: {number: range}", "    search: 5", "R103", "5", ""),
    ("born: {type: date}", "born: {type: date, min: .inf}", "R103", ".inf", "quote it"),
    ("born: {type: date}", "born: {type: date", "R104", "", ""),
    ("version: 1", "version: 1\n---", "R104", "", ""),
    ("born: {type: date}", "? [a]\n      : {type: date}", "R104", "[", ""),
    ("born: {type: date}", "born: {type: date, type: time}", "R105", "type", "keep one of them"),
    ("born: {type: date}", "born: &x {type: date}", "R106", "&x {", "write the value out"),
    ("born: {type: date}", "<<: {type: date}", "R106", "<<", "write the keys out"),
    ("born: {type: date}", "born: {type: !!str date}", "R106", "!!str date", ""),
    ("parent: book", "parent: {type: book, on_delete: vanish}", "R107", "vanish", ""),
    ("parent: book", "parent: {type: book, on_delete: cascad}", "R107", "cascad", "did you mean `cascade`?"),
    ("sort: [number]", "page: {limit: -1}", "R107", "-1", ""),
    ("sort: [number]", "sort: [number desc]", "R107", "number desc", ""),
    ("auth: {user: person}", "timezone: Mars/Olympus", "R107", "Mars/Olympus", "Europe/Berlin"),
    ("born: {type: date}", "born: {type: date, timezone: Europe/Berlin}", "R310", "Europe/Berlin", "leave `timezone`"),
    ("born: {type: date}", "born: {type: dat}", "R108", "dat", "did you mean `date`?"),
    ("born: {type: date}", "born: {type: 'decimal(2,9)'}", "R108", "'decimal(2,9)'", "one of string(n)"),
    ("auth: {user: person}", "include: [nothing/*.yaml]", "R109", "nothing/*.yaml", "folder"),
    ("number: {type: integer}", "number: {type: integer, min: 9, max: 1}", "R111", "9", ""),
    ("born: {type: date}", "born: {type: date, max_length: 9}", "R111", "9", ""),
    ("born: {type: date}", "born: {enum: []}", "R111", "[]", "name them"),
    ("note: {type: text}", "note: {type: text, computed: true, default: x}", "R111", "true", "leave `default` out"),
    ("person_id: {ref: person}", "person_id: {ref: person, type: integer}", "R111", "integer", "leave `type` out"),
    ("number: {type: integer}", "number: {type: integer, default: many}", "R112", "many", ""),
    ("number: {type: integer}", "number: {type: integer, default: 7.5}", "R112", "7.5", ""),
    ("born: {type: date}", "born: {type: date, min: 2026-02-30}", "R112", "2026-02-30", ""),
    ("note: {type: text}", "note: {type: text, pattern: '('}", "R113", "'('", ""),
    ("number: {type: integer}", "number: {type: integer, examples: [1, two]}", "R112", "two", ""),
    ("note: {type: text}", "note: {type: string(60), password: true}", "R111", "true", "string(255)"),
    ("sort: [number]", "legacy: {off: [v3]}", "R107", "v3", "v2:list"),
    ("sort: [number]", "legacy: {off: ['v2:lst']}", "R107", "'v2:lst'", "get, list, create"),
    ("sort: [number]", "legacy: {off: ['/api:search']}", "R107", "'/api:search'", "V1 had no search"),
    ("sort: [number]", "legacy: {brownout: ['*:60']}", "R107", "'*:60'", "from 0 to 59"),
    ("sort: [number]", "legacy: {brownout: [v1]}", "R107", "v1", "hours:minutes"),
    ("auth: {user: person}", "legacy: {off: [v9]}", "R107", "v9", "v1, v2, /, /api"),
    ("auth: {user: person}", "legacy: {brownout: 'v1:*:5-2'}", "R107", "'v1:*:5-2'", "the smaller first"),
    ("auth: {user: person}", "legacy: {name: old}", "R101", "name", ""),
    ("sort: [number]", "legacy: {fields: {no: nmber}}", "R202", "nmber", "did you mean `number`?"),
    # references
    ("parent: book", "parent: bok", "R201", "bok", "did you mean `book`?"),
    ("person_id: {ref: person}", "person_id: {ref: persn}", "R201", "persn", "did you mean `person`?"),
    ("auth: {user: person}", "auth: {user: people}", "R201", "people", ""),
    ('display: "{title}"', 'display: "{titel}"', "R202", '"{titel}"', "did you mean `title`?"),
    ("search: [name, born]", "search: [name, bron]", "R202", "bron", "did you mean `born`?"),
    ("sort: [number]", "sort: [-numbr]", "R202", "-numbr", "did you mean `number`?"),
    ("sort: [number]", "list: [number, titel]", "R202", "titel", ""),
    ("sort: [number]", "groups: {A: [number, b]}", "R202", "b", ""),
    ("sort: [number]", "indexes: [[book_id, x]]", "R202", "x", ""),
    ("sort: [number]", "unique: [{fields: [x]}]", "R202", "x", ""),
    ("sort: [number]", "sort: [book.titel]", "R202", "book.titel", "did you mean `title`?"),
    ("sort: [number]", "sort: [bok.title]", "R202", "bok.title", "did you mean `book`?"),
    (
        "account: own\n    display",
        "account: own\n    parent: book_page\n    display",
        "R203",
        "book_page",
        "plain `ref`",
    ),
    ("    parent: book\n", "", "R204", "inherited", "say `parent:`"),
    ("account: own\n    search: [name", "account: self\n    search: [name", "R205", "self", ""),
    ("number: {type: integer}", "book_id: {ref: person}\n      number: {type: integer}", "R206", "person", ""),
    ("search: {number: range}", "search: {number: [icontains]}", "R207", "icontains", "it takes eq"),
    ("search: {number: range}", "search: {number: text}", "R207", "text", ""),
    ("search: [name, born]", "search: [name, secret_word]", "R207", "secret_word", "take it out"),
    ("search: {number: range}", "search: {number: [regex]}", "R207", "regex", ""),
    ("sort: [number]", "list: [id]\n    sort: [id]", "R208", "id", ""),
    ("search: [title, person_id]", "search: [title, note]\n    sort: [note]", "R208", "note", ""),
    ('display: "{title}"', 'display: {title: "{title}", lookup: [note]}', "R208", "note", ""),
    ("account: self", "account: {none: shared}", "R209", "own", "account: self"),
    ("account: own\n    display", "account: {none: shared}\n    display", "R210", "book", ""),
    ("sort: [number]", "resolves_to: book_id", "R211", "book_id", "`file:`"),
    ("sort: [number]", "rows: {viewer: {nmber: 1}}", "R212", "nmber", "did you mean `number`?"),
    ("sort: [number]", "rows: {viewer: {or: {number: 1}}}", "R212", "{number: 1}", ""),
    ("sort: [number]", "rows: {viewer: {book: {titel: x}}}", "R212", "titel", "did you mean `title`?"),
    ("person_id: {ref: person}", "person_id: {ref: person, where: {boorn: x}}", "R212", "boorn", ""),
    # database
    ("    fields: {name: {type: string(200), required: true}}\n", "", "R301", "firm", "declare `fields`"),
    ("number: {type: integer}", "number: {required: true}", "R102", "number", "add `type:`"),
    ("note: {type: text}", "note: {type: string(800), unique: true}", "R309", "true", "shorten"),
    # names and routes
    ("born: {type: date}", "birthDay: {type: date}", "R401", "birthDay", "did you mean `birth_day`?"),
    ("  book_page:", "  BookPage:", "R401", "BookPage", "did you mean `book_page`?"),
    ("  book_page:", "  search:", "R402", "search", ""),
    ("note: {type: text}", "count: {type: text}", "R402", "count", "count_value"),
    ("parent: book", "parent: {type: book, segment: export}", "R402", "export", "segment"),
    ("parent: book", "parent: {type: book, segment: title}", "R404", "title", ""),
    ("person_id: {ref: person}", "person_id: {ref: person, reverse: name}", "R404", "name", ""),
    ("person_id: {ref: person}", "person: {ref: person}", "R406", "person", "did you mean `person_id`?"),
    ("note: {type: text}", "id: {type: text}", "R407", "type", ""),
    ("note: {type: text}", "note: {type: text, column: title}", "R408", "note", ""),
    ("sort: [number]", "legacy: {name: person}", "R405", "person", ""),
    # rights
    ('"*:read"', '"read"', "R501", '"read"', "journal:read"),
    ('"*:read"', '"bok:read"', "R501", '"bok:read"', "did you mean `book`?"),
    ('"*:read"', '"*:reed"', "R501", '"*:reed"', "did you mean `read`?"),
    ("sort: [number]", "rows: {viwer: {number: 1}}", "R502", "viwer", "did you mean `viewer`?"),
    ("sort: [number]", "public: read", "R503", "read", "published"),
    ("born: {type: date}", "born: {type: date, read: viwer}", "R504", "viwer", "did you mean `viewer`?"),
    ("{user: person}", "{user: person, login: nme}", "R202", "nme", "did you mean `name`?"),
    ("{user: person}", "{user: person, login: born}", "R505", "born", ""),
    ("{user: person}", "{user: person, password: secret_word}", "R505", "secret_word", "password: true"),
    ("{user: person}", "{user: person, roles: name}", "R505", "name", ""),
    ("{user: person}", "{user: person, default_roles: [viwer]}", "R505", "viwer", "did you mean `viewer`?"),
    # advice
    ("sort: [number]", "history: true", "W101", "history", ""),
    ("note: {type: text}", "limit: {type: integer}", "W102", "limit", "`filter=`"),
    ("account: own\n    display", "account: own\n    rows: {viewer: {title: x}}\n    display", "W105", "book", "rows"),
]


@pytest.mark.parametrize(("old", "new", "code", "marked", "way_out"), CASES)
def test_a_bad_file_gets_its_finding_at_its_place(old: str, new: str, code: str, marked: str, way_out: str) -> None:
    assert GOOD.count(old) >= 1, "the case changes nothing"
    text = GOOD.replace(old, new, 1)
    found = [finding for finding in findings_of(text) if finding.code == code]
    assert found, render_findings(findings_of(text))
    finding = found[0]
    assert finding.place is not None
    if marked:
        line = text.split("\n")[finding.place.line - 1]
        assert line[finding.place.column - 1 :][: finding.place.length] == marked
    assert way_out in f"{finding.label} {finding.help} {finding.message}"


@pytest.mark.parametrize(("old", "new", "code", "marked", "way_out"), CASES)
def test_an_error_leaves_no_registry_and_advice_leaves_one(
    old: str, new: str, code: str, marked: str, way_out: str
) -> None:
    loaded = load_registry_text(GOOD.replace(old, new, 1), EMPTY)
    assert (loaded.registry is None) == (code[0] == "R")


def test_everything_wrong_is_said_at_once_in_the_order_of_the_lines() -> None:
    text = GOOD
    for old, new in (
        ('"*:read"', '"reed"'),
        ("search: [name, born]", "search: [name, bron]"),
        ('display: "{title}"', 'dispaly: "{title}"'),
        ("person_id: {ref: person}", "person_id: {ref: persn}"),
        ("number: {type: integer}", "number: {type: integr}"),
    ):
        text = text.replace(old, new, 1)
    found = findings_of(text)
    assert [finding.code for finding in found] == ["R501", "R202", "R101", "R201", "R108"]
    lines = [finding.place.line for finding in found if finding.place]
    assert lines == sorted(lines)


def test_two_children_under_one_segment_are_one_finding() -> None:
    leaf = "{table: l, account: inherited, parent: {type: book, segment: page}, fields: {a: {type: date}}}"
    assert [finding.code for finding in findings_of(f"{GOOD}  book_leaf: {leaf}\n")] == ["R403"]


def test_a_decimal_needs_no_quotes_inside_braces() -> None:
    loaded = load_registry_text(
        GOOD.replace("born: {type: date}", "born: {type: decimal(9,3), default: '0.500'}"), EMPTY
    )
    assert loaded.registry is not None
    born = loaded.registry.types["person"].fields["born"]
    assert (born.kind, born.precision, born.scale, born.default) == ("decimal", 9, 3, "0.500")


def test_text_looks_like_a_compilers() -> None:
    finding = Finding(
        "R101", "unknown key `dispaly` in types.journal_entry",
        Place("resources.yaml", 27, 5, 7, '    dispaly: "{title}"'),
        label="did you mean `display`?", help="or leave it out",
    )  # fmt: skip
    assert render_findings([finding]) == (
        "error[R101]: unknown key `dispaly` in types.journal_entry\n"
        "  --> resources.yaml:27:5\n"
        "   |\n"
        '27 |     dispaly: "{title}"\n'
        "   |     ^^^^^^^ did you mean `display`?\n"
        "   = help: or leave it out"
    )


def test_json_and_github_say_the_same() -> None:
    found = findings_of(GOOD.replace("born: {type: date}", "born: {type: dat}"))
    (one,) = json.loads(render_findings(found, "json"))
    assert (one["code"], one["severity"], one["line"], one["column"], one["length"]) == ("R108", "error", 15, 20, 3)
    assert one["path"] == ["types", "person", "fields", "born", "type"]
    assert render_findings(found, "github").startswith(
        "::error file=resources.yaml,line=15,col=20,endColumn=23,title=R108::`dat` is no field type"
    )


def test_every_code_that_is_reported_has_a_page_and_every_page_a_code() -> None:
    used = set()
    for path in (ROOT / "engine").rglob("*.py"):
        if path.name == "explain.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"[RWN]\d{3}", node.value)
            ):
                used.add(node.value)
    assert used == set(PAGES)


def test_a_code_is_explained_whatever_its_case_and_an_unknown_one_names_the_nearest() -> None:
    assert explain("r101").startswith("R101: unknown key\n")
    with pytest.raises(LookupError, match="R101"):
        explain("R1010")


def test_a_file_that_is_not_there_or_not_text_is_a_finding(tmp_path: Path) -> None:
    assert [finding.code for finding in load_registry(tmp_path / "none.yaml").findings] == ["R100"]
    assert [finding.code for finding in load_registry(tmp_path).findings] == ["R100"]
    (tmp_path / "latin.yaml").write_bytes("version: 1\ntypes: {}\n# é".encode("latin-1"))
    (finding,) = load_registry(tmp_path / "latin.yaml").findings
    assert (finding.code, finding.place and finding.place.line) == ("R100", 3)


def test_included_files_have_places_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "resources.yaml").write_text(GOOD.replace("auth: {user: person}", "include: [more/*.yaml]"))
    more = "types:\n  book:\n    table: b\n    account: own\n  shelf:\n    table: shelf\n    acount: own\n"
    (tmp_path / "more" / "a.yaml").write_text(more)
    found = load_registry(tmp_path / "resources.yaml").findings
    places = [
        (one.code, Path(one.place.file).name, one.place.line) for one in found if one.place and one.code[0] == "R"
    ]
    assert places == [("R110", "a.yaml", 2), ("R102", "a.yaml", 5), ("R101", "a.yaml", 7)]


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_no_text_at_all_makes_loading_raise(text: str) -> None:
    load_registry_text(text)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
# What a registry is made of, so that much of it is nearly right.
_WORDS = st.sampled_from(
    [
        "version", "types", "table", "account", "parent", "fields", "type", "enum", "ref", "search", "sort",
        "display", "rows", "public", "own", "self", "inherited", "none", "file", "title", "name", "id", "account_id",
        "string", "date", "integer", "json", "person", "book", "and", "or", "not", "unique", "indexes", "groups",
        "legacy", "default", "min", "max", "roles", "viewer", "*:read", "read", "include", "auth", "user", "defaults",
        "ids", "page", "limit", "reverse", "where", "computed", "secret", "hidden", "regex",
    ]
)  # fmt: skip
_VALUES = st.recursive(
    _SCALARS | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(max_size=5), inner, max_size=5),
    max_leaves=25,
)


_TABLES = st.sampled_from(["book", "person", "table", "type", "none"])
_ACCOUNTS = st.sampled_from(["self", "own", "inherited", {"none": "x"}, {"own": "Name"}])


@given(
    st.dictionaries(
        _WORDS,
        st.fixed_dictionaries({"table": _TABLES, "account": _ACCOUNTS}).flatmap(
            lambda base: st.dictionaries(_WORDS, _VALUES, max_size=6).map(lambda more: {**more, **base})
        ),
        max_size=5,
    ),
)
def test_no_types_on_awkward_tables_make_loading_raise(types: dict[str, object]) -> None:
    for reflection in (None, EMPTY, FOUND):
        loaded = load_registry_text(json.dumps({"version": 1, "types": types}), reflection)
        assert loaded.registry is not None or any(one.severity == "error" for one in loaded.findings)


@given(
    st.dictionaries(_WORDS, _VALUES, max_size=4), st.dictionaries(_WORDS, st.dictionaries(_WORDS, _VALUES, max_size=8))
)
def test_no_document_at_all_makes_loading_raise(top: dict[str, object], types: dict[str, object]) -> None:
    # JSON is YAML, as long as it is ASCII.
    for reflection in (None, EMPTY, FOUND):
        loaded = load_registry_text(json.dumps({**top, "version": 1, "types": types}), reflection)
        render_findings(loaded.findings)
        assert loaded.registry is not None or any(one.severity == "error" for one in loaded.findings)
