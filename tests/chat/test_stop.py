"""An answer ends at a stop string, and nothing of it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.chat.stop import StopStrings
from hearth.errors import UsageError


def run(stops: list[str], parts: list[str]) -> tuple[list[str], str | None]:
    watch = StopStrings(stops)
    shown = [watch.push(part) for part in parts]
    return [*shown, watch.finish()], watch.found


def test_across_token_borders() -> None:
    assert run(["\nUser:"], ["Paris.", "\n", "Us", "er", ": more"]) == (["Paris.", "", "", "", "", ""], "\nUser:")


def test_what_only_looked_like_one_is_given_out() -> None:
    assert run(["###"], ["a#", "#", "b"]) == (["a", "", "##b", ""], None)
    assert run(["###"], ["a##"]) == (["a", "##"], None)


def test_the_earliest_counts() -> None:
    assert run(["bc", "abcd"], ["xabcd"]) == (["x", ""], "abcd")


def test_text_in_the_same_piece_after_it_is_cut() -> None:
    assert run(["END"], ["one END two"])[0] == ["one ", ""]


def test_one_that_began_earlier_is_waited_for() -> None:
    """ "bc" is whole before "abcd" is; which of them ends the answer must not depend on where the tokens end."""
    assert run(["abcd", "bc"], list("aabcd"))[1] == run(["abcd", "bc"], ["aabcd"])[1] == "abcd"
    assert run(["abcd", "bc"], ["aabc", "e"]) == (["a", "a", ""], "bc")
    assert run(["abcd", "bc"], ["aabc"]) == (["a", "a"], "bc")


@given(
    stops=st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3),
    parts=st.lists(st.text("abc", max_size=5), max_size=8),
)
def test_the_cut_does_not_depend_on_the_borders(stops: list[str], parts: list[str]) -> None:
    shown, found = run(stops, parts)
    whole = "".join(parts)
    places = [(whole.find(s), len(s), s) for s in stops if s in whole]
    if not places:
        assert (found, "".join(shown)) == (None, whole)
    else:
        at, _, stop = min(places)
        assert (found, "".join(shown)) == (stop, whole[:at])


@pytest.mark.parametrize("stops", [[""], ["a"] * 100, ["x" * 5000]])
def test_senseless_ones_are_refused(stops: list[str]) -> None:
    with pytest.raises(UsageError, match="stop strings"):
        StopStrings(stops)
