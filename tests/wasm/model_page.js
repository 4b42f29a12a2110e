// What a page asks of a model that lies elsewhere.
import { openInWorker } from "/dist/index.js";
import { CreateWebWorkerMLCEngine } from "/dist/webllm.js";

const newWorker = (script) => new Worker(script, { type: "module" });

async function streamed(api, request) {
  let text = "";
  for await (const { choices } of await api.completions.create({ ...request, stream: true })) text += choices[0]?.text ?? "";
  return text;
}

async function controller() {
  await navigator.serviceWorker.register("/model_worker.js", { type: "module" });
  if (navigator.serviceWorker.controller === null) {
    await new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
  }
  return navigator.serviceWorker.controller;
}

let model;

export async function open(where, folder) {
  model = await openInWorker(where === "worker" ? newWorker("/model_worker.js") : await controller(), folder);
  return model.name;
}

export async function ask(request) {
  const [whole, text] = await Promise.all([model.completions.create(request), streamed(model, request)]);
  return { text: whole.choices[0].text, streamed: text, usage: whole.usage };
}

export const close = () => model.close();

export async function byWebLlm(folder, request) {
  const reports = [];
  const initProgressCallback = ({ progress }) => reports.push(progress);
  const engine = await CreateWebWorkerMLCEngine(newWorker("/webllm_worker.js"), folder, { initProgressCallback });
  const text = await streamed(engine, request);
  const answer = { text, message: await engine.getMessage(), stats: await engine.runtimeStatsText(), reports };
  await engine.unload();
  return answer;
}
