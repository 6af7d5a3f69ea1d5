"""The grammar of switching old routes off: what a word covers, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.registry.legacy import DOORS, VERBS, NoSwitch, read_brownout, read_off, read_switches
from engine.registry.load import load_registry_text

ROUTES = [(door, verb) for door, version in DOORS.items() for verb in VERBS if (version, verb) != ("v1", "search")]
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "covered"),
    [
        ("v1", [one for one in ROUTES if one[0] in ("/", "/api")]),
        ("v2", [one for one in ROUTES if one[0] in ("/crud", "/v2/crud")]),
        ("/api", [one for one in ROUTES if one[0] == "/api"]),
        ("/", [one for one in ROUTES if one[0] == "/"]),
        ("v2:list", [("/crud", "list"), ("/v2/crud", "list")]),
        ("/v2/crud:search", [("/v2/crud", "search")]),
    ],
)
def test_a_word_covers_a_version_a_door_or_one_verb_of_them(word: str, covered: list[tuple[str, str]]) -> None:
    assert [route for route in ROUTES if read_off(word).covers(*route)] == covered


@pytest.mark.parametrize(
    ("word", "moments"),
    [
        ("*:55", ["00:55:00", "12:55:59.999999", "23:55:30"]),
        ("9:00", ["09:00:00", "09:00:59"]),
        ("9-17:0-4", ["09:00:00", "17:04:59", "12:02:00"]),
        ("v1:list:*:50-59", ["03:50:00", "03:59:59"]),
    ],
)
def test_a_brownout_is_on_in_its_minutes_alone(word: str, moments: list[str]) -> None:
    brownout = read_brownout(word)
    assert all(brownout.is_on(datetime.fromisoformat(f"2026-11-24T{moment}+00:00")) for moment in moments)
    first, last = moments[0], moments[1]
    assert not brownout.is_on(datetime.fromisoformat(f"2026-11-24T{first}+00:00") - timedelta(microseconds=1))
    after = datetime.fromisoformat(f"2026-11-24T{last[:5]}:00+00:00") + timedelta(minutes=1)
    assert not brownout.is_on(after)


def test_a_brownout_is_meant_in_utc_wherever_the_clock_is() -> None:
    brownout = read_brownout("12:00")
    assert brownout.is_on(NOON.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert not brownout.is_on(NOON.astimezone(UTC) + timedelta(hours=1))


@given(st.integers(0, 23), st.integers(0, 59), st.datetimes(timezones=st.just(UTC)))
def test_a_minute_of_a_day_is_on_for_that_minute_exactly(hour: int, minute: int, moment: datetime) -> None:
    assert read_brownout(f"{hour}:{minute}").is_on(moment) == ((moment.hour, moment.minute) == (hour, minute))


@pytest.mark.parametrize(
    "word", ["", "v3", "V1", "v1:", "v1:destroy", "v1:search", "/api:search", "/apis", "/api/", "list", "v1 "]
)
def test_a_word_that_names_no_old_route_is_refused(word: str) -> None:
    with pytest.raises(NoSwitch):
        read_off(word)


@pytest.mark.parametrize(
    "word", ["", "55", ":55", "*:", "*:60", "24:00", "9-8:0", "*:5-4", "*:*", "v3:*:55", "v1:destroy:*:1", "*:555"]
)
def test_a_word_without_an_hour_and_a_minute_is_refused(word: str) -> None:
    with pytest.raises(NoSwitch):
        read_brownout(word)


@given(st.text(max_size=20) | st.from_regex(r"(v[0-3]|/[a-z2]*):?[a-z]*:?[0-9*-]{1,5}:[0-9*-]{1,5}", fullmatch=True))
def test_any_text_is_read_or_refused_with_a_reason(word: str) -> None:
    for read in (read_off, read_brownout):
        reason = "read"
        try:
            read(word)
        except NoSwitch as error:
            reason = str(error)
        assert reason


def test_off_is_off_at_any_moment_and_wins_over_a_brownout() -> None:
    switches = read_switches(["v1:list"], ["*:0"])
    assert switches.closure_of("/", "list", NOON) == "off"
    assert switches.closure_of("/", "get", NOON) == "brownout"
    assert switches.closure_of("/", "get", NOON + timedelta(minutes=1)) is None
    assert switches.closure_of("/crud", "list", NOON + timedelta(minutes=1)) is None


def test_a_registry_switches_off_for_a_type_and_for_all() -> None:
    text = """\
version: 1
legacy: {off: v1, brownout: ["*:55"]}
types:
  firm: {table: firm, account: self, fields: {name: {type: string(9)}}, legacy: {off: ["v2:list", /crud]}}
"""
    loaded = load_registry_text(text)
    assert loaded.registry is not None, loaded.findings
    at = NOON + timedelta(minutes=55)
    assert loaded.registry.legacy.closure_of("/api", "get", NOON) == "off"
    assert loaded.registry.legacy.closure_of("/crud", "get", NOON) is None
    assert loaded.registry.legacy.closure_of("/crud", "get", at) == "brownout"
    own = loaded.registry.types["firm"].legacy.switches
    assert [own.closure_of(door, "list", NOON) for door in DOORS] == [None, None, "off", "off"]
    assert own.closure_of("/v2/crud", "get", at) is None
