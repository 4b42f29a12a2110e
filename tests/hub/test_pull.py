"""Pulling from the hub: what comes, what does not, and what a broken line or a liar leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hearth import hub as models
from hearth.errors import CorruptFile, ModelNotFound, NetworkError, StorageError, Unsupported, UsageError
from hearth.hub import Progress, download, transfer

from .samples import NEEDED, REPO, model_files, noise
from .server import FakeHub, Fault


def parts(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.incomplete"))


def test_pull_brings_the_needed_files_and_no_others(hub: FakeHub, cache: Path) -> None:
    files = model_files()
    commit = hub.publish(REPO, files)
    source = models.pull(REPO)
    assert (source.kind, source.name, source.repo_id, source.commit) == ("folder", REPO, REPO, commit)
    assert {p.name: p.read_bytes() for p in source.path.iterdir()} == {name: files[name] for name in NEEDED}
    assert source.size_bytes == sum(len(files[name]) for name in NEEDED)
    assert not any(hub.gets(name) for name in files if name not in NEEDED)
    assert source.path.is_relative_to(cache)


def test_chat_templates_with_names_come_along(hub: FakeHub, cache: Path) -> None:
    """Models keep the one for chats with tools in a folder beside the others."""
    name = "additional_chat_templates/tool_use.jinja"
    files = model_files() | {name: b"{{ tools }}", "additional_chat_templates/deeper/x.jinja": b""}
    hub.publish(REPO, files)
    source = models.pull(REPO)
    found = {str(p.relative_to(source.path)): p.read_bytes() for p in source.path.rglob("*") if p.is_file()}
    assert found == {wanted: files[wanted] for wanted in {*NEEDED, name}}


def test_huggingface_hub_finds_what_hearth_pulled(hub: FakeHub, cache: Path) -> None:
    """The cache is shared: other tools must not download it again."""
    from huggingface_hub import hf_hub_download

    hub.publish(REPO, model_files())
    source = models.pull(REPO)
    assert Path(hf_hub_download(REPO, "model.safetensors", local_files_only=True)).parent == source.path


def test_what_is_installed_is_used_without_a_look_at_the_network(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    first = models.resolve(REPO)
    hub.log.clear()
    assert models.resolve(REPO) == first
    assert hub.log == []


def test_pull_brings_what_is_new_and_only_that(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    models.pull(REPO)
    hub.log.clear()
    files = model_files() | {"tokenizer.json": b'{"version": "2.0"}'}
    commit = hub.publish(REPO, files)
    source = models.pull(REPO)
    assert source.commit == commit
    assert (source.path / "tokenizer.json").read_bytes() == files["tokenizer.json"]
    assert not hub.gets("model.safetensors"), "unchanged weights came again"


def test_a_failed_update_leaves_the_installed_model_in_use(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    old = models.pull(REPO)
    hub.publish(REPO, model_files(seed=9))
    hub.faults.append(Fault("model.safetensors", status=500))
    with pytest.raises(NetworkError):
        models.pull(REPO)
    assert models.resolve(REPO, offline=True) == old


def test_what_has_come_of_a_cut_update_is_told(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    models.pull(REPO)
    (before,) = [m for m in models.list_models() if m.name == REPO]
    hub.publish(REPO, model_files(seed=9))
    hub.faults += [Fault("model.safetensors", cut_after=100_000, times=1), Fault("model.safetensors", status=500)]
    with pytest.raises(NetworkError):
        models.pull(REPO)
    (model,) = [m for m in models.list_models() if m.name == REPO]
    assert (before.update_bytes, model.update_bytes, model.complete) == (0, 100_000, True)
    hub.faults.clear()
    models.pull(REPO)
    (model,) = [m for m in models.list_models() if m.name == REPO]
    assert model.update_bytes == 0


def test_sharded_weights_come_with_their_index(hub: FakeHub, cache: Path) -> None:
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    files = {"config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode()}
    files |= {shard: noise(5000, n) for n, shard in enumerate(shards)}
    hub.publish(REPO, files | {"model.safetensors": noise(10)})
    source = models.pull(REPO)
    assert {p.name for p in source.path.iterdir()} == set(files)


def test_an_index_that_names_missing_shards_is_refused(hub: FakeHub, cache: Path) -> None:
    index = json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    )
    hub.publish(
        REPO,
        {
            "config.json": b"{}",
            "model.safetensors.index.json": index.encode(),
            "model-00001-of-00002.safetensors": noise(10),
        },
    )
    with pytest.raises(CorruptFile, match="not whole on the hub"):
        models.pull(REPO)
    assert all(not m.complete for m in models.list_models() if m.kind != "starter")


def test_revision(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files(seed=1))
    tagged = hub.publish(REPO, model_files(seed=2), "v1")
    assert models.pull(f"{REPO}@v1").commit == tagged
    assert models.resolve(REPO, revision="v1", offline=True).commit == tagged
    assert models.resolve(f"{REPO}@{tagged}", offline=True).commit == tagged
    with pytest.raises(ModelNotFound, match="no revision 'v9'"):
        models.pull(f"{REPO}@v9")
    with pytest.raises(UsageError):
        models.pull(f"{REPO}@v1", revision="main")


# --- a cache that another tool filled in part


def weights_only(hub: FakeHub) -> models.Source:
    """A model as a tool leaves it that needs no tokenizer."""
    from huggingface_hub import hf_hub_download

    hub.publish(REPO, model_files())
    for file in ("config.json", "model.safetensors"):
        hf_hub_download(REPO, file)
    return models.resolve(REPO, offline=True)


def test_what_another_tool_left_out_is_completed_at_its_own_commit(hub: FakeHub, cache: Path) -> None:
    source = weights_only(hub)
    hub.publish(REPO, model_files(seed=8) | {"tokenizer.json": b'{"version": "2.0"}'})
    hub.log.clear()
    assert models.complete(source)
    assert {p.name for p in source.path.iterdir()} == NEEDED
    assert (source.path / "tokenizer.json").read_bytes() == model_files()["tokenizer.json"]
    assert not hub.gets("model.safetensors")
    assert models.resolve(REPO, offline=True).commit == source.commit
    hub.log.clear()
    assert not models.complete(source), "nothing is missing any more"
    assert hub.log == []


def test_a_pull_completes_it_too(hub: FakeHub, cache: Path) -> None:
    weights_only(hub)
    hub.log.clear()
    assert {p.name for p in models.pull(REPO).path.iterdir()} == NEEDED
    assert not hub.gets("model.safetensors")


def test_what_cannot_be_completed_is_as_it_was(hub: FakeHub, use_hub) -> None:  # type: ignore[no-untyped-def]
    use_hub(hub.url)
    source = weights_only(hub)
    use_hub("http://127.0.0.1:1")  # nothing listens there
    assert not models.complete(source)
    assert models.resolve(REPO, offline=True) == source


# --- a broken line


def test_a_cut_connection_is_taken_up_where_it_broke(hub: FakeHub, cache: Path) -> None:
    files = model_files(1_000_000)
    hub.publish(REPO, files)
    hub.faults.append(Fault("model.safetensors", cut_after=400_000, times=1))
    source = models.pull(REPO)
    assert (source.path / "model.safetensors").read_bytes() == files["model.safetensors"]
    first, second = hub.gets("model.safetensors")
    assert first.range is None
    assert second.range == "bytes=400000-"


def test_the_next_pull_goes_on_where_the_last_one_gave_up(hub: FakeHub, cache: Path) -> None:
    files = model_files(1_000_000)
    hub.publish(REPO, files)
    hub.faults += [Fault("model.safetensors", cut_after=400_000, times=1), Fault("model.safetensors", status=503)]
    with pytest.raises(NetworkError, match="503"):
        models.pull(REPO)
    assert [p.stat().st_size for p in parts(cache)] == [400_000]
    hub.faults.clear()
    hub.log.clear()
    seen: list[Progress] = []
    source = models.pull(REPO, progress=seen.append)
    assert (source.path / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert [r.range for r in hub.gets("model.safetensors")] == ["bytes=400000-"]
    assert seen[-1].done_bytes == seen[-1].total_bytes == source.size_bytes
    assert seen[0].resumed_bytes >= 400_000
    assert parts(cache) == []


def test_a_server_that_knows_no_range_begins_anew(hub: FakeHub, cache: Path) -> None:
    files = model_files(500_000)
    hub.publish(REPO, files)
    hub.faults += [
        Fault("model.safetensors", cut_after=200_000, times=1),
        Fault("model.safetensors", ignore_range=True),
    ]
    source = models.pull(REPO)
    assert (source.path / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_server_that_always_breaks_at_the_same_place_ends_in_an_error(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files(500_000))
    hub.faults.append(Fault("model.safetensors", cut_after=200_000, ignore_range=True))
    with pytest.raises(NetworkError, match="cannot be reached") as caught:
        models.pull(REPO)
    assert "Check HF_ENDPOINT" in caught.value.hint, "another hub than the usual one was chosen"


def test_a_busy_hub_is_asked_again(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    hub.faults += [
        Fault("api", status=429, headers={"Retry-After": "0"}, times=1),
        Fault("tokenizer.json", status=500, times=1),
        Fault("model.safetensors", status=429, headers={"Retry-After": "0"}, times=2),
    ]
    assert models.pull(REPO).path.is_dir()


@pytest.mark.parametrize(("status", "advice"), [(429, "wait"), (500, "hub's side"), (403, "HF_TOKEN")])
def test_a_refusal_is_said_with_advice(hub: FakeHub, cache: Path, status: int, advice: str) -> None:
    hub.publish(REPO, model_files())
    hub.faults.append(Fault("api", status=status, headers={"Retry-After": "0"}))
    with pytest.raises(NetworkError, match=str(status)) as caught:
        models.pull(REPO)
    assert advice in str(caught.value)


def test_no_network_names_the_hub_and_says_that_installed_models_work(hub: FakeHub, use_hub) -> None:  # type: ignore[no-untyped-def]
    use_hub("http://127.0.0.1:1")  # nothing listens there
    with pytest.raises(NetworkError, match="installed") as caught:
        models.resolve(REPO)
    assert "127.0.0.1:1" in caught.value.what


# --- wrong bytes


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_changed_bytes_are_refused_and_nothing_of_them_is_kept(hub: FakeHub, cache: Path, file: str) -> None:
    hub.publish(REPO, model_files())
    hub.faults.append(Fault(file, flip=True))
    with pytest.raises(CorruptFile, match=file):
        models.pull(REPO)
    assert parts(cache) == []
    assert [m for m in models.list_models() if m.kind != "starter" and m.complete] == []
    with pytest.raises(ModelNotFound):
        models.resolve(REPO, offline=True)
    hub.faults.clear()
    assert (models.pull(REPO).path / file).read_bytes() == model_files()[file]


def test_a_part_that_was_damaged_on_the_disk_gets_a_fresh_start(hub: FakeHub, cache: Path) -> None:
    files = model_files(1_000_000)
    hub.publish(REPO, files)
    hub.faults += [Fault("model.safetensors", cut_after=400_000, times=1), Fault("model.safetensors", status=503)]
    with pytest.raises(NetworkError):
        models.pull(REPO)
    hub.faults.clear()
    parts(cache)[0].write_bytes(bytes(400_000))  # as a power loss leaves them
    source = models.pull(REPO)
    assert (source.path / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_blob_that_lost_its_tail_comes_again(hub: FakeHub, cache: Path) -> None:
    files = model_files()
    hub.publish(REPO, files)
    weights = models.pull(REPO).path / "model.safetensors"
    weights.resolve().write_bytes(files["model.safetensors"][:-1])
    assert (models.pull(REPO).path / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_files_too_large_for_http_are_left_to_the_library_and_checked(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MAX_HTTP_BYTES", 100_000)
    files = model_files()
    hub.publish(REPO, files)
    hub.faults.append(Fault("model.safetensors", flip=True, times=1))
    with pytest.raises(CorruptFile, match="safetensors"):
        models.pull(REPO)
    assert [m for m in models.list_models() if m.kind != "starter" and m.complete] == []
    seen: list[Progress] = []
    source = models.pull(REPO, progress=seen.append)
    assert (source.path / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert seen[-1].done_bytes == source.size_bytes


# --- who may read


def test_an_unknown_repository(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    models.pull(REPO)
    with pytest.raises(ModelNotFound, match="acme/tinny") as caught:
        models.resolve("acme/tinny")
    assert f"Did you mean {REPO}?" in caught.value.hint
    assert "HF_TOKEN" in caught.value.hint


def test_a_gated_repository_says_how_to_get_in(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    hub.faults += [Fault(file, status=403, error_code="GatedRepo") for file in NEEDED]
    with pytest.raises(NetworkError, match="gated") as caught:
        models.pull(REPO)
    assert "accept" in caught.value.hint
    assert f"{hub.url}/{REPO}" in caught.value.hint


def test_the_token_goes_to_the_hub_and_not_to_its_storage(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.publish(REPO, model_files())
    models.pull(REPO)
    assert {r.token for r in hub.log if "/storage/" not in r.path} == {"Bearer hf_secret"}
    assert {r.token for r in hub.log if "/storage/" in r.path} == {None}


# --- the disk


def test_a_disk_too_small_is_said_before_the_download(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shutil import disk_usage

    usage = disk_usage("/")._replace(free=100_000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    hub.publish(REPO, model_files())
    with pytest.raises(StorageError, match="KiB free"):
        models.pull(REPO)
    assert not hub.gets("config.json")


def test_a_full_disk_is_said_and_the_part_kept(hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.publish(REPO, model_files())
    monkeypatch.setattr(transfer.os, "fsync", full)
    with pytest.raises(StorageError, match="full"):
        models.pull(REPO)
    assert [m for m in models.list_models() if m.kind != "starter" and m.complete] == []
    monkeypatch.undo()


def test_a_cache_that_cannot_be_written(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("")  # a file where the folder should be: that holds for root too
    with pytest.raises(StorageError, match="HF_HOME"):
        models.pull(REPO)


# --- GGUF


GGUFS = {"tiny-q4_0.gguf": noise(70_000, 5), "tiny-q8_0.gguf": noise(130_000, 6), "mmproj-tiny.gguf": noise(10, 7)}


def test_one_gguf_file_of_a_repository(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, GGUFS)
    source = models.pull(f"hf:{REPO}:tiny-q4_0.gguf")
    assert (source.kind, source.name) == ("gguf", f"{REPO}:Q4_0")
    assert source.path.read_bytes() == GGUFS["tiny-q4_0.gguf"]
    assert not hub.gets("tiny-q8_0.gguf")
    assert models.resolve(REPO, offline=True) == source


def test_a_gguf_file_that_is_not_there(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, GGUFS)
    with pytest.raises(ModelNotFound, match="no file") as caught:
        models.resolve(f"{REPO}:tiny-q3.gguf")
    assert f"hearth pull {REPO}:Q4_0   (68 KiB)" in caught.value.hint
    assert "mmproj" not in caught.value.hint


def test_a_repository_with_a_single_gguf_needs_no_file_name(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, {"README.md": b"", "tiny.gguf": noise(100)})
    assert models.pull(REPO).path.name == "tiny.gguf"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"config.json": b"{}", "weights.ckpt": b"x"}, "pickle"),
        ({"model.safetensors": b"x"}, "config.json"),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}, "adapter"),
        ({}, "no weights"),
    ],
)
def test_what_hearth_cannot_read_is_not_downloaded(
    hub: FakeHub, cache: Path, files: dict[str, bytes], why: str
) -> None:
    hub.publish(REPO, files)
    with pytest.raises(Unsupported, match=why):
        models.pull(REPO)
    assert not any(hub.gets(file) for file in files)


@pytest.mark.parametrize("path", ["/abs/x.gguf", "../x.gguf", "a/../../x.gguf", "C:/x.gguf", "a\\x.gguf"])
def test_a_hub_that_names_files_outside_of_the_repository_is_refused(hub: FakeHub, cache: Path, path: str) -> None:
    hub.publish(REPO, {path: b"x"})
    with pytest.raises(NetworkError, match="does not describe"):
        models.pull(REPO)
    assert not list(cache.rglob("*.gguf"))
