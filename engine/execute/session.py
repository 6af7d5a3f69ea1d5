"""One write while it runs: where its statements go, how it is committed, what is announced when it is.

The writes themselves are in `create.py`, `update.py` and `delete.py`; what their relations
point at is `targets.py`'s business, what a database's refusal means `faults.py`'s.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from engine.errors import (
    Forbidden,
    NotFound,
)
from engine.execute.effects import Effects
from engine.execute.read import Found, read_one
from engine.execute.runtime import Runtime
from engine.io.changes import Change
from engine.io.database import Database, Rows, Transaction
from engine.io.resolver import ResolvedRow
from engine.language.call import Precondition
from engine.language.search import EMPTY_SEARCH, SearchBody
from engine.light import light
from engine.plan.read import Chain
from engine.plan.selection import id_selection
from engine.plan.shape import Dialect, PlanContext, ReadPlan, ReadShape, Viewer
from engine.plan.tenancy import RuleContext, account_values, rule_values, view_accounts
from engine.plan.write import InsertShape, WriteShape
from engine.plugins.overrides import Caller, Overrides, Written, no_overrides
from engine.registry.kinds import KINDS
from engine.registry.resource import Field, Resource
from engine.sql.setting import Setting
from engine.sql.statement import Statement
from engine.sql.write import build_write

T = TypeVar("T")
MAX_STATEMENTS = 2_000
_MOMENT = Field(name="now", column=None, kind="datetime")


@light
@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCall:
    """One write, as the path, the query string, the headers and the body say.

    Attributes:
        chain: The parents of the path with their public ids, nearest first.
        search: Its `fields` and `expand` say what is answered.
        is_trial: ``validate_only``: do everything and keep nothing.
        is_hard: Delete for good.
        further: Values that only code may set, by wire name, as overrides return them; on top of the body's.
    """

    resource: Resource
    chain: Chain = ()
    public_id: str = ""
    body: object = None
    search: SearchBody = EMPTY_SEARCH
    if_match: Precondition | None = None
    is_trial: bool = False
    is_hard: bool = False
    further: Mapping[str, object] = field(default_factory=dict)


@light
@dataclass(frozen=True, slots=True)
class Outcome:
    """A write that was done.

    Attributes:
        public_id: Of the object.
        found: The object as a GET would give it; None where the caller may not read it, or where it is gone.
        warnings: Of the reply's plan.
    """

    public_id: str
    found: Found | None = None
    warnings: tuple[str, ...] = ()


class Runner(Protocol):
    """Where statements run: the database in autocommit, or a transaction."""

    async def fetch(self, sql: str, binds: Sequence[object] = (), *, point: bool = False) -> Rows:
        """Run a statement and return its rows."""

    async def execute(self, sql: str, binds: Sequence[object] = ()) -> int:
        """Run a statement and return how many rows it matched."""


@light
@dataclass(frozen=True, slots=True)
class Session:
    """One write while it runs.

    Attributes:
        runner: The database, or the transaction that the write is in.
        now: The write's time as columns hold it.
    """

    runtime: Runtime
    context: PlanContext
    runner: Runner
    effects: Effects
    viewer: Viewer
    now: datetime

    @property
    def dialect(self) -> Dialect:
        """The database's dialect."""
        return self.runtime.dialect

    def overrides(self, resource: Resource) -> Overrides:
        """What the type's file says."""
        return self.runtime.overrides.get(resource.name) or no_overrides(resource.name)

    def moment(self, known: Field | None = None) -> object:
        """The write's time as the driver takes it, for a field that the engine writes."""
        field = _MOMENT if known is None or known.zone is None else replace(_MOMENT, zone=known.zone)
        return KINDS["datetime"].bind[self.dialect](self.now, field)

    def statement(self, shape: WriteShape) -> Statement:
        """The compiled statement of a shape."""
        runtime = self.runtime
        found = runtime.writes.get(shape)
        if found is None:
            setting = Setting(runtime.registry, runtime.tables, self.dialect, self.viewer, self.context.rights)
            found = build_write(shape, setting)
            if len(runtime.writes) >= MAX_STATEMENTS:
                runtime.writes.clear()
            runtime.writes[shape] = found
        return found

    def arrange(self, statement: Statement, values: Mapping[str, object]) -> tuple[object, ...]:
        """The statement's binds: the write's own values, the caller's accounts, the row rules'."""
        everything = {**account_values(self.context.principal, self.viewer), **values}
        if statement.guarded:
            rules = RuleContext(self.context.principal, self.context.now, self.context.dialect)
            everything.update(rule_values(self.runtime.registry, statement.guarded, self.context.rights, rules))
        return statement.arrange(everything)

    async def resolve(self, type_name: str, public_id: str) -> ResolvedRow | None:
        """Where a checked public id leads, asked where the write runs."""
        return await self.runtime.resolver.resolve(type_name, public_id, through=self.runner)

    async def fetch(self, shape: WriteShape, values: Mapping[str, object]) -> Rows:
        """Run a statement that has rows."""
        rows = await self._fetch(shape, values)
        if self.effects.images is not None and isinstance(shape, InsertShape) and rows:
            self.effects.images.note_made(self._fetch, shape, rows[0][0])
        return rows

    async def _fetch(self, shape: WriteShape, values: Mapping[str, object]) -> Rows:
        statement = self.statement(shape)
        return await self.runner.fetch(statement.text, self.arrange(statement, values))

    async def execute(self, shape: WriteShape, values: Mapping[str, object]) -> int:
        """Run a statement that has none; how many rows it matched."""
        if self.effects.images is not None:
            await self.effects.images.look(self._fetch, shape, values)
        statement = self.statement(shape)
        return await self.runner.execute(statement.text, self.arrange(statement, values))

    async def read(self, plan: ReadPlan) -> Found:
        """Read one object where the write runs, so that it sees what it wrote.

        Raises:
            NotFound: It is not there for the caller.
        """
        runtime = self.runtime
        if self.runner is not runtime.database:
            runtime = replace(runtime, database=cast(Database, _Within(self.runner, self.dialect)))
        return await read_one(runtime, plan, self.context)


