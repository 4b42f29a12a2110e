// What the worker of a thread runs: an instance of its own over the memory of a module, which from then on waits inside it for
// work. This file is loaded by its own address and imports nothing.

import type { ThreadStart } from "./threads.ts";

interface Port {
  postMessage(message: unknown): void;
}

const nodePort = globalThis.process?.getBuiltinModule?.("node:worker_threads")?.parentPort ?? undefined;
const port: Port = nodePort ?? (globalThis as unknown as Port);

if (nodePort !== undefined) nodePort.once("message", enter);
else globalThis.addEventListener("message", ({ data }) => enter(data as ThreadStart), { once: true });

function enter({ module, memory, timeOrigin, thread, stack, locals }: ThreadStart): void {
  const refused = (): never => {
    throw new Error("Threads ask nothing of the world outside.");
  };
  const hearth: Record<string, () => number> = { now: () => performance.timeOrigin + performance.now() - timeOrigin };
  for (const { module: from, name } of WebAssembly.Module.imports(module)) if (from === "hearth") hearth[name] ??= refused;
  const { exports } = new WebAssembly.Instance(module, { env: { memory }, hearth });
  (exports["__stack_pointer"] as WebAssembly.Global).value = stack;
  (exports["__wasm_init_tls"] as (at: number) => void)(locals);
  port.postMessage("up");
  try {
    (exports["hth_thread_serve"] as (thread: number) => void)(thread);
  } catch (error) {
    (exports["hth_thread_broke"] as () => void)();
    throw error;
  }
}
