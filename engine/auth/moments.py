"""Moments in the engine's own tables: aware here, naive UTC there, and text on SQLite."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.io.storage import Dialect


def store_moment(moment: datetime | float, dialect: Dialect) -> object:
    """A moment (aware, or Unix time in seconds) as its column takes it."""
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    naive = moment.astimezone(UTC).replace(tzinfo=None)
    return naive if dialect == "mariadb" else naive.isoformat(" ", "microseconds")


def read_moment(value: object) -> datetime | None:
    """A moment as its column gave it, aware; None for NULL."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None
