"""Models of every kind on the command line: what `show` and `compile` tell of each, and what a wrong use is told."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.encoding.lettered import lettered
from tests.hub.conftest import hub, use_hub  # noqa: F401  (fixtures)
from tests.hub.server import FakeHub

from golden.preprocess import draw_picture
from golden.vision.published import folder_of
from hearth import LLM, Embedder, Vision
from hearth.bundle import open_bundle
from hearth.cli.main import run
from hearth.errors import Unsupported, UsageError

SEEING = ("vit", "detr", "clip", "segformer")
ENCODERS = ("bert", "bert-rank", "distilbert")


@pytest.fixture(scope="module")
def models(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in SEEING:
        (folder / name).mkdir()
        folder_of(name, folder / name)
    for name in ENCODERS:
        lettered(name, folder / name)
    Image.fromarray(draw_picture(60, 80)).save(folder / "a.png")
    (folder / "labels.txt").write_text("one\ntwo\n")
    shutil.copytree(folder / "vit", folder / "no-rules")
    (folder / "no-rules" / "preprocessor_config.json").unlink()
    return folder


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


@pytest.mark.parametrize(
    ("name", "kind", "task", "said"),
    [
        ("vit", "vision", "classify", ("says what a picture shows", "7 labels", "16 x 16", "hearth vision")),
        ("detr", "vision", "detect", ("finds objects", "96 x 64")),
        ("clip", "vision", "zero_shot", ("that you name", "--labels")),
        ("segformer", "vision", "segment", ("regions",)),
        ("bert", "encoder", "embed", ("makes vectors", "28 numbers", "hearth embed", "60 tokens")),
        ("bert-rank", "encoder", "classify", ("ranks documents", "hearth rerank")),
        ("distilbert", "encoder", "classify", ("3 labels: bad, fair, good", "hearth classify")),
    ],
)
def test_show_tells_what_a_model_does(
    models: Path, capfd: Any, name: str, kind: str, task: str, said: tuple[str, ...]
) -> None:
    assert run(["show", str(models / name)]) == 0
    shown = capfd.readouterr().out
    for words in said:
        assert words in shown
    assert run(["show", str(models / name), "--json"]) == 0
    about = json.loads(capfd.readouterr().out)
    assert (about["made_for"], about["task"]) == (kind, task)


@pytest.mark.parametrize("name", ["vit", "detr", "bert"])
def test_what_is_compiled_is_as_large_as_was_foretold_and_is_described_alike(
    models: Path, tmp_path: Path, capfd: Any, name: str
) -> None:
    made = tmp_path / "made"
    assert run(["compile", str(models / name), "--output", str(made), "--offline"]) == 0
    assert capfd.readouterr().out.strip() == str(made)
    assert run(["show", str(models / name), "--json"]) == 0
    before = json.loads(capfd.readouterr().out)
    assert run(["show", str(made), "--json"]) == 0
    after = json.loads(capfd.readouterr().out)
    same = ("made_for", "task", "labels", "family")
    assert [after[key] for key in same] == [before[key] for key in same]
    # Tensors begin at multiples of 64 bytes, which shows in models as small as these.
    tensors = len(open_bundle(made).manifest.files) + 300
    assert abs(after["weights_bytes"] - before["weights_bytes"]) < 64 * tensors


def test_the_list_of_what_is_compiled_tells_what_it_is_for(models: Path, capfd: Any) -> None:
    name = str(models / "vit")
    assert run(["compile", name, "--offline"]) == 0
    capfd.readouterr()
    assert run(["list", "--json"]) == 0
    bundles = json.loads(capfd.readouterr().out)["bundles"]
    assert [bundle["made_for"] for bundle in bundles if bundle["model"] == name] == ["vision"]
    assert run(["list"]) == 0
    assert "MADE FOR" in capfd.readouterr().out


def test_a_network_is_compiled_for_a_size_of_pictures(models: Path, tmp_path: Path, capfd: Any) -> None:
    made, picture = str(tmp_path / "made"), str(models / "a.png")
    assert run(["compile", str(models / "segformer"), "--size", "32x64", "--output", made, "--offline"]) == 0
    capfd.readouterr()
    assert run(["show", made, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["size"] == [32, 64]
    assert run(["vision", made, picture, "--size", "32x64", "--json"]) == 0
    with Vision(models / "segformer", size=(32, 64), offline=True) as model:
        shares = {region.label: region.share for region in model.segment(models / "a.png").regions}
    told = json.loads(capfd.readouterr().out)["regions"]
    assert {region["label"]: region["share"] for region in told} == pytest.approx(shares)
    assert run(["vision", made, picture, "--size", "64x64"]) == 2
    assert "was compiled for pictures of 32 x 64 pixels" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["chat", "vit"], 5, "hearth vision"),
        (["run", "vit", "What is this?"], 5, "hearth vision"),
        (["ask", "clip", "What is this?"], 5, "hearth vision"),
        (["chat", "bert"], 5, "hearth embed"),
        (["run", "bert-rank", "Who?"], 5, "hearth rerank"),
        (["vision", "starter", "a.png"], 5, "hearth chat"),
        (["vision", "bert", "a.png"], 5, "hearth embed"),
        (["embed", "vit", "A text."], 5, "hearth vision"),
        (["rerank", "detr", "Who?", "A document."], 5, "hearth vision"),
        (["vision", "no-rules", "a.png"], 4, "preprocessor_config.json"),
        (["vision", "vit", "a.png", "--labels", "labels.txt"], 2, "There are 2 labels"),
        (["vision", "vit", "a.png", "--template", "A {}."], 2, "--template is for models"),
        (["vision", "clip", "a.png", "--labels", "a,b", "--template", "none"], 2, "no place for a label"),
        (["vision", "vit", "labels.txt"], 5, "no picture"),
        (["compile", "vit", "--kv", "q8"], 2, "--kv is of no use"),
        (["compile", "bert", "--context", "100"], 2, "--context is of no use"),
        (["compile", "bert", "--size", "32x32"], 2, "size is of no use"),
        (["compile", "no-rules"], 4, "preprocessor_config.json"),
        (["show", "vit", "--context", "100"], 2, "--context is of no use"),
        (["bench", "vit"], 5, "hearth vision"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_use_is_told(models: Path, capfd: Any, stdin: None, arguments: list[str], code: int, says: str) -> None:
    given = [str(models / word) if (models / word).exists() else word for word in arguments]
    offline = [] if given[0] == "show" else ["--offline"]
    assert run([*given, *offline]) == code
    told = capfd.readouterr()
    assert says in told.err
    assert told.err.count("Error:") == 1
    assert told.out == ""


def test_doors_for_programs_refuse_other_kinds(models: Path) -> None:
    with pytest.raises(Unsupported, match="made to look at pictures"):
        LLM(models / "vit", offline=True)
    with pytest.raises(Unsupported, match="an encoder"):
        LLM(models / "bert", offline=True)
    with pytest.raises(Unsupported, match="made to look at pictures"):
        Embedder(models / "vit", offline=True)
    with pytest.raises(Unsupported, match="an encoder"):
        Vision(models / "bert", offline=True)


def test_what_is_no_text_and_no_picture_is_told(models: Path) -> None:
    with Embedder(models / "bert", offline=True) as model:
        for wrong in (5, None, [5.0], ["a", None], b"a", {"a": 1}):
            with pytest.raises(UsageError, match="text"):
                model.embed(wrong)  # type: ignore[arg-type]
        assert model.embed([]).shape == (0, 28)
    with Embedder(models / "bert-rank", offline=True) as model:
        for query, documents in ((5, ["a"]), ("a", 5), ("a", [5]), ("a", "b"), (None, ["a"])):
            with pytest.raises(UsageError):
                model.rerank(query, documents)  # type: ignore[arg-type]
        for top in (0, "3", 1.5):
            with pytest.raises(UsageError, match="top"):
                model.rerank("a", ["b"], top=top)  # type: ignore[arg-type]
    with Embedder(models / "distilbert", offline=True) as model:
        for wrong in ("a", 5, [5]):
            with pytest.raises(UsageError):
                model.classify(wrong)  # type: ignore[arg-type]
    with Vision(models / "vit", offline=True) as model:
        for wrong in (5, None, [5], np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
            with pytest.raises(UsageError):
                model.classify(wrong)  # type: ignore[call-overload]
        for top in (0, "3", 1.5):
            with pytest.raises(UsageError, match="top"):
                model.classify(models / "a.png", top=top)
    with Vision(models / "detr", offline=True) as model:
        for threshold in (2, "a", None):
            with pytest.raises(UsageError, match="threshold"):
                model.detect(models / "a.png", threshold=threshold)  # type: ignore[arg-type]
    with Vision(models / "clip", offline=True) as model:
        for labels in ("a", 5, [], [5], ["a", ""]):
            with pytest.raises(UsageError):
                model.zero_shot(models / "a.png", labels)  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            model.embed_texts([5])  # type: ignore[list-item]


def test_models_of_every_kind_come_from_the_hub(
    models: Path,
    hub: FakeHub,  # noqa: F811
    use_hub: Any,  # noqa: F811
    capfd: Any,
) -> None:
    use_hub(hub.url)
    for name in ("vit", "bert"):
        files = [path for path in (models / name).rglob("*") if path.is_file()]
        hub.publish(f"acme/{name}", {str(p.relative_to(models / name)): p.read_bytes() for p in files})
        assert run(["show", f"acme/{name}"]) == 0
        assert "made for" in capfd.readouterr().out
        assert run(["show", f"acme/{name}", "--context", "9"]) == 2
        assert run(["pull", f"acme/{name}"]) == 0
        assert {"vit": "Next: hearth vision", "bert": "Next: hearth embed"}[name] in capfd.readouterr().err
        assert run(["list"]) == 0
        assert f"acme/{name}" in capfd.readouterr().out
        assert run(["rm", f"acme/{name}", "--yes"]) == 0
    # A model of another kind is refused before its weights come.
    assert run(["vision", "acme/bert", str(models / "a.png")]) == 5
    assert "Nothing of acme/bert was downloaded" in capfd.readouterr().err
