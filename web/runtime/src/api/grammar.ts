// Constraints by xgrammar, the engine that web-llm uses: `@mlc-ai/web-xgrammar` (Apache-2.0), loaded when the first request asks for a
// structure. It is no dependency of the package: a program that wants structures installs it.

import type { Constraint } from "../engine/constraint.ts";
import { HearthError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { keptSchema } from "./schema.ts";
import type { Structure } from "./structure.ts";

/** What is used of xgrammar. */
export interface XGrammar {
  readonly TokenizerInfo: {
    createTokenizerInfo(vocab: string[], kind: string, prependSpace: boolean, vocabSize: number, stopIds: number[]): Promise<Handle>;
  };
  readonly GrammarCompiler: { createGrammarCompiler(info: Handle): Promise<Compiler> };
  readonly GrammarMatcher: { createGrammarMatcher(grammar: Handle): Promise<Matcher> };
}

interface Handle {
  dispose(): void;
}

interface Compiler extends Handle {
  compileBuiltinJSONGrammar(): Promise<Handle>;
  compileJSONSchema(
    schema: string,
    anyWhitespace: boolean,
    indent: undefined,
    separators: undefined,
    strictMode: boolean,
    mostWhitespace: number,
  ): Promise<Handle>;
  compileGrammar(grammar: string): Promise<Handle>;
  compileStructuralTag(tag: unknown): Promise<Handle>;
}

interface Matcher extends Handle {
  acceptToken(token: number): boolean;
  getNextTokenBitmask(): Promise<Int32Array>;
}

// Between two elements of JSON: a small model may else write nothing but spaces, for ever.
const MOST_WHITESPACE = 32;

/** Makes a constraint of a structure. */
export type ConstraintMaker = (structure: Structure) => Promise<Constraint>;

/**
 * Constraints for one model.
 *
 * @param load answers the module `@mlc-ai/web-xgrammar`: `() => import("@mlc-ai/web-xgrammar")`.
 * @param endIds tokens that end an answer.
 */
export function grammarConstraints(
  load: () => Promise<unknown>,
  tokenizer: Tokenizer,
  vocabSize: number,
  endIds: readonly number[],
): ConstraintMaker {
  let compiling: Promise<{ grammars: XGrammar; compiler: Compiler }> | undefined;
  const open = async (): Promise<{ grammars: XGrammar; compiler: Compiler }> => {
    const grammars = xgrammarOf(await load());
    const { kind, tokens } = tokenizer.vocabulary();
    const info = await grammars.TokenizerInfo.createTokenizerInfo(tokens, kind, false, vocabSize, [...endIds]);
    return { grammars, compiler: await grammars.GrammarCompiler.createGrammarCompiler(info) };
  };
  return async (structure) => {
    try {
      const { grammars, compiler } = await (compiling ??= open());
      const grammar = await compile(compiler, structure);
      return new GrammarConstraint(await grammars.GrammarMatcher.createGrammarMatcher(grammar), grammar);
    } catch (error) {
      if (error instanceof HearthError) throw error;
      throw new HearthError("usage", "The structure that the answer must have cannot be used.", {
        why: error instanceof Error ? error.message : String(error),
      });
    }
  };
}

/** The module is a script of the universal kind: bundlers give it as a module or as its default, a browser as a global. */
function xgrammarOf(loaded: unknown): XGrammar {
  const places = [loaded, (loaded as { default?: unknown }).default, (globalThis as { xgrammar?: unknown }).xgrammar];
  const found = places.find((place) => typeof place === "object" && place !== null && "GrammarCompiler" in place);
  if (found === undefined) throw new Error("What was loaded is not @mlc-ai/web-xgrammar.");
  return found as XGrammar;
}

function compile(compiler: Compiler, structure: Structure): Promise<Handle> {
  switch (structure.kind) {
    case "json":
      return compiler.compileBuiltinJSONGrammar();
    case "schema":
      return compiler.compileJSONSchema(keptSchema(structure.schema), true, undefined, undefined, true, MOST_WHITESPACE);
    case "grammar":
      return compiler.compileGrammar(structure.grammar);
    case "structural_tag":
      return compiler.compileStructuralTag(structure.tag);
  }
}

class GrammarConstraint implements Constraint {
  readonly #matcher: Matcher;
  readonly #grammar: Handle;

  constructor(matcher: Matcher, grammar: Handle) {
    this.#matcher = matcher;
    this.#grammar = grammar;
  }

  mask(): Promise<Int32Array> {
    return this.#matcher.getNextTokenBitmask();
  }

  accept(token: number): void {
    if (!this.#matcher.acceptToken(token)) throw new Error("The grammar does not go on with it.");
  }

  close(): void {
    this.#matcher.dispose();
    this.#grammar.dispose();
  }
}
