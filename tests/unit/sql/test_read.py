"""Read statements, compared whole: what a search becomes on each database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.language.search import parse_search
from engine.plan.read import plan_get, plan_list
from engine.plan.selection import without_rows
from engine.plan.shape import Dialect, Keyset, Link, PlanContext, ReadShape
from engine.sql.read import build_read
from engine.sql.setting import Setting
from engine.tables import build_tables
from tests.unit.sql.test_guarded import KEY, PUBLIC_ID, REGISTRIES, caller, context_of

REGISTRY = REGISTRIES["example"]
NESTED = ((Link("journal", "journal_id"), PUBLIC_ID),)
TITLE = {"fields": ["title"]}

Ask = Callable[[PlanContext], ReadShape]


def listed(body: dict[str, object], type_name: str = "journal_entry", *, nested: bool = False) -> Ask:
    """A list's shape."""
    return lambda context: (
        plan_list(
            REGISTRY.types[type_name], NESTED if nested else (), parse_search(body), context, cursor_key=KEY
        ).shape
    )


def after(ask: Ask, keyset: Keyset) -> Ask:
    """The same, from a position on."""
    return lambda context: replace(ask(context), keyset=keyset)


def counted(ask: Ask, page: str) -> Ask:
    """What is counted, or looked for, beside it."""
    return lambda context: without_rows(ask(context), page)  # type: ignore[arg-type]


ASKED: dict[str, Ask] = {
    "get": lambda context: plan_get(REGISTRY.types["person"], PUBLIC_ID, (), parse_search({}), context).shape,
    "nested": listed(TITLE, nested=True),
    "search": listed(
        {
            **TITLE,
            "filter": {"status": "posted", "or": [{"title": {"contains": "x"}}, {"person.family_name": {"ne": "y"}}]},
        }
    ),
    "children": listed(
        {"fields": ["name"], "filter": {"entry": {"none": {"pinned": True}, "count": {"gte": 3}}}}, "journal"
    ),
    "keyset": after(listed(TITLE), Keyset(False, (False,))),
    "regions": listed({**TITLE, "sort": ["reviewed_at:nulls_last"]}),
    "count": counted(listed(TITLE), "count"),
    "capped": counted(listed(TITLE), "capped"),
    "chain": counted(listed(TITLE, nested=True), "chain"),
    "deleted": listed({"fields": ["name"], "deleted": "only"}, "journal"),
}

