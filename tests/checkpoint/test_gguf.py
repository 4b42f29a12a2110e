"""GGUF files: the sound ones read right, each kind of unsound one is refused with an error that names it."""

from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from hearth.checkpoint import TensorInfo, open_checkpoint
from hearth.checkpoint.mapped import map_file
from hearth.errors import CorruptFile, HearthError, StorageError, Unsupported, UsageError

from .builders import ARRAY, BOOL, F32, I32, STRING, U32, U64, RawTensor, Typed, gguf_bytes, gguf_model, gguf_string


@pytest.fixture
def write(tmp_path: Path):
    def write(data: bytes, name: str = "model.gguf") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def test_reads_tensors_where_they_stand(write) -> None:
    checkpoint = open_checkpoint(write(gguf_model()))
    assert checkpoint.kind == "gguf"
    assert checkpoint.architecture == "llama"
    assert dict(checkpoint.tensors) == {
        "a": TensorInfo("a", (2, 4), "f32", 32),
        "b": TensorInfo("b", (3, 32), "q8_0", 102),
    }
    assert checkpoint.raw("a").view("<f4").tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert checkpoint.raw("b").tobytes() == bytes(range(102))


def test_bytes_are_a_read_only_view_of_the_file(write) -> None:
    raw = open_checkpoint(write(gguf_model())).raw("a")
    assert raw.dtype == np.uint8
    assert raw.ndim == 1
    with pytest.raises(ValueError, match="read-only"):
        raw[0] = 1


def test_version_2_reads_as_version_3_does(write) -> None:
    data = bytearray(gguf_model())
    data[4:8] = struct.pack("<I", 2)
    assert open_checkpoint(write(bytes(data))).raw("a").view("<f4")[7] == 7


def test_a_folder_with_one_gguf_opens_it_and_with_two_asks_which(tmp_path: Path, write) -> None:
    write(gguf_model())
    assert open_checkpoint(tmp_path).kind == "gguf"
    write(gguf_model(), "other.gguf")
    with pytest.raises(UsageError, match="2 GGUF models"):
        open_checkpoint(tmp_path)


def test_metadata_come_as_python_values(write) -> None:
    metadata = {
        "int": 7,
        "big": Typed(U64, 2**60),
        "float": 0.5,
        "yes": True,
        "text": "über",
        "numbers": Typed(I32, [1, -2]),
        "floats": Typed(F32, [0.25]),
        "flags": Typed(BOOL, [1, 0]),
        "words": ["a", "", "b"],
        "none": Typed(U32, []),
    }
    config = open_checkpoint(write(gguf_bytes(metadata))).config
    assert {key: config[key] for key in metadata} == {
        "int": 7,
        "big": 2**60,
        "float": 0.5,
        "yes": True,
        "text": "über",
        "numbers": [1, -2],
        "floats": [0.25],
        "flags": [True, False],
        "words": ["a", "", "b"],
        "none": [],
    }
    assert "missing" not in config
    assert config.get("missing") is None
    assert len(config) == len(metadata) + 1


def test_nested_arrays_read_and_absurdly_nested_ones_do_not(write) -> None:
    def nested(depth: int) -> bytes:
        inner = struct.pack("<IQ", U32, 1) + struct.pack("<I", 9)
        for _ in range(depth - 1):
            inner = struct.pack("<IQ", ARRAY, 1) + inner
        return gguf_string("deep") + struct.pack("<I", ARRAY) + inner

    head = gguf_bytes(metadata_count=2)
    assert open_checkpoint(write(head + nested(3))).config["deep"] == [[[9]]]
    with pytest.raises(CorruptFile, match="nested"):
        open_checkpoint(write(head + nested(1000)))


def test_a_tensor_type_hearth_cannot_use_is_listed_and_refused_by_name(write) -> None:
    data = gguf_bytes(tensors=[RawTensor("w", (256, 2), 15, 0)], data=bytes(584))
    checkpoint = open_checkpoint(write(data))
    assert checkpoint.tensors["w"] == TensorInfo("w", (2, 256), "q8_k", 584)
    with pytest.raises(Unsupported, match=r"w.*q8_k.*Q4_K_M"):
        checkpoint.raw("w")


def nvfp4_bytes(**scales: tuple[int, ...]) -> bytes:
    """A tensor `x.weight` of type NVFP4 and others of one name, f32."""
    tensors, data = [RawTensor("x.weight", (64, 2), 40, 0)], bytes(96)
    for name, dims in scales.items():
        tensors.append(RawTensor(f"x.{name}", dims, 0, len(data)))
        data += struct.pack("<f", 0.25) * 8
    return gguf_bytes(tensors=tensors, data=data)


