"""What the contract says about writes, in plain Python: accounts, parents, defaults, unique values, deletes, versions.

It is written from the contract and shares nothing with the engine. `tests/data/model/resources.yaml` declares the same
types. What a search finds is `support/model_search.py`'s business. Values are kept as they travel, decimals as text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

MISSING: Any = object()

Json = dict[str, Any]
Chain = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Column:
    """A field.

    Attributes:
        default: What a create takes where the body says nothing; without one it is NULL, or must be given.
        target: The type that a relation's id names.
        reverse: What the other side calls the rows that point at it.
    """

    kind: str
    required: bool = False
    default: Any = MISSING
    target: str | None = None
    reverse: str | None = None

    @property
    def nullable(self) -> bool:
        """A field without ``required`` or ``default``."""
        return not self.required and self.default is MISSING


@dataclass(frozen=True, slots=True)
class Parent:
    """A type above another, and what becomes of the child when it is deleted."""

    type: str
    segment: str
    on_delete: str = "cascade"

    @property
    def field(self) -> str:
        """The child's field."""
        return f"{self.type}_id"


@dataclass(frozen=True, slots=True)
class Type:
    """A resource type.

    Attributes:
        own: Whether it belongs to an account by itself; else through its parents.
        unique: Fields that are unique together within the account.
    """

    columns: Mapping[str, Column]
    parents: tuple[Parent, ...] = ()
    soft: bool = False
    own: bool = True
    unique: tuple[tuple[str, ...], ...] = ()
    sort: tuple[str, ...] = ()

    def relation(self, name: str) -> Column | Parent | None:
        """The to-one relation of a name."""
        found: Column | Parent | None = next((one for one in self.parents if one.type == name), None)
        column = self.columns.get(f"{name}_id")
        return column if found is None and column is not None and column.target else found


# Codes of single values that may stand for a whole problem.
_TOP_CODES = ("unknown-field", "foreign-key")

_TEXT = Column("string")
_NEEDED = Column("string", required=True)

TYPES: dict[str, Type] = {
    "author": Type(
        {"name": _NEEDED, "nick": _TEXT, "born": Column("date"), "active": Column("boolean", default=True)},
        soft=True,
        unique=(("nick",),),
    ),
    "shelf": Type(
        {
            "label": _NEEDED,
            "rating": Column("integer"),
            "author_id": Column("relation", target="author", reverse="shelves"),
        },
        soft=True,
        unique=(("label",),),
    ),
    "book": Type(
        {
            "title": _NEEDED,
            "mood": Column("enum", default="calm"),
            "pages": Column("integer"),
            "price": Column("decimal"),
            "weight": Column("float"),
            "read_on": Column("date"),
            "bought_on": Column("datetime"),
            "opens": Column("time"),
            "lent": Column("boolean"),
            "note": Column("text"),
            "tags": Column("json"),
            "author_id": Column("relation", target="author", reverse="books"),
        },
        parents=(Parent("shelf", "book"),),
        soft=True,
        own=False,
        unique=(("shelf_id", "title"),),
        sort=("-read_on", "title"),
    ),
    "review": Type(
        {
            "words": _TEXT,
            "stars": Column("integer", default=3),
            "author_id": Column("relation", target="author", reverse="reviews"),
        },
        parents=(Parent("book", "review"),),
        own=False,
    ),
    "reply": Type({"words": _NEEDED}, parents=(Parent("review", "reply"),), soft=True, own=False),
    "clip": Type(
        {"name": _NEEDED, "seconds": Column("integer")},
        parents=(Parent("shelf", "clip"), Parent("book", "clip")),
        own=False,
    ),
    "loan": Type(
        {"who": _NEEDED, "due_on": Column("date")},
        parents=(Parent("shelf", "loan", "restrict"),),
        soft=True,
        own=False,
    ),
    "sticker": Type({"color": Column("enum")}, parents=(Parent("book", "sticker", "detach"),)),
}


class Refused(Exception):
    """A request that is answered with a problem.

    Attributes:
        code: Of the problem.
    """

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


@dataclass(eq=False, slots=True)
class Row:
    """An object.

    Attributes:
        number: Counts creations.
        values: What was stored, by field; ids of relations and parents among them.
        deleted: Which delete took it; None while it is there.
        version: As the last reply showed it; None where a write of another object may have changed it.
        outdated: Versions that it had.
    """

    type: str
    id: str
    account: str
    number: int
    values: Json
    deleted: int | None = None
    version: str | None = None
    outdated: set[str] = field(default_factory=set)


