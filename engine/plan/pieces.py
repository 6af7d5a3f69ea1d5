"""Pieces of a condition's shape: how they are joined, and what planning one needs of the walk around it."""

from __future__ import annotations

from typing import Protocol

from engine.plan.shape import And, Condition, Const, Or, PlanContext

# The only constants that planning makes, so that `is` tells them from everything else.
TRUE, FALSE = Const(True), Const(False)


class Planning(Protocol):
    """What a leaf needs of the walk it belongs to.

    Attributes:
        values: Grows by each leaf's values, in the order of the shape.
        max_in: Most values of a list.
    """

    context: PlanContext
    values: list[object]
    max_in: int

    def count_leaf(self) -> None:
        """Count one more leaf against the registry's limit."""
        ...


def pad(values: list[object]) -> None:
    """Lengthen a list to 1, 2, 4, … by repeating its last value, so that few arities exist."""
    count = len(values)
    width = 1 << (count - 1).bit_length()
    if width > count:
        values.extend([values[-1]] * (width - count))


def join(parts: list[Condition], *, is_and: bool) -> Condition:
    """Join parts that are already negated where they must be."""
    if len(parts) == 1:
        return parts[0]
    if is_and:
        parts = [part for part in parts if part is not TRUE]
        return TRUE if not parts else parts[0] if len(parts) == 1 else And(tuple(parts))
    parts = [part for part in parts if part is not FALSE]
    return FALSE if not parts else parts[0] if len(parts) == 1 else Or(tuple(parts))
