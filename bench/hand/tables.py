"""The four tables as a hand-written service maps them: SQLAlchemy 2 declarative classes."""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, Integer, Numeric, String, Text
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

RowId = BigInteger().with_variant(Integer(), "sqlite")
Instant = DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")


def make_public_id() -> str:
    """Draw a new public id: 22 characters."""
    return secrets.token_urlsafe(16)


def utc_now() -> datetime:
    """The present moment as the tables store it: naive, in UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    """What all tables share."""

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    id_random: Mapped[str] = mapped_column(String(22), unique=True, default=make_public_id)
    row_version: Mapped[int] = mapped_column(BigInteger, default=1)
    created_on: Mapped[datetime] = mapped_column(Instant, default=utc_now)
    updated_on: Mapped[datetime] = mapped_column(Instant, default=utc_now, onupdate=utc_now)


class Account(Base):
    """A tenant."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(String(200))


class Person(Base):
    """Somebody whom an entry is about."""

    __tablename__ = "person"

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(String(200))


class Journal(Base):
    """A journal of an account."""

    __tablename__ = "journal"

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(String(200))


class JournalEntry(Base):
    """An entry of a journal. Its version is compared and raised by every update."""

    __tablename__ = "journal_entry"

    row_version: Mapped[int] = mapped_column(BigInteger)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    journal_id: Mapped[int] = mapped_column(ForeignKey("journal.id"))
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str | None] = mapped_column(Text, deferred=True)
    entry_date: Mapped[date | None]
    visibility: Mapped[str] = mapped_column(String(7), default="private")
    priority: Mapped[int] = mapped_column(default=0)
    tags: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    amount: Mapped[Decimal | None] = mapped_column(Numeric(15, 2))
    flagged: Mapped[bool] = mapped_column(default=False)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    account: Mapped[Account] = relationship()
    journal: Mapped[Journal] = relationship()
    person: Mapped[Person | None] = relationship()

    __mapper_args__ = {"version_id_col": row_version}  # noqa: RUF012 - SQLAlchemy's own spelling
    __table_args__ = (
        Index("journal_entry_account_sort", "account_id", "entry_date", "id"),
        Index("journal_entry_journal_sort", "journal_id", "entry_date"),
    )
