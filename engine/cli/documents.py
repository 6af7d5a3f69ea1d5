"""Commands that print documents: `openapi`, `schema`, `settings`."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer

from engine.cli.ground import Ground, find_type, lay_ground, operator_rights, read_settings
from engine.cli.terminal import complain, remark, say, show_table
from engine.documents.openapi import openapi_document
from engine.documents.schema import catalogue, type_document
from engine.http.actions import action_router, describe_actions
from engine.main import product_version
from engine.plan.rights import Rights
from engine.settings import Settings, SettingsError, list_settings, load_settings, unknown_settings

SETTINGS_PAGE = """\
# Settings

Made by `aether settings --format markdown`; do not edit. Settings come from the environment or from a `.env` file in
the working directory (the environment wins) and are read once, at the start. A wrong one stops the start with its name
and what was expected; `aether settings` shows what holds, with secrets masked.

| Setting | Default | Meaning | Takes |
| --- | --- | --- | --- |
"""


class SettingsFormat(StrEnum):
    """How settings are printed."""

    text = "text"
    markdown = "markdown"


def openapi() -> None:
    """Print the OpenAPI document of everything, as an operator with every scope sees it."""
    ground = lay_ground(read_settings())
    print_json(whole_openapi(ground, operator_rights(ground.registry)))


def schema(type: Annotated[str | None, typer.Argument(help="A type; all of them in short without.")] = None) -> None:
    """Print the schema document of a type, or the catalogue of all types, as an operator sees it."""
    ground = lay_ground(read_settings())
    registry = ground.registry
    rights = operator_rights(registry)
    if type is None:
        print_json({"types": catalogue(registry, rights)})
        return
    resource = find_type(registry, type)
    actions = ground.plugins.actions if ground.plugins else ()
    overrides = ground.plugins.overrides.get(type) if ground.plugins else None
    print_json(
        type_document(
            registry,
            resource,
            rights,
            actions=actions,
            validates=overrides is not None and overrides.validate is not None,
        )
    )


def settings(
    format: Annotated[SettingsFormat, typer.Option(help="How to print them.")] = SettingsFormat.text,
) -> None:
    """List every setting: what it is, what it means, what it is by default. Secrets are masked."""
    if format is SettingsFormat.markdown:
        say(settings_page().rstrip())
        return
    mistake: SettingsError | None = None
    try:
        found = read_settings()
    except SettingsError as error:
        # The table is what helps to mend it.
        mistake, found = error, Settings.model_construct()
    given = os.environ.get("AETHER_MODE") or Settings.model_fields["mode"].default
    rows = []
    for row in list_settings(found):
        value = given if row.name == "AETHER_MODE" else row.value
        rows.append((row.name, value if mistake is None else "", row.default, row.meaning))
    show_table(("SETTING", "VALUE", "DEFAULT", "MEANING"), rows)
    for name, meant in unknown_settings():
        remark(f"warning: {name} is no setting{f'; did you mean {meant}?' if meant else '.'}")
    if mistake is not None:
        complain(mistake)
        raise typer.Exit(1)
    try:
        load_settings()
    except SettingsError as error:
        # What only a server (and a token) needs: worth a word, but the list is as wanted.
        remark("\n".join(f"warning: {problem}" for problem in error.problems))


def whole_openapi(ground: Ground, rights: Rights) -> dict[str, Any]:
    """The OpenAPI document, with the actions that are served."""
    actions = ground.plugins.actions if ground.plugins else ()
    fragments = describe_actions(action_router(actions), actions)(rights)
    return openapi_document(ground.registry, rights, version=product_version(), actions=fragments)


def settings_page() -> str:
    """The page `docs/settings.md`."""
    lines = []
    for row in list_settings(Settings.model_construct()):
        extra = Settings.model_fields[row.name.removeprefix("AETHER_").lower()].json_schema_extra
        expected = str(extra.get("expected", "")) if isinstance(extra, dict) else ""
        cells = (f"`{row.name}`", f"`{row.default}`" if row.default else "–", row.meaning, expected)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return SETTINGS_PAGE + "\n".join(lines) + "\n"


def print_json(document: object) -> None:
    """A document as a result."""
    say(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
