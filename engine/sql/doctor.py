"""What can be wrong with the rows of a database that was there before us: a question for each, and what would mend it.

Pure: the questions count rows, the remedies are text for a person to read. Neither changes anything; who asks is
`cli/doctor.py`. What the structure lacks is `migration.py`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.language.ids import PUBLIC_ID_LENGTH
from engine.plan.shape import Dialect
from engine.registry.reflection import ReflectedColumn, ReflectedDatabase, ReflectedTable
from engine.registry.resource import Registry, Resource
from engine.sql.ddl import create_index, quote
from engine.tables import COLLATION, foreign_keys_of, indexes_of

ID_PATTERN = "^[A-Za-z0-9_-]{11,64}$"
_TIMES = frozenset({"date", "datetime"})


@dataclass(frozen=True, slots=True)
class Probe:
    """One question.

    Attributes:
        subject: Type, or type and field.
        complaint: What it means when the answer is not 0; ``{}`` stands for the answer.
        count: SQL that counts the rows concerned; None where the structure alone has told.
        remedy: SQL that would mend it; empty where a person has to decide.
        advice: What to do where there is no remedy, or before it.
    """

    subject: str
    complaint: str
    count: str | None = None
    remedy: str = ""
    advice: str = ""


def probes_of(registry: Registry, reflection: ReflectedDatabase) -> tuple[Probe, ...]:
    """All questions for a registry and the database that it is served from, type by type."""
    return tuple(
        probe
        for resource in registry.types.values()
        if (table := reflection.table(resource.table)) is not None and not table.is_view
        for probe in _Examination(registry, reflection, resource, table).probes()
    )


class _Examination:
    """The questions about one type."""

    def __init__(
        self, registry: Registry, reflection: ReflectedDatabase, resource: Resource, table: ReflectedTable
    ) -> None:
        self.registry = registry
        self.reflection = reflection
        self.dialect: Dialect = reflection.dialect
        self.resource = resource
        self.table = table
        self.name = resource.name
        self.quoted = quote(table.name, self.dialect)

    def probes(self) -> Iterator[Probe]:
        yield from self._ids()
        yield from self._references()
        yield from self._accounts()
        yield from self._parents()
        yield from self._times()
        yield from self._indexes()

    def _quote(self, column: str) -> str:
        return quote(column, self.dialect)

    def _count(self, condition: str, alias: str = "c") -> str:
        return f"SELECT COUNT(*) FROM {self.quoted} {alias} WHERE {condition}"

    def _ids(self) -> Iterator[Probe]:
        column = self.table.columns.get(self.resource.public_id or "")
        if column is None:
            yield Probe(self.name, "has no public ids yet", advice="`aether migrate` adds and fills them")
            return
        subject, wanted = f"{self.name}.id", self._quote(column.name)
        absent = f"{wanted} IS NULL OR {wanted} = ''"
        draw = f"UPDATE {self.quoted} SET {wanted} = {self._new_id(column)} WHERE "
        yield Probe(
            subject,
            "{} rows have no public id and cannot be reached",
            self._count(absent),
            remedy=f"{draw}{absent}",
        )
        wrong = (
            f"{wanted} NOT REGEXP '{ID_PATTERN}'"
            if self.dialect == "mariadb"
            else f"(LENGTH({wanted}) NOT BETWEEN 11 AND 64 OR {wanted} GLOB '*[^A-Za-z0-9_-]*')"
        )
        yield Probe(
            subject,
            "{} rows have an id that no caller can use: not 11 to 64 letters, digits, _ or - (a number, perhaps)",
            self._count(f"{wanted} IS NOT NULL AND {wanted} <> '' AND {wrong}"),
            remedy=f"{draw}{wrong}",
            advice="they get new ids; whoever has kept the old ones loses them",
        )
        folded = f"LOWER({wanted})" if not column.is_exact else wanted
        yield Probe(
            subject,
            "{} ids are there more than once" + ("" if column.is_exact else ", or differ in case alone"),
            f"SELECT COUNT(*) FROM (SELECT 1 FROM {self.quoted} WHERE {wanted} <> ''"
            f" GROUP BY {folded} HAVING COUNT(*) > 1) d",
            advice="keep one of each and give the others new ids",
        )
        if not column.is_exact and column.charset is not None:
            null = "NULL" if column.nullable else "NOT NULL"
            kind = column.type.split(" ")[0]
            yield Probe(
                subject,
                f"its column folds case (collation {column.collation}): look-ups compare twice",
                remedy=f"ALTER TABLE {self.quoted} MODIFY {wanted} {kind} CHARACTER SET utf8mb4"
                f" COLLATE {COLLATION} {null}",
            )

    def _references(self) -> Iterator[Probe]:
        for column_name, target in foreign_keys_of(self.resource, self.registry):
            column, other = self.table.columns.get(column_name), self.reflection.table(target.table)
            if column is None or other is None:
                continue
            wanted = self._quote(column.name)
            missing = (
                f"{self.quoted}.{wanted} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {quote(other.name, self.dialect)} p"
                f" WHERE p.{self._quote(target.key)} = {self.quoted}.{wanted})"
            )
            yield Probe(
                f"{self.name}.{column.name}",
                f"{{}} rows point at no {target.name}",
                f"SELECT COUNT(*) FROM {self.quoted} WHERE {missing}",
                remedy=f"UPDATE {self.quoted} SET {wanted} = NULL WHERE {missing}" if column.nullable else "",
                advice="" if column.nullable else "the column takes no NULL: delete the rows, or restore what is gone",
            )

    def _accounts(self) -> Iterator[Probe]:
        """Rows whose account is not that of what they stand under, or point at."""
        own = self.resource.account.column
        if own is None or own not in self.table.columns:
            return
        parents = {parent.field for parent in self.resource.parents}
        for relation in self.resource.relations.values():
            field = self.resource.fields.get(relation.field) if relation.kind == "one" else None
            target = self.registry.types[relation.target]
            other = self.reflection.table(target.table)
            theirs = target.account.column or (target.key if target.account.kind == "self" else None)
            if field is None or field.column is None or other is None or theirs is None or field.column == own:
                continue
            if field.column not in self.table.columns or theirs not in other.columns:
                continue
            mine, column = f"c.{self._quote(own)}", self._quote(field.column)
            join = f"p.{self._quote(target.key)} = c.{column}"
            found = f"SELECT COUNT(*) FROM {self.quoted} c JOIN {quote(other.name, self.dialect)} p ON {join} WHERE "
            if field.name in parents:
                source = f"SELECT p.{self._quote(theirs)} FROM {quote(other.name, self.dialect)} p WHERE "
                source += f"p.{self._quote(target.key)} = {self.quoted}.{column}"
                yield Probe(
                    self.name,
                    f"{{}} rows have another account than the {target.name} they stand under",
                    f"{found}({mine} IS NULL OR {mine} <> p.{self._quote(theirs)})",
                    remedy=f"UPDATE {self.quoted} SET {self._quote(own)} = ({source}) WHERE {column} IS NOT NULL",
                )
            else:
                yield Probe(
                    f"{self.name}.{field.name}",
                    f"{{}} rows point at a {target.name} of another account; callers read null there",
                    f"{found}{mine} <> p.{self._quote(theirs)}",
                    advice="decide which of the two is right",
                )

    def _parents(self) -> Iterator[Probe]:
        columns = [
            field.column
            for parent in self.resource.parents
            if (field := self.resource.fields.get(parent.field)) is not None and field.column in self.table.columns
        ]
        if len(columns) != len(self.resource.parents) or not columns:
            return
        marks = " + ".join(f"CASE WHEN {self._quote(str(column))} IS NULL THEN 0 ELSE 1 END" for column in columns)
        yield Probe(
            self.name,
            "{} rows stand under no parent, or under several",
            self._count(f"{marks} <> 1"),
            advice="set exactly one parent for each",
        )

    def _times(self) -> Iterator[Probe]:
        """MariaDB's zero dates, which are no days."""
        if self.dialect != "mariadb" or not self.resource.is_reflected:
            return
        for field in self.resource.fields.values():
            column = self.table.columns.get(field.column or "")
            if column is None or column.kind not in _TIMES:
                continue
            zero = f"{self._quote(column.name)} = '0000-00-00'"
            yield Probe(
                f"{self.name}.{field.name}",
                "{} rows have a zero date, which is read as null",
                self._count(zero),
                remedy=f"UPDATE {self.quoted} SET {self._quote(column.name)} = NULL WHERE {zero}"
                if column.nullable
                else "",
                advice="" if column.nullable else "the column takes no NULL: give them a real date",
            )

    def _indexes(self) -> Iterator[Probe]:
        there = [index.columns for index in self.table.indexes if index.kind == "btree" and not index.is_partial]
        there.append(self.table.primary_key)
        for index in indexes_of(self.resource):
            wanted = index.columns
            if all(column in self.table.columns for column in wanted) and not any(
                columns[: len(wanted)] == wanted for columns in there
            ):
                yield Probe(
                    self.name,
                    f"has no index over {', '.join(wanted)} ({index.purpose})",
                    remedy=create_index(index, self.dialect),
                )

    def _new_id(self, column: ReflectedColumn) -> str:
        """An expression that draws an id for each row: 128 bits where the column has room."""
        if self.dialect == "sqlite":
            return "LOWER(HEX(RANDOMBLOB(16)))"
        size = min(column.size or PUBLIC_ID_LENGTH, PUBLIC_ID_LENGTH)
        return f"LEFT(REPLACE(REPLACE(TO_BASE64(RANDOM_BYTES(18)), '+', '-'), '/', '_'), {size})"
