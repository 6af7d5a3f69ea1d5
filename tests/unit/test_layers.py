"""The house holds: which package may import which, read from the source by `ast`.

The table below is the one of `docs/architecture.md`. It has no list of exceptions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = {
    "engine.errors": 0,
    "engine.settings": 0,
    "engine.observe": 0,
    "engine.faultpoints": 0,
    "engine.light": 0,
    "engine.principal": 0,
    "engine.registry": 1,
    "engine.language": 2,
    "engine.operators": 3,
    "engine.tables": 3,
    "engine.plugins": 3,
    "engine.plan": 4,
    "engine.sql": 5,
    "engine.drawing": 5,
    "engine.render": 5,
    "engine.documents": 5,
    "engine.io": 6,
    "engine.auth": 7,
    "engine.execute": 7,
    "engine.http": 8,
    "engine": 9,  # the façade: what plug-ins may import, the dependencies of engine.http among it
    "engine.main": 9,
    "engine.cli": 10,
}
HIGHEST_PURE_LAYER = 5
PLUGINS = ("actions", "resources", "legacy_shim")
WEB = {"fastapi", "starlette"}
DRIVERS = {"asyncmy", "aiomysql", "pymysql", "sqlite3", "aiosqlite", "redis", "obstore"}
WAITING = {
    "asyncio",
    "anyio",
    "socket",
    "ssl",
    "selectors",
    "subprocess",
    "threading",
    "concurrent",
    "uvicorn",
    "httpx",
}
MOST_LINES = 400

ENGINE_FILES = sorted((ROOT / "engine").rglob("*.py"))
PLUGIN_FILES = sorted(path for name in PLUGINS for path in (ROOT / name).rglob("*.py"))
OUR_FILES = [*ENGINE_FILES, *PLUGIN_FILES, *sorted((ROOT / "bench").rglob("*.py"))]

each_engine_file = pytest.mark.parametrize("path", ENGINE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
each_file = pytest.mark.parametrize("path", OUR_FILES, ids=lambda path: str(path.relative_to(ROOT)))


@each_engine_file
def test_a_file_imports_its_own_package_and_lower_layers_only(path: Path) -> None:
    room, layer = _room(_module_of(path))
    wrong = [
        f"line {line}: {module} (layer {_room(module)[1]}) from {room} (layer {layer})"
        for line, module in _imports(path)
        if module.split(".")[0] == "engine" and _room(module)[0] != room and _room(module)[1] >= layer
    ]
    assert not wrong


@each_engine_file
def test_the_engine_never_imports_a_plug_in(path: Path) -> None:
    assert not [module for _, module in _imports(path) if module.split(".")[0] in PLUGINS]


@each_engine_file
def test_only_http_knows_the_web_framework_and_only_io_the_drivers(path: Path) -> None:
    room, _ = _room(_module_of(path))
    roots = {module.split(".")[0] for _, module in _imports(path)}
    assert room == "engine.http" or not roots & WEB
    assert room == "engine.io" or not roots & DRIVERS
    dialects = [module for _, module in _imports(path) if module.startswith("sqlalchemy.ext.asyncio")]
    assert room == "engine.io" or not dialects


@each_engine_file
def test_a_pure_layer_never_waits(path: Path) -> None:
    _, layer = _room(_module_of(path))
    if layer > HIGHEST_PURE_LAYER:
        return
    waits = [
        f"line {node.lineno}"
        for node in ast.walk(_tree(path))
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith))
    ]
    assert not waits
    assert not {module.split(".")[0] for _, module in _imports(path)} & WAITING


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_plug_in_imports_nothing_of_the_engine_but_its_facade(path: Path) -> None:
    own = _module_of(path).split(".")[0]
    ours = {module for _, module in _imports(path) if module.split(".")[0] in {"engine", *PLUGINS}}
    assert not [module for module in ours if module != "engine" and module.split(".")[0] != own]


@each_file
def test_no_import_hides_in_a_function(path: Path) -> None:
    hidden = [
        f"line {inner.lineno}"
        for node in ast.walk(_tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for inner in ast.walk(node)
        if isinstance(inner, (ast.Import, ast.ImportFrom)) or _is_call_of(inner, "__import__")
    ]
    assert not hidden


@each_file
def test_a_file_is_one_room(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES, f"{lines} lines"
    if lines:
        assert ast.get_docstring(_tree(path)), "no docstring that says what the file owns"


@each_file
def test_imports_are_absolute(path: Path) -> None:
    assert not [node.lineno for node in ast.walk(_tree(path)) if isinstance(node, ast.ImportFrom) and node.level]


@each_engine_file
def test_no_type_of_the_shipped_registry_is_named_inside_the_engine(path: Path) -> None:
    types = {"journal", "journal_entry", "event_file", "event_session", "event_presentation", "event_presenter"}
    types |= {"event_badge", "event_badge_template", "hosted_file"}
    named = {
        (node.value, node.lineno)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in types
    }
    assert not named


def test_every_file_of_the_engine_has_a_layer() -> None:
    assert [str(path) for path in ENGINE_FILES if _room(_module_of(path))[1] < 0] == []


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> tuple[str, int]:
    """The package (or single file) of the table that a module belongs to, and its layer; -1 when there is none."""
    room = ".".join(module.split(".")[:2])
    return room, LAYERS.get(room, -1)


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, `if TYPE_CHECKING` included.

    ``from engine import errors`` is an import of ``engine.errors`` when there is such a file.
    """
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if _is_module(inner) else node.module


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path.is_dir() and (path / "__init__.py").is_file())


def _is_call_of(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
