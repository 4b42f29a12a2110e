// What the app's API speaks, as the page sees it (src/hearth/server/chatpage answers it).

export interface Status {
  version: string;
  default_model: string | null;
  read_only: boolean;
}

export interface Model {
  name: string;
  loaded: boolean;
  /** The longest context in tokens; null until the model has been opened once. */
  context: number | null;
  size_bytes: number | null;
  thinking: boolean;
  tools: boolean;
}

/** Each is optional: what is not there is the model's own default. */
export interface Settings {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repetition_penalty?: number;
  max_tokens?: number;
  seed?: number;
  thinking?: boolean;
}

export interface Attachment {
  id: string;
  name: string;
  kind: "text" | "pdf";
  /** 0 where no model was there to count. */
  tokens: number;
  chars: number;
  /** Of a PDF file, else 0. */
  pages: number;
  preview?: string;
}

export type MessageState = "done" | "running" | "stopped" | "interrupted" | "error";

/** Zeros where it is not known; so are the timings. */
export interface Usage {
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
}

export interface Timings {
  first_token_s: number;
  total_s: number;
  tok_s: number;
  /** How long the model thought before it answered, where the server measured it. */
  thinking_s?: number;
}

export interface Message {
  id: string;
  parent: string | null;
  role: "user" | "assistant";
  content: string;
  thinking: string;
  model: string;
  state: MessageState;
  error: string;
  hint: string;
  finish_reason: string;
  created: string;
  usage: Usage;
  timings: Timings;
  attachments: Attachment[];
}

export interface ConversationCard {
  id: string;
  title: string;
  model: string;
  created: string;
  updated: string;
  snippet: string;
  /** Where the words that were searched stand in snippet and title: [start, end) in UTF-16 code units. */
  hits: [number, number][];
  title_hits: [number, number][];
}

export interface Conversation {
  id: string;
  title: string;
  model: string;
  system: string;
  settings: Settings;
  created: string;
  updated: string;
  leaf: string | null;
  /** All branches; a parent stands before its children. */
  messages: Message[];
}

export interface ConversationChange {
  title?: string;
  model?: string;
  system?: string;
  settings?: Settings;
  leaf?: string;
}

export type AnswerEvent =
  | { type: "start"; message: Message }
  | { type: "delta"; text: string; kind: "answer" | "thinking" }
  | { type: "progress"; prompt_tokens?: number; context?: number }
  | { type: "done"; message: Message }
  /** `answer`: the message as it was kept. */
  | { type: "error"; message: string; hint?: string | null; answer?: Message };

export type PullEvent =
  | { type: "progress"; stage: string; label: string; done: number; total: number | null }
  | { type: "done"; name: string }
  | { type: "error"; message: string; hint?: string | null };
