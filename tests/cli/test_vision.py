"""`hearth vision`: what is typed is checked before anything is opened; what was seen is told people and programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from golden.preprocess import draw_picture
from golden.vision import CASES
from hearth.cli.pictures import Seen, pictures_of, print_seen, rows_of, write_drawn
from hearth.errors import StorageError, UsageError
from hearth.vision import Box, Depth, Label, Region, Segmentation
from hearth.vision.telling import as_json

from .conftest import Run

PICTURE = draw_picture(60, 80)
RESULTS = {
    "classify": [Label("tabby", 0.75, 3), Label("tiger", 0.25, 4)],
    "detect": [Box("dog", 0.9, 10.2, 5.0, 50.8, 40.0, 1), Box("cat", 0.6, -4, 0, 900, 20, 0)],
    "segment": Segmentation(
        np.repeat([[0, 2]], 60, 0).repeat(40, 1).astype(np.int32), (Region("sky", 0.5, 0), Region("sea", 0.5, 2))
    ),
    "depth": Depth(np.linspace(0, 2, 4800, dtype=np.float32).reshape(60, 80), metric=True),
    "embed": np.arange(6, dtype=np.float32) / 8,
}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(PICTURE).save(path)
    return path


def published(name: str, folder: Path) -> Path:
    folder.mkdir()
    return next(case for case in CASES if case.recipe.name == name).write(folder)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "No picture"),
        (("-", "-"), 2, "one picture"),
        (("a.png", "--labels", ","), 2, "names nothing"),
        (("a.png", "-o", "found.txt"), 2, "name for a picture"),
        (("a.png", "--size", "big"), 2, "no size"),
        ((".", "-o", "a.png"), 7, "cannot be a folder"),
        (("a.png", "-o", "none/found.png"), 7, "none is no folder"),
        ((".", "a.png", "-o", "drawn"), 2, "Two pictures"),
        (("a.png", "--threshold", "7"), 2, "range"),
    ],
)
def test_what_is_typed_wrongly_is_told(
    arguments: tuple[str, ...], code: int, told: str, hearth: Run, tmp_path: Path, picture: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    Image.fromarray(PICTURE).save(tmp_path / "b.png")
    monkeypatch.chdir(tmp_path)
    done = hearth("vision", "model", *arguments, "--offline")
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr


def test_a_model_without_rules_for_pictures_and_one_that_sees_nothing(hearth: Run, tmp_path: Path, picture: Path):
    done = hearth("vision", str(published("vit", tmp_path / "model")), str(picture))
    assert done.returncode == 4
    assert "preprocessor_config.json" in done.stderr
    language = Path(__file__).parents[1] / "golden" / "qwen3"
    done = hearth("vision", str(language), str(picture))
    assert done.returncode == 5
    assert "hearth chat" in done.stderr
    done = hearth("ask", str(tmp_path / "model"), "What is this?")
    assert done.returncode == 5
    assert "hearth vision" in done.stderr


def test_pictures_of_a_folder_come_by_name(tmp_path: Path):
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [picture.stem for picture in pictures_of([str(tmp_path)])] == ["a.png", "b.JPG"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(StorageError, match="no pictures"):
        list(pictures_of([str(tmp_path / "empty")]))
    with pytest.raises(UsageError):
        list(pictures_of([]))


@pytest.mark.parametrize("task", RESULTS)
def test_results_for_people(task: str, capsys: pytest.CaptureFixture[str]):
    print_seen([Seen("a.png", rows_of(RESULTS[task]))], task)
    alone = capsys.readouterr().out
    assert "a.png" not in alone
    print_seen([Seen(name, rows_of(RESULTS[task])) for name in ("a.png", "b.png")], task)
    both = capsys.readouterr().out
    assert "IMAGE" in both
    assert both.count("a.png") == both.count("b.png") == len(rows_of(RESULTS[task]))


def test_nothing_found_is_said(capsys: pytest.CaptureFixture[str]):
    print_seen([Seen("a.png", rows_of([]))], "detect")
    assert capsys.readouterr().out == "Nothing was found.\n"


@pytest.mark.parametrize("task", RESULTS)
def test_results_for_programs(task: str):
    told = json.loads(json.dumps(as_json(RESULTS[task])))
    if task == "detect":
        assert told["found"][0] == {
            "label": "dog", "score": 0.9, "left": 10.2, "top": 5.0, "right": 50.8, "bottom": 40.0, "index": 1,
        }  # fmt: skip
    elif task == "segment":
        assert [region["label"] for region in told["regions"]] == ["sky", "sea"]
    elif task == "depth":
        assert (told["least"], told["most"], told["metric"]) == (0.0, 2.0, True)


@pytest.mark.parametrize("task", ["classify", "detect", "segment", "depth"])
def test_results_are_drawn(task: str, picture: Path, tmp_path: Path):
    (given,) = pictures_of([str(picture)])
    write_drawn(given.read(), RESULTS[task], tmp_path / "drawn.png")
    drawn = np.asarray(Image.open(io.BytesIO((tmp_path / "drawn.png").read_bytes())).convert("RGB"))
    assert drawn.shape == PICTURE.shape
    assert (drawn != PICTURE).any()
    with pytest.raises(StorageError):
        write_drawn(given.read(), RESULTS[task], tmp_path / "nowhere" / "drawn.png")


def test_eval_of_pictures(hearth: Run, tmp_path: Path):
    model = published("vit", tmp_path / "model")
    rules = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    (model / "preprocessor_config.json").write_text(json.dumps(rules))
    for i, name in enumerate(("LABEL_0", "LABEL_1", "LABEL_1")):
        (tmp_path / "pictures" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(PICTURE, 9 * i, 1)).save(tmp_path / "pictures" / name / f"{i}.png")
    done = hearth("eval", str(model), str(tmp_path / "pictures"), "--quant", "int8", "--quant", "q8", "--json")
    told = json.loads(done.stdout)
    exact, *rounded = told["formats"]
    assert [each["quant"] for each in told["formats"]] == ["f32", "int8", "q8"]
    assert (told["task"], exact["pictures"], exact["cosine"]) == ("classify", 3, None)
    assert all(0.9 < each["least_cosine"] <= each["cosine"] <= 1 for each in rounded)
    assert exact["weights_bytes"] > rounded[0]["weights_bytes"]
    table = hearth("eval", str(model), str(tmp_path / "pictures"), "--max-pictures", "2")
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["WEIGHTS", "f32", "int8"]
    assert table.stdout.splitlines()[1].split()[3] == "2"
    for arguments, says in [(["--window", "8"], "--window"), (["--labels", str(tmp_path / "none")], "none")]:
        refused = hearth("eval", str(model), str(tmp_path / "pictures"), *arguments)
        assert refused.returncode in (2, 7)
        assert says in refused.stderr
    (tmp_path / "text.txt").write_text("words")
    assert "--labels" in hearth("eval", str(model), str(tmp_path / "text.txt"), "--labels", "x").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("vision", "MODEL", "a.png", "--quant", "w4a8"), 2, "--calibrate PATH"),
        (("vision", "MODEL", "a.png", "--calibrate", "."), 2, "leave --calibrate out"),
        (("vision", "MODEL", "a.png", "--quant", "w4a8", "--calibrate", "."), 2, "holds 1 picture"),
        (("compile", "MODEL", "--quant", "w4a8", "--calibrate", "none"), 7, "no folder"),
        (("compile", "starter", "--quant", "w4a8", "--calibrate", "."), 2, "--calibrate"),
        (("eval", "MODEL", ".", "--calibrate", "."), 2, "leave --calibrate out"),
    ],
)
def test_calibration_that_says_nothing_is_told(
    arguments: tuple[str, ...], code: int, told: str, hearth: Run, tmp_path: Path, picture: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    model = published("vit", tmp_path / "model")
    (model / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "ViTImageProcessor"}))
    done = hearth(*(str(model) if each == "MODEL" else each for each in arguments), "--offline")
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
