"""Blocks that predict further tokens, compiled: what they predict is what their authors' code does.

A failure says that guesses are worse than they could be, or that an answer depends on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import compile_exact, open_session, relative_error

from golden import CASES, predictors
from hearth.errors import UsageError
from hearth.runtime import Model, TextInfo, TextSession

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=predictors.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder = tmp_path_factory.mktemp("predictors")
    compile_exact(predictors.with_predictor(name, folder / "model"), folder / "bundle")
    with Model(folder / "bundle") as model:
        yield model


def predict(session: TextSession, ids: np.ndarray, before: np.ndarray, start: int) -> dict[str, np.ndarray]:
    count = len(ids)
    result = session.forward(
        ids,
        np.arange(start, start + count),
        np.zeros(count, np.int32),
        np.arange(session.num_pages, dtype=np.int32)[None],
        np.arange(count),
        hidden=np.ascontiguousarray(before),
    )
    return {"logits": result.logits.copy(), "argmax": result.argmax.copy(), "hidden": result.hidden.copy()}


@pytest.mark.parametrize("chunk", [64, 7])
def test_predicted_logits_are_those_of_the_reference(name: str, model: Model, chunk: int) -> None:
    known = predictors.expected(name)
    assert TextInfo.of(model.info).predicts
    with open_session(model) as session:
        ids, before = known["token_ids"][1:], known["before"]
        parts = [predict(session, ids[i : i + chunk], before[i : i + chunk], i) for i in range(0, len(ids), chunk)]
    logits, hidden = (np.concatenate([part[each] for part in parts]) for each in ("logits", "hidden"))
    assert relative_error(logits, known["logits"]) < TOLERANCE
    assert np.array_equal(np.concatenate([part["argmax"] for part in parts]), known["logits"].argmax(1))
    assert relative_error(hidden, known["normed" if name.startswith("qwen") else "residual"]) < TOLERANCE


def test_the_memory_that_a_session_takes_is_known_before(model: Model) -> None:
    info = TextInfo.of(model.info)
    slots = 3 if info.has_state else 0
    with TextSession(model, num_pages=9, num_slots=slots, threads=2) as session:
        assert 0 <= info.session_bytes(9, 2, slots) - session.size_bytes < 8192


def test_hidden_states_of_another_shape_are_refused(model: Model) -> None:
    with open_session(model) as session, pytest.raises(UsageError, match=r"hidden must be float32 \(3, "):
        predict(session, np.arange(3, dtype=np.int32), np.zeros((2, session.info.hidden_size), np.float32), 0)


def test_a_model_without_a_block_takes_no_hidden_states(tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == "qwen3_5")
    compile_exact(case.path, tmp_path / "bundle")
    with Model(tmp_path / "bundle") as model, open_session(model) as session:
        assert not session.info.predicts
        with pytest.raises(UsageError, match="no block that predicts further tokens"):
            predict(session, np.arange(3, dtype=np.int32), np.zeros((3, session.info.hidden_size), np.float32), 0)
