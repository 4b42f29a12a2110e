// The numbers that sampling is set with: their ranges, and what a typed text means.

import type { Settings } from "../api/types";

export type NumberName = Exclude<keyof Settings, "thinking">;

export interface NumberSpec {
  name: NumberName;
  min: number;
  max: number;
  step: number;
  whole: boolean;
  /** Where the slider stands while the value is the model's own; null: no slider. */
  slider: number | null;
}

export const NUMBERS: readonly NumberSpec[] = [
  { name: "temperature", min: 0, max: 2, step: 0.05, whole: false, slider: 0.7 },
  { name: "top_p", min: 0.01, max: 1, step: 0.01, whole: false, slider: 0.95 },
  { name: "min_p", min: 0, max: 1, step: 0.01, whole: false, slider: 0 },
  { name: "top_k", min: 0, max: 1_000, step: 1, whole: true, slider: null },
  { name: "repetition_penalty", min: 0.5, max: 2, step: 0.05, whole: false, slider: 1 },
  { name: "max_tokens", min: 1, max: 1_000_000, step: 1, whole: true, slider: null },
  { name: "seed", min: 0, max: 2 ** 32 - 1, step: 1, whole: true, slider: null },
];

/** The number that was typed; null for none (the model's own); undefined where it cannot be used. */
export function parseNumber(spec: NumberSpec, typed: string): number | null | undefined {
  const clean = typed.trim().replace(",", ".");
  if (clean === "") return null;
  const value = Number(clean);
  if (!Number.isFinite(value) || value < spec.min || value > spec.max) return undefined;
  return spec.whole && !Number.isInteger(value) ? undefined : value;
}
