"""What YAML cannot say about mails: only the action that sends them writes them."""

from __future__ import annotations

from engine import Forbidden, Values, Writer


def before_create(values: Values, caller: Writer) -> None:
    """A mail without recipients was not made by the action: nothing else can give it any."""
    if not values.get("to"):
        raise Forbidden("Mail is written by POST /v3/action/email/send alone.")
