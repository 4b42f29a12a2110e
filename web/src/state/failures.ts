// Errors in the page's own words: what Hearth says is meant for its command line as well. Its sentence stays, as details.

import { text } from "../i18n";
import type { Dictionary } from "../i18n/en";
import type { Failure } from "./notices";

/** What can be done about an error on the page. */
export type Action = "chooseModel" | "newChat" | "retry";

/** Kinds of errors (the names of `hearth.errors`) that the page has words for, with what can be done. */
const KINDS = {
  ContextFull: ["newChat"],
  ModelNotFound: ["chooseModel"],
  Unsupported: ["chooseModel"],
  TemplateError: ["chooseModel"],
  TokenizerMissing: ["chooseModel"],
  NotEnoughMemory: ["chooseModel", "retry"],
  NetworkError: ["retry"],
  StorageError: ["retry"],
  CorruptFile: ["chooseModel"],
  CompileError: ["chooseModel", "retry"],
  BundleMismatch: ["chooseModel", "retry"],
  Busy: ["retry"],
  ModelBroken: ["retry"],
  PictureAttached: [],
  UnreadablePicture: [],
  UnknownPicture: [],
  NoText: [],
} as const satisfies Record<string, readonly Action[]>;

type Kind = keyof typeof KINDS;

function known(kind: string | undefined): kind is Kind {
  return kind !== undefined && Object.hasOwn(KINDS, kind);
}

/** What can be done about an error of this kind; of one that is not known, to try again. */
export function actionsFor(kind: string | undefined): readonly Action[] {
  return known(kind) ? KINDS[kind] : ["retry"];
}

/** The error as the page says it; `details` is what Hearth said, where that is another thing. */
export function inWords(failure: Failure): Failure & { details: string } {
  const said = plain([failure.message, failure.hint].filter(Boolean).join(" "));
  if (!known(failure.kind)) return { ...failure, message: plain(failure.message), hint: failure.hint && plain(failure.hint), details: "" };
  const words = text.value as Dictionary;
  return { ...failure, message: words[`error${failure.kind}`], hint: words[`error${failure.kind}Hint`], details: said };
}

/** Without the marks that a terminal's reader knows as code. */
function plain(sentence: string): string {
  return sentence.replace(/`([^`]*)`/g, "$1");
}
