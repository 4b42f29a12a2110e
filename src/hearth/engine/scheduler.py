"""Which tokens go into the next forward: `Scheduler`.

Owns the queue and the order; knows nothing of the forward itself, of logits or of events. A step is filled like this:

1. every running sequence that waits for its next token gets it: streams never starve behind a long prompt;
2. sequences in the middle of their prompt go on, oldest first, up to `chunk_tokens` in all, or as many as `pace.py`
   allows so that the others' next tokens are not late;
3. waiting sequences are admitted first come, first served, while there is room in the chunk and on the device.

If the pages do not suffice, the youngest running sequence gives up its own and waits at the head of the queue; it is
computed again later (cheaply, as far as the prefix cache still has it). Slots of state always suffice for those that
run: each has one of its own, and what is left of them is for checkpoints.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from hearth.engine.forward import ForwardInfo
from hearth.engine.memory import DeviceMemory
from hearth.engine.pace import Pace
from hearth.engine.paged import PagedTokens
from hearth.engine.pages import pages_for_tokens
from hearth.engine.sequence import Sequence, Status

S = TypeVar("S", bound=PagedTokens)


@dataclass(frozen=True)
class Slice(Generic[S]):
    """Tokens [start, start + count) of one sequence go into the forward.

    Attributes:
        draft: guesses of the tokens after its last one, which go in behind it; each wants a row of logits too.
    """

    sequence: S
    start: int
    count: int
    draft: Seq[int] = ()

    @property
    def is_prompt(self) -> bool:
        """Whether all its tokens are of the prompt."""
        return self.start + self.count <= self.sequence.num_prompt_tokens

    @property
    def wants_logits(self) -> bool:
        """Whether it ends with the sequence's last token, so that the next one is to be drawn."""
        return self.start + self.count == len(self.sequence.tokens)


