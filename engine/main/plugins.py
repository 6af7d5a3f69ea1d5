"""Plug-ins of a start: `actions/` and `resources/` beside the registry file, else those that are shipped.

They are found by name, imported, and matched with the registry; what is wrong with them are findings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.io.discover import Discovered, find_plugins
from engine.plugins.actions import Action, check_actions, collect_actions
from engine.plugins.overrides import Overrides, collect_overrides
from engine.plugins.workers import Worker, check_workers, collect_workers
from engine.registry.findings import Finding, Place
from engine.registry.resource import Registry
from engine.settings import Settings

SHIPPED = Path(__file__).parents[2]
PLUGIN_FAULT = "R601"


@dataclass(frozen=True, slots=True)
class Plugins:
    """What was found beside the registry."""

    overrides: Mapping[str, Overrides]
    actions: tuple[Action, ...]
    workers: tuple[Worker, ...] = ()


def find_all_plugins(settings: Settings, registry: Registry) -> tuple[Plugins, tuple[Finding, ...]]:
    """Import the plug-ins and match them with the registry.

    Returns:
        The plug-ins, and what is wrong with them.
    """
    findings: list[Finding] = []
    overrides: dict[str, Overrides] = {}
    directory = plugin_directory(settings, "resources")
    # Another registry may have a type of the same name with other fields: what is shipped serves as far as it fits.
    is_shipped = directory == SHIPPED / "resources" and settings.registry.resolve().parent != SHIPPED
    found = find_plugins(directory)
    findings.extend(_broken_findings(found))
    for name, module in found.modules.items():
        if name in registry.types:
            overrides[name] = collect_overrides(module, registry.types[name], registry)
            if not is_shipped:
                findings.extend(_plugin_finding(misfit.source, misfit.detail) for misfit in overrides[name].misfits)
    for name, resource in registry.types.items():
        for field in resource.fields.values():
            if field.computed and field.name not in (overrides[name].computed if name in overrides else ()):
                detail = f"{name}.{field.name} is computed, and no resources/{name}.py defines `{field.name}(row)`"
                findings.append(_plugin_finding("", detail))
    found = find_plugins(plugin_directory(settings, "actions"))
    findings.extend(_broken_findings(found))
    declared = [action for module in found.modules.values() for action in collect_actions(module, registry)]
    actions, faults = check_actions(declared, registry)
    findings.extend(faults)
    wanted = [worker for module in found.modules.values() for worker in collect_workers(module)]
    workers, faults = check_workers(wanted, registry)
    findings.extend(faults)
    return Plugins(overrides, tuple(actions), workers), tuple(findings)


def plugin_directory(settings: Settings, name: str) -> Path:
    """Where plug-ins of a sort are: beside the registry file, else with the product."""
    beside = settings.registry.resolve().parent / name
    return beside if beside.is_dir() else SHIPPED / name


def _broken_findings(found: Discovered) -> list[Finding]:
    return [_plugin_finding(f"{one.path}:{one.line}", one.reason) for one in found.broken]


def _plugin_finding(source: str, detail: str) -> Finding:
    path, _, line = source.rpartition(":")
    return Finding(PLUGIN_FAULT, detail, Place(path, int(line), 1) if line.isdigit() else None)
