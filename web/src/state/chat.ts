// The open conversation, and the answers that are being written (also in conversations that are not on the screen).

import { computed, effect, signal } from "@preact/signals";
import { api, ApiError } from "../api/client";
import type { AnswerEvent, Attachment, Conversation, ConversationChange, Message, Settings } from "../api/types";
import { text } from "../i18n";
import { suspect } from "./connection";
import { newChatModel, rememberModel, loadModels, modelNamed } from "./models";
import { announce, complain, describe, type Failure } from "./notices";
import { found } from "./found";
import { prefs } from "./prefs";
import { go, openId } from "./route";
import { newestLeaf, pathTo, withMessage } from "./tree";

/** An answer that is coming in. */
export interface Running {
  message: string;
  startedMs: number;
  thinkingSinceMs: number | null;
  /** What is being done before the first word: the model is opened, the prompt is read. */
  stage: "load" | "read";
  /** Tokens of the prompt, as soon as the server says so. */
  promptTokens: number | null;
}

/** What a chat that has not begun will begin with. */
export interface Draft {
  model: string | null;
  system: string;
  settings: Settings;
}

const emptyDraft = (): Draft => ({ model: null, system: prefs.peek().system, settings: {} });

const known = signal<ReadonlyMap<string, Conversation>>(new Map());
export const running = signal<ReadonlyMap<string, Running>>(new Map());
export const loadFailure = signal<(Failure & { gone: boolean }) | null>(null);
export const draft = signal<Draft>(emptyDraft());
/** How long a message was thought about, in seconds, for as long as the page is open. */
export const thoughtSeconds = new Map<string, number>();

/** How often a conversation has changed here: what was asked for before a change is out of date when it comes. */
const changes = new Map<string, number>();
const streams = new Map<string, AbortController>();
const listeners = new Set<() => void>();

/** Calls back whenever the list of conversations may have changed. */
export function onListChange(listener: () => void): void {
  listeners.add(listener);
}

function listChanged(): void {
  for (const listener of listeners) listener();
}

// ---- what is on the screen ----

export const conversation = computed<Conversation | null>(() => (openId.value ? (known.value.get(openId.value) ?? null) : null));
export const path = computed<Message[]>(() =>
  conversation.value ? pathTo(conversation.value.messages, conversation.value.leaf) : [],
);
export const answering = computed<Running | null>(() => (openId.value ? (running.value.get(openId.value) ?? null) : null));
export const currentModel = computed<string | null>(() =>
  openId.value ? conversation.value?.model || newChatModel.value : (draft.value.model ?? newChatModel.value),
);
export const currentSettings = computed<Settings>(() => (openId.value ? (conversation.value?.settings ?? {}) : draft.value.settings));
export const currentSystem = computed<string>(() => (openId.value ? (conversation.value?.system ?? "") : draft.value.system));

effect(() => {
  const id = openId.value;
  loadFailure.value = null;
  if (id && !known.peek().has(id)) void load(id);
});

function put(conversation: Conversation): void {
  known.value = new Map(known.peek()).set(conversation.id, conversation);
}

function update(id: string, change: (conversation: Conversation) => Conversation): void {
  const found = known.peek().get(id);
  changes.set(id, (changes.get(id) ?? 0) + 1);
  if (found) put(change(found));
}

function putMessage(id: string, message: Message, leaf = false): void {
  update(id, (c) => ({ ...c, messages: withMessage(c.messages, message), leaf: leaf ? message.id : c.leaf }));
}

export async function load(id: string): Promise<void> {
  const before = changes.get(id);
  try {
    const loaded = await api.conversation(id);
    if (running.peek().has(id) || changes.get(id) !== before) return;
    put(loaded);
    if (loadFailure.peek() && openId.peek() === id) loadFailure.value = null;
    const last = loaded.messages.findLast((message) => message.state === "running");
    if (last) void follow(loaded, last);
  } catch (error) {
    suspect(error);
    if (openId.peek() === id && !known.peek().has(id)) {
      loadFailure.value = { ...describe(error), gone: error instanceof ApiError && error.status === 404 };
    }
  }
}

/** After Hearth was away: everything that is known may be out of date. */
export function reload(): void {
  const id = openId.peek();
  known.value = new Map([...known.peek()].filter(([key]) => key === id || running.peek().has(key)));
  if (id) void load(id);
}

