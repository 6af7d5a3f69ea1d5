"""Columns of MariaDB databases that others made, with nothing but `table:` said of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import services
from tests.support.found import Found, served

pytestmark = pytest.mark.mariadb

COLUMNS = (
    "flag", "bit_flag", "state", "day", "moment", "stamp", "score", "label", "wide", "code", "folded", "big", "made",
)  # fmt: skip
TYPES = f"  thing: {{table: thing, account: {{none: shared}}, search: [name, {', '.join(COLUMNS)}]}}\n"
DDL = (
    """CREATE TABLE thing (
        id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) CHARACTER SET latin1,
        flag TINYINT(1), bit_flag BIT(1), state ENUM('zoo', 'Ape', 'man') CHARACTER SET latin1,
        day DATE NOT NULL DEFAULT '0000-00-00', moment DATETIME(3) NULL, stamp TIMESTAMP NULL, score FLOAT,
        label VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci,
        wide VARCHAR(20) CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci,
        code CHAR(5) CHARACTER SET latin1, folded VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci,
        big BIGINT UNSIGNED, made YEAR, kinds SET('x', 'y'), place POINT)""",
    """SET STATEMENT sql_mode='' FOR INSERT INTO thing
        (name, flag, bit_flag, state, day, moment, stamp, score, label, wide, code, folded, big, made) VALUES
        ('a', 0, 0, 'zoo', '0000-00-00', '0000-00-00', '2009-01-01 00:00:00', 0.1, 'Ärger', 'Ключ', 'ab', 'Éa',
         1, 1999),
        ('b', 1, 1, 'Ape', '2009-00-10', '2009-01-01 00:00:00.5', '2009-01-01 00:00:01', 16777216, 'ärger', 'ключ',
         'AB', 'éA', 18446744073709551615, 0),
        ('c', 2, 1, 'man', '2009-01-01', '2009-01-01 00:00:01', '2009-01-02', 16777218, 'Ärger ', 'ключ ', 'abc', 'ea',
         9223372036854775808, 2155),
        ('d', -1, 0, '', '2009-01-02', '2009-01-02', NULL, -0.5, 'z', 'z', 'z', 'z', 2, 2000),
        ('e', NULL, NULL, NULL, '2009-01-03', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
)  # fmt: skip


@pytest.fixture(scope="module")
def module_url() -> Iterator[str]:
    services.require_mariadb()
    with services.make_mariadb_database() as url:
        yield url


@pytest.fixture(scope="module")
async def found(module_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Found]:
    async with served(module_url, tmp_path_factory.mktemp("found"), TYPES, DDL) as one:
        yield one


async def test_found_columns_are_shown(found: Found) -> None:
    shown = {row["name"]: row for row in await found.search("thing")}

    def column(name: str) -> list[object]:
        return [shown[row][name] for row in "abcde"]

    assert column("flag") == [False, True, True, True, None]
    assert column("bit_flag") == [False, True, True, False, None]
    assert column("state") == ["zoo", "Ape", "man", "", None]
    assert column("day") == [None, None, "2009-01-01", "2009-01-02", "2009-01-03"]
    assert column("moment") == [
        None, "2009-01-01T00:00:00.500000Z", "2009-01-01T00:00:01Z", "2009-01-02T00:00:00Z", None,
    ]  # fmt: skip
    assert column("score") == [0.10000000149011612, 16777216, 16777218, -0.5, None]
    assert column("big") == [1, 18446744073709551615, 9223372036854775808, 2, None]
    assert column("made") == [1999, 0, 2155, 2000, None]
    assert column("label") == ["Ärger", "ärger", "Ärger ", "z", None]
    assert not {"kinds", "place"} & set(shown["a"])
    for name in "abcde":
        # The second time a statement is prepared, and its values are binary.
        assert await found.one("thing", name) == shown[name]


