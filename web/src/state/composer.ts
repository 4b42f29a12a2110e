// What is being written: a draft and its files for each conversation, and how much of the context they will take.

import { computed, effect, signal } from "@preact/signals";
import { api } from "../api/client";
import type { Attachment } from "../api/types";
import { text } from "../i18n";
import { ask, answering, conversation, currentModel, path, isWaiting } from "./chat";
import { connected } from "./connection";
import { lookUp } from "./documents";
import { modelNamed, models, shortName } from "./models";
import { complain, describe, type Failure } from "./notices";
import { drop, isPicture, keepUrl, letGo, problemOf } from "./pictures";
import { openId } from "./route";

export const MAX_FILE_BYTES = 20_000_000;
/** Files of one message. */
const MAX_FILES = 20;

/** A file on its way into a message. */
export interface Chip {
  key: number;
  name: string;
  attachment: Attachment | null;
  failure: Failure | null;
  /** A blob: address, of a picture. */
  url: string | null;
}

interface Writing {
  content: string;
  chips: Chip[];
}

const EMPTY: Writing = { content: "", chips: [] };
const writings = signal<ReadonlyMap<string | null, Writing>>(new Map());
const uploads = new Map<number, AbortController>();
let nextKey = 1;

export const writing = computed<Writing>(() => writings.value.get(openId.value) ?? EMPTY);
export const sending = signal(false);

function write(id: string | null, change: (writing: Writing) => Writing): void {
  const all = new Map(writings.peek());
  all.set(id, change(all.get(id) ?? EMPTY));
  writings.value = all;
}

export function setContent(content: string): void {
  write(openId.peek(), (w) => ({ ...w, content }));
}

// ---- files ----

export function attachFiles(files: Iterable<File>): void {
  const id = openId.peek();
  const all = [...files];
  const room = MAX_FILES - writing.peek().chips.length;
  if (all.length > room) complain(new Error(text.peek().tooManyFiles(MAX_FILES)));
  for (const file of all.slice(0, Math.max(0, room))) void attach(id, file);
}

/** The model that would answer takes no pictures; one of which that is not known yet may. */
export const blind = computed(() => modelNamed(currentModel.value)?.sees === false);

/** What is wrong with a file: with itself, or with showing it to the model that is chosen. */
export function failureOf(chip: Chip): Failure | null {
  if (chip.failure || !chip.url || !blind.value) return chip.failure;
  return { message: text.value.takesNoPictures(shortName(currentModel.value ?? "")), hint: text.value.takesNoPicturesHint };
}

async function attach(id: string | null, file: File): Promise<void> {
  const key = nextKey++;
  const chip: Chip = { key, name: file.name, attachment: null, failure: null, url: null };
  write(id, (w) => ({ ...w, chips: [...w.chips, chip] }));
  const settle = (change: Partial<Chip>): void =>
    write(id, (w) => ({ ...w, chips: w.chips.map((other) => (other.key === key ? { ...other, ...change } : other)) }));
  if (file.size > MAX_FILE_BYTES) return settle({ failure: { message: text.peek().tooLarge, hint: null } });
  const abort = new AbortController();
  uploads.set(key, abort);
  try {
    const url = (await isPicture(file)) && !abort.signal.aborted ? URL.createObjectURL(file) : null;
    if (url) {
      settle({ url });
      const failure = await problemOf(file, url);
      if (failure) return settle({ failure });
    }
    const attachment = await api.attach(file, currentModel.peek(), abort.signal);
    if (url) keepUrl(attachment, url);
    settle({ attachment });
  } catch (error) {
    if (!abort.signal.aborted) settle({ failure: describe(error) });
  } finally {
    uploads.delete(key);
  }
}

export function removeChip(key: number): void {
  uploads.get(key)?.abort();
  const chip = writing.peek().chips.find((chip) => chip.key === key);
  const sent = chip?.attachment;
  if (sent) void api.detach(sent.id).catch(() => undefined); // else Hearth clears it away later
  if (sent) drop(sent.id);
  else if (chip?.url) URL.revokeObjectURL(chip.url);
  write(openId.peek(), (w) => ({ ...w, chips: w.chips.filter((chip) => chip.key !== key) }));
}

