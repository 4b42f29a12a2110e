// An open model: the plan's description, and sessions over its weights.

import { HearthError } from "./errors.ts";
import { type ModelInfo, textInfo, type TextInfo } from "./info.ts";
import type { Library, Region } from "./library.ts";
import type { Manifest } from "./manifest.ts";
import { Session } from "./session.ts";
import { Staging } from "./staging.ts";

/** What the bundle's files say beside the plan. */
export interface About {
  readonly manifest: Manifest;
  readonly endIds: readonly number[];
}

export class Model {
  readonly info: ModelInfo;
  /** What of it concerns a language model; undefined for others. */
  readonly text: TextInfo | undefined;
  readonly manifest: Manifest;
  /** Tokens that end an answer. */
  readonly endIds: readonly number[];
  readonly #library: Library;
  readonly #weights: Region;
  #pointer: number;
  readonly #sessions = new Set<Session>();

  private constructor(library: Library, about: About, weights: Region, pointer: number) {
    this.#library = library;
    this.manifest = about.manifest;
    this.endIds = about.endIds;
    this.#weights = weights;
    this.#pointer = pointer;
    this.info = JSON.parse(library.text(library.call("hearth_describe", pointer))) as ModelInfo;
    this.text = textInfo(this.info);
  }

  /** Opens what lies in a module's memory: `weights` are there, `weightsBytes` of them. */
  static open(library: Library, about: About, plan: Uint8Array, weights: Region, weightsBytes: number): Model {
    const staging = new Staging(library);
    staging.begin(plan.length + 4, 2);
    const answer = staging.reserve(4);
    const planAt = staging.put(plan);
    const sizes = [BigInt(plan.length), BigInt(weightsBytes)] as const;
    const what = `The bundle of ${about.manifest.source_name} cannot be opened.`;
    library.check(what, "hearth_open_memory", planAt, sizes[0], weights.at, sizes[1], 0, answer);
    const pointer = library.view.getUint32(answer, true);
    staging.free();
    return new Model(library, about, weights, pointer);
  }

  /**
   * Takes memory for calls of this model's functions.
   *
   * @param sizes how many units the model's states have, by the name of their symbol: a language model has `pages`, of
   *   `text.pageTokens` positions of one sequence each.
   */
  session(sizes: Readonly<Record<string, number>> = {}): Session {
    if (this.#pointer === 0) throw new HearthError("usage", "The model is closed.");
    const session = new Session(this.#library, this.info, this.#pointer, sizes, () => this.#sessions.delete(session));
    this.#sessions.add(session);
    return session;
  }

  /** Bytes that the model and its sessions hold, all of them. */
  get memoryBytes(): number {
    return this.#library.memoryBytes;
  }

  /** Gives the model and its sessions back. */
  close(): void {
    if (this.#pointer === 0) return;
    for (const session of [...this.#sessions]) session.close();
    this.#library.call("hearth_close", this.#pointer);
    this.#library.free(this.#weights);
    this.#pointer = 0;
  }
}
