"""What goes over the wire, as a hand-written service says it: Pydantic models."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, AliasPath, BaseModel, ConfigDict, Field

Instant = Annotated[datetime, AfterValidator(lambda instant: instant.replace(tzinfo=UTC))]
Title = Annotated[str, Field(max_length=200)]
Priority = Annotated[int, Field(ge=0, le=9)]
Amount = Annotated[Decimal, Field(max_digits=15, decimal_places=2)]


class Visibility(StrEnum):
    """Who may see an entry."""

    private = "private"
    public = "public"


class EntryOut(BaseModel):
    """An entry as it is answered; everything but the heavy body."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(validation_alias="id_random")
    account_id: str = Field(validation_alias=AliasPath("account", "id_random"))
    journal_id: str = Field(validation_alias=AliasPath("journal", "id_random"))
    title: str
    entry_date: date | None
    visibility: Visibility
    priority: int
    tags: Any
    amount: Decimal | None
    flagged: bool
    person_id: str | None = Field(default=None, validation_alias=AliasPath("person", "id_random"))
    created_on: Instant
    updated_on: Instant


class EntryCreate(BaseModel):
    """A new entry."""

    model_config = ConfigDict(extra="forbid")

    title: Title
    body: str | None = None
    entry_date: date | None = None
    visibility: Visibility = Visibility.private
    priority: Priority = 0
    tags: Any = None
    amount: Amount | None = None
    flagged: bool = False
    person_id: str | None = None


class EntryUpdate(BaseModel):
    """Changes of an entry; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = None
    body: str | None = None
    entry_date: date | None = None
    visibility: Visibility | None = None
    priority: Priority | None = None
    tags: Any = None
    amount: Amount | None = None
    flagged: bool | None = None
    person_id: str | None = None


class PageMeta(BaseModel):
    """Where a page stands."""

    limit: int
    offset: int
    has_more: bool


class One(BaseModel):
    """The envelope of one entry."""

    data: EntryOut
    meta: dict[str, Any] = {}


class Page(BaseModel):
    """The envelope of a page of entries."""

    data: list[EntryOut]
    meta: PageMeta


class DateRange(BaseModel):
    """A condition on a date."""

    gte: date | None = None
    lte: date | None = None


class NumberRange(BaseModel):
    """A condition on a number."""

    gte: int | None = None
    lte: int | None = None


class TextMatch(BaseModel):
    """A condition on a text."""

    icontains: str


class Alternative(BaseModel):
    """One branch of the or."""

    title: TextMatch | None = None
    priority: NumberRange | None = None


class EntryFilter(BaseModel):
    """The conditions this service knows."""

    model_config = ConfigDict(extra="forbid")

    visibility: Visibility | None = None
    entry_date: DateRange | None = None
    flagged: bool | None = None
    any_of: list[Alternative] | None = Field(default=None, alias="or")


class EntrySearch(BaseModel):
    """A search."""

    model_config = ConfigDict(extra="forbid")

    filter: EntryFilter = EntryFilter()
    limit: int = Field(default=50, ge=0, le=1000)
    offset: int = Field(default=0, ge=0)
