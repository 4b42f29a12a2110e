"""Pictures in conversations: every protocol's form of one reaches a model that sees; nothing is fetched for anybody."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.server.running import Running, running

from golden.vlm.lettered import write_lettered, write_lettered_qwen
from golden.vlm.pictures import draw_picture
from hearth import LLM
from hearth.server.models import Models, ModelSettings

PIXELS = draw_picture(45, 61)
OPTIONS: dict[str, Any] = {"quant": "f32", "precision": "high", "threads": 2, "offline": True}
GREEDY: dict[str, Any] = {"temperature": 0.0}


def encoded(pixels: np.ndarray[Any, Any] = PIXELS) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


URL = f"data:image/png;base64,{encoded()}"
OPENAI = {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}
RESPONSES = {"type": "input_image", "image_url": URL, "detail": "auto"}
ANTHROPIC = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded()}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "seeing"
    folder.mkdir()
    return write_lettered(folder)


@pytest.fixture(scope="module")
def server(cache: Path, folder: Path) -> Iterator[Running]:
    with running(Models([str(folder), "starter"], ModelSettings(**OPTIONS)), load=["seeing"]) as server:
        yield server


@pytest.fixture(scope="module")
def expected(folder: Path, cache: Path) -> str:
    """What the model itself says of the picture."""
    content = [{"type": "image", "image": PIXELS}, {"type": "text", "text": "what?"}]
    with LLM(folder, **OPTIONS) as llm:
        return llm.chat([{"role": "user", "content": content}], max_tokens=5, **GREEDY).text


def chat(server: Running, *parts: Any, model: str = "seeing", **more: Any) -> Any:
    messages = [{"role": "user", "content": list(parts)}]
    return server.http.post(
        "/v1/chat/completions", json={"model": model, "messages": messages, "max_tokens": 5, **GREEDY, **more}
    )


def respond(server: Running, *parts: Any, model: str = "seeing") -> Any:
    body = {"model": model, "input": [{"role": "user", "content": list(parts)}], "max_output_tokens": 5, **GREEDY}
    return server.http.post("/v1/responses", json=body)


def message(server: Running, *parts: Any, model: str = "seeing", path: str = "/v1/messages") -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": list(parts)}]}
    more = {} if path.endswith("tokens") else {"max_tokens": 5, **GREEDY}
    return server.http.post(path, json={**body, **more})


def test_each_protocol_shows_the_picture_to_the_model(server: Running, expected: str) -> None:
    text = {"type": "text", "text": "what?"}
    answer = chat(server, OPENAI, text).json()
    assert answer["choices"][0]["message"]["content"] == expected
    plain = chat(server, {"type": "image_url", "image_url": URL}, text).json()
    assert plain["usage"]["prompt_tokens"] == answer["usage"]["prompt_tokens"]
    assert plain["usage"]["prompt_tokens_details"]["cached_tokens"] > 0  # it is known as the same picture
    response = respond(server, RESPONSES, {"type": "input_text", "text": "what?"}).json()
    assert response["output"][-1]["content"][0]["text"] == expected
    said = message(server, ANTHROPIC, text).json()
    assert said["content"][0]["text"] == expected
    counted = message(server, ANTHROPIC, text, path="/v1/messages/count_tokens").json()["input_tokens"]
    assert counted == answer["usage"]["prompt_tokens"]
    # Another picture, another answer: it is looked at.
    mirrored = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(PIXELS[:, ::-1].copy())}"}}
    assert chat(server, mirrored, text).json()["choices"][0]["message"]["content"] != expected


def test_pictures_of_any_size_are_shown_by_the_same_parts(cache: Path, tmp_path: Path) -> None:
    """Two pictures in one conversation, to a model that takes as many tokens as each needs."""
    folder = tmp_path / "any-size"
    folder.mkdir()
    write_lettered_qwen(folder)
    small = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(draw_picture(40, 24))}"}}
    with running(Models([str(folder)], ModelSettings(**OPTIONS)), load=["any-size"]) as server:
        text = {"type": "text", "text": "what?"}
        one, two = (
            chat(server, *parts, text, model="any-size").json()["usage"] for parts in ([OPENAI], [OPENAI, small])
        )
        assert two["prompt_tokens"] - one["prompt_tokens"] == 1 + 5 * 3 + 1
        again = message(server, ANTHROPIC, text, model="any-size").json()["usage"]
        assert again["input_tokens"] + again["cache_read_input_tokens"] == one["prompt_tokens"]


def test_a_stream_begins_as_the_answer_does(server: Running, expected: str) -> None:
    body = chat(server, OPENAI, {"type": "text", "text": "what?"}, stream=True).text
    assert body.count("data: ") > 2
    assert "error" not in body


def test_a_picture_that_a_tool_returned_is_seen(server: Running) -> None:
    def asked(*content: Any) -> int:
        messages = [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": list(content)},
        ]
        body = {"model": "seeing", "messages": messages, "max_tokens": 3, **GREEDY}
        return int(server.http.post("/v1/messages", json=body).json()["usage"]["input_tokens"])

    assert asked(ANTHROPIC, {"type": "text", "text": "x"}) - asked({"type": "text", "text": "x"}) > 8


@pytest.mark.parametrize("url", ["https://example.org/a.png", "file:///etc/passwd", "/etc/passwd", "a.png", ""])
def test_nothing_is_fetched_and_no_file_is_opened(server: Running, url: str) -> None:
    for refused in (
        chat(server, {"type": "image_url", "image_url": {"url": url}}),
        chat(server, {"type": "image_url", "image_url": url}),
        respond(server, {"type": "input_image", "image_url": url}),
        message(server, {"type": "image", "source": {"type": "url", "url": url}}),
    ):
        assert refused.status_code == 400, refused.text
        assert "Hearth fetches nothing" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "data",
    ["%%%", base64.b64encode(b"no picture").decode(), encoded()[:400], ""],
    ids=["no base64", "no picture", "cut short", "empty"],
)
def test_what_is_no_picture_is_told(server: Running, data: str) -> None:
    for refused in (
        chat(server, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}),
        respond(server, {"type": "input_image", "image_url": f"data:image/png;base64,{data}"}),
        message(server, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}),
    ):
        assert refused.status_code == 400, refused.text
        assert "picture" in refused.json()["error"]["message"].lower()


def test_a_model_that_sees_nothing_says_so(server: Running) -> None:
    for refused in (
        chat(server, OPENAI, model="starter"),
        respond(server, RESPONSES, model="starter"),
        message(server, ANTHROPIC, model="starter"),
        message(server, ANTHROPIC, model="starter", path="/v1/messages/count_tokens"),
    ):
        assert refused.status_code == 400, refused.text
        assert "picture" in refused.json()["error"]["message"]
    assert respond(server, {"type": "input_image", "file_id": "f"}).status_code == 400


def test_the_list_of_models_tells_which_see(server: Running) -> None:
    assert chat(server, {"type": "text", "text": "Hi"}, model="starter").status_code == 200
    sees = {card["id"]: card["sees"] for card in server.http.get("/v1/models").json()["data"]}
    assert sees == {"seeing": True, "starter": False}
