"""How batches are cut for GPUs: whether prompts read keys seldom enough, and long contexts keep a GPU busy."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("tvm")

import tvm

from golden import CASES
from hearth.checkpoint import open_checkpoint
from hearth.compiler.gpu.batches import gpu_symbols
from hearth.model import LoadedModel, load_family
from hearth.model.text.batch import SPLIT_TOKENS
from hearth.model.text.network import text_network


def _symbols(heads: int, longest: int) -> dict[str, tuple[int, int]]:
    """Of a model with two KV heads."""
    case = next(case for case in CASES if case.name == "llama3")
    model = load_family(open_checkpoint(case.path))
    assert isinstance(model, LoadedModel)
    config = replace(model.config, num_heads=heads, num_kv_heads=2, max_position=longest)
    network = text_network(replace(model, config=config), "float16")
    module: tvm.IRModule = network.build()
    return gpu_symbols(module, network.symbols)


@pytest.mark.parametrize(("heads", "tile"), [(2, 64), (4, 32), (8, 16), (16, 16)])
def test_a_tile_is_a_full_workgroup_of_rows(heads: int, tile: int) -> None:
    symbols = _symbols(heads, 4096)
    assert symbols["tile_tokens"] == (tile, tile)
    assert symbols["longest_tile"] == (1, tile)


def test_two_of_the_longest_contexts_can_be_cut_to_pieces() -> None:
    symbols = _symbols(8, 131_072)
    assert symbols["merges"][1] == 2 * 131_072 // SPLIT_TOKENS
    assert symbols["items"][1] == symbols["tokens"][1] + symbols["merges"][1]
    assert _symbols(8, 4096)["merges"][1] < symbols["merges"][1]


def test_partial_results_fit_what_may_be_bound() -> None:
    symbols = _symbols(2048, 1_000_000)
    assert symbols["merges"][1] * 2048 * (16 + 4) * 4 <= 128 << 20
