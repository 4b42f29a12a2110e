"""Adapters from the hub: what of a repository comes, what is used again, and what is refused before it comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.errors import CorruptFile, ModelNotFound, NetworkError, Unsupported
from hearth.hub import Progress, remove, resolve_adapter

from .samples import model_files, noise
from .server import FakeHub, Fault

REPO = "acme/tiny-lora"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NEEDED = {CONFIG, WEIGHTS}


def adapter_files(seed: int = 0) -> dict[str, bytes]:
    """As trainers publish it: what Hearth needs, and what it does not."""
    return {
        CONFIG: b'{"peft_type": "LORA"}',
        WEIGHTS: noise(200_000, seed),
        "README.md": b"# Tiny",
        "tokenizer.json": b"{}",
        "optimizer.pt": noise(1000, 1),
        f"checkpoint-500/{CONFIG}": b"{}",
        f"checkpoint-500/{WEIGHTS}": noise(1000, 2),
    }


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_two_files_of_an_adapter_come_and_no_others(hub: FakeHub, cache: Path) -> None:
    files = adapter_files()
    hub.publish(REPO, files)
    told: list[Progress] = []
    folder = resolve_adapter(REPO, progress=told.append)
    assert {name: (folder / name).read_bytes() for name in names(folder)} == {name: files[name] for name in NEEDED}
    assert folder.is_relative_to(cache)
    assert not any(hub.gets(name) for name in files if name not in NEEDED)
    assert told


def test_what_is_here_is_used_without_a_look_at_the_network(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, adapter_files())
    first = resolve_adapter(REPO)
    hub.log.clear()
    assert resolve_adapter(REPO) == resolve_adapter(f"hf:{REPO}", offline=True) == first
    assert hub.log == []
    remove(REPO)
    with pytest.raises(ModelNotFound, match="--offline forbids"):
        resolve_adapter(REPO, offline=True)


def test_another_revision_is_another_adapter(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, adapter_files())
    hub.publish(REPO, adapter_files(7), revision="v2")
    main, other = resolve_adapter(REPO), resolve_adapter(f"{REPO}@v2")
    assert (main / WEIGHTS).read_bytes() != (other / WEIGHTS).read_bytes()
    assert resolve_adapter(REPO) == main


def test_a_gguf_file_comes_alone(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, {"one-f16.gguf": b"one", "README.md": b"#", "deeper/two.gguf": b"two"})
    path = resolve_adapter(REPO)
    assert (path.name, path.read_bytes()) == ("one-f16.gguf", b"one")
    inner = resolve_adapter(f"{REPO}:deeper/two.gguf")
    assert inner.read_bytes() == b"two"


def test_of_several_gguf_files_one_has_to_be_named(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, {"a.gguf": b"a", "b.gguf": b"b"})
    with pytest.raises(Unsupported) as refused:
        resolve_adapter(REPO)
    assert f"{REPO}:a.gguf, {REPO}:b.gguf" in refused.value.hint
    assert not any(hub.gets(name) for name in ("a.gguf", "b.gguf"))
    assert resolve_adapter(f"{REPO}:b.gguf").read_bytes() == b"b"
    with pytest.raises(ModelNotFound, match=r"no file 'c\.gguf'"):
        resolve_adapter(f"{REPO}:c.gguf")
    assert resolve_adapter(REPO, offline=True).read_bytes() == b"b"  # of what is here it is the only one


def test_what_holds_no_adapter_is_refused_before_anything_comes(hub: FakeHub, cache: Path) -> None:
    hub.publish("acme/model", model_files())
    hub.publish("acme/pickled", {CONFIG: b"{}", "adapter_model.bin": b"x"})
    for repo in ("acme/model", "acme/pickled"):
        with pytest.raises(Unsupported, match="holds no adapter"):
            resolve_adapter(repo)
    assert not any("/resolve/" in request.path for request in hub.log)
    with pytest.raises(ModelNotFound, match="acme/nowhere"):
        resolve_adapter("acme/nowhere")


def test_names_that_mean_no_adapter(cache: Path, tmp_path: Path) -> None:
    for name in ("some-lora", "starter", "a b", "https://example.org/x/y", str(tmp_path / "gone"), ""):
        with pytest.raises(ModelNotFound) as refused:
            resolve_adapter(name)
        assert "peft" in refused.value.hint


def test_a_cut_download_goes_on_and_is_no_adapter_before(hub: FakeHub, cache: Path) -> None:
    files = adapter_files()
    hub.publish(REPO, files)
    hub.faults += [Fault(WEIGHTS, cut_after=70_000, times=1), Fault(WEIGHTS, status=503)]
    with pytest.raises(NetworkError):
        resolve_adapter(REPO)
    with pytest.raises(ModelNotFound):
        resolve_adapter(REPO, offline=True)
    hub.faults.clear()
    hub.log.clear()
    assert (resolve_adapter(REPO) / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert [request.range for request in hub.gets(WEIGHTS)] == ["bytes=70000-"]


def test_other_bytes_than_the_hub_promised_are_not_kept(hub: FakeHub, cache: Path) -> None:
    hub.publish(REPO, adapter_files())
    hub.faults.append(Fault(WEIGHTS, flip=True))
    with pytest.raises(CorruptFile):
        resolve_adapter(REPO)
    with pytest.raises(ModelNotFound):
        resolve_adapter(REPO, offline=True)
