"""Requests and answers of `POST /v1/messages` and `POST /v1/messages/count_tokens`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from hearth.server import field_tables
from hearth.server.openai.common import Sampling, ToolName, only_kind
from hearth.server.pictures import ImageBlock
from hearth.server.results import LeftOut, text_or
from hearth.server.wire import (
    MAX_MESSAGES,
    MAX_STOPS,
    MAX_TOKENS,
    WHOLE,
    ClientBody,
    JsonObject,
    ModelName,
    ShortText,
    StopString,
    Text,
    TokenCount,
    shape,
    tagged,
)

MAX_BLOCKS = 4096


class TextBlock(ClientBody):
    """A text."""

    rules = field_tables.BLOCK
    type: Literal["text"]
    text: Text

    _is_text = only_kind("text")


class ThinkingBlock(ClientBody):
    """What the model thought before, as an earlier answer gave it."""

    rules = field_tables.BLOCK
    type: Literal["thinking"]
    thinking: Text
    signature: Text = ""


class HiddenThinkingBlock(ClientBody):
    """What another model thought, in a form that only its makers read: left out."""

    rules = field_tables.BLOCK
    type: Literal["redacted_thinking"]
    data: Text = ""


class ToolUseBlock(ClientBody):
    """A call that the model made before."""

    rules = field_tables.BLOCK
    type: Literal["tool_use"]
    id: ShortText
    name: ToolName
    input: JsonObject


class SearchResult(ClientBody):
    """What a search found, as a tool returns it."""

    rules = field_tables.BLOCK
    type: Literal["search_result"]
    source: ShortText = ""
    title: Text = ""
    content: Annotated[list[TextBlock], Field(max_length=4096)] | None = None

    @property
    def text(self) -> str:
        """As the model reads it."""
        return "\n".join(
            part for part in (self.title, self.source, *(block.text for block in self.content or ())) if part
        )


TextOrBlocks = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[TextBlock], Field(max_length=MAX_BLOCKS), Tag("(blocks)")],
    shape(text=str, blocks=list),
]


ResultPart = Annotated[
    Annotated[TextBlock, Tag("(text)")]
    | Annotated[SearchResult, Tag("(search_result)")]
    | Annotated[LeftOut, Tag("(other)")],
    text_or("text", "search_result"),
]


class ToolResultBlock(ClientBody):
    """The result of a call."""

    rules = field_tables.BLOCK
    type: Literal["tool_result"]
    tool_use_id: ShortText
    content: (
        Annotated[
            Annotated[Text, Tag("(text)")] | Annotated[list[ResultPart], Field(max_length=MAX_BLOCKS), Tag("(blocks)")],
            shape(text=str, blocks=list),
        ]
        | None
    ) = None
    is_error: Annotated[bool, Field(description='The model then reads "Error: " before the content.')] | None = None


UserBlock = Annotated[
    Annotated[TextBlock, Tag("(text)")]
    | Annotated[ImageBlock, Tag("(image)")]
    | Annotated[ToolResultBlock, Tag("(tool_result)")],
    tagged("type", "a user's block is of type text, image or tool_result"),
]
AssistantBlock = Annotated[
    Annotated[TextBlock, Tag("(text)")]
    | Annotated[ThinkingBlock, Tag("(thinking)")]
    | Annotated[HiddenThinkingBlock, Tag("(redacted_thinking)")]
    | Annotated[ToolUseBlock, Tag("(tool_use)")],
    tagged("type", "an assistant's block is of type text, thinking or tool_use"),
]
Blocks = Field(min_length=1, max_length=MAX_BLOCKS)


class UserTurn(ClientBody):
    """What the user says, and what tools returned."""

    role: Literal["user"]
    content: Annotated[
        Annotated[Text, Tag("(text)")] | Annotated[list[UserBlock], Blocks, Tag("(blocks)")],
        shape(text=str, blocks=list),
    ]


class AssistantTurn(ClientBody):
    """What the model answered before."""

    role: Literal["assistant"]
    content: Annotated[
        Annotated[Text, Tag("(text)")] | Annotated[list[AssistantBlock], Blocks, Tag("(blocks)")],
        shape(text=str, blocks=list),
    ]


class SystemTurn(ClientBody):
    """Instructions in the course of a conversation."""

    role: Literal["system"]
    content: TextOrBlocks


Message = Annotated[
    Annotated[UserTurn, Tag("(user)")]
    | Annotated[AssistantTurn, Tag("(assistant)")]
    | Annotated[SystemTurn, Tag("(system)")],
    tagged("role"),
]


class Tool(ClientBody):
    """A tool that the client runs."""

    rules = field_tables.TOOL
    type: Literal["custom"] | None = None
    name: ToolName
    description: Text | None = None
    input_schema: JsonObject
    strict: bool | None = None
    input_examples: Annotated[list[JsonObject], Field(max_length=64)] | None = None

    _is_custom = only_kind("custom")


class AutoChoice(ClientBody):
    """The model decides (auto), or must call something (any)."""

    type: Literal["auto", "any"]
    disable_parallel_tool_use: bool | None = None


class ToolChoice(ClientBody):
    """This tool and no other."""

    type: Literal["tool"]
    name: ToolName
    disable_parallel_tool_use: bool | None = None


class NoChoice(ClientBody):
    """No tool."""

    type: Literal["none"]


Choice = Annotated[
    Annotated[AutoChoice, Tag("(auto)")]
    | Annotated[AutoChoice, Tag("(any)")]
    | Annotated[ToolChoice, Tag("(tool)")]
    | Annotated[NoChoice, Tag("(none)")],
    tagged("type"),
]


class ThinkingOn(ClientBody):
    """Thinking is wanted, where the model can. It ends where the model ends it, or with `max_tokens`."""

    rules = field_tables.THINKING
    type: Literal["enabled"]
    budget_tokens: (
        Annotated[int, Field(ge=1, le=MAX_TOKENS, description="Checked, but no limit by itself."), WHOLE] | None
    ) = None


class ThinkingOff(ClientBody):
    """No thinking."""

    type: Literal["disabled"]


class ThinkingAdaptive(ClientBody):
    """As the model does by itself."""

    rules = field_tables.THINKING
    type: Literal["adaptive"]


Thinking = Annotated[
    Annotated[ThinkingOn, Tag("(enabled)")]
    | Annotated[ThinkingOff, Tag("(disabled)")]
    | Annotated[ThinkingAdaptive, Tag("(adaptive)")],
    tagged("type"),
]


class JsonOutput(ClientBody):
    """The answer is JSON that follows this schema."""

    type: Literal["json_schema"]
    schema_: JsonObject = Field(alias="schema")


class OutputConfig(ClientBody):
    """What the answer must look like."""

    format: JsonOutput | None = None
    effort: (
        Annotated[
            Literal["low", "medium", "high", "xhigh", "max"],
            Field(description="For a template that knows efforts; without effect on others."),
        ]
        | None
    ) = None


class CountRequest(ClientBody):
    """What both routes take."""

    rules = field_tables.MESSAGES
    model: ModelName | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    system: TextOrBlocks | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Choice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None


class MessageRequest(CountRequest, Sampling):
    """The fields of Anthropic's request that Hearth has, and Hearth's extensions."""

    max_tokens: TokenCount
    stop_sequences: Annotated[list[StopString], Field(max_length=MAX_STOPS)] | None = None
    stream: bool | None = None

    @field_validator("max_tokens")
    @classmethod
    def _holds_budget(cls, value: int, others: ValidationInfo) -> int:
        thinking = others.data.get("thinking")
        budget = thinking.budget_tokens if isinstance(thinking, ThinkingOn) else None
        if budget is not None and budget >= value:
            raise PydanticCustomError("budget", "must be more than thinking.budget_tokens")
        return value


class AnswerText(BaseModel):
    """What the model says."""

    type: Literal["text"]
    text: str


class AnswerThinking(BaseModel):
    """What it thought before."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class AnswerToolUse(BaseModel):
    """A call that it asks for."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class MessageUsage(BaseModel):
    """What a request cost. The prompt's tokens are the sum of the first three."""

    input_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    output_tokens: int


class Answer(BaseModel):
    """The answer, as a whole."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[Annotated[AnswerText | AnswerThinking | AnswerToolUse, Field(discriminator="type")]]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"]
    stop_sequence: str | None
    usage: MessageUsage


class TokenCounted(BaseModel):
    """Tokens of the prompt that these messages make."""

    input_tokens: int


class AnthropicErrorDetail(BaseModel):
    """What went wrong."""

    type: str
    message: str


class AnthropicError(BaseModel):
    """An error in Anthropic's form."""

    type: Literal["error"]
    error: AnthropicErrorDetail
