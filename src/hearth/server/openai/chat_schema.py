"""Request and answer of `POST /v1/chat/completions`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, Tag, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hearth.server import field_tables
from hearth.server.fields import FAULT
from hearth.server.openai.common import Effort, FunctionTool, StreamOptions, TextPart, ToolChoice, needs_stream
from hearth.server.openai.formats import Structured
from hearth.server.pictures import ImageUrlPart
from hearth.server.results import LeftOut, text_or
from hearth.server.wire import (
    MAX_CHOICES,
    MAX_MESSAGES,
    WHOLE,
    ClientBody,
    ModelName,
    ShortText,
    Text,
    TokenCount,
    shape,
    tagged,
)


class RefusalPart(ClientBody):
    """What the model said when it refused."""

    rules = field_tables.PART
    type: Literal["refusal"]
    text: Text = Field(alias="refusal")


Content = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[TextPart], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    shape(text=str, parts=list),
]
AnswerPart = Annotated[
    Annotated[TextPart, Tag("(text)")] | Annotated[RefusalPart, Tag("(refusal)")],
    tagged("type", "a part of an answer is of type text or refusal"),
]
AnswerContent = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[AnswerPart], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    shape(text=str, parts=list),
]


UserPart = Annotated[
    Annotated[TextPart, Tag("(text)")] | Annotated[ImageUrlPart, Tag("(image_url)")],
    tagged("type", "is of a type that is not supported; a part is text or image_url"),
]
UserContent = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[UserPart], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    shape(text=str, parts=list),
]


ResultPart = Annotated[Annotated[TextPart, Tag("(text)")] | Annotated[LeftOut, Tag("(other)")], text_or("text")]
ResultContent = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[ResultPart], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    shape(text=str, parts=list),
]


class SystemMessage(ClientBody):
    """Instructions."""

    rules = field_tables.CHAT_MESSAGE
    role: Literal["system", "developer"]
    content: Content
    name: ShortText | None = None


class UserMessage(ClientBody):
    """What the user says."""

    rules = field_tables.CHAT_MESSAGE
    role: Literal["user"]
    content: UserContent
    name: ShortText | None = None


class CalledFunction(ClientBody):
    """The function of a call, its arguments as JSON text."""

    rules = field_tables.CALLED_FUNCTION
    name: ShortText
    arguments: Text = ""


class ToolCall(ClientBody):
    """A call that the model made before."""

    rules = field_tables.TOOL_CALL
    id: ShortText | None = None
    type: Literal["function"] = "function"
    function: CalledFunction


class AssistantMessage(ClientBody):
    """What the model answered before."""

    rules = field_tables.CHAT_MESSAGE
    role: Literal["assistant"]
    content: AnswerContent | None = None
    name: ShortText | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=128)] | None = None
    reasoning_content: Annotated[Text, Field(description="Extension: what it thought.")] | None = None
    refusal: Annotated[Text, Field(description="What it said where there is no content.")] | None = None
    function_call: Annotated[CalledFunction, Field(description="The older form of tool_calls.")] | None = None


class ToolMessage(ClientBody):
    """The result of a call. Without an id it is of the next call that has none yet."""

    rules = field_tables.CHAT_MESSAGE
    role: Literal["tool", "function"]
    content: ResultContent | None = None
    tool_call_id: ShortText | None = None
    name: ShortText | None = None


Message = Annotated[
    Annotated[SystemMessage, Tag("(system)")]
    | Annotated[SystemMessage, Tag("(developer)")]
    | Annotated[UserMessage, Tag("(user)")]
    | Annotated[AssistantMessage, Tag("(assistant)")]
    | Annotated[ToolMessage, Tag("(tool)")]
    | Annotated[ToolMessage, Tag("(function)")],
    tagged("role"),
]
TemplateValue = bool | Annotated[str, Field(max_length=1000)]


class ThinkingObject(ClientBody):
    """Whether the model thinks, as Anthropic's, GLM's and DeepSeek's requests say it."""

    rules = field_tables.THINKING
    type: Literal["enabled", "disabled", "adaptive", "auto"]


class ReasoningObject(ClientBody):
    """How much the model thinks, as OpenRouter's requests say it."""

    rules = field_tables.REASONING
    effort: Effort | None = None
    enabled: bool | None = None
    exclude: Annotated[bool, Field(description="The answer comes without what the model thought.")] | None = None


