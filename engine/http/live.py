"""``WS /v3/live``: a websocket over which a client follows what he may see.

He says who he is by headers of the handshake or by a first frame, then what he follows; what he is told comes from
`execute/live.py`. Whoever does not read what is sent to him, sends too much or is not known any more is hung up on,
with a code that says why. What is below (ping, size of frames, the end of the server) is `live_wire.py`'s business.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

import orjson
from starlette.types import Message, Receive, Scope, Send

from engine.auth.gate import Presented
from engine.auth.limits import RateLimiter, caller_of
from engine.auth.tokens import refuse
from engine.errors import Conflict, Forbidden, NotFound, Problem, RateLimited, Unauthenticated
from engine.execute.subscriptions import Subscription, Told
from engine.http.live_connections import (
    FAULTY,
    NOTHING,
    TOO_LARGE,
    TOO_MANY,
    UNKNOWN,
    Connections,
    reason_of,
)
from engine.language.live import Auth, Frame, FrameRefused, Ping, Subscribe, Unsubscribe, parse_frame
from engine.observe import RequestFailed, observe
from engine.plan.rights import rights_of
from engine.principal import ANONYMOUS, Principal
from engine.registry.resource import Registry
from engine.render.problem import render_problem

PATH = "/v3/live"
AUTH_TIMEOUT_S = 5.0
LAST_WORDS_S = 1.0
MAX_WAITING_BYTES = 1024 * 1024

_PONG = b'{"type":"pong"}'


class Socket:
    """One websocket.

    Args:
        connections: Counts it and looks after it.
        registry: The running registry.
        limiter: Requests per caller; each subscription is one.
        request_id: Known by it in the log and in problems.
    """

    __slots__ = (
        "_connections",
        "_end",
        "_flushing",
        "_limiter",
        "_receive",
        "_registry",
        "_request_id",
        "_send",
        "_waiting",
        "_waiting_bytes",
        "address",
        "presented",
        "principal",
        "subscriptions",
        "_receiving",
    )

    def __init__(
        self,
        connections: Connections,
        registry: Registry,
        limiter: RateLimiter | None,
        request_id: str,
        receive: Receive,
        send: Send,
    ) -> None:
        self._connections = connections
        self._registry = registry
        self._limiter = limiter
        self._request_id = request_id
        self._receive = receive
        self._send = send
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._flushing: asyncio.Task[None] | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._end: tuple[int, str] | None = None
        self.address = ""
        self.principal: Principal = ANONYMOUS
        self.presented: Presented = NOTHING
        self.subscriptions: dict[str, Subscription] = {}

    async def serve(self, scope: Scope) -> Problem | None:
        """Serve an accepted connection to its end; the refusal where it was not let in."""
        self.address = scope["client"][0] if scope.get("client") else ""
        refusal: Problem | None = None
        self._receiving = asyncio.current_task()
        try:
            first = await self._admit(scope)
            if first is not None:
                await self._handle(first)
            while self._end is None:
                await self._handle_message(await self._receive())
        except _Gone:
            pass
        except asyncio.CancelledError:
            # Hung up on from within; somebody else's cancellation goes on.
            if self._end is None:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        except Problem as problem:
            refusal = problem
            self._end = self._end or reason_of(problem)
        except Exception as fault:
            observe(RequestFailed(self._request_id, PATH, fault))
            self._end = (FAULTY, "something went wrong on our side")
        finally:
            self._receiving = None
            self._connections.dismiss(self)
        await self._say_goodbye()
        return refusal

    def hang_up(self, code: int, reason: str) -> None:
        """End the connection: what waits is not sent any more."""
        if self._end is None:
            self._end = (code, reason)
            self._waiting.clear()
            if self._receiving is not None and self._receiving is not asyncio.current_task():
                self._receiving.cancel()

    # ------------------------------------------------------------ who it is

    async def _admit(self, scope: Scope) -> Frame | None:
        """Find out who it is.

        Returns:
            A frame that he has sent already and that has still to be handled.
        """
        headers = dict(scope["headers"])
        presented: Presented = (
            headers.get(b"authorization"),
            headers.get(b"x-api-key"),
            headers.get(b"x-account-id"),
        )
        first: Frame | None = None
        if presented[:2] == (None, None):
            if scope.get("query_string") or presented[2] is not None:
                # Credentials in a URL end up in logs; whoever sends them there is not known by them.
                raise refuse()
            try:
                async with asyncio.timeout(AUTH_TIMEOUT_S):
                    first = await self._first_frame()
            except TimeoutError as late:
                raise refuse() from late
            if isinstance(first, Auth):
                presented, first = (b"Bearer " + first.token.encode("utf-8", "replace"), None, None), None
            elif not rights_of(self._registry, ANONYMOUS).visible_types():
                raise refuse()
        self.principal = await self._connections.authenticate(presented, self.address)
        self.presented = presented
        self._connections.admit(self)
        return first

    async def _first_frame(self) -> Frame:
        message = await self._receive()
        try:
            return parse_frame(self._text_of(message))
        except FrameRefused as refused:
            raise refuse() from refused

    async def _renew(self, token: str) -> None:
        """The same caller brings a newer token."""
        presented: Presented = (b"Bearer " + token.encode("utf-8", "replace"), None, self.presented[2])
        principal = await self._connections.authenticate(presented, self.address)
        if principal != self.principal:
            raise Forbidden("A connection belongs to one caller.")
        self._connections.replace_credentials(self, presented)

    # ------------------------------------------------------------ what he says

    async def _handle_message(self, message: Message) -> None:
        text = self._text_of(message)
        try:
            frame = parse_frame(text)
        except FrameRefused as refused:
            self._say(self._error(refused.uid, refused.problem))
            return
        await self._handle(frame)

    def _text_of(self, message: Message) -> str | bytes:
        if message["type"] == "websocket.disconnect":
            raise _Gone
        text: str | bytes | None = message.get("text")
        if text is None:
            text = message.get("bytes") or b""
        if len(text) > self._connections.settings.live_frame_bytes:
            self._end = (TOO_LARGE, "the frame is too large")
            raise _Gone
        return text

    async def _handle(self, frame: Frame) -> None:
        match frame:
            case Ping():
                if frame.wants_answer:
                    self._say(_PONG)
            case Subscribe():
                await self._subscribe(frame)
            case Unsubscribe():
                subscription = self.subscriptions.pop(frame.uid, None)
                if subscription is not None:
                    self._connections.hub.unfollow(subscription)
            case Auth():
                await self._renew(frame.token)

    async def _subscribe(self, frame: Subscribe) -> None:
        most = self._connections.settings.live_subscriptions
        try:
            if self._limiter is not None:
                self._limiter.spend(caller_of(self.principal, self.address))
            if frame.uid in self.subscriptions:
                raise Conflict(f"There is a subscription {frame.uid!r} on this connection already.")
            if len(self.subscriptions) >= most:
                raise RateLimited(f"A connection has at most {most} subscriptions.")
            subscription = await self._connections.hub.follow(
                frame, self.principal, self.deliver, lambda problem: self._end_subscription(frame.uid, problem)
            )
        except Problem as problem:
            self._say(self._error(frame.uid, problem))
            if self.principal is ANONYMOUS and isinstance(problem, (NotFound, Unauthenticated, Forbidden)):
                # Who has not said who he is is not told what there is.
                self._end = (UNKNOWN, "say who you are")
            elif isinstance(problem, RateLimited):
                self._end = (TOO_MANY, "too many subscriptions")
            return
        self.subscriptions[frame.uid] = subscription

    def _end_subscription(self, uid: str, problem: Problem) -> None:
        self.subscriptions.pop(uid, None)
        self._say(self._error(uid, problem))

    def _error(self, uid: str | None, problem: Problem) -> bytes:
        shown = orjson.loads(render_problem(problem, instance=PATH, request_id=self._request_id))
        return orjson.dumps({"type": "error", "uid": uid, "problem": shown})

    # ------------------------------------------------------------ what he is told

    def deliver(self, told: Told) -> None:
        """Take a frame for him."""
        self._say(told.frame)

    def _say(self, frame: bytes) -> None:
        if self._end is not None:
            return
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1:
            self.hang_up(TOO_MANY, "you do not read what is sent to you")
        elif self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        with suppress(Exception):
            while self._waiting and self._end is None:
                frame = self._waiting.popleft()
                await self._send({"type": "websocket.send", "text": frame.decode()})
                self._waiting_bytes -= len(frame)

    async def _say_goodbye(self) -> None:
        """The close frame, behind the errors that explain it; to whoever does not read, as far as that goes."""
        code, reason = self._end or (1000, "")
        with suppress(Exception):
            async with asyncio.timeout(LAST_WORDS_S):
                if self._flushing is not None:
                    await self._flushing
                while self._waiting:
                    await self._send({"type": "websocket.send", "text": self._waiting.popleft().decode()})
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        if self._flushing is not None:
            self._flushing.cancel()


class _Gone(Exception):
    """There is nobody to be listened to any more."""
