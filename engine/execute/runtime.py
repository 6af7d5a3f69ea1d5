"""What one running engine holds: registry, tables, database, caches of statements and writers.

It is put together once at start-up by `main/` and replaced whole. It runs
nothing itself; see `execute/read.py` and `execute/write.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.io.blobs import BlobStore
from engine.io.changes import Changes
from engine.io.database import Database
from engine.io.passwords import Passwords
from engine.io.resolver import Resolver
from engine.plan.columns import SelectedColumn, selection_columns
from engine.plan.rights import Rights
from engine.plan.shape import Dialect, PlanContext, ReadShape, Selection
from engine.plan.tenancy import RuleContext, rule_values
from engine.plan.write import WriteShape
from engine.plugins.overrides import Overrides
from engine.registry.resource import Registry
from engine.render.rows import Writer, make_writer
from engine.sql.read import build_read
from engine.sql.setting import Setting
from engine.sql.statement import Statement
from engine.tables import Tables

MAX_PREPARED = 2_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement with the writer of its rows."""

    statement: Statement
    writer: Writer


@dataclass(slots=True)
class Runtime:
    """One running engine.

    Attributes:
        registry: What it serves.
        tables: The registry's tables.
        database: Where they are.
        resolver: Public ids to row ids.
        changes: Takes committed writes.
        overrides: What YAML cannot say, by type.
        cursor_key: Seals cursors; the same in all workers.
        blobs: Where the bytes of files are.
        passwords: Hashes them, so many at once.
        writes: Compiled statements of writes; kept by `execute/session.py`.
        layouts: What a selection takes of a row that was just written; see `layout`.
    """

    registry: Registry
    tables: Tables
    database: Database
    resolver: Resolver
    changes: Changes
    overrides: Mapping[str, Overrides]
    cursor_key: bytes
    blobs: BlobStore
    passwords: Passwords = field(default_factory=Passwords)
    writes: dict[WriteShape, Statement] = field(default_factory=dict)
    layouts: dict[Selection, tuple[SelectedColumn, ...]] = field(default_factory=dict)
    _prepared: OrderedDict[ReadShape, Prepared] = field(default_factory=OrderedDict)

    @property
    def dialect(self) -> Dialect:
        """The database's dialect."""
        return self.database.dialect

    def layout(self, selection: Selection) -> tuple[SelectedColumn, ...]:
        """The columns of a selection, as `selection_columns` lists them; remembered."""
        found = self.layouts.get(selection)
        if found is None:
            found = tuple(selection_columns(self.registry, selection))
            if len(self.layouts) >= MAX_PREPARED:
                self.layouts.clear()
            self.layouts[selection] = found
        return found

    def setting(self, shape: ReadShape, rights: Rights) -> Setting:
        """What the SQL layer needs to know besides a shape."""
        return Setting(self.registry, self.tables, self.database.dialect, shape.viewer, rights)

    def prepare(self, shape: ReadShape, rights: Rights) -> Prepared:
        """The statement of a shape and the writer of its rows; compiled the first time, then remembered.

        Args:
            shape: What is read.
            rights: The rights whose key the shape holds.

        Raises:
            QueryTooComplex: The search joins too many tables.
        """
        found = self._prepared.get(shape)
        if found is not None:
            self._prepared.move_to_end(shape)
            return found
        prepared = Prepared(
            build_read(shape, self.setting(shape, rights)),
            make_writer(self.registry, shape.selection, self.database.dialect, self.overrides),
        )
        self._prepared[shape] = prepared
        if len(self._prepared) > MAX_PREPARED:
            self._prepared.popitem(last=False)
        return prepared


def with_rules(
    runtime: Runtime, prepared: Prepared, values: Mapping[str, object], context: PlanContext
) -> Mapping[str, object]:
    """Add the values of the row rules that a statement holds; most hold none."""
    guarded = prepared.statement.guarded
    if not guarded:
        return values
    rule_context = RuleContext(context.principal, context.now, context.dialect)
    return {**values, **rule_values(runtime.registry, guarded, context.rights, rule_context)}
