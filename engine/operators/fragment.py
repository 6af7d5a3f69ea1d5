"""SQL that SQLAlchemy has no construct for, and what an operator is applied to.

`sql` puts expressions into a template. Templates are constants of this package:
nothing that a caller wrote is ever part of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from engine.registry.resource import Field

Dialect = Literal["mariadb", "sqlite"]

_SLOT = re.compile(r"\{(\d+)\}")
_TEXT_KINDS = frozenset({"string", "text", "email", "uri", "uuid", "enum", "id", "relation"})


class Fragment(ColumnElement[Any]):
    """A template with expressions in its slots ``{0}``, ``{1}`` …"""

    inherit_cache = False
    __visit_name__ = "aether_fragment"

    def __init__(self, template: str, parts: tuple[ColumnElement[Any], ...]) -> None:
        self.template = template
        self.parts = parts


@compiles(Fragment)
def _compile_fragment(element: Fragment, compiler: SQLCompiler, **options: Any) -> str:
    # Each use of a slot is compiled anew: a bind in it takes its place in the order of placeholders once more.
    def fill(match: re.Match[str]) -> str:
        return str(compiler.process(element.parts[int(match.group(1))], **options))

    return _SLOT.sub(fill, element.template)


def sql(template: str, *parts: ColumnElement[Any]) -> ColumnElement[Any]:
    """An expression from a template of ours."""
    return Fragment(template, parts)


@dataclass(frozen=True, slots=True)
class Subject:
    """What an operator is applied to.

    Attributes:
        expr: The column; for ids the public-id column of what the field points at.
        field: The field, for its kind, scale, charset and exactness.
        function: The function of the path, applied to `expr` by `build_function`; None = none.
        zone: IANA time zone of the function, checked; None = UTC.
        dialect: For which database.
        stored: The column as it is, where `expr` is made of it and an index over it may narrow a search
            (`found.py`); else None.
        stored_as: How that column stores its values.
    """

    expr: ColumnElement[Any]
    field: Field
    function: str | None
    zone: str | None
    dialect: Dialect
    stored: ColumnElement[Any] | None = None
    stored_as: str = "native"

    @property
    def is_text(self) -> bool:
        """Whether the value, after the function, is text."""
        return self.function == "lower" or (self.function is None and self.field.kind in _TEXT_KINDS)

    @property
    def is_json(self) -> bool:
        """Whether the value is a JSON document."""
        return self.function is None and self.field.kind == "json"

    @property
    def is_exact(self) -> bool:
        """Whether ``=`` on the expression as it is compares byte for byte.

        A relation's id stands in another type's column, whose collation this field does not know.
        """
        return not self.is_text or self.function is not None or (self.field.is_exact and self.field.kind != "relation")


def unicode_of(subject: Subject) -> ColumnElement[Any]:
    """The text in a charset that every operand can be compared with."""
    if subject.dialect == "sqlite" or subject.field.charset == "utf8mb4":
        return subject.expr
    return sql("CONVERT({0} USING utf8mb4)", subject.expr)


def exact_of(subject: Subject) -> ColumnElement[Any]:
    """The text so that it compares byte for byte, trailing spaces included."""
    if subject.is_exact:
        return subject.expr
    if subject.dialect == "sqlite":
        return sql("({0} COLLATE BINARY)", subject.expr)
    return sql("({0} COLLATE utf8mb4_nopad_bin)", unicode_of(subject))


def folded_of(subject: Subject) -> ColumnElement[Any]:
    """The text as `text.fold` makes it. MariaDB's plain LOWER differs from that at hundreds of characters."""
    if subject.dialect == "sqlite":
        return sql("aether_fold({0})", subject.expr)
    return sql(
        "(LOWER(CONVERT({0} USING utf8mb4) COLLATE utf8mb4_uca1400_as_ci) COLLATE utf8mb4_nopad_bin)", subject.expr
    )


def is_not_true(clause: ColumnElement[Any]) -> ColumnElement[Any]:
    """True where the clause is false or NULL. It switches indexes off: only for what has no complement."""
    return sql("(({0}) IS NOT TRUE)", clause)
