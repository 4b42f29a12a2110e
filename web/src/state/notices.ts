// Short messages at the edge of the page: a failure with its hint, or a word that something was done.

import { signal } from "@preact/signals";
import { ApiError } from "../api/client";
import { text } from "../i18n";
import { inWords } from "./failures";

export interface Notice {
  id: number;
  kind: "error" | "info";
  message: string;
  hint: string | null;
}

export const notices = signal<Notice[]>([]);
/** What a screen reader is told, politely. */
export const announcement = signal("");

let next = 1;

export function dismiss(id: number): void {
  notices.value = notices.peek().filter((notice) => notice.id !== id);
}

function show(kind: Notice["kind"], message: string, hint: string | null, visibleMs: number): void {
  const notice = { id: next++, kind, message, hint };
  const others = notices.peek().filter((other) => other.message !== message);
  notices.value = [...others, notice].slice(-3);
  setTimeout(() => dismiss(notice.id), visibleMs);
}

export function inform(message: string): void {
  show("info", message, null, 4_000);
}

export interface Failure {
  message: string;
  hint: string | null;
  /** Of the server: a name of an error that the page may have words for. */
  kind?: string;
}

/** An error in words that its reader can act on. */
export function describe(error: unknown): Failure {
  if (error instanceof ApiError && error.unreachable) {
    return { message: text.peek().unreachable, hint: text.peek().unreachableHint };
  }
  if (error instanceof ApiError) return inWords({ message: error.message, hint: error.hint, kind: error.kind });
  return { message: error instanceof Error ? error.message : String(error), hint: null };
}

export function complain(error: unknown): void {
  const { message, hint } = describe(error);
  show("error", message, hint, 12_000);
}

export function announce(message: string): void {
  announcement.value = message;
}