class _Within:
    """A transaction that reads and writes take for a database.

    Attributes:
        effects: What is to be done when the transaction is committed; None where only reads run in it.
        refused: Why a write in it failed: what that write had done by then stands in the transaction.
    """

    def __init__(self, runner: Runner, dialect: Dialect, effects: Effects | None = None) -> None:
        self.dialect = dialect
        self.runner = runner
        self.fetch = runner.fetch
        self.execute = runner.execute
        self.effects = effects
        self.refused: Exception | None = None


class _Undone(Exception):
    """Rolls a trial back and carries what it would have answered."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result


async def run_write(
    runtime: Runtime,
    context: PlanContext,
    work: Callable[[Session], Awaitable[T]],
    *,
    in_transaction: bool,
    is_trial: bool = False,
) -> T:
    """Run a write, and announce it once it is committed.

    Args:
        runtime: The running engine.
        context: Caller and time.
        work: The write; it may run several times in a transaction that loses a lock, so it changes nothing but rows.
        in_transaction: Whether it has more than one writing statement, or something to check behind one.
        is_trial: Roll back whatever it did.
    """
    within = runtime.database if isinstance(runtime.database, _Within) else None
    effects = within.effects if within is not None and within.effects is not None else Effects()
    viewer = view_accounts(context.principal, context.rights)
    now = context.now.replace(tzinfo=None)

    def session(runner: Runner) -> Session:
        return Session(runtime, context, runner, effects, viewer, now)

    if within is not None:
        try:
            return await work(session(within.runner))
        except Exception as fault:
            within.refused = fault
            raise

    async def attempt(transaction: Transaction) -> T:
        effects.begin(runtime)
        result = await work(session(transaction))
        if is_trial:
            raise _Undone(result)
        await effects.finish(runtime)
        return result

    try:
        # Rows that somebody follows are looked at before and after: nobody must come between.
        if in_transaction or is_trial or runtime.changes.watched:
            return await _commit(runtime, effects, attempt)
    except _Undone as undone:
        return cast(T, undone.result)
    try:
        return await work(session(runtime.database))
    finally:
        # Each statement was its own commit: what was noted is done, whatever failed afterwards.
        await _publish(runtime, effects)


async def run_together(runtime: Runtime, work: Callable[[Runtime], Awaitable[T]]) -> T:
    """Run several reads and writes in one transaction, and announce the writes once it is committed.

    A write that is refused undoes all of them, whether or not `work` catches the refusal.

    Args:
        runtime: The running engine.
        work: Given the engine to read and write by, one call after another. It runs again when the transaction loses
            a lock, so it has no effect but its writes.
    """
    if isinstance(runtime.database, _Within):
        return await work(runtime)
    effects = Effects()

    async def attempt(transaction: Transaction) -> T:
        effects.begin(runtime)
        within = _Within(transaction, runtime.dialect, effects)
        result = await work(replace(runtime, database=cast(Database, within)))
        if within.refused is not None:
            raise within.refused
        await effects.finish(runtime)
        return result

    return await _commit(runtime, effects, attempt)


async def _commit(runtime: Runtime, effects: Effects, attempt: Callable[[Transaction], Awaitable[T]]) -> T:
    """Run a transaction, and announce it."""
    try:
        result = await runtime.database.run(attempt)
    except BaseException:
        # A turn is taken right before the commit: whether that was done is not always known.
        effects.give_up(runtime, is_unknown=True)
        raise
    await _publish(runtime, effects)
    return result


async def _publish(runtime: Runtime, effects: Effects) -> None:
    try:
        for type_name, public_id in effects.gone:
            await runtime.resolver.forget(type_name, public_id)
    finally:
        # Whoever is cancelled by now has written all the same.
        _announce(runtime, effects)


def _announce(runtime: Runtime, effects: Effects) -> None:
    for change in effects.changes:
        # What has just been made is likely to be a parent next.
        if change.verb == "create" and runtime.registry.types[change.type].children:
            found = ResolvedRow(change.row_id, change.account_row_id)
            runtime.resolver.remember(change.type, change.public_id, found)
    effects.tell(runtime)
    for hook, written in effects.hooks:
        runtime.changes.run_after(f"{written.type}.after_commit", _run_hook(hook, written))


async def run_override(function: Callable[..., Any] | None, *values: object) -> Any:
    """Call a hook, plain or async; None where there is none."""
    if function is None:
        return None
    result = function(*values)
    return await result if inspect.isawaitable(result) else result


def left_rule() -> Forbidden:
    """The 403 of a write whose result the caller's row rule does not cover."""
    return Forbidden("The object would leave the rows that you may see.")


