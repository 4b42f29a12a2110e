"""Results that are in use at the same time never share memory: else tokens come out as garbage, and only sometimes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hearth.compiler.memory_plan import Lifetime, assign_offsets, choose_arenas


@st.composite
def lifetimes(draw: st.DrawFn) -> dict[int, Lifetime]:
    made = {}
    for key in range(draw(st.integers(0, 24))):
        first = draw(st.integers(0, 20))
        made[key] = Lifetime(64 * draw(st.integers(0, 50)), first, first + draw(st.integers(0, 8)))
    return made


@given(lifetimes())
def test_what_lives_at_once_never_overlaps(lives: dict[int, Lifetime]) -> None:
    offsets, total = assign_offsets(lives)
    assert offsets.keys() == lives.keys()
    for a, x in lives.items():
        assert offsets[a] >= 0
        assert offsets[a] % 64 == 0
        assert offsets[a] + x.size <= total
        for b, y in lives.items():
            together = a < b and x.first <= y.last and y.first <= x.last and x.size and y.size
            if together:
                assert offsets[a] + x.size <= offsets[b] or offsets[b] + y.size <= offsets[a]


@given(lifetimes())
def test_the_arena_is_no_larger_than_everything_side_by_side(lives: dict[int, Lifetime]) -> None:
    _, total = assign_offsets(lives)
    at_once = max((sum(x.size for x in lives.values() if x.first <= t <= x.last) for t in range(30)), default=0)
    assert at_once <= total <= sum(x.size for x in lives.values())


def test_a_chain_needs_two_places() -> None:
    """Each result is read by the next step only: a hundred of them fit where two do."""
    _, total = assign_offsets({i: Lifetime(64, i, i + 1) for i in range(100)})
    assert total == 128


@given(st.sets(st.tuples(st.integers(0, 15), st.integers(16, 31)), max_size=60), st.randoms())
def test_what_a_step_reads_and_what_it_writes_lie_in_different_arenas(pairs: set[tuple[int, int]], random) -> None:
    conflicts = [pair if random.random() < 0.5 else pair[::-1] for pair in pairs]
    arenas = choose_arenas(range(32), conflicts)
    assert arenas.keys() == set(range(32))
    assert all(arenas[a] != arenas[b] for a, b in conflicts)


def test_a_line_of_steps_needs_two_arenas_and_one_that_reads_both_a_third() -> None:
    line = [(i, i + 1) for i in range(8)]
    assert set(choose_arenas(range(9), line).values()) == {0, 1}
    assert choose_arenas(range(3), [(0, 1), (0, 2), (1, 2)]) == {0: 0, 1: 1, 2: 2}
