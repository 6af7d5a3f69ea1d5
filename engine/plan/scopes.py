"""What a key of a filter means on a type, for a caller: a field, a relation, or nothing.

The names themselves are resolved by the gate (`plan/fields.py`); this keeps beside
each answer what planning a leaf needs, so that a key seen before costs one look-up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as attribute

from engine.language.condition import normalise_word, positive_form, split_expression
from engine.operators import OPERATORS, Operator
from engine.plan.fields import FieldRefused, Gate
from engine.plan.operands import WORD_KINDS, Read, reader_of
from engine.plan.shape import Dialect, Leaf, Path
from engine.registry.families import FAMILIES
from engine.registry.kinds import KINDS
from engine.registry.names import RESERVED_FIELDS
from engine.registry.resource import Field, Relation

MAX_CACHES = 1_000
MAX_ENTRIES = 20_000
MAX_WORDS = 200


@dataclass(frozen=True, slots=True)
class Word:
    """An operator as a caller may spell it: the row that is built, and whether it is negated."""

    operator: Operator
    negated: bool


LeafKey = tuple[str, int, bool, str | None, str]


@dataclass(slots=True)
class FieldEntry:
    """A field expression that may be filtered by.

    Attributes:
        path: From the root of the statement (or of the subquery) on.
        field: As the operators compare it: after the path's function, if there is one.
        source: The field itself.
        read: Reads an operand.
        words: Spellings of allowed operators seen so far.
        leaves: Leaves made so far: equal ones are the same object, which makes shapes cheap to compare.
        has_days: Whether an operand may turn out to be a whole day.
        zoned: Whether the path's function depends on the time zone.
        charset: Of a column that cannot hold every text, else None.
        plain: For ``year(x)`` the entry of x, since a year is a range of it.
    """

    path: Path
    field: Field
    source: Field
    allowed: frozenset[str]
    read: Read
    has_days: bool
    zoned: bool
    charset: str | None
    plain: FieldEntry | None = None
    words: dict[str, Word] = attribute(default_factory=dict)
    leaves: dict[LeafKey, Leaf] = attribute(default_factory=dict)

    def word(self, spelling: str) -> Word | None:
        """The operator that a word means on this field, or None where it is none or not allowed."""
        try:
            return self.words[spelling]
        except KeyError:
            found = self._find_word(spelling)
            if found is not None and len(self.words) < MAX_WORDS:
                self.words[spelling] = found
            return found

    def leaf(self, operator: str, arity: int, negated: bool, zone: str | None = None, variant: str = "") -> Leaf:
        """The leaf of these parts."""
        key = (operator, arity, negated, zone, variant)
        known = self.leaves.get(key)
        if known is None:
            known = Leaf(self.path, operator, arity, negated, zone, variant)
            if len(self.leaves) < 500:
                self.leaves[key] = known
        return known

    def _find_word(self, spelling: str) -> Word | None:
        name = normalise_word(spelling)
        negated = False
        if name not in OPERATORS:
            positive = positive_form(name)
            if positive is None or positive not in OPERATORS:
                return None
            name, negated = positive, True
        if name not in self.allowed:
            return None
        row = OPERATORS[name]
        if row.negates is not None:
            return Word(OPERATORS[row.negates], not negated)
        return Word(row, negated)


@dataclass(slots=True)
class RelationEntry:
    """A relation whose other side the caller may read.

    Attributes:
        hops: From the root on: up to the relation for a to-many, with it for a to-one.
        inner: Where the names of a nested filter are looked up.
    """

    hops: tuple[str, ...]
    relation: Relation
    inner: Scope


@dataclass(slots=True)
class TooManyHops:
    """A name that would cross more relations than allowed."""


@dataclass(frozen=True, slots=True)
class Logical:
    """``and``, ``or`` or ``not``, however it was spelled."""

    word: str


Entry = FieldEntry | RelationEntry | TooManyHops | Logical


class Scope:
    """The names of a type at a place in a filter.

    Args:
        names: Shared by all scopes of a gate and dialect.
        type_name: The type.
        hops: To-one relations from the root of the statement or subquery to here.
        used: Relations crossed so far, to-many ones included.
    """

    __slots__ = ("entries", "hops", "names", "splits", "type_name", "used")

    def __init__(self, names: Names, type_name: str, hops: tuple[str, ...], used: int) -> None:
        self.names = names
        self.type_name = type_name
        self.hops = hops
        self.used = used
        self.entries: dict[str, Entry] = {}
        # Parameters of query strings seen so far, as field expression and operator.
        self.splits: dict[str, tuple[str, str]] = {}

    def find(self, key: str) -> Entry:
        """What a key means here.

        Raises:
            FieldRefused: Nothing that this caller may use.
        """
        entry = self.entries.get(key)
        if entry is None:
            entry = self._find(key)
            if len(self.entries) < MAX_ENTRIES:
                self.entries[key] = entry
        return entry

    def word(self, key: str, words: frozenset[str]) -> str | None:
        """Which of some words a key means here, however it is spelled; None where it is none, or a field's name."""
        word = normalise_word(key)
        if word not in words:
            return None
        if key in RESERVED_FIELDS:
            return word
        try:
            return word if isinstance(self.find(key), Logical) else None
        except FieldRefused:
            return word

    def _find(self, key: str) -> Entry:
        gate = self.names.gate
        expression = split_expression(key)
        if expression is None:
            raise FieldRefused(self.type_name, key, ())
        limit = gate.registry.limits.hops
        if expression.function is None:
            found = self._find_relation(expression.names)
            if found is not None:
                return found
        if self.used + len(expression.names) - 1 > limit:
            return TooManyHops()
        resolved = gate.resolve(self.type_name, key, "filter")
        path = Path(self.hops + resolved.path.hops, resolved.path.field, resolved.path.function)
        return _field_entry(path, resolved.field, gate, self.names.dialect)

    def _find_relation(self, names: tuple[str, ...]) -> Entry | None:
        """A relation at the end of dotted to-one relations; None where the last name is none."""
        gate = self.names.gate
        type_name = self.type_name
        if len(names) > gate.registry.limits.hops + 1:
            return TooManyHops()
        for name in names[:-1]:
            relation = gate.relation(type_name, name)
            if relation is None or relation.kind != "one":
                return None
            type_name = relation.target
        if names[-1] in gate.registry.types[type_name].fields:
            return None
        relation = gate.relation(type_name, names[-1])
        if relation is None:
            return None
        used = self.used + len(names)
        if used > gate.registry.limits.hops:
            return TooManyHops()
        hops = self.hops + names[:-1]
        if relation.kind == "one":
            hops = (*hops, relation.name)
            inner = self.names.scope(relation.target, hops, used)
            return RelationEntry(hops, relation, inner)
        return RelationEntry(hops, relation, self.names.scope(relation.target, (), used))


