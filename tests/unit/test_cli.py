"""The command line: results on standard output, mistakes in words on standard error, and never a traceback."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from click.testing import Result
from typer.testing import CliRunner

from engine.cli import app
from engine.cli.documents import settings_page
from engine.registry.load import load_registry_text
from engine.settings import Settings

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-of-tests-that-is-nowhere-else-0123456789-xyz"
ACCOUNT = "ourAccount_12345"
GOOD = """\
version: 1
roles: {viewer: ["*:read"]}
types:
  account:
    table: account
    account: self
    search: [name]
    fields: {name: {type: string(100), required: true}}
  venue:
    table: venue
    account: own
    search: [name]
    fields: {name: {type: string(200), required: true}}
"""
BAD = GOOD.replace(
    "search: [name]\n    fields: {name: {type: string(200)", "serch: [name]\n    fields: {name: {type: strin(200)"
)
DATA = f"""\
account: {{ours: {{id: {ACCOUNT}, name: Ours}}}}
venue: {{hall: {{account_id: "@ours", name: Hall}}}}
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder of its own with a good registry and an SQLite database that is not there yet."""
    for name in [name for name in os.environ if name.startswith("AETHER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    # Empty folders: the shipped plug-ins belong to the shipped registry.
    for name in ("actions", "resources"):
        (tmp_path / name).mkdir()
    (tmp_path / "resources.yaml").write_text(GOOD)
    (tmp_path / "data.yaml").write_text(DATA)

    def run(*arguments: str, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(app, list(arguments), prog_name="aether")

    return run


def refuse(result: Result, *said: str, status: int = 1) -> None:
    """A mistake: some words on standard error, nothing on standard output, no traceback."""
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    for words in said:
        assert words in result.stderr
    assert "Traceback" not in result.stderr


# ---------------------------------------------------------------- the registry


def test_a_good_registry_passes_its_check(run: Run) -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (0, "Nothing is wrong.\n")


def test_everything_wrong_is_said_at_once_like_a_compiler(run: Run) -> None:
    Path("resources.yaml").write_text(BAD)
    result = run("check")
    assert result.exit_code == 1
    assert "error[R101]: unknown key `serch`" in result.stdout
    assert "--> resources.yaml:12:5" in result.stdout
    assert "did you mean `search`?" in result.stdout
    assert "error[R108]" in result.stdout
    assert result.stdout.endswith("2 errors.\n")


def test_findings_are_printed_for_programs_and_for_github_too(run: Run) -> None:
    Path("resources.yaml").write_text(BAD)
    as_json = run("check", "--format", "json")
    assert as_json.exit_code == 1
    assert {one["code"] for one in json.loads(as_json.stdout)} == {"R101", "R108"}
    as_github = run("check", "--format", "github")
    assert as_github.stdout.startswith("::error file=resources.yaml,line=12")
    Path("resources.yaml").write_text(GOOD)
    assert json.loads(run("check", "--format", "json").stdout) == []


def test_a_registry_that_is_not_there_is_a_finding(run: Run) -> None:
    result = run("check", AETHER_REGISTRY="nowhere.yaml")
    assert result.exit_code == 1
    assert "nowhere.yaml" in result.stdout


def test_a_check_imports_the_plug_ins(run: Run) -> None:
    Path("actions/broken.py").write_text("import no_such_module\n")
    Path("actions/mute.py").write_text(
        "from engine import action\n\n\n"
        "@action('GET', 'mute', name='mute', title='Mute', scope=None)\nasync def mute(): ...\n"
    )
    Path("actions/open.py").write_text(
        "from engine import action\n\n\n@action('GET', 'open', name='open', title='Open')\n"
        'async def look():\n    """Look."""\n'
    )
    Path("resources/venue.py").write_text("def defualt_name(caller, values):\n    return 'x'\n")
    result = run("check")
    assert result.exit_code == 1
    assert "No module named 'no_such_module'" in result.stdout
    assert "the action `mute` has no docstring" in result.stdout
    assert "the action `open` does not say who may call it" in result.stdout
    assert "open.py:4:1" in result.stdout
    assert "broken.py:1:1" in result.stdout
    assert "defualt_name" in result.stdout
    assert "4 errors." in result.stdout


def test_with_the_database_a_check_compares_both(run: Run) -> None:
    with sqlite3.connect("old.db") as old:
        old.execute("CREATE TABLE venue (id INTEGER PRIMARY KEY, name TEXT)")
    old.close()
    result = run("check", "--db", AETHER_DATABASE_URL="sqlite:///old.db")
    assert result.exit_code == 1
    assert "error[R3" in result.stdout


def test_a_code_is_explained(run: Run) -> None:
    result = run("explain", "r101")
    assert result.exit_code == 0
    assert result.stdout.startswith("R101: ")
    refuse(run("explain", "R999"), "no code 'R999'")


def test_routes_are_listed_with_their_methods(run: Run) -> None:
    result = run("routes")
    assert re.search(r"^GET POST +/v3/crud/venue/$", result.stdout, re.MULTILINE)
    assert re.search(r"^GET PATCH PUT DELETE +/v3/crud/venue/\{id\}$", result.stdout, re.MULTILINE)
    assert "/health/ready" in result.stdout
    only = run("routes", "venue").stdout
    assert "/v3/crud/venue/search" in only
    assert "account" not in only
    refuse(run("routes", "venu"), "no type 'venu'", "did you mean `venue`?")


def test_a_new_type_passes_the_check_as_it_is_printed(run: Run) -> None:
    stub = run("new", "concert_hall").stdout
    loaded = load_registry_text(GOOD + stub)
    assert loaded.findings == ()
    assert loaded.registry is not None
    assert loaded.registry.types["concert_hall"].title == "Concert hall"


@pytest.mark.parametrize("name", ["ConcertHall", "concert-hall", "1hall", "search", "x" * 100])
def test_a_new_type_needs_a_name_that_can_be_one(run: Run, name: str) -> None:
    refuse(run("new", name), "error: ")


# ---------------------------------------------------------------- documents


def test_documents_are_printed_as_json(run: Run) -> None:
    assert json.loads(run("openapi").stdout)["openapi"] == "3.1.0"
    assert [one["name"] for one in json.loads(run("schema").stdout)["types"]] == ["account", "venue"]
    assert json.loads(run("schema", "venue").stdout)["kind"] == "aether.type/1"
    refuse(run("schema", "venues"), "did you mean `venue`?")


def test_documents_need_a_registry(run: Run) -> None:
    Path("resources.yaml").write_text(BAD)
    refuse(run("openapi"), "error[R101]", "error: 2 errors.")


def test_settings_are_listed_and_secrets_are_not(run: Run) -> None:
    result = run(
        "settings",
        AETHER_JWT_SECRET=SECRET,
        AETHER_PORT="6000",
        AETHER_DATABASE_URL="mysql+asyncmy://me:hush@db/x",
        AETHER_PROT="1",
    )
    assert result.exit_code == 0
    assert re.search(r"^AETHER_PORT +6000 +5005 ", result.stdout, re.MULTILINE)
    assert re.search(r"^AETHER_MODE +production +production ", result.stdout, re.MULTILINE)
    assert SECRET not in result.output
    assert "hush" not in result.output
    assert "AETHER_PROT is no setting; did you mean AETHER_PORT?" in result.stderr


def test_a_wrong_setting_is_named_beside_the_list(run: Run) -> None:
    result = run("settings", AETHER_PORT="many")
    assert result.exit_code == 1
    assert "AETHER_WORKERS" in result.stdout
    assert "AETHER_PORT 'many': expected a number from 0 to 65535" in result.stderr


def test_the_page_of_settings_is_current() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "run: aether settings --format markdown > docs/settings.md"
    assert all(f"`AETHER_{field.upper()}`" in page for field in Settings.model_fields)


def test_the_page_of_commands_names_every_command() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    help_text = CliRunner().invoke(app, ["--help"], prog_name="aether").stdout
    commands = re.findall(r"^  ([a-z]+)\b", help_text.partition("Commands:")[2], re.MULTILINE)
    assert {"check", "serve", "migrate", "token", "apikey"} <= set(commands)
    assert [name for name in commands if f"aether {name}" not in page] == []


# ---------------------------------------------------------------- the database


def test_a_migration_says_what_it_does_and_has_nothing_to_do_the_second_time(run: Run) -> None:
    planned = run("migrate", "--dry-run")
    assert planned.exit_code == 0
    assert "- venue: create the table" in planned.stdout
    assert "nothing was changed" in planned.stdout
    done = run("migrate")
    assert done.exit_code == 0
    assert "- venue: create the table" in done.stdout
    assert "Done: " in done.stdout
    assert run("migrate").stdout == "The database has all that the registry needs.\n"
    assert run("migrate", "--dry-run").stdout == "The database has all that the registry needs.\n"
    result = run("check", "--db")
    assert result.exit_code == 0
    # The tables are ours: their indexes are what the registry asks for.
    assert "W103" not in result.stdout + result.stderr


def test_a_migration_needs_a_registry(run: Run) -> None:
    Path("resources.yaml").write_text(BAD)
    refuse(run("migrate"), "error[R101]")


def test_a_file_is_seeded_once(run: Run) -> None:
    run("migrate")
    assert run("seed", "data.yaml").stdout.splitlines() == [
        "account: 1 made, 0 there already",
        "venue: 1 made, 0 there already",
    ]
    assert "venue: 0 made, 1 there already" in run("seed", "data.yaml").stdout


def test_a_file_that_does_not_fit_is_refused(run: Run) -> None:
    run("migrate")
    refuse(run("seed", "nowhere.yaml"), "no file 'nowhere.yaml'")
    refuse(run("seed"), "demo.yaml")
    Path("data.yaml").write_text(DATA.replace("name: Hall", "nome: Hall"))
    refuse(run("seed", "data.yaml"), "venue.hall", "nome")


def test_demo_data_go_into_a_production_database_only_by_their_name(run: Run) -> None:
    run("migrate")
    Path("resources/demo.yaml").write_text(DATA)
    refuse(run("seed"), "passwords", "AETHER_MODE=demo")
    assert "1 made" in run("seed", "resources/demo.yaml").stdout
    assert run("migrate", AETHER_MODE="demo").exit_code == 0
    assert "1 made" in run("seed").stdout


def test_seeding_before_migrating_is_refused_in_words(run: Run) -> None:
    refuse(run("seed", "data.yaml"), "aether migrate")


def test_a_database_is_introspected_without_touching_it(run: Run) -> None:
    with sqlite3.connect("old.db") as old:
        old.execute("CREATE TABLE Venue (VenueId INTEGER PRIMARY KEY, Name TEXT NOT NULL)")
    old.close()
    before = Path("old.db").read_bytes()
    result = run("introspect", "sqlite:///old.db")
    assert result.exit_code == 0
    assert load_registry_text(result.stdout).registry is not None
    assert "table: Venue" in result.stdout
    assert Path("old.db").read_bytes() == before


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///nowhere.db", "no file 'nowhere.db'"),
        ("postgres://me:hush@db/x", "expected sqlite:///"),
        ("nonsense", "expected sqlite:///"),
        ("mysql+asyncmy://root@127.0.0.1:1/x", "error: The database 127.0.0.1:1/x "),
    ],
)
def test_a_database_that_cannot_be_introspected_is_said_in_a_line(run: Run, url: str, said: str) -> None:
    result = run("introspect", url)
    refuse(result, said)
    assert "hush" not in result.stderr
    assert not Path("nowhere.db").exists()


def test_a_database_that_is_away_is_said_in_a_line(run: Run) -> None:
    url = "mysql+asyncmy://root@127.0.0.1:1/x"
    for command in (["check", "--db"], ["migrate"], ["seed", "data.yaml"], ["apikey", "list"]):
        refuse(run(*command, AETHER_DATABASE_URL=url), "error: The database 127.0.0.1:1/x ")


def test_the_doctor_complains_and_prints_a_plan_that_it_does_not_run(run: Run) -> None:
    run("migrate")
    run("seed", "data.yaml")
    assert run("doctor").stdout == "Nothing is wrong.\n"
    with sqlite3.connect("var/aether.db") as rows:
        rows.execute("UPDATE venue SET id_random = '17'")
    rows.close()
    complaint = "venue.id: 1 rows have an id that no caller can use"
    for arguments in (["doctor"], ["doctor", "--fix-plan"], ["doctor"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert complaint in result.stdout
        assert ('UPDATE "venue" SET "id_random" = ' in result.stdout) == (len(arguments) == 2)


# ---------------------------------------------------------------- credentials


def test_a_token_is_alone_on_standard_output(run: Run) -> None:
    result = run("token", "mint", "--operator", AETHER_JWT_SECRET=SECRET)
    claims = jwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"])
    assert claims["accounts"] == ["*"]
    assert claims["exp"] - claims["iat"] == 3600
    assert result.stderr == ""


def test_a_token_says_what_it_was_asked_to(run: Run) -> None:
    arguments = ["--user", "somebody_12345", "--account", ACCOUNT, "--role", "viewer", "--scopes", "a:read b:write"]
    result = run("token", "mint", *arguments, "--ttl", "30m", AETHER_JWT_SECRET=SECRET)
    claims = jwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["accounts"], claims["roles"]) == ("somebody_12345", [ACCOUNT], ["viewer"])
    assert claims["scopes"] == ["a:read", "b:write"]
    assert claims["exp"] - claims["iat"] == 1800


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--operator", "--ttl", "soon"], "'soon' is no duration"),
        (["--operator", "--ttl", "100000d"], "between a second and ten years"),
        (["--account", ACCOUNT], "could do nothing"),
        (["--account", "17", "--scopes", "*:read"], "account '17' is no public id"),
        (["--user", "o'clock", "--operator"], "is no public id"),
        (["--account", ACCOUNT, "--role", "viewr"], "did you mean `viewer`?"),
        (["--operator", "--account", ACCOUNT], "not both"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(run: Run, arguments: list[str], said: str) -> None:
    refuse(run("token", "mint", *arguments, AETHER_JWT_SECRET=SECRET), said)


def test_a_token_needs_a_secret(run: Run) -> None:
    refuse(run("token", "mint", "--operator"), "AETHER_JWT_SECRET is not set")
    refuse(run("token", "mint", "--operator", AETHER_JWT_SECRET="short"), "AETHER_JWT_SECRET is too short")


def test_a_key_is_made_listed_and_revoked(run: Run) -> None:
    run("migrate")
    run("seed", "data.yaml")
    made = run("apikey", "create", "--account", ACCOUNT, "--scopes", "*:read", "--expires", "90d", "--name", "nightly")
    assert made.exit_code == 0
    key = made.stdout.strip()
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", key)
    listed = run("apikey", "list").stdout
    public_id, secret = key.split(".")
    assert public_id in listed
    assert secret not in listed
    assert re.search(rf"{ACCOUNT} +nightly +\*:read .* good$", listed, re.MULTILINE)
    assert public_id in run("apikey", "list", "--account", ACCOUNT).stdout
    assert run("apikey", "revoke", key).exit_code == 0
    assert re.search(r" revoked$", run("apikey", "list").stdout, re.MULTILINE)
    refuse(run("apikey", "revoke", public_id), "no key")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--account", "noAccount_123456", "--scopes", "*:read"], "no account 'noAccount_123456'"),
        (["--account", "17", "--scopes", "*:read"], "no account '17'"),
        (["--account", ACCOUNT], "could do nothing"),
        (["--account", ACCOUNT, "--role", "wizard"], "no role 'wizard'"),
        (["--account", ACCOUNT, "--scopes", "*:read", "--expires", "never"], "no duration"),
        (["--account", ACCOUNT, "--scopes", "*:read", "--name", "x" * 201], "at most 200"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(run: Run, arguments: list[str], said: str) -> None:
    run("migrate")
    run("seed", "data.yaml")
    refuse(run("apikey", "create", *arguments), said)
    assert run("apikey", "list").stdout.count("\n") == 1


# ---------------------------------------------------------------- serving, as far as it does not come to it


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "AETHER_JWT_SECRET is not set"),
        ({"AETHER_JWT_SECRET": SECRET, "AETHER_WORKERS": "0"}, "AETHER_WORKERS '0': expected a number from 1 to 64"),
        ({"AETHER_JWT_SECRET": SECRET, "AETHER_HOST": "192.0.2.1"}, "192.0.2.1:5005 cannot be listened on"),
        ({"AETHER_JWT_SECRET": SECRET, "AETHER_PORT": "0", "AETHER_REGISTRY": "no.yaml"}, "no.yaml"),
        (
            {
                "AETHER_JWT_SECRET": SECRET,
                "AETHER_PORT": "0",
                "AETHER_DATABASE_URL": "mysql+asyncmy://root@127.0.0.1:1/x",
            },
            "error: The database 127.0.0.1:1/x ",
        ),
    ],
)
def test_what_is_wrong_stops_a_start_before_it(run: Run, environment: dict[str, str], said: str) -> None:
    refuse(run("serve", **environment), said)


def test_a_broken_registry_and_a_broken_plug_in_stop_a_start_with_their_findings(run: Run) -> None:
    Path("resources.yaml").write_text(BAD)
    refuse(run("serve", "--dev", "--port", "0"), "error[R101]", "error[R108]")
    Path("resources.yaml").write_text(GOOD)
    Path("actions/broken.py").write_text("import no_such_module\n")
    refuse(run("serve", "--dev", "--port", "0"), "error[R601]", "no_such_module")


def test_two_modes_at_once_are_none(run: Run) -> None:
    refuse(run("serve", "--demo", "--dev"), "not both")


# ---------------------------------------------------------------- the command line itself


@pytest.mark.parametrize("arguments", [["chekc"], ["check", "--format", "xml"], ["serve", "--port", "many"], ["new"]])
def test_a_wrong_command_line_is_status_2(run: Run, arguments: list[str]) -> None:
    refuse(run(*arguments), "Usage: ", status=2)


def test_every_command_explains_itself() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        result = CliRunner().invoke(app, [command.name or command.callback.__name__, "--help"], prog_name="aether")
        assert result.exit_code == 0
        assert "Usage: aether " in result.stdout
