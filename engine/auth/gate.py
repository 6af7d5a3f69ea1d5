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
- A user row deleted for good cannot be told from one that never was, but by a process that
  has seen it; where that must not be, `auth.require_user: true` says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.auth.keys import ApiKeys
from engine.auth.limits import FAILURES_PER_MINUTE, RateLimiter, network_of
from engine.auth.tokens import Claims, TokenVerifier, make_verifier, refuse
from engine.errors import BadRequest, ErrorItem, Forbidden, Unauthenticated
from engine.io.storage import Database
from engine.language.ids import is_public_id
from engine.plan.read import not_found
from engine.plan.rights import Rights, Verb
from engine.plan.tenancy import require_account
from engine.principal import ANONYMOUS, Account, Principal
from engine.registry.resource import Registry
from engine.settings import Settings
from engine.sql.statement import Statement
from engine.sql.users import select_accounts, select_user

CACHE_S = 4.0
MAX_REMEMBERED = 10_000
MAX_SEEN_USERS = 100_000
POINT_WIDTH = 4
ACCOUNT_HEADER = "X-Account-Id"

_DISABLED: tuple[object, ...] = (0, b"\x00", b"0", "0")

_Presented = tuple[bytes | None, bytes | None, bytes | None]


class Authenticator:
    """Makes principals of headers, for one registry.

    Args:
        registry: It names the user type and the account type.
        database: For the user's row and the accounts'.
        verifier: Verifies tokens.
        keys: Verifies API keys.
        cache_s: How long a caller is remembered; at most `CACHE_S`.
        failures: Limit on failed attempts of one address; None = no limit.
        now: Unix time, seconds.
        steady: A clock that never jumps, seconds.
    """

    __slots__ = (
        "_account",
        "_cache_s",
        "_database",
        "_failures",
        "_keys",
        "_now",
        "_registry",
        "_remembered",
        "_seen_users",
        "_select_accounts",
        "_select_user",
        "_steady",
        "_verifier",
    )

    def __init__(
        self,
        registry: Registry,
        database: Database,
        verifier: TokenVerifier,
        keys: ApiKeys,
        *,
        cache_s: float = CACHE_S,
        failures: RateLimiter | None = None,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._database = database
        self._verifier = verifier
        self._keys = keys
        self._cache_s = min(cache_s, CACHE_S)
        self._failures = failures
        self._now = now
        self._steady = steady
        user = registry.types.get(registry.user_type) if registry.user_type else None
        self._select_user = select_user(user, database.dialect) if user is not None else None
        self._account = registry.types.get(registry.account_type) if registry.account_type else None
        self._select_accounts: dict[int, Statement | None] = {}
        self._remembered: dict[_Presented, tuple[Principal, float]] = {}
        self._seen_users: set[str] = set()

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
            detail = "Send either Authorization or X-API-Key, not both."
            raise BadRequest(detail, errors=[ErrorItem("bad-operand", detail, header="X-API-Key")])
        network = None if address is None or self._failures is None else network_of(address)
        if network is not None and self._failures is not None:
            self._failures.check(network)
        # The time counts from before the look-ups: what they read may be as old as that.
        started = self._steady()
        expires_at: float | None
        try:
            if authorization is not None:
                principal, expires_at = await self._identify_token(authorization)
            else:
                verified = await self._keys.verify(api_key or b"")
                principal, expires_at = verified.principal, verified.expires_at
        except Unauthenticated:
            if network is not None and self._failures is not None:
                self._failures.spend(network)
            raise
        if account is not None:
            principal = await self._narrow(principal, account)
        lives_s = self._cache_s if expires_at is None else min(self._cache_s, expires_at - self._now())
        self._remember((authorization, api_key, account), principal, started + lives_s)
        return principal

    def forget(self) -> None:
        """Remember nobody any more: the next call of everybody is verified."""
        self._remembered.clear()

    async def close(self) -> None:
        """Finish what is still being recorded."""
        await self._keys.close()

    # ------------------------------------------------------------ private

    async def _identify_token(self, authorization: bytes) -> tuple[Principal, float]:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise refuse()
        claims = self._verifier.verify(token.strip(b" "))
        user_row_id = await self._find_user(claims.subject)
        principal = Principal(
            "user",
            subject=claims.subject,
            accounts=await self._find_accounts(claims),
            is_operator=claims.is_operator,
            scopes=claims.scopes,
            roles=claims.roles,
            user_row_id=user_row_id,
        )
        return principal, claims.expires_at

    async def _find_user(self, subject: str) -> int | None:
        """The row id of the token's user; None where a `sub` without a row is trusted."""
        row = None
        if self._select_user is not None and is_public_id(subject):
            binds = self._select_user.arrange({"user": subject})
            rows = await self._database.fetch(self._select_user.text, binds, point=True)
            row = next((row for row in rows if _as_text(row[1]) == subject), None)
        if row is None:
            if self._registry.require_user or subject in self._seen_users:
                raise refuse()
            return None
        if len(self._seen_users) >= MAX_SEEN_USERS:
            self._seen_users.clear()
        self._seen_users.add(subject)
        row_id, _, enable, deleted = row
        if deleted is not None or enable in _DISABLED:
            raise refuse()
        return int(row_id)

    async def _find_accounts(self, claims: Claims) -> tuple[Account, ...]:
        """The claimed accounts that exist. A registry without accounts asks for none."""
        if self._account is None or not claims.accounts:
            return ()
        accounts = await self._read_accounts(claims.accounts)
        if not accounts:
            raise refuse()
        return accounts

    async def _read_accounts(self, public_ids: Sequence[str]) -> tuple[Account, ...]:
        """Those of the accounts that exist, in the order given.

        The id cache is not asked: what it remembers may be deleted by now.
        """
        wanted = [public_id for public_id in public_ids if is_public_id(public_id)]
        if self._account is None or not wanted:
            return ()
        width = 1 << (len(wanted) - 1).bit_length()
        if width not in self._select_accounts:
            self._select_accounts[width] = select_accounts(self._account, width, self._database.dialect)
        statement = self._select_accounts[width]
        if statement is None:
            return ()
        values = {f"account{index}": wanted[min(index, len(wanted) - 1)] for index in range(width)}
        rows = await self._database.fetch(statement.text, statement.arrange(values), point=width <= POINT_WIDTH)
        found = {_as_text(public_id): int(row_id) for row_id, public_id in rows}
        return tuple(Account(found[public_id], public_id) for public_id in wanted if public_id in found)

    async def _narrow(self, principal: Principal, header: bytes) -> Principal:
        public_id = header.decode("ascii", "replace")
        picked = next((account for account in principal.accounts if account.public_id == public_id), None)
        if picked is None and principal.is_operator:
            picked = next(iter(await self._read_accounts((public_id,))), None)
        if picked is None:
            detail = f"{ACCOUNT_HEADER} names no account of yours."
            raise Forbidden(detail, errors=[ErrorItem("foreign-key", detail, header=ACCOUNT_HEADER)])
        return replace(principal, accounts=(picked,))

    def _remember(self, presented: _Presented, principal: Principal, until: float) -> None:
        now = self._steady()
        if until <= now:
            return
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered = {key: entry for key, entry in self._remembered.items() if entry[1] > now}
            if len(self._remembered) > MAX_REMEMBERED // 2:
                self._remembered.clear()
        self._remembered[presented] = (principal, until)


def make_authenticator(settings: Settings, registry: Registry, database: Database) -> Authenticator:
    """Make the authenticator that settings and registry describe.

    Raises:
        SettingsError: The configured keys cannot be used.
    """
    account = registry.types.get(registry.account_type) if registry.account_type else None
    return Authenticator(
        registry,
        database,
        make_verifier(settings),
        ApiKeys(database, account),
        cache_s=settings.token_cache_s,
        failures=RateLimiter(FAILURES_PER_MINUTE),
    )


def require(principal: Principal, rights: Rights, type_name: str, verb: Verb) -> None:
    """Refuse what a caller may not do with a type.

    Raises:
        Unauthenticated: Nobody is asking, and the type is not public in this way.
        NotFound: The type does not exist, or not for the caller.
        Forbidden: He sees the type but may not do this; or it belongs to accounts and he to none.
    """
    if not rights.may(type_name, verb):
        if principal.kind == "anonymous":
            raise refuse()
        if rights.sees(type_name):
            raise Forbidden(f"You may not {verb.replace('_', ' ')} {type_name} with these credentials.")
        raise not_found()
    require_account(principal, rights.registry.types[type_name], rights)


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


def _as_text(stored: object) -> object:
    """A stored public id; a binary column gives bytes."""
    return stored.decode("ascii", "replace") if isinstance(stored, bytes) else stored
