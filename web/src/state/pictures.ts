// Pictures of messages: what may be sent, and the blob: addresses under which those that Hearth keeps are shown.

import { api } from "../api/client";
import type { Attachment } from "../api/types";
import { text } from "../i18n";
import type { Failure } from "./notices";

/** As `hearth.model.vision.pictures` has them: larger ones are taken for attacks. */
const MAX_PIXELS = 2 ** 27;
const MAX_SIDE = 2 ** 15;
/** What is kept of pictures that are not on the screen, in bytes of their files. */
const MAX_IDLE_BYTES = 64_000_000;

// ---- before they are sent ----

interface Format {
  /** What its files begin with, at `at`; latin-1. */
  mark: string;
  at: number;
  /** Whether Hearth and browsers show it. */
  shown: boolean;
}

const FORMATS: readonly Format[] = [
  { mark: "\xff\xd8\xff", at: 0, shown: true }, // JPEG
  { mark: "\x89PNG", at: 0, shown: true },
  { mark: "GIF8", at: 0, shown: true },
  { mark: "WEBP", at: 8, shown: true },
  { mark: "ftypavif", at: 4, shown: true },
  { mark: "BM", at: 0, shown: true },
  { mark: "II*\0", at: 0, shown: false }, // TIFF
  { mark: "MM\0*", at: 0, shown: false },
  { mark: "ftypheic", at: 4, shown: false }, // what phones of Apple write
  { mark: "ftypheix", at: 4, shown: false },
  { mark: "ftypmif1", at: 4, shown: false },
];

/** How a file of a picture begins; null: it is none. Its name says nothing. */
export function formatOf(head: Uint8Array): Format | null {
  const letters = String.fromCharCode(...head);
  // Two letters may begin a text, but no text has zeros.
  return FORMATS.find(({ mark, at }) => letters.startsWith(mark, at) && (mark.length > 2 || letters.includes("\0"))) ?? null;
}

async function readFormat(file: File): Promise<Format | null> {
  return formatOf(new Uint8Array(await file.slice(0, 100).arrayBuffer()));
}

export async function isPicture(file: File): Promise<boolean> {
  return (await readFormat(file)) !== null;
}

/** Why a picture cannot be sent; null: it can. `url`: a blob: address of it. */
export async function problemOf(file: File, url: string): Promise<Failure | null> {
  const t = text.peek();
  if (!(await readFormat(file))?.shown) return { message: t.errorUnknownPicture, hint: t.errorUnknownPictureHint };
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return { message: t.errorUnreadablePicture, hint: t.errorUnreadablePictureHint };
  }
  const { naturalHeight: height, naturalWidth: width } = image;
  const tooLarge = height * width > MAX_PIXELS || Math.max(height, width) > MAX_SIDE;
  return tooLarge ? { message: t.tooManyPixels, hint: null } : null;
}

// ---- those that Hearth keeps ----

interface Held {
  url: Promise<string>;
  size: number;
  /** How many places show it. */
  users: number;
}

/** Those that were let go last are the last. */
const held = new Map<string, Held>();

/** Holds a picture that was attached here, so that it is not fetched again. */
export function keepUrl({ id, picture }: Attachment, url: string): void {
  held.set(id, { url: Promise.resolve(url), size: picture?.size_bytes ?? 0, users: 1 });
}

/** A blob: address of a picture, until it is let go as often as it was asked for. */
export function hold({ id, picture }: Attachment): Promise<string> {
  let entry = held.get(id);
  if (!entry) {
    entry = { url: api.picture(id).then((file) => URL.createObjectURL(file)), size: picture?.size_bytes ?? 0, users: 0 };
    held.set(id, entry);
    entry.url.catch(() => held.delete(id)); // asked for again the next time
  }
  entry.users++;
  return entry.url;
}

export function letGo({ id }: Attachment): void {
  const entry = held.get(id);
  if (!entry || --entry.users > 0) return;
  held.delete(id);
  held.set(id, entry);
  let idle = [...held.values()].reduce((sum, one) => sum + (one.users > 0 ? 0 : one.size), 0);
  for (const [other, { users, size }] of held) {
    if (idle <= MAX_IDLE_BYTES) return;
    if (users > 0) continue;
    drop(other);
    idle -= size;
  }
}

/** Forgets a picture that is shown nowhere any more. */
export function drop(id: string): void {
  const entry = held.get(id);
  held.delete(id);
  void entry?.url.then((url) => URL.revokeObjectURL(url)).catch(() => undefined);
}
