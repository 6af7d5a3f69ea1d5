"""What YAML cannot say about posts."""

from __future__ import annotations

from datetime import UTC, datetime

from engine import Values, Writer


def before_create(values: Values, caller: Writer) -> Values | None:
    """A post that is published without a time is published now."""
    return _published_now(values)


def before_update(values: Values, before: Values, caller: Writer) -> Values | None:
    """The same when a draft becomes public."""
    return None if before["published_on"] else _published_now(values)


def _published_now(values: Values) -> Values | None:
    if values.get("status") != "published" or values.get("published_on"):
        return None
    return {"published_on": datetime.now(UTC).replace(tzinfo=None)}
