// Errors in OpenAI's shape.

import { type ErrorKind, HearthError } from "../errors.ts";

export interface OpenAiError {
  readonly status: number;
  readonly error: {
    readonly message: string;
    readonly type: "invalid_request_error" | "server_error";
    readonly param: string | null;
    readonly code: string | null;
  };
}

const CODES: Partial<Record<ErrorKind, string>> = { context: "context_length_exceeded", template: "template_refused" };
const CALLERS_FAULT: readonly ErrorKind[] = ["usage", "context", "template"];

/** What an HTTP server would answer in this error's place. */
export function openAiError(error: unknown): OpenAiError {
  const kind = error instanceof HearthError ? error.kind : "internal";
  const isCallers = CALLERS_FAULT.includes(kind);
  return {
    status: isCallers ? 400 : 500,
    error: {
      message: error instanceof Error ? error.message : String(error),
      type: isCallers ? "invalid_request_error" : "server_error",
      param: null,
      code: CODES[kind] ?? null,
    },
  };
}
