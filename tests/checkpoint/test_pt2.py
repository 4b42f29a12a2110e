"""Programs that PyTorch exported: what is read, and what is said of damaged and hostile files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearth.checkpoint.pt2 import ExportedProgram, Ref
from hearth.errors import CorruptFile, HearthError, Unsupported

GOLDEN = Path(__file__).parent.parent / "golden" / "imported"
GRAPH = "model/models/model.json"
WEIGHTS = "model/data/weights/model_weights_config.json"


def entries_of(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(GOLDEN / f"{name}.pt2") as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def write(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def _changed(tmp_path: Path, entry: str, change: Callable[[Any], None]) -> ExportedProgram:
    entries = entries_of("mobile")
    content = json.loads(entries[entry])
    change(content)
    return ExportedProgram(write(tmp_path / "m.pt2", {**entries, entry: json.dumps(content).encode()}))


def test_a_program_is_read() -> None:
    program = ExportedProgram(GOLDEN / "mobile.pt2")
    first = next(node for node in program.nodes if node.target == "aten.conv2d.default")
    assert first.arguments["input"] == Ref(program.inputs[0].name)
    assert first.arguments["stride"] == [2, 2]
    assert first.place == f"aten.conv2d.default (node {first.name!r} in stem.0)"
    assert program.inputs[0].shape == (1, 3, 32, 32)
    assert len(program.outputs) == 2
    assert program.tensors["head.weight"].shape == (5, 4)
    weight = program.array("head.weight")
    np.testing.assert_array_equal(weight * 16, np.round(weight * 16))
    assert program.raw("head.weight").tobytes() == weight.tobytes()


def test_packed_or_not_and_under_any_name_it_is_the_same_program(tmp_path: Path) -> None:
    packed = ExportedProgram(GOLDEN / "mobile.pt2")
    plain = ExportedProgram(write(tmp_path / "other.pt2", entries_of("mobile")))
    assert plain.digest() == packed.digest()
    assert plain.fingerprint() != packed.fingerprint()  # another file


def test_elements_that_lie_in_another_order(tmp_path: Path) -> None:
    def turn(config: Any) -> None:
        meta = config["config"]["head.weight"]["tensor_meta"]
        meta["strides"] = [{"as_int": 1}, {"as_int": 5}]

    whole = ExportedProgram(GOLDEN / "mobile.pt2").array("head.weight")
    found = _changed(tmp_path, WEIGHTS, turn).array("head.weight")
    np.testing.assert_array_equal(found, whole.reshape(4, 5).T)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"keeps 'head.weight' as a pickle"):
        _changed(tmp_path, WEIGHTS, lambda config: config["config"]["head.weight"].update(use_pickle=True))


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ({"m/data.pkl": b"cos\nsystem\n", "m/version": b"3"}, "holds weights or a TorchScript program"),
        ({"serialized_exported_program.json": b"{}", "serialized_state_dict.pt": b""}, "an older PyTorch"),
        ({"readme.txt": b""}, "something else"),
    ],
)
def test_other_archives_are_told_by_what_they_are(tmp_path: Path, entries: dict[str, bytes], what: str) -> None:
    with pytest.raises(Unsupported, match=what):
        ExportedProgram(write(tmp_path / "m.pt2", entries))


@pytest.mark.parametrize(
    "changes",
    [
        {"strides": [{"as_int": 1 << 30}, {"as_int": 1}]},
        {"storage_offset": {"as_int": 1}},
        {"sizes": [{"as_int": 1 << 20}, {"as_int": 4}]},
    ],
)
def test_tensors_beyond_their_bytes_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    program = _changed(tmp_path, WEIGHTS, lambda c: c["config"]["head.weight"]["tensor_meta"].update(changes))
    with pytest.raises(CorruptFile, match=r"is damaged at 'head.weight'"):
        program.array("head.weight")


@pytest.mark.parametrize(
    "changes",
    [
        {"strides": [{"as_int": -4}, {"as_int": 1}]},
        {"strides": [{"as_int": 1 << 60}, {"as_int": 1}]},
        {"strides": [{"as_int": 1}]},
        {"sizes": [{"as_int": -5}, {"as_int": 4}]},
        {"sizes": [{"as_int": 1 << 30}, {"as_int": 1 << 30}]},
        {"dtype": 99},
    ],
)
def test_impossible_tensors_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(CorruptFile, match="no sound exported program"):
        _changed(tmp_path, WEIGHTS, lambda c: c["config"]["head.weight"]["tensor_meta"].update(changes))


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    entries = entries_of("mobile")
    bomb = next(name for name in entries if name.endswith("weights/weight_0"))
    entries[bomb] = bytes(16)
    path = write(tmp_path / "m.pt2", entries, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        crc = archive.getinfo(bomb).CRC.to_bytes(4, "little")
    # The unpacked size stands 8 bytes after the checksum, before the file and in the directory.
    at = data.rfind(crc)
    path.write_bytes(data[: at + 8] + (0xFFFFFFF0).to_bytes(4, "little") + data[at + 12 :])
    program = ExportedProgram(path)
    broken = next(name for name in program.tensors if program._located[name].entry == bomb)
    with pytest.raises(CorruptFile, match="bytes"):
        program.array(broken)


def test_an_expression_in_a_size_is_not_evaluated(tmp_path: Path) -> None:
    def put(model: Any) -> None:
        size = model["graph_module"]["graph"]["tensor_values"]["x"]["sizes"]
        size[0] = {"as_expr": {"expr_str": "__import__('os').system('false')", "hint": None}}

    program = _changed(tmp_path, GRAPH, put)
    assert program.inputs[0].shape[0].name.startswith("__import__")  # a name like any other


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    data = (GOLDEN / "mobile.pt2").read_bytes()
    path = tmp_path / "m.pt2"
    for size in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(HearthError):
            ExportedProgram(path)
