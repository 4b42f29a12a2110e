// What answers have cost, in tokens and in seconds.

import type { Usage as EngineUsage } from "../engine/sequence.ts";
import type { Usage } from "./types.ts";

const perSecond = (count: number, milliseconds: number): number => (milliseconds > 0 ? (1000 * count) / milliseconds : 0);

/** The usage of a request's answers, of which there is at least one: they are made at the same time, from one prompt. */
export function usageOf(answers: readonly EngineUsage[]): Usage {
  const first = answers[0]!;
  const output = answers.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
  const now = performance.now();
  const begun = Math.min(...answers.map(({ begunMs }) => begunMs));
  // An answer that was cancelled before its first token has no times of it.
  const firstToken = Math.min(...answers.map(({ firstTokenMs }) => firstTokenMs || now));
  const lastToken = Math.max(...answers.map(({ lastTokenMs }) => lastTokenMs || now));
  const decoded = Math.max(0, output - answers.length);
  return {
    prompt_tokens: first.promptTokens,
    completion_tokens: output,
    total_tokens: first.promptTokens + output,
    prompt_tokens_details: { cached_tokens: first.cachedTokens },
    extra: {
      e2e_latency_s: (now - begun) / 1000,
      prefill_tokens_per_s: perSecond(first.promptTokens - first.cachedTokens, firstToken - begun),
      decode_tokens_per_s: perSecond(decoded, lastToken - firstToken),
      time_to_first_token_s: (firstToken - begun) / 1000,
      time_per_output_token_s: decoded > 0 ? (lastToken - firstToken) / 1000 / decoded : 0,
    },
  };
}
