"""A language model in two parts, on any two devices. `test_models.py` has every family so.

On this machine's software adapter; it skips where there is none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.compiler.compiled import Sequences, compile_exact
from tests.gpu.test_models import assert_same, batches, parts, software_gpu

from golden import CASES
from hearth.errors import NotEnoughMemory, UsageError
from hearth.runtime import Counters, Model, SplitModel, SplitTextSession, TextSession

PAGES = 32  # of `parts`


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = next(case for case in CASES if case.name == "qwen3")
    return compile_exact(case.path, tmp_path_factory.mktemp("split") / "bundle")


def assert_is_the_whole(folder: Path, first: str, second: str) -> None:
    with (
        Model(folder) as model,
        TextSession(model, num_pages=PAGES, threads=2) as whole,
        parts(folder, first, second) as split,
    ):
        a, b = Sequences(whole), Sequences(split)
        for pieces in batches(whole.info.vocab_size):
            assert_same(a.run(pieces), b.run(pieces))


def test_any_order_of_devices_computes_the_same(folder: Path) -> None:
    gpu = software_gpu(folder)
    assert_is_the_whole(folder, "cpu", gpu)
    assert_is_the_whole(folder, gpu, gpu)


def test_two_parts_on_the_cpu_have_the_bits_of_the_whole(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "olmo2")  # whose layers begin with a step that has no parameters
    folder = compile_exact(case.path, tmp_path / "bundle")
    with (
        Model(folder) as model,
        TextSession(model, num_pages=PAGES, threads=2) as whole,
        parts(folder, "cpu", "cpu") as split,
    ):
        a, b = Sequences(whole), Sequences(split)
        for pieces in batches(whole.info.vocab_size):
            for x, y in zip(a.run(pieces), b.run(pieces), strict=True):
                assert np.array_equal(x, y)


def decoded(session: TextSession | SplitTextSession) -> None:
    Sequences(session).run([*batches(session.info.vocab_size)[1]])


def test_a_part_is_one_submit_and_brings_back_what_goes_on(folder: Path) -> None:
    gpu = software_gpu(folder)
    with parts(folder, gpu, gpu) as split:
        decoded(split)
        first, second = split.first.read_counters(), split.second.read_counters()
        columns = split.second.model.info.layers.columns
    assert (first.submits, second.submits) == (1, 1)
    assert first.passes == 1
    assert (
        second.passes == 2
    )  # what the first part has computed is put between what comes before all layers and its own
    assert first.read_bytes == 4 * columns
    assert second.read_bytes > 4 * columns


def memory_of(model: Model) -> Counters:
    with TextSession(model, num_pages=PAGES) as session:
        decoded_alone = session.read_counters()
    return decoded_alone


def test_a_part_holds_the_weights_keys_and_values_of_its_layers(folder: Path) -> None:
    gpu = software_gpu(folder)
    with Model(folder, device=gpu) as whole, Model(folder, device=gpu, layers=(0, 1)) as part:
        layers = whole.info.layers.count
        assert [state.name for state in part.info.states] == [
            state.name for state in whole.info.states if state.name.startswith("layers.0.")
        ]
        assert part.info.unit_bytes("pages") * layers == whole.info.unit_bytes("pages")
        # Weights, and the arenas, inputs and uniforms that both have.
        fewer = memory_of(whole).planned_bytes - memory_of(part).planned_bytes
        kv = whole.info.unit_bytes("pages") * PAGES
        weights = whole.info.weights_bytes - part.info.weights_bytes
        assert abs(fewer - (kv - kv // layers + weights)) <= 1 << 14  # places of weights are rounded up


def test_a_part_is_held_to_what_it_takes(folder: Path) -> None:
    with Model(folder, layers=(0, 1)) as part, Model(folder) as whole:
        assert part.info.weights_bytes < whole.info.weights_bytes
        limit = part.info.weights_bytes + (1 << 17)  # what is read begins and ends at multiples of 64 KiB
    Model(folder, layers=(0, 1), memory_limit_bytes=limit).close()
    with pytest.raises(NotEnoughMemory):
        Model(folder, memory_limit_bytes=part.info.weights_bytes)


@pytest.mark.parametrize("layers", [(0, 3), (2, 3), (1, 1), (2, 1), (-1, 1)])
def test_layers_that_are_not_there_are_refused(folder: Path, layers: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="layers"):
        Model(folder, layers=layers)


def test_what_a_part_is_not_given_is_refused(folder: Path) -> None:
    table = np.zeros((1, 1), np.int32)
    with (
        Model(folder, layers=(0, 1)) as first,
        Model(folder, layers=(1, 2)) as second,
        TextSession(first, num_pages=1) as a,
        TextSession(second, num_pages=1) as b,
    ):
        with pytest.raises(UsageError, match="begins with layer 1"):
            b.forward([1], [0], [0], table, [0])
        given = a.forward([1], [0], [0], table, [0]).layer_output
        with pytest.raises(UsageError, match="begins with tokens"):
            a.forward([1], [0], [0], table, [0], layer_input=given)
        with pytest.raises(UsageError, match="layer_input must be float32"):
            b.forward([1, 2], [0, 1], [0, 0], table, [0], layer_input=given)
        with pytest.raises(UsageError, match="no two parts"):
            SplitModel(first, first)
