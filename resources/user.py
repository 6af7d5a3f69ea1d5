"""What YAML cannot say about users."""

from __future__ import annotations

import logging

from engine import Written

_LOG = logging.getLogger("resources.user")


def after_commit(change: Written) -> None:
    """Who may sign in is worth a line of its own in the log."""
    was = change.before.get("enable") if change.before else None
    now = change.after.get("enable") if change.after else None
    if change.verb != "update" or was != now:
        _LOG.info("user %s: %s, enabled %s -> %s", change.id, change.verb, was, now)
