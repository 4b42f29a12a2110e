"""Models on a GPU, whole or with their first layers alone: every family, number format and kind of batch gives what the
CPU gives with 32-bit floats.

On this machine's software adapter; it skips where there is none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import Piece, Sequences, compile_exact, compile_here, open_session
from tests.gpu.software import software_gpu

from golden import CASES, GGUF_ALONE, Case
from hearth.bundle import GPU_PLAN
from hearth.engine import Engine, SamplingParams
from hearth.runtime import Model, SplitModel, SplitTextSession, TextInfo, TextSession

TOLERANCE = 1e-4  # of the largest logit


@contextmanager
def sessions(folder: Path, pages: int = 32) -> Iterator[tuple[Sequences, Sequences]]:
    """The same bundle on the CPU and on the GPU."""
    with (
        Model(folder) as cpu,
        Model(folder, device=software_gpu(folder)) as gpu,
        open_session(cpu, pages=pages) as here,
        open_session(gpu, pages=pages) as there,
    ):
        yield Sequences(here), Sequences(there)


@contextmanager
def parts(folder: Path, first: str, second: str, pages: int = 32) -> Iterator[SplitTextSession]:
    """The model with all layers but the last on one device, the last on another. Where layers have recurrent state only
    the first is on the one, so that both have such layers."""
    with Model(folder) as whole:
        count = whole.info.layers.count
        has_state = TextInfo.of(whole.info).has_state
    cut = 1 if has_state else count - 1
    with (
        Model(folder, device=first, layers=(0, cut)) as a,
        Model(folder, device=second, layers=(cut, count)) as b,
        SplitTextSession(SplitModel(a, b), num_pages=pages, num_slots=8 if has_state else 0, threads=2) as split,
    ):
        yield split


def assert_same(cpu: list[np.ndarray], gpu: list[np.ndarray], tolerance: float = TOLERANCE) -> None:
    for a, b in zip(cpu, gpu, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=tolerance * np.abs(a).max())


def batches(vocab: int) -> list[list[Piece]]:
    """A prompt alone, decoding, prompts beside a decoding sequence, a chunk that goes on in the middle of a page."""
    random = np.random.default_rng(3)

    def ids(count: int) -> np.ndarray:
        return random.integers(0, vocab, count).astype(np.int32)

    return [
        [Piece(0, ids(37))],
        [Piece(0, ids(1))],
        [Piece(0, ids(1)), Piece(1, ids(21)), Piece(2, ids(3))],
        [Piece(0, ids(1)), Piece(1, ids(1)), Piece(2, ids(1))],
        [Piece(2, ids(30))],
        [Piece(2, ids(2)), Piece(1, ids(1))],
    ]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_family_computes_on_a_gpu_what_it_computes_on_the_cpu(case: Case, tmp_path: Path) -> None:
    folder = compile_exact(case.path, tmp_path / "bundle", context=case.context)
    assert (folder / GPU_PLAN).is_file()
    with ExitStack() as opened:
        cpu, gpu = opened.enter_context(sessions(folder))
        computed = [gpu]
        if cpu.session.model.info.layers.count:  # else layers read each other's keys, and stay on one device
            computed.append(Sequences(opened.enter_context(parts(folder, software_gpu(folder), "cpu"))))
        for pieces in batches(cpu.session.info.vocab_size):
            expected = cpu.run(pieces)
            for other in computed:
                assert_same(expected, other.run(pieces))


FORMATS = ("f16", "q8", "q4", "q4a")


@pytest.mark.parametrize("quant", FORMATS)
def test_a_number_format_computes_on_a_gpu_what_it_computes_on_the_cpu(quant: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "qwen3")
    folder = compile_here(case.path, tmp_path / "bundle", quant=quant, head=quant, precision="high")
    with sessions(folder) as (cpu, gpu):
        for pieces in batches(cpu.session.info.vocab_size):
            assert_same(cpu.run(pieces), gpu.run(pieces))


@pytest.mark.parametrize("name", ["llama1", "glm4_moe_lite"])
@pytest.mark.parametrize("kv", ["f16", "q8"])
def test_keys_and_values_of_a_format_give_on_a_gpu_what_they_give_on_the_cpu(
    kv: str, name: str, tmp_path: Path
) -> None:
    case = next(case for case in CASES if case.name == name)
    folder = compile_here(case.path, tmp_path / "bundle", quant="f32", head="f32", precision="high", kv=kv)
    with sessions(folder) as (cpu, gpu):
        for pieces in batches(cpu.session.info.vocab_size):
            assert_same(cpu.run(pieces), gpu.run(pieces), 2e-3)  # a number may be rounded the other way


# One of each way in which heads and norms lie in such files: behind that a GPU gets the same of all.
GGUF = [case for case in CASES if case.name in ("llama3", "gemma3", "glm4", "gpt2", "falcon-groups", "qwen3_5")]
GGUF += GGUF_ALONE


@pytest.mark.parametrize("case", GGUF, ids=lambda case: case.name)
def test_a_gguf_file_computes_on_a_gpu_what_it_computes_on_the_cpu(case: Case, tmp_path: Path) -> None:
    folder = compile_here(case.gguf_path, tmp_path / "bundle", precision="high", context=case.context)
    with sessions(folder) as (cpu, gpu):
        for pieces in batches(cpu.session.info.vocab_size)[:3]:
            assert_same(cpu.run(pieces), gpu.run(pieces))


def with_context(name: str, context: int, folder: Path) -> Path:
    """A family's small model that says that its context is so long."""
    case = next(case for case in CASES if case.name == name)
    shutil.copytree(case.path, folder / name)
    config = json.loads((folder / name / "config.json").read_text())
    config["max_position_embeddings"] = context
    (folder / name / "config.json").write_text(json.dumps(config))
    return folder / name


