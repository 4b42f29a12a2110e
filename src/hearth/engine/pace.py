"""How many prompt tokens a step may carry beside sequences that decode: `Pace`.

Owns the bound on how much longer such a step takes than one without them, so that running streams stay smooth while a
long prompt is read; and the two things that it rests on, both measured in place: how long a step takes that only
decodes, and what a prompt token adds to it. It knows neither sequences nor the forward.
"""

from __future__ import annotations

from hearth.engine.speculation import StepCosts

_STRETCH = 1.7  # how many times as long as a step without them a step with prompt tokens may take; below 3 with noise
_LEAST_TOKENS = 4  # a prompt gets on in any case
_FIRST_TOKENS = 8  # of the first prompt, to measure with
_GRAIN = 8  # of many: products are computed in blocks of rows
_PROBE_STEPS = 32  # with prompt tokens, until one goes without: the context grows, and the machine changes
_MEMORY = 10  # steps that count for what a token adds


class Pace:
    """Learns from step to step."""

    def __init__(self) -> None:
        self._costs = StepCosts()
        self._has_measured = False
        self._token_ns: float | None = None  # that a prompt token adds to a step
        self._num_observed = 0
        self._since_probe = _PROBE_STEPS

    def limit(self, decoding: int) -> int | None:
        """Most prompt tokens for the next step; None: any number, for nobody waits.

        0 now and then, for one step: to see what it takes without any.

        Args:
            decoding: sequences that go on by one token in it.
        """
        if decoding == 0:
            return None
        if self._since_probe >= _PROBE_STEPS:
            return 0
        if self._token_ns is None:
            return _FIRST_TOKENS
        room_ns = (_STRETCH - 1) * self._costs.estimate(decoding)
        tokens = int(room_ns / self._token_ns)
        return max(_LEAST_TOKENS, tokens if tokens < 2 * _GRAIN else tokens // _GRAIN * _GRAIN)

    def observe(self, decoding: int, prompt_tokens: int, time_ns: float) -> None:
        """What a forward took.

        Args:
            decoding: its tokens that are not of a prompt, guesses included.
            prompt_tokens: the others.
        """
        if decoding == 0:
            return
        if prompt_tokens == 0:
            self._costs.observe(decoding, time_ns)
            self._has_measured = True
            self._since_probe = 0
            return
        self._since_probe += 1
        if not self._has_measured:
            return
        added_ns = time_ns - self._costs.estimate(decoding)
        token_ns = max(added_ns, 0.02 * time_ns) / prompt_tokens
        # The first few are a plain mean; later ones forget. A step that something else delayed counts as twice as long.
        known = self._token_ns or token_ns
        self._num_observed = min(self._num_observed + 1, _MEMORY)
        self._token_ns = known + (min(token_ns, 2 * known) - known) / self._num_observed
