"""Golden encoders, compiled: what transformers computes, whatever stands beside a text in its batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import relative_error, shared_cache
from tests.encoding.graph import texts_of

from golden import ENCODER_CASES, EncoderCase
from hearth.compiler.encoder import compile_encoder
from hearth.model.encoder.batch import Text, pack
from hearth.runtime import Model, Session

# Between them every operation of the graph; the others are compared by the evaluator (tests/model/test_encoders.py).
QUICK = {"bert-rank", "mpnet", "modernbert", "embedding-gemma"}
CASES = [
    pytest.param(case, id=case.name, marks=[] if case.name in QUICK else [pytest.mark.slow]) for case in ENCODER_CASES
]


def run(session: Session, texts: list[Text]) -> dict[str, np.ndarray]:
    inputs = pack(texts, session.model.info.functions["encode"].inputs)
    return {name: np.array(values) for name, values in session.run("encode", inputs).items()}


@pytest.mark.parametrize("case", CASES)
def test_a_compiled_encoder_computes_what_transformers_does(case: EncoderCase, tmp_path: Path) -> None:
    with shared_cache():
        bundle = compile_encoder(case.path, name=case.name, quant="f32", precision="high", output=tmp_path / "b")
    with Model(bundle) as model, Session(model, threads=2) as session:
        texts = texts_of(case)
        together = run(session, texts)
        expected = case.expected()
        name = "logits" if "logits" in together else "embedding"
        assert relative_error(together["hidden"], expected["hidden"]) < 1e-5
        assert relative_error(together[name], expected["result"]) < 1e-5
        alone = run(session, texts[-1:])
        assert np.array_equal(alone["hidden"], together["hidden"][-len(texts[-1].ids) :])
        assert np.array_equal(alone[name], together[name][-len(alone[name]) :])


def test_8_bits_point_where_the_original_does(tmp_path: Path) -> None:
    case = next(case for case in ENCODER_CASES if case.name == "bert")
    with shared_cache():
        bundle = compile_encoder(case.path, name=case.name, output=tmp_path / "b")
    with Model(bundle) as model, Session(model, threads=2) as session:
        vectors = run(session, texts_of(case))["embedding"]
    assert ((vectors * case.expected()["result"]).sum(axis=1) > 0.999).all()
