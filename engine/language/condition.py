"""The words of a filter: field expressions, operators and logical keys, as strings alone.

Which fields and operators exist is not known here; see `plan/conditions.py` and
`operators/`. Everything is pure on strings and memoised, since the same few
words come with every request; long ones are not, for a memo keeps them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

LOGICAL = frozenset({"and", "or", "not"})
QUANTIFIERS = frozenset({"any", "all", "none", "count"})
# What may be asked of a to-one relation itself.
ABSENCE = frozenset({"null", "nnull"})
MAX_EXPRESSION = 400
MAX_WORD = 40

SYNONYMS = {
    "neq": "ne",
    "notIn": "nin",
    "not_in": "nin",
    "is_null": "null",
    "isNull": "null",
    "notNull": "nnull",
    "not_null": "nnull",
    "is_not_null": "nnull",
    "notEmpty": "nempty",
    "not_empty": "nempty",
    "some": "any",
    "every": "all",
    "eqi": "ieq",
    "nei": "ine",
    "containsi": "icontains",
    "startsWith": "starts_with",
    "startsWithi": "istarts_with",
    "endsWith": "ends_with",
    "endsWithi": "iends_with",
    "notContains": "ncontains",
    "notContainsi": "nicontains",
    "notBetween": "nbetween",
    "not_between": "nbetween",
}

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_EXPRESSION = re.compile(rf"(?:({_NAME})\(({_NAME}(?:\.{_NAME})*)\)|({_NAME}(?:\.{_NAME})*))")


@dataclass(frozen=True, slots=True)
class Expression:
    """A field expression taken apart.

    Attributes:
        function: Name before the brackets, not known to be a function, or None.
        names: The dotted names: relations, then a field or relation.
    """

    function: str | None
    names: tuple[str, ...]


def split_expression(text: str) -> Expression | None:
    """Take ``a.b.c`` or ``func(a.b)`` apart; None where it is neither."""
    return _split(text) if len(text) <= MAX_EXPRESSION else None


@lru_cache(maxsize=4096)
def _split(text: str) -> Expression | None:
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        return None
    function, inner, plain = match.groups()
    return Expression(function, tuple((inner or plain).split(".")))


def normalise_word(word: str) -> str:
    """Drop one leading ``_`` or ``$`` of an operator or logical key and map its synonyms.

    ``_and`` → ``and``, ``$notIn`` → ``nin``, ``containsi`` → ``icontains``. An unknown word comes back without its
    mark. A negated form that is no operator of its own (``ncontains``) stays as it is; see `positive_form`.
    """
    bare = word[1:] if word[:1] in ("_", "$") else word
    return SYNONYMS.get(bare, bare)


def positive_form(word: str) -> str | None:
    """What a normalised negated form negates: ``ncontains`` → ``contains``, ``nnull`` → ``null``; None for others."""
    if 2 < len(word) <= MAX_WORD and word[0] == "n":
        return normalise_word(word[1:])
    return None
