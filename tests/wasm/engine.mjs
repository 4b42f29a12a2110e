// The package's engine over a bundle in Node: node engine.mjs BUNDLE_DIR. Takes one JSON object from standard input,
// {"load": options of the bundle, "engine": those of the engine, "rounds": [[{"prompt", "params", "leaveAfter"}]]}: the requests of
// a round run at the same time. Answers for each round, for each request: {"tokens", "finish", "cached"}, or {"error"}.
import { readFileSync } from "node:fs";
import { Engine, loadBundle } from "../../web/runtime/dist/index.js";
import { filesIn } from "../../web/runtime/dist/node.js";

const { load, engine: options, rounds } = JSON.parse(readFileSync(0, "utf8"));
const model = await loadBundle(filesIn(process.argv[2]), load);
const engine = await Engine.create(model, options);

async function answer({ prompt, params, leaveAfter }) {
  const tokens = [];
  try {
    for await (const { token, finish, usage } of engine.generate(prompt, params)) {
      tokens.push(token);
      if (finish !== undefined) return { tokens, finish, cached: usage.cachedTokens };
      if (tokens.length === leaveAfter) break;
    }
    return { tokens, finish: null };
  } catch (error) {
    return { error: String(error.message) };
  }
}

const answers = [];
for (const round of rounds) answers.push(await Promise.all(round.map(answer)));
engine.close();
model.close();
process.stdout.write(JSON.stringify(answers));
