"""Writing and keeping bundles: nothing half-written ever counts as one, and what goes wrong is said in words."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

from hearth.bundle import (
    BundleWriter,
    bundle_key,
    bundle_path,
    cache_dir,
    clear_unfinished,
    find_bundle,
    list_bundles,
    list_unfinished,
    open_bundle,
    remove_bundle,
)
from hearth.bundle import unfinished as unfinished_module
from hearth.errors import ModelNotFound, StorageError, UsageError

from .samples import fill, manifest, write_bundle


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEARTH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_folder_can_be_chosen(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == cache
    assert bundle_path("a-b.1") == cache / "bundles" / "a-b.1"
    monkeypatch.delenv("HEARTH_CACHE")
    assert cache_dir().name == "hearth"


@pytest.mark.parametrize("key", ["../x", "", ".", "a/b", ".unfinished-x"])
def test_keys_cannot_lead_out_of_the_cache(key: str) -> None:
    with pytest.raises(UsageError):
        bundle_path(key)


def test_keys_tell_apart_what_differs() -> None:
    key = bundle_key("Qwen/Qwen3-0.6B", {"quant": "q4", "context": 4096})
    assert key == bundle_key("Qwen/Qwen3-0.6B", {"context": 4096, "quant": "q4"})
    assert key != bundle_key("Qwen/Qwen3-0.6B", {"quant": "q8", "context": 4096})
    assert key.startswith("Qwen-Qwen3-0.6B-")
    for name in ("/home/ü/模型/x y.gguf", "..", "", "-", "a" * 500, "模型"):
        assert bundle_path(bundle_key(name, {})).name


@pytest.mark.usefixtures("cache")
def test_list_find_remove(cache: Path) -> None:
    assert list_bundles() == []
    assert find_bundle("one") is None
    write_bundle(bundle_path("two"))
    write_bundle(bundle_path("one"), quant="q8")
    (bundle_path("broken")).mkdir()
    (bundle_path("broken") / "manifest.json").write_text("{")
    (bundle_path("junk")).mkdir()
    listed = {stored.key: stored for stored in list_bundles()}
    assert list(listed) == ["broken", "one", "two"]
    assert listed["one"].manifest is not None
    assert listed["one"].manifest.quant == "q8"
    assert listed["one"].size_bytes > 4096
    assert "damaged" in listed["broken"].problem
    assert find_bundle("broken") is None
    found = find_bundle("two")
    assert found is not None
    mapped = found.weights.open("rb")
    remove_bundle("two")
    assert mapped.read(1) == b"\x07"  # who has it open keeps it
    mapped.close()
    assert find_bundle("two") is None
    remove_bundle("broken")
    assert [stored.key for stored in list_bundles()] == ["one"]
    assert not list((cache / "bundles").glob(".unfinished-*"))
    with pytest.raises(ModelNotFound, match="'two'"):
        remove_bundle("two")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_leaves_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    def write() -> None:
        with BundleWriter(tmp_path / "b") as writer:
            fill(writer)
            raise interruption

    with pytest.raises(interruption):
        write()
    assert list(tmp_path.iterdir()) == []


def test_leaving_without_commit_leaves_nothing(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "b") as writer:
        fill(writer)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from bundle.samples import fill, manifest
from hearth.bundle import BundleWriter, bundle_path, writer
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
with BundleWriter(bundle_path("killed")) as w:
    fill(w)
    if {where!r} == "before commit": die()
    writer._sync = die if {where!r} == "in commit" else writer._sync
    w._take_place = die
    w.commit(manifest())
"""


@pytest.mark.parametrize("where", ["before commit", "in commit", "before the rename"])
def test_a_killed_process_leaves_no_bundle(cache: Path, where: str) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent.parent), where=where)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert list_bundles() == []
    assert find_bundle("killed") is None
    # It is told of, and the next writer sweeps it away.
    (left,) = list_unfinished(cache / "bundles")
    assert (left.name, left.in_use) == ("killed", False)
    assert left.size_bytes > 4096
    write_bundle(bundle_path("other"))
    assert list_unfinished(cache / "bundles") == []
    assert [path.name for path in (cache / "bundles").iterdir()] == ["other"]


