"""The service that a good engineer would write by hand for one of our types.

FastAPI, SQLAlchemy's async ORM on asyncmy, Pydantic response models, PyJWT. It
does what the engine does for the same five endpoints (account check, public ids
of the relations, versions, pages) in the idiom of those libraries' manuals; it
is neither crippled nor tuned in ways that such a service would not be.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import jwt
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.exc import StaleDataError

from bench.hand.models import Alternative, EntryCreate, EntryFilter, EntrySearch, EntryUpdate, One, Page
from bench.hand.tables import Account, Journal, JournalEntry, Person

JWT_SECRET = os.environ["AETHER_JWT_SECRET"]
IS_SQLITE = os.environ["AETHER_DATABASE_URL"].startswith("sqlite")

engine = create_async_engine(os.environ["AETHER_DATABASE_URL"], **({} if IS_SQLITE else {"pool_size": 8}))
make_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()
bearer = HTTPBearer()
account_row_ids: dict[str, int] = {}


async def get_session() -> AsyncIterator[AsyncSession]:
    """One session per request."""
    async with make_session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


async def get_account(
    session: SessionDep, credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]
) -> int:
    """Row id of the caller's account. Accounts do not change, so they are looked up once."""
    try:
        claims = jwt.decode(credentials.credentials, JWT_SECRET, algorithms=["HS256"], options={"require": ["exp"]})
        public_id = claims["accounts"][0]
    except (jwt.InvalidTokenError, KeyError, IndexError):
        raise HTTPException(401, "Not authenticated") from None
    if public_id not in account_row_ids:
        row_id = await session.scalar(select(Account.id).where(Account.id_random == public_id))
        if row_id is None:
            raise HTTPException(401, "Not authenticated")
        account_row_ids[public_id] = row_id
    return account_row_ids[public_id]


AccountDep = Annotated[int, Depends(get_account)]


@app.get("/v3/crud/journal_entry/{entry_id}", response_model=One)
async def get_entry(entry_id: str, response: Response, session: SessionDep, account: AccountDep) -> Any:
    """Get one entry."""
    entry = await load_entry(session, account, entry_id)
    response.headers["ETag"] = etag_of(entry)
    return {"data": entry}


