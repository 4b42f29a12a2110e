"""`POST /v1/vision`: what a model sees in a picture, as `hearth vision --json` tells it. Hearth's own route.

The picture is a field of JSON (base64 or a data URL), or a file of multipart/form-data. It is looked at in memory, and
neither kept nor logged.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import UploadFile

from hearth.errors import CorruptFile, Unsupported
from hearth.image import read_image
from hearth.server import field_tables
from hearth.server.errors import ApiError
from hearth.server.openai.parts import ERRORS
from hearth.server.pictures import picture_bytes
from hearth.server.streaming import until_gone
from hearth.server.wire import WHOLE, ClientBody, ModelName, ShortText
from hearth.vision import Depth, Segmentation, Vision
from hearth.vision.asking import Asked
from hearth.vision.draw import annotated
from hearth.vision.telling import as_json

if TYPE_CHECKING:
    from PIL.Image import Image

    from hearth.server.metrics import Metrics
    from hearth.server.models import Models

router = APIRouter(tags=["vision"], responses=ERRORS)
MAX_LABELS = 1000
_FORM_FIELDS = 2 * MAX_LABELS
_MOST_PARTS = 255  # what a byte tells apart
_PARTS_SIDE = 1024  # pixels: enough to point at something
_WHERE = "image"


class VisionRequest(ClientBody):
    """What to look at, and for what. Fields that the model's task has no use for change nothing."""

    rules = field_tables.VISION
    model: ModelName | None = None
    image: Annotated[str, Field(min_length=1, description="A picture file in base64, or as a data URL.")]
    labels: (
        Annotated[
            list[Annotated[ShortText, Field(min_length=1)]],
            Field(min_length=1, max_length=MAX_LABELS, description="What to choose among (CLIP, SigLIP)."),
        ]
        | None
    ) = None
    template: Annotated[ShortText, Field(description="The sentence around each label, {} in its place.")] | None = None
    top: Annotated[int, Field(ge=1, description="So many labels, the best first."), WHOLE] | None = None
    threshold: Annotated[float, Field(ge=0, le=1, description="Objects at least this sure.")] | None = None
    draw: Annotated[bool, Field(description="Give the picture with what was found in it, too.")] | None = None


class Found(BaseModel):
    """A label, or an object with its box, in pixels of the picture."""

    label: str
    score: float
    index: int
    left: float | None = None
    top: float | None = None
    right: float | None = None
    bottom: float | None = None


class FoundRegion(BaseModel):
    """A label and the part of all pixels that have it; of an object that was found how sure it is."""

    label: str
    share: float
    index: int
    score: float | None = None


class VisionAnswer(BaseModel):
    """What was seen; which fields there are follows from the model's task.

    Attributes:
        height, width: of the picture.
        size: height and width that it was brought to for the network.
        drawn: the picture with what was found in it, as a data URL of a PNG file.
        parts: with it, of regions: a grey PNG file, smaller than the picture, of 1 + the place in `regions` that each
            pixel has; 0: none.
    """

    object: Literal["vision"]
    model: str
    task: Literal["classify", "embed", "detect", "segment", "depth", "zero_shot"]
    height: int
    width: int
    size: tuple[int, int]
    found: list[Found] | None = None
    regions: list[FoundRegion] | None = None
    metric: bool | None = None
    least: float | None = None
    median: float | None = None
    most: float | None = None
    embedding: list[float] | None = None
    drawn: str | None = None
    parts: str | None = None


_BODIES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": VisionRequest.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "string", "format": "binary"},
                        "model": {"type": "string"},
                        "labels": {"type": "array", "items": {"type": "string"}},
                        "template": {"type": "string"},
                        "top": {"type": "integer"},
                        "threshold": {"type": "number"},
                        "draw": {"type": "boolean"},
                    },
                }
            },
        },
    }
}


@router.post(
    "/v1/vision",
    response_model=VisionAnswer,
    response_model_exclude_none=True,
    openapi_extra=_BODIES,
)
async def look(request: Request) -> Any:
    """What a model sees in a picture: labels, objects, regions, depths or a vector, whichever it was made for."""
    return await answer(request)


