// The app's API, typed. Nothing here knows of state or views; every failure is an ApiError.

import { authorization } from "./entry";
import { eventData } from "./sse";
import type {
  AnswerEvent,
  Attachment,
  Conversation,
  ConversationCard,
  ConversationChange,
  Doc,
  Message,
  Models,
  Problem,
  Pull,
  Settings,
  Sight,
  Status,
  Suggestions,
} from "./types";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly hint: string | null,
    /** The HTTP status; 0 where no answer came at all. */
    readonly status: number,
    /** A name of an error that the page has words for; else "". */
    readonly kind = "",
  ) {
    super(message);
  }

  get unreachable(): boolean {
    return this.status === 0;
  }

  /** This browser has no token, or an old one. */
  get locked(): boolean {
    return this.status === 401;
  }
}

async function send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers = authorization();
  const init: RequestInit = { method, headers, credentials: "omit", cache: "no-store" };
  if (signal) init.signal = signal;
  if (body instanceof FormData) init.body = body;
  else if (body !== undefined) {
    init.body = body instanceof Blob ? body : JSON.stringify(body);
    headers["content-type"] = "application/json";
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("", null, 0);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response: Response): Promise<ApiError> {
  try {
    const { error } = (await response.json()) as { error: Problem };
    return new ApiError(error.message, error.hint, response.status, error.kind);
  } catch {
    return new ApiError(`${response.status} ${response.statusText}`, null, response.status);
  }
}

async function json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return (await send(method, path, body, signal)).json() as Promise<T>;
}

async function* events<T>(method: "GET" | "POST", path: string, body: unknown, signal: AbortSignal): AsyncGenerator<T> {
  const response = await send(method, path, body, signal);
  if (!response.body) return;
  try {
    for await (const data of eventData(response.body)) {
      yield JSON.parse(data) as T;
    }
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
    throw new ApiError("", null, 0); // the connection broke in the middle
  }
}

const at = (id: string): string => `/api/conversations/${encodeURIComponent(id)}`;

export const api = {
  status: (): Promise<Status> => json("GET", "/api/status"),
  models: (): Promise<Models> => json("GET", "/api/models"),
  suggested: (): Promise<Suggestions> => json("GET", "/api/models/suggested"),
  async unload(name: string): Promise<void> {
    await send("POST", "/api/models/unload", { name });
  },
  pulls: async (): Promise<Pull[]> => (await json<{ pulls: Pull[] }>("GET", "/api/models/pulls")).pulls,
  pull: (name: string): Promise<Pull> => json("POST", "/api/models/pulls", { name }),
  /** Ends a pull, or takes one that has ended off the list. What has come of it is kept. */
  async dropPull(name: string): Promise<void> {
    await send("DELETE", `/api/models/pulls?${new URLSearchParams({ name })}`);
  },

  documents: (): Promise<Doc[]> => json("GET", "/api/documents"),
  addDocument(file: File, encoder: string): Promise<Doc> {
    const form = new FormData();
    form.append("file", file, file.name);
    return json("POST", `/api/documents?${new URLSearchParams({ model: encoder })}`, form);
  },
  async removeDocument(id: string): Promise<void> {
    await send("DELETE", `/api/documents/${encodeURIComponent(id)}`);
  },
  /** What the documents say of a question, as a file to send along; null: there are none. */
  find: (query: string, encoder: string, model: string | null): Promise<Attachment | null> =>
    json("POST", "/api/documents/found", { query, encoder, model: model ?? "" }),
  look(picture: File, model: string, asked: { labels: string[]; threshold: number }, signal: AbortSignal): Promise<Sight> {
    const form = new FormData();
    form.append("model", model);
    form.append("image", picture, picture.name);
    form.append("threshold", String(asked.threshold));
    form.append("draw", "true");
    // A field with a comma would be several labels.
    for (const label of asked.labels) form.append("labels", label);
    return json("POST", "/api/vision", form, signal);
  },

  conversations(query: string, before: string | null, signal?: AbortSignal): Promise<{ conversations: ConversationCard[]; more: boolean }> {
    const parameters = new URLSearchParams({ limit: "50" });
    if (query) parameters.set("query", query);
    if (before) parameters.set("before", before);
    return json("GET", `/api/conversations?${parameters}`, undefined, signal);
  },
  create: (start: { model?: string; system?: string; settings?: Settings }): Promise<Conversation> =>
    json("POST", "/api/conversations", start),
  conversation: (id: string): Promise<Conversation> => json("GET", at(id)),
  change: (id: string, change: ConversationChange): Promise<Conversation> => json("PATCH", at(id), change),
  async remove(id: string): Promise<void> {
    await send("DELETE", at(id));
  },
  /** A file and its name. A link would not carry the token. */
  async export(id: string, format: "json" | "markdown"): Promise<File> {
    const response = await send("GET", `${at(id)}/export?format=${format}`);
    const name = /filename\*=UTF-8''([^;]+)/i.exec(response.headers.get("content-disposition") ?? "")?.[1];
    return new File([await response.blob()], name ? decodeURIComponent(name) : `conversation.${format === "json" ? "json" : "md"}`);
  },
  /** A file of JSON, sent as it is. */
  import: (file: File): Promise<Conversation> => json("POST", "/api/conversations/import", file),

  say: (id: string, parent: string | null, content: string, attachments: string[]): Promise<Message> =>
    json("POST", `${at(id)}/messages`, { parent, content, attachments }),
  answer: (id: string, parent: string, signal: AbortSignal): AsyncGenerator<AnswerEvent> =>
    events("POST", `${at(id)}/answer`, { parent }, signal),
  /** The answer that is being written, from its beginning. */
  follow: (id: string, signal: AbortSignal): AsyncGenerator<AnswerEvent> => events("GET", `${at(id)}/answer`, undefined, signal),
  async stop(id: string): Promise<void> {
    await send("POST", `${at(id)}/stop`);
  },
  count: (
    id: string,
    draft: { parent: string | null; content: string; attachments: string[] },
    signal: AbortSignal,
  ): Promise<{ tokens: number; context: number }> => json("POST", `${at(id)}/count`, draft, signal),
  /** `model` counts its tokens. */
  attach(file: File, model: string | null, signal: AbortSignal): Promise<Attachment> {
    const form = new FormData();
    form.append("file", file, file.name);
    return json("POST", `/api/attachments${model ? `?${new URLSearchParams({ model })}` : ""}`, form, signal);
  },
  attachment: (id: string): Promise<Attachment & { text: string }> => json("GET", `/api/attachments/${encodeURIComponent(id)}`),
  /** The file of a picture. A link would not carry the token. */
  picture: async (id: string): Promise<Blob> => (await send("GET", `/api/attachments/${encodeURIComponent(id)}/picture`)).blob(),
  async detach(id: string): Promise<void> {
    await send("DELETE", `/api/attachments/${encodeURIComponent(id)}`);
  },
};
