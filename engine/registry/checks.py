"""All cross-checks of a registry, in their order: what its words mean together.

Before building: the ties between types (`check_ties.py`). After it: names of fields
(`check_words.py`), rights and row rules (`check_rights.py`), who signs in (`check_sign_in.py`), advice (`advice.py`).
"""

from __future__ import annotations

from engine.registry.advice import advise
from engine.registry.check_rights import check_rights
from engine.registry.check_sign_in import check_sign_in
from engine.registry.check_ties import check_ties
from engine.registry.check_words import check_words, uncertain_types
from engine.registry.findings import Report
from engine.registry.grammar import RegistryFile
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry


def check_declarations(said: RegistryFile, report: Report) -> None:
    """Report what is wrong with the declarations, whatever the database."""
    check_ties(said, report)


def check_registry(
    registry: Registry, said: RegistryFile, reflection: ReflectedDatabase | None, report: Report
) -> None:
    """Report what is wrong with the registry that was built.

    Args:
        registry: As it was built, errors or not.
        said: The declarations it was built of.
        reflection: The database it was built on; without one, columns may exist that nobody has declared.
        report: Takes the findings.
    """
    uncertain = uncertain_types(said, reflection)
    check_words(registry, said, reflection, uncertain, report)
    check_rights(registry, said, uncertain, report)
    check_sign_in(registry, said, uncertain, report)
    advise(registry, said, reflection, report)
