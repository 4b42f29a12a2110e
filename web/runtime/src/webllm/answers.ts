// Answers as web-llm's programs read them: under the model's id, with its usage, and remembered by the engine.

import type * as api from "../api/types.ts";
import { namedBy } from "./errors.ts";
import type { CompletionUsage } from "./requests.ts";

/** What an engine remembers of the answer that a model began last. */
export interface LastAnswer {
  message: string;
  usage: CompletionUsage | undefined;
}

export interface Answer {
  readonly model: string;
  readonly choices: readonly unknown[];
  readonly usage?: api.Usage;
}

/** Its prompt tokens are those that were computed: not what was there of an earlier round. */
export function usageOf(usage: api.Usage): CompletionUsage {
  const prompt = usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens;
  return { ...usage, prompt_tokens: prompt, total_tokens: prompt + usage.completion_tokens };
}

const told = <Told extends Answer>(answer: Told, id: string): Told => ({ ...answer, model: id, ...(answer.usage && { usage: usageOf(answer.usage) }) });

/** @param textOf the text of one choice. */
export function remembered<Whole extends Answer>(answer: Whole, id: string, last: LastAnswer, textOf: (choice: Whole["choices"][number]) => string): Whole {
  const answered = told(answer, id);
  last.usage = answered.usage;
  last.message = textOf(answer.choices.at(-1));
  return answered;
}

/** @param tellsUsage the last chunk, which has the usage and no choice, is wanted. */
export async function* rememberedChunks<Chunk extends Answer>(
  chunks: AsyncIterable<Chunk>,
  id: string,
  last: LastAnswer,
  textOf: (choice: Chunk["choices"][number]) => string,
  { tellsUsage, onEnd }: { tellsUsage: boolean; onEnd: () => void },
): AsyncGenerator<Chunk, void, void> {
  try {
    for await (const chunk of chunks) {
      const answered = told(chunk, id);
      if (answered.usage) last.usage = answered.usage;
      for (const choice of chunk.choices) last.message += textOf(choice);
      if (tellsUsage || chunk.choices.length > 0) yield answered;
    }
  } catch (error) {
    throw namedBy(error);
  } finally {
    onEnd();
  }
}
