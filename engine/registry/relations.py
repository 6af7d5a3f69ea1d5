"""Parents, children and relations of all types, wired from their id fields.

What points at a type that does not exist is left out here; `checks.py` reports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.registry.grammar import ParentDeclaration, TypeDeclaration
from engine.registry.names import relation_of, segment_of
from engine.registry.resource import Child, Field, Parent, Relation


@dataclass(slots=True)
class Wiring:
    """One type's ties to the others."""

    fields: dict[str, Field]
    parents: list[Parent] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)
    relations: dict[str, Relation] = field(default_factory=dict)


def wire_types(
    types: Mapping[str, tuple[TypeDeclaration, Mapping[str, Field]]], refs: Mapping[tuple[str, str], str]
) -> dict[str, Wiring]:
    """Tie the types together.

    Args:
        types: Declarations and fields, by type.
        refs: The type that an id field points at, by type and field.
    """
    wirings = {name: Wiring(dict(fields)) for name, (_, fields) in types.items()}
    for name, (_, fields) in types.items():
        wiring = wirings[name]
        for one in fields.values():
            target = refs.get((name, one.name))
            if target in types and target is not None:
                # The account's relation is called so whatever its type is.
                relation = relation_of(one.name)
                wiring.fields[one.name] = replace(one, relation=relation)
                wiring.relations.setdefault(
                    relation, Relation(name=relation, kind="one", target=target, field=one.name)
                )
    for name, (said, fields) in types.items():
        for parent in said.parent or ():
            read = read_parent(name, parent)
            if parent.type in types and read.field in fields:
                wirings[name].parents.append(read)
                _add_child(wirings[parent.type], name, read)
        for field_name, one_said in said.fields.items():
            target = refs.get((name, field_name))
            if one_said.reverse is not None and target in types and target is not None:
                many = Relation(name=one_said.reverse, kind="many", target=name, field=field_name)
                wirings[target].relations.setdefault(one_said.reverse, many)
    return wirings


def read_parent(child: str, said: ParentDeclaration) -> Parent:
    """A parent with its defaults."""
    return Parent(
        type=said.type,
        field=said.field or f"{said.type}_id",
        segment=said.segment or segment_of(child, said.type),
        on_delete=said.on_delete or "cascade",
    )


def _add_child(parent: Wiring, name: str, made: Parent) -> None:
    parent.children.append(Child(name, made.field, made.segment, made.on_delete))
    many = Relation(name=made.segment, kind="many", target=name, field=made.field, child=True)
    parent.relations.setdefault(made.segment, many)
