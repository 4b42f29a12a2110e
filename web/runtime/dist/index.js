import { A as e, C as t, D as n, N as r, O as i, S as a, T as o, a as s, b as c, c as l, d as u, f as d, g as f, h as p, i as m, j as h, k as g, l as _, m as v, n as y, o as b, p as x, r as S, s as C, t as w, v as T, w as E, y as D } from "./worker.js";
import { i as O, n as k, t as A } from "./files.js";
// src/api/errors.ts
var j = {
	context: "context_length_exceeded",
	template: "template_refused"
}, M = [
	"usage",
	"context",
	"template"
];
function N(e) {
	let t = e instanceof O ? e.kind : "internal", n = M.includes(t);
	return {
		status: n ? 400 : 500,
		error: {
			message: e instanceof Error ? e.message : String(e),
			type: n ? "invalid_request_error" : "server_error",
			param: null,
			code: j[t] ?? null
		}
	};
}
// src/store/stored.ts
async function P(e) {
	let r = await o();
	if (typeof r == "string") return {
		models: [],
		totalBytes: 0,
		oldBytes: 0
	};
	let a = await r.sizes(), s = await t(r), c = (e) => [...new Set(e)].reduce((e, t) => e + (a.get(t) ?? 0), 0), l = s.find((t) => t.url === n(e)), u = s.filter((t) => t.url !== n(e) || t === l), d = (e) => E(a, e).reduce((e, [, t]) => e + t, 0);
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
async function F(e) {
	let r = await o();
	if (typeof r == "string") return 0;
	let i = (await t(r)).find((t) => t.url === n(e));
	return a(r, (t) => t.url !== n(e) || t.version === i?.version);
}
async function I(e) {
	let t = await o();
	return typeof t == "string" ? 0 : a(t, (t) => t.url !== n(e));
}
export { f as ChatTemplate, T as Engine, O as HearthError, s as LanguageModel, x as META_FILE, e as Model, c as Package, h as Session, d as StopStrings, v as TOKENIZER_FILE, u as TextStream, C as Tokenizer, A as fetchedFiles, k as filesOf, b as grammarConstraints, r as hasFeature, l as literalPrompt, D as loadBundle, S as localBackend, m as openAi, N as openAiError, w as openInWorker, g as packageBytes, F as removeOldVersions, I as removeStored, y as serveModel, P as stored, p as tokenizerSpec, _ as trustedPrompt };
