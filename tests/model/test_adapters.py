"""Which rows of which parameters an adapter changes, held against peft and llama.cpp themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from tests.adapters import adapter_pairs, changeable_shapes, linear_shapes, write_merged, write_peft

from golden import CASES, Case
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.adapter import open_adapter
from hearth.errors import CorruptFile, Unsupported
from hearth.model import load_family
from hearth.model.text.adapter_places import AdapterPlaces, adapter_places, load_places, targets_of
from hearth.model.text.adapters import AdapterRoom, pack_units

EVERY = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PEFT = {
    "llama3": EVERY,
    "qwen2": ("q_proj", "down_proj"),
    "phi3-short": ("qkv_proj", "gate_up_proj"),
    "gpt2": ("c_attn", "c_proj", "c_fc"),
    "falcon": ("query_key_value", "dense_h_to_4h"),
    "gemma2": EVERY,
}


def case_named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def logits_with(path: Path, adapter: Path, ids: np.ndarray) -> np.ndarray:
    """By the numpy decoder, of the model in a file with what is read of an adapter."""
    checkpoint = open_checkpoint(path)
    model = load_family(checkpoint)
    opened = open_adapter(adapter)
    places = adapter_places(model)
    room = AdapterRoom(tuple(sorted(targets_of(places.find(opened)))), "float32")
    parameters = reference.read_parameters(checkpoint, model)
    for name, (a, b) in adapter_places(model, room).read(opened).items():
        parameters[name] = parameters[name] + b.astype(np.float64) @ a
    return reference.forward(model.config, parameters, ids)


@pytest.mark.reference
@pytest.mark.parametrize("name", PEFT)
def test_peft_computes_what_is_read(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    case = case_named(name)
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(case.path, dtype=torch.float32, attn_implementation="eager")
    more: dict[str, Any] = {"rank_pattern": {PEFT[name][0]: 3}, "alpha_pattern": {PEFT[name][-1]: 5}}
    config = peft.LoraConfig(
        r=6, lora_alpha=9, target_modules=list(PEFT[name]), use_rslora=name == "qwen2", init_lora_weights=False,
        fan_in_fan_out=name == "gpt2", **more,
    )  # fmt: skip
    model = peft.get_peft_model(base, config).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
        expected = model(torch.tensor(case.token_ids.astype(np.int64))[None]).logits[0].numpy()
    model.save_pretrained(tmp_path)
    actual = logits_with(case.path, tmp_path, case.token_ids)
    assert np.abs(actual - expected).max() < 2e-5 * np.abs(expected).max()
    assert np.abs(actual - case.expected_logits()).max() > 1e-2 * np.abs(expected).max()
    if case.gguf_path and name in ("llama3", "phi3-short"):  # interleaved heads; other names
        from_gguf = logits_with(case.gguf_path, tmp_path, case.token_ids)
        assert np.abs(from_gguf - expected).max() < 2e-3 * np.abs(expected).max()


@pytest.mark.llamacpp
@pytest.mark.parametrize("name", ["llama3", "qwen2", "gemma2"])
def test_llamacpp_computes_what_is_read(name: str, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    pytest.importorskip("llama_cpp")
    from test_gguf_in_llamacpp import runnable_twin

    from golden.llamacpp import logits_of_llamacpp

    case = case_named(name)
    path = runnable_twin(case, tmp_path)
    checkpoint = open_checkpoint(path)
    writer = gguf.GGUFWriter(tmp_path / "adapter.gguf", checkpoint.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 9.0)
    rng = np.random.default_rng(0)
    for tensor, info in checkpoint.tensors.items():
        if tensor.startswith("blk.") and len(info.shape) == 2:
            for kind, shape in (("a", (6, info.shape[1])), ("b", (info.shape[0], 6))):
                writer.add_tensor(
                    f"{tensor}.lora_{kind}", rng.standard_normal(shape).astype(np.float32) * np.float32(0.2)
                )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours = logits_with(path, tmp_path / "adapter.gguf", case.token_ids)
    theirs = logits_of_llamacpp(path, case.token_ids, ours.shape[1], tmp_path / "adapter.gguf")
    assert np.abs(ours - theirs).max() < 1e-2 * np.abs(ours).max()
    assert np.abs(ours - case.expected_logits()).max() > 0.1 * np.abs(ours).max()


def test_the_same_places_for_both_kinds_of_files(tmp_path: Path) -> None:
    """An adapter that peft wrote changes a GGUF file's model as it does the folder's."""
    case = case_named("llama3")
    assert case.gguf_path is not None
    adapter = write_peft(tmp_path / "a", linear_shapes(case.path, EVERY), rank=3)
    of_folder = logits_with(case.path, adapter, case.token_ids)
    of_gguf = logits_with(case.gguf_path, adapter, case.token_ids)
    assert np.abs(of_folder - of_gguf).max() < 2e-3 * np.abs(of_folder).max()
    assert np.abs(of_folder - case.expected_logits()).max() > 1e-2 * np.abs(of_folder).max()


def places_of(name: str, *targets: str) -> AdapterPlaces:
    model = load_family(open_checkpoint(case_named(name).path))
    return adapter_places(model, AdapterRoom(targets, "float32") if targets else None)


def test_places_are_kept_in_a_bundle(tmp_path: Path) -> None:
    case = case_named("phi3-short")
    places = places_of("phi3-short", "k", "q", "v")
    places.save(tmp_path)
    again = load_places(tmp_path)
    assert again is not None
    adapter = open_adapter(write_peft(tmp_path / "a", linear_shapes(case.path, ("qkv_proj",)), rank=3))
    for (name, (a, b)), (other, (c, d)) in zip(places.read(adapter).items(), again.read(adapter).items(), strict=True):
        assert name == other
        assert np.array_equal(a, c)
        assert np.array_equal(b, d)
    (tmp_path / "adapters.json").write_text('{"orders": []}')
    with pytest.raises(CorruptFile, match=r"adapters\.json"):
        load_places(tmp_path)
    assert load_places(tmp_path / "nowhere") is None


@pytest.mark.parametrize("scale", [1e12, -1e39, 1e300])
def test_numbers_that_no_unit_could_hold_are_refused(scale: float, tmp_path: Path) -> None:
    """Else the model's own numbers were lost in infinities: f16 ends at 65504."""
    shapes = linear_shapes(case_named("llama3").path, ("q_proj",))
    adapter = open_adapter(write_peft(tmp_path / "a", shapes, rank=2))
    places = places_of("llama3", "q")
    with pytest.raises(Unsupported, match="too large"):
        places.read(adapter, scale)
    for dtype in ("float16", "float32", "int8"):
        for name, (a, b) in places.read(adapter, 1e7).items():
            units = pack_units(a, b, places.shapes[name], dtype)  # type: ignore[arg-type]
            if dtype == "int8":
                units = units[:, -64:].copy().view(np.float32)
            assert np.isfinite(units).all(), dtype


