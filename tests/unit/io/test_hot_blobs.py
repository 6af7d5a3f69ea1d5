"""Small blobs in memory: what is bounded, what gives way, what is believed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.io.blobs.hot import HotBlobs, is_whole
from tests.support.blobs import digest_of


def test_what_was_not_used_for_longest_gives_way() -> None:
    hot = HotBlobs(most_bytes=10)
    hot.put("a", b"1234")
    hot.put("b", b"1234")
    assert hot.get("a") == b"1234"
    hot.put("c", b"1234")
    assert (hot.get("a"), hot.get("b"), hot.get("c")) == (b"1234", None, b"1234")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=8), st.booleans())))
def test_it_holds_no_more_than_it_may_and_nothing_but_what_was_put(steps: list[tuple[str, bytes, bool]]) -> None:
    hot = HotBlobs(most_bytes=20)
    last: dict[str, bytes] = {}
    for name, content, is_forgotten in steps:
        if is_forgotten:
            hot.forget(name)
            last.pop(name, None)
        else:
            hot.put(name, content)
            last[name] = content
        held = {key: found for key in "abcdef" if (found := hot.get(key)) is not None}
        assert sum(map(len, held.values())) == hot.size_bytes <= 20
        assert held.items() <= last.items()


def test_bytes_are_believed_by_their_hash_alone() -> None:
    assert is_whole(digest_of(b"a"), b"a")
    assert not is_whole(digest_of(b"a"), b"b")
