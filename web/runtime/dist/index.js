import { C as e, D as t, E as n, S as r, T as i, _ as a, a as o, b as s, c, d as l, f as u, g as d, h as f, i as p, l as m, m as h, n as g, o as _, p as v, r as y, s as b, t as x, u as S, v as C, w, x as T, y as E } from "./worker.js";
import { i as D, n as O, t as k } from "./files.js";
// src/api/errors.ts
var A = {
	context: "context_length_exceeded",
	template: "template_refused"
}, j = [
	"usage",
	"context",
	"template"
];
function M(e) {
	let t = e instanceof D ? e.kind : "internal", n = j.includes(t);
	return {
		status: n ? 400 : 500,
		error: {
			message: e instanceof Error ? e.message : String(e),
			type: n ? "invalid_request_error" : "server_error",
			param: null,
			code: A[t] ?? null
		}
	};
}
// src/store/stored.ts
async function N(t) {
	let n = await r();
	if (typeof n == "string") return {
		models: [],
		totalBytes: 0,
		oldBytes: 0
	};
	let i = await n.sizes(), a = await s(n), o = (e) => [...new Set(e)].reduce((e, t) => e + (i.get(t) ?? 0), 0), c = a.find((n) => n.url === e(t)), l = a.filter((n) => n.url !== e(t) || n === c), u = (e) => T(i, e).reduce((e, [, t]) => e + t, 0);
	return {
		models: a.map(({ url: e, version: t, isComplete: n, facts: r }) => ({
			url: e,
			name: r.name,
			version: t,
			isComplete: n,
			keptBytes: o(w(r))
		})),
		totalBytes: u([]),
		oldBytes: u(l)
	};
}
async function P(t) {
	let n = await r();
	if (typeof n == "string") return 0;
	let i = (await s(n)).find((n) => n.url === e(t));
	return E(n, (n) => n.url !== e(t) || n.version === i?.version);
}
async function F(t) {
	let n = await r();
	return typeof n == "string" ? 0 : E(n, (n) => n.url !== e(t));
}
export { f as ChatTemplate, d as Engine, D as HearthError, o as LanguageModel, u as META_FILE, i as Model, C as Package, n as Session, l as StopStrings, v as TOKENIZER_FILE, S as TextStream, b as Tokenizer, k as fetchedFiles, O as filesOf, _ as grammarConstraints, t as hasFeature, c as literalPrompt, a as loadBundle, y as localBackend, p as openAi, M as openAiError, x as openInWorker, P as removeOldVersions, F as removeStored, g as serveModel, N as stored, h as tokenizerSpec, m as trustedPrompt };
