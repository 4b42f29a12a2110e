"""Functions that are no language model's, in Node: a golden encoder computes what transformers does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import relative_error, shared_cache
from tests.encoding.graph import texts_of
from tests.wasm.node import NodeSession, Refused, needs_node

from golden import ENCODER_CASES
from hearth.compiler.encoder import compile_encoder
from hearth.model.encoder.batch import pack
from hearth.runtime import ModelInfo

CASE = next(case for case in ENCODER_CASES if case.name == "mpnet")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeSession]:
    folder: Path = tmp_path_factory.mktemp("encoder") / "bundle"
    with shared_cache():
        compile_encoder(CASE.path, name=CASE.name, quant="f32", precision="high", target="wasm32", output=folder)
    with NodeSession(folder) as session:
        yield session


@needs_node
def test_it_computes_what_transformers_does(session: NodeSession) -> None:
    inputs = pack(texts_of(CASE), ModelInfo.from_json(session.describe()).functions["encode"].inputs)
    results, expected = session.run("encode", inputs), CASE.expected()
    assert relative_error(results["hidden"], expected["hidden"]) < 1e-5
    assert relative_error(results["embedding"], expected["result"]) < 1e-5


@needs_node
def test_arrays_that_do_not_fit_are_refused_in_words(session: NodeSession) -> None:
    inputs = pack(texts_of(CASE), ModelInfo.from_json(session.describe()).functions["encode"].inputs)
    name, array = next(iter(inputs.items()))
    for wrong, words in (
        ({name: array}, "missing"),
        (inputs | {"other": array}, "other"),
        (inputs | {name: array.astype(np.float32)}, name),
    ):
        with pytest.raises(Refused, match=words) as refused:
            session.run("encode", wrong)
        assert refused.value.kind == "usage"
    with pytest.raises(Refused, match=r"no function decode.*It has: encode"):
        session.run("decode", inputs)
