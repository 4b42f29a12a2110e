// What goes wrong, in the same three parts as everywhere in Hearth: what happened, why, what to do.

export type ErrorKind =
  | "usage" // an argument is wrong; nothing was done
  | "corrupt" // a file of the bundle is damaged or missing
  | "memory" // not enough memory
  | "context" // a prompt leaves no room in the context
  | "template" // the chat template refuses the conversation, or fails
  | "storage" // a file cannot be read
  | "mismatch" // the files do not belong together, or to this version, or this browser cannot run them
  | "network" // a file cannot be fetched
  | "device" // a GPU cannot be had, was lost, or refused what the bundle asks of it
  | "unloaded" // a worker has no model open, or no longer
  | "internal"; // should not happen

export class HearthError extends Error {
  readonly kind: ErrorKind;
  readonly what: string;
  readonly why: string;
  readonly hint: string;

  constructor(kind: ErrorKind, what: string, { why = "", hint = "" }: { why?: string; hint?: string } = {}) {
    super([what, why, hint].filter(Boolean).join(" "));
    this.name = "HearthError";
    this.kind = kind;
    this.what = what;
    this.why = why;
    this.hint = hint;
  }
}
