// What the app's API speaks, as the page sees it (src/hearth/server/chatpage answers it).

export interface Status {
  version: string;
  default_model: string | null;
  read_only: boolean;
}

export interface Model {
  name: string;
  loaded: boolean;
  /** The longest context in tokens; null where it is not known yet, as all that follow. */
  context: number | null;
  /** What it takes in memory, or would. */
  memory_bytes: number | null;
  /** What its files take on the disk. */
  disk_bytes: number | null;
  /** How its weights were published: "Q4_K_M", "BF16". */
  format: string | null;
  /** Whether there is memory for it now. */
  fits: boolean | null;
  /** Why it cannot be used: a kind of error; "" where it can. */
  problem: string;
  thinking: boolean;
  tools: boolean;
  /** Whether it takes pictures in a conversation. */
  sees: boolean | null;
  /** Which kind of model it is; null where it is not known yet. */
  made_for: "text" | "encoder" | "vision" | null;
  /** What one does that is no language model. */
  task: string | null;
  /** Its own settings, while it is open. */
  sampling: Partial<Record<"temperature" | "top_p" | "min_p" | "top_k" | "repetition_penalty", number>> | null;
}

export interface Models {
  models: Model[];
  /** Some are still being looked at: ask again in a moment. */
  looking: boolean;
}

/** A label of a picture; an object with its box, in pixels. */
export interface Found {
  label: string;
  score: number;
  index: number;
  left?: number;
  top?: number;
  right?: number;
  bottom?: number;
}

/** What a model sees in a picture; which fields there are follows from its task. */
export interface Sight {
  model: string;
  task: "classify" | "embed" | "detect" | "segment" | "depth" | "zero_shot";
  height: number;
  width: number;
  found?: Found[];
  regions?: Region[];
  /** Whether depths are metres. */
  metric?: boolean;
  least?: number;
  median?: number;
  most?: number;
  embedding?: number[];
  /** The picture with what was found in it, as a data URL. */
  drawn?: string;
  /** A grey picture of 1 + the place in `regions` that each pixel has; 0: none. */
  parts?: string;
}

/** A label and the part of the picture that has it; or one object, with how sure it is. */
export interface Region {
  label: string;
  share: number;
  index: number;
  score?: number;
}

/** A model that this machine could run well. */
export interface Suggestion {
  name: string;
  parameters: number;
  download_bytes: number;
  memory_bytes: number;
  good_at: string;
  /** Whether it takes pictures in a conversation. */
  sees: boolean;
}

/** A model that looks at pictures. */
export interface SuggestedLooking {
  name: string;
  task: string;
  download_bytes: number;
}

export interface Suggestions {
  models: Suggestion[];
  looking: SuggestedLooking[];
}

/** A model on its way to this device. */
export interface Pull {
  name: string;
  state: "running" | "done" | "failed";
  stage: "download" | "compile" | "load" | "tune" | "";
  done: number;
  total: number;
  bytes_per_s: number;
  /** What it is called here, when it is done. */
  model: string;
  error: Problem | null;
}

export interface Problem {
  message: string;
  hint: string;
  /** A name of an error that the page has words for; else "". */
  kind: string;
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
  kind: "text" | "pdf" | "picture";
  /** 0 where no model was there to count. */
  tokens: number;
  chars: number;
  /** Of a PDF file, else 0. */
  pages: number;
  picture: PictureFacts | null;
  preview?: string;
}

/** Height and width in pixels, as it is meant to be seen. */
export interface PictureFacts {
  media_type: string;
  height: number;
  width: number;
  size_bytes: number;
}

/** A file that can be searched. */
export interface Doc {
  id: string;
  name: string;
  kind: "text" | "pdf";
  chars: number;
  /** Of a PDF file, else 0. */
  pages: number;
  created: string;
  model: string;
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
  error_kind: string;
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
  /** The message in which the words stand; null where they stand in the title, or nothing was searched. */
  message: string | null;
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
  | { type: "progress"; stage: "load" | "read"; prompt_tokens?: number; context?: number }
  | { type: "done"; message: Message }
  /** `answer`: the message as it was kept. */
  | ({ type: "error"; answer?: Message } & Problem);
