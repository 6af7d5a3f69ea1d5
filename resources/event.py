"""What YAML cannot say about events."""

from __future__ import annotations

from datetime import datetime

from engine import ErrorItem, ValidationFailed, Values


def validate(values: Values, before: Values | None) -> None:
    """An event does not end before it starts."""
    starts_on, ends_on = values.get("starts_on"), values.get("ends_on")
    if isinstance(starts_on, datetime) and isinstance(ends_on, datetime) and ends_on < starts_on:
        detail = "ends_on lies before starts_on."
        raise ValidationFailed(errors=[ErrorItem("out-of-range", detail, pointer="/ends_on")])
