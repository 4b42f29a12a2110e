// What a page does with a bundle, or a worker that is this file. Answers the prompt's logits as base64, 64 greedy tokens that
// follow, and what was told while the bundle was loaded.
import { Engine, loadBundle } from "/dist/index.js";

const numbers = (length, value) => Int32Array.from({ length }, (_, i) => value(i));

export async function compute({ folder, isa, prompt, threads = 1 }) {
  const told = [];
  const onProgress = (done, total) => told.push([done, total]);
  const model = await loadBundle(new URL(folder, self.location.origin), { onProgress, threads, ...(isa === null ? {} : { isa }) });
  const session = await model.session({ pages: 4 });
  const { logits } = await session.forward({
    tokenIds: Int32Array.from(prompt),
    positions: numbers(prompt.length, (i) => i),
    tokenSeq: numbers(prompt.length, () => 0),
    blockTable: Int32Array.of(2),
    blockTableStride: 1,
    logitRows: numbers(prompt.length, (i) => i),
  });
  session.close();
  const engine = await Engine.create(model);
  const tokens = [];
  for await (const { token } of engine.generate(prompt, { temperature: 0, maxTokens: 64 })) tokens.push(token);
  engine.close();
  const { info, device } = model;
  const answer = { isa: info.isa, device, logits: btoa(String.fromCharCode(...new Uint8Array(logits.buffer))), tokens, told };
  model.close();
  return answer;
}

const PATIENCE_MS = 40_000;

// While WebDriver BiDi drives it, Firefox 153 now and then (15 of 530 times) never comes back from `new Worker` in a worker,
// whatever script that would run; left to itself it did each of 480 times. So what has not answered is asked of another worker.
export async function computeInWorker(request) {
  for (let tries = 3; ; --tries) {
    const worker = new Worker("/compute.js", { type: "module" });
    let timer;
    const answer = new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (typeof data === "string" ? reject(new Error(data)) : resolve(data));
      worker.onerror = ({ message }) => reject(new Error(message));
      timer = setTimeout(() => resolve(null), PATIENCE_MS);
      worker.postMessage(request);
    });
    const given = await answer.finally(() => clearTimeout(timer));
    if (given !== null) return given;
    worker.terminate();
    if (tries === 1) throw new Error("No worker answered.");
  }
}

if (self.constructor.name === "DedicatedWorkerGlobalScope") {
  self.onmessage = async ({ data }) => self.postMessage(await compute(data).catch((error) => String(error.stack)));
}
