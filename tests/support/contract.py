"""A few rows of the contract's registry, and whoever reads them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.serving import ROOT
from tests.support.stage import Caller, Stage

CONTRACT = ROOT / "tests" / "data" / "contract" / "resources.yaml"


@dataclass(frozen=True)
class Seeded:
    """The application, and public ids of its rows by a short name.

    Attributes:
        owner: Administrator of the account that the rows are of.
    """

    stage: Stage
    owner: Caller
    ids: dict[str, str]

    def make(self, path: str, **values: object) -> str:
        """Create an object; its id."""
        reply = self.owner.send("POST", f"/v3/crud/{path}/", values)
        assert reply.status == 201, str(reply)
        return str(reply.data["id"])

    def titles(self, type_path: str, filter_: object, *, field: str = "title", **more: object) -> list[str]:
        """What a search finds, oldest first."""
        body = {"filter": filter_, "fields": [field], "sort": ["created_on"], **more}
        reply = self.owner.search(type_path, body)
        assert reply.status == 200, str(reply)
        return [row[field] for row in reply.data]


def seed(stage: Stage) -> Seeded:
    """Fill an application of the contract's registry with a few rows."""
    made = Seeded(stage, stage.new_account("North Lab"), {})
    ids = made.ids
    ids["ann"] = made.make("person", given="Ann", rank=1)
    ids["del"] = made.make("person", given="Del", rank=3)
    ids["first"] = made.make("journal", title="Field notes 2026", tags={"topics": ["field-notes"]}, owner_id=ids["ann"])
    ids["second"] = made.make("journal", title="other", owner_id=ids["del"])
    ids["empty"] = made.make("journal", title="empty")
    entries = f"journal/{ids['first']}/entry"
    for number, author in ((1, "ann"), (2, "del"), (3, "")):
        ids[f"day{number}"] = made.make(
            entries, title=f"Day {number}", visibility="public", priority=number, author_id=ids.get(author)
        )
    made.make(f"{entries}/{ids['day1']}/note", words="a note", weight=1)
    assert made.owner.send("DELETE", f"/v3/crud/person/{ids['del']}").status == 204
    return made
