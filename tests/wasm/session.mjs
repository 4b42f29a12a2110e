// A session of a bundle in Node, by the built package: node session.mjs BUNDLE_DIR SIZES OPTIONS. Takes a batch a line from
// standard input, as JSON with arrays of numbers under the package's names, and answers a line: the outputs asked for as
// base64, or an error. Of a model of another kind: {"function", "inputs"}, its outputs.
import { createInterface } from "node:readline";
import { loadBundle } from "../../web/runtime/dist/index.js";
import { filesIn } from "../../web/runtime/dist/node.js";

const [folder, sizes, options] = process.argv.slice(2);
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const told = (error) => ({ error: { kind: error.kind ?? "bug", message: String(error.message), stack: String(error.stack) } });
const base64 = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
const ARRAYS = { f32: Float32Array, i32: Int32Array, u8: Uint8Array, i8: Int8Array };

async function answer(session, { function: name, inputs, outputs, ...batch }) {
  if (name !== undefined) {
    const tensors = Object.entries(inputs).map(([input, { dtype, shape, data }]) => {
      const bytes = new Uint8Array(Buffer.from(data, "base64"));
      return [input, { data: new ARRAYS[dtype](bytes.buffer), shape }];
    });
    const results = Object.entries(await session.run(name, Object.fromEntries(tensors)));
    return Object.fromEntries(results.map(([output, { data, shape }]) => [output, { data: base64(data), shape }]));
  }
  const arrays = ["tokenIds", "positions", "tokenSeq", "blockTable", "logitRows", "stateFrom", "stateTo"];
  for (const key of arrays) if (key in batch) batch[key] = Int32Array.from(batch[key]);
  const result = await session.forward(batch);
  return Object.fromEntries(outputs.map((output) => [output, base64(result[output])]));
}

let model;
try {
  model = await loadBundle(filesIn(folder), JSON.parse(options));
  const session = await model.session(JSON.parse(sizes));
  say({ info: model.info, device: model.device, text: model.text ?? null });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say(await answer(session, JSON.parse(line)));
    } catch (error) {
      say(told(error));
    }
  }
  model.close();
} catch (error) {
  say(told(error));
}
