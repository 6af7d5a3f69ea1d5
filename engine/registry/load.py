"""A registry file, with what it includes, made into the running registry or into every finding at once.

Reading, declaring, building and checking each go on past what is wrong; this puts
them in their order, and decides whether what came out may run.
"""

from __future__ import annotations

import gc
import glob
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath

from engine.registry.build import build_registry
from engine.registry.checks import check_declarations, check_registry
from engine.registry.declare import declare
from engine.registry.findings import Finding, Path, Place, Report, has_errors
from engine.registry.grammar import IncludedFile, RegistryFile, TypeDeclaration
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry
from engine.registry.source import Source, read_source

MAX_FILES = 1_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a registry file.

    Attributes:
        registry: The registry; None when there is an error.
        findings: All of them, sorted by line.
        target: The registry as it will be once `aether migrate` has run: None only when there are errors that no
            migration takes away. Equal to `registry` where there is nothing to migrate.
        declared: What the files say, merged, long forms throughout.
        files: The files that were read, the registry file first.
        place: Finds the place of a path of `declared`.
    """

    registry: Registry | None
    findings: tuple[Finding, ...]
    target: Registry | None
    declared: RegistryFile
    files: tuple[FilePath, ...]
    place: Callable[[Path, bool], Place | None]


def load_registry(path: FilePath, reflection: ReflectedDatabase | None = None) -> Loaded:
    """Load a registry.

    Args:
        path: The registry file.
        reflection: The database as it is; None to load without one, which leaves open what only the database says.

    Returns:
        The registry or why there is none. Nothing that a file holds makes this raise.
    """
    return _load(_Sources(path), reflection, str(path))


def load_registry_text(text: str, reflection: ReflectedDatabase | None = None, file: str = "resources.yaml") -> Loaded:
    """Load a registry that is not in a file (one that `introspect` has just written, or a test's)."""
    return _load(_Sources(FilePath(file), text.encode("utf-8", "surrogatepass")), reflection, file)


# ---------------------------------------------------------------- private


def _load(sources: _Sources, reflection: ReflectedDatabase | None, name: str) -> Loaded:
    with _collector_paused():
        report = Report(sources.place)
        declared = sources.declare(report)
        check_declarations(declared, report)
        digest = _digest(declared, reflection)
        registry = build_registry(declared, reflection, report, digest=digest, source=name)
        check_registry(registry, declared, reflection, report)
        findings = report.findings
    stops = [finding for finding in findings if finding.severity == "error" and not finding.is_mendable]
    return Loaded(
        registry=None if has_errors(findings) else registry,
        findings=findings,
        target=None if stops else registry,
        declared=declared,
        files=tuple(sources.files),
        place=sources.place,
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Nearly all that loading makes is kept, and the collector would walk it again and again: half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Sources:
    """The files of a registry, and which of them says what."""

    def __init__(self, path: FilePath, raw: bytes | None = None) -> None:
        self.path = path
        self.raw = raw
        self.files: list[FilePath] = []
        self._main: Source = read_source(b"", str(path))
        self._origins: dict[tuple[str, str], Source] = {}

    def place(self, path: Path, at_key: bool = False) -> Place | None:
        """Where a path of the merged declarations stands."""
        source = self._origins.get((str(path[0]), str(path[1])), self._main) if len(path) > 1 else self._main
        return source.place(path, at_key)

    def declare(self, report: Report) -> RegistryFile:
        """Read all files and merge what they say."""
        main = self._read(self.path, str(self.path), report)
        if main is None:
            return RegistryFile(version=1)
        self._main = main
        own = Report(main.place)
        file = declare(RegistryFile, main.value, own)
        report.take(own.findings)
        types = {name: (one, main) for name, one in file.types.items()}
        roles = dict(file.roles)
        for index, pattern in enumerate(file.include):
            self._include(pattern, ("include", index), types, roles, report)
        self._origins.update({("types", name): source for name, (_, source) in types.items()})
        return file.model_copy(update={"types": {name: one for name, (one, _) in types.items()}, "roles": roles})

    def _include(
        self,
        pattern: str,
        path: Path,
        types: dict[str, tuple[TypeDeclaration, Source]],
        roles: dict[str, list[str]],
        report: Report,
    ) -> None:
        found = self._glob(pattern)
        if not found:
            report.add("R109", path, f"`{pattern}` names no file", help="paths begin at the registry file's folder")
        for one in found:
            if len(self.files) >= MAX_FILES:
                report.add("R109", path, f"a registry of more than {MAX_FILES} files")
                return
            if one in self.files:
                continue
            source = self._read(one, self._name_of(one), report)
            if source is None or (source.value is None and not source.findings):
                continue
            own = Report(source.place)
            file = declare(IncludedFile, source.value, own)
            for type_name, said in file.types.items():
                if type_name in types:
                    first = types[type_name][1].place(("types", type_name), True)
                    note = f"it is declared in {first.file}:{first.line} as well"
                    own.add("R110", ("types", type_name), f"duplicate type `{type_name}`", notes=(note,), at_key=True)
                else:
                    types[type_name] = (said, source)
            for role, scopes in file.roles.items():
                if role in roles:
                    own.add("R110", ("roles", role), f"duplicate role `{role}`", at_key=True)
                else:
                    roles[role] = scopes
                    self._origins["roles", role] = source
            report.take(own.findings)

    def _name_of(self, path: FilePath) -> str:
        folder = self.path.parent.resolve()
        return str(self.path.parent / path.relative_to(folder)) if path.is_relative_to(folder) else str(path)

    def _glob(self, pattern: str) -> list[FilePath]:
        """Files of an include pattern, sorted; patterns begin at the registry file's folder."""
        folder = self.path.parent.resolve()
        try:
            names = sorted(glob.glob(pattern, root_dir=folder, recursive=True))
        except (ValueError, OSError):
            return []
        paths = [(folder / name).resolve() for name in names]
        return [path for path in paths if path.is_file()]

    def _read(self, path: FilePath, name: str, report: Report) -> Source | None:
        try:
            raw = self.raw if self.raw is not None and path is self.path else path.read_bytes()
        except (OSError, ValueError) as error:
            why = error.strerror or "it cannot be read" if isinstance(error, OSError) else "it is no path"
            report.take([Finding("R100", f"cannot read {name}: {why.lower()}", help="AETHER_REGISTRY names the file")])
            return None
        source = read_source(raw, name)
        self.files.append(path if path is self.path else path.resolve())
        report.take(source.findings)
        return source


def _digest(declared: RegistryFile, reflection: ReflectedDatabase | None) -> str:
    """A hash of all that was declared and reflected; comments and short forms make no difference."""
    said = json.dumps(declared.model_dump(mode="json", by_alias=True, exclude_unset=True), ensure_ascii=True)
    found = "" if reflection is None else repr(sorted(reflection.tables.items())) + reflection.dialect
    return hashlib.sha256(f"{said}\n{found}".encode("utf-8", "backslashreplace")).hexdigest()[:16]