def test_what_another_process_is_writing_is_left_alone(cache: Path) -> None:
    code = (
        "import sys; from hearth.bundle import BundleWriter, bundle_path\n"
        "with BundleWriter(bundle_path('slow')) as w:\n"
        "    w.write('plan.bin', b'half')\n"
        "    print('writing', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert clear_unfinished(cache / "bundles") == 0
        write_bundle(bundle_path("other"))
        (busy,) = list_unfinished(cache / "bundles")
        assert (busy.name, busy.in_use) == ("slow", True)
        assert (busy.path / "plan.bin").read_bytes() == b"half"
        process.kill()
    assert clear_unfinished(cache / "bundles") > 0
    assert list_unfinished(cache / "bundles") == []


def test_only_what_is_named_as_hearth_names_it_is_swept_away(tmp_path: Path) -> None:
    """With --output the folder is a user's."""
    for name in (".unfinished-novel", ".unfinished-novel-1-draft", "unfinished-a-1-00000000"):
        (tmp_path / name).mkdir()
    write_bundle(tmp_path / "b")
    assert len(list(tmp_path.iterdir())) == 4


def test_without_locks_age_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished_module, "_lock", lambda *_, **__: None)
    left = tmp_path / ".unfinished-b-123-0123abcd"
    left.mkdir()
    (left / "weights.bin").write_bytes(bytes(9000))
    write_bundle(tmp_path / "b")
    assert left.exists()
    yesterday = time.time() - 25 * 3600
    for path in [*left.iterdir(), left]:
        os.utime(path, (yesterday, yesterday))
    write_bundle(tmp_path / "c")
    assert not left.exists()


def test_who_finishes_first_wins(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "b") as slow:
        fill(slow)
        fast = write_bundle(tmp_path / "b", hearth_version="fast")
        assert slow.commit(manifest(hearth_version="slow")) == fast
    assert open_bundle(tmp_path / "b").manifest.hearth_version == "fast"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_replacing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", hearth_version="old")
    assert write_bundle(tmp_path / "b", hearth_version="new", replace_existing=True).manifest.hearth_version == "new"
    assert open_bundle(tmp_path / "b", verify="full").manifest.hearth_version == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_damaged_bundle_is_replaced(tmp_path: Path) -> None:
    """Else every start would compile again and throw the result away."""
    os.truncate(write_bundle(tmp_path / "b").weights, 5)
    write_bundle(tmp_path / "b")
    open_bundle(tmp_path / "b", verify="full")


def test_what_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    """`hearth compile -o ~/Documents` must not delete anything."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(StorageError, match="exists and is no bundle"):
            write_bundle(tmp_path / name, replace_existing=True)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    write_bundle(tmp_path / "empty")
    # Also when it comes to be there while the bundle is written.
    with BundleWriter(tmp_path / "late") as writer:
        fill(writer)
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "letter.txt").write_text("dear")
        with pytest.raises(StorageError, match="exists and is no bundle"):
            writer.commit(manifest())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "late", "mine"]


def test_a_cache_that_cannot_be_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HEARTH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match=r"is a file, not a folder.*HEARTH_CACHE"):
        write_bundle(bundle_path("x"))
    assert list_bundles() == []


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EROFS, "read-only file system"), (errno.EACCES, "no permission"), (errno.ENOSPC, "disk is full")],
)
@pytest.mark.parametrize("function", ["mkdir", "posix_fallocate", "fsync", "rename"])
def test_what_the_disk_refuses_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str, function: str
) -> None:
    """A read-only cache and a full disk: one clear message, nothing left behind. (Tests may run as root, which no
    permission stops, so the system's answers are put in.)"""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    if not hasattr(os, function):
        pytest.skip(f"this system has no {function}")
    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(StorageError, match=words) as caught:
        write_bundle(tmp_path / "b")
    assert caught.value.exit_code == 7
    assert "HEARTH_CACHE" not in caught.value.hint, "that moves the cache, and not the folder that was named"
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_space_is_taken_where_the_system_cannot_reserve_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS and some file systems have no fallocate: zeros are written instead, not holes."""
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with BundleWriter(tmp_path / "b") as writer:
        array = writer.allocate("weights.bin", (3 << 20) + 17)
        assert array.size == (3 << 20) + 17
        assert not array.any()
        assert writer.path("weights.bin").stat().st_blocks * 512 >= 3 << 20
        assert writer.allocate("empty.bin", 0).size == 0


def test_names_in_a_bundle_are_plain(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "b") as writer:
        for name in ("../x", "manifest.json", ".x", "a/b"):
            with pytest.raises(ValueError, match="cannot be a file of a bundle"):
                writer.path(name)


def test_stale_folders_that_are_in_use_stay(tmp_path: Path) -> None:
    """A compilation of more than a day is not swept away while it writes."""
    with BundleWriter(tmp_path / "b") as writer:
        fill(writer)
        old = time.time() - 30 * 3600
        folder = writer.path("plan.bin").parent
        os.utime(writer.path("plan.bin"), (old, old))
        clear_unfinished(tmp_path)
        assert folder.exists()