def test_the_scale_of_a_whole_tensor_belongs_to_it(write) -> None:
    checkpoint = open_checkpoint(write(nvfp4_bytes(scale=(1,), input_scale=(1,), bias=(8,))))
    assert list(checkpoint.tensors) == ["x.weight", "x.bias"]
    assert checkpoint.tensors["x.weight"] == TensorInfo("x.weight", (2, 64), "nvfp4", 72, factor=0.25)
    assert open_checkpoint(write(nvfp4_bytes())).tensors["x.weight"].factor == 1


def test_a_scale_for_each_expert_is_refused(write) -> None:
    with pytest.raises(Unsupported, match=r"x.scale.*\[8\]"):
        open_checkpoint(write(nvfp4_bytes(scale=(8,))))


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        pytest.param(b"", CorruptFile, "no GGUF file", id="empty"),
        pytest.param(b"GGU", CorruptFile, "no GGUF file", id="half a magic"),
        pytest.param(b"\x80\x02PK" + bytes(60), CorruptFile, "no GGUF file", id="another format"),
        pytest.param(gguf_bytes(version=1), Unsupported, "version 1", id="version 1"),
        pytest.param(gguf_bytes(version=4), Unsupported, "version 4", id="version 4"),
        pytest.param(gguf_bytes(version=3 << 24), Unsupported, "big-endian", id="big-endian"),
        pytest.param(
            gguf_bytes(tensor_count=2**60), CorruptFile, "1,152,921,504,606,846,976 tensors", id="2^60 tensors"
        ),
        pytest.param(gguf_bytes(metadata_count=2**60), CorruptFile, "metadata entries", id="2^60 entries"),
        pytest.param(gguf_bytes(metadata_count=2**64 - 1), CorruptFile, "metadata entries", id="2^64 - 1 entries"),
        pytest.param(gguf_bytes([("x", 1), ("x", 2)]), CorruptFile, "'x' stands twice", id="key twice"),
        pytest.param(gguf_bytes({"general.alignment": 48}), CorruptFile, "power of two", id="alignment 48"),
        pytest.param(gguf_bytes({"general.alignment": 0}), CorruptFile, "power of two", id="alignment 0"),
        pytest.param(gguf_bytes({"general.alignment": "32"}), CorruptFile, "power of two", id="alignment text"),
        pytest.param(gguf_bytes({"general.architecture": 5}), CorruptFile, "architecture", id="no architecture"),
        pytest.param(gguf_bytes({"split.count": 3}), CorruptFile, "part 1 of 3.*its name does not", id="split"),
    ],
)
def test_an_unsound_header_is_refused(write, data: bytes, error: type[HearthError], says: str) -> None:
    with pytest.raises(error, match=says):
        open_checkpoint(write(data))


@pytest.mark.parametrize(
    ("tensors", "data", "error", "says"),
    [
        pytest.param(
            [RawTensor("w", (4,), 0, 0)], bytes(8), CorruptFile, r"'w' ends at byte.*model|the file has", id="short"
        ),
        pytest.param([RawTensor("w", (4,), 0, 2**40)], bytes(16), CorruptFile, "truncated", id="offset past the end"),
        pytest.param([RawTensor("w", (4,), 0, 2**63)], bytes(16), CorruptFile, "truncated", id="offset 2^63"),
        pytest.param([RawTensor("w", (4,), 0, 8)], bytes(64), CorruptFile, "alignment", id="offset not aligned"),
        pytest.param([RawTensor("w", (1,) * 5, 0, 0)], bytes(64), CorruptFile, "5 dimensions", id="5 dimensions"),
        pytest.param([RawTensor("w", (4, 0), 0, 0)], bytes(64), CorruptFile, "impossible shape", id="a zero dimension"),
        pytest.param([RawTensor("w", (2**32, 2**32), 0, 0)], b"", CorruptFile, "impossible shape", id="overflow"),
        pytest.param([RawTensor("w", (33, 2), 8, 0)], bytes(99), CorruptFile, "multiple of 32", id="broken blocks"),
        pytest.param([RawTensor("w", (4,), 999, 0)], bytes(64), Unsupported, "type number 999", id="unknown type"),
        pytest.param([RawTensor("w", (256,), 31, 0)], bytes(64), Unsupported, "q4_0_4_4.*removed", id="removed type"),
        pytest.param([RawTensor("w", (256,), 144, 0)], bytes(64), Unsupported, "iq4_ks of ik_llama", id="fork's type"),
        pytest.param([RawTensor("w", (256,), 339, 0)], bytes(64), Unsupported, "339 of ik_llama", id="fork's rows"),
        pytest.param([RawTensor("w", (4,), 0, 0)] * 2, bytes(64), CorruptFile, "'w' stands twice", id="name twice"),
        pytest.param(
            [RawTensor("v", (256, 8), 42, 0), RawTensor("w", (16,), 0, 544)],
            bytes(1200),
            Unsupported,
            "'v' has the type q2_0 with a scale for 128",
            id="a fork's q2_0",
        ),
        pytest.param(
            [RawTensor("v", (16,), 0, 0), RawTensor("w", (16,), 0, 32)], bytes(96), CorruptFile, "overlap", id="overlap"
        ),
    ],
)
def test_an_unsound_tensor_is_refused(write, tensors, data: bytes, error: type[HearthError], says: str) -> None:
    with pytest.raises(error, match=says):
        open_checkpoint(write(gguf_bytes(tensors=tensors, data=data)))