class Names:
    """All scopes of one gate and dialect."""

    __slots__ = ("dialect", "gate", "scopes")

    def __init__(self, gate: Gate, dialect: Dialect) -> None:
        self.gate = gate
        self.dialect = dialect
        self.scopes: dict[tuple[str, tuple[str, ...], int], Scope] = {}

    def scope(self, type_name: str, hops: tuple[str, ...] = (), used: int = 0) -> Scope:
        """The names of a type at a place."""
        key = (type_name, hops, used)
        known = self.scopes.get(key)
        if known is None:
            if len(self.scopes) >= MAX_ENTRIES:
                self.scopes.clear()
            known = self.scopes[key] = Scope(self, type_name, hops, used)
        return known


def names_of(gate: Gate, dialect: Dialect) -> Names:
    """The scopes of a gate; kept as long as the gate is in use."""
    key = (id(gate), dialect)
    known = _NAMES.get(key)
    if known is None:
        if len(_NAMES) >= MAX_CACHES:
            _NAMES.clear()
        known = _NAMES[key] = Names(gate, dialect)
    return known


# Names hold their gate, so an id in a key cannot be another gate's.
_NAMES: dict[tuple[int, Dialect], Names] = {}


def _field_entry(path: Path, source: Field, gate: Gate, dialect: Dialect) -> FieldEntry:
    compared = _after_function(path.function, source)
    if path.function is None:
        allowed = _possible(source) if gate.rights.is_full else frozenset(source.operators)
    elif path.function == "lower":
        # Only what the field itself may be asked: lower() is no way around its list.
        allowed = _possible(compared) if gate.rights.is_full else frozenset(source.operators) & _possible(compared)
    else:
        allowed = _possible(compared)
    return FieldEntry(
        path=path,
        field=compared,
        source=source,
        allowed=allowed,
        read=reader_of(compared, dialect),
        has_days=compared.kind == "datetime",
        zoned=source.kind == "datetime" and path.function is not None,
        charset=_narrow_charset(compared, dialect),
        plain=_field_entry(Path(path.hops, path.field), source, gate, dialect) if path.function == "year" else None,
    )


def _after_function(function: str | None, source: Field) -> Field:
    if function is None:
        return source
    if function == "lower":
        return replace(source, kind="string", charset=None, is_exact=True)
    kind = "date" if function == "date" else "bigint"
    return Field(name=source.name, column=source.column, kind=kind)


def _possible(source: Field) -> frozenset[str]:
    """All operators of a field's family."""
    return frozenset(FAMILIES[KINDS[source.kind].family])


def _narrow_charset(source: Field, dialect: Dialect) -> str | None:
    """The charset of a column that cannot hold every text, or None."""
    if dialect == "mariadb" and source.kind in WORD_KINDS and source.charset not in (None, "utf8mb4"):
        return source.charset
    return None