class Thinking(ClientBody):
    """Whether and how much the model thinks, where its template can switch that: at most one of these."""

    reasoning_effort: Annotated[Effort, Field(description="none and minimal are off.")] | None = None
    reasoning: ReasoningObject | None = None
    enable_thinking: Annotated[bool, Field(description="Extension: Qwen's and others'.")] | None = None
    think: (
        Annotated[
            Annotated[bool, Tag("(switch)")] | Annotated[Effort, Tag("(effort)")],
            shape(switch=bool, effort=str),
            Field(description="Extension: Ollama's."),
        ]
        | None
    ) = None
    thinking: (
        Annotated[
            Annotated[bool, Tag("(switch)")] | Annotated[ThinkingObject, Tag("(object)")],
            shape(switch=bool, object=dict),
            Field(description="Extension: Anthropic's and others'."),
        ]
        | None
    ) = None
    include_reasoning: (
        Annotated[bool, Field(description="Extension: false leaves out of the answer what the model thought.")] | None
    ) = None

    @property
    def hides_thinking(self) -> bool:
        """Whether what the model thought is no part of the answer."""
        return self.include_reasoning is False or bool(self.reasoning and self.reasoning.exclude)

    def wanted_thinking(self) -> tuple[str, Effort | bool] | None:
        """The field that says so, and an effort or on and off; None where none does.

        Raises:
            PydanticCustomError: two of them contradict each other.
        """
        wishes: dict[str, Effort | bool | None] = {
            "reasoning_effort": self.reasoning_effort,
            "reasoning.effort": self.reasoning.effort if self.reasoning else None,
            "reasoning.enabled": self.reasoning.enabled if self.reasoning else None,
            "enable_thinking": self.enable_thinking,
            "think": self.think,
            "thinking": _switch(self.thinking),
        }
        given = [(name, wish) for name, wish in wishes.items() if wish is not None]
        for name, wish in given[1:]:
            if _is_on(wish) != _is_on(given[0][1]):
                raise PydanticCustomError(FAULT, "contradicts", {"refused": [(name, f"it contradicts {given[0][0]}.")]})
        return given[0] if given else None

    @model_validator(mode="after")
    def _agree(self) -> Thinking:
        self.wanted_thinking()
        return self


def _switch(value: ThinkingObject | bool | None) -> bool | None:
    if isinstance(value, ThinkingObject):
        return {"enabled": True, "disabled": False}.get(value.type)
    return value


def _is_on(wish: Effort | bool) -> bool:
    return wish if isinstance(wish, bool) else wish not in ("none", "minimal")


class ChatRequest(Structured, Thinking):
    """The fields of OpenAI's request that Hearth has, and its and other servers' extensions."""

    rules = field_tables.CHAT
    model: ModelName | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE] | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    continue_final_message: (
        Annotated[bool, Field(description="Extension: the last message is the assistant's; go on with it.")] | None
    ) = None
    add_generation_prompt: (
        Annotated[bool, Field(description="Extension: false goes with continue_final_message.")] | None
    ) = None
    chat_template_kwargs: (
        Annotated[
            dict[Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,63}$")], TemplateValue],
            Field(max_length=16, description="Extension: variables that the model's chat template knows."),
        ]
        | None
    ) = None

    @field_validator("top_logprobs")
    @classmethod
    def _has_logprobs(cls, value: int | None, others: ValidationInfo) -> int | None:
        if value and not others.data.get("logprobs"):
            raise PydanticCustomError("needs", "needs logprobs: true")
        return value

    @field_validator("max_completion_tokens")
    @classmethod
    def _agrees(cls, value: int | None, others: ValidationInfo) -> int | None:
        if value is not None and others.data.get("max_tokens") not in (None, value):
            raise PydanticCustomError("differ", "differs from max_tokens")
        return value

    @field_validator("stream_options")
    @classmethod
    def _is_stream(cls, value: StreamOptions | None, others: ValidationInfo) -> StreamOptions | None:
        return needs_stream(value, others)

    @field_validator("continue_final_message")
    @classmethod
    def _has_begun(cls, value: bool | None, others: ValidationInfo) -> bool | None:
        messages = others.data.get("messages")
        if value and messages and messages[-1].role != "assistant":
            raise PydanticCustomError("needs", "needs a last message of role assistant")
        return value

    @field_validator("add_generation_prompt")
    @classmethod
    def _is_turn(cls, value: bool | None, others: ValidationInfo) -> bool | None:
        if value is not None and value == bool(others.data.get("continue_final_message")):
            wanted = "false" if value else "true"
            raise PydanticCustomError("differ", "must be {wanted} here: it is the opposite of continue_final_message",
                                      {"wanted": wanted})  # fmt: skip
        return value


class CachedTokens(BaseModel):
    """Of the prompt's tokens."""

    cached_tokens: int


class ReasoningTokens(BaseModel):
    """Of the answer's tokens."""

    reasoning_tokens: int


class CompletionUsage(BaseModel):
    """What a request cost."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens
    completion_tokens_details: ReasoningTokens


class LikelyToken(BaseModel):
    """A token and its log-probability."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(LikelyToken):
    """A drawn token, and the likeliest in its place."""

    top_logprobs: list[LikelyToken]


class ChoiceLogprobs(BaseModel):
    """One for each token."""

    content: list[TokenLogprob]
    refusal: None = None


class AnswerCallFunction(BaseModel):
    """The function of a call."""

    name: str
    arguments: str


class AnswerCall(BaseModel):
    """A call that the model asks for."""

    id: str
    type: Literal["function"]
    function: AnswerCallFunction


class AnswerMessage(BaseModel):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None
    refusal: None = None
    reasoning_content: str | None = None
    tool_calls: list[AnswerCall] | None = None


class ChatChoice(BaseModel):
    """One answer."""

    index: int
    message: AnswerMessage
    finish_reason: Literal["stop", "length", "tool_calls"]
    logprobs: ChoiceLogprobs | None = None


class ChatCompletion(BaseModel):
    """The answer, as a whole."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: CompletionUsage
    system_fingerprint: str | None = None
    service_tier: Literal["default"] | None = None
