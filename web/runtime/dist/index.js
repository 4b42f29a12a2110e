import { _ as e, a as t, b as n, c as r, d as i, f as a, g as o, h as s, i as c, l, m as u, n as d, o as f, p, r as m, s as h, t as g, u as _, v, x as y, y as b } from "./worker.js";
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
export { s as ChatTemplate, o as Engine, x as HearthError, t as LanguageModel, a as META_FILE, b as Model, v as Package, n as Session, i as StopStrings, p as TOKENIZER_FILE, _ as TextStream, h as Tokenizer, C as fetchedFiles, S as filesOf, f as grammarConstraints, y as hasFeature, r as literalPrompt, e as loadBundle, m as localBackend, c as openAi, E as openAiError, g as openInWorker, d as serveModel, u as tokenizerSpec, l as trustedPrompt };
