"""Fault points: silent unless a test has armed them, and never in production mode."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from engine import faultpoints
from engine.faultpoints import POINTS, arm, fault_point
from engine.main import arm_faults
from engine.settings import load_settings

SECRET = "a-secret-of-tests-that-is-nowhere-else-0123456789-xyz"


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Nothing is armed before or after."""
    arm("")
    yield
    arm("")


def pass_all() -> None:
    """Pass every point once."""
    for name in POINTS:
        fault_point(name)


def test_nothing_happens_at_a_point_that_is_not_armed() -> None:
    pass_all()
    arm("blob-write:EIO")
    fault_point("blob-fsync")


def test_an_armed_point_fails_from_the_given_time_on() -> None:
    arm("blob-write:ENOSPC@3, blob-fsync:EIO")
    fault_point("blob-write")
    fault_point("blob-write")
    for _ in range(2):
        with pytest.raises(OSError, match="No space") as fault:
            fault_point("blob-write")
        assert fault.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="error"):
        fault_point("blob-fsync")


@pytest.mark.parametrize(("mode", "is_armed"), [("production", False), ("dev", True)])
def test_a_process_in_production_mode_arms_none(monkeypatch: pytest.MonkeyPatch, mode: str, is_armed: bool) -> None:
    monkeypatch.setenv(faultpoints.VARIABLE, "blob-write:EIO")
    arm_faults(load_settings(env_file=None, mode=mode, jwt_secret=SECRET))
    if is_armed:
        with pytest.raises(OSError, match="error"):
            fault_point("blob-write")
    else:
        pass_all()
