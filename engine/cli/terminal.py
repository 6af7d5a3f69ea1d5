"""How commands speak: results on standard output, everything else on standard error, a mistake in one clear line.

A mistake that a user can make ends a command with status 1 (2 where the command line itself is wrong), never with
a traceback. What a fault of ours prints is Python's own traceback: that is for us.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from engine.auth.mint import MintRefused
from engine.errors import Problem, StorageFault
from engine.io.migrate import MigrationRefused, MigrationRunning, StructureFault
from engine.io.seed import SeedRefused
from engine.main import MigrationsPending, RegistryRefused
from engine.registry.findings import Finding, Format, has_errors, render_findings
from engine.settings import SettingsError


class Refused(Exception):
    """What the user asked for cannot be done; the text says why, and what to do instead."""


# What can go wrong without anything being wrong with us.
MISTAKES = (
    Refused,
    SettingsError,
    MintRefused,
    RegistryRefused,
    MigrationsPending,
    MigrationRefused,
    MigrationRunning,
    SeedRefused,
    StructureFault,
    StorageFault,
    Problem,
    OSError,
)


class Commands(TyperGroup):
    """A group of commands whose mistakes are answered in words."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command of the group."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has read enough; typer ends quietly.
            raise
        except MISTAKES as mistake:
            complain(mistake)
            raise typer.Exit(1) from mistake


def make_group(about: str) -> typer.Typer:
    """An empty group of commands."""
    return typer.Typer(
        cls=Commands,
        help=about,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def say(text: str) -> None:
    """A result, on standard output."""
    typer.echo(text)


def remark(text: str) -> None:
    """Anything that is not the result, on standard error: the result may be on its way to a file."""
    typer.echo(text, err=True)


def complain(mistake: BaseException) -> None:
    """Say what went wrong, on standard error."""
    if isinstance(mistake, RegistryRefused):
        remark(f"{render_findings(mistake.findings)}\n\nerror: {count_findings(mistake.findings)}")
        return
    text = mistake.detail if isinstance(mistake, Problem) else str(mistake)
    if isinstance(mistake, StorageFault):
        text = f"The database refused it: {mistake}. If it lacks something, `aether migrate` adds it."
    remark(f"error: {text or type(mistake).__name__}")


def show_findings(findings: Sequence[Finding], form: Format) -> None:
    """Findings as a result: the whole of it in JSON, else with a line that counts them."""
    rendered = render_findings(findings, form)
    if rendered:
        say(rendered)
    if form == "text":
        if rendered:
            say("")
        say(count_findings(findings))


def count_findings(findings: Sequence[Finding]) -> str:
    """How many findings there are of each sort, in words."""
    counts = {kind: sum(finding.severity == kind for finding in findings) for kind in ("error", "warning", "notice")}
    said = [f"{count} {kind}{'s' if count != 1 else ''}" for kind, count in counts.items() if count]
    if not said:
        return "Nothing is wrong."
    return f"{', '.join(said)}." if has_errors(findings) else f"No errors; {', '.join(said)}."


def show_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows in columns as wide as what they hold."""
    lines = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(heads))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def is_terminal() -> bool:
    """Whether somebody sits in front of it and can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()
