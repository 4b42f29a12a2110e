import { A as e, C as t, D as n, M as r, O as i, S as a, T as o, a as s, b as c, c as l, d as u, f as d, g as f, h as p, i as m, k as h, l as g, m as _, n as v, o as y, p as b, r as x, s as S, t as C, v as w, w as T, y as E } from "./worker.js";
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
async function N(e) {
	let r = await o();
	if (typeof r == "string") return {
		models: [],
		totalBytes: 0,
		oldBytes: 0
	};
	let a = await r.sizes(), s = await t(r), c = (e) => [...new Set(e)].reduce((e, t) => e + (a.get(t) ?? 0), 0), l = s.find((t) => t.url === n(e)), u = s.filter((t) => t.url !== n(e) || t === l), d = (e) => T(a, e).reduce((e, [, t]) => e + t, 0);
	return {
		models: s.map(({ url: e, version: t, isComplete: n, facts: r }) => ({
			url: e,
			name: r.name,
			version: t,
			isComplete: n,
			keptBytes: c(i(r))
		})),
		totalBytes: d([]),
		oldBytes: d(u)
	};
}
async function P(e) {
	let r = await o();
	if (typeof r == "string") return 0;
	let i = (await t(r)).find((t) => t.url === n(e));
	return a(r, (t) => t.url !== n(e) || t.version === i?.version);
}
async function F(e) {
	let t = await o();
	return typeof t == "string" ? 0 : a(t, (t) => t.url !== n(e));
}
export { f as ChatTemplate, w as Engine, D as HearthError, s as LanguageModel, b as META_FILE, h as Model, c as Package, e as Session, d as StopStrings, _ as TOKENIZER_FILE, u as TextStream, S as Tokenizer, k as fetchedFiles, O as filesOf, y as grammarConstraints, r as hasFeature, l as literalPrompt, E as loadBundle, x as localBackend, m as openAi, M as openAiError, C as openInWorker, P as removeOldVersions, F as removeStored, v as serveModel, N as stored, p as tokenizerSpec, g as trustedPrompt };
