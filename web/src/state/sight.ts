// A picture, and what a model says of it. Nothing is kept: it is gone when the page is closed or another one is shown.

import { computed, effect, signal } from "@preact/signals";
import { api } from "../api/client";
import type { Sight } from "../api/types";
import { text } from "../i18n";
import { currentModel } from "./chat";
import { MAX_FILE_BYTES } from "./composer";
import { suspect } from "./connection";
import { modelNamed } from "./models";
import { announce, describe, type Failure } from "./notices";
import { openId } from "./route";
import { settingsOpen } from "./ui";

/** Objects below this are not asked for; the slider shows more or fewer of the others. */
export const LEAST_SURE = 0.1;

export interface Shown {
  file: File;
  /** A blob: address of it. */
  url: string;
}

export const shown = signal<Shown | null>(null);
export const sight = signal<Sight | null>(null);
/** A blob: address of the picture with regions or depths in it. */
export const drawn = signal<string | null>(null);
/** Which region each pixel is of, in the red of a picture that is smaller than the one that is shown: see `Sight.parts`. */
export const parts = signal<ImageData | null>(null);
/** The region or object that is pointed at, by its place among them. */
export const pointed = signal<number | null>(null);
export const looking = signal(false);
export const failure = signal<Failure | null>(null);
/** What to choose among, as it is typed: with commas between. */
export const labels = signal("");
export const threshold = signal(0.5);

/** The model that is shown pictures here; null: the page chats. */
export const seeing = computed(() => {
  const model = openId.value ? null : modelNamed(currentModel.value);
  return model?.made_for === "vision" ? model : null;
});

let asking: AbortController | null = null;

export function show(file: File): void {
  forgetPicture();
  if (file.size > MAX_FILE_BYTES) {
    failure.value = { message: text.peek().tooLarge, hint: null };
    return;
  }
  shown.value = { file, url: URL.createObjectURL(file) };
  void look();
}

export function forgetPicture(): void {
  asking?.abort();
  for (const url of [shown.peek()?.url, drawn.peek()]) if (url) URL.revokeObjectURL(url);
  shown.value = sight.value = drawn.value = parts.value = pointed.value = failure.value = null;
  looking.value = false;
}

/** Names between commas; none twice. */
export function labelsOf(typed: string): string[] {
  return [...new Set(typed.split(/[,\n，、]/).map((label) => label.trim()).filter(Boolean))];
}

/** Asks the model about the picture that is shown. */
export async function look(): Promise<void> {
  const model = seeing.peek();
  const picture = shown.peek();
  if (!model || !picture) return;
  const wanted = model.task === "zero_shot" ? labelsOf(labels.peek()) : [];
  asking?.abort();
  const abort = (asking = new AbortController());
  failure.value = sight.value = parts.value = pointed.value = null;
  if (model.task === "zero_shot" && wanted.length === 0) return; // nothing to choose among yet
  looking.value = true;
  try {
    const told = await api.look(picture.file, model.name, { labels: wanted, threshold: LEAST_SURE }, abort.signal);
    if (abort.signal.aborted) return;
    if (drawn.peek()) URL.revokeObjectURL(drawn.peek()!);
    drawn.value = told.drawn && (told.regions || told.metric !== undefined) ? URL.createObjectURL(blobOf(told.drawn)) : null;
    parts.value = told.parts ? await pixelsOf(told.parts) : null;
    sight.value = told;
    announce(summary(told));
  } catch (error) {
    if (abort.signal.aborted) return;
    suspect(error);
    failure.value = describe(error);
  } finally {
    if (asking === abort) looking.value = false;
  }
}

/** What was found, in a sentence. */
export function summary(told: Sight): string {
  const t = text.peek();
  if (told.regions) return t.sightRegions(told.regions.length);
  if (told.metric !== undefined) return t.sightDepths;
  if (told.embedding) return t.sightVector(told.embedding.length);
  const sure = told.task === "detect" ? told.found!.filter((one) => one.score >= threshold.peek()) : told.found!;
  return told.task === "detect" ? t.sightObjects(sure.length) : t.sightBest(sure[0]?.label ?? "");
}

function blobOf(dataUrl: string): Blob {
  const [, content] = dataUrl.split(",", 2);
  const bytes = Uint8Array.from(atob(content ?? ""), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/png" });
}

async function pixelsOf(dataUrl: string): Promise<ImageData> {
  const bitmap = await createImageBitmap(blobOf(dataUrl), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d")!;
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

/** The region at a place of the picture, each coordinate from 0 to 1; null: none. */
export function regionAt({ data, width, height }: ImageData, x: number, y: number): number | null {
  const column = Math.min(Math.max(Math.floor(x * width), 0), width - 1);
  const row = Math.min(Math.max(Math.floor(y * height), 0), height - 1);
  const number = data[4 * (row * width + column)]!;
  return number > 0 ? number - 1 : null;
}

// Another model looks at the picture that is there. There is no conversation, and so nothing to be set of it.
effect(() => {
  if (!seeing.value?.name) return;
  settingsOpen.value = false;
  void look();
});
