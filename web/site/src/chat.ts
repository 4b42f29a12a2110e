// The conversation: what was said, and the answer that is being written.

import { signal } from "@preact/signals";
import type { RemoteModel } from "../../runtime/src/api/worker.ts";
import type { HearthError } from "../../runtime/src/errors.ts";
import { asHearthError } from "./model.ts";

export interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
}

export interface Settings {
  readonly temperature: number;
  readonly maxTokens: number;
}

export const turns = signal<readonly Turn[]>([]);
export const failure = signal<HearthError | undefined>(undefined);
export const settings = signal<Settings>({ temperature: 0.7, maxTokens: 512 });
/** Ends the answer that is being written, while one is. */
export const writing = signal<AbortController | undefined>(undefined);
/** What a screen reader is told. */
export const spoken = signal("");

export function stop(): void {
  writing.value?.abort();
}

export function beginAnew(): void {
  stop();
  turns.value = [];
  failure.value = undefined;
}

/** Says something to the model; its answer grows in `turns`. */
export async function send(model: RemoteModel, content: string): Promise<void> {
  const controller = new AbortController();
  const said: readonly Turn[] = [...turns.value, { role: "user", content }];
  const show = (answer: string): void => {
    if (writing.value === controller) turns.value = [...said, { role: "assistant", content: answer }];
  };
  writing.value = controller;
  failure.value = undefined;
  show("");
  let answer = "";
  try {
    for await (const text of answerTo(model, said, controller.signal)) show((answer += text));
    spoken.value = answer;
  } catch (error) {
    if (writing.value === controller) failure.value = asHearthError(error);
  } finally {
    if (writing.value === controller) writing.value = undefined;
  }
}

/** The pieces of an answer; of a model that does not chat, how it goes on with the last text. */
async function* answerTo(model: RemoteModel, said: readonly Turn[], signal: AbortSignal): AsyncGenerator<string> {
  const { temperature, maxTokens } = settings.value;
  const asked = { model: model.name, temperature, max_tokens: maxTokens, stream: true as const };
  if (model.chats) {
    const messages = answered(said).map((turn) => ({ ...turn }));
    const chunks = await model.chat.completions.create({ ...asked, messages }, { signal });
    for await (const chunk of chunks) yield chunk.choices[0]?.delta.content ?? "";
  } else {
    const chunks = await model.completions.create({ ...asked, prompt: said.at(-1)!.content }, { signal });
    for await (const chunk of chunks) yield chunk.choices[0]?.text ?? "";
  }
}

/** Of the conversation what the model is told: not a question that nothing came of, such as one too long for any answer. */
const answered = (said: readonly Turn[]): readonly Turn[] =>
  said.filter(({ role, content }, i) => i === said.length - 1 || (role === "user" ? said[i + 1]!.content : content) !== "");
