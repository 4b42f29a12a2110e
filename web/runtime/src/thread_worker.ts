// A worker that becomes a thread (thread.ts): a page's or Node's.

import { nodeModule } from "./node_module.ts";
import type { ThreadStart } from "./threads.ts";

/** Where the script lies: the build writes it. */
declare const __THREAD__: URL;

/** One that has not come up by then is done without. */
const PATIENCE_MS = 10_000;

export interface ThreadWorker {
  /** Sends it what it is to run; resolves once it runs, and rejects where it cannot. */
  up(start: ThreadStart): Promise<void>;
  terminate(): void;
}

/** Whether any can be had. */
export const hasWorkers = (): boolean => typeof Worker !== "undefined" || nodeModule("node:worker_threads") !== undefined;

/** @throws where the worker may not be started. */
export function startWorker(): ThreadWorker {
  if (typeof Worker === "undefined") return inNode();
  const worker = new Worker(__THREAD__, { type: "module", name: "hearth thread" });
  return {
    up: (start) =>
      answered((resolve, reject) => {
        worker.onmessage = () => resolve();
        worker.onerror = ({ message }) => reject(new Error(message || "The script thread.js cannot be loaded."));
        worker.postMessage(start);
      }),
    terminate: () => worker.terminate(),
  };
}

function inNode(): ThreadWorker {
  const worker = new (nodeModule("node:worker_threads")!.Worker)(__THREAD__);
  return {
    async up(start) {
      await answered((resolve, reject) => {
        worker.once("message", () => resolve()).on("error", reject);
        worker.postMessage(start);
      });
      // A program that has done its work ends, also with a model open.
      worker.unref();
    },
    terminate: () => void worker.terminate(),
  };
}

async function answered(run: (resolve: () => void, reject: (error: Error) => void) => void): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`It has not come up in ${PATIENCE_MS / 1000} s.`)), PATIENCE_MS);
      run(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
  }
}
