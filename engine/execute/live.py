"""Following: subscriptions of this process, told in order what each commit means to them.

Commits come from a stream (`io/streams.py`), questions are asked by `matching.py`. Whose subscription it is, how
frames travel and when rights are looked at again is `http/`'s business.

What is told: ``enter``, ``update``, ``leave`` and ``delete`` of rows, and ``resync`` where it cannot be said which
rows: something was lost, or a row of another type that the condition looks at has changed.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from engine.errors import NotFound, Problem
from engine.execute.matching import Match, Queries, Question, ask_question, match_change, matters
from engine.execute.read import read_one, require_chain
from engine.execute.runtime import Runtime
from engine.execute.session import plan_id
from engine.execute.subscriptions import Group, Subscription, Told, event_of, resync, row_told, subscribed
from engine.io.live_entries import Entry, Image, RowChange
from engine.io.streams import Arrival, Stream
from engine.language.live import Place, Subscribe, open_token, seal_token
from engine.observe import HookFailed, observe
from engine.plan.live import LivePlan, plan_subscription
from engine.plan.read import not_found
from engine.plan.rights import rights_of
from engine.plan.shape import PlanContext
from engine.principal import Principal

WHOLE = 1_000_000
"""As the index of a place: all rows of the entry have been told."""

MAX_RECENT = 20_000
RESYNC_EVERY_S = 1.0


class Hub:
    """All subscriptions of a process.

    Args:
        runtime: The running engine.
        stream: Where commits come from.
        key: Seals tokens.
    """

    def __init__(self, runtime: Runtime, stream: Stream, *, key: bytes) -> None:
        self._runtime = runtime
        self._stream = stream
        self._key = key
        self._groups: dict[Hashable, Group] = {}
        self._by_type: dict[str, dict[Group, None]] = {}
        self._queries: Queries = {}
        self._recent: OrderedDict[tuple[str, int], tuple[float, Image | None]] = OrderedDict()
        self._late: deque[tuple[float, Subscription]] = deque()
        self._siblings: dict[str, tuple[str, ...]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take commits."""
        self._stream.start()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._stream.close()

    async def follow(
        self,
        subscribe: Subscribe,
        principal: Principal,
        deliver: Callable[[Told], None],
        end: Callable[[Problem], None],
    ) -> Subscription:
        """Begin a subscription: ``subscribed`` is delivered first, then what was missed, then what comes.

        Args:
            subscribe: What is followed.
            principal: Who follows.
            deliver: See `Subscription`.
            end: See `Subscription`.

        Raises:
            NotFound, Forbidden, ValidationFailed, QueryTooComplex: As with a search.
        """
        question, plan = await self._ask(subscribe, principal)
        types = self._types_of(plan)
        try:
            await self._stream.watch(types)
        except BaseException:
            self._stream.unwatch(types)
            raise
        subscription = Subscription(subscribe, deliver, end, question, types, held=[])
        self._join(subscription)
        upto = self._stream.place
        try:
            await self._begin(subscription, upto)
        except BaseException:
            self.unfollow(subscription)
            raise
        return subscription

    def unfollow(self, subscription: Subscription) -> None:
        """End a subscription; nothing is delivered any more."""
        if self._leave(subscription):
            self._stream.unwatch(subscription.types)

    async def refresh(self, subscription: Subscription, principal: Principal) -> None:
        """Plan a subscription anew, where its values depend on the time.

        Raises:
            Problem: As with `follow`.
        """
        if not subscription.question.plan.is_fleeting:
            return
        question, _ = await self._ask(subscription.subscribe, principal)
        if question.key != subscription.question.key and self._leave(subscription):
            subscription.question = question
            self._join(subscription)

    # ------------------------------------------------------------ beginning

    async def _ask(self, subscribe: Subscribe, principal: Principal) -> tuple[Question, LivePlan]:
        runtime = self._runtime
        rights = rights_of(runtime.registry, principal)
        zone = subscribe.search.timezone or "UTC"
        context = PlanContext(runtime.registry, rights, principal, runtime.dialect, datetime.now(UTC), zone)
        plan = plan_subscription(subscribe, context)
        parent_row = None
        if plan.parent is not None:
            link, public_id = plan.parent
            await require_chain(runtime, [plan.parent], context)
            row = await runtime.resolver.resolve(link.type, public_id)
            if row is None:
                raise not_found()
            parent_row = row.row_id
        return ask_question(runtime, self._queries, plan, context, parent_row), plan

    async def _begin(self, subscription: Subscription, upto: str) -> None:
        since = subscription.subscribe.since
        place = None if since is None else open_token(since, key=self._key)
        missed: list[Arrival] | None = None
        if place is not None:
            missed = await self._stream.replay(place.entry, upto, subscription.types)
        token = since if missed is not None and since is not None else self._seal(upto, WHOLE)
        subscription.deliver(subscribed(subscription, token))
        if missed is not None and place is not None:
            await self._catch_up(subscription, missed, place)
        elif since is not None:
            subscription.deliver(resync(subscription, self._seal(upto, WHOLE)))
        held, subscription.held = subscription.held or [], None
        for told in held:
            subscription.deliver(told)

    async def _catch_up(self, subscription: Subscription, missed: list[Arrival], place: Place) -> None:
        done = place.index
        for arrival in missed:
            entry = arrival.entry
            if _is_loss(entry):
                subscription.deliver(resync(subscription, self._seal(arrival.place, WHOLE)))
            for index, change in enumerate(entry.rows if entry is not None else ()):
                if index < done or change.type not in subscription.types:
                    continue
                match, is_unclear = await self._consider(subscription.question, change)
                token = self._seal(arrival.place, index + 1)
                event = None if match is None else event_of(match, is_gone=self._is_gone(change))
                if match is not None and event is not None:
                    subscription.deliver(row_told(subscription, event, token, change.public_id, match.data))
                if is_unclear:
                    subscription.deliver(resync(subscription, token))
            done = 0

    def _types_of(self, plan: LivePlan) -> frozenset[str]:
        names = {plan.resource.name, *plan.dependencies, *plan.parent_types}
        return frozenset(one for name in names for one in self._same_table(name))

    def _same_table(self, name: str) -> tuple[str, ...]:
        known = self._siblings.get(name)
        if known is None:
            types = self._runtime.registry.types
            known = tuple(one.name for one in types.values() if one.table == types[name].table)
            self._siblings[name] = known
        return known

    def _join(self, subscription: Subscription) -> None:
        question = subscription.question
        group = self._groups.setdefault(question.key, Group(question))
        subscription.question = group.question
        group.members[subscription] = None
        for name in subscription.types:
            self._by_type.setdefault(name, {})[group] = None

    def _leave(self, subscription: Subscription) -> bool:
        group = self._groups.get(subscription.question.key)
        if group is None or subscription not in group.members:
            return False
        del group.members[subscription]
        if not group.members:
            del self._groups[subscription.question.key]
            for name in subscription.types:
                self._by_type[name].pop(group, None)
        return True

    # ------------------------------------------------------------ telling

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RESYNC_EVERY_S if self._late else None):
                    arrival = await self._stream.take()
            except TimeoutError:
                self._tell_late()
                continue
            try:
                await self._pass_on(arrival)
            except Exception as fault:
                # Whatever it is, the next commits come; who was to be told of this one looks again.
                observe(HookFailed("live", fault))
                self._resync_all(arrival.place, self._groups.values())
            self._tell_late()

    async def _pass_on(self, arrival: Arrival) -> None:
        """Tell everybody whom an arrival concerns; who comes while that is done is not meant."""
        entry = arrival.entry
        if entry is None or _is_loss(entry):
            self._resync_all(arrival.place, self._groups.values())
            return
        meant = {
            name: [(group, tuple(group.members)) for group in self._by_type.get(name, ())]
            for name in {change.type for change in entry.rows}
        }
        for index, given in enumerate(entry.rows):
            if not meant[given.type]:
                continue
            change = self._settle(given)
            token = self._seal(arrival.place, index + 1)
            for group, members in meant[given.type]:
                if not group.members:
                    continue
                match, is_unclear = await self._consider(group.question, change)
                event = None if match is None else event_of(match, is_gone=self._is_gone(change))
                if match is not None and event is not None:
                    for subscription in members:
                        if subscription in group.members:
                            subscription.tell(row_told(subscription, event, token, change.public_id, match.data))
                if is_unclear:
                    self._resync_all(arrival.place, [group])
        for name, groups in meant.items():
            for group, _ in groups:
                if group.members and not group.question.plan.parent_types.isdisjoint(self._same_table(name)):
                    await self._check_parent(group)

    async def _consider(self, question: Question, change: RowChange) -> tuple[Match | None, bool]:
        """What a change means to a question, and whether rows may have come or gone that nobody can name."""
        if not question.concerns(change):
            return None, False
        plan, registry = question.plan, self._runtime.registry
        same_table = self._same_table(change.type)
        is_own = plan.resource.name in same_table
        if change.is_blind:
            return None, is_own or any(name in plan.dependencies for name in same_table)
        is_unclear = any(
            name in plan.dependencies and matters(registry, registry.types[name], plan.dependencies[name], change)
            for name in same_table
        )
        if not is_own:
            return None, is_unclear
        match = await match_change(self._runtime, question, change)
        return match, is_unclear or match is None

    def _is_gone(self, change: RowChange) -> bool:
        """Whether the row was deleted, softly or for good."""
        if change.after is None or change.before is None:
            return True
        resource = self._runtime.registry.types[change.type]
        if resource.soft_delete is None:
            return False
        return matters(self._runtime.registry, resource, frozenset(), change)

    def _settle(self, change: RowChange) -> RowChange:
        """Put a change right that comes behind a later one of its row: what is told is what both did together.

        Processes commit in one order and may publish in another.
        """
        if change.is_blind or (change.version is None and change.after is not None):
            return change
        place = (self._runtime.registry.types[change.type].table, change.row_id)
        version = float("inf") if change.version is None else float(change.version)
        known = self._recent.get(place)
        if known is not None and version < known[0]:
            return replace(change, after=known[1])
        self._recent[place] = (version, change.after)
        self._recent.move_to_end(place)
        if len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)
        return change

    async def _check_parent(self, group: Group) -> None:
        """End the subscriptions whose parent is not there any more."""
        question = group.question
        if question.plan.parent is None:
            return
        link, public_id = question.plan.parent
        resource = self._runtime.registry.types[link.type]
        try:
            await read_one(self._runtime, plan_id(resource, public_id, question.context), question.context)
        except NotFound as gone:
            for subscription in tuple(group.members):
                self.unfollow(subscription)
                subscription.end(gone)

    # ------------------------------------------------------------ looking again

    def _resync_all(self, place: str, groups: Iterable[Group]) -> None:
        token = self._seal(place, WHOLE)
        for group in tuple(groups):
            for subscription in tuple(group.members):
                self._tell_resync(subscription, token)

    def _tell_resync(self, subscription: Subscription, token: str) -> None:
        """At once, and then at most once a second: who looks again looks at everything."""
        here = time.monotonic()
        if here - subscription.resynced_at >= RESYNC_EVERY_S:
            subscription.resynced_at = here
            subscription.tell(resync(subscription, token))
        elif subscription.resynced_at <= here:
            subscription.resynced_at += RESYNC_EVERY_S
            self._late.append((subscription.resynced_at, subscription))

    def _tell_late(self) -> None:
        here = time.monotonic()
        while self._late and self._late[0][0] <= here:
            _, subscription = self._late.popleft()
            group = self._groups.get(subscription.question.key)
            if group is not None and subscription in group.members:
                subscription.tell(resync(subscription, self._seal(self._stream.place, WHOLE)))

    def _seal(self, place: str, index: int) -> str:
        return seal_token(Place(place, index), key=self._key)


def _is_loss(entry: Entry | None) -> bool:
    """Whether an entry says that something was lost; one without a process only marks a place."""
    return entry is None or bool(entry.node and not entry.rows)