// ---- sending ----

export const canSend = computed<boolean>(() => {
  const { content, chips } = writing.value;
  const pending = chips.some((chip) => !chip.attachment && !chip.failure);
  const shown = !(blind.value && chips.some((chip) => chip.url && !chip.failure));
  const something = content.trim() !== "" || chips.some((chip) => chip.attachment);
  // Right after the page has opened it is not known yet which models there are; Hearth knows.
  const model = currentModel.value !== null || models.value === null;
  return something && shown && !pending && !answering.value && !sending.value && connected.value && model;
});

export async function send(): Promise<void> {
  if (!canSend.peek()) return;
  const id = openId.peek();
  const { content, chips } = writing.peek();
  sending.value = true;
  write(id, () => EMPTY);
  const attachments = chips.flatMap((chip) => (chip.attachment ? [chip.attachment] : []));
  let said = false;
  try {
    const found = await lookUp(content.trim(), currentModel.peek());
    said = await ask(content.trim(), found ? [...attachments, found] : attachments);
  } catch (error) {
    complain(error); // the documents could not be searched; an answer without them would be another one
  }
  sending.value = false;
  // What could not be said is not lost: it goes back into the box (of the chat that may have begun meanwhile).
  if (!said) write(openId.peek(), (w) => (w.content ? w : { content, chips }));
  else attachments.forEach(letGo); // the message holds its pictures now
}

// ---- the context ----

export interface Context {
  used: number;
  /** null: not known before the model is opened. */
  of: number | null;
}

const counted = signal<{ key: string; tokens: number; context: number } | null>(null);

const countKey = computed(() => {
  const { content, chips } = writing.value;
  const ids = chips.flatMap((chip) => (chip.attachment ? [chip.attachment.id] : []));
  const last = path.value.findLast((turn) => !isWaiting(turn));
  return JSON.stringify([openId.value, last?.id ?? null, last?.state === "running", currentModel.value, content, ids]);
});

/** How much of the context is used: by what was said so far, and by what is being written. */
export const contextUse = computed<Context>(() => {
  const of = modelNamed(currentModel.value)?.context || null;
  const fresh = counted.value;
  if (fresh && JSON.parse(fresh.key)[0] === openId.value && openId.value) return { used: fresh.tokens, of: fresh.context };
  const files = writing.value.chips.reduce((sum, chip) => sum + (chip.attachment?.tokens ?? 0), 0);
  const last = path.value.findLast((turn) => turn.role === "assistant" && turn.usage.prompt_tokens > 0);
  return { used: files + (last ? last.usage.prompt_tokens + last.usage.completion_tokens : 0), of };
});

/** Whether what is being written does not fit; who only reads is not told. */
export const contextFull = computed(() => {
  const { used, of } = contextUse.value;
  const { content, chips } = writing.value;
  return of !== null && used >= of && (content.trim() !== "" || chips.length > 0);
});

effect(() => {
  const key = countKey.value;
  const id = openId.value;
  // Counting needs the model; only to count, none is opened.
  if (!id || !conversation.value || answering.value || !connected.value || !modelNamed(currentModel.value)?.loaded) return;
  const abort = new AbortController();
  const timer = setTimeout(async () => {
    const { content, chips } = writing.peek();
    const parent = path.peek().findLast((turn) => !isWaiting(turn))?.id ?? null;
    const attachments = chips.flatMap((chip) => (chip.attachment ? [chip.attachment.id] : []));
    try {
      counted.value = { key, ...(await api.count(id, { parent, content, attachments }, abort.signal)) };
    } catch {
      // The meter falls back to what the last answer said; sending tells what is wrong.
    }
  }, 350);
  return () => {
    clearTimeout(timer);
    abort.abort();
  };
});
