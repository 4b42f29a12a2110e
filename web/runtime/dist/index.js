import { C as e, E as t, a as n, c as r, d as i, f as a, g as o, h as s, i as c, l, m as u, n as d, o as f, p, r as m, s as h, t as g, v as _, w as v, x as y, y as b } from "./worker.js";
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
export { o as ChatTemplate, _ as Engine, x as HearthError, n as LanguageModel, p as META_FILE, e as Model, y as Package, v as Session, a as StopStrings, u as TOKENIZER_FILE, i as TextStream, h as Tokenizer, C as fetchedFiles, S as filesOf, f as grammarConstraints, t as hasFeature, r as literalPrompt, b as loadBundle, m as localBackend, c as openAi, E as openAiError, g as openInWorker, d as serveModel, s as tokenizerSpec, l as trustedPrompt };
