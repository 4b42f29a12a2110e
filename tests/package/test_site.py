"""A packaged site on the disk: chunks have the names of their content, and one that fails leaves nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.chat import embedding_model
from tests.compiler.compiled import compile_here, shared_cache
from tests.wasm.conftest import LLAMA

import hearth.compiler
from hearth.bundle import COSTS, GPU_COSTS, KNOWN_ANSWERS, open_bundle
from hearth.cli.main import run
from hearth.compiler.cpu import targets
from hearth.errors import BundleMismatch, StorageError
from hearth.package import write_site
from hearth.package.chunks import write_chunks
from hearth.package.site import PAGE, WEB_MANIFEST


def test_chunks_are_the_file_and_have_the_names_of_their_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    (tmp_path / "file").write_bytes(content)
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    with (tmp_path / "file").open("rb") as stream:
        names = write_chunks(stream, blobs, chunk_bytes=1000)
    parts = [(blobs / name).read_bytes() for name in names]
    assert [len(part) for part in parts] == [1000, 1000, 560]
    assert b"".join(parts) == content
    assert names == [hashlib.sha256(part).hexdigest() for part in parts]


def test_every_file_of_the_bundle_can_be_put_together_again(bundle_folder: Path, tmp_path: Path) -> None:
    bundle = open_bundle(bundle_folder, for_this_machine=False)
    site = write_site(bundle, tmp_path / "site")
    told = json.loads((site.path / "model.json").read_text())
    assert set(told["files"]) == {"manifest.json", *bundle.manifest.files} - {COSTS, GPU_COSTS}
    for name, file in told["files"].items():
        parts = [(site.path / "blobs" / chunk).read_bytes() for chunk in file["chunks"]]
        assert [hashlib.sha256(part).hexdigest() for part in parts] == file["chunks"]
        if name != "manifest.json":
            assert b"".join(parts) == (bundle_folder / name).read_bytes()
        assert len(b"".join(parts)) == file["size_bytes"]
    blobs = {chunk for file in told["files"].values() for chunk in file["chunks"]}
    assert {path.name for path in (site.path / "blobs").iterdir()} == blobs
    assert told["name"] == "stories260K.gguf"
    assert json.loads((site.path / "site.webmanifest").read_text())["name"].startswith(told["name"])


def test_a_site_does_not_tell_where_the_model_lay(stories: Path, bundle_folder: Path, tmp_path: Path) -> None:
    bundle = open_bundle(bundle_folder, for_this_machine=False)
    private = replace(bundle, manifest=replace(bundle.manifest, source_name=str(stories)))
    site = write_site(private, tmp_path / "site")
    for path in site.path.rglob("*"):
        assert path.is_dir() or str(stories.parent).encode() not in path.read_bytes(), path.name


def test_a_site_takes_the_place_of_an_older_one_and_of_nothing_else(bundle_folder: Path, tmp_path: Path) -> None:
    bundle = open_bundle(bundle_folder, for_this_machine=False)
    site = tmp_path / "site"
    write_site(bundle, site)
    (site / "blobs" / "old").write_bytes(b"old")
    write_site(bundle, site)
    assert not (site / "blobs" / "old").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(StorageError, match="no packaged site"):
        write_site(bundle, tmp_path / "mine")
    assert {path.name for path in tmp_path.iterdir()} == {"site", "mine"}
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]


def test_a_site_that_cannot_be_written_leaves_nothing(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(bundle_folder, for_this_machine=False)

    def full(*_: object, **__: object) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hearth.package.site.write_chunks", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write_site(bundle, tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_for_the_page_already_is_told_in_a_line(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(bundle_folder, for_this_machine=False)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(StorageError) as caught:
        write_site(bundle, tmp_path / "site")
    assert str(caught.value).startswith(f"Cannot write {tmp_path / 'site'}: the disk is full. ")
    assert list(tmp_path.iterdir()) == []


def test_files_of_the_page_are_as_new_as_their_site(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older page that takes the place of a newer one is else taken for unchanged (If-Modified-Since)."""
    page = tmp_path / "page"
    page.mkdir()
    for file in (PAGE / "page.js", PAGE / WEB_MANIFEST):
        shutil.copyfile(file, page / file.name)
        os.utime(page / file.name, (0, 0))
    monkeypatch.setattr("hearth.package.site.PAGE", page)
    before = time.time()
    site = write_site(open_bundle(bundle_folder, for_this_machine=False), tmp_path / "site")
    assert (site.path / "page.js").stat().st_mtime > before - 2


def test_a_bundle_of_another_machine_is_refused(stories: Path, tmp_path: Path) -> None:
    native = compile_here(stories, tmp_path / "native")
    with pytest.raises(BundleMismatch, match="A page runs WebAssembly"):
        write_site(open_bundle(native), tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_the_verb_compiles_and_writes_and_says_what_is_loaded(
    stories: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with shared_cache():
        assert run(["package", "web", str(stories), "--out", str(tmp_path / "site")]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "site")
    assert "A visitor loads" in err
    assert "weights" in err
    assert (tmp_path / "site" / "index.html").is_file()
    told = json.loads((tmp_path / "site" / "model.json").read_text())
    assert KNOWN_ANSWERS in told["files"]


def test_a_bundle_for_pages_has_known_answers_and_its_site_too(stories: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    with shared_cache():
        assert run(["compile", str(stories), "--target", "wasm32", "--output", str(folder)]) == 0
    open_bundle(folder, for_this_machine=False, verify="full")
    answers = json.loads((folder / KNOWN_ANSWERS).read_text())
    assert [len(call["tokens"]) for call in answers["calls"]] == [40, 1, 4, 1]
    assert run(["package", "web", str(folder), "--out", str(tmp_path / "site")]) == 0
    assert KNOWN_ANSWERS in json.loads((tmp_path / "site" / "model.json").read_text())["files"]


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = compile_here(LLAMA, tmp_path / "bundle", target="wasm32", quant="f32", head="f32", precision="high")
    assert run(["package", "web", str(bundle), "--out", str(tmp_path / "site")]) == 10
    assert "without a tokenizer" in capsys.readouterr().err


def headless(folder: Path) -> Path:
    """A model that was published without what makes text, as those that make vectors are."""
    embedding_model.write(folder, ["mean"])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    return folder


def test_what_no_page_can_run_is_refused_before_it_is_compiled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearth.compiler, "compile_model", None)
    vectors = headless(tmp_path / "vectors")
    for source, words in ((LLAMA, "without a tokenizer"), (vectors, "makes vectors and writes no text")):
        assert run(["package", "web", str(source), "--out", str(tmp_path / "site")]) != 0
        assert words in capsys.readouterr().err
    monkeypatch.setitem(targets.MEMORY_BYTES, "wasm32", 1 << 20)
    assert run(["package", "web", str(stories), "--out", str(tmp_path / "site")]) != 0
    assert "of memory, and 1 MiB can be had" in capsys.readouterr().err
