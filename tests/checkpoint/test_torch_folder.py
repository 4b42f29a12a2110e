"""Folders whose weights are only in PyTorch's own form: the models they hold, and what of them is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from golden.torch_files.writing import turn_to_torch, write_torch
from golden.vision import CASES as VISION_CASES
from hearth.checkpoint import open_checkpoint
from hearth.errors import CorruptFile, ModelNotFound, Unsupported
from hearth.model import load_family
from hearth.model.encoder.load import load_encoder
from hearth.model.vision import load_vision

from .builders import gguf_model, model_folder
from .test_torch_file import Hostile

GOLDEN = Path(__file__).parent.parent / "golden"
VISION = {case.recipe.name: case for case in VISION_CASES}


def folder_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / "model"
    if name in VISION:
        folder.mkdir()
        return VISION[name].write(folder)
    return Path(shutil.copytree(GOLDEN / name, folder, ignore=shutil.ignore_patterns("*.gguf")))


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(
    ("name", "load"),
    [("llama1", load_family), ("encoders/bert", load_encoder), ("vit", load_vision)],
    ids=["llm", "encoder", "vision"],
)
def test_a_model_is_the_same_in_either_form(name: str, load, shards: int, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, name)
    before = open_checkpoint(folder)
    tensors = {tensor: before.raw(tensor).tobytes() for tensor, info in before.tensors.items() if info.dtype != "i64"}
    described = dict(before.tensors)
    tokenizer, fingerprint = before.tokenizer(), before.fingerprint()
    after = open_checkpoint(turn_to_torch(folder, shards=shards))
    assert dict(after.tensors) == described
    assert {tensor: after.raw(tensor).tobytes() for tensor in tensors} == tensors
    load(after)
    assert after.tokenizer() == tokenizer
    assert after.fingerprint() != fingerprint


def small(folder: Path, **files: str | bytes) -> Path:
    """A folder with one tensor in PyTorch's form."""
    model_folder(folder, **files)
    (folder / "model.safetensors").unlink()
    write_torch(folder / "pytorch_model.bin", {"w": ("f32", (2,), np.arange(2, dtype="<f4").tobytes())})
    return folder


def test_safetensors_win_and_so_does_a_gguf_file(tmp_path: Path) -> None:
    both = small(tmp_path / "both")
    model_folder(both)
    assert open_checkpoint(both).tensors["w"].dtype == "bf16"
    other = small(tmp_path / "other")
    (other / "model.gguf").write_bytes(gguf_model())
    assert open_checkpoint(other).kind == "gguf"


def test_files_of_training_are_no_weights(tmp_path: Path) -> None:
    folder = small(tmp_path / "m")
    (folder / "training_args.bin").write_bytes(b"\x80\x02")
    (folder / "optimizer.bin").write_bytes(b"\x80\x02")
    assert list(open_checkpoint(folder).tensors) == ["w"]
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(Unsupported, match="pickles in a layout of its authors' own"):
        open_checkpoint(folder)


def test_nothing_of_a_pickle_is_run(tmp_path: Path) -> None:
    folder, marker = small(tmp_path / "m"), tmp_path / "run"
    for value in (Hostile(marker), {"w": Hostile(marker)}):
        with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(value))
        with pytest.raises(Unsupported, match="no tensors by name"):
            open_checkpoint(folder)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../x.bin", "/etc/x.bin", "a/b.bin", "..\\x.bin", "C:x.bin", "x.safetensors", 5])
def test_an_index_names_shards_of_its_own_folder_alone(name: object, tmp_path: Path) -> None:
    folder = small(tmp_path / "m", pytorch_model__bin__index__json=json.dumps({"weight_map": {"w": name}}))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(CorruptFile, match="names the shard"):
        open_checkpoint(folder)


def test_what_is_missing_or_twice_is_named(tmp_path: Path) -> None:
    folder = small(tmp_path / "m")
    first, second = (folder / f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2))
    (folder / "pytorch_model.bin").rename(first)
    with pytest.raises(ModelNotFound, match="no whole set of shards"):
        open_checkpoint(folder)
    shutil.copy(first, second)
    with pytest.raises(CorruptFile, match=r"'w' stands in .*00001.* and in .*00002"):
        open_checkpoint(folder)
    second.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(CorruptFile, match="git lfs pull"):
        open_checkpoint(folder)


@pytest.mark.reference
def test_torch_reads_what_tests_write(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    values = np.arange(12, dtype="<f4").reshape(2, 2, 3)
    write_torch(tmp_path / "x.bin", {"a": ("f32", (2, 2, 3), values.tobytes()), "n": ("i64", (), bytes(8))})
    found = torch.load(tmp_path / "x.bin", weights_only=True)
    assert np.array_equal(found["a"].numpy(), values)
    assert found["n"].item() == 0
