"""A model whose GGUF file was split: whichever part is named, it is the one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearth.checkpoint import open_checkpoint
from hearth.errors import CorruptFile, HearthError, UsageError

from .builders import RawTensor, gguf_bytes
from .splitting import split

F32 = np.dtype("<f4")


def write_parts(folder: Path, stem: str = "tiny-Q8_0", **changed: Any) -> list[Path]:
    """Three parts as `llama-gguf-split` writes them: the first says all of the model, the others which they are."""
    said = {"split.count": 3, "split.tensors.count": 3, **changed}
    paths = []
    for number in range(3):
        metadata: dict[str, Any] = {"split.no": number, **said}
        if number == 0:
            metadata |= {"llama.block_count": 2, "general.name": "tiny"}
        data = np.arange(8, dtype=F32) + 100 * number
        part = gguf_bytes(metadata, [RawTensor(f"w{number}", (4, 2), 0, 0)], data.tobytes())
        paths.append(folder / f"{stem}-{number + 1:05d}-of-00003.gguf")
        paths[-1].write_bytes(part)
    return paths


@pytest.mark.parametrize("named", range(3))
def test_any_part_opens_the_whole_model(tmp_path: Path, named: int) -> None:
    paths = write_parts(tmp_path)
    checkpoint = open_checkpoint(paths[named])
    assert checkpoint.path == paths[0]
    assert checkpoint.config["general.name"] == "tiny"
    assert list(checkpoint.tensors) == ["w0", "w1", "w2"]
    for number in range(3):
        assert (checkpoint.raw(f"w{number}").view(F32) == np.arange(8) + 100 * number).all()


def test_its_folder_opens_it_too(tmp_path: Path) -> None:
    write_parts(tmp_path)
    assert len(open_checkpoint(tmp_path).tensors) == 3
    write_parts(tmp_path, "other")
    with pytest.raises(UsageError, match="2 GGUF models"):
        open_checkpoint(tmp_path)


def test_a_change_of_any_part_is_noticed(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    before = open_checkpoint(tmp_path).fingerprint()
    paths[2].write_bytes(paths[2].read_bytes() + bytes(32))
    assert open_checkpoint(tmp_path).fingerprint() != before


@pytest.mark.parametrize("gone", range(3))
def test_a_missing_part_is_named(tmp_path: Path, gone: int) -> None:
    paths = write_parts(tmp_path)
    paths[gone].unlink()
    with pytest.raises(CorruptFile, match=paths[gone].name) as caught:
        open_checkpoint(tmp_path)
    assert "3 files" in caught.value.why
    with pytest.raises(CorruptFile, match=paths[gone].name):
        open_checkpoint(paths[(gone + 1) % 3])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"split.count": 4}, "part 1 of 4 of a split file, and its name that it is part 1 of 3"),
        ({"split.no": 1}, "part 2 of 3 of a split file, and its name that it is part 1 of 3"),
        ({"split.no": "x"}, "part 'x' of 3"),
        ({"split.tensors.count": 5}, "hold 3 tensors where 5"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    paths = write_parts(tmp_path, **changed)
    with pytest.raises(CorruptFile, match=says):
        open_checkpoint(paths[0])


def test_a_tensor_in_two_parts_is_refused(tmp_path: Path) -> None:
    paths = write_parts(tmp_path)
    again = {"split.no": 1, "split.count": 3}
    paths[1].write_bytes(gguf_bytes(again, [RawTensor("w0", (4, 2), 0, 0)], bytes(32)))
    with pytest.raises(CorruptFile, match="'w0' stands twice"):
        open_checkpoint(paths[0])


@pytest.mark.parametrize("name", ["x-00000-of-00003.gguf", "x-00004-of-00003.gguf", "x-00001-of-00001.gguf"])
def test_a_whole_file_may_be_called_as_a_part_that_cannot_be(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gguf_bytes(tensors=[RawTensor("w", (8,), 0, 0)], data=bytes(32)))
    assert list(open_checkpoint(path).tensors) == ["w"]


def test_a_count_of_parts_that_is_huge_is_no_reason_to_look_for_them(tmp_path: Path) -> None:
    path = tmp_path / "x-00001-of-99999.gguf"
    path.write_bytes(gguf_bytes({"split.count": 99999}))
    with pytest.raises(HearthError):
        open_checkpoint(path)


def test_a_split_model_is_the_model(tmp_path: Path) -> None:
    """Tokenizer, settings and every byte of its tensors."""
    whole = Path(__file__).parents[1] / "golden" / "llama3" / "twin.gguf"
    one = open_checkpoint(whole)
    many = open_checkpoint(split(whole, tmp_path, "twin", 4)[2])
    assert dict(many.tensors) == dict(one.tensors)
    assert all((many.raw(name) == one.raw(name)).all() for name in one.tensors)
    assert many.tokenizer() == one.tokenizer()
    assert {k: v for k, v in many.config.items() if not k.startswith("split.")} == dict(one.config)
