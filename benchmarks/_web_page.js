// The page of web.py: one side of the comparison in a tab of its own. `open` loads the model, `run` decodes greedily behind a
// prompt and tells how long its first token took and those after it, `memory` how much memory that has taken.

const seconds = (begin) => (performance.now() - begin) / 1000;

/** Seconds to the first of `tokens`, an async iterable, and for all after it; how many came, and the last of them. */
async function timed(tokens) {
  const begin = performance.now();
  let first;
  let last;
  let count = 0;
  for await (const token of tokens) {
    first ??= seconds(begin);
    last = token;
    count++;
  }
  return { prompt_s: first, generate_s: seconds(begin) - first, count, last };
}

const SIDES = {
  async hearth({ isa, context, threads }) {
    const { Engine, loadBundle } = await import("/hearth/index.js");
    const options = { device: "wasm", threads, ...(isa === null ? {} : { isa }) };
    const model = await loadBundle(new URL("/bundle", location.origin), options);
    if (model.device.threads !== threads) throw new Error(model.device.why);
    const engine = await Engine.create(model, { cacheTokens: context });
    return {
      description: `Hearth (${model.info.isa})`,
      isa: model.info.isa,
      async run(prompt, generate) {
        const took = await timed(engine.generate(prompt, { temperature: 0, maxTokens: generate + 1 }));
        return { ...took, prompt_tokens: prompt.length };
      },
    };
  },
  async wllama({ context, threads }) {
    const { LoggerWithoutDebug, Wllama } = await import("/wllama/esm/index.js");
    const paths = { default: "/wllama/esm/wasm/wllama.wasm" };
    const wllama = new Wllama(paths, { logger: LoggerWithoutDebug, suppressNativeLog: true });
    const file = await (await fetch("/model.gguf")).blob();
    await wllama.loadModel([file], { n_threads: threads, n_gpu_layers: 0, n_ctx: context });
    return {
      description: `wllama (llama.cpp ${Wllama.getLibllamaVersion()})`,
      async run(prompt, generate) {
        const options = { prompt, max_tokens: generate + 1, temperature: 0, ignore_eos: true, cache_prompt: false };
        const took = await timed(await wllama.createCompletion({ ...options, stream: true }));
        return { ...took, prompt_tokens: took.last.timings.prompt_n };
      },
    };
  },
};

let side;

export async function open(name, options) {
  const begin = performance.now();
  side = await SIDES[name](options);
  const { description, isa } = side;
  return { description, isa, open_s: seconds(begin) };
}

export const run = (prompt, generate) => side.run(prompt, generate);

/** Bytes of this tab and its workers. The browser counts them when it next collects garbage. */
export const memory = async () => (await performance.measureUserAgentSpecificMemory()).bytes;