export function forget(id: string): void {
  streams.get(id)?.abort();
  const rest = new Map(known.peek());
  rest.delete(id);
  known.value = rest;
}

export function onTitle(title: string, id: string): void {
  update(id, (c) => ({ ...c, title }));
}

export function newChat(): void {
  draft.value = emptyDraft();
  go(null);
}

// ---- changing a conversation ----

/** Changes the open conversation, or what the next one begins with. */
export async function change(what: Omit<ConversationChange, "leaf" | "title">): Promise<void> {
  if (what.model) rememberModel(what.model);
  const id = openId.peek();
  if (!id) {
    draft.value = { ...draft.peek(), ...what };
    return;
  }
  const before = known.peek().get(id);
  update(id, (c) => ({ ...c, ...what }));
  try {
    const { messages: _, leaf: __, ...rest } = await api.change(id, what);
    update(id, (c) => ({ ...c, ...rest }));
  } catch (error) {
    if (before) update(id, (c) => ({ ...c, model: before.model, system: before.system, settings: before.settings }));
    suspect(error);
    complain(error);
  }
}

/** Shows another version of a message, with what followed it last. */
export async function switchTo(message: Message): Promise<void> {
  const id = openId.peek();
  const open = conversation.peek();
  if (!id || !open) return;
  const leaf = newestLeaf(open.messages, message.id);
  update(id, (c) => ({ ...c, leaf }));
  try {
    await api.change(id, { leaf });
  } catch (error) {
    suspect(error);
    complain(error);
  }
}

/** Opens a conversation at a message that a search has found, in the branch where it stands. */
export async function showMessage(id: string, message: string, words: string): Promise<void> {
  found.value = null;
  go(id);
  if (!known.peek().has(id)) await load(id);
  const open = known.peek().get(id);
  const target = open?.messages.find((other) => other.id === message);
  if (openId.peek() !== id || !open || !target) return;
  found.value = { conversation: id, message, words };
  if (!pathTo(open.messages, open.leaf).includes(target)) await switchTo(target);
}

// ---- asking ----

/** Says something after `parent` (undefined: after what is on the screen) and gets it answered. False: it could not be said. */
export async function ask(content: string, attachments: Attachment[], parent?: string | null): Promise<boolean> {
  try {
    let id = openId.peek();
    if (!id) {
      const { system, settings } = draft.peek();
      const model = currentModel.peek();
      const created = await api.create({ ...(model ? { model } : {}), ...(system ? { system } : {}), settings });
      id = created.id;
      put({ ...created, messages: created.messages ?? [] });
      go(id);
    }
    const after = parent === undefined ? (path.peek().findLast((turn) => !isWaiting(turn))?.id ?? null) : parent;
    const message = await api.say(id, after, content, attachments.map((attachment) => attachment.id));
    putMessage(id, message, true);
    listChanged();
    void answer(id, message.id);
    return true;
  } catch (error) {
    suspect(error);
    complain(error);
    return false;
  }
}

/** Another answer to the message that `message` answers (or to `message` itself, where it is the user's). */
export function regenerate(message: Message): void {
  const id = openId.peek();
  const parent = message.role === "user" ? message.id : message.parent;
  if (id && parent && !running.peek().has(id)) void answer(id, parent);
}

export async function stop(id = openId.peek()): Promise<void> {
  if (!id || !running.peek().has(id)) return;
  const stream = streams.get(id);
  try {
    await api.stop(id);
    // The stream ends by itself with the message as it was kept; closing it is the second way.
    setTimeout(() => stream?.abort(), 3_000);
  } catch {
    stream?.abort();
  }
}

function setRunning(id: string, now: Running | null): void {
  const all = new Map(running.peek());
  if (now) all.set(id, now);
  else all.delete(id);
  running.value = all;
}

/** Stands in for an answer until the server has named it; stays where that never happened. */
export const isWaiting = (message: Message): boolean => message.id.startsWith("waiting-");

const waiting = (parent: string, model: string | null): Message => ({
  id: `waiting-${parent}`,
  parent,
  role: "assistant",
  content: "",
  thinking: "",
  model: model ?? "",
  state: "running",
  error: "",
  hint: "",
  error_kind: "",
  finish_reason: "",
  created: new Date().toISOString(),
  usage: { prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0 },
  timings: { first_token_s: 0, total_s: 0, tok_s: 0 },
  attachments: [],
});