@app.get("/v3/crud/journal/{journal_id}/entry/", response_model=Page)
async def list_entries(
    journal_id: str,
    session: SessionDep,
    account: AccountDep,
    limit: Annotated[int, Query(ge=0, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Any:
    """List a journal's entries, newest first."""
    journal = await load_journal(session, account, journal_id)
    query = select_entries(account).where(JournalEntry.journal_id == journal.id)
    return await load_page(session, query, limit, offset)


@app.post("/v3/crud/journal_entry/search", response_model=Page)
async def search_entries(body: EntrySearch, session: SessionDep, account: AccountDep) -> Any:
    """Search the account's entries, newest first."""
    query = select_entries(account).where(*conditions_of(body.filter))
    return await load_page(session, query, body.limit, body.offset)


@app.post("/v3/crud/journal/{journal_id}/entry/", response_model=One, status_code=201)
async def create_entry(
    journal_id: str, body: EntryCreate, response: Response, session: SessionDep, account: AccountDep
) -> Any:
    """Create an entry in a journal."""
    journal = await load_journal(session, account, journal_id)
    values = body.model_dump(exclude={"person_id"})
    entry = JournalEntry(**values, account_id=account, journal=journal)
    entry.account = await session.get_one(Account, account)
    entry.person = await load_person(session, account, body.person_id)
    session.add(entry)
    await session.commit()
    response.headers["ETag"] = etag_of(entry)
    response.headers["Location"] = f"/v3/crud/journal_entry/{entry.id_random}"
    return {"data": entry}


@app.patch("/v3/crud/journal_entry/{entry_id}", response_model=One)
async def update_entry(
    entry_id: str,
    body: EntryUpdate,
    response: Response,
    session: SessionDep,
    account: AccountDep,
    if_match: Annotated[str | None, Header()] = None,
) -> Any:
    """Change an entry; the version is compared in the database."""
    entry = await load_entry(session, account, entry_id)
    if if_match is not None and if_match != etag_of(entry):
        raise HTTPException(412, "The entry has changed")
    changes = body.model_dump(exclude_unset=True)
    if "person_id" in changes:
        entry.person = await load_person(session, account, changes.pop("person_id"))
    for name, value in changes.items():
        setattr(entry, name, value)
    try:
        await session.commit()
    except StaleDataError:
        raise HTTPException(409, "The entry was changed by somebody else") from None
    response.headers["ETag"] = etag_of(entry)
    return {"data": entry}


def select_entries(account: int) -> Select[JournalEntry]:
    """The entries of an account, with the public ids of what they point at."""
    return (
        select(JournalEntry)
        .where(JournalEntry.account_id == account)
        .options(
            joinedload(JournalEntry.account, innerjoin=True).load_only(Account.id_random),
            joinedload(JournalEntry.journal, innerjoin=True).load_only(Journal.id_random),
            joinedload(JournalEntry.person).load_only(Person.id_random),
        )
    )


async def load_entry(session: AsyncSession, account: int, entry_id: str) -> JournalEntry:
    """One entry of the account, or 404."""
    entry = await session.scalar(select_entries(account).where(JournalEntry.id_random == entry_id))
    if entry is None:
        raise HTTPException(404, "Not found")
    return entry


async def load_journal(session: AsyncSession, account: int, journal_id: str) -> Journal:
    """One journal of the account, or 404."""
    journal = await session.scalar(
        select(Journal).where(Journal.id_random == journal_id, Journal.account_id == account)
    )
    if journal is None:
        raise HTTPException(404, "Not found")
    return journal


async def load_person(session: AsyncSession, account: int, person_id: str | None) -> Person | None:
    """One person of the account, or 422."""
    if person_id is None:
        return None
    person = await session.scalar(select(Person).where(Person.id_random == person_id, Person.account_id == account))
    if person is None:
        raise HTTPException(422, "No such person")
    return person


async def load_page(session: AsyncSession, query: Select[JournalEntry], limit: int, offset: int) -> dict[str, Any]:
    """A page, newest first; one row more tells whether there are more."""
    query = query.order_by(JournalEntry.entry_date.desc(), JournalEntry.id.desc()).limit(limit + 1).offset(offset)
    entries: Sequence[JournalEntry] = (await session.scalars(query)).all()
    return {"data": entries[:limit], "meta": {"limit": limit, "offset": offset, "has_more": len(entries) > limit}}


def conditions_of(wanted: EntryFilter) -> list[ColumnElement[bool]]:
    """The clauses of a search."""
    clauses: list[ColumnElement[bool]] = []
    if wanted.visibility is not None:
        clauses.append(JournalEntry.visibility == wanted.visibility)
    if wanted.entry_date is not None and wanted.entry_date.gte is not None:
        clauses.append(JournalEntry.entry_date >= wanted.entry_date.gte)
    if wanted.entry_date is not None and wanted.entry_date.lte is not None:
        clauses.append(JournalEntry.entry_date <= wanted.entry_date.lte)
    if wanted.flagged is not None:
        clauses.append(JournalEntry.flagged == wanted.flagged)
    if wanted.any_of is not None:
        clauses.append(or_(*(alternative_of(alternative) for alternative in wanted.any_of)))
    return clauses


def alternative_of(wanted: Alternative) -> ColumnElement[bool]:
    """The clause of one branch of the or."""
    clauses: list[ColumnElement[bool]] = []
    if wanted.title is not None:
        clauses.append(JournalEntry.title.icontains(wanted.title.icontains, autoescape=True))
    if wanted.priority is not None and wanted.priority.gte is not None:
        clauses.append(JournalEntry.priority >= wanted.priority.gte)
    if wanted.priority is not None and wanted.priority.lte is not None:
        clauses.append(JournalEntry.priority <= wanted.priority.lte)
    return and_(*clauses)


def etag_of(entry: JournalEntry) -> str:
    """The entity tag of an entry."""
    return f'"{entry.row_version}"'


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["AETHER_PORT"]), access_log=False, log_level="warning")
