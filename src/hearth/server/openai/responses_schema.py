"""Request and answer of `POST /v1/responses`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Discriminator, Field, Tag

from hearth.server import field_tables
from hearth.server.openai.chat_schema import RefusalPart, TokenLogprob
from hearth.server.openai.common import Effort, Sampling, Stopping, ToolName
from hearth.server.openai.formats import FormatName, Grammar, JsonObjectFormat, TextFormat
from hearth.server.openai.response_tools import ResponseTool, ToolChoice, check_names
from hearth.server.pictures import InputImagePart
from hearth.server.results import LeftOut, text_or
from hearth.server.wire import (
    MAX_MESSAGES,
    WHOLE,
    ClientBody,
    JsonObject,
    ModelName,
    ShortText,
    Text,
    TokenCount,
    shape,
    tagged,
)

Status = Literal["in_progress", "completed", "incomplete"]


class TextContent(ClientBody):
    """A piece of text."""

    rules = field_tables.PART
    type: Literal["input_text", "output_text", "text"]
    text: Text


_TEXT_KINDS = ("input_text", "output_text", "text")
Part = Annotated[
    Annotated[TextContent, Tag("(input_text)")]
    | Annotated[TextContent, Tag("(output_text)")]
    | Annotated[TextContent, Tag("(text)")]
    | Annotated[InputImagePart, Tag("(input_image)")]
    | Annotated[RefusalPart, Tag("(refusal)")],
    tagged("type", "must be of type input_text, input_image or output_text"),
]
Content = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[Part], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    shape(text=str, parts=list),
]
ResultPart = Annotated[
    Annotated[TextContent, Tag("(input_text)")]
    | Annotated[TextContent, Tag("(output_text)")]
    | Annotated[TextContent, Tag("(text)")]
    | Annotated[LeftOut, Tag("(other)")],
    text_or(*_TEXT_KINDS),
]
ResultContent = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[ResultPart], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    shape(text=str, parts=list),
]


class MessageItem(ClientBody):
    """A turn: the user's, the instructions', or an earlier answer of the model."""

    rules = field_tables.ITEM
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class CallItem(ClientBody):
    """A call that the model made before."""

    rules = field_tables.ITEM
    type: Literal["function_call"]
    call_id: ShortText
    name: ToolName
    arguments: Text
    namespace: ToolName | None = None


class CallOutputItem(ClientBody):
    """The result of a call."""

    rules = field_tables.ITEM
    type: Literal["function_call_output"]
    call_id: ShortText
    output: ResultContent


class CustomCallItem(ClientBody):
    """A call of a custom tool that the model made before."""

    rules = field_tables.ITEM
    type: Literal["custom_tool_call"]
    call_id: ShortText
    name: ToolName
    input: Text
    namespace: ToolName | None = None


class CustomOutputItem(ClientBody):
    """The result of a custom tool's call."""

    rules = field_tables.ITEM
    type: Literal["custom_tool_call_output"]
    call_id: ShortText
    output: ResultContent


class ReasoningText(ClientBody):
    """What the model thought."""

    type: Literal["reasoning_text", "text", "summary_text"]
    text: Text


class ReasoningItem(ClientBody):
    """What the model thought before an earlier answer."""

    rules = field_tables.ITEM
    type: Literal["reasoning"]
    summary: (
        Annotated[list[ReasoningText], Field(max_length=MAX_MESSAGES, description="Read where there is no content.")]
        | None
    ) = None
    content: Annotated[list[ReasoningText], Field(max_length=MAX_MESSAGES)] | None = None


def _kind(value: Any) -> str | None:
    kind = (value.get("type") or "message") if isinstance(value, dict) else None
    return f"({kind})" if isinstance(kind, str) else None


Item = Annotated[
    Annotated[MessageItem, Tag("(message)")]
    | Annotated[CallItem, Tag("(function_call)")]
    | Annotated[CallOutputItem, Tag("(function_call_output)")]
    | Annotated[CustomCallItem, Tag("(custom_tool_call)")]
    | Annotated[CustomOutputItem, Tag("(custom_tool_call_output)")]
    | Annotated[ReasoningItem, Tag("(reasoning)")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message="is of a type that is not supported; an item is message, function_call,"
        " function_call_output, custom_tool_call, custom_tool_call_output or reasoning",
    ),
]


class JsonSchemaOutput(ClientBody):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    name: FormatName | None = None
    schema_: JsonObject = Field(alias="schema")
    description: Text | None = None
    strict: bool | None = None

    def wanted(self) -> dict[str, Any]:
        """As `LLM.prepare_chat` takes it."""
        return {
            "type": "json_schema",
            "json_schema": self.model_dump(by_alias=True, exclude_none=True, exclude={"type"}),
        }


