"""A compiled statement, and how SQLAlchemy constructs become one.

Statements are compiled once per shape. What remains for each call is to put the
values into the order of the binds: `Statement.arrange`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, cast

from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine.interfaces import Dialect as SqlDialect
from sqlalchemy.sql.elements import ClauseElement

from engine.plan.shape import Dialect

DIALECTS: Mapping[Dialect, SqlDialect] = {
    "mariadb": cast("Callable[..., SqlDialect]", mysql.dialect)(paramstyle="format", is_mariadb=True),
    "sqlite": cast("Callable[..., SqlDialect]", sqlite.dialect)(paramstyle="qmark"),
}


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text for one dialect, and which value stands at which placeholder.

    Attributes:
        text: With ``%s`` (percent signs doubled) or ``?``.
        binds: The name of the value of each placeholder, in order.
        guarded: Types whose row rules the statement holds; their values must be given too.
        arrange: Puts a mapping of values into the order of the placeholders.
    """

    text: str
    binds: tuple[str, ...]
    guarded: tuple[str, ...] = ()
    arrange: Callable[[Mapping[str, object]], tuple[object, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arrange", _arranger(self.binds))


def compile_statement(construct: ClauseElement, dialect: Dialect, guarded: tuple[str, ...] = ()) -> Statement:
    """Compile a SQLAlchemy construct for a dialect.

    Args:
        construct: A select, insert, update or delete whose binds all have names of ours.
        dialect: For which database.
        guarded: See `Statement.guarded`.
    """
    compiled = cast(Any, construct).compile(
        dialect=DIALECTS[dialect], compile_kwargs={"render_postcompile": True, "literal_binds": False}
    )
    return Statement(str(compiled), tuple(compiled.positiontup or ()), guarded)


def _arranger(binds: tuple[str, ...]) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
    if not binds:
        return lambda values: ()
    if len(binds) == 1:
        name = binds[0]
        return lambda values: (values[name],)
    return cast("Callable[[Mapping[str, object]], tuple[object, ...]]", itemgetter(*binds))