EXPECTED: dict[tuple[str, Dialect], tuple[str, str]] = {
    ("get", "mariadb"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t2.id_random AS id_random_1, t1.given_name, t1.family_name, "
        "t1.email, t1.enable, t1.created_on, t1.updated_on FROM person AS t1 LEFT OUTER JOIN account AS t2 ON "
        "t2.id = t1.account_id AND t2.id = %s WHERE t1.account_id = %s AND t1.id_random = %s",
        "account0 account0 id",
    ),
    ("get", "sqlite"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t2.id_random AS id_random_1, t1.given_name, t1.family_name, "
        "t1.email, t1.enable, t1.created_on, t1.updated_on FROM person AS t1 LEFT OUTER JOIN account AS t2 ON "
        "t2.id = t1.account_id AND t2.id = ? WHERE t1.account_id = ? AND t1.id_random = ?",
        "account0 account0 id",
    ),
    ("nested", "mariadb"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.title, t1.entry_date FROM journal_entry AS t1 INNER JOIN "
        "journal AS t2 ON t2.id = t1.journal_id WHERE t1.account_id = %s AND t2.account_id = %s AND t2.deleted_on "
        "IS NULL AND t2.id_random = %s ORDER BY t1.entry_date DESC, t1.id DESC LIMIT %s",
        "account0 account0 chain0 limit",
    ),
    ("nested", "sqlite"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.title, t1.entry_date FROM journal_entry AS t1 JOIN journal"
        " AS t2 ON t2.id = t1.journal_id WHERE t1.account_id = ? AND t2.account_id = ? AND t2.deleted_on IS NULL "
        "AND t2.id_random = ? ORDER BY t1.entry_date DESC, t1.id DESC LIMIT ? OFFSET 0",
        "account0 account0 chain0 limit",
    ),
    ("search", "mariadb"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.title, t1.entry_date FROM journal_entry AS t1 LEFT OUTER "
        "JOIN person AS t3 ON t3.id = t1.person_id AND t3.account_id = %s WHERE t1.account_id = %s AND (SELECT 1 "
        "FROM journal AS t2 WHERE t2.id = t1.journal_id AND t2.account_id = %s AND t2.deleted_on IS NULL) = 1 AND "
        "t1.status = %s AND ((t1.title LIKE %s ESCAPE '!') OR t3.family_name != %s OR t3.family_name IS NULL) "
        "ORDER BY t1.entry_date DESC, t1.id DESC LIMIT %s",
        "account0 account0 account0 v0 v1 v2 limit",
    ),
    ("search", "sqlite"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.title, t1.entry_date FROM journal_entry AS t1 LEFT OUTER "
        "JOIN person AS t3 ON t3.id = t1.person_id AND t3.account_id = ? WHERE t1.account_id = ? AND (EXISTS "
        "(SELECT 1 FROM journal AS t2 WHERE t2.id = t1.journal_id AND t2.account_id = ? AND t2.deleted_on IS "
        "NULL)) AND t1.status = ? AND ((instr(t1.title, ?) > 0) OR t3.family_name != ? OR t3.family_name IS NULL) "
        "ORDER BY t1.entry_date DESC, t1.id DESC LIMIT ? OFFSET 0",
        "account0 account0 account0 v0 v1 v2 limit",
    ),
    ("children", "mariadb"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.name FROM journal AS t1 WHERE t1.account_id = %s AND "
        "t1.deleted_on IS NULL AND NOT (EXISTS (SELECT 1 FROM journal_entry AS t2 WHERE t2.journal_id = t1.id AND "
        "t2.account_id = %s AND t2.pinned = %s)) AND ((SELECT count(*) AS count_1 FROM journal_entry AS t3 WHERE "
        "t3.journal_id = t1.id AND t3.account_id = %s) >= %s) ORDER BY t1.id DESC LIMIT %s",
        "account0 account0 v0 account0 v1 limit",
    ),
    ("children", "sqlite"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.name FROM journal AS t1 WHERE t1.account_id = ? AND "
        "t1.deleted_on IS NULL AND NOT (EXISTS (SELECT 1 FROM journal_entry AS t2 WHERE t2.journal_id = t1.id AND "
        "t2.account_id = ? AND t2.pinned = ?)) AND ((SELECT count(*) AS count_1 FROM journal_entry AS t3 WHERE "
        "t3.journal_id = t1.id AND t3.account_id = ?) >= ?) ORDER BY t1.id DESC LIMIT ? OFFSET 0",
        "account0 account0 v0 account0 v1 limit",
    ),
    ("keyset", "mariadb"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.title, t1.entry_date FROM journal_entry AS t1 WHERE "
        "t1.account_id = %s AND (SELECT 1 FROM journal AS t2 WHERE t2.id = t1.journal_id AND t2.account_id = %s "
        "AND t2.deleted_on IS NULL) = 1 AND t1.entry_date <= %s AND (t1.entry_date < %s OR t1.entry_date = %s AND "
        "t1.id < %s) ORDER BY t1.entry_date DESC, t1.id DESC LIMIT %s",
        "account0 account0 k0 k0 k0 k1 limit",
    ),
    ("keyset", "sqlite"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.title, t1.entry_date FROM journal_entry AS t1 WHERE "
        "t1.account_id = ? AND (EXISTS (SELECT 1 FROM journal AS t2 WHERE t2.id = t1.journal_id AND t2.account_id "
        "= ? AND t2.deleted_on IS NULL)) AND t1.entry_date <= ? AND (t1.entry_date < ? OR t1.entry_date = ? AND "
        "t1.id < ?) ORDER BY t1.entry_date DESC, t1.id DESC LIMIT ? OFFSET 0",
        "account0 account0 k0 k0 k0 k1 limit",
    ),
    ("regions", "mariadb"): (
        "SELECT page.c0, page.c1, page.c2, page.c3, page.c4 FROM (SELECT region0.c0 AS c0, region0.c1 AS c1, "
        "region0.c2 AS c2, region0.c3 AS c3, region0.c4 AS c4, region0.rank AS rank FROM (SELECT t1.id AS c0, "
        "t1.row_version AS c1, t1.id_random AS c2, t1.title AS c3, t1.reviewed_at AS c4, 0 AS rank FROM "
        "journal_entry AS t1 WHERE t1.account_id = %s AND (SELECT 1 FROM journal AS t2 WHERE t2.id = t1.journal_id"
        " AND t2.account_id = %s AND t2.deleted_on IS NULL) = 1 AND t1.reviewed_at IS NOT NULL ORDER BY "
        "t1.reviewed_at ASC, t1.id ASC LIMIT %s) AS region0 UNION ALL SELECT region1.c0 AS c0, region1.c1 AS c1, "
        "region1.c2 AS c2, region1.c3 AS c3, region1.c4 AS c4, region1.rank AS rank FROM (SELECT t1.id AS c0, "
        "t1.row_version AS c1, t1.id_random AS c2, t1.title AS c3, t1.reviewed_at AS c4, 1 AS rank FROM "
        "journal_entry AS t1 WHERE t1.account_id = %s AND (SELECT 1 FROM journal AS t2 WHERE t2.id = t1.journal_id"
        " AND t2.account_id = %s AND t2.deleted_on IS NULL) = 1 AND t1.reviewed_at IS NULL ORDER BY t1.id ASC "
        "LIMIT %s) AS region1) AS page ORDER BY page.rank, page.c4 ASC, page.c0 ASC LIMIT %s",
        "account0 account0 limit account0 account0 limit limit",
    ),
    ("regions", "sqlite"): (
        "SELECT page.c0, page.c1, page.c2, page.c3, page.c4 FROM (SELECT region0.c0 AS c0, region0.c1 AS c1, "
        "region0.c2 AS c2, region0.c3 AS c3, region0.c4 AS c4, region0.rank AS rank FROM (SELECT t1.id AS c0, "
        "t1.row_version AS c1, t1.id_random AS c2, t1.title AS c3, t1.reviewed_at AS c4, 0 AS rank FROM "
        "journal_entry AS t1 WHERE t1.account_id = ? AND (EXISTS (SELECT 1 FROM journal AS t2 WHERE t2.id = "
        "t1.journal_id AND t2.account_id = ? AND t2.deleted_on IS NULL)) AND t1.reviewed_at IS NOT NULL ORDER BY "
        "t1.reviewed_at ASC, t1.id ASC LIMIT ? OFFSET 0) AS region0 UNION ALL SELECT region1.c0 AS c0, region1.c1 "
        "AS c1, region1.c2 AS c2, region1.c3 AS c3, region1.c4 AS c4, region1.rank AS rank FROM (SELECT t1.id AS "
        "c0, t1.row_version AS c1, t1.id_random AS c2, t1.title AS c3, t1.reviewed_at AS c4, 1 AS rank FROM "
        "journal_entry AS t1 WHERE t1.account_id = ? AND (EXISTS (SELECT 1 FROM journal AS t2 WHERE t2.id = "
        "t1.journal_id AND t2.account_id = ? AND t2.deleted_on IS NULL)) AND t1.reviewed_at IS NULL ORDER BY t1.id"
        " ASC LIMIT ? OFFSET 0) AS region1) AS page ORDER BY page.rank, page.c4 ASC, page.c0 ASC LIMIT ? OFFSET 0",
        "account0 account0 limit account0 account0 limit limit",
    ),
    ("count", "mariadb"): (
        "SELECT count(*) AS count_1 FROM journal_entry AS t1 WHERE t1.account_id = %s AND (EXISTS (SELECT 1 FROM "
        "journal AS t2 WHERE t2.id = t1.journal_id AND t2.account_id = %s AND t2.deleted_on IS NULL))",
        "account0 account0",
    ),
    ("count", "sqlite"): (
        "SELECT count(*) AS count_1 FROM journal_entry AS t1 WHERE t1.account_id = ? AND (EXISTS (SELECT 1 FROM "
        "journal AS t2 WHERE t2.id = t1.journal_id AND t2.account_id = ? AND t2.deleted_on IS NULL))",
        "account0 account0",
    ),
    ("capped", "mariadb"): (
        "SELECT count(*) AS count_1 FROM (SELECT 1 AS one FROM journal_entry AS t1 WHERE t1.account_id = %s AND "
        "(EXISTS (SELECT 1 FROM journal AS t2 WHERE t2.id = t1.journal_id AND t2.account_id = %s AND t2.deleted_on"
        " IS NULL)) LIMIT 10001) AS capped",
        "account0 account0",
    ),
    ("capped", "sqlite"): (
        "SELECT count(*) AS count_1 FROM (SELECT 1 AS one FROM journal_entry AS t1 WHERE t1.account_id = ? AND "
        "(EXISTS (SELECT 1 FROM journal AS t2 WHERE t2.id = t1.journal_id AND t2.account_id = ? AND t2.deleted_on "
        "IS NULL)) LIMIT 10001 OFFSET 0) AS capped",
        "account0 account0",
    ),
    ("chain", "mariadb"): (
        "SELECT t1.id, t1.row_version FROM journal AS t1 WHERE t1.account_id = %s AND t1.deleted_on IS NULL AND "
        "t1.id_random = %s",
        "account0 chain0",
    ),
    ("chain", "sqlite"): (
        "SELECT t1.id, t1.row_version FROM journal AS t1 WHERE t1.account_id = ? AND t1.deleted_on IS NULL AND "
        "t1.id_random = ?",
        "account0 chain0",
    ),
    ("deleted", "mariadb"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.name FROM journal AS t1 WHERE t1.account_id = %s AND "
        "t1.deleted_on IS NOT NULL ORDER BY t1.id DESC LIMIT %s",
        "account0 limit",
    ),
    ("deleted", "sqlite"): (
        "SELECT t1.id, t1.row_version, t1.id_random, t1.name FROM journal AS t1 WHERE t1.account_id = ? AND "
        "t1.deleted_on IS NOT NULL ORDER BY t1.id DESC LIMIT ? OFFSET 0",
        "account0 limit",
    ),
}


@pytest.mark.parametrize(("name", "dialect"), EXPECTED)
def test_a_read_is_this_statement(name: str, dialect: Dialect) -> None:
    context = context_of(REGISTRY, caller(1), dialect)
    shape = ASKED[name](context)
    setting = Setting(REGISTRY, build_tables(REGISTRY, dialect), dialect, shape.viewer, context.rights)
    statement = build_read(shape, setting)
    assert (" ".join(statement.text.split()), " ".join(statement.binds)) == EXPECTED[name, dialect]
