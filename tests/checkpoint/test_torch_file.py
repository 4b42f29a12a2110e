"""Files of torch.save are read as data: the tensors in them, and nothing that a pickle asks for is run."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.torch_files import EIGHTS, FILES, HERE, SPARSE, arrays
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.floats import to_f32
from hearth.checkpoint.torch_file import TorchCheckpoint
from hearth.errors import CorruptFile, HearthError, Unsupported

_NUMPY = {"f32": "<f4", "f16": "<f2"}


def read(checkpoint: Any, name: str) -> np.ndarray:
    info, raw = checkpoint.tensors[name], checkpoint.raw(name)
    if info.dtype == "bf16":
        return (raw.view("<u2").astype("<u4") << 16).view("<f4").reshape(info.shape)
    return raw.view(_NUMPY[info.dtype]).astype(np.float32).reshape(info.shape)


@pytest.mark.parametrize("file", FILES)
def test_the_tensors_that_torch_saved(file: str):
    checkpoint = open_checkpoint(HERE / file)
    expected = arrays()
    assert set(checkpoint.tensors) == {*expected, "num_batches_tracked"}
    for name, array in expected.items():
        np.testing.assert_array_equal(read(checkpoint, name), array, err_msg=name)
        assert checkpoint.tensors[name].size_bytes == checkpoint.raw(name).size
    with pytest.raises(Unsupported, match="i64"):
        checkpoint.raw("num_batches_tracked")


def test_floats_of_8_bits_are_read(tmp_path: Path):
    """Their storage is bytes, and the tensor says what these are. Quantised models use them."""
    file = TorchCheckpoint(HERE / EIGHTS)
    expected = np.arange(-6, 6, dtype=np.float32).reshape(3, 4)
    for name, values in (("weight", expected), ("turned", expected.T)):
        info = file.tensors[name]
        stored = file.stored(name).reshape(info.shape)
        np.testing.assert_array_equal(to_f32(stored, info.dtype), values)
        with pytest.raises(Unsupported, match=r"f8_e"):  # by themselves nobody computes with them
            file.raw(name)


def test_a_tensor_that_is_no_array_is_named():
    with pytest.raises(Unsupported, match=r"'weight' is no array of numbers .*_rebuild_sparse_tensor"):
        open_checkpoint(HERE / SPARSE)


class Hostile:
    """What a pickle may ask to be run when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.command = f"touch {marker}"

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_nothing_of_a_pickle_is_run(protocol: int, tmp_path: Path):
    marker = tmp_path / "run"
    for value in (Hostile(marker), {"weight": Hostile(marker)}, [Hostile(marker)] * 3):
        path = tmp_path / "model.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(value, protocol))
        with pytest.raises(Unsupported, match="no tensors by name"):
            open_checkpoint(path)
    assert not marker.exists()


def with_pickle(tmp_path: Path, change: tuple[bytes, bytes]) -> Path:
    """new.pth with something else in its pickle."""
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(HERE / "new.pth") as archive, zipfile.ZipFile(path, "w") as other:
        for entry in archive.namelist():
            data = archive.read(entry)
            if entry.endswith("data.pkl"):
                assert change[0] in data
                data = data.replace(*change)
            other.writestr(entry, data)
    return path


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ((b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"), "is no array of numbers"),
        ((b"FloatStorage", b"SloatStorage"), "unknown kind"),
        ((b"K\x02K\x03K\x04K\x05", b"K\x02K\x03K\x04K\x06"), "larger than its numbers"),
        ((b"K\x3cK\x14", b"K\x3dK\x14"), "larger than its numbers"),
        ((b"K\x78", b"K\x7f"), "cut short"),
        ((b"\x80\x02", b"\x80\x09"), "protocol"),
        ((b"\x80\x02", b"\x80\x02i"), "instruction"),
    ],
)
def test_damaged_pickles_are_refused(change: tuple[bytes, bytes], why: str, tmp_path: Path):
    with pytest.raises(HearthError, match=why):
        open_checkpoint(with_pickle(tmp_path, change))


def test_what_is_no_file_of_weights_is_named(tmp_path: Path):
    for content, why in (
        (b"", "no file of torch.save"),
        (b"PK\x03\x04 and no more", "no sound file"),
        (b"text", "torch"),
    ):
        (tmp_path / "model.pth").write_bytes(content)
        with pytest.raises(HearthError, match=why):
            TorchCheckpoint(tmp_path / "model.pth")
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        archive.writestr("model/data.pkl", b"")
        archive.writestr("model/constants.pkl", b"")
    with pytest.raises(Unsupported, match="TorchScript"):
        TorchCheckpoint(tmp_path / "model.pth")


@pytest.mark.parametrize("file", ["new.pth", "old.pth"])
def test_a_file_cut_anywhere_is_refused(file: str, tmp_path: Path):
    data = (HERE / file).read_bytes()
    for size in range(0, len(data) - 1, 37):
        (tmp_path / file).write_bytes(data[:size])
        with pytest.raises((CorruptFile, Unsupported)):
            TorchCheckpoint(tmp_path / file)


def test_a_model_is_known_by_its_content(tmp_path: Path):
    shutil.copy2(HERE / "new.pth", tmp_path / "new.pth")
    same, other = TorchCheckpoint(HERE / "new.pth"), TorchCheckpoint(HERE / "old.pth")
    assert same.fingerprint() == TorchCheckpoint(tmp_path / "new.pth").fingerprint() != other.fingerprint()
