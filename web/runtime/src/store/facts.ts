// What model.json says, as hearth.package.site writes it.

import { slotsFor } from "../engine/states.ts";
import { HearthError } from "../errors.ts";

/** As hearth.package.site has it. */
const FORMAT_VERSION = 1;
export const PACKAGE_FILE = "model.json";

export interface PackageFile {
  readonly size_bytes: number;
  /** SHA-256 of each chunk, which are of `chunk_bytes` but for the last. */
  readonly chunks: readonly string[];
}

/** model.json. */
export interface PackageFacts {
  readonly format: number;
  readonly name: string;
  readonly parameters: number;
  readonly formats: string;
  /** Tokens that the model can hold at most. */
  readonly context: number;
  readonly weights_bytes: number;
  readonly arena_bytes: number;
  readonly kv_bytes_per_token: number;
  /** Of recurrent state behind one token of one text; 0: it has none. Older packages, which could not have any, do not say. */
  readonly state_bytes?: number;
  readonly chunk_bytes: number;
  readonly files: Readonly<Record<string, PackageFile>>;
}

/** Bytes of memory that a packaged model takes while an engine of one conversation of so many tokens is open. */
export const packageBytes = (facts: PackageFacts, context: number): number =>
  facts.weights_bytes + facts.arena_bytes + context * facts.kv_bytes_per_token + slotsFor(1) * (facts.state_bytes ?? 0);

export function readFacts(text: string): PackageFacts {
  let facts: PackageFacts;
  try {
    facts = JSON.parse(text) as PackageFacts;
  } catch (error) {
    throw new HearthError("corrupt", `${PACKAGE_FILE} is no JSON.`, { why: String(error) });
  }
  if (facts?.format === FORMAT_VERSION && typeof facts.files === "object") return facts;
  throw new HearthError("mismatch", `${PACKAGE_FILE} has format ${String(facts?.format)}.`, {
    why: `This package reads format ${FORMAT_VERSION}.`,
    hint: "Package the model again with the Hearth that the page came with: hearth package web MODEL.",
  });
}

/** Name and size of each chunk of a file. */
export function chunkSizes({ chunk_bytes: most }: PackageFacts, { size_bytes: size, chunks }: PackageFile): readonly (readonly [string, number])[] {
  return chunks.map((chunk, i) => [chunk, Math.min(most, size - i * most)] as const);
}

export const chunkNames = ({ files }: PackageFacts): readonly string[] => Object.values(files).flatMap(({ chunks }) => chunks);

/** The whole address of a model.json. */
export function addressOf(url: string | URL): string {
  const address = new URL(url, globalThis.location?.href);
  address.hash = "";
  return address.href;
}
