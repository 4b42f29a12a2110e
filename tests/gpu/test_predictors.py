"""A block that predicts further tokens on a GPU: what the reference says, and the model beside it undisturbed.

On this machine's software adapter; it skips where there is none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import Piece, Sequences, compile_exact, open_session, relative_error
from tests.gpu.software import software_gpu
from tests.gpu.test_models import TOLERANCE

from golden import CASES, predictors
from hearth.runtime import Model


@pytest.mark.parametrize("name", ["qwen3_5", "glm4_moe"])
def test_predicted_logits_are_those_of_the_reference(name: str, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == name)
    known = predictors.expected(name)
    folder = compile_exact(predictors.with_predictor(name, tmp_path / "model"), tmp_path / "bundle")
    with Model(folder, device=software_gpu(folder)) as model, open_session(model) as session:
        ids, before = known["token_ids"][1:], known["before"]
        places, table = np.arange(len(ids), dtype=np.int32), np.arange(session.num_pages, dtype=np.int32)[None]
        found = session.forward(ids, places, 0 * places, table, places, hidden=before)
        assert relative_error(found.logits, known["logits"]) < TOLERANCE
        assert np.array_equal(found.argmax, known["logits"].argmax(1))
        assert relative_error(found.hidden, known["residual" if name.startswith("glm") else "normed"]) < TOLERANCE
        (logits,) = Sequences(session).run([Piece(0, case.token_ids)])
        assert relative_error(logits, case.expected_logits()) < TOLERANCE
