"""Commands about the registry: `check`, `explain`, `routes`, `new`."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from engine.cli.documents import whole_openapi
from engine.cli.ground import find_type, lay_ground, operator_rights, read_settings
from engine.cli.terminal import Refused, say, show_findings, show_table
from engine.io.reflect import reflect
from engine.registry.explain import explain as explain_code
from engine.registry.findings import has_errors
from engine.registry.names import RESERVED_TYPES, is_name, title_of

STUB = """\
  {name}:
    table: {name}
    account: own                # own | inherited (with parent:) | self | none: "why it is shared"
    # parent: another_type      # nests it: /v3/crud/another_type/{{id}}/{name}/
    title: {title}
    display: "{{name}}"
    search: [name, created_on]  # what may be filtered and sorted by
    sort: [-created_on]
    fields:                     # leave out what the table has already
      name: {{type: string(200), required: true}}
      description: {{type: text}}
"""


class FindingFormat(StrEnum):
    """How findings are printed."""

    text = "text"
    json = "json"
    github = "github"


def check(
    db: Annotated[bool, typer.Option("--db", help="Compare it with the database as well.")] = False,
    format: Annotated[FindingFormat, typer.Option(help="How to print what is found.")] = FindingFormat.text,
) -> None:
    """Say everything that is wrong with the registry and its plug-ins. Ends with 1 where there is an error."""
    settings = read_settings()
    reflection = asyncio.run(reflect(settings.database_url)) if db else None
    findings = lay_ground(settings, reflection).findings
    show_findings(findings, format.value)
    if has_errors(findings):
        raise typer.Exit(1)


def explain(code: Annotated[str, typer.Argument(help="A code of a finding, like R101.")]) -> None:
    """Say at length what a finding means, and what to do about it."""
    try:
        page = explain_code(code)
    except LookupError as unknown:
        raise Refused(str(unknown.args[0])) from unknown
    say(page.rstrip())


def routes(type: Annotated[str | None, typer.Argument(help="Only those of a type.")] = None) -> None:
    """List every route with its methods, nested ones and actions included."""
    ground = lay_ground(read_settings())
    if type is not None:
        find_type(ground.registry, type)
    document = whole_openapi(ground, operator_rights(ground.registry))
    rows = []
    for path, item in document["paths"].items():
        operations = {
            method.upper(): operation
            for method, operation in item.items()
            if isinstance(operation, dict) and "operationId" in operation
        }
        if type is not None and not any(type in operation["tags"] for operation in operations.values()):
            continue
        rows.append((" ".join(operations), path))
    show_table(("METHODS", "PATH"), rows)


def new(type: Annotated[str, typer.Argument(help="The new type's name: snake_case, singular.")]) -> None:
    """Print a type to begin with, to be put under `types:` of the registry."""
    if not is_name(type):
        raise Refused(f"{type!r} is no name for a type: write snake_case letters and digits, like `venue`.")
    if type in RESERVED_TYPES:
        raise Refused(f"{type!r} is a word of the paths; choose another name.")
    say(STUB.format(name=type, title=title_of(type)).rstrip())