class World:
    """All objects of all accounts."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._numbers: Iterator[int] = itertools.count(1)
        self._deletes: Iterator[int] = itertools.count(1)

    # ------------------------------------------------------------ who sees what

    def is_there(self, row: Row, *, deleted: bool = False) -> bool:
        """Whether the account of a row sees it; with `deleted`, where its own delete is looked through."""
        if TYPES[row.type].soft:
            return deleted or row.deleted is None
        return all(self.is_there(parent) for parent in self.parents_of(row))

    def parents_of(self, row: Row) -> list[Row]:
        """The rows above, whatever their state."""
        ids = [row.values[parent.field] for parent in TYPES[row.type].parents]
        return [one for one in self.rows if one.id in ids]

    def find(self, account: str, type_name: str, public_id: object, *, deleted: bool = False) -> Row | None:
        """A row by its id, as an account sees it."""
        for row in self.rows:
            if row.id == public_id and row.type == type_name and row.account == account:
                return row if self.is_there(row, deleted=deleted) else None
        return None

    def of(self, account: str, type_name: str, *, below: Row | None = None, deleted: bool = False) -> list[Row]:
        """The rows of a type that an account sees, oldest first."""
        return [
            row
            for row in self.rows
            if row.type == type_name
            and row.account == account
            and (below is None or row.values[f"{below.type}_id"] == below.id)
            and self.is_there(row, deleted=deleted)
        ]

    def all_of(self, account: str) -> list[Row]:
        """Every row of an account, deleted ones too."""
        return [row for row in self.rows if row.account == account]

    def walk(self, account: str, chain: Chain, *, deleted: bool = False) -> Row:
        """The row at the end of a path.

        Raises:
            Refused: Something of the chain is not there, or stands elsewhere.
        """
        above: Row | None = None
        for position, (type_name, public_id) in enumerate(chain):
            is_last = position == len(chain) - 1
            row = self.find(account, type_name, public_id, deleted=deleted and is_last)
            if row is None or (above is not None and row.values.get(f"{above.type}_id") != above.id):
                raise Refused(404, "not-found")
            above = row
        assert above is not None
        return above

    def shown(self, row: Row) -> Json:
        """A row as it travels, without its times."""
        return {"id": row.id, "account_id": row.account, **row.values}

    # ------------------------------------------------------------ writes

    def create(self, account: str, type_name: str, body: Json, chain: Chain = ()) -> list[Row]:
        """Create an object and the children in its body; their ids are set by `name` when they are known.

        Raises:
            Refused: It cannot be, and nothing was created.
        """
        bound = self.walk(account, chain) if chain else None
        made: list[Row] = []
        self._sprout(account, type_name, body, bound, made)
        known = list(self.rows)
        for row in made:
            self._check_unique(row, known)
            known.append(row)
        self.rows.extend(made)
        return made

    def name(self, row: Row, public_id: str, version: str) -> None:
        """Give a new row the id that the server drew."""
        for other in self.rows:
            for parent in TYPES[other.type].parents:
                if other.values[parent.field] == row.id:
                    other.values[parent.field] = public_id
        row.id, row.version = public_id, version

    def update(self, row: Row, body: Json, *, replaces: bool = False) -> bool:
        """Change an object; tell whether anything was written.

        Raises:
            Refused: It cannot be, and nothing was changed.
        """
        if not body and not replaces:
            raise Refused(422, "required")
        shape = TYPES[row.type]
        after = dict(row.values)
        codes: list[str] = []
        has_set = False
        shown = self.shown(row)
        for key, value in body.items():
            if key in shape.columns:
                has_set = True
                self._take(row.account, shape.columns[key], key, value, after, codes)
            elif key not in shown:
                codes.append("unknown-field")
            elif shown[key] != value:
                codes.append("read-only")
        for key, column in shape.columns.items() if replaces else ():
            if key not in body:
                has_set = True
                if column.required:
                    codes.append("required")
                after[key] = None if column.default is MISSING else column.default
        self._refuse(codes)
        if has_set:
            self._check_unique(Row(row.type, row.id, row.account, 0, after), self.rows)
            row.values = after
        return has_set

    def move(self, row: Row, type_name: str, public_id: object) -> None:
        """Give an object another parent.

        Raises:
            Refused: It cannot be.
        """
        parent = next((one for one in TYPES[row.type].parents if one.type == type_name), None)
        assert parent is not None
        if row.values[parent.field] is None and len(TYPES[row.type].parents) > 1:
            # Between parents of different types nothing moves; what was detached from its only parent may get another.
            self._refuse(["parent-mismatch"])
        if self.find(row.account, type_name, public_id) is None:
            raise Refused(422, "foreign-key")
        after = {**row.values, parent.field: public_id}
        self._check_unique(Row(row.type, row.id, row.account, 0, after), self.rows)
        row.values = after

    def delete(self, row: Row, *, hard: bool) -> list[Row]:
        """Delete an object with what is below it; tell which rows were touched.

        Raises:
            Refused: A child or another object forbids it, and nothing was changed.
        """
        if TYPES[row.type].soft and not hard:
            self._forbid_soft(row)
            return self._stamp(row, next(self._deletes))
        doomed = self._doomed(row)
        for other in self.rows:
            if other in doomed:
                continue
            for key, column in TYPES[other.type].columns.items():
                if column.target and any(other.values[key] == one.id for one in doomed):
                    raise Refused(409, "foreign-key")
        touched = [
            self._detach(other, parent.field)
            for other in self.rows
            for parent in TYPES[other.type].parents
            if parent.on_delete == "detach" and any(other.values[parent.field] == one.id for one in doomed)
        ]
        self.rows = [one for one in self.rows if one not in doomed]
        return touched

    def restore(self, row: Row) -> list[Row]:
        """Undo a soft delete with what it took along; tell which rows came back.

        Raises:
            Refused: It is not deleted.
        """
        if row.deleted is None:
            raise Refused(404, "not-found")
        return self._unstamp(row, row.deleted)

    # ------------------------------------------------------------ private

    def _sprout(self, account: str, type_name: str, body: Json, bound: Row | None, made: list[Row]) -> None:
        shape = TYPES[type_name]
        values: Json = {parent.field: None for parent in shape.parents}
        values |= {key: None if one.default is MISSING else one.default for key, one in shape.columns.items()}
        values |= {"deleted_on": None} if shape.soft else {}
        codes: list[str] = []
        below = {
            parent.segment: (name, parent)
            for name, one in TYPES.items()
            for parent in one.parents
            if parent.type == type_name
        }
        parents = {parent.field: parent for parent in shape.parents}
        for key, value in body.items():
            if key in shape.columns:
                self._take(account, shape.columns[key], key, value, values, codes)
            elif key in parents:
                self._take(account, Column("relation", target=parents[key].type), key, value, values, codes)
            elif key not in below:
                codes.append("unknown-field")
        codes += ["required" for key, one in shape.columns.items() if one.required and key not in body]
        given = [key for key in parents if body.get(key) is not None]
        if bound is not None:
            if (given and given != [f"{bound.type}_id"]) or any(body[key] != bound.id for key in given):
                codes.append("parent-mismatch")
            values[f"{bound.type}_id"] = bound.id
        elif len(parents) > 1 and len(given) != 1:
            codes.append("parent-mismatch")
        elif parents and not given and not shape.own:
            codes.append("required")
        self._refuse(codes)
        number = next(self._numbers)
        row = Row(type_name, f"new {number}", account, number, values)
        made.append(row)
        for key, (name, _parent) in below.items():
            for child in body.get(key, ()):
                self._sprout(account, name, child, row, made)

    def _take(self, account: str, column: Column, key: str, value: Any, values: Json, codes: list[str]) -> None:
        if value is None:
            if not column.nullable:
                codes.append("required")
            values[key] = None
        elif column.target is not None:
            values[key] = value
            if self.find(account, column.target, value) is None:
                codes.append("foreign-key")
        else:
            values[key] = canonical(column.kind, value)

    @staticmethod
    def _refuse(codes: Sequence[str]) -> None:
        if codes:
            shared = codes[0] if len(set(codes)) == 1 and codes[0] in _TOP_CODES else "validation-error"
            raise Refused(422, shared)

    def _check_unique(self, row: Row, others: Sequence[Row]) -> None:
        """Unique values stay taken by deleted rows; NULL is never taken."""
        for keys in TYPES[row.type].unique:
            wanted = [row.values[key] for key in keys]
            for other in others:
                if (
                    other.type == row.type
                    and other.account == row.account
                    and other.id != row.id
                    and None not in wanted
                    and wanted == [other.values[key] for key in keys]
                ):
                    raise Refused(409, "duplicate")

    def _children(self, row: Row) -> list[tuple[Row, Parent]]:
        return [
            (other, parent)
            for other in self.rows
            for parent in TYPES[other.type].parents
            if parent.type == row.type and other.values[parent.field] == row.id
        ]

    def _forbid_soft(self, row: Row) -> None:
        for child, parent in self._children(row):
            if parent.on_delete == "restrict" and child.deleted is None:
                raise Refused(409, "foreign-key")

    def _stamp(self, row: Row, delete: int) -> list[Row]:
        touched = []
        if TYPES[row.type].soft:
            row.deleted = delete
            touched.append(row)
        for child, parent in self._children(row):
            if parent.on_delete == "detach":
                touched.append(self._detach(child, parent.field))
            elif child.deleted is None:
                touched += self._stamp(child, delete)
        return touched

    def _unstamp(self, row: Row, delete: int) -> list[Row]:
        touched = []
        if TYPES[row.type].soft:
            row.deleted = None
            touched.append(row)
        for child, parent in self._children(row):
            is_taken = child.deleted == delete or not TYPES[child.type].soft
            if parent.on_delete == "cascade" and is_taken:
                touched += self._unstamp(child, delete)
        return touched

    def _doomed(self, row: Row) -> list[Row]:
        doomed = [row]
        for child, parent in self._children(row):
            if parent.on_delete == "restrict":
                raise Refused(409, "foreign-key")
            if parent.on_delete == "cascade":
                doomed += self._doomed(child)
        return doomed

    @staticmethod
    def _detach(row: Row, key: str) -> Row:
        row.values[key] = None
        return row


def canonical(kind: str, value: Any) -> Any:
    """A value as it comes back."""
    if kind == "decimal":
        return str(Decimal(value).quantize(Decimal("0.01")))
    if kind == "datetime":
        moment = datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
        return f"{moment.isoformat(timespec='microseconds' if moment.microsecond else 'seconds')}Z"
    if kind == "time":
        return value.removesuffix(".000000")
    return value
