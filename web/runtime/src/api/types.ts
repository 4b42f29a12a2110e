// OpenAI's objects, as far as a page has them, with what web-llm and Hearth's server add to requests.

export type FinishReason = "stop" | "length" | "tool_calls" | "abort";

export interface FunctionDefinition {
  name: string;
  description?: string;
  /** A JSON schema. */
  parameters?: Record<string, unknown>;
}

export interface Tool {
  type: "function";
  function: FunctionDefinition;
}

export type ToolChoice = "none" | "auto" | "required" | { type: "function"; function: { name: string } };

export interface ToolCall {
  id: string;
  type: "function";
  /** `arguments` is the text of a JSON object. */
  function: { name: string; arguments: string };
}

export interface TextPart {
  type: "text";
  text: string;
}

export interface ChatMessage {
  role: string;
  content?: string | readonly (TextPart | { type: string })[] | null;
  name?: string;
  tool_calls?: readonly ToolCall[];
  tool_call_id?: string;
}

export type ResponseFormat =
  | { type?: "text" }
  | { type: "json_object"; schema?: string }
  | { type: "json_schema"; json_schema: { name?: string; schema: Record<string, unknown>; strict?: boolean | null } }
  | { type: "grammar"; grammar: string }
  | { type: "structural_tag"; structural_tag: unknown };

/** What chat and text completions share. */
export interface GenerationRequest {
  model?: string | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean } | null;
  n?: number | null;
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  stop?: string | readonly string[] | null;
  seed?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  top_k?: number | null;
  min_p?: number | null;
  presence_penalty?: number | null;
  frequency_penalty?: number | null;
  repetition_penalty?: number | null;
  logit_bias?: Record<string, number> | null;
  ignore_eos?: boolean | null;
  response_format?: ResponseFormat | null;
}

export interface ChatRequest extends GenerationRequest {
  messages: readonly ChatMessage[];
  logprobs?: boolean | null;
  top_logprobs?: number | null;
  tools?: readonly Tool[] | null;
  tool_choice?: ToolChoice | null;
  /** What else the chat template knows. */
  chat_template_kwargs?: Record<string, unknown> | null;
  extra_body?: { enable_thinking?: boolean | null } | null;
}

export interface TextRequest extends GenerationRequest {
  /** A text, or tokens as they are. */
  prompt: string | readonly number[];
  echo?: boolean | null;
  logprobs?: boolean | number | null;
  top_logprobs?: number | null;
  /** The answer tells its tokens, too. */
  return_token_ids?: boolean | null;
  /** The prompt is the text of the last request, gone on with: a logit processor keeps its state. */
  goes_on?: boolean | null;
}

export interface EmbeddingRequest {
  input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  model?: string | null;
  encoding_format?: "float" | "base64";
  dimensions?: number;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  extra: {
    e2e_latency_s: number;
    prefill_tokens_per_s: number;
    decode_tokens_per_s: number;
    time_to_first_token_s: number;
    time_per_output_token_s: number;
  };
}

export interface TopLogprob {
  token: string;
  bytes: number[] | null;
  logprob: number;
}

export interface TokenLogprob extends TopLogprob {
  top_logprobs: TopLogprob[];
}

export interface Logprobs {
  content: TokenLogprob[] | null;
}

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: {
    index: number;
    message: { role: "assistant"; content: string | null; tool_calls?: ToolCall[] };
    finish_reason: FinishReason;
    logprobs: Logprobs | null;
  }[];
  usage: Usage;
}

export interface ChatDelta {
  role?: "assistant";
  content?: string;
  tool_calls?: (ToolCall & { index: number })[];
}

export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: { index: number; delta: ChatDelta; finish_reason: FinishReason | null; logprobs?: Logprobs | null }[];
  usage?: Usage;
}

export interface TextCompletion {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: { index: number; text: string; finish_reason: FinishReason | null; logprobs?: Logprobs | null; token_ids?: number[] }[];
  usage?: Usage;
}

export interface EmbeddingResponse {
  object: "list";
  model: string;
  data: { object: "embedding"; index: number; embedding: number[] }[];
  usage: { prompt_tokens: number; total_tokens: number; extra: { prefill_tokens_per_s: number } };
}
