// web-llm's engines in workers: the page's engine, whose models are open in a worker or a service worker that runs a handler.

import { openInWorker, type OwnOptions, serveModel } from "../api/worker.ts";
import type { CallScope, CallTarget } from "../api/remote_calls.ts";
import { type ChatOptions, engineProcessor, type LogitProcessor, type MLCEngineConfig } from "./config.ts";
import { type Opening, MLCEngine, type OpenModel } from "./engine.ts";
import { namedError } from "./errors.ts";
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
    const { context, onProgress, signal, beside } = options;
    return openInWorker(target, url, { id, beside, ...(context !== undefined && { context }), ...(onProgress && { onProgress }), ...(signal && { signal }) });
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

  onmessage(event: MessageEvent): void {
    this.#listener(event);
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

/** In a service worker; it listens by itself. */
export class ServiceWorkerMLCEngineHandler extends WebWorkerMLCEngineHandler {
  constructor() {
    super();
    globalThis.addEventListener("message", (event) => this.onmessage(event as MessageEvent));
  }
}

const noServiceWorkers = (): Error => namedError("NoServiceWorkerAPIError", "This browser has no service workers, or not for this page.");

/** Over the service worker that controls the page. */
export class ServiceWorkerMLCEngine extends WebWorkerMLCEngine {
  /**
   * @param _keepAliveMs not needed: a service worker that was stopped starts again, with its model, when it is called.
   * @param active the one to call as long as none controls the page: before it was loaded a second time.
   */
  constructor(engineConfig?: MLCEngineConfig, _keepAliveMs?: number, active: ServiceWorker | null = null) {
    if (!("serviceWorker" in navigator)) throw noServiceWorkers();
    super(
      {
        onmessage: null,
        postMessage(message, transfer) {
          const controller = navigator.serviceWorker.controller ?? active;
          if (controller === null) throw namedError("ServiceWorkerInitializationError", "No service worker controls this page yet: load it again.");
          controller.postMessage(message, transfer);
        },
      },
      engineConfig,
    );
  }
}

export async function CreateServiceWorkerMLCEngine(
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
  keepAliveMs?: number,
): Promise<ServiceWorkerMLCEngine> {
  if (!("serviceWorker" in navigator)) throw noServiceWorkers();
  const { active } = await navigator.serviceWorker.ready;
  const engine = new ServiceWorkerMLCEngine(engineConfig, keepAliveMs, active);
  await engine.reload(modelId, chatOpts);
  return engine;
}
