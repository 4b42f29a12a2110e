// What a tokenizer puts before and after a text: as its post-processor says, or as the bundle's own words do.

import type { Step, TokenizerSpec } from "./spec.ts";

export interface Around {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

export function around({ json, meta }: TokenizerSpec, idOf: (token: string) => number | undefined): Around {
  if (meta.added_by_json) return ofStep(json.post_processor ?? null, idOf);
  return {
    before: meta.add_bos && meta.bos_id !== null ? [meta.bos_id] : [],
    after: meta.add_eos ? meta.eos_ids.slice(0, 1) : [],
  };
}

type Piece = { readonly Sequence?: unknown; readonly SpecialToken?: { readonly id: string } };
type Pair = readonly [string, number];

function ofStep(step: Step | null, idOf: (token: string) => number | undefined): Around {
  if (step?.type === "Sequence") {
    const steps = (step["processors"] as Step[]).map((each) => ofStep(each, idOf));
    return { before: steps.flatMap(({ before }) => before), after: steps.flatMap(({ after }) => after) };
  }
  if (step?.type === "BertProcessing" || step?.type === "RobertaProcessing") {
    return { before: [(step["cls"] as Pair)[1]], after: [(step["sep"] as Pair)[1]] };
  }
  if (step?.type !== "TemplateProcessing") return { before: [], after: [] };
  const pieces = step["single"] as readonly Piece[];
  const tokens = (step["special_tokens"] ?? {}) as Readonly<Record<string, { ids?: readonly number[] }>>;
  const text = pieces.findIndex(({ Sequence }) => Sequence !== undefined);
  const ids = (part: readonly Piece[]): number[] =>
    part.flatMap(({ SpecialToken }) => {
      const name = SpecialToken?.id ?? "";
      return tokens[name]?.ids ?? [idOf(name) ?? []].flat();
    });
  return { before: ids(pieces.slice(0, Math.max(text, 0))), after: ids(pieces.slice(text + 1)) };
}
