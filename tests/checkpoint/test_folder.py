"""Model folders: safetensors files read right, damaged, hostile and missing ones are refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hearth.checkpoint import TensorInfo, open_checkpoint
from hearth.errors import CorruptFile, HearthError, ModelNotFound, Unsupported, UsageError

from .builders import entry, gguf_model, model_folder, safetensors_bytes


def sharded(path: Path, weight_map: dict[str, str], **shards: bytes) -> Path:
    model_folder(path, model__safetensors__index__json=json.dumps({"weight_map": weight_map}), **shards)
    (path / "model.safetensors").unlink()
    return path


def test_reads_a_single_file(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(model_folder(tmp_path))
    assert checkpoint.kind == "safetensors"
    assert checkpoint.architecture == "llama"
    assert checkpoint.config["hidden_size"] == 3
    assert dict(checkpoint.tensors) == {"w": TensorInfo("w", (2, 3), "bf16", 12)}
    raw = checkpoint.raw("w")
    assert raw.tobytes() == bytes(range(12))
    assert not raw.flags.writeable


def test_reads_every_shard(tmp_path: Path) -> None:
    sharded(
        tmp_path,
        {"a": "one.safetensors", "b": "two.safetensors"},
        one__safetensors=safetensors_bytes({"a": entry("F32", (1,), 0, 4)}, b"1234"),
        two__safetensors=safetensors_bytes({"b": entry("F16", (2,), 0, 4), "__metadata__": {"format": "pt"}}, b"5678"),
    )
    checkpoint = open_checkpoint(tmp_path)
    assert {name: checkpoint.raw(name).tobytes() for name in checkpoint.tensors} == {"a": b"1234", "b": b"5678"}


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    sharded(tmp_path, {"a": "model-00002-of-00002.safetensors"})
    (tmp_path / "other.safetensors").write_bytes(safetensors_bytes({}))
    with pytest.raises(CorruptFile, match="model-00002-of-00002"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.safetensors",
        "/etc/x.safetensors",
        "a/b.safetensors",
        "..\\x.safetensors",
        "C:x.safetensors",
        "x.bin",
        5,
    ],
)
def test_an_index_cannot_reach_outside_its_folder(tmp_path: Path, name: object) -> None:
    folder = tmp_path / "model"
    sharded(folder, {"a": name})  # type: ignore[dict-item]
    (folder / "present.safetensors").write_bytes(safetensors_bytes({}))
    (tmp_path / "secret.safetensors").write_bytes(safetensors_bytes({}))
    with pytest.raises(CorruptFile, match="inside the model's own folder"):
        open_checkpoint(folder)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    shard = safetensors_bytes({"a": entry("F32", (1,), 0, 4)}, b"1234")
    sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"}, one__safetensors=shard, two__safetensors=shard)
    with pytest.raises(CorruptFile, match=r"'a'.*one.*two"):
        open_checkpoint(tmp_path)


ONE = {"a": entry("F32", (1,), 0, 4)}


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        pytest.param(b"", CorruptFile, "truncated", id="empty"),
        pytest.param(b"\0" * 7, CorruptFile, "truncated", id="no length"),
        pytest.param(safetensors_bytes(ONE, b"123"), CorruptFile, "truncated", id="data cut off"),
        pytest.param(safetensors_bytes(ONE, header_size=5000), CorruptFile, "truncated", id="header cut off"),
        pytest.param(safetensors_bytes(ONE, header_size=2**62), CorruptFile, "no safetensors file", id="huge header"),
        pytest.param(b"<!DOCTYPE html><html>", CorruptFile, "no safetensors file", id="a web page"),
        pytest.param(safetensors_bytes("not json"), CorruptFile, "JSON", id="no JSON"),
        pytest.param(safetensors_bytes("[1, 2]"), CorruptFile, "JSON object", id="a list"),
        pytest.param(safetensors_bytes("[" * 100_000), CorruptFile, "nested too deeply", id="deep JSON"),
        pytest.param(safetensors_bytes('{"a": 1, "a": 2}'), CorruptFile, "'a' stands twice", id="a name twice"),
        pytest.param(safetensors_bytes({"a": 5}), CorruptFile, "'a'", id="entry is a number"),
        pytest.param(safetensors_bytes({"a": entry("F31", (1,), 0, 4)}, b"1234"), Unsupported, "F31", id="dtype"),
        pytest.param(safetensors_bytes({"a": entry("F32", (2,), 0, 4)}, b"1234"), CorruptFile, "8 bytes", id="span"),
        pytest.param(safetensors_bytes({"a": entry("F32", (-1,), 0, 4)}, b"1234"), CorruptFile, "shape", id="negative"),
        pytest.param(safetensors_bytes({"a": entry("F32", (True,), 0, 4)}, b"1234"), CorruptFile, "shape", id="bool"),
        pytest.param(
            safetensors_bytes({"a": entry("F32", (2**40, 2**40), 0, 4)}, b"1234"),
            CorruptFile,
            "overflow",
            id="overflow",
        ),
        pytest.param(
            safetensors_bytes({"a": entry("F32", (1,), 4, 0)}, b"1234"), CorruptFile, "offsets", id="backwards"
        ),
        pytest.param(
            safetensors_bytes({"a": entry("F32", (1,), 0, 4), "b": entry("F32", (1,), 2, 6)}, b"123456"),
            CorruptFile,
            "overlap",
            id="overlap",
        ),
    ],
)
def test_an_unsound_file_is_refused(tmp_path: Path, data: bytes, error: type[HearthError], says: str) -> None:
    with pytest.raises(error, match=says):
        open_checkpoint(model_folder(tmp_path, model__safetensors=data))


def test_a_truncated_file_says_how_much_is_missing_and_what_to_do(tmp_path: Path) -> None:
    data = safetensors_bytes(ONE, b"123")
    with pytest.raises(CorruptFile) as caught:
        open_checkpoint(model_folder(tmp_path, model__safetensors=data))
    assert "model.safetensors" in caught.value.what
    assert f"{len(data) + 1:,}" in caught.value.what
    assert f"{len(data):,}" in caught.value.what
    assert "hearth pull" in caught.value.hint


def test_a_type_hearth_cannot_use_is_listed_and_refused_when_used(tmp_path: Path) -> None:
    data = safetensors_bytes({"a": entry("I64", (1,), 0, 8), "b": entry("F4", (2,), 8, 9)}, bytes(9))
    checkpoint = open_checkpoint(model_folder(tmp_path, model__safetensors=data))
    assert checkpoint.tensors["a"].dtype == "i64"
    assert checkpoint.tensors["b"].size_bytes == 1
    with pytest.raises(Unsupported, match="i64"):
        checkpoint.raw("a")


def test_an_empty_tensor_is_sound(tmp_path: Path) -> None:
    data = safetensors_bytes({"a": entry("F32", (0, 3), 0, 0), "b": entry("F32", (), 0, 4)}, b"1234")
    checkpoint = open_checkpoint(model_folder(tmp_path, model__safetensors=data))
    assert checkpoint.raw("a").size == 0
    assert checkpoint.raw("b").tobytes() == b"1234"


def test_pickles_in_another_layout_are_refused_with_the_reason(tmp_path: Path) -> None:
    model_folder(tmp_path, consolidated__pth=b"\x80\x02")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(Unsupported, match=r"pickle.*consolidated.pth.*safetensors"):
        open_checkpoint(tmp_path)


def test_what_is_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="does not exist"):
        open_checkpoint(tmp_path / "nowhere")
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        open_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelNotFound, match="no weights"):
        open_checkpoint(tmp_path)


def test_a_weight_file_alone_is_answered_with_its_folder(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    with pytest.raises(UsageError, match=str(folder)):
        open_checkpoint(folder / "model.safetensors")


def test_a_gguf_beside_a_config_is_opened(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model-q8_0.gguf").write_bytes(gguf_model())
    assert open_checkpoint(tmp_path).kind == "gguf"


@pytest.mark.parametrize("config", ["", "[]", "{", '{"model_type": "llama", "model_type": "x"}', '{"a": ' * 5000])
def test_a_damaged_config_is_refused(tmp_path: Path, config: str) -> None:
    with pytest.raises(CorruptFile, match=r"config\.json"):
        open_checkpoint(model_folder(tmp_path, config__json=config))


@pytest.mark.parametrize("config", ["{}", '{"model_type": null}', '{"model_type": 3}'])
def test_a_config_without_architecture_is_refused(tmp_path: Path, config: str) -> None:
    with pytest.raises(Unsupported, match="model_type"):
        open_checkpoint(model_folder(tmp_path, config__json=config))


def test_fingerprint_changes_with_what_the_model_says(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    first = open_checkpoint(folder).fingerprint()
    assert open_checkpoint(folder).fingerprint() == first
    (folder / "README.md").write_text("hello")
    assert open_checkpoint(folder).fingerprint() == first
    (folder / "tokenizer_config.json").write_text("{}")
    assert open_checkpoint(folder).fingerprint() != first


def test_reads_what_the_reference_library_writes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    safetensors_torch = pytest.importorskip("safetensors.torch")
    tensors = {
        "a": torch.arange(12, dtype=torch.float32).reshape(3, 4),
        "b": torch.arange(5, dtype=torch.float32).to(torch.bfloat16),
        "c": torch.arange(6, dtype=torch.float16).reshape(1, 2, 3),
    }
    folder = model_folder(tmp_path)
    safetensors_torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    checkpoint = open_checkpoint(folder)
    for name, tensor in tensors.items():
        assert checkpoint.tensors[name].shape == tuple(tensor.shape)
        assert checkpoint.raw(name).tobytes() == tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1234567\n"
    for name in ("model__safetensors", "config__json"):
        with pytest.raises(CorruptFile, match=r"Git LFS.*git lfs pull"):
            open_checkpoint(model_folder(tmp_path / name, **{name: pointer}))
    (tmp_path / "model.gguf").write_bytes(pointer)
    with pytest.raises(CorruptFile, match="Git LFS"):
        open_checkpoint(tmp_path / "model.gguf")


def test_shards_need_no_index(tmp_path: Path) -> None:
    weights = (model_folder(tmp_path) / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(weights)
    with pytest.raises(ModelNotFound, match="no weights"):
        open_checkpoint(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(
        safetensors_bytes({"v": entry("F32", (1,), 0, 4)}, bytes(4))
    )
    assert list(open_checkpoint(tmp_path).tensors) == ["w", "v"]


def test_an_adapter_beside_a_configuration_is_named(tmp_path: Path) -> None:
    model_folder(tmp_path, adapter_config__json='{"base_model_name_or_path": "example-org/base-1b"}')
    (tmp_path / "model.safetensors").rename(tmp_path / "adapter_model.safetensors")
    with pytest.raises(Unsupported, match=r"adapter.*example-org/base-1b"):
        open_checkpoint(tmp_path)