class GrammarOutput(ClientBody):
    """Extension: text that follows a grammar (Lark-style)."""

    type: Literal["grammar"]
    grammar: Grammar

    def wanted(self) -> dict[str, Any]:
        """As `LLM.prepare_chat` takes it."""
        return self.model_dump()


Format = Annotated[
    Annotated[TextFormat, Tag("(text)")]
    | Annotated[JsonObjectFormat, Tag("(json_object)")]
    | Annotated[JsonSchemaOutput, Tag("(json_schema)")]
    | Annotated[GrammarOutput, Tag("(grammar)")],
    tagged("type"),
]


class TextSettings(ClientBody):
    """What the answer must look like."""

    rules = field_tables.TEXT_SETTINGS
    format: Format | None = None


class Reasoning(ClientBody):
    """How much the model thinks, where its template can switch that."""

    rules = field_tables.REASONING
    effort: Effort | None = None


class ResponseStreamOptions(ClientBody):
    """Nothing that Hearth has."""

    rules = field_tables.STREAM_OPTIONS


LOGPROBS = "message.output_text.logprobs"
Included = Annotated[
    list[ShortText],
    Field(
        max_length=64,
        description=f"{LOGPROBS}: log-probabilities. Of the rest there is nothing to include, since thinking is given"
        " as it is.",
    ),
]


class ResponseRequest(Sampling, Stopping):
    """The fields of OpenAI's request that Hearth has, and its and other servers' extensions."""

    rules = field_tables.RESPONSE
    model: ModelName | None = None
    input: Annotated[
        Annotated[Text, Tag("(text)")]
        | Annotated[list[Item], Field(min_length=1, max_length=MAX_MESSAGES), Tag("(items)")],
        shape(text=str, items=list),
    ]
    instructions: Text | None = None
    max_output_tokens: TokenCount | None = None
    tools: Annotated[list[ResponseTool], Field(max_length=128), AfterValidator(check_names)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    reasoning: Reasoning | None = None
    include: Included | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    metadata: Annotated[JsonObject, Field(description="Without effect; repeated in the answer.")] | None = None
    user: Annotated[ShortText, Field(description="Without effect; repeated in the answer.")] | None = None

    @property
    def wants_logprobs(self) -> bool:
        return LOGPROBS in (self.include or ()) or self.top_logprobs is not None

    def wanted_format(self) -> dict[str, Any] | None:
        """As `LLM.prepare_chat` takes it."""
        shape = self.text.format if self.text else None
        return None if shape is None else shape.wanted()


class InputLength(BaseModel):
    """How long the prompt of a request is."""

    object: Literal["response.input_tokens"]
    input_tokens: int


class OutputText(BaseModel):
    """What the model says."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[TokenLogprob]


class OutputMessage(BaseModel):
    """What the model says."""

    type: Literal["message"]
    id: str
    status: Status
    role: Literal["assistant"]
    content: list[OutputText]


class OutputReasoningText(BaseModel):
    """What it thought before."""

    type: Literal["reasoning_text"]
    text: str


class OutputReasoning(BaseModel):
    """What it thought before."""

    type: Literal["reasoning"]
    id: str
    status: Status
    summary: list[Any]
    content: list[OutputReasoningText]


class OutputCall(BaseModel):
    """A call that it asks for."""

    type: Literal["function_call"]
    id: str
    status: Status
    call_id: str
    name: str
    arguments: str
    namespace: str | None = None


class OutputCustomCall(BaseModel):
    """A call of a custom tool that it asks for."""

    type: Literal["custom_tool_call"]
    id: str
    status: Status
    call_id: str
    name: str
    input: str
    namespace: str | None = None


class InputTokens(BaseModel):
    """Of the prompt's tokens."""

    cached_tokens: int
    cache_write_tokens: int


class OutputTokens(BaseModel):
    """Of the answer's tokens."""

    reasoning_tokens: int


class ResponseUsage(BaseModel):
    """What a request cost."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: OutputTokens
    total_tokens: int


class IncompleteDetails(BaseModel):
    """Why an answer is not complete."""

    reason: Literal["max_output_tokens"]


class ResponseError(BaseModel):
    """Why there is no answer."""

    code: str
    message: str


class Response(BaseModel):
    """The answer, as a whole."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[
        Annotated[OutputMessage | OutputReasoning | OutputCall | OutputCustomCall, Field(discriminator="type")]
    ]
    usage: ResponseUsage | None
    instructions: str | None
    max_output_tokens: int | None
    temperature: float
    top_p: float
    top_logprobs: int
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    parallel_tool_calls: bool
    text: dict[str, Any]
    reasoning: dict[str, Any]
    metadata: dict[str, Any]
    store: Literal[False]
    background: Literal[False]
    previous_response_id: None
    truncation: Literal["disabled"]
    user: str | None
