"""Damaged and hostile files of any kind: an error of Hearth's own or a sound answer, quickly and in little memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.tokenizer.sentencepiece_model import read_sentencepiece
from hearth.checkpoint.tokenizer.spm import spm_document
from hearth.errors import HearthError

from .builders import (
    RawTensor,
    entry,
    gguf_bytes,
    model_folder,
    safetensors_bytes,
    sentencepiece_bytes,
    spm_metadata,
    spm_vocabulary,
)

FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

GGUF = gguf_bytes(
    spm_metadata(spm_vocabulary("▁ab", "ab", "▁")[:4] + spm_vocabulary("▁ab", "ab", "▁")[259:]),
    [RawTensor("a", (4, 2), 0, 0), RawTensor("b", (32, 3), 8, 32)],
    bytes(134),
)
SAFETENSORS = safetensors_bytes(
    {"w": entry("BF16", (2, 3), 0, 12), "v": entry("F32", (1,), 12, 16), "__metadata__": {"format": "pt"}}, bytes(16)
)
SENTENCEPIECE = sentencepiece_bytes(spm_vocabulary("▁ab", "ab", "▁"), byte_fallback=True)

INTERESTING = [0, 1, 0x7F, 0x80, 0xFF, 1 << 31, (1 << 32) - 1, 1 << 60, 1 << 63, (1 << 64) - 1]


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """A sound file with some bytes changed, numbers put in, parts cut out, repeated or cut off."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["byte", "u32", "u64", "cut", "repeat", "end"]))
        if kind == "byte":
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind in ("u32", "u64"):
            size = 4 if kind == "u32" else 8
            value = draw(st.sampled_from(INTERESTING)) & ((1 << 8 * size) - 1)
            data[at : at + size] = value.to_bytes(size, "little")
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 40))]
        elif kind == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        else:
            del data[at:]
    return bytes(data)


def must_stay_calm(read: Callable[[], object]) -> None:
    started = time.perf_counter()
    tracemalloc.start()
    try:
        read()
    except HearthError:
        pass  # refused, as it should be
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 64 << 20
    assert time.perf_counter() - started < 60  # 1 s is the promise; the rest is for a busy machine


def read_all(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    for key in checkpoint.config:
        checkpoint.config.get(key)
    for name, info in checkpoint.tensors.items():
        assert checkpoint.raw(name).size == info.size_bytes
    checkpoint.fingerprint()
    checkpoint.tokenizer()


@FUZZ
@given(data=damaged(GGUF))
def test_a_damaged_gguf_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    must_stay_calm(lambda: read_all(path))


@FUZZ
@given(data=damaged(SAFETENSORS))
def test_a_damaged_safetensors_file(tmp_path: Path, data: bytes) -> None:
    must_stay_calm(lambda: read_all(model_folder(tmp_path, model__safetensors=data)))


@FUZZ
@given(data=damaged(SENTENCEPIECE))
def test_a_damaged_sentencepiece_model(data: bytes) -> None:
    must_stay_calm(lambda: spm_document(read_sentencepiece(data, "m")[0], "m"))


@FUZZ
@given(data=st.binary(max_size=300))
def test_noise(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + data)
    must_stay_calm(lambda: read_all(path))
    must_stay_calm(lambda: read_all(model_folder(tmp_path / "folder", model__safetensors=data)))
    must_stay_calm(lambda: read_sentencepiece(data, "m"))


@pytest.mark.parametrize("words", [["a" * n for n in range(2, 900)], ["a" * 1024, *("a" * n for n in range(2, 60))]])
def test_a_vocabulary_made_to_have_many_merges(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes(spm_metadata([("<unk>", 0.0, 2), *((word, -1.0, 1) for word in ["a", *words])])))
    assert path.stat().st_size < 1 << 20
    must_stay_calm(lambda: open_checkpoint(path).tokenizer())
