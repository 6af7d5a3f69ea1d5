"""Finding the plug-ins: the Python files of a directory, each imported under a name of its own.

What a file declares is read by `plugins/`; which directory serves is decided by `main/`.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A file that could not be imported.

    Attributes:
        path: The file.
        line: Where in it the import failed; 1 where nothing better is known.
        reason: What went wrong, without a traceback.
    """

    path: Path
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a directory holds: modules by file name without ``.py``, and the files that are broken."""

    modules: dict[str, ModuleType]
    broken: tuple[BrokenPlugin, ...]


def find_plugins(directory: Path) -> Discovered:
    """Import the plug-ins of a directory, in the order of their names.

    Args:
        directory: Its files that end with ``.py`` and do not begin with ``_`` are plug-ins. It may be absent.
    """
    modules: dict[str, ModuleType] = {}
    broken: list[BrokenPlugin] = []
    for path in sorted(directory.glob("[!_]*.py")):
        name = f"aether_{directory.name}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            broken.append(BrokenPlugin(path, _line_of(error, path), f"{type(error).__name__}: {error}"))
        else:
            modules[path.stem] = module
    return Discovered(modules, tuple(broken))


def _line_of(error: Exception, path: Path) -> int:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines[-1] if lines else None) or 1
