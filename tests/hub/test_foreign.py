"""A folder that is no model for Hearth is named for what it is, with what to look for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hearth import hub
from hearth.errors import Unsupported
from hearth.hub.files import RemoteFile, select
from hearth.hub.foreign import refuse_foreign


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["model_index.json", "unet/diffusion_pytorch_model.safetensors"], "diffusion pipeline"),
        (["config.json", "onnx/model.onnx"], "ONNX"),
        (["config.json", "openvino_model.xml", "openvino_model.bin"], "OpenVINO"),
        (["config.json", "tf_model.h5"], "TensorFlow"),
        (["config.json", "flax_model.msgpack"], "Flax"),
        (["gemma.task"], "LiteRT"),
        (["params.json", "consolidated.00.pth", "tokenizer.model"], "authors' own layout"),
        (["config.json", "model.pkl"], "pickles"),
        (["adapter_config.json", "adapter_model.safetensors"], "adapter"),
        (["mlc-chat-config.json", "params_shard_0.bin"], "MLC"),
    ],
)
def test_what_a_folder_holds_instead_of_a_model_is_named(tmp_path: Path, names: list[str], what: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(Unsupported, match=what):
        hub.resolve(str(tmp_path), offline=True)
    with pytest.raises(Unsupported, match=what):
        refuse_foreign("owner/name", names)


def test_an_adapter_names_the_model_that_it_changes(tmp_path: Path) -> None:
    config = {"base_model_name_or_path": "example-org/base-1b", "peft_type": "LORA"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(Unsupported, match=r"adapter.*made for example-org/base-1b.*--lora"):
        hub.resolve(str(tmp_path), offline=True)


def test_what_is_not_known_is_not_refused_here(tmp_path: Path) -> None:
    refuse_foreign("owner/name", ["README.md", "config.json"])


def remote(*paths: str) -> list[RemoteFile]:
    return [RemoteFile(path, 1, "0" * 40, False) for path in paths]


def test_a_pull_brings_what_makes_vectors_of_an_embedding_model() -> None:
    model = ("config.json", "model.safetensors", "tokenizer.json")
    modules = ("modules.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors")
    prompts = ("config_sentence_transformers.json", "sentence_bert_config.json")
    others = ("onnx/model.onnx", "openvino/config.json", "2_Dense/pytorch_model.bin", "README.md")
    brought = {file.path for file in select("owner/name", remote(*model, *modules, *prompts, *others), None).files}
    assert brought == {*model, *modules, *prompts}


def brought(*paths: str) -> set[str]:
    return {file.path for file in select("owner/name", remote(*paths), None).files}


def test_what_torch_saved_comes_only_where_there_is_nothing_else() -> None:
    config, index = "config.json", "pytorch_model.bin.index.json"
    shards = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    training = ("training_args.bin", "optimizer.bin", "pytorch_model.fp16.bin", "rng_state.pth")
    assert brought(config, "pytorch_model.bin", *training) == {config, "pytorch_model.bin"}
    assert brought(config, index, *shards, *training) == {config, index, *shards}
    assert brought(config, "pytorch_model.bin", "model.safetensors") == {config, "model.safetensors"}
    assert brought(config, "pytorch_model.bin", "model-Q4_0.gguf") == {"model-Q4_0.gguf"}
    modules = ("modules.json", "2_Dense/config.json", "2_Dense/pytorch_model.bin")
    assert brought(config, "pytorch_model.bin", *modules) == {config, "pytorch_model.bin", *modules}


def test_a_repository_that_holds_something_else_is_named() -> None:
    with pytest.raises(Unsupported, match=r"'owner/name' is an adapter"):
        select("owner/name", remote("adapter_config.json", "adapter_model.safetensors"), None)
    with pytest.raises(Unsupported, match=r"'owner/name' is a diffusion pipeline"):
        select("owner/name", remote("model_index.json", "vae/diffusion_pytorch_model.safetensors"), None)


def test_a_file_is_named_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "module.ckpt").write_bytes(b"x")
    with pytest.raises(Unsupported, match="pickles"):
        hub.resolve(str(tmp_path / "module.ckpt"), offline=True)
