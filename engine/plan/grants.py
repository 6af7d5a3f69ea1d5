"""Which scopes a caller may give to a key: those that he has, as far as scopes can say what he has.

A role may narrow its holder to some rows of a type (`rows`); scopes cannot. So what a row rule narrows cannot be given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.plan.rights import NAMED_ONLY, VERBS, WRITE_VERBS, Rights, Verb

EVERY = "*"

_SCOPE = re.compile(r"(?:\*|[a-z][a-z0-9_]*):(?:\*|[a-z0-9][a-z0-9_.-]*)")
_WORDS: dict[str, tuple[Verb, ...]] = {
    EVERY: VERBS,
    "write": tuple(verb for verb in VERBS if verb in WRITE_VERBS),
    **{verb: (verb,) for verb in VERBS},
}


def is_scope(text: str) -> bool:
    """Whether a text has the form of a scope."""
    subject, _, verb = text.partition(":")
    return _SCOPE.fullmatch(text) is not None and (subject in NAMED_ONLY or verb in _WORDS)


def may_grant(scope: str, rights: Rights) -> bool:
    """Whether all that a scope opens is open to the caller: by his scopes, and in all rows.

    A type that he does not see is like one that does not exist.
    """
    subject, _, word = scope.partition(":")
    if subject in NAMED_ONLY:
        return rights.has_scope(scope)
    if subject != EVERY and not rights.sees(subject):
        return False
    if not all(rights.has_scope(f"{subject}:{verb}") for verb in _WORDS.get(word, (word,))):
        return False
    touched: Iterable[str] = rights.registry.types if subject == EVERY else (subject,)
    return not any(rights.rule(name) for name in touched)
