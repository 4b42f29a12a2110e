// The request and answer types under web-llm's names. Fields and names are that interface's; what they mean is `api/types.ts`'.

import type * as api from "../api/types.ts";

export type ChatCompletionFinishReason = api.FinishReason;
export type ChatCompletionRole = "system" | "user" | "assistant" | "tool" | "function";
export type ChatCompletionMessageToolCall = api.ToolCall;
export type FunctionParameters = Record<string, unknown>;
export type FunctionDefinition = api.FunctionDefinition;
export type ChatCompletionTool = api.Tool;
export type ChatCompletionNamedToolChoice = { type: "function"; function: { name: string } };
export type ChatCompletionToolChoiceOption = api.ToolChoice;
export type TopLogprob = api.TopLogprob;
export type ChatCompletionTokenLogprob = api.TokenLogprob;
export type CompletionUsage = Omit<api.Usage, "extra"> & {
  /** Of web-llm's own some are not measured. */
  extra: api.Usage["extra"] & { grammar_init_s?: number; grammar_per_token_s?: number; latencyBreakdown?: Record<string, number[]> };
};
export type ChatCompletion = api.ChatCompletion;
export type ChatCompletionChunk = api.ChatCompletionChunk;
export type ChatCompletionMessage = api.ChatCompletion["choices"][number]["message"];
export type Completion = api.TextCompletion;
export type CompletionChoice = api.TextCompletion["choices"][number];
export type CreateEmbeddingResponse = api.EmbeddingResponse;
export type Embedding = api.EmbeddingResponse["data"][number];

export type ChatCompletionContentPartText = api.TextPart;
export interface ChatCompletionContentPartImage {
  type: "image_url";
  image_url: { url: string; detail?: "auto" | "low" | "high" };
}
export interface ChatCompletionContentPartInputAudio {
  type: "input_audio";
  input_audio: { data: string | Float32Array; format: string; sample_rate?: number };
}
export type ChatCompletionContentPart =
  | ChatCompletionContentPartText
  | ChatCompletionContentPartImage
  | ChatCompletionContentPartInputAudio;

export interface ChatCompletionSystemMessageParam {
  role: "system";
  content: string;
}
export interface ChatCompletionUserMessageParam {
  role: "user";
  content: string | ChatCompletionContentPart[];
  name?: string;
}
export interface ChatCompletionAssistantMessageParam {
  role: "assistant";
  content?: string | null;
  name?: string;
  tool_calls?: ChatCompletionMessageToolCall[];
}
export interface ChatCompletionToolMessageParam {
  role: "tool";
  content: string;
  tool_call_id: string;
}
export type ChatCompletionMessageParam =
  | ChatCompletionSystemMessageParam
  | ChatCompletionUserMessageParam
  | ChatCompletionAssistantMessageParam
  | ChatCompletionToolMessageParam;

export interface ResponseFormat {
  type?: "text" | "json_object" | "grammar" | "structural_tag";
  schema?: string;
  grammar?: string;
  structural_tag?: unknown;
}

/** What web-llm does not have of its own is taken too: top_k, min_p, ... */
type Shared = Omit<api.GenerationRequest, "stop" | "stream" | "response_format"> & { stop?: string | null | string[] };

export interface ChatCompletionRequestBase extends Shared {
  messages: ChatCompletionMessageParam[];
  stream?: boolean | null;
  logprobs?: boolean | null;
  top_logprobs?: number | null;
  tools?: ChatCompletionTool[];
  tool_choice?: ChatCompletionToolChoiceOption;
  response_format?: ResponseFormat;
  extra_body?: { enable_thinking?: boolean | null; enable_latency_breakdown?: boolean | null };
}
export interface ChatCompletionRequestNonStreaming extends ChatCompletionRequestBase {
  stream?: false | null;
}
export interface ChatCompletionRequestStreaming extends ChatCompletionRequestBase {
  stream: true;
}
export type ChatCompletionRequest = ChatCompletionRequestNonStreaming | ChatCompletionRequestStreaming;

export interface CompletionCreateParamsBase extends Shared {
  prompt: string;
  stream?: boolean | null;
  echo?: boolean | null;
  logprobs?: boolean | null;
  top_logprobs?: number | null;
}
export interface CompletionCreateParamsNonStreaming extends CompletionCreateParamsBase {
  stream?: false | null;
}
export interface CompletionCreateParamsStreaming extends CompletionCreateParamsBase {
  stream: true;
}
export type CompletionCreateParams = CompletionCreateParamsNonStreaming | CompletionCreateParamsStreaming;

export interface EmbeddingCreateParams {
  input: string | string[] | number[] | number[][];
  model?: string | null;
  encoding_format?: "float" | "base64";
  dimensions?: number;
  user?: string;
}

