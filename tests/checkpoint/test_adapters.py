"""Adapters as published: what is plain LoRA is read, what does more is refused by its name, what is damaged is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters import adapter_pairs, write_peft, write_safetensors
from tests.checkpoint.test_fuzz import FUZZ, damaged

from hearth.checkpoint.adapter import Adapter, open_adapter
from hearth.errors import CorruptFile, HearthError, ModelNotFound, Unsupported

from .builders import RawTensor, gguf_bytes

SHAPES = {"model.layers.0.self_attn.q_proj": (6, 4), "model.layers.1.mlp.down_proj": (4, 10)}
LORA = {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 6.0}


def gguf_adapter(metadata: Any = LORA, names: tuple[str, str] = ("w.lora_a", "w.lora_b")) -> bytes:
    """A [2, 4] of 0..7 and B [3, 2] of 0..5."""
    tensors = [RawTensor(names[0], (4, 2), 0, 0), RawTensor(names[1], (2, 3), 0, 32)]
    data = np.arange(8, dtype="<f4").tobytes() + np.arange(6, dtype="<f4").tobytes()
    return gguf_bytes(metadata, tensors, data)


def scales(adapter: Adapter) -> dict[str, float]:
    return {name: matrix.scale for name, matrix in adapter.matrices.items()}


def test_a_folder_that_peft_wrote(tmp_path: Path) -> None:
    folder = write_peft(tmp_path / "a", SHAPES, rank=2, alpha=3, base_model_name_or_path="owner/base")
    adapter = open_adapter(folder)
    assert (adapter.kind, adapter.base, adapter.rank) == ("safetensors", "owner/base", 2)
    assert scales(adapter) == {f"{module}.weight": 1.5 for module in SHAPES}
    for module, (a, b) in adapter_pairs(SHAPES, 2, 0).items():
        own_a, own_b = adapter.matrices[f"{module}.weight"].load()
        assert np.array_equal(own_a, a)
        assert np.array_equal(own_b, b)


def test_ranks_and_scales_of_single_modules(tmp_path: Path) -> None:
    q, down = SHAPES
    folder = write_peft(tmp_path / "a", SHAPES, rank=4, alpha=8, use_rslora=True, alpha_pattern={"q_proj": 2})
    assert scales(open_adapter(folder)) == {f"{q}.weight": 1.0, f"{down}.weight": 4.0}
    pattern = {"^model\\.layers\\.1\\.mlp\\.down_proj$": 1, "layers.0.self_attn.q_proj": 1}
    folder = write_peft(tmp_path / "b", SHAPES, rank=1, alpha=8, rank_pattern=pattern)
    config = json.loads((folder / "adapter_config.json").read_text()) | {"r": 16}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    assert scales(open_adapter(folder)) == {f"{module}.weight": 8.0 for module in SHAPES}
    folder = write_peft(tmp_path / "c", SHAPES, rank_pattern={"(a+)+b": 4})
    with pytest.raises(Unsupported, match=r"expression in rank_pattern"):
        open_adapter(folder)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules of its own"),
        ({"bias": "all"}, "biases"),
        ({"lora_bias": True}, "bias"),
        ({"layer_replication": [[0, 1]]}, "repeats layers"),
        ({"target_parameters": ["mlp.experts"]}, "experts"),
        ({"trainable_token_indices": [1]}, "embeddings"),
        ({"alora_invocation_tokens": [1]}, "behind certain tokens"),
        ({"peft_type": "IA3"}, "Known: LORA"),
        ({"peft_type": None}, "Known: LORA"),
        ({"init_lora_weights": "pissa"}, "taken out"),
        ({"init_lora_weights": ["x"]}, "taken out"),
        ({"use_something_new": 1}, "does not know"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_more_than_lora_is_refused_by_name(setting: dict[str, Any], named: str, tmp_path: Path) -> None:
    folder = write_peft(tmp_path / "a", SHAPES, **setting)
    with pytest.raises(Unsupported) as error:
        open_adapter(folder)
    assert named in error.value.why
    assert "merge_and_unload" in error.value.hint
    key = next(iter(setting))
    assert key in error.value.what


def test_what_does_not_belong_together(tmp_path: Path) -> None:
    def with_tensors(name: str, **tensors: Any) -> Path:
        folder = write_peft(tmp_path / name, {}, rank=2)
        prefix = "base_model.model."
        arrays = {prefix + key.replace("__", "."): np.zeros(shape) for key, shape in tensors.items()}
        write_safetensors(folder / "adapter_model.safetensors", arrays)
        return folder

    for folder, error, text in (
        (tmp_path / "nowhere", ModelNotFound, "no adapter"),
        (with_tensors("empty"), CorruptFile, "no matrices"),
        (with_tensors("one", m__lora_A__weight=(2, 4)), CorruptFile, "only one"),
        (with_tensors("ranks", m__lora_A__weight=(2, 4), m__lora_B__weight=(4, 3)), CorruptFile, "must be"),
        (with_tensors("said", m__lora_A__weight=(3, 4), m__lora_B__weight=(4, 3)), CorruptFile, "says 2"),
        (with_tensors("dora", m__lora_magnitude_vector=(4,)), Unsupported, "magnitude"),
        (with_tensors("embed", m__lora_embedding_A=(2, 4)), Unsupported, "embedding"),
        (with_tensors("cube", m__lora_A__weight=(2, 4, 1), m__lora_B__weight=(4, 2)), CorruptFile, "must be"),
    ):
        with pytest.raises(error) as raised:
            open_adapter(folder)
        assert text in f"{raised.value.what} {raised.value.why}"
    large = write_peft(tmp_path / "large", {"m": (4, 4)}, rank=300)
    with pytest.raises(Unsupported, match="rank 300"):
        open_adapter(large)
    folder = write_peft(tmp_path / "nan", {"m": (2, 2)}, rank=1)
    nan = {
        "base_model.model.m.lora_A.weight": np.full((1, 2), np.nan),
        "base_model.model.m.lora_B.weight": np.ones((2, 1)),
    }
    write_safetensors(folder / "adapter_model.safetensors", nan)
    with pytest.raises(CorruptFile, match="not finite"):
        open_adapter(folder).matrices["m.weight"].load()
    for alpha in (0, -1, "8", True, None, 1e300):
        folder = write_peft(tmp_path / "alpha", {"m": (2, 2)}, alpha=alpha)  # type: ignore[arg-type]
        with pytest.raises(CorruptFile, match="lora_alpha"):
            open_adapter(folder)
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        with pytest.raises(Unsupported, match="a file of an adapter") as one_file:
            open_adapter(folder / file)
        assert str(folder) in one_file.value.hint
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(Unsupported, match="safetensors") as pickled:
        open_adapter(folder)
    assert "pickle" in pickled.value.why


def test_a_gguf_file(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(gguf_adapter())
    adapter = open_adapter(path)
    assert (adapter.kind, adapter.architecture, adapter.rank) == ("gguf", "llama", 2)
    matrix = adapter.matrices["w"]
    assert (matrix.rank, matrix.rows, matrix.columns, matrix.scale) == (2, 3, 4, 3.0)
    a, b = matrix.load()
    assert a.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert b.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert open_adapter(tmp_path).matrices.keys() == {"w"}  # the only one of a folder
    path.write_bytes(gguf_adapter({**LORA, "adapter.lora.alpha": 0.0}))
    assert scales(open_adapter(path)) == {"w": 1.0}
    for metadata, names, text in (
        ({}, ("w.lora_a", "w.lora_b"), "no adapter"),
        ({**LORA, "adapter.type": "other"}, ("w.lora_a", "w.lora_b"), "'other'"),
        (LORA, ("w.lora_a", "w.other"), "no part of a LoRA adapter"),
        (LORA, ("w.lora_a", "v.lora_b"), "only one of A and B"),
        ({**LORA, "adapter.lora.alpha": "x"}, ("w.lora_a", "w.lora_b"), "no number"),
    ):
        path.write_bytes(gguf_adapter(metadata, names))
        with pytest.raises((Unsupported, CorruptFile), match=text):
            open_adapter(path)


SAFETENSORS: list[bytes] = []


def sound_weights() -> bytes:
    """Of `SHAPES`, as `write_peft` writes them."""
    import tempfile

    if not SAFETENSORS:
        with tempfile.TemporaryDirectory() as folder:
            SAFETENSORS.append((write_peft(Path(folder), SHAPES, rank=2) / "adapter_model.safetensors").read_bytes())
    return SAFETENSORS[0]


def read_all(path: Path) -> None:
    try:
        for matrix in open_adapter(path).matrices.values():
            a, b = matrix.load()
            assert a.shape == (matrix.rank, matrix.columns)
            assert b.shape == (matrix.rows, matrix.rank)
    except HearthError:  # told
        return


@FUZZ
@given(data=damaged(gguf_adapter()))
def test_damaged_gguf_files(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(data)
    read_all(tmp_path / "a.gguf")


@FUZZ
@given(data=damaged(sound_weights()))
def test_damaged_weights(data: bytes, tmp_path: Path) -> None:
    folder = write_peft(tmp_path / "a", {}, rank=2)
    (folder / "adapter_model.safetensors").write_bytes(data)
    read_all(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["r", "lora_alpha", "rank_pattern", "alpha_pattern", "init_lora_weights", "peft_type", "bias", "x"]
)


@FUZZ
@given(config=st.dictionaries(KEYS, JSON, max_size=3))
def test_hostile_configurations(config: dict[str, Any], tmp_path: Path) -> None:
    folder = write_peft(tmp_path / "a", {}, rank=2)
    (folder / "adapter_model.safetensors").write_bytes(sound_weights())
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, **config}))
    read_all(folder)
