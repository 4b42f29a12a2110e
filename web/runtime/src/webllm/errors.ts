// Errors under the names that web-llm's have, which programs look at.

import { type ErrorKind, HearthError } from "../errors.ts";

/** @param cause what it was before. */
export function namedError(name: string, message: string, cause?: unknown): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause });
  error.name = name;
  return error;
}

export class IntegrityError extends Error {
  readonly url: string;
  readonly expected: string;
  readonly actual: string;

  constructor(url: string, expected: string, actual: string) {
    super(`${url} is not what it should be: its hash is ${actual}, not ${expected}.`);
    this.name = "IntegrityError";
    this.url = url;
    this.expected = expected;
    this.actual = actual;
  }
}

const NAMES: Partial<Record<ErrorKind, string>> = {
  context: "ContextWindowSizeExceededError",
  unloaded: "WorkerEngineModelNotLoadedError",
};

/** Hearth's errors with the name that web-llm has for their kind. */
export async function withNames<Value>(action: () => Promise<Value>): Promise<Value> {
  try {
    return await action();
  } catch (error) {
    const name = error instanceof HearthError ? NAMES[error.kind] : undefined;
    if (name === undefined) throw error;
    throw namedError(name, (error as HearthError).message, error);
  }
}
