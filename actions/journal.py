"""Actions on journals: what cannot be said as one search."""

from __future__ import annotations

from typing import Any

from engine import Caller, Response, action, envelope


@action(
    "GET",
    "journal/{journal_id}/summary",
    name="journal_summary",
    title="Summary of a journal",
    scope="default",
    type="journal",
)
async def summarise_journal(journal_id: str, caller: Caller) -> Response:
    """A journal at a glance: how many entries it has, how many of them are public, and the days they are about.

    Everything is read as the caller, so another account's journal is a 404 and entries beyond his row rules
    are not counted.
    """
    caller.request.flags(frozenset())
    journal = await caller.get("journal", journal_id, fields=["name"])
    entries = {"journal_id": journal["id"]}
    public = {**entries, "visibility": "public"}
    data = {
        "id": journal["id"],
        "name": journal["name"],
        "entries": await _count(caller, entries),
        "public_entries": await _count(caller, public),
        "first_entry_date": await _end_date(caller, entries, "entry_date"),
        "last_entry_date": await _end_date(caller, entries, "-entry_date"),
    }
    return envelope(data)


async def _count(caller: Caller, condition: dict[str, Any]) -> int:
    """How many entries hold the condition."""
    page = await caller.search("journal_entry", {"filter": condition, "limit": 0, "count": "exact"})
    return int(page.meta["total"])


async def _end_date(caller: Caller, condition: dict[str, Any], order: str) -> str | None:
    """The date of the first entry in an order; entries without a date do not count."""
    dated = {**condition, "entry_date": {"null": False}}
    page = await caller.search(
        "journal_entry", {"filter": dated, "sort": [order], "fields": ["entry_date"], "limit": 1}
    )
    return page.data[0]["entry_date"] if page.data else None
