"""What a server tells of a model, open or not: `ModelCard`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hearth.chat.tools import tool_format_for
from hearth.errors import HearthError
from hearth.llm import LLM
from hearth.model.kinds import TEXT, KindName
from hearth.prepare import Placement


@dataclass(frozen=True)
class ModelCard:
    """What is told of a model, open or not.

    Attributes:
        id: its name in requests.
        created: when the server came to know it, in seconds since 1970.
        running, waiting: requests.
        context: tokens of prompt and answer together; None until it has been open.
        device: where it runs, and why there; None until it has been open, and for what runs on CPUs only.
        size_bytes: memory it takes, or took when it was open; None until then.
        template: name of its chat template; None: it has none, or has not been open.
        thinking: whether the template can switch thinking on and off, or begins it.
        tools: whether it was trained to call tools, in a format that is known.
        sees: whether it takes pictures in a conversation.
        kind: of `model.kinds`: `text`, `encoder`, `vision`; None until it has been open.
        task: what one of another kind than `text` does: `embed`, `rank`, `detect` ...
    """

    id: str
    created: int
    loaded: bool = False
    running: int = 0
    waiting: int = 0
    context: int | None = None
    device: Placement | None = None
    size_bytes: int | None = None
    template: str | None = None
    thinking: bool = False
    tools: bool = False
    sees: bool = False
    kind: KindName | None = None
    task: str | None = None


def described(card: ModelCard, llm: LLM) -> ModelCard:
    """The card of an open model."""
    info = llm.info
    card = replace(
        card,
        kind=TEXT,
        sees=llm.sees,
        context=info.context,
        device=info.device,
        size_bytes=info.weights_bytes + info.session_bytes,
    )
    try:
        template = llm.chat_template
    except HearthError:  # it only carries on texts
        return replace(card, template=None, thinking=False, tools=False)
    return replace(
        card,
        template=template.name,
        thinking=template.thinking.can_switch or template.thinking.thinks,
        tools=tool_format_for(template, llm.tokenizer) is not None,
    )
