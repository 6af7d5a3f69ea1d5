"""What an action does with files: find one for its caller, answer it, sign a URL to it.

Finding is `execute/files.py`'s business, the reply `downloads.py`'s, what a signature is worth `auth/signed.py`'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from starlette.responses import Response

from engine.auth.signed import Leave, holds, read_expiry, sign
from engine.errors import Forbidden
from engine.execute import files
from engine.execute.files import HeldFile
from engine.http.dependencies import CallerContext
from engine.http.downloads import IMMUTABLE, REVALIDATE, Offer, answer_file
from engine.io.blobs import is_digest
from engine.plan.read import not_found
from engine.plan.rights import rights_of
from engine.principal import Account, Principal


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL that needs no credentials, and until when."""

    url: str
    expires_on: datetime


async def find_file(caller: CallerContext, public_id: str) -> HeldFile:
    """The file that an id leads to, whether it is a file's or that of something that resolves to one.

    Raises:
        NotFound: None that is there for the caller.
    """
    return await files.find_file(caller.runtime, public_id, caller.plan_context())


async def find_digest(caller: CallerContext, digest: str) -> HeldFile:
    """A file of the caller's accounts with these bytes.

    Raises:
        NotFound: There is none, or this is no digest.
    """
    if not is_digest(digest):
        raise not_found()
    return await files.find_digest(caller.runtime, digest, caller.plan_context())


async def send_file(caller: CallerContext, file: HeldFile, *, is_immutable: bool = False) -> Response:
    """Answer a GET or HEAD with a file's bytes, or the part of them that is asked for.

    Args:
        caller: Who asks.
        file: What `find_file` or `find_digest` gave.
        is_immutable: Whether the URL names the bytes themselves, so that a reply may be kept for good.

    Raises:
        NotFound, StaleVersion, RangeNotSatisfiable, Unavailable: As their names say.
    """
    offer = Offer(file, IMMUTABLE if is_immutable else REVALIDATE)
    return await answer_file(caller.request, caller.runtime.blobs, offer)


async def sign_url(caller: CallerContext, path: str, public_id: str, *, ttl_s: float) -> SignedUrl:
    """Make a URL by which anybody may fetch a file for a while, as the caller may now.

    Args:
        caller: Who gives leave.
        path: Of the URL, ids and all.
        public_id: What `find_file` takes.
        ttl_s: How long it holds, in seconds.

    Raises:
        NotFound: There is no such file for the caller.
    """
    file = await find_file(caller, public_id)
    accounts = caller.principal.accounts
    account = accounts[0].public_id if len(accounts) == 1 else await _account_of(caller, file)
    leave = Leave(path, account, file.digest, int(time.time() + ttl_s))
    said = {
        "account": leave.account,
        "digest": leave.digest,
        "expires": leave.expires_at,
        "signature": sign(leave, caller.runtime.cursor_key),
    }
    request = caller.request
    base = request.settings.public_url or request.base_url()
    return SignedUrl(f"{base}{quote(path)}?{urlencode(said)}", datetime.fromtimestamp(leave.expires_at, UTC))


async def open_signed(caller: CallerContext, path: str, public_id: str, said: Mapping[str, str]) -> HeldFile:
    """The file that a signed URL is for.

    Args:
        caller: Whoever holds the URL; what he may do himself does not count.
        path: Of the URL.
        public_id: What `find_file` takes.
        said: Its `account`, `digest`, `expires` and `signature`.

    Raises:
        Forbidden: The URL has been altered, or its time has come; which of them is not told.
        NotFound: What was signed is gone, or has other bytes by now.
    """
    leave = Leave(path, said["account"], said["digest"], read_expiry(said["expires"]))
    if not holds(leave, said["signature"], caller.runtime.cursor_key, now=time.time()):
        raise Forbidden("This URL is not valid, or no longer.")
    file = await find_file(await _reader_of(caller, leave.account), public_id)
    if file.digest != leave.digest:
        raise not_found()
    return file


async def _account_of(caller: CallerContext, file: HeldFile) -> str:
    """Public id of the account that a file belongs to; empty where it belongs to none."""
    fields = caller.runtime.registry.types[file.type].fields.values()
    name = next((one.name for one in fields if one.role == "account"), None)
    if name is None:
        return ""
    found = await caller.get(file.type, file.public_id, fields=[name])
    return found[name] or ""


async def _reader_of(caller: CallerContext, account: str) -> CallerContext:
    """Somebody who may read all of one account, and nothing else."""
    runtime = caller.runtime
    registry = runtime.registry
    accounts: tuple[Account, ...] = ()
    if account and registry.account_type is not None:
        row = await runtime.resolver.resolve(registry.account_type, account)
        if row is None:
            raise not_found()
        accounts = (Account(row.row_id, account),)
    principal = Principal("anonymous", accounts=accounts, scopes=frozenset({"*:read"}))
    return replace(caller, principal=principal, rights=rights_of(registry, principal))
