// A language model that takes and answers text: engine, tokenizer, chat template, constraints. What all of the API is made of.

import { loadBundle, type LoadOptions } from "../bundle.ts";
import { Engine, type EngineOptions } from "../engine/engine.ts";
import type { LogitProcessor } from "../engine/processor.ts";
import { HearthError } from "../errors.ts";
import { requireText } from "../info.ts";
import type { BundleFiles } from "../files.ts";
import type { Device } from "../model.ts";
import { filesAt, type Source } from "../sources.ts";
import { META_FILE, TOKENIZER_FILE, tokenizerSpec } from "../text/spec.ts";
import { ChatTemplate } from "../text/template.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import { callFormat, type CallFormat } from "./calls.ts";
import { type ConstraintMaker, grammarConstraints } from "./grammar.ts";

export interface LanguageModelOptions extends LoadOptions, EngineOptions {
  /** In place of `context`: so many tokens, or as many as the model holds where these are fewer. */
  readonly contextAtMost?: number | undefined;
  /** Answers the module `@mlc-ai/web-xgrammar`, for answers of a given structure. */
  readonly grammars?: (() => Promise<unknown>) | undefined;
  /** The program's own change to the logits of all requests. */
  readonly logitProcessor?: LogitProcessor | undefined;
}

export interface LanguageModelParts {
  /** How answers name the model. */
  readonly name: string;
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  readonly endIds: readonly number[];
  /** What computes it now, and why. */
  readonly device: () => Device;
  readonly constraints?: ConstraintMaker | undefined;
  readonly logitProcessor?: LogitProcessor | undefined;
  readonly close?: () => void;
}

/** Under which name models keep a template of its own for chats with tools. */
const TOOL_TEMPLATE = "tool_use";

export class LanguageModel {
  readonly name: string;
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  readonly logitProcessor: LogitProcessor | undefined;
  readonly #endIds: readonly number[];
  readonly #constraints: ConstraintMaker | undefined;
  readonly #close: (() => void) | undefined;
  readonly #device: () => Device;
  readonly #templates = new Map<string, ChatTemplate>();

  constructor({ name, engine, tokenizer, endIds, device, constraints, logitProcessor, close }: LanguageModelParts) {
    this.name = name;
    this.engine = engine;
    this.tokenizer = tokenizer;
    this.logitProcessor = logitProcessor;
    this.#endIds = endIds;
    this.#constraints = constraints;
    this.#close = close;
    this.#device = device;
  }

  /** Opens the bundle at a URL, the packaged one whose model.json is at a URL, or that of files. */
  static async open(source: Source, options: LanguageModelOptions = {}): Promise<LanguageModel> {
    const files = await filesAt(source, options);
    const [json, meta] = await Promise.all([textOf(files, TOKENIZER_FILE), textOf(files, META_FILE)]);
    const tokenizer = new Tokenizer(tokenizerSpec(json, meta));
    const model = await loadBundle(files, options);
    const { endIds } = model;
    const { vocabSize, maxPosition } = requireText(model.info);
    const context = options.contextAtMost === undefined ? options.context : Math.min(options.contextAtMost, maxPosition);
    return new LanguageModel({
      name: model.manifest.source_name,
      engine: await Engine.create(model, { ...options, context }),
      tokenizer,
      endIds,
      device: () => model.device,
      logitProcessor: options.logitProcessor,
      constraints: options.grammars && grammarConstraints(options.grammars, tokenizer, vocabSize, endIds),
      close: () => model.close(),
    });
  }

  /** What computes it, and why: another than before where a GPU was lost for good. */
  get device(): Device {
    return this.#device();
  }

  /** Whether it has a chat template: one without takes text completions only. */
  get chats(): boolean {
    return this.#templateSource(false) !== undefined;
  }

  #templateSource(hasTools: boolean): string | undefined {
    const { chat_template: own, named_templates: named } = this.tokenizer.spec.meta;
    return (hasTools ? named[TOOL_TEMPLATE] : undefined) ?? own ?? named["default"];
  }

  /** The model's own chat template: that for chats with tools, where it has one. */
  template(hasTools: boolean): ChatTemplate {
    const source = this.#templateSource(hasTools);
    if (source === undefined) {
      throw new HearthError("template", `The model ${this.name} has no chat template.`, {
        why: "Its publisher gave none with it.",
        hint: "Ask for a text completion with a prompt of your own.",
      });
    }
    let template = this.#templates.get(source);
    if (template === undefined) this.#templates.set(source, (template = new ChatTemplate(source, this.tokenizer)));
    return template;
  }

  /** How it calls tools. A model of which that is not known, or not read here, is refused. */
  callFormat(): CallFormat {
    const { named_templates: named, call_formats: formats } = this.tokenizer.spec.meta;
    return callFormat(this.name, formats, TOOL_TEMPLATE in named ? TOOL_TEMPLATE : "default");
  }

  /** Tokens that end an answer, those of a template's turns included. */
  endIds(template?: ChatTemplate): ReadonlySet<number> {
    return new Set([...this.#endIds, ...(template?.endIds ?? [])]);
  }

  get constraints(): ConstraintMaker {
    if (this.#constraints !== undefined) return this.#constraints;
    throw new HearthError("usage", "An answer of a given structure needs a grammar engine.", {
      hint: 'Install @mlc-ai/web-xgrammar and open the model with { grammars: () => import("@mlc-ai/web-xgrammar") }.',
    });
  }

  /** Ends all requests and gives the memory back. */
  async close(): Promise<void> {
    await this.engine.close();
    this.#close?.();
  }
}

async function textOf(files: BundleFiles, name: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of await files.open(name)) text += decoder.decode(part, { stream: true });
  return text + decoder.decode();
}
