"""A language model in a GGUF file and what sees for it, which lies beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from golden.vlm import HERE
from hearth.checkpoint import open_checkpoint
from hearth.errors import Unsupported, UsageError
from hearth.hub.ggufs import eyes_for
from hearth.model import load_family

TINY = HERE / "smolvlm" / "tiny-F16.gguf"
EYES = HERE / "smolvlm" / "mmproj-tiny-F16.gguf"


@pytest.mark.parametrize(
    ("model", "beside", "eyes"),
    [
        ("tiny-Q4_K_M.gguf", ["mmproj-tiny-Q8_0.gguf", "mmproj-tiny-F16.gguf"], "mmproj-tiny-F16.gguf"),
        ("gemma-Q4_K_M.gguf", ["gemma-Q8_0.gguf", "mmproj-model-f16.gguf"], "mmproj-model-f16.gguf"),
        ("gemma-Q4_K_M.gguf", ["other-Q8_0.gguf", "mmproj-model-f16.gguf"], None),
        ("gemma-Q4_K_M.gguf", ["other.gguf", "gemma.mmproj-q8_0.gguf"], "gemma.mmproj-q8_0.gguf"),
        ("a/gemma.gguf", ["mmproj-gemma.gguf"], None),
        ("a/gemma.gguf", ["a/mmproj-gemma.gguf"], "a/mmproj-gemma.gguf"),
        ("mmproj-tiny.gguf", [], None),
        ("tiny.gguf", ["mmproj.txt"], None),
    ],
)
def test_which_file_sees_for_a_model(model: str, beside: list[str], eyes: str | None) -> None:
    assert eyes_for(model, [model, *beside]) == eyes


def test_a_model_sees_by_the_file_beside_it_unless_told_otherwise(tmp_path: Path) -> None:
    beside = load_family(open_checkpoint(TINY))
    assert beside.sight is not None
    assert load_family(open_checkpoint(TINY, mmproj="none")).sight is None
    alone = Path(shutil.copy(TINY, tmp_path))
    assert load_family(open_checkpoint(alone)).sight is None
    named = open_checkpoint(alone, mmproj=str(EYES))
    assert load_family(named).sight is not None
    assert named.fingerprint() != open_checkpoint(alone).fingerprint()
    assert load_family(open_checkpoint(EYES.parent)).sight is not None


def test_files_that_see_nothing_or_for_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="goes with a language model"):
        open_checkpoint(EYES)
    with pytest.raises(Unsupported, match="no part of a model that sees"):
        open_checkpoint(TINY, mmproj=str(TINY))
    with pytest.raises(Unsupported, match="no token '<image_soft_token>'"):
        load_family(open_checkpoint(TINY, mmproj=str(HERE / "gemma3" / "mmproj-tiny-F16.gguf")))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match=r"goes with a \.gguf file"):
        open_checkpoint(tmp_path, mmproj=str(EYES))


def test_a_projector_that_is_not_known_is_refused_where_it_was_asked_for(tmp_path: Path) -> None:
    unknown = tmp_path / "mmproj-tiny.gguf"
    unknown.write_bytes(EYES.read_bytes().replace(b"idefics3", b"idefics9"))
    model = Path(shutil.copy(TINY, tmp_path))
    assert load_family(open_checkpoint(model)).sight is None
    with pytest.raises(Unsupported, match="'idefics9' is not supported"):
        load_family(open_checkpoint(model, mmproj=str(unknown)))


LLAVA = HERE / "llava" / "tiny-F16.gguf"


def edited_eyes(folder: Path, old: bytes, new: bytes) -> str:
    """LLaVA's eyes with a key of the same length under another name."""
    data = (LLAVA.parent / "mmproj-tiny-F16.gguf").read_bytes()
    assert len(old) == len(new)
    assert old in data
    path = folder / "mmproj-edited.gguf"
    path.write_bytes(data.replace(old, new))
    return str(path)


def test_llava_has_a_token_to_spare_where_pictures_stand() -> None:
    """Its vocabulary has none for pictures: llama.cpp puts embeddings between tokens."""
    model = load_family(open_checkpoint(LLAVA))
    assert model.sight is not None
    text = model.sight.sight.text
    assert (text.token, text.marker, text.token_id) == ("<unk>", "<unk>", 0)


def test_files_from_before_projectors_had_kinds_are_llavas(tmp_path: Path) -> None:
    eyes = edited_eyes(tmp_path, b"clip.projector_type", b"clip.projector_none")
    assert load_family(open_checkpoint(LLAVA, mmproj=eyes)).sight is not None


def test_llava_of_several_tiles_is_refused_by_what_says_so(tmp_path: Path) -> None:
    eyes = edited_eyes(tmp_path, b"clip.vision.feed_forward_length", b"clip.vision.mm_patch_merge_type")
    with pytest.raises(Unsupported, match="mm_patch_merge"):
        load_family(open_checkpoint(LLAVA, mmproj=eyes))
