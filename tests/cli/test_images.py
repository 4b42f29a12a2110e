"""Pictures on the command line: `hearth ask --image`, `/image` in a chat."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import Run

from golden.vlm.lettered import write_lettered
from golden.vlm.pictures import draw_picture
from hearth.errors import CorruptFile, UsageError

EXACT = ("--quant", "f32", "--precision", "high", "-t", "0", "-n", "4", "--offline")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lettered(tmp_path_factory.mktemp("seeing"))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    Image.fromarray(draw_picture(40, 30)).save(path)
    return str(path)


def test_a_question_about_a_picture(hearth: Run, folder: Path, picture: str) -> None:
    seen = hearth("run", str(folder), "what?", "--image", picture, *EXACT)
    assert (seen.returncode, bool(seen.stdout)) == (0, True), seen.stderr
    unseen = hearth("ask", str(folder), "what?", *EXACT)
    assert seen.stdout != unseen.stdout
    raw = hearth("ask", str(folder), "what?", "--raw", "--image", picture, "--image", picture, *EXACT)
    assert raw.returncode == 0, raw.stderr


def test_a_chat_about_pictures(hearth: Run, folder: Path, picture: str, tmp_path: Path) -> None:
    saved = tmp_path / "chat.json"
    lines = [f"/image {picture}", "what?", "/retry", "/image", "/image /no/such.png", f"/save {saved}", "/undo"]
    said = hearth("chat", str(folder), *EXACT, stdin="\n".join(lines) + "\n")
    assert said.returncode == 0, said.stderr
    assert "1 picture will be shown with your next message." in said.stderr
    assert "Which picture?" in said.stderr
    assert "/no/such.png cannot be read" in said.stderr
    assert "Taken back: what?" in said.stderr
    again = hearth("chat", str(folder), "--load", str(saved), *EXACT, stdin="and?\n")
    assert again.returncode == 0, again.stderr
    assert again.stdout


def test_what_is_no_picture_or_not_seen_is_told(hearth: Run, starter: object, picture: str, tmp_path: Path) -> None:
    damaged = tmp_path / "cut.png"
    damaged.write_bytes(Path(picture).read_bytes()[:100])
    cut = hearth("ask", "starter", "what?", "--image", str(damaged))
    assert cut.returncode == CorruptFile.exit_code
    assert "damaged or cut short" in cut.stderr
    blind = hearth("ask", "starter", "what?", "--image", picture)
    assert blind.returncode == UsageError.exit_code
    assert "starter takes no pictures" in blind.stderr
