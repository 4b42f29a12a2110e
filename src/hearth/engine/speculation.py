"""How many guessed tokens a step verifies: `Speculation`.

Owns the decision, and the two things that it rests on, both measured in place: how long a step of so many rows takes,
and how often guesses of each grade come true. It knows neither how guesses are made (`draft.py`) nor how they are
verified (`engine.py`).

Verifying a row more makes a step longer; a guess that comes true saves a step. The number of rows is chosen for which
the expected tokens a second are the most, and none is verified unless that beats plain decoding. A drafter whose
guesses are free is asked all the same, so that its grades are known from plain decoding, before anything is risked.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence as Seq

from hearth.engine.draft import NUM_GRADES, Ask, Computed, Draft, Drafter

_MARGIN = 1.03  # expected gain below which plain decoding is the better bet
_LEAST_GAIN = 0.02  # a guess less likely than this is not worth a thought
_ASSUMED_ROW = 0.15  # of a step's time, for each further row, where nothing has been measured
_SWEEP_STEPS = 256
_PROBE_STEPS, _MAX_PROBE_STEPS = 16, 256  # steps looked at in vain before a costly guess is made all the same
_IDLE_STEPS, _IDLE_STRIDE = 64, 4  # after so many steps without a guess, only each fourth looks for one
_MEMORY = 0.95  # weight of what was learned before against one observation more
_PRIOR_WEIGHT = 3.0  # observations that a drafter's prior counts for


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


class _Record:
    """What was guessed for one sequence last, and how often guesses of each grade came true."""

    def __init__(self, tokens: array[int], prior: float) -> None:
        self.tokens = tokens
        self._length = 0
        self._guess: list[int] = []
        self._grade = 0
        self._hits = [prior * _PRIOR_WEIGHT] * NUM_GRADES
        self._trials = [_PRIOR_WEIGHT] * NUM_GRADES

    def expect(self, draft: Draft) -> list[float]:
        """Keeps the draft to learn from it, and returns its gains."""
        self._length, (self._guess, self._grade) = len(self.tokens), draft
        return self.gains(draft.grade, len(draft.tokens)) if draft.tokens else []

    def learn(self) -> None:
        """Compares the last guess with the tokens that have come since, whether it was verified or not."""
        for place, guessed in enumerate(self._guess):
            if self._length + place >= len(self.tokens):
                break
            grade = min(self._grade + place, NUM_GRADES - 1)
            right = guessed == self.tokens[self._length + place]
            self._hits[grade] = _MEMORY * self._hits[grade] + right
            self._trials[grade] = _MEMORY * self._trials[grade] + 1
            if not right:
                break
        self._guess = []

    def gains(self, grade: int, count: int) -> list[float]:
        """For each of `count` guessed tokens the probability that it and all before it come true."""
        gains, gain = [], 1.0
        for place in range(count):
            at = min(grade + place, NUM_GRADES - 1)
            gain *= self._hits[at] / self._trials[at]
            if gain < _LEAST_GAIN:
                break
            gains.append(gain)
        return gains


class Speculation:
    """Decides, step by step, which guesses are verified.

    Args:
        drafter: makes the guesses.
    """

    def __init__(self, drafter: Drafter) -> None:
        self._drafter = drafter
        self._costs = StepCosts()
        self._records: dict[int, _Record] = {}
        self._num_idle = 0  # steps without a guess worth verifying
        self._num_plain = 0  # steps in which costly guesses were not asked for
        self._probe_steps = _PROBE_STEPS

    @property
    def reads_hidden(self) -> bool:
        """Whether `follow` is to be called after every forward."""
        return self._drafter.reads_hidden

    def follow(self, computed: Seq[Computed]) -> None:
        """A forward has computed this, and tokens were drawn."""
        self._drafter.follow(computed)

    def plan(self, asks: Seq[Ask], num_rows: int, max_rows: int) -> list[list[int]]:
        """The tokens to verify for each ask, none where that would not pay.

        Args:
            num_rows: rows that the step has without any guess: sequences that decode, asked for or not.
            max_rows: rows that it may have.
        """
        room = max_rows - num_rows
        if self._drafter.free:
            drafts = self._drafter.propose(asks)
            gains = [self._record(ask).expect(draft) for ask, draft in zip(asks, drafts, strict=True)]
            counts = self.counts(gains, num_rows, room)
            return [draft.tokens[:count] for draft, count in zip(drafts, counts, strict=True)]
        records = [self._record(ask) for ask in asks]
        gains = [record.gains(0, ask.limit) for record, ask in zip(records, asks, strict=True)]
        counts = self.counts(gains, num_rows, room)
        wanted = [(ask._replace(limit=n), r) for ask, n, r in zip(asks, counts, records, strict=True) if n]
        drafts = self._drafter.propose([ask for ask, _ in wanted]) if wanted else []
        guesses = {}
        for (ask, record), draft in zip(wanted, drafts, strict=True):
            record.expect(draft)
            guesses[ask.id] = draft.tokens
        return [guesses.get(ask.id, []) for ask in asks]

    def rests(self) -> bool:
        """Whether to do without guesses in this step: where nothing has been worth a guess for long, most steps."""
        self._num_idle += 1
        return self._num_idle > _IDLE_STEPS and self._num_idle % _IDLE_STRIDE != 0

    def observe(self, rows: int, time_ns: float) -> None:
        """A step that only decoded took so long."""
        self._costs.observe(rows, time_ns)

    def forget(self, request_id: int) -> None:
        """The request has ended."""
        self._records.pop(request_id, None)
        self._drafter.forget(request_id)

    def reset(self) -> None:
        """A step was interrupted: what is remembered of sequences may be half written."""
        self._records.clear()
        self._drafter.reset()

    def _record(self, ask: Ask) -> _Record:
        """What is known of the sequence, up to its last token."""
        record = self._records.get(ask.id)
        if record is None or record.tokens is not ask.tokens:
            record = self._records[ask.id] = _Record(ask.tokens, self._drafter.prior)
        else:
            record.learn()
        return record

    def counts(self, gains: list[list[float]], num_rows: int, room: int) -> list[int]:
        """How many guessed tokens of each sequence to verify.

        Args:
            gains: for each sequence, of each guessed token the probability that it and all before it come true.
            num_rows: rows of the step without guesses.
            room: most guesses in all.
        """
        counts = [0] * len(gains)
        # The likeliest guesses of all sequences first. Gains fall along a sequence: each gets a beginning of its own.
        ranked = sorted(((gain, place) for place, row in enumerate(gains) for gain in row), reverse=True)[:room]
        if not ranked or not self._costs.measured(num_rows):
            return counts  # a plain step measures what a plain step takes
        best = self._best(ranked, num_rows)
        if best:
            self._num_idle = self._num_plain = 0
            self._probe_steps = _PROBE_STEPS
        elif not self._drafter.free:
            # What is not asked for is not learned from: now and then the guesses are looked at in any case.
            self._num_plain += 1
            if self._num_plain > self._probe_steps:
                best, self._num_plain = min(2, len(ranked)), 0
                self._probe_steps = min(2 * self._probe_steps, _MAX_PROBE_STEPS)
        for _, place in ranked[:best]:
            counts[place] += 1
        return counts

    def _best(self, ranked: list[tuple[float, int]], num_rows: int) -> int:
        """The number of guesses, likeliest first, with which the most tokens a second are expected."""
        estimate, token_ns = self._costs.estimate, self._drafter.token_ns
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
