"""Text as the operators see it: folding, words, patterns, and the SQL that does the same.

Pure functions on strings; the same functions are given to SQLite, so that both
databases and Python agree on every character.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Each `%` lets a database try every place of a text once more.
MAX_WILDCARDS = 200
_WILDCARDS = re.compile("%+")
# What MariaDB's regular expressions (PCRE) call a letter, mark, digit or `_`; `split_words` says the same in Python.
_WORD_CLASS = r"[\p{L}\p{M}\p{Nd}_]"


def fold(text: str) -> str:
    """Lower-case each character alone, as the ``i…`` operators and ``q`` compare text.

    Python's own `lower` differs from that at two characters: it looks at the neighbours of a capital sigma, and makes
    two characters of ``İ``.
    """
    if text.isascii():
        return text.lower()
    return text.replace("Σ", "σ").replace("İ", "i").lower()


def split_words(text: str) -> list[str]:
    """The maximal runs of letters, marks, digits and ``_``."""
    return "".join(char if is_word_char(char) else " " for char in text).split(" ") if text else []


@lru_cache(maxsize=65_536)
def is_word_char(char: str) -> bool:
    """Whether a character belongs to a word."""
    category = unicodedata.category(char)
    return category[0] in "LM" or category == "Nd" or char == "_"


def has_word(folded: str, word: str) -> bool:
    """Whether a folded text holds a folded word as a whole word."""
    place = folded.find(word)
    while place >= 0:
        end = place + len(word)
        before = place > 0 and is_word_char(folded[place - 1])
        if not before and not (end < len(folded) and is_word_char(folded[end])):
            return True
        place = folded.find(word, place + 1)
    return False


def word_regexp(word: str) -> str:
    """What finds a folded whole word by REGEXP in MariaDB. No character of a word has a meaning of its own there."""
    return f"(?<!{_WORD_CLASS}){word}(?!{_WORD_CLASS})"


def escape_like(text: str) -> str:
    """Make ``%`` and ``_`` ordinary letters under ``ESCAPE '!'``."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def read_pattern(pattern: str) -> tuple[str, ...]:
    r"""Take a ``like`` pattern apart: ``%`` and ``_`` as themselves, all else as ``=`` and the literal text.

    ``\`` makes the next character literal; at the end it is itself. Runs of ``%`` become one.
    """
    tokens: list[str] = []
    literal: list[str] = []
    is_escaped = False
    for char in pattern:
        if is_escaped:
            literal.append(char)
            is_escaped = False
        elif char == "\\":
            is_escaped = True
        elif char in "%_":
            if literal:
                tokens.append("=" + "".join(literal))
                literal = []
            if char == "_" or not tokens or tokens[-1] != "%":
                tokens.append(char)
        else:
            literal.append(char)
    if is_escaped:
        literal.append("\\")
    if literal:
        tokens.append("=" + "".join(literal))
    return tuple(tokens)


class PatternTooComplex(ValueError):
    """A `like` operand with more wildcards than a database should be asked to try."""


def check_pattern(pattern: str) -> None:
    """Refuse a `like` operand with too many wildcards; a run of ``%`` is one.

    Raises:
        PatternTooComplex: There are more than `MAX_WILDCARDS`.
    """
    if pattern.count("%") > MAX_WILDCARDS and len(_WILDCARDS.findall(pattern)) > MAX_WILDCARDS:
        raise PatternTooComplex(f"A pattern takes at most {MAX_WILDCARDS} runs of %.")


def like_pattern(pattern: str) -> str:
    """A ``like`` operand as MariaDB takes it under ``ESCAPE '!'``."""
    return "".join(token if token in ("%", "_") else escape_like(token[1:]) for token in read_pattern(pattern))


def is_like(pattern: str, text: str) -> bool:
    """Whether a whole text has the form of a ``like`` pattern, in time that the pattern cannot blow up.

    Between two ``%`` the leftmost match is always good enough, so nothing is tried twice.
    """
    pieces, open_start, open_end = _pieces(pattern)
    place = 0
    last = len(pieces) - 1
    for index, (piece, length) in enumerate(pieces):
        if index == 0 and not open_start:
            if index == last and not open_end:
                return piece.fullmatch(text) is not None
            match = piece.match(text)
        elif index == last and not open_end:
            start = len(text) - length
            return start >= place and piece.match(text, start) is not None
        else:
            match = piece.search(text, place)
        if match is None:
            return False
        place = match.end()
    return bool(pieces) or open_start or not text


@lru_cache(maxsize=16)
def _pieces(pattern: str) -> tuple[tuple[tuple[re.Pattern[str], int], ...], bool, bool]:
    """The parts between ``%``, each of a fixed length, and whether the pattern begins and ends with ``%``."""
    tokens = read_pattern(pattern)
    pieces: list[tuple[re.Pattern[str], int]] = []
    source, length = "", 0
    for token in (*tokens, "%"):
        if token == "%":
            if source:
                pieces.append((re.compile(source, re.DOTALL), length))
            source, length = "", 0
        elif token == "_":
            source, length = source + ".", length + 1
        else:
            source, length = source + re.escape(token[1:]), length + len(token) - 1
    return tuple(pieces), tokens[:1] == ("%",), tokens[-1:] == ("%",)


# ---------------------------------------------------------------- what SQLite calls


def sqlite_fold(value: object) -> str | None:
    """``aether_fold(text)``."""
    return None if value is None else fold(value if isinstance(value, str) else str(value))


def sqlite_has_word(value: object, word: object) -> int | None:
    """``aether_word(folded text, folded word)``."""
    return None if value is None else int(has_word(str(value), str(word)))


def sqlite_is_like(pattern: object, value: object) -> int | None:
    """``aether_like(pattern, text)``."""
    return None if value is None else int(is_like(str(pattern), value if isinstance(value, str) else str(value)))
