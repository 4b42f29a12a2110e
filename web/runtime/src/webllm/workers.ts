// web-llm's engine in a worker: the page's engine, whose models are open in a worker that runs a handler.

import { openInWorker, type OwnOptions, serveModel } from "../api/worker.ts";
import type { CallScope, CallTarget } from "../api/remote_calls.ts";
import { type ChatOptions, engineProcessor, type LogitProcessor, type MLCEngineConfig } from "./config.ts";
import { type Opening, MLCEngine, type OpenModel } from "./engine.ts";
import { loadGrammars } from "./grammars.ts";

/** What a worker's engine needs of a worker. */
export interface ChatWorker {
  onmessage: unknown;
  postMessage: (message: unknown, transfer: Transferable[]) => void;
}

export class WebWorkerMLCEngine extends MLCEngine {
  readonly worker: ChatWorker;

  constructor(worker: ChatWorker, engineConfig?: MLCEngineConfig) {
    super(engineConfig);
    this.worker = worker;
  }

  protected override async open(url: string, id: string, options: Opening): Promise<OpenModel> {
    const target: CallTarget = { postMessage: (message, transfer) => this.worker.postMessage(message, transfer) };
    const { contextAtMost, onProgress, signal, beside } = options;
    return openInWorker(target, url, { id, beside, ...(contextAtMost !== undefined && { contextAtMost }), ...(onProgress && { onProgress }), ...(signal && { signal }) });
  }
}

/** In a worker: `const handler = new WebWorkerMLCEngineHandler(); self.onmessage = (event) => handler.onmessage(event);` */
export class WebWorkerMLCEngineHandler {
  #processors: Map<string, LogitProcessor> | undefined;
  #listener: (event: MessageEvent) => void = () => undefined;

  constructor() {
    const scope: CallScope = {
      addEventListener: (_, listener) => (this.#listener = listener),
      removeEventListener: () => (this.#listener = () => undefined),
    };
    const own = (id?: string): OwnOptions => ({ grammars: loadGrammars, logitProcessor: engineProcessor(this.#processors?.get(id ?? "")) });
    serveModel(scope, own);
  }

  onmessage(event: unknown): void {
    this.#listener(event as MessageEvent);
  }

  setLogitProcessorRegistry(registry?: Map<string, LogitProcessor>): void {
    this.#processors = registry;
  }
}

export async function CreateWebWorkerMLCEngine(
  worker: ChatWorker,
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
): Promise<WebWorkerMLCEngine> {
  const engine = new WebWorkerMLCEngine(worker, engineConfig);
  await engine.reload(modelId, chatOpts);
  return engine;
}
