"""`aether gc`: removes bytes that no row has, and what has expired; with `--verify` it looks whether all is there.

How it decides is in `execute/sweep.py`.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated, Literal

import typer

from engine.auth.moments import store_moment
from engine.cli.ground import find_ground, opened, read_settings
from engine.cli.terminal import Refused, remark, say
from engine.execute.sweep import (
    StrangeDigests,
    Swept,
    Verified,
    known_to,
    purge_expired,
    require_digests,
    sweep,
    verify,
)
from engine.io.blobs import open_blobs
from engine.io.reflect import reflect
from engine.settings import Settings
from engine.sql.blobs import digest_columns
from engine.tables import build_tables

Form = Literal["text", "json"]


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would remove, and remove nothing.")] = False,
    is_verifying: Annotated[
        bool, typer.Option("--verify", help="Hash all bytes anew and look for those of every row; remove nothing.")
    ] = False,
    grace: Annotated[
        float | None,
        typer.Option(help="Seconds for which bytes without a row are left alone.", show_default="AETHER_BLOB_GRACE_S"),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="How the result is written.")] = "text",
) -> None:
    """Remove bytes of files that no row has, leftovers of broken uploads, and expired rows of our own tables.

    It may run at any time, beside any number of servers. With --verify it ends with 1 where something is wrong.
    """
    settings = read_settings()
    grace_s = settings.blob_grace_s if grace is None else grace
    if grace_s < 0:
        raise Refused("--grace is a number of seconds from 0.")
    if is_verifying:
        _show_verified(asyncio.run(_verify(settings)), form)
        return
    try:
        swept, expired = asyncio.run(_sweep(settings, grace_s, is_dry=dry_run))
    except StrangeDigests as fault:
        raise Refused(str(fault)) from fault
    _show_swept(swept, expired, form, is_dry=dry_run)


async def _sweep(settings: Settings, grace_s: float, *, is_dry: bool) -> tuple[Swept, dict[str, int]]:
    registry = (await find_ground(settings)).registry
    blobs = open_blobs(settings)
    try:
        async with opened(settings) as database:
            tables = build_tables(registry, database.dialect, await reflect(settings.database_url))
            columns = digest_columns(registry, tables, database.dialect)
            if not columns:
                raise Refused(f"No type of {registry.source} is a file (`file:`): nothing says which bytes have rows.")
            await require_digests(database, columns)
            swept = await sweep(blobs, known_to(database, columns), grace_s=grace_s, is_dry=is_dry)
            moment = store_moment(time.time(), database.dialect)
            return swept, await purge_expired(database, moment, is_dry=is_dry)
    finally:
        await blobs.close()


async def _verify(settings: Settings) -> Verified:
    registry = (await find_ground(settings)).registry
    blobs = open_blobs(settings)
    try:
        async with opened(settings) as database:
            tables = build_tables(registry, database.dialect, await reflect(settings.database_url))
            return await verify(blobs, database, digest_columns(registry, tables, database.dialect))
    finally:
        await blobs.close()


def _show_swept(swept: Swept, expired: dict[str, int], form: Form, *, is_dry: bool) -> None:
    if form == "json":
        body = {
            "dry_run": is_dry,
            "blobs": swept.blobs,
            "removed": {"blobs": swept.removed, "bytes": swept.removed_bytes},
            "leftovers": {"number": swept.leftovers, "bytes": swept.leftover_bytes},
            "expired": expired,
        }
        say(json.dumps(body, indent=2))
        return
    verb = "would be removed" if is_dry else "removed"
    say(f"blobs: {swept.blobs} looked at; without a row: {swept.removed} {verb}, {swept.removed_bytes} bytes")
    say(f"leftovers of uploads: {swept.leftovers} {verb}, {swept.leftover_bytes} bytes")
    for table, number in expired.items():
        say(f"{table}: {number} expired rows {verb}")


def _show_verified(found: Verified, form: Form) -> None:
    is_whole = not (found.damaged or found.missing or found.strange)
    if form == "json":
        body = {
            "blobs": found.blobs,
            "bytes": found.size_bytes,
            "digests": found.digests,
            "damaged": found.damaged,
            "missing": [{"type": name, "digest": digest} for name, digest in found.missing],
            "strange": [{"type": name, "value": value} for name, value in found.strange],
        }
        say(json.dumps(body, indent=2))
    else:
        for digest in found.damaged:
            say(f"damaged: {digest}")
        for name, digest in found.missing:
            say(f"missing: {digest} of {name}")
        for name, value in found.strange:
            say(f"no digest: {value!r} of {name}")
        say(f"{found.blobs} blobs with {found.size_bytes} bytes, {found.digests} digests of rows.")
    if not is_whole:
        remark("Put the bytes back from a backup, or upload them again: that replaces a damaged blob.")
        raise typer.Exit(1)