def plan_id(resource: Resource, public_id: str, context: PlanContext) -> ReadPlan:
    """A read that only proves that the row is there for the caller, his row rule included."""
    viewer = view_accounts(context.principal, context.rights)
    shape = ReadShape(resource.name, viewer, id_selection(resource.name), "one")
    return ReadPlan(shape, {**account_values(context.principal, viewer), "id": public_id})


async def read_back(session: Session, plan: ReadPlan) -> Found:
    """Read what was written; it must still be there for the caller.

    Raises:
        Forbidden: His row rule does not cover the result.
    """
    try:
        return await session.read(plan)
    except NotFound as gone:
        raise left_rule() from gone


def announce(
    session: Session,
    resource: Resource,
    verb: Any,
    public_id: str,
    row: ResolvedRow,
    *,
    fields: frozenset[str] = frozenset(),
    caller: Caller | None = None,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Note a change, to be announced when the write is committed; hooks get its values without the secret ones."""
    at = session.context.now
    session.effects.changes.append(Change(resource.name, verb, public_id, row.row_id, row.account_row_id, fields, at))
    if verb == "delete":
        session.effects.gone.append((resource.name, public_id))
    hook = session.overrides(resource).after_commit
    if hook is not None:
        account_id = caller.account_id if caller else None
        before, after = _without_secrets(resource, before), _without_secrets(resource, after)
        session.effects.hooks.append((hook, Written(resource.name, verb, public_id, account_id, before, after, at)))


# ---------------------------------------------------------------- private


def _without_secrets(resource: Resource, values: Mapping[str, object] | None) -> dict[str, object] | None:
    if values is None:
        return None
    return {name: value for name, value in values.items() if not resource.fields[name].secret}


async def _run_hook(hook: Callable[[Written], object], written: Written) -> None:
    await run_override(hook, written)
