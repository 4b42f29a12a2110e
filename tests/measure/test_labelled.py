"""What pictures show, as folders or a file say it. If these fail, `hearth eval` counts right answers as wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.errors import CorruptFile, HearthError, StorageError, UsageError
from hearth.measure.labelled import labelled_pictures, match_labels


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def told(folder: Path, labels: Path | None = None) -> list[tuple[str, str | None]]:
    return [(str(p.path.relative_to(folder)), p.label) for p in labelled_pictures(folder, labels)]


def test_folders_are_labels_at_any_depth_and_what_lies_beside_them_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.png", "cat/2.JPG", "cat/kittens/3.webp", "cat/notes.txt", "stray.png", "empty/readme.md")
    assert told(tmp_path) == [("cat/2.JPG", "cat"), ("cat/kittens/3.webp", "cat"), ("dog/1.png", "dog")]


def test_pictures_without_folders_have_no_labels(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.png")
    assert told(tmp_path) == [("a.png", None), ("b.png", None)]


@pytest.mark.parametrize("separator", [",", "\t", " ", ", "])
def test_a_file_says_what_pictures_show(separator: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "deep/b.png", "unnamed.png")
    labels = tmp_path / "labels.csv"
    lines = [f"deep/b.png{separator}great white shark", "", f"a.png{separator}tench"]
    labels.write_text("\n".join(lines), encoding="utf-8-sig")
    assert told(tmp_path, labels) == [("deep/b.png", "great white shark"), ("a.png", "tench")]


@pytest.mark.parametrize(
    ("lines", "error", "says"),
    [
        ("a.png,cat\nb.png\n", CorruptFile, "Line 2"),
        ("a.png,\n", CorruptFile, "Line 1"),
        ("none.png,cat\n", UsageError, "none.png"),
        ("\n", StorageError, "names no pictures"),
    ],
)
def test_a_file_that_says_it_wrongly_is_refused(
    lines: str, error: type[HearthError], says: str, tmp_path: Path
) -> None:
    touch(tmp_path, "a.png", "b.png")
    (tmp_path / "labels.csv").write_text(lines)
    with pytest.raises(error, match=says):
        labelled_pictures(tmp_path, tmp_path / "labels.csv")


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    for place in (tmp_path / "none", tmp_path / "notes.txt"):
        with pytest.raises(StorageError, match="no folder"):
            labelled_pictures(place)
    with pytest.raises(StorageError, match="no pictures"):
        labelled_pictures(tmp_path)


IMAGENET = ["tench, Tinca tinca", "crane", "maillot", "crane, hoisting machine", "great_white shark, white shark"]


@pytest.mark.parametrize(
    ("names", "indices"),
    [
        (["Tinca tinca", "Great White Shark", "hoisting machine"], [0, 4, 3]),
        (["crane", "white_shark"], [1, 4]),
        (["0", "3"], [0, 3]),
        (["n01", "n02", "n03", "n04", "n05"], [0, 1, 2, 3, 4]),
        (["tench", "horse"], None),
        (["7", "0"], None),
    ],
)
def test_names_are_found_among_labels(names: list[str], indices: list[int] | None) -> None:
    matching = match_labels(names, IMAGENET)
    found = None if matching.indices is None else [matching.indices[name] for name in names]
    assert found == indices
    assert bool(matching.notice) == (indices is None or "n01" in names)
