"""Commands that work on a database: `migrate`, `seed`, `introspect`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from engine.cli.demo import data_file
from engine.cli.ground import find_ground, is_for_play, opened, read_settings
from engine.cli.terminal import Refused, is_terminal, remark, say
from engine.io.introspect import introspect as introspect_database
from engine.io.migrate import migrate as migrate_database
from engine.io.seed import Seeded
from engine.io.seed import seed as seed_database
from engine.io.sqlite import parse_path
from engine.main import target_registry
from engine.settings import DATABASE_URL, DatabaseUrl, Settings, dialect_of, mask_url

_URL: TypeAdapter[str] = TypeAdapter(DatabaseUrl)


def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    add_account_column: Annotated[
        bool, typer.Option("--add-account-column", help="Give inherited types an account column of their own.")
    ] = False,
) -> None:
    """Bring the database to what the registry needs; the only command that changes its structure.

    It adds tables, columns, indexes and ids; it never drops or narrows anything. On a terminal it asks first.
    """
    settings = read_settings()
    if dry_run or (is_terminal() and not yes):
        steps = _run(settings, is_dry=True, add_account_column=add_account_column)
        if dry_run or not steps:
            say(f"{steps} steps; nothing was changed." if steps else "The database has all that the registry needs.")
            return
        if not typer.confirm(f"Do this to {mask_url(settings.database_url)}?"):
            raise Refused("Nothing was changed.")
    steps = _run(settings, is_dry=False, add_account_column=add_account_column)
    say(f"Done: {steps} steps." if steps else "The database has all that the registry needs.")


def seed(
    file: Annotated[Path | None, typer.Argument(help="YAML: types with named rows; the demo data without.")] = None,
) -> None:
    """Put the rows of a file into the database, once however often it is run."""
    settings = read_settings()
    path = file or data_file(settings)
    if not path.is_file():
        raise Refused(f"There is no file {str(path)!r}.")
    if file is None and not is_for_play():
        # Its passwords stand in the source; nobody should get them by leaving a word out.
        raise Refused(
            f"Everybody knows the passwords of the demo data. Set AETHER_MODE=demo, or name the file: {path}."
        )
    done = asyncio.run(_seed(settings, path))
    for type_name in {**done.made, **done.kept}:
        say(f"{type_name}: {done.made.get(type_name, 0)} made, {done.kept.get(type_name, 0)} there already")
    if not (done.made or done.kept):
        say("The file has no rows of types that the registry has.")


def introspect(
    url: Annotated[str, typer.Argument(help=f"The database: {DATABASE_URL}.")],
) -> None:
    """Print a registry for a database as it is, on standard output. It changes nothing.

    Every type says `account: {none: "introspected, decide"}`: who owns its rows is yours to say.
    """
    try:
        checked = _URL.validate_python(url)
    except ValidationError as error:
        reason = error.errors()[0].get("ctx", {}).get("error", "not a URL")
        raise Refused(f"{mask_url(url)!r}: {reason}; expected {DATABASE_URL}.") from error
    if dialect_of(checked) == "sqlite" and not parse_path(checked).is_file():
        raise Refused(f"There is no file {str(parse_path(checked))!r}.")
    say(asyncio.run(introspect_database(checked)).rstrip())
    remark("Read it, say for each type whose its rows are, then: aether check --db, aether migrate.")


async def _seed(settings: Settings, path: Path) -> Seeded:
    registry = (await find_ground(settings)).registry
    async with opened(settings) as database:
        return await seed_database(database, registry, path)


def _run(settings: Settings, *, is_dry: bool, add_account_column: bool) -> int:
    if settings.dialect == "sqlite":
        parse_path(settings.database_url).parent.mkdir(parents=True, exist_ok=True)
    steps = migrate_database(
        settings.database_url,
        lambda found: target_registry(settings, found),
        is_dry=is_dry,
        add_account_column=add_account_column,
        say=lambda sentence: say(f"- {sentence}"),
    )
    return len(asyncio.run(steps))
