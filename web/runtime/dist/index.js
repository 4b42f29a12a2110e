import { C as e, S as t, T as n, _ as r, a as i, b as a, c as o, d as s, f as c, h as l, i as u, l as d, m as f, n as p, o as m, p as h, r as g, s as _, t as v, u as y, v as b } from "./worker.js";
import { i as x, n as S, t as C } from "./files.js";
// src/api/errors.ts
var w = {
	context: "context_length_exceeded",
	template: "template_refused"
}, T = [
	"usage",
	"context",
	"template"
];
function E(e) {
	let t = e instanceof x ? e.kind : "internal", n = T.includes(t);
	return {
		status: n ? 400 : 500,
		error: {
			message: e instanceof Error ? e.message : String(e),
			type: n ? "invalid_request_error" : "server_error",
			param: null,
			code: w[t] ?? null
		}
	};
}
export { l as ChatTemplate, r as Engine, x as HearthError, i as LanguageModel, c as META_FILE, t as Model, a as Package, e as Session, s as StopStrings, h as TOKENIZER_FILE, y as TextStream, _ as Tokenizer, C as fetchedFiles, S as filesOf, m as grammarConstraints, n as hasFeature, o as literalPrompt, b as loadBundle, g as localBackend, u as openAi, E as openAiError, v as openInWorker, p as serveModel, f as tokenizerSpec, d as trustedPrompt };
