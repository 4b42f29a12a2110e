"""Which matrices become coarse. If these fail, a mixture loses more than it may, or less than it could save."""

from __future__ import annotations

import itertools

import pytest

from hearth.quant.mixed import Candidate, choose_coarse

CANDIDATES = {
    "free": Candidate(0.0, 10),
    "cheap": Candidate(1e-4, 400),
    "small": Candidate(1e-4, 20),
    "dear": Candidate(2e-3, 1000),
    "ruin": Candidate(1.0, 1000),
}


@pytest.mark.parametrize(
    ("most_loss", "chosen"),
    [
        (0.0, {"free"}),
        (1.5e-4, {"free", "cheap"}),
        (2.1e-3, {"free", "cheap", "dear"}),
        (2.3e-3, {"free", "cheap", "dear", "small"}),
        (2.0, set(CANDIDATES)),
    ],
)
def test_the_cheapest_for_what_they_save_go_first(most_loss: float, chosen: set[str]) -> None:
    assert choose_coarse(CANDIDATES, most_loss) == chosen


def test_what_may_be_lost_is_never_passed_and_more_of_it_saves_no_less() -> None:
    saved = []
    for most_loss in (0, 1e-5, 1e-4, 3e-4, 1e-3, 2e-3, 1e-2, 0.5, 1.5):
        chosen = choose_coarse(CANDIDATES, most_loss)
        assert sum(CANDIDATES[name].loss for name in chosen) <= most_loss
        saved.append(sum(CANDIDATES[name].saved_bytes for name in chosen))
    assert all(a <= b for a, b in itertools.pairwise(saved))
