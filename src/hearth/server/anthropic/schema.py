"""Requests and answers of `POST /v1/messages` and `POST /v1/messages/count_tokens`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from hearth.server.openai.fields import ToolName, only_kind
from hearth.server.wire import (
    MAX_MESSAGES,
    MAX_STOPS,
    MAX_TOKENS,
    WHOLE,
    Body,
    CacheControl,
    JsonObject,
    ModelName,
    Probability,
    ShortText,
    StopString,
    Temperature,
    Text,
    TokenCount,
    TopK,
    Unsupported,
    shape,
    tagged,
)

MAX_BLOCKS = 4096


class TextBlock(Body):
    """A text."""

    type: Literal["text"]
    text: Text
    cache_control: CacheControl | None = None
    citations: Annotated[Any, Unsupported("nothing is cited.", neutral=([],))] = None

    _is_text = only_kind("text")


class ThinkingBlock(Body):
    """What the model thought before, as an earlier answer gave it."""

    type: Literal["thinking"]
    thinking: Text
    signature: Text = ""


class DirectCaller(Body):
    """A call that the model made by itself."""

    type: Literal["direct"]


class ToolUseBlock(Body):
    """A call that the model made before."""

    type: Literal["tool_use"]
    id: ShortText
    name: ToolName
    input: JsonObject
    cache_control: CacheControl | None = None
    caller: DirectCaller | None = None
    toolset_name: Annotated[Any, Unsupported("there are no tool sets.")] = None


TextOrBlocks = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[TextBlock], Field(max_length=MAX_BLOCKS), Tag("(blocks)")],
    shape(text=str, blocks=list),
]


class ToolResultBlock(Body):
    """The result of a call."""

    type: Literal["tool_result"]
    tool_use_id: ShortText
    content: TextOrBlocks | None = None
    is_error: Annotated[bool, Field(description='The model then reads "Error: " before the content.')] | None = None
    cache_control: CacheControl | None = None
    toolset_name: Annotated[Any, Unsupported("there are no tool sets.")] = None


UserBlock = Annotated[
    Annotated[TextBlock, Tag("(text)")] | Annotated[ToolResultBlock, Tag("(tool_result)")],
    tagged("type", "a user's block is of type text or tool_result"),
]
AssistantBlock = Annotated[
    Annotated[TextBlock, Tag("(text)")]
    | Annotated[ThinkingBlock, Tag("(thinking)")]
    | Annotated[ToolUseBlock, Tag("(tool_use)")],
    tagged("type", "an assistant's block is of type text, thinking or tool_use"),
]
Blocks = Field(min_length=1, max_length=MAX_BLOCKS)


class UserTurn(Body):
    """What the user says, and what tools returned."""

    role: Literal["user"]
    content: Annotated[
        Annotated[Text, Tag("(text)")] | Annotated[list[UserBlock], Blocks, Tag("(blocks)")],
        shape(text=str, blocks=list),
    ]


class AssistantTurn(Body):
    """What the model answered before."""

    role: Literal["assistant"]
    content: Annotated[
        Annotated[Text, Tag("(text)")] | Annotated[list[AssistantBlock], Blocks, Tag("(blocks)")],
        shape(text=str, blocks=list),
    ]


class SystemTurn(Body):
    """Instructions in the course of a conversation."""

    role: Literal["system"]
    content: TextOrBlocks


Message = Annotated[
    Annotated[UserTurn, Tag("(user)")]
    | Annotated[AssistantTurn, Tag("(assistant)")]
    | Annotated[SystemTurn, Tag("(system)")],
    tagged("role"),
]


class Tool(Body):
    """A tool that the client runs."""

    type: Literal["custom"] | None = None
    name: ToolName
    description: Text | None = None
    input_schema: JsonObject
    strict: bool | None = None
    cache_control: CacheControl | None = None
    input_examples: Annotated[Any, Unsupported("put examples into the description.")] = None
    defer_loading: Annotated[Any, Unsupported("all tools are told at once.", neutral=(False,))] = None
    eager_input_streaming: bool | None = None
    allowed_callers: Annotated[Any, Unsupported("the model calls.", neutral=(["direct"],))] = None

    _is_custom = only_kind("custom")


class AutoChoice(Body):
    """The model decides (auto), or must call something (any)."""

    type: Literal["auto", "any"]
    disable_parallel_tool_use: bool | None = None


class ToolChoice(Body):
    """This tool and no other."""

    type: Literal["tool"]
    name: ToolName
    disable_parallel_tool_use: bool | None = None


class NoChoice(Body):
    """No tool."""

    type: Literal["none"]


Choice = Annotated[
    Annotated[AutoChoice, Tag("(auto)")]
    | Annotated[AutoChoice, Tag("(any)")]
    | Annotated[ToolChoice, Tag("(tool)")]
    | Annotated[NoChoice, Tag("(none)")],
    tagged("type"),
]


class ThinkingOn(Body):
    """Thinking is wanted, where the model can. It ends where the model ends it, or with `max_tokens`."""

    type: Literal["enabled"]
    budget_tokens: (
        Annotated[int, Field(ge=1, le=MAX_TOKENS, description="Checked, but no limit by itself."), WHOLE] | None
    ) = None
    display: Annotated[Any, Unsupported("thinking is given as it is.", neutral=("summarized",))] = None


class ThinkingOff(Body):
    """No thinking."""

    type: Literal["disabled"]


class ThinkingAdaptive(Body):
    """As the model does by itself."""

    type: Literal["adaptive"]
    display: Annotated[Any, Unsupported("thinking is given as it is.", neutral=("summarized",))] = None


NO_EDITS: tuple[JsonObject, ...] = ({}, {"edits": []}, {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]})
Thinking = Annotated[
    Annotated[ThinkingOn, Tag("(enabled)")]
    | Annotated[ThinkingOff, Tag("(disabled)")]
    | Annotated[ThinkingAdaptive, Tag("(adaptive)")],
    tagged("type"),
]


class JsonOutput(Body):
    """The answer is JSON that follows this schema."""

    type: Literal["json_schema"]
    schema_: JsonObject = Field(alias="schema")


class OutputConfig(Body):
    """What the answer must look like."""

    format: JsonOutput | None = None
    effort: (
        Annotated[
            Literal["low", "medium", "high", "xhigh", "max"],
            Field(description="For a template that knows efforts; without effect on others."),
        ]
        | None
    ) = None


class RequestMetadata(Body):
    """Who asks. Without effect."""

    user_id: ShortText | None = None


class CountRequest(Body):
    """What both routes take."""

    model: ModelName
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    system: TextOrBlocks | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Choice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    cache_control: CacheControl | None = None
    context_management: Annotated[Any, Unsupported("no part of a conversation is left out.", neutral=NO_EDITS)] = None


class MessageRequest(CountRequest):
    """The fields of Anthropic's request that Hearth has."""

    max_tokens: TokenCount
    stop_sequences: Annotated[list[StopString], Field(max_length=MAX_STOPS)] | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_k: TopK | None = None
    stream: bool | None = None
    metadata: RequestMetadata | None = None
    service_tier: Annotated[Any, Unsupported("there is one tier.", neutral=("auto", "standard_only"))] = None
    container: Annotated[Any, Unsupported("no code runs here.")] = None
    inference_geo: Annotated[Any, Unsupported("answers are made on this machine.")] = None
    mcp_servers: Annotated[Any, Unsupported("nothing leaves this machine.", neutral=([],))] = None

    @field_validator("messages")
    @classmethod
    def _ends_with_user(cls, value: list[Message]) -> list[Message]:
        if value[-1].role == "assistant":
            raise PydanticCustomError("prefill", "the last one cannot be the assistant's: an answer is begun anew")
        return value

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
    citations: None = None


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
