"""What the contract's sentences are tried on: one seeded application per database and module."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import BOTH, Stages
from tests.support.contract import CONTRACT, Seeded, seed


@pytest.fixture(scope="module")
def seeds(stages: Stages) -> Callable[[str], Seeded]:
    """Seeded applications by database, made when first asked for."""
    made: dict[str, Seeded] = {}

    def get(dialect: str) -> Seeded:
        if dialect not in made:
            made[dialect] = seed(stages(dialect, CONTRACT))
        return made[dialect]

    return get


@pytest.fixture(params=BOTH)
def seeded(request: pytest.FixtureRequest, seeds: Callable[[str], Seeded]) -> Seeded:
    """The contract's registry with a few rows, on either database; tests leave these as they are."""
    return seeds(request.param)
