"""``GET /v3/live/events``: one subscription as server-sent events, for those who cannot open a websocket.

The same frames: ``event:`` is the type, ``id:`` the token, ``data:`` the frame. Comments keep the connection warm. A
browser that comes back sends the last id by itself and goes on behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import replace

import orjson
from starlette.types import Receive, Scope, Send

from engine.auth.gate import Presented
from engine.errors import BadRequest, ErrorItem, Problem, ValidationFailed
from engine.execute.subscriptions import Subscription, Told
from engine.http.call import Request
from engine.http.live_connections import GOING_AWAY, TOO_MANY, Connections
from engine.http.live_wire import ON_STOP
from engine.language.json import decode_json
from engine.language.live import Subscribe, parse_subscribe
from engine.principal import Principal
from engine.render.problem import render_problem

PATHS = frozenset({"/v3/live/events", "/v3/live/events/"})
ROUTE = "/v3/live/events"
PARAMETERS = frozenset({"obj_type", "search", "parent", "since"})
MAX_WAITING_BYTES = 1024 * 1024
MAX_WARMTH_S = 15.0

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"private, no-store"),
    (b"vary", b"Authorization, X-API-Key, X-Account-Id"),
    # Proxies that gather replies before they pass them on would tell everything too late.
    (b"x-accel-buffering", b"no"),
)


class EventStream:
    """One stream of events.

    Args:
        connections: Counts it and looks after it.
        request: The request; its credentials are behind the stream as long as it is open.
        principal: Who asks.
    """

    def __init__(self, connections: Connections, request: Request, principal: Principal) -> None:
        headers = request.headers
        self._connections = connections
        self._request = request
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._has_come = asyncio.Event()
        self._is_over = False
        self.principal = principal
        self.presented: Presented = (
            headers.get(b"authorization"),
            headers.get(b"x-api-key"),
            headers.get(b"x-account-id"),
        )
        self.address = request.client
        self.subscriptions: dict[str, Subscription] = {}

    async def begin(self) -> None:
        """Subscribe.

        Raises:
            Problem: As with a search; nothing has been answered yet.
        """
        subscribe = _read(self._request)
        self._connections.admit(self)
        try:
            self.subscriptions[""] = await self._connections.hub.follow(
                subscribe, self.principal, self._deliver, self._end_subscription
            )
        except ValidationFailed as problem:
            self._connections.dismiss(self)
            problem.errors = tuple(_as_parameter(item) for item in problem.errors)
            raise
        except BaseException:
            self._connections.dismiss(self)
            raise

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until one of both ends it."""
        scope.setdefault("state", {})[ON_STOP] = self._stop
        watching = asyncio.create_task(self._watch(receive))
        warmth_s = min(MAX_WARMTH_S, self._connections.settings.live_idle_s / 2)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS]})
            while True:
                while self._waiting:
                    event = self._waiting.popleft()
                    self._waiting_bytes -= len(event)
                    await send({"type": "http.response.body", "body": event, "more_body": True})
                if self._is_over:
                    break
                self._has_come.clear()
                try:
                    async with asyncio.timeout(warmth_s):
                        await self._has_come.wait()
                except TimeoutError:
                    self._waiting.append(b": still here\n\n")
                    self._waiting_bytes += len(self._waiting[-1])
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._connections.dismiss(self)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    def hang_up(self, code: int, reason: str) -> None:
        """Say why, and end."""
        if self._is_over:
            return
        if code == TOO_MANY:
            self._waiting.clear()
        frame = orjson.dumps({"type": "close", "code": code, "reason": reason})
        self._waiting.append(b"event: close\ndata: %s\n\n" % frame)
        self._is_over = True
        self._has_come.set()

    # ------------------------------------------------------------ private

    def _deliver(self, told: Told) -> None:
        if self._is_over:
            return
        head = f"event: {told.event}\n" + (f"id: {told.token}\n" if told.token else "")
        event = b"%sdata: %s\n\n" % (head.encode("ascii"), told.frame)
        self._waiting.append(event)
        self._waiting_bytes += len(event)
        if self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1:
            self.hang_up(TOO_MANY, "you do not read what is sent to you")
        self._has_come.set()

    def _end_subscription(self, problem: Problem) -> None:
        shown = orjson.loads(render_problem(problem, instance=ROUTE, request_id=self._request.request_id))
        self._deliver(Told("error", None, orjson.dumps({"type": "error", "problem": shown})))
        self._is_over = True
        self._has_come.set()

    def _stop(self) -> None:
        self.hang_up(GOING_AWAY, "the server stops")

    async def _watch(self, receive: Receive) -> None:
        """Notice that the client is gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._is_over = True
        self._waiting.clear()
        self._has_come.set()


def _read(request: Request) -> Subscribe:
    """The subscription that a query string asks for.

    Raises:
        BadRequest: A parameter is unknown, given twice, or no JSON where it has to be.
        ValidationFailed: With every fault.
    """
    given = request.flags(PARAMETERS)
    read: dict[str, object] = {name: value for name, value in given.items() if name in ("obj_type", "since")}
    for name in ("search", "parent"):
        if given.get(name):
            try:
                read[name] = decode_json(given[name].encode("utf-8", "surrogatepass"))
            except BadRequest as problem:
                item = ErrorItem("bad-operand", problem.detail, parameter=name)
                raise BadRequest(f"{name} is no JSON: {problem.detail}", errors=[item], code=problem.code) from problem
    last = request.header(b"last-event-id")
    if last:
        # A browser that comes back knows better than the URL that it was given at first.
        read["since"] = last
    try:
        return parse_subscribe(read, with_uid=False)
    except ValidationFailed as problem:
        raise ValidationFailed(errors=[_as_parameter(item) for item in problem.errors]) from problem


def _as_parameter(item: ErrorItem) -> ErrorItem:
    """A fault's place: the parameter that it is in."""
    if item.pointer is None:
        return item
    name = item.pointer.strip("/").partition("/")[0]
    return replace(item, pointer=None, parameter=name or "search")
