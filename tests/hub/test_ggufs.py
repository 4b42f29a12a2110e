"""Repositories of GGUF files: what a file is called, which one a name means, and which is taken where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth import hub as models
from hearth.errors import CorruptFile, ModelNotFound, UsageError

from .samples import noise
from .server import FakeHub

REPO = "acme/Tiny-1B-GGUF"
SIZES = {
    "Tiny-1B-IQ2_XS.gguf": 500,
    "Tiny-1B-Q2_K.gguf": 600,
    "Tiny-1B-IQ3_KS.gguf": 780,
    "Tiny-1B-Q4_K_M.gguf": 1000,
    "Tiny-1B-Q4_K_S.gguf": 900,
    "Tiny-1B.Q8_0.gguf": 2000,
    "Tiny-1B-F16-00001-of-00002.gguf": 2000,
    "Tiny-1B-F16-00002-of-00002.gguf": 2000,
    "mmproj-F16.gguf": 50,
    "imatrix.gguf": 40,
}


@pytest.fixture
def repo(hub: FakeHub, cache: Path) -> FakeHub:
    hub.publish(REPO, {path: noise(size, seed) for seed, (path, size) in enumerate(SIZES.items())})
    return hub


@pytest.mark.parametrize(
    ("typed", "file", "name"),
    [
        ("Q4_K_M", "Tiny-1B-Q4_K_M.gguf", "Q4_K_M"),
        ("q4_k_m", "Tiny-1B-Q4_K_M.gguf", "Q4_K_M"),
        ("Tiny-1B-Q4_K_M.gguf", "Tiny-1B-Q4_K_M.gguf", "Q4_K_M"),
        ("tiny-1b-q4_k_m.gguf", "Tiny-1B-Q4_K_M.gguf", "Q4_K_M"),
        ("Q8_0", "Tiny-1B.Q8_0.gguf", "Q8_0"),
        ("Q8", "Tiny-1B.Q8_0.gguf", "Q8_0"),
    ],
)
def test_a_format_a_file_or_a_part_of_its_name_picks_it(repo: FakeHub, typed: str, file: str, name: str) -> None:
    source = models.pull(f"{REPO}:{typed}")
    assert (source.path.name, source.name) == (file, f"{REPO}:{name}")
    assert models.resolve(f"{REPO}:{typed}", offline=True) == source


PARTS = ["Tiny-1B-F16-00001-of-00002.gguf", "Tiny-1B-F16-00002-of-00002.gguf"]


@pytest.mark.parametrize("typed", ["F16", "f16", *PARTS, PARTS[1].lower()])
def test_all_parts_of_a_split_file_come_together(repo: FakeHub, typed: str) -> None:
    source = models.pull(f"{REPO}:{typed}")
    assert (source.path.name, source.name, source.size_bytes) == (PARTS[0], f"{REPO}:F16", 4000)
    assert sorted(p.name for p in source.path.parent.glob("*.gguf") if "mmproj" not in p.name) == PARTS
    assert models.resolve(f"{REPO}:{typed}", offline=True) == source
    assert models.resolve(str(source.path.parent / PARTS[1])).path == source.path
    (listed,) = [m for m in models.list_models() if m.name == source.name]
    assert listed.size_bytes == 4000
    models.pull(f"{REPO}:Q8_0")
    assert models.remove(f"{REPO}:F16", dry_run=True) == 4000
    assert models.remove(f"{REPO}:F16") == 4000
    assert not list(source.path.parent.glob("*F16-0*"))


def test_a_split_file_is_here_when_all_of_it_is(repo: FakeHub) -> None:
    source = models.pull(f"{REPO}:F16")
    (source.path.parent / PARTS[1]).unlink()
    with pytest.raises(ModelNotFound):
        models.resolve(f"{REPO}:F16", offline=True)


def test_a_split_file_is_chosen_by_the_size_of_all_its_parts(hub: FakeHub, cache: Path) -> None:
    files = {f"big-Q4_K_M-0000{n}-of-00003.gguf": noise(1000, n) for n in (1, 2, 3)}
    hub.publish("acme/big-GGUF", {**files, "big-Q4_K_S.gguf": noise(500)})
    assert models.pull("acme/big-GGUF", memory_bytes=2000).name == "acme/big-GGUF:Q4_K_S"
    source = models.pull("acme/big-GGUF", memory_bytes=4000)
    assert (source.name, source.size_bytes) == ("acme/big-GGUF:Q4_K_M", 3000)
    assert "2.9 KiB" in source.notices[0] or "3 KiB" in source.notices[0]


def test_a_folder_for_each_format_is_found_by_the_format(hub: FakeHub, cache: Path) -> None:
    hub.publish("acme/big-GGUF", {f"Q4_K_M/big-Q4_K_M-0000{n}-of-00002.gguf": noise(100, n) for n in (1, 2)})
    source = models.pull("acme/big-GGUF:Q4_K_M")
    assert source.size_bytes == 200
    assert models.resolve(source.name, offline=True) == source


def test_a_repository_that_lacks_a_part_is_refused_before_anything_comes(hub: FakeHub, cache: Path) -> None:
    hub.publish("acme/big-GGUF", {"big-F16-00001-of-00002.gguf": noise(100)})
    with pytest.raises(CorruptFile, match="big-F16-00002-of-00002"):
        models.pull("acme/big-GGUF")
    assert not hub.gets("big-F16-00001-of-00002.gguf")


def test_what_can_be_several_files_is_asked_back(repo: FakeHub) -> None:
    with pytest.raises(UsageError, match="2 files") as caught:
        models.pull(f"{REPO}:Q4_K")
    assert f"hearth pull {REPO}:Q4_K_M" in caught.value.hint
    assert f"hearth pull {REPO}:Q4_K_S" in caught.value.hint
    assert "Q8_0" not in caught.value.hint


@pytest.mark.parametrize(
    ("memory_bytes", "taken"),
    [(None, "Q4_K_M"), (10**9, "Q4_K_M"), (950, "Q4_K_S"), (800, "Q2_K"), (100, "IQ2_XS")],
    ids=["memory not known", "all fit", "Q4_K_M does not fit", "more bits than its file", "nothing fits"],
)
def test_without_a_choice_the_best_that_fits_is_taken_and_said(
    repo: FakeHub, memory_bytes: int | None, taken: str
) -> None:
    source = models.pull(REPO, memory_bytes=memory_bytes)
    assert source.name == f"{REPO}:{taken}"
    (notice,) = source.notices
    assert f"{REPO}:{taken}" in notice
    assert f"hearth show {REPO}" in notice


def test_of_several_that_are_here_the_repositorys_name_means_the_best(repo: FakeHub) -> None:
    models.pull(f"{REPO}:Q8_0")
    assert models.resolve(REPO, offline=True).notices == ()
    models.pull(f"{REPO}:Q4_K_M")
    source = models.resolve(REPO, offline=True)
    assert source.name == f"{REPO}:Q4_K_M"
    assert "2 files" in source.notices[0]


@pytest.mark.parametrize("file", ["Tiny.GGUF", "tiny-00001-of-00001.gguf", "Q4/tiny-00001-of-00001.GGUF"])
def test_unusual_names_are_listed_found_and_removed_as_others(hub: FakeHub, cache: Path, file: str) -> None:
    hub.publish("acme/odd", {file: noise(100)})
    source = models.pull("acme/odd")
    hub.log.clear()
    (listed,) = [m for m in models.list_models() if m.path.is_relative_to(cache)]
    assert (listed.name, listed.path) == (source.name, source.path)
    for name in ("acme/odd", f"acme/odd:{file}", source.name):
        assert models.resolve(name) == source
    assert hub.log == []
    assert models.remove(source.name) == 100


def test_a_model_has_one_name_however_it_was_asked_for(repo: FakeHub) -> None:
    names = {models.pull(name).name for name in (f"hf:{REPO}:Tiny-1B-Q4_K_M.gguf", f"{REPO}:q4_k_m", REPO)}
    page = f"https://huggingface.co/{REPO}/blob/main/Tiny-1B-Q4_K_M.gguf"
    names |= {models.canonical_name(name) for name in (REPO, f"{REPO}:Q4", page)}
    assert names == {f"{REPO}:Q4_K_M"}


def test_files_not_called_as_their_repository_keep_their_names(hub: FakeHub, cache: Path) -> None:
    """Both end with the same format: neither may take the short name."""
    hub.publish("acme/both-GGUF", {"chat-Q4_0.gguf": noise(10, 1), "code-Q4_0.gguf": noise(10, 2)})
    assert models.pull("acme/both-GGUF:code").name == "acme/both-GGUF:code-Q4_0.gguf"
    with pytest.raises(ModelNotFound):
        models.resolve("acme/both-GGUF:chat", offline=True)
    with pytest.raises(UsageError):
        models.pull("acme/both-GGUF:Q4_0")


def test_files_that_differ_by_a_sign_only_are_told_apart(hub: FakeHub, cache: Path) -> None:
    files = ["tiny-Q4_0.gguf", "tiny.Q4_0.gguf", "Tiny-Q4_0.GGUF"]
    hub.publish("acme/tiny-GGUF", {path: noise(10 + n, n) for n, path in enumerate(files)})
    for path in files:
        assert models.pull(f"acme/tiny-GGUF:{path}").path.name == path
    listed = {m.name: m for m in models.list_models() if m.path.is_relative_to(cache)}
    assert len(listed) == 3
    for name, model in listed.items():
        assert models.resolve(name, offline=True).path == model.path


def test_floats_are_taken_where_there_is_nothing_else(hub: FakeHub, cache: Path) -> None:
    hub.publish("acme/tiny-GGUF", {"tiny-F16.gguf": noise(2000), "tiny-Q8_0.gguf": noise(1000)})
    assert models.pull("acme/tiny-GGUF", memory_bytes=10**6).name == "acme/tiny-GGUF:Q8_0"
    hub.publish("acme/floats-GGUF", {"floats-F16.gguf": noise(2000), "floats-F32.gguf": noise(4000)})
    assert models.pull("acme/floats-GGUF", memory_bytes=3000).name == "acme/floats-GGUF:F16"
