// The user's documents, and whether each message looks something up in them.

import { computed, signal } from "@preact/signals";
import { api } from "../api/client";
import type { Attachment, Doc } from "../api/types";
import { suspect } from "./connection";
import { models } from "./models";
import { describe, type Failure } from "./notices";
import { prefs, setPrefs } from "./prefs";

/** A file on its way into the documents. */
export interface Coming {
  key: number;
  name: string;
  failure: Failure | null;
}

export const documents = signal<Doc[]>([]);
export const comingDocuments = signal<Coming[]>([]);
let nextKey = 1;

/** The model that finds passages: one that is open, else the first that is here. */
export const encoder = computed<string | null>(() => {
  const able = (models.value ?? []).filter((model) => model.made_for === "encoder" && model.task === "embed" && !model.problem);
  return (able.find((model) => model.loaded) ?? able[0])?.name ?? null;
});

/** Whether documents are searched with each message. */
export const searching = computed(() => prefs.value.documents && documents.value.length > 0 && encoder.value !== null);

export function setSearching(on: boolean): void {
  setPrefs({ documents: on });
}

export async function loadDocuments(): Promise<void> {
  try {
    documents.value = await api.documents();
  } catch (error) {
    suspect(error);
  }
}

/** One file after the other: each is read and made searchable. */
export async function addDocuments(files: Iterable<File>): Promise<void> {
  const all = [...files].map((file) => ({ file, coming: { key: nextKey++, name: file.name, failure: null } satisfies Coming }));
  comingDocuments.value = [...comingDocuments.peek(), ...all.map(({ coming }) => coming)];
  for (const { file, coming } of all) {
    const model = encoder.peek();
    if (!model) return;
    try {
      const added = await api.addDocument(file, model);
      documents.value = [added, ...documents.peek()];
      comingDocuments.value = comingDocuments.peek().filter((one) => one.key !== coming.key);
      setSearching(true); // who adds a document wants to ask about it
    } catch (error) {
      suspect(error);
      comingDocuments.value = comingDocuments.peek().map((one) => (one.key === coming.key ? { ...one, failure: describe(error) } : one));
    }
  }
}

export function dismissComing(key: number): void {
  comingDocuments.value = comingDocuments.peek().filter((one) => one.key !== key);
}

export async function removeDocument(id: string): Promise<void> {
  const before = documents.peek();
  documents.value = before.filter((one) => one.id !== id);
  try {
    await api.removeDocument(id);
  } catch (error) {
    documents.value = before;
    suspect(error);
  }
}

/** What the documents say of a question, where they are searched. */
export async function lookUp(question: string, model: string | null): Promise<Attachment | null> {
  return searching.peek() && question ? api.find(question, encoder.peek()!, model) : null;
}
