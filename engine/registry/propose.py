"""From a database to a registry's text: what `aether introspect` prints. Pure; a person decides what becomes of it.

Every table becomes a type that nobody's account owns, with the columns under names of the wire's style, one parent
proposed and every other candidate beside it in a comment. What cannot be served is named in a comment, never silent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.registry.grammar import ACCOUNT_COLUMN
from engine.registry.names import RESERVED_FIELDS, RESERVED_TYPES, is_name, relation_of, segment_of, snake_case
from engine.registry.reflection import ReflectedColumn, ReflectedDatabase, ReflectedForeignKey, ReflectedTable
from engine.registry.wording import free_name, singular

REASON = "introspected, decide"
# Columns of the engine's own, by the names of `defaults`: they need no mention.
OWN_COLUMNS = frozenset({"id_random", "row_version", "created_on", "updated_on"})
TAKEN_FIELDS = RESERVED_FIELDS | OWN_COLUMNS | {"id", ACCOUNT_COLUMN}
TITLES = ("name", "title", "label", "subject", "display_name", "full_name", "code", "file_name", "email", "description")
NAME_PAIRS = (("first_name", "last_name"), ("given_name", "family_name"))
UNSEARCHABLE = frozenset({"json", "binary"})
_SECRET = re.compile(r"(^|_)(password|passwd|pwd|passcode|secret|salt|hash|token|api_key|private_key)(_|$)")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AMBIGUOUS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
HEAD = """\
# yaml-language-server: $schema=./resources.schema.json
#
# Proposed by `aether introspect`. Nothing in the database has changed. Read it and decide:
#   account   every type is shared by all accounts until it says `own` or `inherited`, and is written by operators only
#   parent    one is proposed where the database suggests it; the other candidates stand beside it
#   search    everything is filterable that can be; keep what callers need, and give it an index
# Then `aether check`, and `aether migrate`: it adds public ids and row versions, after saying so.
version: 1

roles:
  viewer: ["*:read"]
  editor: ["*:read", "*:write"]
  admin: ["*:*", "action:*", "meta:*"]

