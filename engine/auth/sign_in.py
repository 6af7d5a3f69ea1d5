"""Signing in, refreshing and signing out.

An unknown name, a wrong password, a user who is disabled, deleted or has no password, and an account that is gone are
one answer after one amount of work: a password is always computed. A name that is used in several accounts costs one
computation for each of them, until an account is named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from engine.auth.attempts import Attempt, Attempts
from engine.auth.limits import network_of
from engine.auth.mint import mint_token
from engine.auth.sessions import Person, RefreshToken, Sessions, read_token
from engine.errors import Unauthenticated, Unavailable
from engine.io.passwords import Passwords
from engine.observe import Notice, observe
from engine.settings import Settings

LOGGER = "engine.auth"
NEVER_S = 3600
MOST_VERIFIED = 4


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What somebody who has signed in is given.

    Attributes:
        expires_in: Seconds for which the access token holds.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int


class SignIn:
    """Signs people in.

    Args:
        settings: They hold the secret that tokens are signed with, and how long things last.
        sessions: Keeps the sign-ins.
        passwords: Computes.
        attempts: Counts.
        now: Unix time, seconds.
    """

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        passwords: Passwords,
        attempts: Attempts,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._passwords = passwords
        self._attempts = attempts
        self._now = now

    async def login(
        self, name: str, password: str, *, address: str, account_id: str | None = None, known_by: str | None = None
    ) -> SignedIn:
        """Sign somebody in.

        Args:
            name: As it was typed.
            password: As it was typed.
            address: The connection's.
            account_id: Public id of the account, where one name is used in several.
            known_by: A refresh token of an earlier sign-in, though it has ended: it shows that the device is known.

        Raises:
            Unauthenticated: Name and password are not somebody's who may sign in.
            RateLimited: There were too many attempts.
            Unavailable: Nobody can sign in here, or too many try at the moment.
        """
        self._require_possible()
        network = network_of(address)
        people = await self._sessions.find_people(name, account_id)
        attempt = await self._enter(name, network, people, known_by)
        person = await self._verify(people, password)
        if person is None:
            raise _refuse_password()
        await self._attempts.forgive(attempt)
        new_hash = None
        if self._passwords.is_outdated(person.password or ""):
            new_hash = await self._passwords.hash(password)
        lives_s = self._settings.refresh_token_s
        token = await self._sessions.begin(person, network, lives_s=lives_s, new_hash=new_hash)
        return self._give(person, token)

    async def refresh(self, text: str) -> SignedIn:
        """Exchange a refresh token for a new pair. It holds once.

        A token that was exchanged before ends the whole sign-in: one of the two who have shown it has stolen it.

        Raises:
            Unauthenticated: It does not hold.
            Unavailable: Nobody can sign in here.
        """
        self._require_possible()
        token = read_token(text)
        session = await self._sessions.find(token.family) if token is not None else None
        if token is None or session is None or not token.is_of(session):
            raise _refuse_token()
        if session.is_revoked or session.expires_on <= datetime.fromtimestamp(self._now(), UTC):
            raise _refuse_token()
        if not token.is_present(session):
            raise await self._end_stolen(token, session.person)
        if not session.is_good:
            raise _refuse_token()
        successor = await self._sessions.exchange(token, lives_s=self._settings.refresh_token_s)
        if successor is None:
            raise await self._end_stolen(token, session.person)
        return self._give(session.person, successor)

    async def logout(self, text: str) -> None:
        """End the sign-in that a refresh token is, or was, of; one that is none ends nothing."""
        token = read_token(text)
        session = await self._sessions.find(token.family) if token is not None else None
        if token is not None and session is not None and token.is_of(session):
            await self._sessions.revoke(token.family)

    # ------------------------------------------------------------ private

    def _require_possible(self) -> None:
        if self._settings.jwt_secret is None:
            reason = "This server accepts the tokens of an identity provider and holds no secret to sign its own with."
        elif not self._sessions.has_people:
            reason = "The registry names no users who could sign in."
        else:
            return
        raise Unavailable(f"Nobody can sign in here: {reason}", retry_after_s=NEVER_S)

    async def _enter(self, name: str, network: str, people: Sequence[Person], known_by: str | None) -> Attempt:
        token = read_token(known_by) if known_by is not None else None
        if token is not None:
            session = await self._sessions.find(token.family)
            is_his = session is not None and any(one.row_id == session.person.row_id for one in people)
            if session is not None and is_his and token.is_of(session):
                return await self._attempts.enter_known(token.family)

        async def is_known_here() -> bool:
            return await self._sessions.have_come_from(people, network)

        return await self._attempts.enter(name, network, is_known_here=is_known_here)

    async def _verify(self, people: Sequence[Person], password: str) -> Person | None:
        """The one whose password it is; the oldest, where it is that of several."""
        candidates = [one for one in people if one.is_active][:MOST_VERIFIED]
        if not candidates:
            await self._passwords.verify(password, None)
            return None
        # All are tried, so that it does not tell which of them it was.
        holds = [await self._passwords.verify(password, one.password) for one in candidates]
        return next((one for one, is_his in zip(candidates, holds, strict=True) if is_his), None)

    async def _end_stolen(self, token: RefreshToken, person: Person) -> Unauthenticated:
        await self._sessions.revoke(token.family)
        details = (("user", person.public_id), ("session", token.family))
        observe(Notice("a refresh token came twice: the sign-in is ended", "warning", LOGGER, details))
        return _refuse_token()

    def _give(self, person: Person, token: RefreshToken) -> SignedIn:
        lives_s = int(self._settings.access_token_s)
        access_token = mint_token(
            self._settings,
            user=person.public_id,
            accounts=[person.account.public_id] if person.account is not None else [],
            roles=person.roles,
            session=token.family,
            ttl_s=lives_s,
            now=self._now,
        )
        return SignedIn(access_token, str(token), lives_s)


def _refuse_password() -> Unauthenticated:
    return Unauthenticated("The name or the password is wrong.", headers=(("WWW-Authenticate", "Bearer"),))


def _refuse_token() -> Unauthenticated:
    detail = "The refresh token does not hold: sign in again."
    return Unauthenticated(detail, headers=(("WWW-Authenticate", "Bearer"),))
