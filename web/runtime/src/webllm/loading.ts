// Loading a model as web-llm tells of it: the texts of its reports, which settings of a record are used, and what is said of the others.

import type { Device } from "../model.ts";
import type { ChatOptions, InitProgressCallback, ModelRecord } from "./config.ts";

const MEGABYTE = 1 << 20;
/** Of which size the parts are that a report counts: about that of web-llm's shards, and of a packaged model's chunks. */
const PART_BYTES = 8 * MEGABYTE;

/** Settings of requests, which a request's own replace. */
export const REQUEST_SETTINGS = ["temperature", "top_p", "repetition_penalty", "frequency_penalty", "presence_penalty"] as const;
const USED = new Set<string>([...REQUEST_SETTINGS, "context_window_size"]);

const WHY_UNUSED = {
  model_lib: "a bundle of Hearth holds its own program",
  required_features: "what the GPU lacks is done without",
  integrity: "it names files of MLC's; the chunks of a packaged model are checked by SHA-256 in any case",
} as const satisfies Partial<Record<keyof ModelRecord, string>>;

/** What of a record and of options does nothing here, in words. */
export function unused(record: ModelRecord, options: ChatOptions): readonly string[] {
  const fields = Object.entries(WHY_UNUSED).filter(([name]) => {
    const value = record[name as keyof typeof WHY_UNUSED];
    return Array.isArray(value) ? value.length > 0 : Boolean(value);
  });
  const others = Object.keys({ ...record.overrides, ...options }).filter((name) => !USED.has(name));
  return [
    ...fields.map(([name, why]) => `${name} is not used: ${why}.`),
    ...(others.length > 0 ? [`${others.join(", ")}: not used; a bundle of Hearth has what the model was published with.`] : []),
  ];
}

/** Tells a callback of one model's loading, in web-llm's words: programs look for some of them. */
export class Reports {
  readonly #callback: InitProgressCallback | undefined;
  readonly #begun = performance.now();

  constructor(callback: InitProgressCallback | undefined) {
    this.#callback = callback;
    this.#tell(0, "Start to fetch params");
  }

  /** @param isKept it comes from what the browser keeps. */
  loaded(doneBytes: number, totalBytes: number, isKept: boolean): void {
    const progress = totalBytes > 0 ? doneBytes / totalBytes : 0;
    const [what, verb] = isKept ? ["Loading model from cache", "loaded"] : ["Fetching param cache", "fetched"];
    const parts = `[${Math.ceil(doneBytes / PART_BYTES)}/${Math.ceil(totalBytes / PART_BYTES)}]`;
    const seconds = Math.ceil(this.#seconds);
    this.#tell(progress, `${what}${parts}: ${Math.ceil(doneBytes / MEGABYTE)}MB ${verb}. ${Math.floor(100 * progress)}% completed, ${seconds} secs elapsed.`);
  }

  finished({ kind, name }: Device): void {
    this.#tell(1, `Finish loading on ${kind === "webgpu" ? "WebGPU" : "WebAssembly"} - ${name}`);
  }

  get #seconds(): number {
    return (performance.now() - this.#begun) / 1000;
  }

  #tell(progress: number, text: string): void {
    this.#callback?.({ progress, timeElapsed: this.#seconds, text });
  }
}
