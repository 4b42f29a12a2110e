"""`hearth list` and `hearth rm`: what is shown as a model, and what may be deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hearth import hub as models
from hearth.errors import ModelNotFound, NetworkError, UsageError
from hearth.hub import Installed, settings

from .samples import REPO, model_files, noise
from .server import FakeHub, Fault


def listed() -> dict[str, Installed]:
    return {m.name: m for m in models.list_models() if m.path.is_relative_to(settings.cache_dir())}


def test_every_name_in_the_list_can_be_used(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    hub.publish(REPO, model_files(seed=3), "v1")
    hub.publish("acme/quants", {"a.gguf": noise(100, 1), "b.gguf": noise(200, 2)})
    for name in (REPO, f"{REPO}@v1", "hf:acme/quants:a.gguf", "acme/quants:b.gguf"):
        models.pull(name)
    assert set(listed()) == {REPO, f"{REPO}@v1", "acme/quants:a.gguf", "acme/quants:b.gguf"}
    for name, model in listed().items():
        source = models.resolve(name, offline=True)
        assert (source.path, source.kind, source.size_bytes) == (model.path, model.kind, model.size_bytes)
        assert model.complete
        assert model.last_used is not None


def test_what_hearth_cannot_read_is_not_listed(hub: FakeHub, cache: Path) -> None:
    """The cache is shared with other tools, and holds data sets, pickles and half models of theirs."""
    from huggingface_hub import hf_hub_download

    hub.publish(REPO, model_files())
    hf_hub_download(REPO, "config.json")
    hf_hub_download(REPO, "original/consolidated.00.pth")
    (cache / "datasets--acme--text" / "snapshots").mkdir(parents=True)
    (cache / "models--acme--broken").mkdir()
    (cache / "version.txt").write_text("1")
    assert listed() == {}
    with pytest.raises(ModelNotFound):
        models.resolve(REPO, offline=True)


def test_an_empty_cache_is_an_empty_list(cache: Path) -> None:
    assert listed() == {}


def test_a_cut_download_is_listed_as_such_until_it_is_finished_or_removed(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files(500_000))
    hub.faults += [Fault("model.safetensors", cut_after=200_000, times=1), Fault("model.safetensors", status=500)]
    with pytest.raises(NetworkError):
        models.pull(REPO)
    model = listed()[REPO]
    assert not model.complete
    assert model.size_bytes >= 200_000
    assert models.remove(REPO) == model.size_bytes
    assert listed() == {}
    assert not list(cache.rglob("*.incomplete"))


def test_a_pull_that_was_killed_between_two_shards_is_listed(hub: FakeHub, cache: Path) -> None:
    """The first is whole, of the second there is nothing yet: no part of a file tells of it."""
    shards = {f"model-0000{n}-of-00002.safetensors": noise(50_000 * n, n) for n in (1, 2)}
    index = json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}).encode()
    hub.publish(REPO, {"config.json": b"{}", "model.safetensors.index.json": index, **shards})
    hub.faults.append(Fault(list(shards)[1], status=403))
    with pytest.raises(NetworkError):
        models.pull(REPO)
    for part in cache.rglob("*.incomplete"):
        part.unlink()
    assert not listed()[REPO].complete
    assert listed()[REPO].size_bytes > 50_000
    hub.faults.clear()
    models.pull(REPO)
    assert listed()[REPO].complete
    assert len(hub.gets(next(iter(shards)))) == 1


def test_what_a_removal_would_free_can_be_known_before(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, {"a.gguf": noise(100, 1), "b.gguf": noise(200, 2)})
    models.pull(f"{REPO}:a.gguf")
    models.pull(f"{REPO}:b.gguf")
    assert models.remove(f"{REPO}:b.gguf", dry_run=True) == 200
    assert models.remove(REPO, dry_run=True) == 300
    assert set(listed()) == {f"{REPO}:a.gguf", f"{REPO}:b.gguf"}


def test_remove_takes_all_of_a_repository_and_nothing_else(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files(seed=1))
    hub.publish("acme/other", model_files(seed=2))
    size = models.pull(REPO).size_bytes
    other = models.pull("acme/other")
    hub.publish(REPO, model_files(seed=3))
    size += models.pull(REPO).size_bytes - sum(len(c) for n, c in model_files().items() if n in SHARED)
    assert models.remove(REPO) == size
    assert set(listed()) == {"acme/other"}
    assert not (cache / "models--acme--tiny").exists()
    assert (other.path / "model.safetensors").stat().st_size == 300_000


# Files that both commits of the test above have in common: their blobs exist once.
SHARED = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}


def test_remove_one_gguf_file_keeps_the_others(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, {"a.gguf": noise(100, 1), "b.gguf": noise(200, 2)})
    for file in "ab":
        models.pull(f"hf:{REPO}:{file}.gguf")
    assert models.remove(f"hf:{REPO}:a.gguf") == 100
    assert set(listed()) == {f"{REPO}:b.gguf"}
    assert models.remove(f"hf:{REPO}:b.gguf") == 200
    assert not (cache / "models--acme--tiny").exists()


def test_remove_one_revision_keeps_the_others(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files(seed=1))
    hub.publish(REPO, model_files(seed=2), "v1")
    models.pull(REPO)
    models.pull(f"{REPO}@v1")
    assert models.remove(f"{REPO}@v1") == 300_000
    assert set(listed()) == {REPO}


def test_what_is_not_hearths_is_not_removed(hub: FakeHub, cache: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="your own"):
        models.remove(str(mine))
    assert mine.is_dir()
    with pytest.raises(UsageError, match="part of Hearth"):
        models.remove("starter")


def test_removing_what_is_not_there_proposes_what_is(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, model_files())
    models.pull(REPO)
    with pytest.raises(ModelNotFound, match="not installed") as caught:
        models.remove("acme/tinny")
    assert REPO in caught.value.hint
    assert "pull" not in caught.value.hint, "it is to go, not to come"
    with pytest.raises(ModelNotFound) as caught:
        models.remove("Qwen/Qwen3-0.6B")
    assert caught.value.hint == "`hearth list` shows what is.", "what the catalogue offers cannot be removed either"
    with pytest.raises(ModelNotFound):
        models.remove(f"hf:{REPO}:a.gguf")
    with pytest.raises(ModelNotFound):
        models.remove(f"{REPO}@v7")
    assert set(listed()) == {REPO}