def layers_of(model: Model) -> int:
    return sum(1 for name in model.info.states if name.name.endswith(".k_pages"))


@pytest.mark.parametrize("name", ["llama1", "gemma3", "olmo2"])
def test_what_a_decoded_token_costs_is_counted(name: str, tmp_path: Path) -> None:
    """One pass, no object, four bytes back, and no more of the memory than the plan says; in a context of one split of
    attention, and in one of several, which are merged."""
    folder = compile_here(with_context(name, 1024, tmp_path), tmp_path / "bundle", quant="q4")
    with Model(folder, device=software_gpu(folder)) as model, TextSession(model, num_pages=40) as session:
        layers, table = layers_of(model), np.arange(40, dtype=np.int32)[None]
        for start, count, expected in ((0, 48, None), (48, 1, 6 * layers), (49, 1, 6 * layers), (50, 500, None),
                                       (550, 1, 7 * layers)):  # fmt: skip
            at = np.arange(start, start + count, dtype=np.int32)
            zeros = np.zeros(count, np.int32)
            session.forward(at % 50, at, zeros, table, [count - 1], wanted=("argmax",))
            counters = session.read_counters()
            if expected is not None:
                assert counters.dispatches == expected + 4 <= 7 * layers + 4
            assert (counters.passes, counters.submits) == (1, 1)
            assert counters.objects == (start == 0)  # what is read back is staged in a buffer that the first call makes
            assert counters.read_bytes == 4
        staging = 64 << 10  # what is read back goes through it; of a model this small it is more than 2 %
        assert counters.planned_bytes <= counters.allocated_bytes <= 1.02 * counters.planned_bytes + staging


@pytest.mark.parametrize("name", ["gemma3", "olmo2"])
def test_a_token_has_the_same_bits_alone_and_among_others(name: str, tmp_path: Path) -> None:
    """Also where norms of a single token are a part of products, and those of several are not."""
    case = next(case for case in CASES if case.name == name)
    folder = compile_here(case.path, tmp_path / "bundle", quant="q8", head="q8")
    with Model(folder, device=software_gpu(folder)) as model, TextSession(model, num_pages=32) as session:
        alone, together = Sequences(session), Sequences(session)
        prompt = np.arange(1, 20, dtype=np.int32)
        alone.run([Piece(0, prompt)])
        (expected,) = alone.run([Piece(0, prompt[:1])])
        together.run([Piece(0, prompt), Piece(1, prompt[:4])])
        found, _ = together.run([Piece(0, prompt[:1]), Piece(1, prompt[:1])])
        np.testing.assert_array_equal(found, expected)


def test_who_draws_among_few_reads_few_bytes_back(tmp_path: Path) -> None:
    """A sampled token of an engine on a GPU: the tokens that whole rows give, of 580 bytes."""
    case = next(case for case in CASES if case.name == "qwen3")
    folder = compile_here(case.path, tmp_path / "bundle", quant="q8", head="q8")
    params = SamplingParams(top_k=20, top_p=0.9, temperature=1.5, seed=11, max_tokens=12, ignore_eos=True)

    def drawn(session: TextSession) -> list[int]:
        events = Engine(session, context=64).generate([1, 2, 3], params=params)
        return [event.token for event in events if event.token is not None]

    with Model(folder, device=software_gpu(folder)) as model, TextSession(model, num_pages=8) as session:
        assert session.info.likeliest == 72
        assert drawn(session) == drawn(session)
        assert session.read_counters().read_bytes == 4 + 8 * 72
        found = drawn(session)
        batch = ([1, 2, 3], [0, 1, 2], [0, 0, 0], np.arange(4, dtype=np.int32)[None], [2, 1])
        row = np.array(session.forward(*batch, wanted=("logits",)).logits)
        values, tokens = session.forward(*batch, wanted=("likeliest",)).likeliest
        np.testing.assert_array_equal(tokens, np.argsort(-row, axis=1, kind="stable")[:, :72])
        np.testing.assert_array_equal(values, np.take_along_axis(row, tokens, axis=1))
        session.info = replace(session.info, likeliest=0)
        assert drawn(session) == found
    with Model(folder) as model, TextSession(model, num_pages=8, threads=2) as session:
        assert session.info.likeliest == 0


def test_hidden_states_are_computed_for_those_who_want_them(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "llama1")
    folder = compile_exact(case.path, tmp_path / "bundle")
    with sessions(folder) as (cpu, gpu):
        batch = ([1, 2, 3], [0, 1, 2], [0, 0, 0], np.arange(4, dtype=np.int32)[None], [2])
        expected = np.array(cpu.session.forward(*batch).hidden)
        gpu.session.forward(*batch, wanted=("argmax",))
        without = gpu.session.read_counters().dispatches
        result = gpu.session.forward(*batch, wanted=("hidden",))
        assert gpu.session.read_counters().dispatches == without + 1
        assert_same([expected], [result.hidden])
