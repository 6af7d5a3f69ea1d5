"""A type completed: what is left of its defaults, from its fields and its ties to other types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from engine.registry.drafts import Draft
from engine.registry.fields import SILENT
from engine.registry.grammar import IndexDeclaration, PageDeclaration, TypeDeclaration
from engine.registry.kinds import KINDS
from engine.registry.legacy import read_switches
from engine.registry.names import plural_of, snake_case, title_of
from engine.registry.reflection import ReflectedTable
from engine.registry.relations import Wiring
from engine.registry.resource import Display, Field, FileRule, Group, Index, Legacy, Resource
from engine.registry.search import apply_search, read_sort_key

LIST_WIDTH = 6
_DISPLAY_NAMES = ("title", "name", "label", "subject", "file_name", "code")
_SLOT = re.compile(r"\{([A-Za-z0-9_]+)\}")


def finish_type(draft: Draft, wiring: Wiring, page: PageDeclaration) -> Resource:
    """Complete a type.

    Args:
        draft: The type with its fields.
        wiring: Its ties to the others.
        page: The registry's own page sizes.
    """
    said, found = draft.said, draft.found
    search: Mapping[str, list[str]] = said.search or {}
    fields = {
        name: apply_search(one, search.get(name, search.get(one.relation or "")), said.fields.get(name, SILENT))
        for name, one in wiring.fields.items()
    }
    unique, indexes = _indexes(draft, fields)
    alone = {index.fields[0] for index in unique if len(index.fields) == 1}
    fields = {name: replace(one, unique=True) if name in alone else one for name, one in fields.items()}
    if found is not None:
        fields = {name: _with_key(one, found) for name, one in fields.items()}
    echoes = found is None or all(_echoes(one, found) for one in fields.values())
    if found is not None and not echoes:
        fields = {name: _with_doubt(one, found) for name, one in fields.items()}
    title = said.title or title_of(draft.name)
    display = _display(said, fields)
    limit, most = _pages(said.page, page)
    legacy = said.legacy
    return Resource(
        name=draft.name,
        table=found.name if found is not None else said.table,
        key=draft.key,
        public_id=draft.public_id,
        title=title,
        plural=said.plural or plural_of(title),
        account=draft.account,
        fields=MappingProxyType(fields),
        relations=MappingProxyType(wiring.relations),
        parents=tuple(wiring.parents),
        children=tuple(wiring.children),
        description=said.description or (found.comment if found is not None else None),
        icon=said.icon,
        display=display,
        version=draft.columns.version if found is None else draft.column(draft.columns.version),
        created=_column_of(fields, "created_on"),
        updated=_column_of(fields, "updated_on"),
        soft_delete=draft.soft_delete,
        sort=tuple(key for key in map(read_sort_key, said.sort or ())),
        list_fields=_list_fields(said, fields, display),
        groups=tuple(
            Group(snake_case(name), group.title or name, _known(group.fields, fields), group.collapsed)
            for name, group in (said.groups or {}).items()
        ),
        rows=MappingProxyType(said.rows or {}),
        public=said.public.read if said.public is not None else None,
        unique=unique,
        indexes=indexes,
        page_limit=limit,
        page_max=most,
        if_match_required=said.if_match == "required",
        resolves_to=said.resolves_to,
        file=FileRule(said.file.digest, said.file.size, said.file.type, said.file.name) if said.file else None,
        legacy=Legacy(legacy.name, MappingProxyType(legacy.fields), read_switches(legacy.off, legacy.brownout))
        if legacy is not None
        else Legacy(),
        history=bool(said.history),
        is_reflected=found is not None,
        echoes=echoes,
        is_view=found is not None and found.is_view,
        ui=MappingProxyType(said.ui or {}),
    )


def slots_of(template: str) -> tuple[str, ...]:
    """The fields that a display template names."""
    return tuple(_SLOT.findall(template))


# ---------------------------------------------------------------- private


# Types of columns that give back exactly what was written to them: those that we create, and no others.
_ECHOING = re.compile(
    r"(varchar\(\d+\)|mediumtext|longtext|json|char\((22|36)\)|datetime\(6\)|time\(6\)|date|double|real|boolean"
    r"|(tinyint|smallint|mediumint|int|integer|bigint)(\(\d+\))?( unsigned)?|decimal\(\d+,\d+\)"
    r"|(decimal_int\(\d+,\d+\))|(date|time|datetime|json)_text|text|longblob|blob)"
)


_CALENDAR = re.compile(r"date|(datetime|timestamp)(\(\d\))?")


def _echoes(field: Field, found: ReflectedTable) -> bool:
    column = found.columns.get(field.column or "")
    if column is None or field.kind == "relation":
        return True
    is_unicode = field.charset in (None, "utf8mb4")
    is_own_way = field.stored_as == "native" and not column.is_generated
    return is_own_way and is_unicode and field.is_exact and _ECHOING.fullmatch(column.type) is not None


def _with_key(field: Field, found: ReflectedTable) -> Field:
    if field.kind != "relation" or field.column is None or found.foreign_key(field.column) is not None:
        return field
    return replace(field, is_keyed=False)


def _with_doubt(field: Field, found: ReflectedTable) -> Field:
    """In a table that others made, a boolean may be any number, and a date of MariaDB's may be zero."""
    column = found.columns.get(field.column or "")
    if column is None or field.stored_as != "native":
        return field
    if field.kind == "boolean":
        return replace(field, stored_as="truth")
    return replace(field, stored_as="zero") if _CALENDAR.fullmatch(column.type) else field