types:"""


@dataclass(slots=True)
class _Proposal:
    """A type as it is being proposed."""

    name: str
    table: ReflectedTable
    fields: dict[str, str] = field(default_factory=dict)  # column → field
    refs: dict[str, str] = field(default_factory=dict)  # column → type
    parents: list[str] = field(default_factory=list)  # columns
    segments: dict[str, str] = field(default_factory=dict)  # column → segment, where it is not the default


def propose_registry(database: ReflectedDatabase) -> str:
    """The text of a registry for a database: YAML that passes `aether check`."""
    proposals: dict[str, _Proposal] = {}
    names: set[str] = set(RESERVED_TYPES)
    for table in database.tables.values():
        if table.columns:
            name = free_name(singular(snake_case(table.name)), names, "type")
            names.add(name)
            proposals[table.name] = _Proposal(name, table)
    for proposal in proposals.values():
        _name_fields(proposal, proposals, database)
    for proposal in proposals.values():
        _choose_parents(proposal, proposals)
    _choose_segments(proposals)
    # A key with nothing but comments below it says nothing.
    head = HEAD if any(not proposal.table.is_view for proposal in proposals.values()) else f"{HEAD} {{}}"
    return "\n".join([head, *(_write_type(proposal) for proposal in proposals.values())]).rstrip() + "\n"


# ---------------------------------------------------------------- fields


def _name_fields(proposal: _Proposal, proposals: Mapping[str, _Proposal], database: ReflectedDatabase) -> None:
    table = proposal.table
    taken = set(TAKEN_FIELDS)
    for column in table.columns.values():
        if not _is_proposed(table, column):
            continue
        target = _target_of(table, column, proposals, database)
        if target is None:
            continue
        name = f"{free_name(relation_of(snake_case(column.name)), taken, 'ref')}_id"
        proposal.fields[column.name], proposal.refs[column.name] = name, target.name
        # A relation is called as its field without `_id`, so no other field may be.
        taken |= {name, relation_of(name)}
    for column in table.columns.values():
        if not _is_proposed(table, column):
            continue
        # A whole number that points somewhere is a row id or as good as one, and those never leave.
        is_pointer = table.foreign_key(column.name) is not None and column.kind in ("integer", "bigint")
        if column.name not in proposal.fields and not is_pointer:
            name = free_name(snake_case(column.name), taken, "value")
            proposal.fields[column.name] = name
            taken |= {name}
    proposal.fields = {column: proposal.fields[column] for column in table.columns if column in proposal.fields}


def _is_proposed(table: ReflectedTable, column: ReflectedColumn) -> bool:
    """Whether a column becomes a field by being named: the engine's own need no mention, the account's a decision."""
    if column.name == table.integer_key or column.name.lower() in OWN_COLUMNS or column.kind is None:
        return False
    return snake_case(column.name) != ACCOUNT_COLUMN


def _target_of(
    table: ReflectedTable, column: ReflectedColumn, proposals: Mapping[str, _Proposal], database: ReflectedDatabase
) -> _Proposal | None:
    """What a column points at, if that is the integer key of a table."""
    key = table.foreign_key(column.name)
    found = database.table(key.table) if key else None
    if key is None or found is None or found.is_view or found.integer_key is None:
        return None
    if key.target_columns != (found.integer_key,):
        return None
    return proposals.get(found.name)


# ---------------------------------------------------------------- parents


def _choose_parents(proposal: _Proposal, proposals: Mapping[str, _Proposal]) -> None:
    """Every key whose target's name begins the type's, else the only one that must be there, else none."""
    others = {column: target for column, target in proposal.refs.items() if target != proposal.name}
    chosen = [column for column, target in others.items() if proposal.name.startswith(f"{target}_")]
    if not chosen:
        needed = [column for column in others if not proposal.table.columns[column].nullable]
        chosen = needed if len(needed) == 1 else []
    by_name = {one.name: one for one in proposals.values()}
    seen: set[str] = set()
    for column in chosen:
        target = others[column]
        if target in seen or proposal.name in _ancestors(target, by_name):
            continue
        seen.add(target)
        proposal.parents.append(column)


def _ancestors(name: str, by_name: Mapping[str, _Proposal]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting.extend(by_name[one].refs[column] for column in by_name[one].parents)
    return found


def _choose_segments(proposals: Mapping[str, _Proposal]) -> None:
    """Give a child its whole name as its segment where the short one is taken in its parent."""
    by_name = {one.name: one for one in proposals.values()}
    taken: dict[str, set[str]] = {
        one.name: set(RESERVED_TYPES | TAKEN_FIELDS | set(one.fields.values()))
        | {relation_of(one.fields[column]) for column in one.refs}
        for one in by_name.values()
    }
    for proposal in proposals.values():
        for column in proposal.parents:
            parent = proposal.refs[column]
            short = segment_of(proposal.name, parent)
            is_free = is_name(short) and short not in taken[parent]
            segment = short if is_free else free_name(proposal.name, taken[parent], "list")
            taken[parent].add(segment)
            if segment != short:
                proposal.segments[column] = segment


# ---------------------------------------------------------------- text


def _write_type(proposal: _Proposal) -> str:
    lines = [f"  {_scalar(proposal.name)}:", *(f"    {line}" for line in _type_lines(proposal))]
    if proposal.table.is_view:
        lines = [f"  # {line[2:]}" for line in lines]
        lines.insert(
            0, "  # A view, read-only. It needs a unique whole number and a public id among its columns to be served."
        )
    return "\n".join(["", *lines])


def _type_lines(proposal: _Proposal) -> Iterator[str]:
    table = proposal.table
    yield f"table: {_scalar(table.name)}"
    yield f"account: {{none: {json.dumps(REASON)}}}"
    if table.integer_key is None and not table.is_view:
        yield "# has no single integer key: `aether migrate` adds a unique whole number, row_id"
    yield from _parent_lines(proposal)
    # Relations are always filterable.
    plain = {column: name for column, name in proposal.fields.items() if column not in proposal.refs}
    searchable = [name for column, name in plain.items() if _is_searchable(table.columns[column], name)]
    yield f"display: {json.dumps(_display(proposal))}"
    if searchable:
        yield f"search: [{', '.join(map(_scalar, searchable))}]"
    fields = list(_field_lines(proposal))
    if fields:
        yield "fields:"
        yield from (f"  {line}" for line in fields)
    for column in table.columns.values():
        if column.kind is None:
            danger = "" if column.nullable or column.has_default else "; it needs a value, so nothing can be created"
            yield f"# left out: {column.name}, of type {column.type}{danger}"
        elif snake_case(column.name) == ACCOUNT_COLUMN:
            own = f"account: {{own: {_scalar(column.name)}}}"
            yield f"# left out: {column.name}; if it says whose a row is, say `{own}`"
    for key in table.foreign_keys:
        if [snake_case(column) for column in key.columns] == [ACCOUNT_COLUMN]:
            continue
        if len(key.columns) != 1 or key.columns[0] not in proposal.refs:
            yield f"# no relation: {_key_text(key)}, which is not the single integer key of {key.table}"


def _parent_lines(proposal: _Proposal) -> Iterator[str]:
    candidates = [
        f"{target} by {proposal.fields[column]}" + (" (may be NULL)" if proposal.table.columns[column].nullable else "")
        for column, target in proposal.refs.items()
        if target != proposal.name
    ]
    note = f"  # candidates: {', '.join(candidates)}" if candidates else ""
    entries = [_parent_entry(proposal, column) for column in proposal.parents]
    if entries:
        yield f"parent: {entries[0] if len(entries) == 1 else '[' + ', '.join(entries) + ']'}{note}"
    elif note:
        yield f"# no parent proposed;{note.lstrip()[1:]}"


def _parent_entry(proposal: _Proposal, column: str) -> str:
    parent = proposal.refs[column]
    parts = [f"type: {_scalar(parent)}"]
    if proposal.fields[column] != f"{parent}_id":
        parts.append(f"field: {proposal.fields[column]}")
    if column in proposal.segments:
        parts.append(f"segment: {_scalar(proposal.segments[column])}")
    key = proposal.table.foreign_key(column)
    if key is not None and key.on_delete != "cascade":
        # The database refuses to delete a parent with children. Deleting them is for a person to decide.
        parts.append("on_delete: restrict")
    return _scalar(parent) if len(parts) == 1 else f"{{{', '.join(parts)}}}"


def _field_lines(proposal: _Proposal) -> Iterator[str]:
    for column, name in proposal.fields.items():
        parts = []
        found = proposal.table.columns[column]
        if name != column:
            parts.append(f"column: {_scalar(column)}")
        if column in proposal.refs:
            parts.append(f"ref: {_scalar(proposal.refs[column])}")
        if found.is_generated:
            parts.append("readonly: true")
        if _SECRET.search(name):
            parts.append("hidden: true")
        if parts:
            yield f"{_scalar(name)}: {{{', '.join(parts)}}}"


def _is_searchable(column: ReflectedColumn, name: str) -> bool:
    return column.kind not in UNSEARCHABLE and not _SECRET.search(name)


def _display(proposal: _Proposal) -> str:
    texts = {
        name
        for column, name in proposal.fields.items()
        if proposal.table.columns[column].kind in ("string", "text", "enum") and not _SECRET.search(name)
    }
    for first, last in NAME_PAIRS:
        if first in texts and last in texts:
            return f"{{{first}}} {{{last}}}"
    title = next((name for name in TITLES if name in texts), None)
    title = title or next((name for name in proposal.fields.values() if name in texts), "id")
    return f"{{{title}}}"


def _key_text(key: ReflectedForeignKey) -> str:
    return f"{', '.join(key.columns)} → {key.table} ({', '.join(key.target_columns)})"


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _AMBIGUOUS else json.dumps(text, ensure_ascii=False)
