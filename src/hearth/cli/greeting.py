"""What `hearth serve` says when it is ready: its address, and something to try that its models can do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Any


@dataclass(frozen=True)
class Shown:
    """A model as the greeting knows it: `kind` and `task` as `server.ModelCard` has them; None: not known yet."""

    name: str
    kind: str | None = None
    task: str | None = None


@dataclass(frozen=True)
class _Example:
    """A request.

    Attributes:
        python: lines; `$url`, `$key`, `$model` and `$headers` are filled in.
        body: what is sent as JSON beside the model's name.
        form: fields of a form, which is sent instead.
    """

    route: str
    python: str
    body: Mapping[str, Any] = field(default_factory=dict)
    form: tuple[str, ...] = ()


_CLIENT = """\
from openai import OpenAI
client = OpenAI(base_url="$url/v1", api_key="$key")
"""
_HELLO = [{"role": "user", "content": "Hello"}]
_QUESTION = {"query": "Who sat?", "documents": ["A cat sat.", "It rains."]}
_EXAMPLES: Mapping[str, _Example] = {
    "chat": _Example(
        "/v1/chat/completions",
        f"{_CLIENT}answer = client.chat.completions.create(model=$model, messages={json.dumps(_HELLO)})",
        {"messages": _HELLO},
    ),
    "embed": _Example(
        "/v1/embeddings",
        f'{_CLIENT}answer = client.embeddings.create(model=$model, input=["A cat sat."])',
        {"input": ["A cat sat."]},
    ),
    "rank": _Example(
        "/v1/rerank",
        f"""import httpx
question = {json.dumps(_QUESTION)}
answer = httpx.post("$url/v1/rerank", json={{"model": $model, **question}}$headers).json()""",
        _QUESTION,
    ),
    "vision": _Example(
        "/v1/vision",
        """import httpx
form = {"data": {"model": $model}, "files": {"image": open("photo.jpg", "rb")}}
answer = httpx.post("$url/v1/vision", **form$headers).json()""",
        form=("image=@photo.jpg",),
    ),
    "zero_shot": _Example(
        "/v1/vision",
        """import httpx
form = {"data": {"model": $model, "labels": ["a cat", "a dog"]}, "files": {"image": open("photo.jpg", "rb")}}
answer = httpx.post("$url/v1/vision", **form$headers).json()""",
        form=("image=@photo.jpg", "labels=a cat, a dog"),
    ),
}


def greeting(url: str, models: Sequence[Shown], *, with_key: bool) -> str:
    """The text: an example for each kind of request that the models answer."""
    parts = [f"Serving {', '.join(model.name for model in models)} at {url}"]
    first: dict[str, str] = {}
    for model in models:
        first.setdefault(_which(model), model.name)
    for which, name in first.items():
        if which in _EXAMPLES:
            parts += _told(_EXAMPLES[which], name, url, with_key)
    return "\n\n".join([*parts, "Ctrl-C stops it."])


def _which(model: Shown) -> str:
    match model.kind:
        case "vision":
            return "zero_shot" if model.task == "zero_shot" else "vision"
        case "encoder":
            return model.task or "embed"
        case _:
            return "chat"


def _told(example: _Example, name: str, url: str, with_key: bool) -> list[str]:
    python = Template(example.python).substitute(
        url=url,
        key="YOUR KEY" if with_key else "none",
        model=json.dumps(name, ensure_ascii=False),
        headers=', headers={"authorization": "Bearer YOUR KEY"}' if with_key else "",
    )
    shell = f"curl {url}{example.route}"
    if with_key:
        shell += ' -H "authorization: Bearer $HEARTH_API_KEY"'
    if example.form:
        shell += "".join(f' -F "{field}"' for field in (f"model={name}", *example.form))
    else:
        body = json.dumps({"model": name, **example.body}, ensure_ascii=False)
        shell += f""" -H "content-type: application/json" \\\n  -d '{body}'"""
    return [_block("From Python:", python), _block("From a shell:", shell)]


def _block(head: str, lines: str) -> str:
    return "\n".join([head, *(f"  {line}" for line in lines.splitlines())])
