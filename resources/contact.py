"""What YAML cannot say about contacts."""

from __future__ import annotations

from engine import Values, Writer


def default_label(caller: Writer, values: Values) -> str:
    """A contact without a label is labelled by its kind."""
    return str(values.get("kind", "contact")).capitalize()
