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

export function computeInWorker(request) {
  return new Promise((resolve, reject) => {
    const worker = new Worker("/compute.js", { type: "module" });
    worker.onmessage = ({ data }) => (typeof data === "string" ? reject(new Error(data)) : resolve(data));
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(request);
  });
}

if (self.constructor.name === "DedicatedWorkerGlobalScope") {
  self.onmessage = async ({ data }) => self.postMessage(await compute(data).catch((error) => String(error.stack)));
}