def _column_of(fields: Mapping[str, Field], name: str) -> str | None:
    return fields[name].column if name in fields else None


def _known(names: Iterable[str], fields: Mapping[str, Field]) -> tuple[str, ...]:
    return tuple(name for name in names if name in fields)


def _pages(own: PageDeclaration | None, general: PageDeclaration) -> tuple[int, int]:
    limit = own.limit if own is not None and own.limit is not None else general.limit
    most = own.max if own is not None and own.max is not None else general.max
    most = 1_000 if most is None else most
    return min(50 if limit is None else limit, most), most


def _display(said: TypeDeclaration, fields: Mapping[str, Field]) -> Display:
    if said.display is not None:
        template, subtitle, lookup = said.display.title, said.display.subtitle, said.display.lookup
    else:
        template, subtitle, lookup = f"{{{_display_field(fields)}}}", None, None
    if lookup is None:
        texts = [name for name in slots_of(template) if name in fields and fields[name].searchable]
        lookup = texts or [name for name, one in fields.items() if one.searchable and not one.heavy]
    return Display(template, subtitle, tuple(name for name in lookup if name in fields))


def _display_field(fields: Mapping[str, Field]) -> str:
    plain = [one for one in fields.values() if one.role == "plain" and one.is_readable and one.column is not None]
    named = [one.name for name in _DISPLAY_NAMES for one in plain if one.name == name]
    texts = [one.name for one in plain if KINDS[one.kind].family == "text" and not one.heavy]
    return next(iter([*named, *texts]), "id")


def _list_fields(said: TypeDeclaration, fields: Mapping[str, Field], display: Display) -> tuple[str, ...]:
    if said.list_ is not None:
        return _known(said.list_, fields)
    first = [*slots_of(display.title), *(said.search or {}), *fields]
    shown = [
        name
        for name in dict.fromkeys(first)
        if name in fields
        and fields[name].is_readable
        and not fields[name].heavy
        and fields[name].role in ("plain", "relation", "created")
        and fields[name].kind not in ("text", "json", "binary")
    ]
    return tuple(shown[:LIST_WIDTH])


def _indexes(draft: Draft, fields: Mapping[str, Field]) -> tuple[tuple[Index, ...], tuple[Index, ...]]:
    """Declared and found ones; a found one has a name."""
    said, found = draft.said, draft.found
    unique = [Index((name,), is_unique=True) for name, one in said.fields.items() if one.unique and name in fields]
    unique += _declared(said.unique, fields, is_unique=True)
    plain = [Index((name,)) for name, one in said.fields.items() if one.index and name in fields]
    plain += _declared(said.indexes, fields, is_unique=False)
    if found is not None:
        by_column = {one.column: name for name, one in fields.items() if one.column is not None}
        for index in found.indexes:
            names = tuple(by_column[column] for column in index.columns if column in by_column)
            if index.kind != "btree" or index.is_partial or len(names) != len(index.columns) or names == ("id",):
                continue
            if index.is_unique:
                _replace(unique, Index(names, is_unique=True, name=index.name))
    return tuple(dict.fromkeys(unique)), tuple(dict.fromkeys(plain))


def _declared(said: list[IndexDeclaration] | None, fields: Mapping[str, Field], *, is_unique: bool) -> list[Index]:
    return [
        Index(tuple(one.fields), is_unique=is_unique)
        for one in said or ()
        if one.kind == "btree" and all(part.removeprefix("-") in fields for part in one.fields)
    ]


def _replace(unique: list[Index], found: Index) -> None:
    """Put a found index in the place of the declared one that it is."""
    wanted = set(found.fields) - {"account_id"}
    for at, one in enumerate(unique):
        if one.name is None and set(one.fields) - {"account_id"} == wanted:
            # Declared uniqueness is per account; the database's own may be wider, and then it is what holds.
            if "account_id" not in found.fields:
                unique[at] = found
            return
    unique.append(found)
