"""The files around the code keep their promises: settings that exist, no secrets, an image that runs as nobody."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from engine.settings import unknown_settings

ROOT = Path(__file__).parents[2]


def test_the_example_environment_names_settings_that_exist_and_holds_no_secret() -> None:
    text = (ROOT / ".env.example").read_text()
    named = dict(re.findall(r"^#? ?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert "AETHER_JWT_SECRET" in named
    assert unknown_settings(named) == ()
    assert all(not value for name, value in named.items() if "SECRET" in name or "PASSWORD" in name)


def test_the_containers_are_given_settings_that_exist() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert set(services) == {"mariadb", "redis", "migrate", "api"}
    for name in ("migrate", "api"):
        assert unknown_settings(services[name]["environment"]) == ()
    image = re.findall(r"(AETHER_[A-Z_]+)=", (ROOT / "Dockerfile").read_text())
    assert unknown_settings(dict.fromkeys(image, "")) == ()


def test_the_image_runs_as_nobody_in_particular_and_without_compilers() -> None:
    final = (ROOT / "Dockerfile").read_text().split("\nFROM ")[-1]
    assert "\nUSER aether\n" in final
    assert "HEALTHCHECK" in final
    assert "gcc" not in final
    assert "apt-get" not in final


@pytest.mark.parametrize("name", ["scripts/demo", "scripts/test", "scripts/check", "scripts/_venv.sh", ".ci/run"])
def test_a_script_parses_and_can_be_run(name: str) -> None:
    path = ROOT / name
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert path.suffix == ".sh" or path.stat().st_mode & 0o111


def test_documents_link_to_files_that_exist() -> None:
    documents = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), ROOT / "tests/README.md", ROOT / "bench/README.md"]
    broken = [
        f"{document.name}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not broken