class Scheduler:
    """Holds all sequences that are not finished.

    Args:
        info: bounds of a forward.
        memory: pages and slots; must be able to hold the longest sequence alone.
        chunk_tokens: prompt tokens in one step.
        pace: how many of them while others decode; None: all.

    Attributes:
        max_running: sequences that hold something at the same time.
    """

    def __init__(self, info: ForwardInfo, memory: DeviceMemory, *, chunk_tokens: int, pace: Pace | None = None) -> None:
        self.memory = memory
        self.chunk_tokens = chunk_tokens
        self._pace = pace
        self.max_tokens = info.max_tokens
        self._looks_ahead = info.looks_ahead
        # Each running sequence may want one token and one row of logits in the same step.
        self.max_running = min(info.max_seqs, info.max_logit_rows, info.max_tokens)
        if memory.states.num_slots:
            self.max_running = min(self.max_running, memory.states.num_slots)
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []  # oldest admitted first

    def add(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def remove(self, sequence: Sequence, *, spoiled: bool = False) -> None:
        """Takes a sequence out for good and gives back what it holds."""
        if sequence in self.running:
            self.running.remove(sequence)
            sequence.give_up(self.memory, spoiled=spoiled)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        sequence.status = Status.FINISHED

    def restart(self, sequence: Sequence) -> None:
        """A running sequence gives up what it holds and waits at the head of the queue to be computed again."""
        sequence.give_up(self.memory)
        self.running.remove(sequence)
        sequence.status = Status.WAITING
        self.waiting.appendleft(sequence)

    def preempt_youngest(self) -> Sequence:
        victim = self.running[-1]
        self.restart(victim)
        victim.preemptions += 1
        return victim

    def restart_everything(self, sequences: Iterable[Sequence]) -> None:
        """These are all sequences there are, and none of them holds anything: the mending after an interrupted step."""
        self.running = []
        self.waiting = deque(sequences)
        for sequence in self.waiting:
            sequence.forget()
            sequence.status = Status.WAITING
        self.memory.release_everything()

    def schedule(self) -> list[Slice[Sequence]]:
        """The next step's slices, with pages and slots for all their tokens; empty if there is nothing to do."""
        slices: dict[int, Slice[Sequence]] = {}  # by sequence id; in the order of the batch
        num_waiting = len(self.waiting)
        for sequence in tuple(self.running):
            if sequence.status is Status.RUNNING and sequence.num_pending == 1:
                self._place(sequence, 1, slices)
        budget = min(self.chunk_tokens, self.max_tokens - len(slices), self._pace_limit(len(slices)))
        for sequence in tuple(self.running):
            if sequence.status is Status.RUNNING and sequence.num_pending > 1 and budget > 0:
                count = self._next_tokens(sequence, budget, slices)
                budget -= self._place(sequence, count, slices) if count else 0
        if len(self.waiting) == num_waiting:  # else one has just been preempted: there is no room for another
            self._admit(budget, slices)
        return [self._prepared(part) for part in slices.values()]

    def _prepared(self, part: Slice[Sequence]) -> Slice[Sequence]:
        """The slice, once everybody has what it needs: what is left of the slots may be for checkpoints."""
        part.sequence.prepare(self.memory, part.start, part.start + part.count)
        return part

    def _pace_limit(self, decoding: int) -> int:
        limit = None if self._pace is None else self._pace.limit(decoding)
        return self.max_tokens if limit is None else limit

    def schedule_alone(self, sequence: Sequence) -> Slice[Sequence]:
        """The next step of one unfinished sequence, as if there were no other; it counts as the oldest meanwhile."""
        if sequence.status is Status.WAITING:
            self.waiting.remove(sequence)
            while not self.memory.has_slot:
                self.preempt_youngest()
            sequence.start(self.memory, self.memory.find(sequence.chain))
            self.running.insert(0, sequence)
        slices: dict[int, Slice[Sequence]] = {}
        self._place(sequence, self._next_tokens(sequence, self.chunk_tokens, slices), slices)
        return self._prepared(slices[sequence.id])

    def with_draft(self, part: Slice[Sequence], draft: Seq[int]) -> Slice[Sequence]:
        """The same slice and as much of the draft as there are pages and slots for. A guess never takes them from a
        sequence that may want them for a token."""
        sequence, pages = part.sequence, self.memory.pages
        page_tokens = pages.page_tokens
        spare = max(0, pages.num_available - len(self.running) + 1)
        room = (len(sequence.pages) + spare) * page_tokens - len(sequence.tokens)
        draft = draft[:room]
        draft = draft[: sequence.state.guess(self.memory.states, len(sequence.tokens), len(draft))]
        for _ in range(pages_for_tokens(len(sequence.tokens) + len(draft), page_tokens) - len(sequence.pages)):
            sequence.add_page(pages.allocate())
        return replace(part, draft=draft) if draft else part

    def _admit(self, budget: int, slices: dict[int, Slice[Sequence]]) -> None:
        pages = self.memory.pages
        page_tokens = pages.page_tokens
        # Pages that the running sequences will yet want for the tokens they have: not to be promised twice.
        promised = sum(max(0, pages_for_tokens(len(s.tokens) + 1, page_tokens) - len(s.pages)) for s in self.running)
        while self.waiting and budget > 0 and len(self.running) < self.max_running:
            sequence = self.waiting[0]
            prefix = self.memory.find(sequence.chain)
            # A page of the prefix that is idle now counts as available, but will not be any more.
            room = pages.num_available - sum(map(pages.is_idle, prefix.pages)) - promised
            wanted = pages_for_tokens(len(sequence.tokens) + 1, page_tokens) - len(prefix.pages)
            if (wanted > room or not self.memory.has_slot) and self.running:
                return
            self.waiting.popleft()
            sequence.start(self.memory, prefix)
            self.running.append(sequence)
            count = self._next_tokens(sequence, budget, slices)
            budget -= self._place(sequence, count, slices) if count else budget
            promised += wanted - (len(sequence.pages) - len(prefix.pages))

    def _next_tokens(self, sequence: Sequence, budget: int, slices: dict[int, Slice[Sequence]]) -> int:
        """How many of a sequence's pending tokens go into the step, about `budget`. What is seen as a whole is not cut:
        it goes in whole where there is room, beyond the budget if need be, else in the next step."""
        count = min(sequence.num_pending, budget)
        if not (self._looks_ahead and sequence.embedded):
            return count
        done = sequence.num_computed
        start, stop = sequence.embedded.around(done + count)
        room = self.max_tokens - sum(part.count for part in slices.values())
        if done < start:
            return start - done
        return stop - done if stop - done <= room else 0

    def _place(self, sequence: Sequence, count: int, slices: dict[int, Slice[Sequence]]) -> int:
        """Puts the next `count` tokens of a running sequence into the step; 0 if it had to give up its own pages.

        Never tokens of the prompt and drawn ones together: a model may compute prompts more coarsely, and a token's
        arithmetic shall not depend on whether it is computed for the second time.
        """
        prompt = sequence.num_prompt_tokens - sequence.num_computed
        count = min(count, prompt) if prompt > 0 else count
        pages = self.memory.pages
        needed = pages_for_tokens(sequence.num_computed + count, pages.page_tokens) - len(sequence.pages)
        while needed > pages.num_available and len(self.running) > 1:
            victim = self.preempt_youngest()
            slices.pop(victim.id, None)
            if victim is sequence:
                return 0
        for _ in range(needed):
            sequence.add_page(pages.allocate())
        slices[sequence.id] = Slice(sequence, sequence.num_computed, count)
        return count
