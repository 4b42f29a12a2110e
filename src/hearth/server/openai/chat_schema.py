"""Request and answer of `POST /v1/chat/completions`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, Tag, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hearth.server.openai.fields import (
    Effort,
    FunctionTool,
    Harmless,
    StreamOptions,
    Structured,
    TextPart,
    ToolChoice,
    Verbosity,
    needs_stream,
)
from hearth.server.wire import (
    MAX_CHOICES,
    MAX_MESSAGES,
    WHOLE,
    Body,
    ModelName,
    ShortText,
    Text,
    TokenCount,
    Unsupported,
    shape,
    tagged,
)

Content = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[TextPart], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    shape(text=str, parts=list),
]


Derived = Annotated[
    Any, Field(exclude=True, description="What clients add to an answer that they have read; without effect.")
]


class SystemMessage(Body):
    """Instructions."""

    role: Literal["system", "developer"]
    content: Content
    name: ShortText | None = None


class UserMessage(Body):
    """What the user says."""

    role: Literal["user"]
    content: Content
    name: ShortText | None = None


class CalledFunction(Body):
    """The function of a call, its arguments as JSON text."""

    name: ShortText
    arguments: Text
    parsed_arguments: Derived = None


class ToolCall(Body):
    """A call that the model made before."""

    id: ShortText
    type: Literal["function"]
    function: CalledFunction
    index: Derived = None


class AssistantMessage(Body):
    """What the model answered before."""

    role: Literal["assistant"]
    content: Content | None = None
    name: ShortText | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=128)] | None = None
    reasoning_content: Annotated[Text, Field(description="Extension: what it thought.")] | None = None
    parsed: Derived = None
    refusal: Annotated[Any, Unsupported("a model here does not refuse apart from its text.")] = None
    audio: Annotated[Any, Unsupported("models here take and give text only.")] = None
    function_call: Annotated[Any, Unsupported("use tool_calls.")] = None
    annotations: Annotated[Any, Unsupported("models here take and give text only.", neutral=([],))] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not self.tool_calls and self.reasoning_content is None:
            raise PydanticCustomError("no_content", "has neither content nor tool_calls")
        return self


class ToolMessage(Body):
    """The result of a call."""

    role: Literal["tool"]
    content: Content
    tool_call_id: ShortText
    name: ShortText | None = None


Message = Annotated[
    Annotated[SystemMessage, Tag("(system)")]
    | Annotated[SystemMessage, Tag("(developer)")]
    | Annotated[UserMessage, Tag("(user)")]
    | Annotated[AssistantMessage, Tag("(assistant)")]
    | Annotated[ToolMessage, Tag("(tool)")],
    tagged("role"),
]
TemplateValue = bool | Annotated[str, Field(max_length=1000)]


class ChatRequest(Structured, Harmless):
    """The fields of OpenAI's request that Hearth has, and Hearth's extensions."""

    model: ModelName
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
    reasoning_effort: (
        Annotated[Effort, Field(description="For models whose template can switch thinking: none and minimal are off.")]
        | None
    ) = None
    chat_template_kwargs: (
        Annotated[
            dict[Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,63}$")], TemplateValue],
            Field(max_length=16, description="Extension: variables that the model's chat template knows."),
        ]
        | None
    ) = None

    store: Annotated[Any, Unsupported("nothing is kept.", neutral=(False,))] = None
    modalities: Annotated[Any, Unsupported("models here take and give text only.", neutral=(["text"],))] = None
    audio: Annotated[Any, Unsupported("models here take and give text only.")] = None
    prediction: Annotated[Any, Unsupported("guessing ahead is the server's business (--speculate, --draft).")] = None
    web_search_options: Annotated[Any, Unsupported("nothing leaves this machine.")] = None
    functions: Annotated[Any, Unsupported("use tools.", neutral=([],))] = None
    function_call: Annotated[Any, Unsupported("use tool_choice.", neutral=("none",))] = None
    verbosity: Verbosity = None

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
