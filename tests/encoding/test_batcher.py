"""Texts of many callers computed together: each gets its own result, in its order, whatever happens to the others."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hearth.encoding.batcher import Batcher, Shape
from hearth.errors import HearthError, UsageError
from hearth.model.encoder.batch import Text


class Sums:
    """Stands for a model: a text's result is the sum of its tokens, and a token's is itself."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.gate: threading.Event | None = None
        self.entered = threading.Event()

    def run(self, function: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        ids, starts = inputs["token_ids"], inputs["starts"]
        self.calls.append(len(starts) - 1)
        self.entered.set()
        if self.gate is not None:
            self.gate.wait()
        if -1 in ids:
            raise HearthError("It fails.")
        assert (inputs["positions"] == np.concatenate([np.arange(b - a) for a, b in pairwise(starts)])).all()
        sums = np.array([[ids[a:b].sum()] for a, b in pairwise(starts)], np.float32)
        return {"embedding": sums, "logits": ids[:, None].astype(np.float32)}


def batcher(runner: Sums, *, per_token: bool = False, batch_tokens: int = 10, max_texts: int = 4) -> Batcher:
    shape = Shape(
        inputs=("token_ids", "positions", "starts", "tiles"),
        output="logits" if per_token else "embedding",
        per_token=per_token,
        max_tokens=100,
        max_texts=max_texts,
        tile_tokens=16,
    )
    return Batcher(runner, shape, batch_tokens)


def test_results_come_in_the_order_of_their_texts_however_they_are_packed() -> None:
    runner = Sums()
    texts = [Text([n] * (1 + n % 7)) for n in range(30)]
    results = batcher(runner).compute(texts)
    assert [float(r[0]) for r in results] == [n * (1 + n % 7) for n in range(30)]
    assert max(runner.calls) == 4
    assert sum(runner.calls) == 30


def test_a_text_longer_than_a_batch_is_computed_alone() -> None:
    runner = Sums()
    batcher(runner).compute([Text([1]), Text([1] * 50), Text([1])])
    assert runner.calls == [1, 1, 1]


def test_each_token_keeps_its_own_row() -> None:
    results = batcher(Sums(), per_token=True).compute([Text([5, 6]), Text([7])])
    assert [r[:, 0].tolist() for r in results] == [[5.0, 6.0], [7.0]]


def test_texts_of_threads_that_wait_are_computed_together() -> None:
    runner = Sums()
    runner.gate = threading.Event()
    shared = batcher(runner, batch_tokens=100, max_texts=50)
    found: dict[int, float] = {}

    def ask(number: int) -> None:
        found[number] = float(shared.compute([Text([number])])[0][0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    threads[0].start()
    runner.entered.wait()
    for thread in threads[1:]:
        thread.start()
    while len(shared._queue) < 19:
        pass
    runner.gate.set()
    for thread in threads:
        thread.join()
    assert found == {number: float(number) for number in range(20)}
    assert runner.calls == [1, 19]


def test_a_batch_that_fails_fails_those_in_it_and_nobody_else() -> None:
    shared = batcher(Sums(), max_texts=1)
    with pytest.raises(HearthError, match="It fails"):
        shared.compute([Text([1]), Text([-1])])
    assert float(shared.compute([Text([3])])[0][0]) == 3.0


def test_after_close_everything_is_refused() -> None:
    shared = batcher(Sums())
    shared.close(lambda: UsageError("Closed."))
    with pytest.raises(UsageError, match="Closed"):
        shared.compute([Text([1])])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_is_told_and_does_not_hang() -> None:
    shared = batcher(Sums())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            shared.compute([Text([1])])
            os.write(writing, b"computed")
        except UsageError:
            os.write(writing, b"refused")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 20) == b"refused"
