"""Cross-checks: what single words of a registry mean together."""

from __future__ import annotations

from engine.registry.findings import Report
from engine.registry.grammar import RegistryFile
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry


def check_declarations(said: RegistryFile, report: Report) -> None:
    """What can be told without building."""


def check_registry(
    registry: Registry, said: RegistryFile, reflection: ReflectedDatabase | None, report: Report
) -> None:
    """What the built registry tells."""
