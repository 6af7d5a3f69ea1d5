"""Subscriptions as values: who follows, what is asked for him, and the frames that he is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from engine.errors import Problem
from engine.execute.matching import Match, Question
from engine.language.live import Subscribe


@dataclass(frozen=True, slots=True)
class Told:
    """One frame to a subscriber.

    Attributes:
        event: Its type.
        token: To go on behind it.
        frame: All of it, as JSON.
    """

    event: str
    token: str | None
    frame: bytes


@dataclass(slots=True, eq=False)
class Subscription:
    """Somebody who follows.

    Attributes:
        deliver: Takes frames; must not wait.
        end: Called with the reason when there is nothing to be followed any more.
        held: Frames that have to wait until what was missed has been told; None = none has to.
    """

    subscribe: Subscribe
    deliver: Callable[[Told], None]
    end: Callable[[Problem], None]
    question: Question
    types: frozenset[str]
    held: list[Told] | None = None
    resynced_at: float = 0.0

    def tell(self, told: Told) -> None:
        """Deliver, or keep for later."""
        if self.held is None:
            self.deliver(told)
        else:
            self.held.append(told)


@dataclass(slots=True, eq=False)
class Group:
    """Subscriptions that ask the same."""

    question: Question
    members: dict[Subscription, None] = field(default_factory=dict)


def subscribed(subscription: Subscription, token: str) -> Told:
    """``subscribed``: the first frame."""
    frame: dict[str, object] = {"type": "subscribed", **_named(subscription), "token": token}
    warnings = subscription.question.plan.warnings
    if warnings:
        frame["warnings"] = list(warnings)
    return Told("subscribed", token, orjson.dumps(frame))


def resync(subscription: Subscription, token: str) -> Told:
    """``resync``: search again."""
    frame = orjson.dumps({"type": "resync", **_named(subscription), "token": token})
    return Told("resync", token, frame)


def event_of(match: Match, *, is_gone: bool) -> str | None:
    """What a match is called; None where it is nothing to tell."""
    if match.data is not None:
        return "update" if match.was_in else "enter"
    if not match.was_in:
        return None
    return "delete" if is_gone else "leave"


def row_told(subscription: Subscription, event: str, token: str, public_id: str, data: bytes | None) -> Told:
    """A row's frame; the row's JSON is put in as it is."""
    frame = orjson.dumps({"type": event, **_named(subscription), "token": token, "id": public_id})
    if data is not None:
        frame = b'%s,"data":%s}' % (frame[:-1], data)
    return Told(event, token, frame)


def _named(subscription: Subscription) -> dict[str, str]:
    """A stream of server-sent events is one subscription, and has no name."""
    uid = subscription.subscribe.uid
    return {"uid": uid} if uid else {}
