"""A model that was opened before is found again at once, unless anything that shaped its bundle has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hearth.bundle import cache_dir, memory_of

REQUEST = {"name": "model.gguf", "quant": None, "context": 512}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def watched(tmp_path: Path) -> list[Path]:
    file, folder = tmp_path / "model.gguf", tmp_path / "sources"
    file.write_bytes(b"weights")
    (folder / "room").mkdir(parents=True)
    (folder / "room" / "a.py").write_bytes(b"pass")
    return [file, folder, tmp_path / "missing"]


def test_what_is_remembered_is_found(watched: list[Path]) -> None:
    assert memory_of(REQUEST, watched).recall() is None
    memory_of(REQUEST, watched).remember(Path("/bundles/one"))
    assert memory_of(REQUEST, watched).recall() == Path("/bundles/one")
    assert memory_of({**REQUEST, "quant": "q8"}, watched).recall() is None
    (watched[1] / "__pycache__").mkdir()
    assert memory_of(REQUEST, watched).recall() == Path("/bundles/one")


@pytest.mark.parametrize("change", ["size", "time", "new file", "file gone", "appeared", "replaced by a folder"])
def test_a_change_is_noticed(watched: list[Path], change: str) -> None:
    before = memory_of(REQUEST, watched)
    before.remember(Path("/bundles/one"))
    file, folder, missing = watched
    if change == "size":
        file.write_bytes(b"other weights")
    elif change == "time":
        os.utime(file, ns=(0, 1))
    elif change == "new file":
        (folder / "room" / "b.py").touch()
    elif change == "file gone":
        (folder / "room" / "a.py").unlink()
    elif change == "appeared":
        missing.touch()
    else:
        file.unlink()
        file.mkdir()
    assert memory_of(REQUEST, watched).recall() is None
    # What changed while the compiler was at work is not taken for what it compiled.
    before.remember(Path("/bundles/two"))
    assert memory_of(REQUEST, watched).recall() is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"state": 1}', b"\xff" * 100, b"[" * 100_000])
def test_a_damaged_memory_is_none(watched: list[Path], content: bytes) -> None:
    memory = memory_of(REQUEST, watched)
    memory.remember(Path("/bundles/one"))
    memory.file.write_bytes(content)
    assert memory.recall() is None


def test_a_cache_that_cannot_be_written_is_no_error(watched: list[Path]) -> None:
    cache_dir().write_bytes(b"a file where the cache's folder should be")
    memory = memory_of(REQUEST, watched)
    memory.remember(Path("/bundles/one"))
    assert memory.recall() is None


def test_links_to_folders_are_not_followed(watched: list[Path], tmp_path: Path) -> None:
    _, folder, _ = watched
    beyond = tmp_path / "disk" / "beyond"
    beyond.mkdir(parents=True)
    for name, target in (("circle", folder), ("itself", Path("itself")), ("disk", tmp_path / "disk")):
        (folder / name).symlink_to(target)
    memory_of(REQUEST, watched).remember(Path("/bundles/one"))
    (beyond / "new").touch()
    assert memory_of(REQUEST, watched).recall() == Path("/bundles/one")
