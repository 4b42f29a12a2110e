// What races have found, kept for each adapter and browser, by the very text of the shaders. Before a variant is tried that is
// noted: one that takes the page with it, or the GPU, is not tried again.

import { readMemo, writeMemo } from "../store/memos.ts";
import { sha256 } from "../store/sha256.ts";
import type { Kernel } from "./shaders.ts";

const VERSION = 1;

interface Content {
  readonly version: number;
  /** For people. */
  readonly adapter: string;
  readonly browser: string;
  /** Features by what `keyOf` says of a kernel. */
  readonly kernels: Readonly<Record<string, string>>;
  /** Features that lost, for all kernels that have them; those that are being tried are among them. */
  readonly lost: readonly string[];
}

/** Its name and the SHA-256 of all its shaders that the adapter runs. */
async function keyOf({ name, core, variants }: Kernel): Promise<string> {
  const texts = [core, ...variants.values()].map(({ features, text }) => `${features}\0${text}`);
  return `${name} ${await sha256(new TextEncoder().encode(texts.join("\0")))}`;
}

export class RaceRecord {
  readonly #name: string;
  readonly #keys: ReadonlyMap<Kernel, string>;
  #content: Content;

  private constructor(name: string, keys: ReadonlyMap<Kernel, string>, content: Content) {
    this.#name = name;
    this.#keys = keys;
    this.#content = content;
  }

  /** What is known of some kernels on an adapter. */
  static async open({ info, features }: GPUAdapter, kernels: readonly Kernel[]): Promise<RaceRecord> {
    const browser = globalThis.navigator.userAgent;
    const adapter = [info.vendor, info.architecture, info.device, info.description].join(" ").trim();
    const identity = JSON.stringify([adapter, browser, [...features].sort()]);
    const name = `gpu-${await sha256(new TextEncoder().encode(identity))}`;
    const racing = kernels.filter(({ variants }) => variants.size > 0);
    const keys = new Map(await Promise.all(racing.map(async (kernel) => [kernel, await keyOf(kernel)] as const)));
    const found = (await readMemo(name)) as Content | undefined;
    const empty: Content = { version: VERSION, adapter, browser, kernels: {}, lost: [] };
    return new RaceRecord(name, keys, found?.version === VERSION ? found : empty);
  }

  /** The features that won for a kernel; undefined where it has not raced. */
  choice(kernel: Kernel): string | undefined {
    return this.#content.kernels[this.#keys.get(kernel)!];
  }

  /** Whether features are not to be tried for these kernels. */
  async hasLost(features: string): Promise<boolean> {
    return this.#content.lost.includes(await this.#entry(features));
  }

  /** They count as lost until `endTrial`. */
  async beginTrial(features: string): Promise<void> {
    await this.#write({ lost: [...new Set([...this.#content.lost, await this.#entry(features)])] });
  }

  async endTrial(features: string): Promise<void> {
    const entry = await this.#entry(features);
    await this.#write({ lost: this.#content.lost.filter((each) => each !== entry) });
  }

  async choose(choices: ReadonlyMap<Kernel, string>): Promise<void> {
    const kernels = [...choices].map(([kernel, features]) => [this.#keys.get(kernel)!, features] as const);
    await this.#write({ kernels: { ...this.#content.kernels, ...Object.fromEntries(kernels) } });
  }

  async #write(changes: Partial<Content>): Promise<void> {
    this.#content = { ...this.#content, ...changes };
    await writeMemo(this.#name, this.#content);
  }

  /** Of the shaders that need these features. */
  async #entry(features: string): Promise<string> {
    const having = [...this.#keys].filter(([{ variants }]) => variants.has(features)).map(([, key]) => key);
    return `${features} ${await sha256(new TextEncoder().encode(having.sort().join()))}`;
  }
}
