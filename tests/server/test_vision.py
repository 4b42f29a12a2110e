"""`/v1/vision`: what `hearth vision --json` tells, to clients; and what those are told who send something else."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.encoding.lettered import lettered
from tests.server.running import Running, running

from golden.preprocess import draw_picture
from golden.vision.published import folder_of
from hearth import Vision
from hearth.server.models import Models, ModelSettings
from hearth.vision.telling import as_json

NAMES = ("vit", "detr", "clip", "segformer", "depth-anything", "dinov2")
PIXELS = draw_picture(60, 80)


def png(pixels: np.ndarray[Any, Any] = PIXELS) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PNG = png()
TEXT = base64.b64encode(PNG).decode()


@pytest.fixture(scope="module")
def folder(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    for name in NAMES:
        (folder / name).mkdir()
        folder_of(name, folder / name)
    lettered("bert", folder / "bert")
    # Its pictures keep their shape, as the model's authors have it.
    rules = {"image_processor_type": "YolosImageProcessor", "size": {"shortest_edge": 64, "longest_edge": 96}}
    (folder / "detr" / "preprocessor_config.json").write_text(json.dumps(rules))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    names = [str(folder / name) for name in (*NAMES, "bert")]
    models = Models([*names, "starter"], ModelSettings(threads=2, offline=True))
    with running(models, max_body_bytes=1 << 20, max_attachment_bytes=1 << 19) as server:
        yield server


def ask(server: Running, model: str, **fields: Any) -> httpx.Response:
    return server.http.post("/v1/vision", json={"model": model, "image": TEXT} | fields)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_is_what_the_model_says(server: Running, folder: Path, name: str) -> None:
    answer = ask(server, name)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["object"], told["model"], told["height"], told["width"]) == ("vision", name, 60, 80)
    with Vision(folder / name, size=tuple(told["size"]) if name == "detr" else None, offline=True) as model:
        assert told["task"] == model.info.task
        method = {"zero_shot": "embed"}.get(model.info.task, model.info.task)
        expected = as_json(getattr(model, method)(PIXELS))
    for field, value in expected.items():
        if field == "found":
            assert [one["label"] for one in told[field]] == [one["label"] for one in value]
            assert [one["score"] for one in told[field]] == pytest.approx([one["score"] for one in value])
        elif isinstance(value, list) and isinstance(value[0], dict):
            assert told[field] == [pytest.approx(one) for one in value]
        else:
            assert told[field] == pytest.approx(value)


def test_a_file_of_a_form_is_a_picture_too(server: Running) -> None:
    def form(**fields: Any) -> httpx.Response:
        return server.http.post("/v1/vision", files={"image": ("a.png", PNG)}, data=fields)

    assert form(model="vit", top="2").json() == ask(server, "vit", top=2).json()
    two = ask(server, "clip", labels=["a cat", "a dog"], template="{}").json()
    assert form(model="clip", labels="a cat, a dog", template="{}").json() == two
    assert form(model="clip", labels=["a cat", "a dog"], template="{}").json() == two
    assert {one["label"] for one in two["found"]} == {"a cat", "a dog"}
    assert sum(one["score"] for one in two["found"]) == pytest.approx(1)
    drawn = form(model="vit", draw="true").json()["drawn"]
    picture = Image.open(io.BytesIO(base64.b64decode(drawn.removeprefix("data:image/png;base64,"))))
    assert picture.size == (80, 60)
    for fields, param in (({"top": "many"}, "top"), ({"threshold": "2"}, "threshold"), ({"draw": "maybe"}, "draw")):
        refused = form(model="vit", **fields)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert server.http.post("/v1/vision", data={"model": "vit"}, files={"other": PNG}).status_code == 400


def test_parts_say_which_region_each_pixel_is_of(server: Running, folder: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (73, 92, 3), np.uint8)
    told = ask(server, "segformer", image=base64.b64encode(png(noise)).decode(), draw=True).json()
    parts = Image.open(io.BytesIO(base64.b64decode(told["parts"].removeprefix("data:image/png;base64,"))))
    with Vision(folder / "segformer", offline=True) as model:
        mask = model.segment(noise).mask
    labels = np.array([-1, *(region["index"] for region in told["regions"])])
    assert len(labels) > 2
    assert (labels[np.asarray(parts)] == mask).all()
    assert "parts" not in ask(server, "segformer").json()


def test_a_data_url_is_a_picture_and_other_urls_are_not_opened(server: Running) -> None:
    assert ask(server, "vit", image=f"data:image/png;base64,{TEXT}").json() == ask(server, "vit").json()
    for image in ("https://example.org/a.png", "file:///etc/passwd", "data:text/plain;base64,aGk=", "data:image/png,x"):
        refused = ask(server, "vit", image=image)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "invalid_image"


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"image": "%%%"}, 400, "no base64"),
        ({"image": ""}, 400, "image"),
        ({"image": base64.b64encode(b"no picture").decode()}, 400, "no picture that Hearth reads"),
        ({"image": base64.b64encode(PNG[:200]).decode()}, 400, "damaged"),
        ({"image": 5}, 400, "image"),
        ({"image": None}, 400, "image"),
        ({"model": "none"}, 404, "none"),
        ({"model": "starter"}, 400, "/v1/chat/completions"),
        ({"model": "bert"}, 400, "/v1/embeddings"),
        ({"labels": ["a"]}, 400, "labels are for models"),
        ({"labels": []}, 400, "labels"),
        ({"model": "clip", "labels": [" "]}, 400, "no labels"),
        ({"model": "clip", "labels": ["a"], "template": "none"}, 400, "no place"),
        ({"model": "clip", "labels": ["abcdefghijklmnopqrstuvwxyz"]}, 400, "tokens"),
        ({"template": "A {}."}, 400, "template is for models"),
        ({"top": 0}, 400, "top"),
        ({"threshold": 1.5}, 400, "threshold"),
        ({"size": [64, 64]}, 400, "size"),
        ({"image": "A" * (1 << 20)}, 413, "larger"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_told(server: Running, fields: dict[str, Any], status: int, says: str) -> None:
    refused = ask(server, **({"model": "vit"} | fields))
    assert refused.status_code == status, refused.text
    assert says in refused.json()["error"]["message"]
    assert "/tmp" not in refused.text


def test_bodies_that_are_no_requests(server: Running) -> None:
    post = server.http.post
    assert post("/v1/vision", content=b"{").status_code in (400, 415)
    for body in (b"{", b"[]", b"5", b"\xff", b"", b'{"image": 1' + b"0" * 5000 + b"}"):
        assert post("/v1/vision", content=body, headers={"content-type": "application/json"}).status_code == 400
    assert post("/v1/vision", content=PNG, headers={"content-type": "image/png"}).status_code == 415
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert post("/v1/vision", content=b"no form", headers=form).status_code == 400
    large = {"image": ("a.png", b"x" * (1 << 20))}
    assert post("/v1/vision", files=large).status_code == 413


def test_other_routes_refuse_a_model_that_looks_at_pictures(server: Running) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    for path, body in (
        ("/v1/chat/completions", {"messages": messages}),
        ("/v1/completions", {"prompt": "Once"}),
        ("/v1/responses", {"input": "Hello"}),
        ("/v1/embeddings", {"input": "Hello"}),
        ("/v1/rerank", {"query": "Who?", "documents": ["a"]}),
        ("/v1/messages", {"messages": messages, "max_tokens": 5}),
        ("/tokenize", {"content": "Hello"}),
    ):
        refused = server.http.post(path, json={"model": "vit", **body})
        assert refused.status_code == 400, refused.text
        assert "/v1/vision" in refused.json()["error"]["message"]


def test_the_list_of_models_tells_what_each_is_for(server: Running) -> None:
    ask(server, "vit")
    assert server.http.post("/v1/models/bert/load").status_code == 200
    cards = {card["id"]: card for card in server.http.get("/v1/models").json()["data"]}
    assert (cards["vit"]["kind"], cards["vit"]["task"], cards["vit"]["loaded"]) == ("vision", "classify", True)
    assert (cards["bert"]["kind"], cards["bert"]["task"]) == ("encoder", "embed")
    assert cards["vit"]["size_bytes"] > 0
    assert server.metric("hearth_pictures_total", model="vit", outcome="seen") >= 1
    assert server.metric("hearth_model_loaded", model="vit") == 1
    assert server.http.post("/v1/models/vit/unload").json()["loaded"] is False
    assert server.metric("hearth_model_loaded", model="vit") == 0
    assert ask(server, "vit").status_code == 200


def test_models_that_see_make_room_for_each_other(folder: Path) -> None:
    async def use() -> None:
        models = Models([str(folder / "vit"), str(folder / "dinov2")], ModelSettings(threads=1, offline=True))
        async with models.use_for_pictures("vit") as opened:
            one = models.card("vit").size_bytes or 0
            assert opened.vision.info.task == "classify"
        await models.close(0.0)
        # Room for one of them: the other is closed for it, while nobody uses it.
        few = ModelSettings(threads=1, offline=True, memory_bytes=int(1.5 * one))
        models = Models([str(folder / "vit"), str(folder / "dinov2")], few)
        for name in ("vit", "dinov2", "vit"):
            async with models.use_for_pictures(name):
                assert [card.id for card in models.cards() if card.loaded] == [name]
        await models.close(0.0)

    asyncio.run(use())


def test_one_picture_is_looked_at_after_the_other_and_a_few_may_wait(folder: Path) -> None:
    go, began = threading.Event(), threading.Event()

    def work(vision: Vision) -> str:
        began.set()
        assert go.wait(60)
        return vision.info.task

    async def use() -> list[Any]:
        models = Models([str(folder / "vit")], ModelSettings(threads=1, offline=True, max_waiting=1))
        async with models.use_for_pictures(None) as opened:
            first = asyncio.create_task(opened.look(work))
            assert await asyncio.to_thread(began.wait, 60)
            second = asyncio.create_task(opened.look(work))
            while opened.waiting == 0:
                await asyncio.sleep(0)
            assert (opened.running, opened.waiting) == (1, 1)
            third = asyncio.create_task(opened.look(work))
            await asyncio.wait([third])
            go.set()
            ended = await asyncio.gather(first, second, third, return_exceptions=True)
            assert (opened.running, opened.waiting) == (0, 0)
        await models.close(0.0)
        return list(ended)

    first, second, third = asyncio.run(use())
    assert (first, second) == ("classify", "classify")
    assert type(third).__name__ == "Busy"
