// The list of conversations: what the sidebar shows, with search, rename, delete, import and export.

import { signal } from "@preact/signals";
import { api } from "../api/client";
import type { ConversationCard } from "../api/types";
import { text } from "../i18n";
import { forget, onTitle } from "./chat";
import { suspect } from "./connection";
import { announce, complain, inform } from "./notices";
import { go, openId } from "./route";

export const query = signal("");
export const cards = signal<ConversationCard[]>([]);
export const more = signal(false);
export const listed = signal(false); // whether the list has come at least once

let asking: AbortController | null = null;
let typing: ReturnType<typeof setTimeout> | undefined;

/** Asks for the list anew, as far as it is shown. */
export async function loadList(): Promise<void> {
  asking?.abort();
  const mine = (asking = new AbortController());
  try {
    const words = query.peek().trim();
    const page = await api.conversations(words, null, mine.signal);
    if (mine.signal.aborted) return;
    cards.value = page.conversations;
    more.value = page.more;
    listed.value = true;
    if (words) announce(text.peek().searchFound(page.conversations.length));
  } catch (error) {
    if (mine.signal.aborted) return;
    suspect(error);
  }
}

export async function loadMore(): Promise<void> {
  const last = cards.peek().at(-1);
  if (!last || !more.peek()) return;
  try {
    const page = await api.conversations(query.peek().trim(), last.updated);
    const known = new Set(cards.peek().map((card) => card.id));
    cards.value = [...cards.peek(), ...page.conversations.filter((card) => !known.has(card.id))];
    more.value = page.more;
  } catch (error) {
    suspect(error);
    complain(error);
  }
}

export function search(words: string): void {
  query.value = words;
  clearTimeout(typing);
  typing = setTimeout(() => void loadList(), words ? 120 : 0);
}

export async function rename(id: string, title: string): Promise<void> {
  const clean = title.trim();
  if (!clean) return;
  const before = cards.peek();
  cards.value = before.map((card) => (card.id === id ? { ...card, title: clean, title_hits: [] } : card));
  try {
    onTitle((await api.change(id, { title: clean })).title, id);
  } catch (error) {
    cards.value = before;
    suspect(error);
    complain(error);
  }
}

export async function remove(id: string): Promise<void> {
  try {
    await api.remove(id);
  } catch (error) {
    suspect(error);
    complain(error);
    return;
  }
  cards.value = cards.peek().filter((card) => card.id !== id);
  forget(id);
  if (openId.peek() === id) go(null);
  inform(text.peek().deleted);
}

export async function importFile(file: File): Promise<void> {
  try {
    JSON.parse(await file.text());
  } catch {
    complain(new Error(`${text.peek().importNotJson} ${text.peek().importNotJsonHint}`));
    return;
  }
  try {
    const conversation = await api.import(file);
    query.value = "";
    await loadList();
    go(conversation.id);
    inform(text.peek().imported);
  } catch (error) {
    suspect(error);
    complain(error);
  }
}

/** Hands a conversation to the browser as a file to save. */
export async function exportFile(id: string, format: "json" | "markdown"): Promise<void> {
  try {
    const file = await api.export(id, format);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    suspect(error);
    complain(error);
  }
}