@pytest.mark.parametrize(
    ("filter_", "names"),
    [
        ({"flag": True}, "b c d"),
        ({"flag": False}, "a"),
        ({"flag": {"ne": True}}, "a e"),
        ({"bit_flag": True}, "b c"),
        ({"bit_flag": {"in": [False]}}, "a d"),
        ({"state": "Ape"}, "b"),
        ({"state": {"in": ["zoo", "man"]}}, "a c"),
        ({"state": {"empty": True}}, "d e"),
        ({"lower(state)": "ape"}, "b"),
        ({"day": "2009-01-01"}, "c"),
        ({"day": {"gt": "2009-01-01"}}, "d e"),
        ({"moment": {"between": ["2009-01-01T00:00:00.5Z", "2009-01-01T00:00:01Z"]}}, "b c"),
        ({"moment": "2009-01-01"}, "b c"),
        ({"year(moment)": 2009}, "b c d"),
        ({"stamp": {"gte": "2009-01-01T00:00:01Z"}}, "b c"),
        ({"score": 0.10000000149011612}, "a"),
        ({"score": 16777218}, "c"),
        ({"score": {"gt": 16777216}}, "c"),
        ({"score": {"between": [-0.5, 0.11]}}, "a d"),
        ({"label": "Ärger"}, "a"),
        ({"label": "Ärger "}, "c"),
        ({"label": {"ieq": "ÄRGER"}}, "a b"),
        ({"label": {"ne": "Ärger"}}, "b c d e"),
        ({"label": {"contains": "rger "}}, "c"),
        ({"label": "ключ"}, ""),
        ({"label": {"ne": "ключ"}}, "a b c d e"),
        ({"label": {"gt": "😀"}}, ""),
        ({"wide": "ключ"}, "b"),
        ({"wide": {"in": ["Ключ", "😀"]}}, "a"),
        ({"wide": {"istarts_with": "КЛ"}}, "a b c"),
        ({"code": "ab"}, "a"),
        ({"code": {"ends_with": "b"}}, "a"),
        ({"folded": "Éa"}, "a"),
        ({"folded": {"ieq": "éa"}}, "a b"),
        ({"big": 18446744073709551615}, "b"),
        ({"big": {"gte": 9223372036854775808}}, "b c"),
        ({"made": {"lt": 2000}}, "a b"),
        ({"made": {"gte": 2000}}, "c d"),
    ],
)
async def test_found_columns_compare_as_what_they_mean(found: Found, filter_: object, names: str) -> None:
    assert await found.names("thing", filter_) == names
    rest = set("abcde") - set(names.split())
    assert await found.names("thing", {"not": filter_}) == " ".join(sorted(rest))


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("flag", "e a b c d"),
        ("-bit_flag", "c b d a e"),
        ("state", "e d a b c"),
        ("-state", "c b a d e"),
        ("day", "a b c d e"),
        ("-day", "e d c b a"),
        ("moment", "e a b c d"),
        ("-moment", "d c b a e"),
        ("stamp", "d e a b c"),
        ("score", "e d a b c"),
        ("-score", "c b a d e"),
        ("big", "e a d c b"),
        ("made", "e b a d c"),
        ("label", "e d a b c"),
        ("lower(label)", "e d a b c"),
        ("code", "e a b c d"),
        ("wide", "e d a b c"),
    ],
)
async def test_found_columns_sort_and_page(found: Found, sort: str, names: str) -> None:
    assert await found.walk("thing", sort) == names
    assert await found.walk("thing", sort, limit=2) == names


async def test_found_columns_are_written(found: Found) -> None:
    body = {
        "name": "n", "flag": True, "bit_flag": True, "state": "man", "day": "2026-02-11",
        "moment": "2026-02-11T14:03:00.250000Z", "stamp": "2026-02-11T14:03:00Z", "score": 0.5, "label": "Ö",
        "wide": "ж", "code": "x ", "folded": "É", "big": 2**64 - 1, "made": 2026,
    }  # fmt: skip
    made = await found.write("POST", "thing/", body)
    assert {**body, "code": "x"}.items() <= made.items()
    # More digits than the server shows of a FLOAT.
    for score in (16777218, 0.1):
        await found.write("PATCH", f"thing/{made['id']}", {"score": score})
        again = await found.write("POST", "thing/", {"name": "o", "score": score})
        assert await found.names("thing", {"score": again["score"], "name": {"in": ["n", "o"]}}) == "n o"
        await found.client.send("DELETE", f"/v3/crud/thing/{again['id']}")
    changed = await found.write("PATCH", f"thing/{made['id']}", {"flag": False, "bit_flag": False, "state": "zoo"})
    assert (changed["flag"], changed["bit_flag"], changed["state"]) == (False, False, "zoo")
    for wrong in ({"made": 1800}, {"made": 2156}, {"big": -1}, {"wide": "😀"}, {"state": ""}, {"code": "123456"}):
        refused = await found.client.send("PATCH", f"/v3/crud/thing/{made['id']}", wrong)
        assert refused.status == 422, f"{wrong} {refused}"
        ((name, _),) = wrong.items()
        assert [error["pointer"] for error in refused.json["errors"]] == [f"/{name}"], str(refused)
    gone = await found.client.send("DELETE", f"/v3/crud/thing/{made['id']}")
    assert gone.status == 204
