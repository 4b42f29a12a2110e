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
  device: "DeviceLostError",
  memory: "DeviceLostError",
};

/** An error of Hearth's with the name that web-llm has for its kind; any other as it is. */
export function namedBy(error: unknown): unknown {
  const name = error instanceof HearthError ? NAMES[error.kind] : undefined;
  return name === undefined ? error : namedError(name, (error as HearthError).message, error);
}

export async function withNames<Value>(action: () => Promise<Value>): Promise<Value> {
  try {
    return await action();
  } catch (error) {
    throw namedBy(error);
  }
}
