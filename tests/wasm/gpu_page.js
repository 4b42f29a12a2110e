// The package in a page, for tests: what a test asks is a call of `ask`, what it answers is JSON, arrays of numbers as base64.
import { Engine, loadBundle } from "/runtime/index.js";

const models = [];
const sessions = [];
const devices = []; // that the package opened
const ARRAYS = { f32: Float32Array, i32: Int32Array, u8: Uint8Array, i8: Int8Array };

const request = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...args) {
  const device = await request.apply(this, args);
  devices.push(device);
  return device;
};

// No browser says how much memory there is: a buffer of more than any limit stands for what there is not.
let without = null;
const taken = { bytes: 0, outsideOfScopes: 0 };
const create = GPUDevice.prototype.createBuffer;
GPUDevice.prototype.createBuffer = function (about) {
  taken.bytes += about.size;
  if (!this.scopes) taken.outsideOfScopes++;
  return create.call(this, about.label === without ? { ...about, size: 2 ** 40 } : about);
};
const destroy = GPUBuffer.prototype.destroy;
GPUBuffer.prototype.destroy = function () {
  taken.bytes -= this.size;
  destroy.call(this);
};
const push = GPUDevice.prototype.pushErrorScope;
GPUDevice.prototype.pushErrorScope = function (filter) {
  this.scopes = (this.scopes ?? 0) + 1;
  push.call(this, filter);
};
const pop = GPUDevice.prototype.popErrorScope;
GPUDevice.prototype.popErrorScope = function () {
  this.scopes--;
  return pop.call(this);
};

// What drivers do to shaders: how many pipelines they make of them, and one that takes the GPU with it.
let pipelines = 0;
let deadly = null;
const compile = GPUDevice.prototype.createComputePipelineAsync;
GPUDevice.prototype.createComputePipelineAsync = function (about) {
  pipelines++;
  return compile.call(this, about);
};
const read = GPUDevice.prototype.createShaderModule;
GPUDevice.prototype.createShaderModule = function (about) {
  if (deadly !== null && about.code.includes(deadly)) this.destroy();
  return read.call(this, about);
};

// How often the GPU is given something to do, and how often and how much of what it did is read; nudges are submits of nothing.
const done = { submits: 0, readBacks: 0, readBytes: 0, nudges: 0 };
const submit = GPUQueue.prototype.submit;
GPUQueue.prototype.submit = function (commands) {
  done[commands.length > 0 ? "submits" : "nudges"]++;
  return submit.call(this, commands);
};
const map = GPUBuffer.prototype.mapAsync;
GPUBuffer.prototype.mapAsync = function (mode, offset, size) {
  done.readBacks++;
  done.readBytes += size ?? 0;
  return map.call(this, mode, offset, size);
};

function base64(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return btoa(Array.from({ length: bytes.length }, (_, i) => String.fromCharCode(bytes[i])).join(""));
}
const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

const ARRAYS_OF_BATCH = ["tokenIds", "positions", "tokenSeq", "blockTable", "logitRows", "stateFrom", "stateTo"];

function batchOf(given) {
  const arrays = ARRAYS_OF_BATCH.filter((key) => key in given).map((key) => [key, Int32Array.from(given[key])]);
  return { ...given, ...Object.fromEntries(arrays) };
}

const ASKED = {
  async open({ url, options }) {
    const progress = [];
    const model = await loadBundle(url, { onProgress: (done, total) => progress.push([done, total]), ...options });
    models.push(model);
    return { model: models.length - 1, info: model.info, device: model.device, progress, memoryBytes: model.memoryBytes };
  },
  async session({ model, sizes }) {
    sessions.push(await models[model].session(sizes));
    return { session: sessions.length - 1 };
  },
  async forward({ session, outputs, ...given }) {
    const batch = batchOf(given);
    const result = await sessions[session].forward(outputs === null ? batch : { ...batch, outputs });
    const { logits, tokens } = result.likeliest;
    const likeliest = { likeliestLogits: base64(logits), likeliestTokens: base64(tokens) };
    return { ...Object.fromEntries(["logits", "argmax", "hidden"].map((name) => [name, base64(result[name])])), ...likeliest };
  },
  async decode({ session, steps, submitMs, outputs: _, ...given }) {
    const tokens = await sessions[session].decode(batchOf(given), steps, { submitMs: submitMs ?? Infinity });
    return { tokens: tokens.map((each) => [...each]) };
  },
  async run({ session, name, inputs }) {
    const tensors = Object.entries(inputs).map(([input, { dtype, shape, data }]) => {
      return [input, { data: new ARRAYS[dtype](fromBase64(data).buffer), shape }];
    });
    const outputs = Object.entries(await sessions[session].run(name, Object.fromEntries(tensors)));
    return Object.fromEntries(outputs.map(([output, { data, shape }]) => [output, { data: base64(data), shape }]));
  },
  /** What one engine writes after prompts, those of a round at the same time, and how much of each was not computed again. */
  async generate({ model, rounds, params, engine: options }) {
    const engine = await Engine.create(models[model], { cacheTokens: 1024, ...options });
    const before = { ...done };
    const answer = async (prompt) => {
      const tokens = [];
      let cached;
      for await (const { token, usage } of engine.generate(prompt, params)) {
        tokens.push(token);
        cached = usage?.cachedTokens;
      }
      return { tokens, cached };
    };
    const answers = [];
    for (const prompts of rounds) answers.push(await Promise.all(prompts.map(answer)));
    engine.close();
    return { answers, ...Object.fromEntries(Object.keys(done).map((what) => [what, done[what] - before[what]])) };
  },
  limitBuffers: ({ label }) => {
    without = label;
  },
  killBy: ({ text }) => {
    deadly = text;
  },
  /** Pipelines that were made since it was last asked. */
  pipelines: () => {
    const made = pipelines;
    pipelines = 0;
    return made;
  },
  /** Buffers of the GPU that are there, and how many were ever made where nobody would learn of an error. */
  taken: () => taken,
  /** What races have found so far. */
  async records() {
    const cache = await caches.open("hearth-memos");
    const kept = await cache.keys();
    return await Promise.all(kept.map(async ({ url }) => ({ url, ...(await (await cache.match(url)).json()) })));
  },
  async writeRecord({ record: { url, ...content } }) {
    await (await caches.open("hearth-memos")).put(url, new Response(JSON.stringify(content)));
  },
  counters: ({ session }) => sessions[session].counters,
  closeSession: ({ session }) => sessions[session].close(),
  closeModel: ({ model }) => models[model].close(),
  /** The GPU is taken away while a forward is under way. */
  async loseDuring(forward) {
    const running = ASKED.forward(forward);
    devices.at(-1).destroy();
    return await running;
  },
  /** Two forwards at once. */
  async both(forward) {
    const first = ASKED.forward({ ...forward });
    const { error } = await answer("forward", { ...forward });
    await first;
    return error;
  },
};

async function answer(what, asked) {
  try {
    return (await ASKED[what](asked)) ?? {};
  } catch (error) {
    return { error: { kind: error.kind ?? "bug", message: error.message, stack: error.stack } };
  }
}

globalThis.ask = answer;
