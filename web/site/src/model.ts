// The page's model: what it takes, loading it, and what became of that.

import { signal } from "@preact/signals";
import { openInWorker, type RemoteModel } from "../../runtime/src/api/worker.ts";
import { HearthError } from "../../runtime/src/errors.ts";
import { type Keeping, Package, packageBytes, type PackageFacts } from "../../runtime/src/store/index.ts";
import { loadMarkdown } from "./markdown.ts";

/** Keys and values of so many tokens are kept at most: what a chat on a phone has memory for. */
const MOST_CONTEXT = 4096;
const DEVICES = ["auto", "webgpu", "wasm"] as const;
const AGREED = `hearth agreed ${location.pathname}`;

export type Stage =
  | { readonly is: "looking" }
  /** It may be loaded once the visitor wants it. */
  | { readonly is: "offered"; readonly keeping: Keeping }
  | { readonly is: "loading"; readonly done: number; readonly total: number }
  | { readonly is: "ready"; readonly model: RemoteModel }
  | { readonly is: "failed"; readonly error: HearthError };

export const stage = signal<Stage>({ is: "looking" });
export const facts = signal<PackageFacts | undefined>(undefined);
/** What is not as it should be, in words. */
export const notice = signal("");

export const modelUrl = new URL("model.json", document.baseURI);
let running: Worker | undefined;

export const contextOf = ({ context }: PackageFacts): number => Math.min(context, MOST_CONTEXT);

/** Bytes of memory that the model takes while it is open. */
export const memoryOf = (of: PackageFacts): number => packageBytes(of, contextOf(of));

/** Finds out what the model is, and loads it if the visitor has wanted that here before. */
export async function look(): Promise<void> {
  stage.value = { is: "looking" };
  try {
    const found = await Package.open(modelUrl);
    facts.value = found.facts;
    document.title = found.facts.name;
    const keeping = await found.keeping();
    if (keeping.kind === "memory") notice.value = `The model cannot be kept here for the next time. ${keeping.why}`;
    stage.value = { is: "offered", keeping };
  } catch (error) {
    stage.value = { is: "failed", error: asHearthError(error) };
    return;
  }
  if (agreedBefore()) await load();
}

/** Loads the model in a worker of its own. */
export async function load(): Promise<void> {
  const { context } = facts.value!;
  remember();
  void loadMarkdown();
  // What is not persisted the browser may clear away; it need not say yes.
  void navigator.storage?.persist?.().catch(() => false);
  stage.value = { is: "loading", done: 0, total: 0 };
  const worker = new Worker(new URL("worker.js", document.baseURI), { type: "module" });
  running = worker;
  try {
    const model = await failing(
      worker,
      openInWorker(worker, modelUrl, {
        cacheTokens: Math.min(context, MOST_CONTEXT),
        context: Math.min(context, MOST_CONTEXT),
        device: wantedDevice(),
        onProgress: (done, total) => (stage.value = { is: "loading", done, total }),
        onNotice: (text) => (notice.value = text),
      }),
    );
    if (running !== worker) return;
    stage.value = { is: "ready", model };
    void navigator.serviceWorker?.ready.then(({ active }) => active?.postMessage("keep all"));
  } catch (error) {
    worker.terminate();
    if (running === worker) stage.value = { is: "failed", error: asHearthError(error) };
  }
}

/** Ends the model and does something while none is open; then it is as if the visitor had not wanted it yet. */
export async function unload(meanwhile: () => Promise<void>): Promise<void> {
  running?.terminate();
  running = undefined;
  forget();
  stage.value = { is: "looking" };
  await meanwhile();
  await look();
}

/** The promise, or the failure of a worker that cannot even start. */
function failing<Value>(worker: Worker, promise: Promise<Value>): Promise<Value> {
  const broken = new Promise<never>((_, reject) => {
    worker.onerror = ({ message }) => reject(new HearthError("internal", "The model's worker failed.", { why: message ?? "", hint: "Load the page again." }));
  });
  return Promise.race([promise, broken]);
}

/** ?device=wasm takes the processor where the GPU makes trouble. */
function wantedDevice(): (typeof DEVICES)[number] {
  const asked = new URLSearchParams(location.search).get("device");
  return DEVICES.find((device) => device === asked) ?? "auto";
}

export const asHearthError = (error: unknown): HearthError =>
  error instanceof HearthError ? error : new HearthError("internal", error instanceof Error ? error.message : String(error));

function agreedBefore(): boolean {
  try {
    return localStorage.getItem(AGREED) !== null;
  } catch {
    return false;
  }
}

function forget(): void {
  try {
    localStorage.removeItem(AGREED);
  } catch {
    // Then nothing was remembered.
  }
}

function remember(): void {
  try {
    localStorage.setItem(AGREED, "yes");
  } catch {
    // Then it is asked again the next time.
  }
}
