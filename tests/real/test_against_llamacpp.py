"""GGUF files computed by Hearth and by llama.cpp, live (`pip install llama-cpp-python`, `pytest -m llamacpp`).

Models of a real shape with random weights: Llama-3.2-1B with two layers and a vocabulary of 32,000. The final norm is
four times as large as usual, so that predictions are not all alike. Both programs round activations to 8 bits, each in
its own way, so they differ; numpy in float64 says which of them is nearer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.compiler.compiled import Piece, Sequences, compile_here, open_session
from tests.compiler.test_mixtures import expected_logits

from hearth.runtime import Model

pytestmark = pytest.mark.llamacpp

TOKENS = 48
IDS = np.random.default_rng(0).integers(3, 32000, TOKENS).astype(np.int32)
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def shapes() -> Iterator[object]:
    folder = str(Path(__file__).resolve().parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    import shapes

    yield shapes
    sys.path.remove(folder)


@pytest.fixture(params=["q4_0", "q8_0", "q4_k", "q5_k", "q6_k"])
def model(request: pytest.FixtureRequest, shapes: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GGUF file; the embedding, which is the head too, has the type that llama.cpp's quantiser gives it."""
    vector = shapes.vector  # type: ignore[attr-defined]

    def sharper(tensor: object, rng: np.random.Generator) -> NDArray[np.float32]:
        values: NDArray[np.float32] = vector(tensor, rng)
        return values * 4 if tensor.gguf_name == "output_norm.weight" else values  # type: ignore[attr-defined]

    monkeypatch.setattr(shapes, "vector", sharper)
    real = shapes.SHAPES["llama-3.2-1b"]  # type: ignore[attr-defined]
    small = replace(real, num_layers=2, vocab_size=32000, bos_id=1, eos_id=2)
    monkeypatch.setitem(shapes.SHAPES, "small", small)  # type: ignore[attr-defined]
    path = tmp_path / f"{request.param}.gguf"
    shapes.write_gguf(path, "small", request.param, pure=False, seed=0)  # type: ignore[attr-defined]
    return path


def log_softmax(logits: NDArray[np.float32] | Array) -> Array:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def divergence(p: Array, q: Array) -> float:
    """Mean over the tokens of KL(p || q), of log-probabilities, in nats."""
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def test_predictions_are_those_of_llamacpp(model: Path, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    theirs = llama_cpp.Llama(str(model), n_ctx=128, logits_all=True, n_threads=2, verbose=False)
    theirs.eval(IDS.tolist())
    llama = log_softmax(np.array(theirs.scores[:TOKENS]))
    with Model(compile_here(model, tmp_path / "bundle")) as compiled, open_session(compiled) as session:
        hearth = log_softmax(Sequences(session).run([Piece(0, IDS)])[0])
    exact = log_softmax(expected_logits(model, IDS))
    between, ours, their = divergence(llama, hearth), divergence(exact, hearth), divergence(exact, llama)
    agree = float((llama.argmax(1) == hearth.argmax(1)).mean())
    print(
        f"\n{model.stem}: KL(llama.cpp || Hearth) {between:.1e}, KL(exact || Hearth) {ours:.1e}, "
        f"KL(exact || llama.cpp) {their:.1e}, same likeliest token {agree:.0%}"
    )
    assert between < 1e-3
    assert ours < 1.2 * their, "Hearth's rounding costs more than llama.cpp's"
    # Greedy answers are the same wherever one token is clearly likelier than the next.
    best = np.sort(llama, axis=1)
    clear = best[:, -1] - best[:, -2] > 0.25
    assert clear.sum() > TOKENS // 4
    assert np.array_equal(llama.argmax(1)[clear], hearth.argmax(1)[clear])