def test_a_truncated_file_says_how_much_is_missing_and_what_to_do(write) -> None:
    data = gguf_model()
    with pytest.raises(CorruptFile) as caught:
        open_checkpoint(write(data[:-1]))
    assert f"{len(data):,}" in str(caught.value)
    assert f"{len(data) - 1:,}" in str(caught.value)
    assert "hearth pull" in caught.value.hint


@pytest.mark.parametrize("size", range(0, len(gguf_model()), 7))
def test_a_file_cut_anywhere_is_refused(write, size: int) -> None:
    with pytest.raises(HearthError):
        open_checkpoint(write(gguf_model()[:size]))


@pytest.mark.parametrize("item_type", [U32, STRING, ARRAY, U64])
@pytest.mark.parametrize("count", [2**20, 2**60, 2**64 - 1])
def test_an_array_longer_than_the_file_is_refused_before_anything_is_allocated(
    write, item_type: int, count: int
) -> None:
    path = write(
        gguf_bytes(metadata_count=2) + gguf_string("x") + struct.pack("<IIQ", ARRAY, item_type, count) + bytes(1000)
    )
    tracemalloc.start()
    try:
        with pytest.raises(CorruptFile):
            open_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("length", [17, 2**40, 2**63, 2**64 - 1])
def test_a_string_in_an_array_longer_than_the_file_is_refused(write, length: int) -> None:
    broken = gguf_string("x") + struct.pack("<IIQQ", ARRAY, STRING, 1, length) + bytes(16)
    with pytest.raises(CorruptFile):
        open_checkpoint(write(gguf_bytes(metadata_count=2) + broken))


def test_text_that_is_no_utf8_is_refused_when_it_is_asked_for(write) -> None:
    config = open_checkpoint(write(gguf_bytes({"good": "a", "bad": b"\xff\xfe", "list": [b"ok", b"\xc3"]}))).config
    assert config["good"] == "a"
    for key in ("bad", "list"):
        with pytest.raises(CorruptFile, match=f"{key}.*UTF-8"):
            config[key]


def test_a_file_full_of_tiny_entries_is_read_quickly(write) -> None:
    entries = [(f"{number:x}", True) for number in range(60_000)]  # 1 MB
    started = time.perf_counter()
    assert len(open_checkpoint(write(gguf_bytes(entries))).config) == 60_001
    assert time.perf_counter() - started < 60  # typically 0.2 s; a quadratic reader takes minutes


def test_fingerprint_changes_with_the_content_and_not_with_the_place(write, tmp_path: Path) -> None:
    path = write(gguf_model())
    first = open_checkpoint(path).fingerprint()
    assert open_checkpoint(path).fingerprint() == first
    path.write_bytes(gguf_bytes({"general.name": "other"}))
    assert open_checkpoint(path).fingerprint() != first


def test_a_file_that_cannot_be_opened_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone\.gguf cannot be read"):
        map_file(tmp_path / "gone.gguf")


def test_reads_a_real_file_as_the_reference_does(shared_data: Path) -> None:
    gguf = pytest.importorskip("gguf")
    path = shared_data / "tinyllamas-stories260K/stories260K.gguf"
    checkpoint = open_checkpoint(path)
    reference = gguf.GGUFReader(path)
    assert set(checkpoint.tensors) == {tensor.name for tensor in reference.tensors}
    for tensor in reference.tensors:
        info = checkpoint.tensors[tensor.name]
        assert info.shape == tuple(int(dim) for dim in reversed(tensor.shape))
        assert checkpoint.raw(tensor.name).tobytes() == tensor.data.tobytes()
    for key, field in reference.fields.items():
        if not key.startswith("GGUF."):
            assert checkpoint.config[key] == field.contents()


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        ({"general.type": "adapter", "adapter.type": "lora"}, "LoRA adapter"),
        ({"general.type": "imatrix", "general.architecture": ""}, "importance matrix"),
        ({"general.type": "mmproj"}, "mmproj"),
        ({"general.architecture": "clip"}, "mmproj"),
    ],
)
def test_a_file_that_is_no_model_is_named_for_what_it_is(tmp_path: Path, metadata: dict[str, str], what: str) -> None:
    (tmp_path / "other.gguf").write_bytes(gguf_bytes(metadata))
    with pytest.raises(Unsupported, match=what):
        open_checkpoint(tmp_path / "other.gguf")
