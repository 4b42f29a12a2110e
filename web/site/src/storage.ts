// What the browser keeps of this model and of others of the page's origin, and letting go of it.

import { signal } from "@preact/signals";
import { removeOldVersions, removeStored, type Stored, stored } from "../../runtime/src/store/index.ts";
import { beginAnew, spoken } from "./chat.ts";
import { asHearthError, modelUrl, notice, unload } from "./model.ts";
import { bytes } from "./units.ts";

export const isShown = signal(false);
/** Undefined until it is known. */
export const kept = signal<Stored | undefined>(undefined);

export async function show(): Promise<void> {
  kept.value = undefined;
  isShown.value = true;
  await count();
}

export async function removeOld(): Promise<void> {
  await saying(removeOldVersions(modelUrl));
  await count();
}

/** Removes this model, which ends the conversation. */
export async function removeModel(): Promise<void> {
  beginAnew();
  isShown.value = false;
  await unload(() => saying(removeStored(modelUrl)));
}

async function count(): Promise<void> {
  try {
    kept.value = await stored(modelUrl);
  } catch (error) {
    isShown.value = false;
    notice.value = asHearthError(error).message;
  }
}

async function saying(freed: Promise<number>): Promise<void> {
  try {
    spoken.value = `Removed: ${bytes(await freed)}.`;
  } catch (error) {
    notice.value = asHearthError(error).message;
  }
}
