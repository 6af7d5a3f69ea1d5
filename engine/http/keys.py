"""What the actions on API keys do: make one, list those of the caller's accounts, revoke one.

A key is `auth/keys.py`'s business, which scopes may be given `plan/grants.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from engine.auth.keys import ListedKey, create_key, list_keys, revoke_key
from engine.errors import ErrorItem, Forbidden, ValidationFailed
from engine.http.dependencies import CallerContext
from engine.language.ids import is_public_id
from engine.observe import Notice, observe
from engine.plan.grants import is_scope, may_grant
from engine.plan.read import not_found
from engine.plan.write import ACCOUNT_HEADER
from engine.principal import Account
from engine.registry.parsing import read_datetime

LOGGER = "engine.auth"


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key just made.

    Attributes:
        shown: What may be told of it from now on.
        key: The key itself, for the only time.
    """

    shown: ListedKey
    key: str = field(repr=False)


async def make_api_key(
    caller: CallerContext, name: str, scopes: Sequence[str], *, expires_on: str | None = None
) -> MadeKey:
    """Make a key for the caller's account, with no scope that he has not.

    Args:
        caller: Who makes it.
        name: What people call it.
        scopes: What it opens.
        expires_on: When it ends, RFC 3339 with an offset; None = when it is revoked.

    Raises:
        Forbidden: A scope is not his to give, or he belongs to no account.
        ValidationFailed: A scope is none, the end is past, or he has not said which of his accounts it is for.
    """
    account = _one_account(caller)
    faults = [
        ErrorItem("pattern", f"{scope[:80]!r} is no scope; write <type>:<verb>.", pointer=f"/scopes/{index}")
        for index, scope in enumerate(scopes)
        if not is_scope(scope)
    ]
    now, ends = datetime.now(UTC), None
    if expires_on is not None:
        moment = read_datetime(expires_on)
        ends = None if moment is None else moment.replace(tzinfo=UTC)
        if ends is None:
            detail = "expires_on takes a date and time with an offset, such as 2027-02-11T14:03:00Z."
            faults.append(ErrorItem("type-mismatch", detail, pointer="/expires_on"))
        elif ends <= now:
            faults.append(ErrorItem("out-of-range", "The key would have expired already.", pointer="/expires_on"))
    if faults:
        raise ValidationFailed(errors=faults)
    refused = [
        ErrorItem("bad-operand", f"The scope {scope} is not yours to give.", pointer=f"/scopes/{index}")
        for index, scope in enumerate(scopes)
        if not may_grant(scope, caller.rights)
    ]
    if refused:
        raise Forbidden(
            "A key opens no more than its maker may do, and nothing that a row rule narrows.", errors=refused
        )
    words = tuple(sorted(set(scopes)))
    made = await create_key(
        caller.runtime.database,
        account_row_id=account.row_id,
        name=name,
        scopes=words,
        expires_on=ends,
        now=now.timestamp,
    )
    _record("an API key was made", caller, made.public_id, (("scopes", " ".join(words)),))
    shown = ListedKey(
        public_id=made.public_id,
        account_id=account.public_id,
        name=name,
        scopes=words,
        roles=(),
        expires_on=ends,
        revoked_on=None,
        last_used_on=None,
        created_on=now,
    )
    return MadeKey(shown, made.key)


async def list_api_keys(caller: CallerContext) -> list[ListedKey]:
    """The keys of the caller's accounts, oldest first, revoked and expired ones among them.

    Raises:
        Forbidden: He belongs to no account.
    """
    runtime = caller.runtime
    account_type = runtime.registry.types.get(runtime.registry.account_type or "")
    accounts = _accounts(caller)
    if caller.principal.sees_all_accounts:
        return await list_keys(runtime.database, account_type)
    found: list[ListedKey] = []
    for account in accounts:
        found.extend(await list_keys(runtime.database, account_type, account_row_id=account.row_id))
    return found


async def revoke_api_key(caller: CallerContext, public_id: str) -> None:
    """Revoke a key of the caller's accounts. Every process refuses it within 5 s.

    Raises:
        NotFound: There is none, it is another account's, or it is revoked already.
        Forbidden: The caller belongs to no account.
    """
    database = caller.runtime.database
    if not is_public_id(public_id):
        raise not_found()
    whose = [None] if caller.principal.sees_all_accounts else [account.row_id for account in _accounts(caller)]
    for row_id in whose:
        if await revoke_key(database, public_id, account_row_id=row_id):
            _record("an API key was revoked", caller, public_id)
            return
    raise not_found()


# ---------------------------------------------------------------- private


def _accounts(caller: CallerContext) -> tuple[Account, ...]:
    accounts = caller.principal.accounts
    if not accounts and not caller.principal.is_operator:
        raise Forbidden("You belong to no account, and keys belong to accounts.")
    return accounts


def _one_account(caller: CallerContext) -> Account:
    accounts = _accounts(caller)
    if len(accounts) == 1:
        return accounts[0]
    detail = f"Say with {ACCOUNT_HEADER} which account the key belongs to."
    raise ValidationFailed(errors=[ErrorItem("required", detail, header=ACCOUNT_HEADER)])


def _record(event: str, caller: CallerContext, key: str, more: tuple[tuple[str, str], ...] = ()) -> None:
    by = f"{caller.principal.kind} {caller.principal.subject}"
    details = (("key", key), ("by", by), ("request_id", caller.request.request_id), *more)
    observe(Notice(event, "info", LOGGER, details))
