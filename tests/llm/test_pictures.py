"""Pictures in Python: `LLM.chat` and `LLM.generate` show a model what it was trained to see.

A failure says that a user gets an answer about another picture, about none, or a traceback for a damaged file.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from golden.vlm import HERE
from golden.vlm.lettered import MARKS, TEXT_TEMPLATE, write_lettered
from golden.vlm.pictures import draw_picture
from hearth import LLM
from hearth.errors import ContextFull, CorruptFile, DeviceError, StorageError, UsageError

PICTURE = draw_picture(45, 61)
GREEDY: dict[str, Any] = {"temperature": 0.0, "max_tokens": 5}


def png(pixels: np.ndarray = PICTURE) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def of_transformers(rows: int, columns: int) -> str:
    """What its Idefics3Processor writes of a picture."""
    tiles = "".join(
        "".join(f"<fake_token_around_image><row_{y + 1}_col_{x + 1}>" + "<image>" * 4 for x in range(columns)) + "\n"
        for y in range(rows)
    )
    return f"{tiles}\n<fake_token_around_image><global-img>" + "<image>" * 4 + "<fake_token_around_image>"


def asked(picture: Any, text: str = "what?") -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": text}]}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lettered(tmp_path_factory.mktemp("seeing"))


@pytest.fixture(scope="module")
def llm(cache: Path, folder: Path) -> Iterator[LLM]:
    with LLM(folder, quant="f32", precision="high", threads=2, offline=True) as llm:
        yield llm


def test_a_prompt_has_the_tokens_that_transformers_writes(llm: LLM) -> None:
    assert llm.sees
    ids = list(llm.prompt_ids(asked(PICTURE)))
    text = f"<|im_start|>User:{of_transformers(3, 3)}what?<end_of_utterance>\nAssistant:"
    assert ids == llm.tokenize(text, parse_special=True)
    assert ids.count(MARKS["<image>"]) == 40


def test_all_ways_to_give_a_picture_are_one_picture(llm: LLM, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(png())
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    ways = [str(path), path, png(), bytearray(png()), url, PICTURE, Image.fromarray(PICTURE)]
    texts = {llm.chat(asked(way), **GREEDY).text for way in ways}
    openai = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}, {"type": "text", "text": "what?"}]
    texts.add(llm.chat([{"role": "user", "content": openai}], **GREEDY).text)
    assert len(texts) == 1
    others = {llm.chat(asked(p), **GREEDY).text for p in (np.zeros_like(PICTURE), PICTURE[:, ::-1].copy())}
    assert not texts & others  # they are looked at


def test_an_answer_depends_on_its_own_picture_alone(llm: LLM) -> None:
    pictures = [draw_picture(32, 32 + i) for i in range(4)]
    with_cache = [llm.chat(asked(p), **GREEDY).text for p in pictures]
    again = llm.chat_many([asked(p) for p in reversed(pictures)], **GREEDY)
    assert [each.text for each in reversed(again)] == with_cache
    cached = llm.chat(asked(pictures[0]), **GREEDY)
    assert cached.usage.cached_tokens > 0
    assert cached.text == with_cache[0]


def test_conversations_with_several_pictures(llm: LLM) -> None:
    first = asked(draw_picture(32, 32))
    answer = {"role": "assistant", "content": "yes"}
    more = [*first, answer, *asked(draw_picture(30, 21), "and this?")]
    ids = llm.prompt_ids(more)
    assert list(ids).count(MARKS["<image>"]) == 80
    assert llm.chat(more, **GREEDY).text


def test_generate_puts_pictures_where_the_text_says_or_first(llm: LLM) -> None:
    small = draw_picture(32, 32)
    assert llm.picture_marker == "<image>"
    said = llm.generate("a <image> b", images=[small], **GREEDY)
    first = llm.generate("a b", images=[small], **GREEDY)
    assert said.usage.prompt_tokens == first.usage.prompt_tokens
    assert first.text == llm.generate("<image>\na b", images=[small], **GREEDY).text
    with pytest.raises(UsageError, match="2 places for 1 picture"):
        llm.generate("<image><image>", images=[small])


def test_a_text_that_names_the_marks_shows_nothing(llm: LLM) -> None:
    text = "<image> <fake_token_around_image>"
    assert MARKS["<image>"] not in llm.prompt_ids([{"role": "user", "content": text}])
    ids = list(llm.prompt_ids(asked(draw_picture(32, 32), text)))
    assert ids.count(MARKS["<image>"]) == 40


def test_a_template_of_text_only_is_given_the_models_own_mark(cache: Path, folder: Path, tmp_path: Path) -> None:
    template = tmp_path / "text.jinja"
    template.write_text(TEXT_TEMPLATE)
    with LLM(folder, quant="f32", precision="high", offline=True, template=str(template)) as other:
        ids = list(other.prompt_ids(asked(draw_picture(32, 32), "<image>?")))
        begin = f"user: {of_transformers(3, 3)}\n"
        expected = other.tokenize(begin, parse_special=True) + other.tokenize("<image>?\nassistant:")
        assert ids == expected


def test_a_gguf_model_without_a_token_for_pictures_sees_where_they_stand(cache: Path, tmp_path: Path) -> None:
    """LLaVA's: its vocabulary has white space, and an unknown token that takes the picture's place."""
    template = tmp_path / "text.jinja"
    template.write_text("{% for m in messages %}\t{{ m['content'] }}\f{% endfor %}")
    file = HERE / "llava" / "tiny-F16.gguf"
    with LLM(file, quant="f32", precision="high", offline=True, template=str(template)) as other:
        assert other.sees
        before, after = (other.tokenize(text, add_special=False) for text in ("\t", "\n \v\f"))
        question = asked(PICTURE, " \v")
        assert list(other.prompt_ids(question))[-len(before) - 9 - len(after) :] == [*before, *[0] * 9, *after]
        texts = {other.chat(asked(picture, " \v"), **GREEDY).text for picture in (PICTURE, 255 - PICTURE)}
        assert len(texts) == 2


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"type": "image"}, "picture 1 is missing"),
        ({"type": "image", "image": 5}, "of type int"),
        ({"type": "image", "image": b"no picture"}, "no picture that Hearth reads"),
        ({"type": "image", "image": png()[:200]}, "damaged or cut short"),
        ({"type": "image", "image": b""}, "is empty"),
        ({"type": "image", "image": "data:image/png;base64,%%%"}, "no base64"),
        ({"type": "image", "image": "data:text/plain,hello"}, "no data URL in base64"),
        ({"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}, "fetches nothing"),
        ({"type": "image_url", "image_url": {"url": "/etc/passwd"}}, "fetches nothing"),
        ({"type": "image_url"}, "fetches nothing"),
    ],
)
def test_what_is_no_picture_is_told(llm: LLM, part: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        llm.chat([{"role": "user", "content": [part]}])
    assert says in str(caught.value)


def test_files_that_are_no_pictures_are_told(llm: LLM, tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        llm.chat(asked(tmp_path / "none.png"))
    (tmp_path / "cut.png").write_bytes(png()[:200])
    with pytest.raises(CorruptFile):
        llm.chat(asked(tmp_path / "cut.png"))


def test_more_pictures_than_fit_are_told_before_they_are_read(llm: LLM) -> None:
    many = [{"role": "user", "content": [{"type": "image", "image": PICTURE}] * 50}]
    with pytest.raises(ContextFull, match="pictures alone"):
        llm.chat(many)


def test_a_model_of_text_only_is_given_no_picture(starter: LLM) -> None:
    assert not starter.sees
    with pytest.raises(UsageError, match="takes no pictures"):
        starter.chat(asked(PICTURE))
    with pytest.raises(UsageError, match="takes no pictures"):
        starter.generate("a", images=[PICTURE])


@pytest.mark.parametrize("gpu_layers", [None, 1])
def test_on_a_gpu_a_picture_gets_the_same_answer(cache: Path, llm: LLM, folder: Path, gpu_layers: int | None) -> None:
    options: dict[str, Any] = {"quant": "f32", "precision": "high", "offline": True, "gpu_layers": gpu_layers}
    try:
        opened = LLM(folder, device="gpu", **options)
    except DeviceError as error:
        pytest.skip(f"{error.what} {error.hint}")
    with opened as on_gpu:
        assert on_gpu.sees
        assert on_gpu.chat(asked(PICTURE), **GREEDY).text == llm.chat(asked(PICTURE), **GREEDY).text
