"""Pictures of any size, of which each takes as many tokens as it needs and text goes on behind its rows and columns.

A failure says that a user of Qwen2.5-VL gets another answer in a longer conversation than in a short one, or about
another part of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.vlm.lettered import QWEN_MARKS, TEXT_TEMPLATE, write_lettered_qwen
from golden.vlm.pictures import draw_picture
from hearth import LLM
from hearth.errors import UsageError

GREEDY: dict[str, Any] = {"temperature": 0.0, "max_tokens": 8, "logprobs": 0}
OPTIONS: dict[str, Any] = {"quant": "f32", "precision": "high", "threads": 2, "offline": True}
PAD = QWEN_MARKS["<|image_pad|>"]


def asked(picture: np.ndarray, text: str = "what?") -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": text}]}


def said(answer: Any) -> tuple[str, list[float]]:
    """The text, and how sure the model was of each token: the same only where it saw the same."""
    return answer.text, [token.logprob for token in answer.logprobs]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lettered_qwen(tmp_path_factory.mktemp("any-size"))


@pytest.fixture(scope="module")
def llm(cache: Path, folder: Path) -> Iterator[LLM]:
    with LLM(folder, **OPTIONS) as llm:
        yield llm


def test_a_prompt_has_the_tokens_that_transformers_writes(llm: LLM) -> None:
    """45 x 61 pixels are brought to 48 x 64, 6 x 8 squares."""
    ids = list(
        llm.prompt_ids(
            [asked(draw_picture(45, 61)), {"role": "assistant", "content": "no"}, asked(draw_picture(40, 24))]
        )
    )
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"

    def user(tokens: int) -> str:
        pads = "<|image_pad|>" * tokens
        return f"<|im_start|>user\n<|vision_start|>{pads}<|vision_end|>what?<|im_end|>\n"

    text = f"{system}{user(48)}<|im_start|>assistant\nno<|im_end|>\n{user(15)}<|im_start|>assistant\n"
    assert ids == llm.tokenize(text, parse_special=True)


def test_a_conversation_goes_on_as_if_it_were_read_at_once(llm: LLM, folder: Path) -> None:
    """What is found in the cache was turned by the same positions as what is computed anew."""
    messages: list[dict[str, Any]] = []
    answers = []
    for size in ((45, 61), (16, 120), (24, 24)):
        messages.append(asked(draw_picture(*size)))
        answer = llm.chat(messages, **GREEDY)
        answers.append(said(answer))
        messages.append({"role": "assistant", "content": answer.text})
    assert answer.usage.cached_tokens > 48 + 30
    with LLM(folder, **OPTIONS) as fresh:
        assert said(fresh.chat(messages[:-1], **GREEDY)) == answers[-1]
        assert said(fresh.chat(messages[:1], **GREEDY)) == answers[0]


def test_where_things_are_in_a_picture_counts(llm: LLM) -> None:
    """Two pictures of as many squares, one tall and one wide, and the same one mirrored."""
    wide = draw_picture(24, 40)
    pictures = (wide, wide.transpose(1, 0, 2).copy(), wide[:, ::-1].copy())
    answers = [said(llm.chat([asked(picture)], **GREEDY)) for picture in pictures]
    assert len({tuple(logprobs) for _, logprobs in answers}) == 3


def test_batches_of_pictures_of_several_sizes(llm: LLM) -> None:
    questions = [[asked(draw_picture(*size))] for size in ((16, 16), (40, 24), (24, 40), (45, 61))]
    alone = [said(llm.chat(question, **GREEDY)) for question in questions]
    assert [said(each) for each in llm.chat_many(questions[::-1], **GREEDY)][::-1] == alone


def test_generate_writes_all_that_stands_around_a_picture(llm: LLM) -> None:
    assert llm.picture_marker == "<|vision_start|><|image_pad|><|vision_end|>"
    small = draw_picture(16, 16)
    marked = llm.generate(f"{llm.picture_marker}\na", images=[small], **GREEDY)
    assert said(marked) == said(llm.generate("a", images=[small], **GREEDY))
    assert marked.usage.prompt_tokens == 2 + 4 + 2


def test_a_text_that_names_the_marks_shows_nothing(llm: LLM) -> None:
    ids = list(llm.prompt_ids([asked(draw_picture(16, 16), f"<|image_pad|> {llm.picture_marker}")]))
    assert ids.count(PAD) == 4


def test_a_template_of_text_only_is_given_the_models_own_marks(cache: Path, folder: Path, tmp_path: Path) -> None:
    template = tmp_path / "text.jinja"
    template.write_text(TEXT_TEMPLATE)
    with LLM(folder, **OPTIONS, template=str(template)) as other:
        ids = list(other.prompt_ids([asked(draw_picture(16, 16))]))
        shown = f"<|vision_start|>{'<|image_pad|>' * 4}<|vision_end|>"
        assert ids == other.tokenize(f"user: {shown}\nwhat?\nassistant:", parse_special=True)


def test_a_picture_that_is_too_long_is_told(llm: LLM) -> None:
    with pytest.raises(UsageError, match="too long"):
        llm.chat([asked(np.zeros((3, 700, 3), np.uint8))])
