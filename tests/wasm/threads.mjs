// The workers of threads in Node: node threads.mjs BUNDLE_DIR THREADS FAILING, where the first FAILING workers do not come up.
// Makes two sessions beside each other, closes one, makes a third. Answers {"device", "logits": of each session, "started":
// workers after each session was made, "ended": workers after the model was closed}.
import { once } from "node:events";
import { loadBundle } from "../../web/runtime/dist/index.js";
import { filesIn } from "../../web/runtime/dist/node.js";

const [folder, threads, failing] = process.argv.slice(2);
const workers = process.getBuiltinModule("node:worker_threads");
const ends = [];
workers.Worker = class extends workers.Worker {
  constructor(url) {
    super(ends.length < Number(failing) ? new URL("nowhere.js", url) : url);
    ends.push(once(this, "exit").catch(() => undefined));
  }
};

async function logitsOf(session) {
  const tokenIds = Int32Array.of(1, 20, 33, 9, 77, 5);
  const positions = tokenIds.map((_, i) => i);
  const tokenSeq = tokenIds.map(() => 0);
  const batch = { tokenIds, positions, tokenSeq, blockTable: Int32Array.of(1), blockTableStride: 1, logitRows: positions };
  const { logits } = await session.forward(batch);
  return Buffer.from(logits.buffer).toString("base64");
}

const model = await loadBundle(filesIn(folder), { threads: Number(threads) });
const started = [ends.length];
const sessions = [];
const logits = [];
for (let i = 0; i < 3; i++) {
  if (i === 2) sessions[0].close();
  sessions.push(await model.session({ pages: 4 }));
  started.push(ends.length);
  logits.push(await logitsOf(sessions[i]));
}
if (sessions.length > 2) logits.push(await logitsOf(sessions[1]));
const { device } = model;
model.close();
process.stdout.write(JSON.stringify({ device, logits, started, ended: (await Promise.all(ends)).length }));