/** Gets the answer to `parent` and shows it as it comes. */
function answer(id: string, parent: string): Promise<void> {
  const message = waiting(parent, known.peek().get(id)?.model ?? null);
  putMessage(id, message, true);
  return receive(id, message, (signal) => api.answer(id, parent, signal));
}

/** An answer that was being written before the page opened, or that another window asked for. */
function follow({ id }: Conversation, message: Message): Promise<void> {
  return receive(id, message, (signal) => api.follow(id, signal));
}

async function receive(id: string, message: Message, events: (signal: AbortSignal) => AsyncGenerator<AnswerEvent>): Promise<void> {
  const abort = new AbortController();
  streams.set(id, abort);
  let state: Running = { message: message.id, startedMs: performance.now(), thinkingSinceMs: null, stage: "read", promptTokens: null };
  setRunning(id, state);
  const flush = painter(() => putMessage(id, message));
  announce(text.peek().announceWriting);
  let ended = false;
  let gone = false;
  try {
    for await (const event of events(abort.signal)) take(event);
    if (!ended) lost();
  } catch (error) {
    if (abort.signal.aborted) message = { ...message, state: "stopped" };
    else {
      suspect(error);
      if (error instanceof ApiError && error.unreachable && !isWaiting(message)) lost();
      else if (error instanceof ApiError && error.status === 404 && !isWaiting(message)) gone = true; // it has ended meanwhile
      else fail(error instanceof ApiError && !error.unreachable ? error : describe(error));
    }
  } finally {
    flush.now();
    streams.delete(id);
    setRunning(id, null);
    if (gone) void load(id);
    if (openId.peek() === id) announce(message.state === "done" ? text.peek().announceDone : text.peek().announceStopped);
    listChanged();
    if (!modelNamed(message.model)?.loaded) void loadModels();
  }

  function take(event: AnswerEvent): void {
    if (event.type === "start") {
      // What is on the screen already comes again, all of it, with the next event.
      if (message.id === event.message.id) message = event.message;
      else replaceWaiting(event.message);
      setRunning(id, (state = { ...state, message: event.message.id }));
    } else if (event.type === "delta") {
      if (event.kind === "thinking") {
        if (state.thinkingSinceMs === null) {
          setRunning(id, (state = { ...state, thinkingSinceMs: performance.now() }));
          announce(text.peek().announceThinking);
        }
        message = { ...message, thinking: message.thinking + event.text };
      } else {
        thoughtEnds();
        message = { ...message, content: message.content + event.text };
      }
      flush.soon();
    } else if (event.type === "progress") {
      setRunning(id, (state = { ...state, stage: event.stage, promptTokens: event.prompt_tokens ?? null }));
    } else if (event.type === "done") {
      ended = true;
      thoughtEnds();
      replaceWaiting(event.message);
    } else {
      ended = true;
      if (event.answer) replaceWaiting(event.answer);
      fail(event);
    }
  }

  function thoughtEnds(): void {
    if (state.thinkingSinceMs !== null && !thoughtSeconds.has(message.id)) {
      thoughtSeconds.set(message.id, (performance.now() - state.thinkingSinceMs) / 1000);
    }
  }

  function replaceWaiting(by: Message): void {
    if (message.id !== by.id) update(id, (c) => ({ ...c, messages: c.messages.filter((other) => other.id !== message.id) }));
    message = by;
    putMessage(id, message, true);
  }

  function fail(failure: Failure): void {
    message = { ...message, state: "error", error: failure.message, hint: failure.hint ?? "", error_kind: failure.kind ?? "" };
    ended = true;
  }

  /** Hearth may go on writing: when it is there again, the conversation is loaded anew. */
  function lost(): void {
    message = { ...message, state: "interrupted", error: text.peek().connectionLost };
    ended = true;
  }
}

/** Runs `paint` at most once a frame; also while the page is hidden, where there are no frames. */
function painter(paint: () => void): { soon: () => void; now: () => void } {
  let frame = 0;
  let timeout: ReturnType<typeof setTimeout> | undefined;
  const now = (): void => {
    cancelAnimationFrame(frame);
    clearTimeout(timeout);
    frame = 0;
    timeout = undefined;
    paint();
  };
  const soon = (): void => {
    if (timeout !== undefined) return;
    timeout = setTimeout(now, 250);
    frame = requestAnimationFrame(now);
  };
  return { soon, now };
}
