"""Who is asking: from the request's three headers to a `Principal`, and whether he may.

A credential that held is remembered for at most `CACHE_S` seconds and never past its
expiry, so that a disabled user or a revoked key is refused within five seconds by
every process; a remembered caller costs one look-up in a dict and no waiting
(`Authenticator.cached`). How a token or a key is verified is `auth/tokens.py`'s and
`auth/keys.py`'s business, what scopes mean `plan/rights.py`'s.

Decided here:
- Both `Authorization` and `X-API-Key` on one request are a 400: two callers are none.
- Credentials are read from these headers alone, never from a query string.
- `X-Account-Id` without credentials is ignored: what is public belongs to nobody's account.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from engine.auth.keys import ApiKeys
from engine.auth.limits import FAILURES_PER_MINUTE, RateLimiter, network_of
from engine.auth.people import People
from engine.auth.sessions import Sessions
from engine.auth.tokens import Claims, TokenVerifier, make_verifier, refuse
from engine.errors import (
    BadRequest,
    ErrorItem,
    Forbidden,
    Problem,
    StatementTimedOut,
    StorageFault,
    Unauthenticated,
    Unavailable,
)
from engine.io.storage import Database
from engine.plan.rights import Rights
from engine.principal import ANONYMOUS, Account, Principal
from engine.registry.resource import Registry
from engine.settings import Settings

CACHE_S = 4.0
MAX_REMEMBERED = 10_000
ACCOUNT_HEADER = "X-Account-Id"

Presented = tuple[bytes | None, bytes | None, bytes | None]
"""Values of ``Authorization``, ``X-API-Key`` and ``X-Account-Id``, as they came."""


class Authenticator:
    """Makes principals of headers, for one registry.

    Args:
        people: Looks users and accounts up.
        verifier: Verifies tokens.
        keys: Verifies API keys.
        sessions: Knows the sign-ins that tokens are of.
        cache_s: How long a caller is remembered; at most `CACHE_S`.
        failures: Limit on failed attempts of one address; None = no limit.
        now: Unix time, seconds.
        steady: A clock that never jumps, seconds.
    """

    __slots__ = (
        "_cache_s", "_claims", "_failures", "_keys", "_now", "_pending", "_people", "_remembered", "_sessions",
        "_steady", "_verifier",
    )  # fmt: skip

    def __init__(
        self,
        people: People,
        verifier: TokenVerifier,
        keys: ApiKeys,
        sessions: Sessions,
        *,
        cache_s: float = CACHE_S,
        failures: RateLimiter | None = None,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._people = people
        self._verifier = verifier
        self._keys = keys
        self._sessions = sessions
        self._cache_s = min(cache_s, CACHE_S)
        self._failures = failures
        self._now = now
        self._steady = steady
        self._claims: dict[bytes, Claims] = {}
        self._remembered: dict[Presented, tuple[Principal, float]] = {}
        self._pending: dict[Presented, asyncio.Task[Principal]] = {}

    def cached(self, authorization: bytes | None, api_key: bytes | None, account: bytes | None) -> Principal | None:
        """The caller, where nothing has to be looked up; None = ask `authenticate`.

        Args:
            authorization: Value of ``Authorization``, as it came.
            api_key: Value of ``X-API-Key``.
            account: Value of ``X-Account-Id``.
        """
        if authorization is None and api_key is None:
            return ANONYMOUS
        known = self._remembered.get((authorization, api_key, account))
        if known is None or known[1] <= self._steady():
            return None
        return known[0]

    async def authenticate(
        self, authorization: bytes | None, api_key: bytes | None, account: bytes | None, *, address: str | None = None
    ) -> Principal:
        """The caller, verified.

        Args:
            authorization: Value of ``Authorization``, as it came; None = the header is not there.
            api_key: Value of ``X-API-Key``.
            account: Value of ``X-Account-Id``.
            address: The client's, for the limit on failures; None = not counted.

        Returns:
            The caller, narrowed to the account that he picked. `ANONYMOUS` without credentials.

        Raises:
            Unauthenticated: The credentials do not hold.
            BadRequest: There are two of them.
            Forbidden: The account is not the caller's, or does not exist.
            RateLimited: The address has failed too often.
            Unavailable: The database cannot be asked.
        """
        known = self.cached(authorization, api_key, account)
        if known is not None:
            return known
        if authorization is not None and api_key is not None:
            raise _two_credentials()
        network = None if address is None or self._failures is None else network_of(address)
        if network is not None and self._failures is not None:
            self._failures.check(network)
        presented = (authorization, api_key, account)
        # Calls that come together are verified once; a caller who hangs up takes nobody with him.
        task = self._pending.get(presented)
        if task is None:
            task = self._pending[presented] = asyncio.create_task(self._verify(presented))
            task.add_done_callback(lambda done: self._settle(presented, done))
        try:
            return await asyncio.shield(task)
        except Unauthenticated:
            if network is not None and self._failures is not None:
                self._failures.note(network)
            raise refuse() from None

    async def renew(self, several: Sequence[Presented]) -> list[Principal | Exception]:
        """Several callers verified anew; what a token without a sign-in says is looked up for all of them at once.

        Returns:
            For each of them who he is, or what `authenticate` would raise: why he is nobody, or cannot be asked about.
        """
        found: dict[Presented, Principal | Exception] = {}
        plain: dict[Presented, Claims] = {}
        for one in several:
            try:
                claims = self._plain_claims(one)
            except Problem as refused:
                found[one] = refused
            else:
                if claims is not None:
                    plain[one] = claims
        found.update(await self._renew_plain(plain))
        others = [one for one in several if one not in found]
        answers = await asyncio.gather(*map(self._verify, others), return_exceptions=True)
        for one, answer in zip(others, answers, strict=True):
            if not isinstance(answer, (Principal, Exception)):
                raise answer
            found[one] = answer
        return [found[one] for one in several]

    def forget(self) -> None:
        """Remember nobody any more: the next call of everybody is verified."""
        self._remembered.clear()
        self._claims.clear()

    async def close(self) -> None:
        """Finish what is still being recorded."""
        await self._keys.close()

    # ------------------------------------------------------------ private

    async def _verify(self, presented: Presented) -> Principal:
        authorization, api_key, account = presented
        # The time counts from before the look-ups: what they read may be as old as that.
        started = self._steady()
        expires_at: float | None
        try:
            if authorization is not None:
                principal, expires_at = await self._identify_token(authorization)
            else:
                verified = await self._keys.verify(api_key or b"")
                principal, expires_at = verified.principal, verified.expires_at
            if account is not None:
                principal = await self._narrow(principal, account)
        except StatementTimedOut as fault:
            # Who is asking cannot be said at the moment; that is no reason to call him unknown.
            raise Unavailable from fault
        lives_s = self._cache_s if expires_at is None else min(self._cache_s, expires_at - self._now())
        self._remember(presented, principal, started + lives_s)
        return principal

    def _settle(self, presented: Presented, task: asyncio.Task[Principal]) -> None:
        self._pending.pop(presented, None)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain when everybody has hung up

    def _plain_claims(self, presented: Presented) -> Claims | None:
        """What a token says that is of no sign-in and picks no account; None for all other credentials."""
        authorization, api_key, account = presented
        if authorization is not None and api_key is not None:
            raise _two_credentials()
        if authorization is None or account is not None:
            return None
        claims = self._claims_of(_token_in(authorization))
        return claims if claims.session is None else None

    async def _renew_plain(self, plain: Mapping[Presented, Claims]) -> dict[Presented, Principal | Problem]:
        started = self._steady()
        try:
            users = await self._people.find_users([claims.subject for claims in plain.values()])
            accounts = await self._people.find_each_account(id for claims in plain.values() for id in claims.accounts)
        except (Unavailable, StatementTimedOut):
            return dict.fromkeys(plain, Unavailable())
        except StorageFault:
            # Of one of them, perhaps: each is asked about alone.
            return {}
        found: dict[Presented, Principal | Problem] = {}
        for one, claims in plain.items():
            try:
                if claims.subject not in users:
                    raise refuse()
                principal = _principal_of(claims, users[claims.subject], self._own_accounts(claims, accounts))
            except Unauthenticated as refused:
                found[one] = refused
                continue
            found[one] = principal
            self._remember(one, principal, started + min(self._cache_s, claims.expires_at - self._now()))
        return found

    async def _identify_token(self, authorization: bytes) -> tuple[Principal, float]:
        claims = self._claims_of(_token_in(authorization))
        if claims.session is not None:
            return await self._identify_session(claims, claims.session), claims.expires_at
        user_row_id = await self._people.find_user(claims.subject)
        return _principal_of(claims, user_row_id, await self._find_accounts(claims)), claims.expires_at

    def _claims_of(self, token: bytes) -> Claims:
        """What a token says; a signature that held once holds until the token expires."""
        known = self._claims.get(token)
        if known is not None and known.expires_at > self._now():
            return known
        claims = self._verifier.verify(token)
        if len(self._claims) >= MAX_REMEMBERED:
            self._claims.clear()
        self._claims[token] = claims
        return claims

    async def _identify_session(self, claims: Claims, family: str) -> Principal:
        """Who a token of a sign-in is: his account and his roles as they are now, not as they were when it was made.

        Raises:
            Unauthenticated: The sign-in was ended, or its user is disabled, gone, or has another password.
        """
        session = await self._sessions.find(family)
        if session is None or not session.is_good or session.person.public_id != claims.subject:
            raise refuse()
        person = session.person
        return Principal(
            "user",
            subject=person.public_id,
            accounts=() if person.account is None else (person.account,),
            roles=person.roles,
            user_row_id=person.row_id,
        )

    async def _find_accounts(self, claims: Claims) -> tuple[Account, ...]:
        return self._own_accounts(claims, await self._people.find_each_account(claims.accounts))

    def _own_accounts(self, claims: Claims, found: Mapping[str, Account]) -> tuple[Account, ...]:
        """The claimed accounts that exist. A registry without accounts asks for none."""
        if not claims.accounts or not self._people.has_accounts:
            return ()
        own = tuple(found[public_id] for public_id in claims.accounts if public_id in found)
        if not own:
            raise refuse()
        return own

    async def _narrow(self, principal: Principal, header: bytes) -> Principal:
        public_id = header.decode("ascii", "replace")
        picked = next((account for account in principal.accounts if account.public_id == public_id), None)
        if picked is None and principal.is_operator:
            picked = next(iter(await self._people.find_accounts((public_id,))), None)
        if picked is None:
            detail = f"{ACCOUNT_HEADER} names no account of yours."
            raise Forbidden(detail, errors=[ErrorItem("foreign-key", detail, header=ACCOUNT_HEADER)])
        return replace(principal, accounts=(picked,))

    def _remember(self, presented: Presented, principal: Principal, until: float) -> None:
        now = self._steady()
        if until <= now:
            return
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered = {key: entry for key, entry in self._remembered.items() if entry[1] > now}
            if len(self._remembered) > MAX_REMEMBERED // 2:
                self._remembered.clear()
        self._remembered[presented] = (principal, until)


def _two_credentials() -> BadRequest:
    detail = "Send either Authorization or X-API-Key, not both."
    return BadRequest(detail, errors=[ErrorItem("bad-operand", detail, header="X-API-Key")])


def _token_in(authorization: bytes) -> bytes:
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        raise refuse()
    return token.strip(b" ")


def _principal_of(claims: Claims, user_row_id: int | None, accounts: tuple[Account, ...]) -> Principal:
    return Principal(
        "user",
        subject=claims.subject,
        accounts=accounts,
        is_operator=claims.is_operator,
        scopes=claims.scopes,
        roles=claims.roles,
        user_row_id=user_row_id,
    )


def make_authenticator(
    settings: Settings, registry: Registry, database: Database, sessions: Sessions | None = None
) -> Authenticator:
    """Make the authenticator that settings and registry describe.

    Args:
        settings: They hold the keys.
        registry: It names users and accounts.
        database: Where those are.
        sessions: The sign-ins; None = those of the registry.

    Raises:
        SettingsError: The configured keys cannot be used.
    """
    account = registry.types.get(registry.account_type) if registry.account_type else None
    return Authenticator(
        People(registry, database),
        make_verifier(settings),
        ApiKeys(database, account),
        sessions or Sessions(registry, database),
        cache_s=settings.token_cache_s,
        failures=RateLimiter(FAILURES_PER_MINUTE) if settings.rate_limit_per_minute else None,
    )


def require_scope(principal: Principal, rights: Rights, scope: str) -> None:
    """Refuse a caller without a named scope (``action:…``, ``meta:…``).

    Raises:
        Unauthenticated: Nobody is asking.
        Forbidden: The scope was not granted.
    """
    if rights.has_scope(scope):
        return
    if principal.kind == "anonymous":
        raise refuse()
    raise Forbidden(f"This needs the scope {scope}.")