def test_what_has_no_place_is_named(tmp_path: Path) -> None:
    layer = "model.layers.0"
    for name, shapes, error, text in (
        ("llama3", {"lm_head": (99, 36)}, Unsupported, "It is the head"),
        ("llama3", {"model.embed_tokens": (99, 36)}, Unsupported, "embedding"),
        ("deepseek_v2", {f"{layer}.self_attn.kv_b_proj": (4, 4)}, Unsupported, "of latent vectors"),
        ("falcon_h1", {f"{layer}.feed_forward.gate_proj": (4, 4)}, Unsupported, "not read for this family"),
        ("mixtral", {f"{layer}.block_sparse_moe.experts.0.w1": (4, 4)}, Unsupported, "experts"),
        ("llama3", {f"{layer}.self_attn.q_proj": (7, 5)}, CorruptFile, "That of the model is"),
        ("llama3", {"model.layers.99.self_attn.q_proj": (7, 5)}, Unsupported, "no such matrix"),
    ):
        adapter = open_adapter(write_peft(tmp_path / "a", shapes, rank=2, base_model_name_or_path="owner/other"))
        with pytest.raises(error) as raised:
            places_of(name).find(adapter)
        assert text in raised.value.why
        assert "The adapter a changes" in raised.value.what
        assert error is Unsupported or "owner/other" in raised.value.hint
    shapes = linear_shapes(case_named("llama3").path, ("q_proj", "up_proj"))
    adapter = open_adapter(write_peft(tmp_path / "b", shapes, rank=2))
    with pytest.raises(Unsupported, match="changes up, beside which") as no_room:
        places_of("llama3", "q", "v").read(adapter)
    assert "room beside q, v" in no_room.value.why
    # Names as modules have them in a base model alone, and in one that sees.
    for prefix in ("", "model.language_model."):
        own = {prefix + module.removeprefix("model."): shape for module, shape in shapes.items()}
        found = places_of("llama3").find(open_adapter(write_peft(tmp_path / "c", own, rank=2)))
        assert len(found) == len(shapes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_read_is_what_the_merged_file_has(case: Case, tmp_path: Path) -> None:
    """Of every family, each matrix of a layer that an adapter may change: also those whose rows several parameters
    share, or have in another order than the file."""
    checkpoint = open_checkpoint(case.path)
    model = load_family(checkpoint)
    transposed = case.name.startswith("gpt2")
    shapes = changeable_shapes(case.path, adapter_places(model), transposed=transposed)
    if not shapes:
        assert case.name.startswith("falcon_h1")
        return
    adapter = open_adapter(write_peft(tmp_path / "a", shapes, rank=2, alpha=2))
    room = AdapterRoom(tuple(sorted(targets_of(adapter_places(model).find(adapter)))), "float32")
    deltas = adapter_places(model, room).read(adapter)
    merged = write_merged(tmp_path / "m", case.path, adapter_pairs(shapes, 2, 0), 1.0, transposed=transposed)
    expected = reference.read_parameters(open_checkpoint(merged), model)
    for name, parameter in reference.read_parameters(checkpoint, model).items():
        if name in deltas:
            a, b = deltas[name]
            parameter = parameter + b.astype(np.float64) @ a
        assert np.abs(parameter - expected[name]).max(initial=0) < 1e-5, name
