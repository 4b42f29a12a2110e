"""Texts of many threads, computed together.

There is no thread of its own: of those that wait, one computes the texts that stand first, whoever's they are, until
its own are done. Batches are packed by tokens, without padding, and each text has the result that it would get alone.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hearth.errors import HearthError, UsageError
from hearth.model.encoder.batch import Text, pack

Float32s = NDArray[np.float32]
FUNCTION = "encode"


class Runner(Protocol):
    """What computes a batch: `runtime.Session`."""

    def run(self, function: str, inputs: Mapping[str, Any]) -> Mapping[str, NDArray[Any]]: ...


@dataclass(eq=False)
class _Waiting:
    """One text in the queue.

    Attributes:
        result: rows of the output that are its own.
        error: why there is none.
    """

    text: Text
    result: Float32s | None = None
    error: BaseException | None = None


@dataclass(frozen=True)
class Shape:
    """What a compiled encoder takes and gives.

    Attributes:
        inputs: names of its inputs.
        output: name of the result that is wanted.
        per_token: it has a row for each token, else one for each text.
        max_tokens, max_texts: of one call.
        tile_tokens: see `model.encoder.batch`.
    """

    inputs: tuple[str, ...]
    output: str
    per_token: bool
    max_tokens: int
    max_texts: int
    tile_tokens: int


@dataclass
class Batcher:
    """Computes texts, asked by any thread at any time.

    Args:
        runner: touched by nobody else from now on.
        shape: of the model.
        batch_tokens: a call is given so many tokens where as many wait; a longer text is computed alone.
    """

    runner: Runner
    shape: Shape
    batch_tokens: int
    _queue: deque[_Waiting] = field(default_factory=deque)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _refusal: Callable[[], HearthError] | None = None
    _process: int = field(default_factory=os.getpid)

    def compute(self, texts: Sequence[Text]) -> list[Float32s]:
        """The result of each text: float32 (size,), or (tokens, labels) where each token has one.

        Raises:
            What `close` was given; what the runtime raises.
        """
        self._check_open()
        waiting = [_Waiting(text) for text in texts]
        self._queue.extend(waiting)
        try:
            for one in waiting:
                while one.result is None and one.error is None:
                    with self._turn:
                        if one.result is None and one.error is None:
                            self._check_open()
                            self._step()
        except BaseException:
            self._forget(waiting)
            raise
        failed = next((one.error for one in waiting if one.error is not None), None)
        if failed is not None:
            raise failed
        return [one.result for one in waiting if one.result is not None]

    def close(self, refusal: Callable[[], HearthError]) -> None:
        """Refuses everything from now on with this error. Waits for the batch that is being computed."""
        self._refusal = self._refusal or refusal
        with self._turn:
            self._queue.clear()

    def _check_open(self) -> None:
        if self._refusal is not None:
            raise self._refusal()
        if os.getpid() != self._process:
            raise UsageError(
                "This model was opened before the process was forked, and works only where it was opened.",
                why="A forked process has none of the threads that compute.",
                hint="Open the model in the new process, or start it by multiprocessing's method 'spawn'.",
            )

    def _step(self) -> None:
        """Computes the texts that stand first."""
        batch = self._next()
        if not batch:
            return
        try:
            with _errors_to(batch):
                inputs = pack([one.text for one in batch], self.shape.inputs, self.shape.tile_tokens)
                rows = np.array(self.runner.run(FUNCTION, inputs)[self.shape.output], np.float32)  # a copy
                counts = [len(one.text.ids) if self.shape.per_token else 1 for one in batch]
                parts = np.split(rows, np.cumsum(counts)[:-1])
                for one, part in zip(batch, parts, strict=True):
                    one.result = part if self.shape.per_token else part[0]
        except BaseException:  # Ctrl-C: the others' texts are computed by somebody else
            self._queue.extendleft(one for one in reversed(batch) if one.result is None and one.error is None)
            raise

    def _next(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        tokens = 0
        while self._queue and len(batch) < self.shape.max_texts:
            tokens += len(self._queue[0].text.ids)
            if batch and tokens > self.batch_tokens:
                break
            batch.append(self._queue.popleft())
        return batch

    def _forget(self, waiting: list[_Waiting]) -> None:
        with self._turn:
            gone = set(map(id, waiting))
            kept = [one for one in self._queue if id(one) not in gone]
            self._queue.clear()
            self._queue.extend(kept)


@contextmanager
def _errors_to(batch: Sequence[_Waiting]) -> Iterator[None]:
    """An error of a batch is that of all its texts."""
    try:
        yield
    except Exception as error:
        for one in batch:
            one.error = error
