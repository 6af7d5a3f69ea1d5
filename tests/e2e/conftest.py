"""Applications that Hypothesis drives: one per database and registry, made when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import services
from tests.support.serving import ROOT
from tests.support.stage import Stage, stage_on

MODEL = ROOT / "tests" / "data" / "model" / "resources.yaml"
SHIPPED = ROOT / "resources.yaml"
BOTH = ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]

Stages = Callable[[str, Path], Stage]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """Makes applications: by database and registry."""
    made: dict[tuple[str, Path], Stage] = {}
    with ExitStack() as stack:

        def get(dialect: str, registry: Path) -> Stage:
            if dialect == "mariadb":
                services.require_mariadb()
            if (dialect, registry) not in made:
                if dialect == "mariadb":
                    url = stack.enter_context(services.make_mariadb_database())
                else:
                    url = f"sqlite:///{tmp_path_factory.mktemp('stage')}/test.sqlite3"
                made[dialect, registry] = stack.enter_context(stage_on(url, registry))
            return made[dialect, registry]

        yield get


@pytest.fixture(params=BOTH)
def model_stage(request: pytest.FixtureRequest, stages: Stages) -> Stage:
    """The registry of the model, on either database."""
    return stages(request.param, MODEL)


@pytest.fixture(params=BOTH)
def shipped_stage(request: pytest.FixtureRequest, stages: Stages) -> Stage:
    """The shipped registry, on either database."""
    return stages(request.param, SHIPPED)
