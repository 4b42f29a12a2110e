import { _ as e, a as t, b as n, c as r, d as i, f as a, g as o, h as s, i as c, l, m as u, n as d, o as f, p, r as m, s as h, t as g, u as _, v, y } from "./worker.js";
import { i as b, n as x, t as S } from "./files.js";
// src/api/errors.ts
var C = {
	context: "context_length_exceeded",
	template: "template_refused"
}, w = [
	"usage",
	"context",
	"template"
];
function T(e) {
	let t = e instanceof b ? e.kind : "internal", n = w.includes(t);
	return {
		status: n ? 400 : 500,
		error: {
			message: e instanceof Error ? e.message : String(e),
			type: n ? "invalid_request_error" : "server_error",
			param: null,
			code: C[t] ?? null
		}
	};
}
export { s as ChatTemplate, o as Engine, b as HearthError, t as LanguageModel, a as META_FILE, v as Model, y as Session, i as StopStrings, p as TOKENIZER_FILE, _ as TextStream, h as Tokenizer, S as fetchedFiles, x as filesOf, f as grammarConstraints, n as hasFeature, r as literalPrompt, e as loadBundle, m as localBackend, c as openAi, T as openAiError, g as openInWorker, d as serveModel, u as tokenizerSpec, l as trustedPrompt };
