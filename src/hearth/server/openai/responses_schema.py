"""Request and answer of `POST /v1/responses`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from hearth.server.openai.chat_schema import TokenLogprob
from hearth.server.openai.fields import (
    Effort,
    Grammar,
    Harmless,
    JsonObjectFormat,
    Sampling,
    TextFormat,
    ToolName,
    Verbosity,
    only_kind,
)
from hearth.server.wire import (
    MAX_MESSAGES,
    WHOLE,
    Body,
    JsonObject,
    ModelName,
    ShortText,
    Text,
    TokenCount,
    Unsupported,
    shape,
    tagged,
)

Status = Literal["in_progress", "completed", "incomplete"]
NO_ANNOTATIONS = Unsupported("nothing is annotated.", neutral=([],))


class TextContent(Body):
    """A piece of text: the only kind of content that models here take."""

    type: Literal["input_text", "output_text"]
    text: Text
    annotations: Annotated[Any, NO_ANNOTATIONS] = None
    logprobs: Annotated[list[JsonObject] | None, Field(description="Of an earlier answer; without effect.")] = None

    _is_text = only_kind("input_text", "output_text")


Content = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[list[TextContent], Field(max_length=MAX_MESSAGES), Tag("(parts)")],
    shape(text=str, parts=list),
]


class MessageItem(Body):
    """A turn: the user's, the instructions', or an earlier answer of the model."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Content
    id: ShortText | None = None
    status: Status | None = None
    phase: Annotated[Any, Unsupported("answers have one phase.")] = None


class CallItem(Body):
    """A call that the model made before."""

    type: Literal["function_call"]
    call_id: ShortText
    name: ToolName
    arguments: Text
    id: ShortText | None = None
    status: Status | None = None
    caller: Annotated[Any, Unsupported("the model calls.")] = None
    namespace: Annotated[Any, Unsupported("tools have no namespaces.")] = None


class CallOutputItem(Body):
    """The result of a call."""

    type: Literal["function_call_output"]
    call_id: ShortText
    output: Content
    id: ShortText | None = None
    status: Status | None = None


class ReasoningText(Body):
    """What the model thought."""

    type: Literal["reasoning_text"]
    text: Text


class ReasoningItem(Body):
    """What the model thought before an earlier answer."""

    type: Literal["reasoning"]
    id: ShortText | None = None
    summary: Annotated[Any, Unsupported("thinking is given as it is.", neutral=([],))] = None
    content: Annotated[list[ReasoningText], Field(max_length=MAX_MESSAGES)] | None = None
    encrypted_content: Annotated[Any, Unsupported("thinking is given as it is.")] = None
    status: Status | None = None


def _kind(value: Any) -> str | None:
    kind = value.get("type", "message") if isinstance(value, dict) else None
    return f"({kind})" if isinstance(kind, str) else None


Item = Annotated[
    Annotated[MessageItem, Tag("(message)")]
    | Annotated[CallItem, Tag("(function_call)")]
    | Annotated[CallOutputItem, Tag("(function_call_output)")]
    | Annotated[ReasoningItem, Tag("(reasoning)")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message="is of a type that is not supported; an item is message, function_call,"
        " function_call_output or reasoning",
    ),
]


class ResponseTool(Body):
    """A function that the model may call; other kinds of tools are not supported."""

    type: Literal["function"]
    name: ToolName
    description: Text | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None

    _is_function = only_kind("function")


class NamedResponseTool(Body):
    """This tool and no other."""

    type: Literal["function"]
    name: ToolName


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")] | Annotated[NamedResponseTool, Tag("(object)")],
    shape(word=str, object=dict),
]


class JsonSchemaOutput(Body):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    name: ToolName
    schema_: JsonObject = Field(alias="schema")
    description: Text | None = None
    strict: bool | None = None


class GrammarOutput(Body):
    """Extension: text that follows a grammar (Lark-style)."""

    type: Literal["grammar"]
    grammar: Grammar


Format = Annotated[
    Annotated[TextFormat, Tag("(text)")]
    | Annotated[JsonObjectFormat, Tag("(json_object)")]
    | Annotated[JsonSchemaOutput, Tag("(json_schema)")]
    | Annotated[GrammarOutput, Tag("(grammar)")],
    tagged("type"),
]


class TextSettings(Body):
    """What the answer must look like."""

    format: Format | None = None
    verbosity: Verbosity = None


class Reasoning(Body):
    """How much the model thinks, where its template can switch that."""

    effort: Effort | None = None
    summary: Annotated[Any, Unsupported("thinking is given as it is.", neutral=("auto",))] = None
    generate_summary: Annotated[Any, Unsupported("thinking is given as it is.")] = None


class ResponseStreamOptions(Body):
    """Nothing that Hearth has."""

    include_obfuscation: Annotated[Any, Unsupported("streams are not padded.", neutral=(False,))] = None


LOGPROBS = "message.output_text.logprobs"
Included = Annotated[
    Literal[
        "message.output_text.logprobs",
        "reasoning.encrypted_content",
        "message.input_image.image_url",
        "file_search_call.results",
        "web_search_call.results",
        "web_search_call.action.sources",
        "computer_call_output.output.image_url",
        "code_interpreter_call.outputs",
    ],
    Field(description="Log-probabilities; of the rest there is nothing to include, since thinking is given as it is."),
]


class ResponseRequest(Sampling, Harmless):
    """The fields of OpenAI's request that Hearth has, and Hearth's extensions."""

    model: ModelName
    input: Annotated[
        Annotated[Text, Tag("(text)")]
        | Annotated[list[Item], Field(min_length=1, max_length=MAX_MESSAGES), Tag("(items)")],
        shape(text=str, items=list),
    ]
    instructions: Text | None = None
    max_output_tokens: TokenCount | None = None
    tools: Annotated[list[ResponseTool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    reasoning: Reasoning | None = None
    include: Annotated[list[Included], Field(max_length=16)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None

    store: Annotated[Any, Unsupported("nothing is kept on this server; send store: false.", neutral=(False,))] = None
    previous_response_id: Annotated[Any, Unsupported("nothing is kept on this server; send the whole input.")] = None
    conversation: Annotated[Any, Unsupported("nothing is kept on this server; send the whole input.")] = None
    background: Annotated[Any, Unsupported("nothing is kept on this server.", neutral=(False,))] = None
    prompt: Annotated[Any, Unsupported("nothing is kept on this server; send the prompt itself.")] = None
    truncation: Annotated[Any, Unsupported("no part of an input is left out.", neutral=("disabled",))] = None
    max_tool_calls: Annotated[Any, Unsupported("tools are run by the client.")] = None
    context_management: Annotated[Any, Unsupported("no part of an input is left out.")] = None

    @property
    def wants_logprobs(self) -> bool:
        return LOGPROBS in (self.include or ()) or self.top_logprobs is not None

    def wanted_format(self) -> dict[str, Any] | None:
        """As `LLM.prepare_chat` takes it."""
        shape = self.text.format if self.text else None
        if isinstance(shape, JsonSchemaOutput):
            fields = shape.model_dump(by_alias=True, exclude_none=True, exclude={"type"})
            return {"type": "json_schema", "json_schema": fields}
        return None if shape is None else shape.model_dump()


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
    output: list[Annotated[OutputMessage | OutputReasoning | OutputCall, Field(discriminator="type")]]
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
    metadata: dict[str, str]
    store: Literal[False]
    background: Literal[False]
    previous_response_id: None
    truncation: Literal["disabled"]
    user: str | None