async def answer(request: Request) -> dict[str, Any]:
    """The answer to a request with a picture, as `VisionAnswer` has it."""
    body, picture = await _read(request)
    models: Models = request.app.state.models
    async with models.use_for_pictures(body.model) as opened:
        if body.labels is not None and opened.vision.info.task != "zero_shot":
            raise ApiError(
                400,
                f"labels are for models that choose among them; {opened.name} tells apart what it was made for.",
                param="labels",
            )
        asked = Asked(tuple(body.labels or ()), body.template, body.top, body.threshold)
        metrics: Metrics = request.app.state.metrics
        with metrics.picture(opened.name):
            seen = await until_gone(request, opened.look(lambda vision: _seen(vision, picture, asked, body.draw)))
        return {"object": "vision", "model": opened.name, "task": opened.vision.info.task} | seen


def _seen(vision: Vision, picture: bytes, asked: Asked, draw: bool | None) -> dict[str, Any]:
    """What is told of a picture. Takes a moment."""
    look = asked.looker(vision)
    try:
        pixels = read_image(picture, "The picture")
    except (CorruptFile, Unsupported) as error:
        message = " ".join(part for part in (error.what, error.why, error.hint) if part)
        refused = ApiError(400, message, code="invalid_image", param=_WHERE)
        refused.kind = "UnreadablePicture"
        raise refused from error
    (result,) = look([pixels])
    told = {"height": pixels.shape[0], "width": pixels.shape[1], "size": vision.info.size} | as_json(result)
    if draw and isinstance(result, list | Segmentation | Depth):
        told["drawn"] = _png(annotated(pixels, result))
        if isinstance(result, Segmentation) and len(result.regions) <= _MOST_PARTS:
            told["parts"] = _png(_parts(result))
    return told


def _parts(result: Segmentation) -> Image:
    from PIL import Image

    numbers = result.parts() + 1
    step = math.ceil(max(numbers.shape) / _PARTS_SIDE)
    return Image.fromarray(np.ascontiguousarray(numbers[::step, ::step]).astype(np.uint8))


def _png(image: Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


async def _read(request: Request) -> tuple[VisionRequest, bytes]:
    """The request and its picture, from either form of body."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        body = _checked(_json(await request.body()))
        return body, picture_bytes(body.image, _WHERE)
    async with request.form(max_files=1, max_fields=_FORM_FIELDS) as form:
        file = form.get(_WHERE)
        if not isinstance(file, UploadFile):
            raise ApiError(400, "image is missing: it is the file of the form.", param=_WHERE)
        fields: dict[str, Any] = {name: value for name, value in form.items() if isinstance(value, str)}
        if "labels" in fields:
            fields["labels"] = _labels([value for value in form.getlist("labels") if isinstance(value, str)])
        picture = await file.read()
    for name in _FORM_TYPES.keys() & fields.keys():
        fields[name] = _FORM_TYPES[name](fields[name])
    return _checked({**fields, _WHERE: "(file)"}), picture


def _labels(given: list[str]) -> list[str]:
    """One field with commas between labels, or a field for each."""
    return [label.strip() for label in given[0].split(",") if label.strip()] if len(given) == 1 else given


def _number(text: str) -> Any:
    """A number of a form's field, where it is one; else the text, which is refused as any text is."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _flag(text: str) -> Any:
    return {"true": True, "1": True, "false": False, "0": False, "": None}.get(text.strip().lower(), text)


_FORM_TYPES: dict[str, Callable[[str], Any]] = {"top": _number, "threshold": _number, "draw": _flag}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        place = {"type": "json_invalid", "loc": ("body", error.pos), "msg": error.msg, "ctx": {"error": error.msg}}
        raise RequestValidationError([place]) from error
    except ValueError as error:  # no UTF-8, a number of thousands of digits
        raise ApiError(400, "The body is not valid JSON.") from error


def _checked(given: Any) -> VisionRequest:
    try:
        return VisionRequest.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error
