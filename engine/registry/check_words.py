"""Checks of the names of fields that a type's words give: display, search, sort, list, groups, indexes, files.

Without a database, columns may exist that nobody has declared. Then a name that is
no field is an error only where the type declares its fields in full.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.registry.families import FAMILIES, FUNCTIONS
from engine.registry.findings import Path, Report, suggest
from engine.registry.finish import slots_of
from engine.registry.grammar import IndexDeclaration, RegistryFile, TypeDeclaration
from engine.registry.kinds import KINDS
from engine.registry.parsing import max_chars_of
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Field, Registry, Resource
from engine.registry.search import SHORT_WORDS, is_askable, read_sort_key, unknown_words

MAX_INDEX_BYTES = 3_072
BYTES_PER_CHAR = 4

_EXPRESSION = re.compile(r"(?:([a-z]+)\(([a-z0-9_.]+)\)|([a-z0-9_.]+))", re.ASCII)
_BRACE = re.compile(r"[{}]")


def check_words(
    registry: Registry,
    said: RegistryFile,
    reflection: ReflectedDatabase | None,
    uncertain: frozenset[str],
    report: Report,
) -> None:
    """Report names that are no fields, and fields that cannot be used so."""
    for name, one in said.types.items():
        is_declared = any(field.type or field.enum is not None or field.ref for field in one.fields.values())
        if reflection is not None and not registry.types[name].is_reflected and not is_declared:
            continue  # its table is missing, and that is said already
        checker = _Checker(registry, registry.types[name], one, uncertain, report)
        checker.check_display()
        checker.check_lists()
        checker.check_search()
        checker.check_sort()
        checker.check_indexes()
        checker.check_files()
        checker.check_names()


def uncertain_types(said: RegistryFile, reflection: ReflectedDatabase | None) -> frozenset[str]:
    """Types whose tables may have columns that nobody has declared: without a database, nobody knows."""
    if reflection is not None:
        return frozenset()
    return frozenset(name for name, one in said.types.items() if not _is_declared_in_full(one))


def _is_declared_in_full(said: TypeDeclaration) -> bool:
    typed = [bool(field.type or field.enum is not None or field.ref) for field in said.fields.values()]
    plain = [field for field in said.fields.values() if field.ref is None]
    return bool(plain) and all(typed)


@dataclass(frozen=True, slots=True)
class _Checker:
    """One type's words."""

    registry: Registry
    resource: Resource
    said: TypeDeclaration
    uncertain: frozenset[str]
    report: Report

    def check_display(self) -> None:
        """Templates name readable fields."""
        said, path = self.said.display, ("types", self.resource.name, "display")
        if said is None:
            return
        for key, template in (("title", said.title), ("subtitle", said.subtitle)):
            if template is None:
                continue
            names = slots_of(template)
            rest = template
            for name in names:
                rest = rest.replace(f"{{{name}}}", "")
                self._shown(name, (*path, key))
            if _BRACE.search(rest):
                message = f"`{template[:60]}` is no template"
                self.report.add("R107", (*path, key), message, help="fields stand in braces: {name}")
        for index, name in enumerate(said.lookup or ()):
            field = self._field(name, (*path, "lookup", index))
            if field is not None and "icontains" not in field.operators:
                message = f"{name} cannot be looked up: `search` does not give it icontains"
                self.report.add("R208", (*path, "lookup", index), message, help=f"name {name} under `search:`")

    def check_lists(self) -> None:
        """`list` and `groups` name readable fields, a field stands in one group."""
        path: Path = ("types", self.resource.name)
        for index, name in enumerate(self.said.list_ or ()):
            self._shown(name, (*path, "list", index))
        seen: dict[str, str] = {}
        for group, said in (self.said.groups or {}).items():
            for index, name in enumerate(said.fields):
                at = (*path, "groups", group, "fields", index)
                if self._field(name, at) is not None and seen.setdefault(name, group) != group:
                    self.report.add("R111", at, f"{name} stands in the groups {seen[name]} and {group}")

    def check_search(self) -> None:
        """`search` names fields that can be asked, and operators of their kinds."""
        for name, words in (self.said.search or {}).items():
            path: Path = ("types", self.resource.name, "search", name)
            relation = self.resource.relations.get(name)
            if relation is not None and relation.kind == "one":
                continue
            field = self._field(name, path, at_key=True)
            if field is None:
                continue
            if not is_askable(field):
                why = "computed" if field.computed else "binary" if field.kind == "binary" else "not readable"
                message = f"{name} is {why}, so nobody can search by it"
                self.report.add("R207", path, message, at_key=True, help="take it out of `search`")
                continue
            known = (*FAMILIES[KINDS[field.kind].family], *SHORT_WORDS)
            for index, word in enumerate(words):
                if unknown_words(field, [word]):
                    message = f"`{word}` is no operator of {name}, which is {field.kind}"
                    help_ = f"it takes {', '.join(FAMILIES[KINDS[field.kind].family])}"
                    self.report.add("R207", (*path, index), message, label=suggest(word, known), help=help_)

    def check_sort(self) -> None:
        """Sort keys name sortable fields of this type or behind to-one relations."""
        for index, text in enumerate(self.said.sort or ()):
            path: Path = ("types", self.resource.name, "sort", index)
            match = _EXPRESSION.fullmatch(read_sort_key(text).expression)
            if match is None or text.partition(":")[2] not in ("", "nulls_first", "nulls_last"):
                self.report.add("R107", path, f"`{text}` is no sort key", help="such as name, -created_on, owner.name")
                continue
            function, inner, plain = match.groups()
            if function == "count":
                many = self.resource.relations.get(inner)
                if many is None or many.kind != "many":
                    self.report.add("R202", path, f"{self.resource.name} has no to-many relation `{inner}` to count")
                continue
            if function is not None and (function != "lower" or function not in FUNCTIONS):
                self.report.add("R208", path, f"nothing sorts by {function}()", help="`lower(field)` is the only one")
                continue
            self._check_sorted(inner or plain, path)

    def check_indexes(self) -> None:
        """Indexes name fields that have columns, and are not too long for MariaDB."""
        for key, declared in (("unique", self.said.unique), ("indexes", self.said.indexes)):
            for index, one in enumerate(declared or ()):
                self._check_index(key, one, ("types", self.resource.name, key, index))
        for name, said in self.said.fields.items():
            key = "unique" if said.unique else "index" if said.index else ""
            if key and name in self.resource.fields:
                path: Path = ("types", self.resource.name, "fields", name, key)
                self._check_bytes([self.resource.fields[name]], path)

    def check_files(self) -> None:
        """`file`, `resolves_to` and `legacy.fields` name the right fields."""
        path: Path = ("types", self.resource.name)
        if self.said.file is not None:
            for key in ("digest", "size", "type", "name"):
                field = self._field(getattr(self.said.file, key), (*path, "file", key))
                wanted = ("integer", "bigint") if key == "size" else ("string",)
                if field is not None and field.kind not in wanted:
                    message = f"the {key} of a file is {' or '.join(wanted)}, {field.name} is {field.kind}"
                    self.report.add("R211", (*path, "file", key), message)
        for old, new in (self.said.legacy.fields if self.said.legacy is not None else {}).items():
            self._field(new, (*path, "legacy", "fields", old))
        name = self.said.resolves_to
        field = self._field(name, (*path, "resolves_to")) if name is not None else None
        if field is not None:
            relation = self.resource.relations.get(field.relation or "")
            target = self.registry.types.get(relation.target) if relation is not None else None
            if target is None or target.file is None:
                help_ = "it names the id of a type that has `file:`"
                self.report.add("R211", (*path, "resolves_to"), f"{name} does not lead to a file", help=help_)

    def check_names(self) -> None:
        """Relations and fields of a type do not share names, nor fields a column."""
        resource = self.resource
        path: Path = ("types", resource.name)
        for name, relation in resource.relations.items():
            if name in resource.fields:
                owner = f"the relation to {relation.target}"
                message = f"`{name}` is a field of {resource.name} and {owner} as well"
                at = (*path, "fields", name) if name in self.said.fields else (*path, "fields", relation.field)
                self.report.add("R404", at, message, at_key=True, help="rename the field, or give it a `column:`")
        for name, said in self.said.fields.items():
            other_side = self.registry.types.get(said.ref or "")
            taken = other_side.relations.get(said.reverse or "") if other_side is not None else None
            if taken is not None and (taken.target, taken.field) != (resource.name, name):
                message = f"{said.ref} has a relation `{said.reverse}` already"
                self.report.add("R404", (*path, "fields", name, "reverse"), message, help="choose another name")
        columns: dict[str, str] = {}
        for field in resource.fields.values():
            if field.column is None:
                continue
            first = columns.setdefault(field.column.lower(), field.name)
            if first != field.name:
                at = (*path, "fields", field.name) if field.name in self.said.fields else (*path, "fields", first)
                message = f"{first} and {field.name} are the same column `{field.column}`"
                self.report.add("R408", at, message, at_key=True, help="keep one of them")

    # ------------------------------------------------------------ private

    def _field(self, name: str, path: Path, *, at_key: bool = False) -> Field | None:
        field = self.resource.fields.get(name)
        if field is None:
            self._report_unknown(self.resource, name, path, at_key=at_key)
        return field

    def _report_unknown(self, resource: Resource, name: str, path: Path, *, at_key: bool = False) -> None:
        label = suggest(name, resource.fields)
        message = f"{resource.name} has no field `{name}`"
        if resource.name not in self.uncertain:
            self.report.add("R202", path, message, label=label, at_key=at_key)
        else:
            message += " unless its table has such a column"
            self.report.add("W202", path, message, label=label, at_key=at_key, help="`aether check --db` tells")

    def _shown(self, name: str, path: Path) -> None:
        field = self._field(name, path)
        if field is not None and not field.is_readable:
            message = f"{name} never leaves the server, so it cannot be shown"
            self.report.add("R208", path, message, help="name another field")

    def _check_sorted(self, dotted: str, path: Path) -> None:
        resource = self.resource
        *hops, last = dotted.split(".")
        for hop in hops:
            relation = resource.relations.get(hop)
            if relation is None or relation.kind != "one":
                self.report.add(
                    "R202", path, f"{resource.name} has no to-one relation `{hop}`",
                    label=suggest(hop, [name for name, one in resource.relations.items() if one.kind == "one"]),
                )  # fmt: skip
                return
            resource = self.registry.types[relation.target]
        field = resource.fields.get(last)
        if field is None:
            self._report_unknown(resource, last, path)
        elif not field.sortable:
            help_ = f"name it under the `search:` of {resource.name}; text, json and strings over 255 never sort"
            self.report.add("R208", path, f"{resource.name} cannot be sorted by {last}", help=help_)

    def _check_index(self, key: str, one: IndexDeclaration, path: Path) -> None:
        fields: list[Field] = []
        for index, part in enumerate(one.fields):
            name = part.removeprefix("-")
            field = self._field(name, (*path, "fields", index))
            if part.startswith("-") and key == "unique":
                self.report.add("R107", (*path, "fields", index), "a unique constraint has no direction")
            if field is None:
                continue
            if field.column is None or field.kind in ("text", "json", "binary"):
                message = f"{name} is {'computed' if field.column is None else field.kind}, so no index holds it"
                self.report.add("R208", (*path, "fields", index), message)
                return
            fields.append(field)
        if len({field.name for field in fields}) < len(fields):
            self.report.add("R111", path, "an index names a field twice")
        if one.kind == "btree":
            self._check_bytes(fields, path)

    def _check_bytes(self, fields: Iterable[Field], path: Path) -> None:
        size = sum(_bytes_of(field) for field in fields) + (8 if self.resource.account.column else 0)
        if size > MAX_INDEX_BYTES:
            message = f"the index takes {size} bytes, MariaDB at most {MAX_INDEX_BYTES}"
            self.report.add("R309", path, message, help=f"a character takes {BYTES_PER_CHAR} bytes: shorten the fields")


def _bytes_of(field: Field) -> int:
    if field.kind == "enum":
        return 64 * BYTES_PER_CHAR
    if KINDS[field.kind].family == "text" or field.kind == "id":
        return (36 if field.kind == "uuid" else field.size or max_chars_of(field) or 22) * BYTES_PER_CHAR
    return 16 if field.kind == "decimal" else 8
