"""How many guessed tokens a step verifies: `Speculation`.

Owns the decision, and one of the two things that it rests on, both measured in place: how long a step of so many rows
takes; the other is how often guesses come true (`voice.py`). It knows neither how guesses are made (`draft.py`) nor how
they are verified (`drawing.py`).

Verifying a row more makes a step longer; a guess that comes true saves a step. The number of rows is chosen for which
the expected tokens a second are the most, and none is verified unless that beats plain decoding. A drafter whose
guesses are free is asked all the same, so that its grades are known from plain decoding, before anything is risked. Of
several drafters that is heard from which the most is expected, step by step.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence as Seq

from hearth.engine.draft import Ask, Computed, Drafter
from hearth.engine.voice import Voice

_MARGIN = 1.03  # expected gain below which plain decoding is the better bet
_ASSUMED_ROW = 0.15  # of a step's time, for each further row, where nothing has been measured
_SWEEP_STEPS = 256
_PROBE_STEPS, _MAX_PROBE_STEPS = 16, 256  # steps looked at in vain before a costly guess is made all the same
_IDLE_STEPS, _IDLE_STRIDE = 64, 4  # after so many steps without a guess, only each fourth looks for one


class StepCosts:
    """Running averages of how long a decoding step takes, by its rows."""

    def __init__(self) -> None:
        self._time_ns: dict[int, float] = {}
        self._counts: dict[int, int] = {}
        self._rows: list[int] = []  # that have been measured, ascending
        self._recent: set[int] = set()  # of these, since the last sweep
        self._num_observed = 0

    def observe(self, rows: int, time_ns: float) -> None:
        if rows in self._time_ns:
            known = self._time_ns[rows]
        else:
            known = self.estimate(rows) if self._rows else time_ns
            insort(self._rows, rows)
            self._counts[rows] = 0
        # The first few are a plain mean; later ones forget. A step that something else delayed counts as twice as long.
        count = self._counts[rows] = min(self._counts[rows] + 1, 10)
        self._time_ns[rows] = known + (min(time_ns, 2 * known) - known) / count
        self._recent.add(rows)
        self._num_observed += 1
        if self._num_observed % _SWEEP_STEPS == 0:
            self._sweep()

    def _sweep(self) -> None:
        """Forgets what has not been seen for long: the context has grown since, or the machine was busy then."""
        self._rows = sorted(self._recent)
        self._time_ns = {rows: self._time_ns[rows] for rows in self._rows}
        self._recent.clear()

    def measured(self, rows: int) -> bool:
        return rows in self._time_ns

    def estimate(self, rows: int) -> float:
        """Nanoseconds; between two measured numbers of rows interpolated, beyond them assumed. One must be measured."""
        known = self._time_ns.get(rows)
        if known is not None:
            return known
        place = bisect_left(self._rows, rows)
        if place == 0:
            return self._time_ns[self._rows[0]]
        low = self._rows[place - 1]
        if place == len(self._rows):
            first = self._time_ns[self._rows[0]]
            return self._time_ns[low] + _ASSUMED_ROW * first * (rows - low)
        high = self._rows[place]
        share = (rows - low) / (high - low)
        return (1 - share) * self._time_ns[low] + share * self._time_ns[high]


class Speculation:
    """Decides, step by step, which guesses are verified.

    Args:
        drafters: make the guesses; of those from which the same is expected the first is heard.
    """

    def __init__(self, *drafters: Drafter) -> None:
        self._voices = [Voice(drafter) for drafter in drafters]
        self._costs = StepCosts()
        self._num_idle = 0  # steps without a guess worth verifying
        self._num_plain = 0  # steps in which costly guesses were not asked for
        self._probe_steps = _PROBE_STEPS

    @property
    def reads_hidden(self) -> bool:
        """Whether `follow` is to be called after every forward."""
        return any(voice.drafter.reads_hidden for voice in self._voices)

    def follow(self, computed: Seq[Computed]) -> None:
        """A forward has computed this, and tokens were drawn."""
        for voice in self._voices:
            if voice.drafter.reads_hidden:
                voice.drafter.follow(computed)

    def plan(self, asks: Seq[Ask], num_rows: int, max_rows: int) -> list[list[int]]:
        """The tokens to verify for each ask, none where that would not pay.

        Args:
            num_rows: rows that the step has without any guess: sequences that decode, asked for or not.
            max_rows: rows that it may have.
        """
        room = max_rows - num_rows
        offers = [(voice, voice.gains(asks)) for voice in self._voices]
        chosen, counts, most = self._voices[0], [0] * len(asks), 0.0
        for voice, gains in offers:
            wanted = self.counts(gains, num_rows, room, voice.drafter.token_ns)
            rate = self._rate(gains, wanted, num_rows, voice.drafter.token_ns)
            if any(wanted) and rate > most:
                chosen, counts, most = voice, wanted, rate
        if any(counts):
            self._num_idle = self._num_plain = 0
            self._probe_steps = _PROBE_STEPS
        elif costly := next((offer for offer in offers if not offer[0].drafter.free), None):
            # What is not asked for is not learned from: now and then the guesses are looked at in any case.
            chosen, counts = costly[0], self._probe(costly[1], num_rows, room)
        return chosen.guesses(asks, counts)

    def rests(self) -> bool:
        """Whether to do without guesses in this step: where nothing has been worth a guess for long, most steps."""
        self._num_idle += 1
        return self._num_idle > _IDLE_STEPS and self._num_idle % _IDLE_STRIDE != 0

    def observe(self, rows: int, time_ns: float) -> None:
        """A step that only decoded took so long."""
        self._costs.observe(rows, time_ns)

    def forget(self, request_id: int) -> None:
        """The request has ended."""
        for voice in self._voices:
            voice.forget(request_id)

    def reset(self) -> None:
        """A step was interrupted: what is remembered of sequences may be half written."""
        for voice in self._voices:
            voice.reset()

    def counts(self, gains: list[list[float]], num_rows: int, room: int, token_ns: float) -> list[int]:
        """How many guessed tokens of each sequence to verify.

        Args:
            gains: for each sequence, of each guessed token the probability that it and all before it come true.
            num_rows: rows of the step without guesses.
            room: most guesses in all.
            token_ns: `Drafter.token_ns`.
        """
        ranked = _ranked(gains, room)
        # A plain step measures what a plain step takes.
        best = self._best(ranked, num_rows, token_ns) if self._costs.measured(num_rows) else 0
        return _beginnings(ranked[:best], len(gains))

    def _probe(self, gains: list[list[float]], num_rows: int, room: int) -> list[int]:
        ranked = _ranked(gains, room)
        if not ranked or not self._costs.measured(num_rows):
            return [0] * len(gains)
        self._num_plain += 1
        if self._num_plain <= self._probe_steps:
            return [0] * len(gains)
        self._num_plain = 0
        self._probe_steps = min(2 * self._probe_steps, _MAX_PROBE_STEPS)
        return _beginnings(ranked[:2], len(gains))

    def _rate(self, gains: list[list[float]], counts: list[int], num_rows: int, token_ns: float) -> float:
        """Expected tokens a nanosecond of a step with so many guesses; that of any, where nothing is measured yet."""
        tokens = num_rows + sum(sum(row[:count]) for row, count in zip(gains, counts, strict=True))
        if not self._costs.measured(num_rows):
            return tokens
        return tokens / (self._costs.estimate(num_rows + sum(counts)) + max(counts, default=0) * token_ns)

    def _best(self, ranked: list[tuple[float, int]], num_rows: int, token_ns: float) -> int:
        """The number of guesses, likeliest first, with which the most tokens a second are expected."""
        estimate = self._costs.estimate
        best, tokens = 0, float(num_rows)
        rate = _MARGIN * tokens / estimate(num_rows)
        depth = 0
        depths: dict[int, int] = {}  # guesses of each sequence: a drafter makes those of all sequences side by side
        for count, (gain, place) in enumerate(ranked, 1):
            tokens += gain
            depths[place] = depths.get(place, 0) + 1
            depth = max(depth, depths[place])
            now = tokens / (estimate(num_rows + count) + depth * token_ns)
            if now > rate:
                best, rate = count, now
        return best


def _ranked(gains: list[list[float]], room: int) -> list[tuple[float, int]]:
    """The likeliest guesses of all sequences first, with their sequence's place. Gains fall along a sequence: each gets
    a beginning of its own."""
    return sorted(((gain, place) for place, row in enumerate(gains) for gain in row), reverse=True)[:room]


def _beginnings(ranked: list[tuple[float, int]], count: int) -> list[int]:
    """How many of these guesses each of so many sequences has."""
    counts = [0] * count
    for _, place in ranked:
        counts[place] += 1
    return counts
