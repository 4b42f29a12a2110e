"""Adapters beside a compiled model give what the model gives that they are merged into; rows of several share a batch,
and each has the bits that it has alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.adapters import adapter_pairs, linear_shapes, write_merged, write_peft
from tests.compiler.compiled import compile_exact, compile_here, open_session, relative_error

from golden import CASES, Case
from hearth.checkpoint.adapter import open_adapter
from hearth.errors import UsageError
from hearth.model.text.adapter_places import load_places
from hearth.model.text.adapters import AdapterDtype, adapter_state, dtype_of_units, pack_units, unit_bytes
from hearth.runtime import Model, TextSession, text_session

LLAMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# What differs: nothing; biases, and norms behind branches; fused tensors; q, k and v in groups, beside the MLP; tensors
# stored as [in, out]; recurrent mixers.
MODULES = {
    "llama3": LLAMA,
    "qwen2": LLAMA,
    "gemma2": LLAMA,
    "phi3-short": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
    "falcon": ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
    "gpt2": ("c_attn", "c_proj", "c_fc"),
    "lfm2": ("q_proj", "k_proj", "v_proj", "out_proj", "in_proj", "w1", "w2", "w3"),
}
TRANSPOSED = {"gpt2"}
TOLERANCE = 2e-5


def case_named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def load(session: TextSession, folder: Path, paths: Sequence[Path]) -> list[tuple[int, int]]:
    """The first unit of each adapter, and how many it has."""
    places = load_places(folder)
    assert places is not None
    units: list[tuple[int, int]] = []
    first = 0
    for path in paths:
        adapter = open_adapter(path)
        count = -(-adapter.rank // 16)
        for parameter, (a, b) in places.read(adapter).items():
            state = next(s for s in session.model.info.states if s.name == adapter_state(parameter))
            shape = places.shapes[parameter]
            units_of = pack_units(a, b, shape, dtype_of_units(state.unit_bytes, shape))
            session.write(state.name, first, units_of)
        units.append((first, count))
        first += count
    return units


def logits(session: TextSession, ids: Sequence[np.ndarray], adapters: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Of every token of some sequences, computed together."""
    counts = [len(each) for each in ids]
    tokens = np.concatenate(ids)
    positions = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
    rows = np.repeat(np.arange(len(ids), dtype=np.int32), counts)
    table = np.arange(len(ids) * 4, dtype=np.int32).reshape(-1, 4)
    extra = {}
    if session.num_slots:
        to = np.full(len(tokens), -1, np.int32)
        extra = {"state_from": np.full(len(ids), -1, np.int32), "state_to": to}
    if adapters:
        extra["adapters"] = np.asarray(adapters, np.int32)
    result = session.forward(tokens, positions, rows, table, np.arange(len(tokens), dtype=np.int32), **extra)
    return np.split(np.array(result.logits), np.cumsum(counts)[:-1])


@pytest.mark.parametrize("name", MODULES)
def test_an_adapter_gives_what_the_merged_model_gives(name: str, tmp_path: Path):
    case, transposed = case_named(name), name in TRANSPOSED
    shapes = linear_shapes(case.path, MODULES[name], transposed=transposed)
    adapter = write_peft(tmp_path / "adapter", shapes, rank=6, alpha=9)
    merged = write_merged(tmp_path / "merged", case.path, adapter_pairs(shapes, 6, 0), 1.5, transposed=transposed)
    folder = compile_exact(case.path, tmp_path / "base", adapters=[adapter])
    with (
        Model(folder) as model,
        Model(compile_exact(merged, tmp_path / "whole")) as whole,
        open_session(model) as session,
        open_session(whole) as expected,
    ):
        assert isinstance(session, TextSession)
        assert isinstance(expected, TextSession)
        (units,) = load(session, folder, [adapter])
        (own,) = logits(session, [case.token_ids], [units])
        (wanted,) = logits(expected, [case.token_ids], [])
        (base,) = logits(session, [case.token_ids], [(0, 0)])
    assert relative_error(own, wanted) < TOLERANCE
    assert relative_error(base, case.expected_logits()) < TOLERANCE
    assert relative_error(own, base) > 100 * TOLERANCE, "the adapter changes nothing"


def test_rows_have_the_same_bits_whatever_is_beside_them(tmp_path: Path):
    """Adapters of several ranks and rows of none, in the arithmetic that models have by default."""
    case = case_named("llama3")
    every, some = linear_shapes(case.path, LLAMA), linear_shapes(case.path, ("q_proj", "down_proj"))
    paths = [
        write_peft(tmp_path / "a", every, rank=5, seed=1),
        write_peft(tmp_path / "b", some, rank=40, seed=2),
        write_peft(tmp_path / "c", every, rank=16, seed=3),
    ]
    folder = compile_here(case.path, tmp_path / "base", adapters=paths)
    plain = compile_here(case.path, tmp_path / "plain")
    rng = np.random.default_rng(0)
    ids = [rng.integers(0, 90, count).astype(np.int32) for count in (3, 34, 1, 17, 1, 4)]
    with Model(folder) as model, text_session(model, num_pages=32, num_adapters=5, threads=2) as session:
        assert isinstance(session, TextSession)
        a, b, c = load(session, folder, paths)
        assert [a, b, c] == [(0, 1), (1, 3), (4, 1)]
        whose = [a, b, (0, 0), a, c, c]
        together = logits(session, ids, whose)
        for sequence, adapter, expected in zip(ids, whose, together, strict=True):
            assert np.array_equal(logits(session, [sequence], [adapter])[0], expected)
        with Model(plain) as base, open_session(base) as without:
            assert isinstance(without, TextSession)
            assert np.array_equal(logits(without, [ids[2]], [])[0], together[2])
            assert np.array_equal(logits(session, ids, [])[1], logits(without, ids, [])[1])
        with pytest.raises(UsageError, match="units"):
            logits(session, ids[:1], [(4, 2)])
        with pytest.raises(UsageError, match="units"):
            logits(session, ids[:1], [(0, 17)])
        with pytest.raises(UsageError, match="cannot be written"):
            session.write("layers.0.q.adapter", 5, np.zeros((1, model_unit(model)), np.uint8))


def model_unit(model: Model) -> int:
    return next(state.unit_bytes for state in model.info.states if state.name == "layers.0.q.adapter")


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-7), ("float16", 1e-3), ("int8", 2e-2)])
def test_numbers_of_units(dtype: AdapterDtype, tolerance: float):
    """What is in a unit gives B A again, also where B is as small as that of a trained adapter."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 37)).astype(np.float32), rng.standard_normal((50, 20)).astype(np.float32) * 1e-6
    units = pack_units(a, b, (50, 37), dtype)
    assert units.nbytes == 2 * unit_bytes((50, 37), dtype)
    total = np.zeros((50, 37))
    for unit in units:
        scale = unit[-64:].view(np.float32) if dtype == "int8" else np.ones(16)
        of_a = unit[: 48 * 16].reshape(48, 16)[:37].astype(np.float64)
        of_b = unit[48 * 16 : 48 * 16 + 64 * 16].reshape(4, 16, 16).astype(np.float64)
        total += (of_b.transpose(0, 2, 1).reshape(64, 16)[:50] * scale) @ of_a.T
    assert relative_error(total, b.astype(np.float64) @ a) < tolerance
