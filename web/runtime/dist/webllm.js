import { i as e } from "./files.js";
import { a as t, b as n, g as r, i, n as a, r as o, t as s, w as c, x as l, y as u } from "./worker.js";
// src/webllm/errors.ts
function d(e, t, n) {
	let r = Error(t, n === void 0 ? void 0 : { cause: n });
	return r.name = e, r;
}
var f = class extends Error {
	url;
	expected;
	actual;
	constructor(e, t, n) {
		super(`${e} is not what it should be: its hash is ${n}, not ${t}.`), this.name = "IntegrityError", this.url = e, this.expected = t, this.actual = n;
	}
}, p = {
	context: "ContextWindowSizeExceededError",
	unloaded: "WorkerEngineModelNotLoadedError",
	device: "DeviceLostError",
	memory: "DeviceLostError"
};
function m(t) {
	let n = t instanceof e ? p[t.kind] : void 0;
	return n === void 0 ? t : d(n, t.message, t);
}
async function h(e) {
	try {
		return await e();
	} catch (e) {
		throw m(e);
	}
}
// src/webllm/config.ts
var g = /* @__PURE__ */ function(e) {
	return e[e.LLM = 0] = "LLM", e[e.embedding = 1] = "embedding", e[e.VLM = 2] = "VLM", e;
}({}), _ = (e) => e && {
	reset: () => e.resetState(),
	process: (t) => e.processLogits(t),
	sampled: (t) => e.processSampledToken(t)
}, ee = "hearth", te = "", ne = [], v = { model_list: [] };
function y(e, { model_list: t }) {
	let n = t.find(({ model_id: t }) => t === e);
	if (n !== void 0) return n;
	if (/^(?:https?:)?\.{0,2}\//.test(e)) return {
		model: e,
		model_id: e,
		model_lib: ""
	};
	throw d("ModelNotFoundError", `There is no model ${e} in appConfig.model_list. It has: ${t.map(({ model_id: e }) => e).join(", ") || "none"}.`);
}
// src/webllm/cache.ts
var b = (e, t) => new URL(y(e, t).model, globalThis.location?.href), x = (e) => e.pathname.endsWith(`/${u}`);
async function* S(e) {
	if (globalThis.caches === void 0) return;
	let t = `${e.href.replace(/\/*$/, "")}/`;
	for (let e of await caches.keys()) {
		let n = await caches.open(e);
		for (let e of await n.keys()) e.url.startsWith(t) && (yield [n, e]);
	}
}
async function C(t) {
	if (!x(t)) {
		for await (let [, e] of S(t)) if (e.url.endsWith("/weights.bin")) return !0;
		return !1;
	}
	try {
		let { keptBytes: e, totalBytes: r } = await (await n.open(t)).keeping([c]);
		return e === r;
	} catch (t) {
		if (t instanceof e && ["network", "corrupt"].includes(t.kind)) return !1;
		throw t;
	}
}
var re = async (e, t = v) => C(b(e, t)), w = (e) => async (t, r = v) => {
	let i = b(t, r);
	if (x(i)) {
		let t = await n.open(i);
		return t.forget(Object.keys(t.facts.files).filter(e));
	}
	for await (let [t, n] of S(i)) e(n.url) && await t.delete(n);
}, T = (e) => e.endsWith(".wasm"), E = (e) => e.endsWith(".json"), ie = w(() => !0), ae = w((e) => !T(e) && !E(e)), D = w(E), O = w(T);
// src/webllm/answers.ts
function oe(e) {
	let t = e.prompt_tokens - e.prompt_tokens_details.cached_tokens;
	return {
		...e,
		prompt_tokens: t,
		total_tokens: t + e.completion_tokens
	};
}
var k = (e, t) => ({
	...e,
	model: t,
	...e.usage && { usage: oe(e.usage) }
});
function se(e, t, n, r) {
	let i = k(e, t);
	return n.usage = i.usage, n.message = r(e.choices.at(-1)), i;
}
async function* ce(e, t, n, r, { tellsUsage: i, onEnd: a }) {
	try {
		for await (let a of e) {
			let e = k(a, t);
			e.usage && (n.usage = e.usage);
			for (let e of a.choices) n.message += r(e);
			(i || a.choices.length > 0) && (yield e);
		}
	} catch (e) {
		throw m(e);
	} finally {
		a();
	}
}
// src/webllm/checks.ts
var le = [
	[
		"schema",
		"json_object",
		!1,
		"InvalidResponseFormatError"
	],
	[
		"grammar",
		"grammar",
		!0,
		"InvalidResponseFormatGrammarError"
	],
	[
		"structural_tag",
		"structural_tag",
		!0,
		"InvalidResponseFormatStructuralTagError"
	]
];
function A({ stream: e, stream_options: t, n, seed: r, response_format: i, tools: a, tool_choice: o }) {
	if (e === !0 && (n ?? 1) > 1) throw d("StreamingCountError", "A stream has one choice: n must be 1.");
	if (e !== !0 && t != null) throw d("InvalidStreamOptionsError", "stream_options are for requests with stream: true.");
	if (r != null && !Number.isInteger(r)) throw d("SeedTypeError", `seed is ${r}, but must be a whole number.`);
	for (let [e, t, n, r] of le) {
		let a = i?.[e] != null;
		if (a && i?.type !== t) throw d(r, `response_format.${e} goes with the type ${t} alone.`);
		if (n && !a && i?.type === t) throw d(r, `response_format of the type ${t} must have ${e}.`);
	}
	let s = o?.function?.name;
	if (s !== void 0 && !(a ?? []).some((e) => e.function.name === s)) throw d("FunctionNotFoundError", `tool_choice names ${s}, which is not among the tools.`);
}
// src/webllm/grammars.ts
var j = () => import("@mlc-ai/web-xgrammar"), M = 1 << 20, N = 8 * M, P = [
	"temperature",
	"top_p",
	"repetition_penalty",
	"frequency_penalty",
	"presence_penalty"
], F = /* @__PURE__ */ new Set([...P, "context_window_size"]), I = {
	model_lib: "a bundle of Hearth holds its own program",
	required_features: "what the GPU lacks is done without",
	integrity: "it names files of MLC's; the chunks of a packaged model are checked by SHA-256 in any case"
};
function L(e, t) {
	let n = Object.entries(I).filter(([t]) => {
		let n = e[t];
		return Array.isArray(n) ? n.length > 0 : !!n;
	}), r = Object.keys({
		...e.overrides,
		...t
	}).filter((e) => !F.has(e));
	return [...n.map(([e, t]) => `${e} is not used: ${t}.`), ...r.length > 0 ? [`${r.join(", ")}: not used; a bundle of Hearth has what the model was published with.`] : []];
}
var R = class {
	#e;
	#t = performance.now();
	constructor(e) {
		this.#e = e, this.#r(0, "Start to fetch params");
	}
	loaded(e, t, n) {
		let r = t > 0 ? e / t : 0, [i, a] = n ? ["Loading model from cache", "loaded"] : ["Fetching param cache", "fetched"], o = `[${Math.ceil(e / N)}/${Math.ceil(t / N)}]`, s = Math.ceil(this.#n);
		this.#r(r, `${i}${o}: ${Math.ceil(e / M)}MB ${a}. ${Math.floor(100 * r)}% completed, ${s} secs elapsed.`);
	}
	finished({ kind: e, name: t }) {
		this.#r(1, `Finish loading on ${e === "webgpu" ? "WebGPU" : "WebAssembly"} - ${t}`);
	}
	get #n() {
		return (performance.now() - this.#t) / 1e3;
	}
	#r(e, t) {
		this.#e?.({
			progress: e,
			timeElapsed: this.#n,
			text: t
		});
	}
}, z = [
	"TRACE",
	"DEBUG",
	"INFO"
], B = class {
	chat = { completions: { create: this.chatCompletion.bind(this) } };
	completions = { create: this.completion.bind(this) };
	embeddings = { create: (e) => this.embedding(e) };
	#e;
	#t;
	#n;
	#r = [];
	#i;
	#a;
	constructor({ appConfig: e = v, initProgressCallback: t, logitProcessorRegistry: n, logLevel: r = "INFO" } = {}) {
		this.#e = e, this.#a = r, this.#t = t, this.#n = n;
	}
	setAppConfig(e) {
		this.#e = e;
	}
	setInitProgressCallback(e) {
		this.#t = e;
	}
	getInitProgressCallback() {
		return this.#t;
	}
	setLogitProcessorRegistry(e) {
		this.#n = e;
	}
	setLogLevel(e) {
		this.#a = e;
	}
	async reload(e, t) {
		let n = [e].flat(), r = t === void 0 ? [] : [t].flat();
		if (r.length > 0 && r.length !== n.length) throw d("ReloadArgumentSizeUnmatchedError", `${r.length} sets of options are given for ${n.length} models.`);
		if (new Set(n).size !== n.length) throw d("ReloadModelIdNotUniqueError", `A model stands twice in ${n.join(", ")}.`);
		let i = this.unload(), a = this.#i = new AbortController();
		await i;
		try {
			for (let [e, t] of n.entries()) {
				a.signal.throwIfAborted();
				let n = await this.#o(t, r[e] ?? {}, e > 0, a.signal);
				a.signal.aborted ? await n.close() : this.#r.push(n);
			}
		} catch (e) {
			if (!a.signal.aborted) throw e;
			console.warn(`Loading ${n.join(", ")} was ended by unload().`);
		}
	}
	async unload() {
		this.#i?.abort();
		let e = this.#r;
		this.#r = [], await Promise.all(e.map((e) => e.close()));
	}
	async chatCompletion(e) {
		A(e);
		let t = this.#s(e.model, "ChatCompletionRequest");
		return this.#c(t, e, t.api.chat.completions.create, (e) => ("message" in e ? e.message.content : e.delta.content) ?? "");
	}
	async completion(e) {
		A(e);
		let t = this.#s(e.model, "CompletionCreateParams");
		return this.#c(t, e, t.api.completions.create, ({ text: e }) => e);
	}
	embedding(e) {
		return h(async () => {
			let { id: t, api: n } = this.#s(e.model, "EmbeddingCreateParams");
			return {
				...await n.embeddings.create(e),
				model: t
			};
		});
	}
	async forwardTokensAndSample(e, t, n) {
		let r = this.#s(n, "forwardTokensAndSample"), i = [...r.forwarded, ...e], a = {
			prompt: i,
			max_tokens: 1,
			ignore_eos: !0,
			return_token_ids: !0,
			goes_on: r.forwarded.length > 0
		}, o = await this.#c(r, a, r.api.completions.create, ({ text: e }) => e);
		return r.forwarded = i, o.choices[0].token_ids[0];
	}
	interruptGenerate() {
		for (let { running: e } of this.#r) e.forEach((e) => e.abort());
	}
	async resetChat(e = !1, t) {
		let n = this.#s(t, "resetChat");
		n.running.forEach((e) => e.abort()), n.forwarded = [], n.last = {
			message: "",
			usage: e ? n.last.usage : void 0
		};
	}
	async getMessage(e) {
		return this.#s(e, "getMessage").last.message;
	}
	async runtimeStatsText(e) {
		let t = this.#s(e, "runtimeStatsText").last.usage?.extra;
		return t === void 0 ? "" : `prefill: ${t.prefill_tokens_per_s.toFixed(4)} tokens/sec, decoding: ${t.decode_tokens_per_s.toFixed(4)} tokens/sec`;
	}
	async getMaxStorageBufferBindingSize() {
		return (await V())?.limits.maxStorageBufferBindingSize ?? 0;
	}
	async getGPUVendor() {
		return (await V())?.info.vendor ?? "";
	}
	async open(e, n, { beside: r, ...i }) {
		let a = _(this.#n?.get(n)), s = await t.open(e, {
			...i,
			grammars: j,
			logitProcessor: a
		});
		return {
			backend: o(s),
			device: s.device,
			close: () => s.close()
		};
	}
	async #o(e, t, n, r) {
		let a = y(e, this.#e);
		z.includes(this.#a) && L(a, t).forEach((t) => console.info(`${e}: ${t}`));
		let o = {
			...a.overrides,
			...t
		}, s = new R(this.#t), c = new URL(a.model, globalThis.location?.href), l = await C(c), u = o.context_window_size, d = (e, t) => s.loaded(e, t, l), f = await h(() => this.open(c.href, e, {
			onProgress: d,
			signal: r,
			beside: n,
			...u !== void 0 && { contextAtMost: u }
		}));
		s.finished(f.device);
		let p = Object.fromEntries(P.flatMap((e) => o[e] === void 0 ? [] : [[e, o[e]]])), { backend: m, device: g } = f;
		return {
			id: e,
			backend: m,
			device: g,
			close: () => f.close(),
			api: i(m),
			defaults: p,
			running: /* @__PURE__ */ new Set(),
			last: {
				message: "",
				usage: void 0
			},
			forwarded: []
		};
	}
	#s(e, t) {
		let n = this.#r.map((e) => e.id);
		if (n.length === 0) throw d("ModelNotLoadedError", `${t}: no model is loaded. Call reload(modelId) first.`);
		if (e == null && n.length > 1) throw d("UnclearModelToUseError", `${t}: model must say which of ${n.join(", ")}.`);
		let r = this.#r.find((t) => t.id === e) ?? (e == null ? this.#r[0] : void 0);
		if (r !== void 0) return r;
		throw d("SpecifiedModelNotFoundError", `${t}: the model ${e} is not loaded. Loaded: ${n.join(", ")}.`);
	}
	#c(e, t, n, r) {
		let i = new AbortController();
		e.running.add(i);
		let a = () => void e.running.delete(i), o = t.stream_options?.include_usage === !0;
		return h(async () => {
			let s = !1;
			try {
				let c = {
					...e.defaults,
					...t,
					...t.stream === !0 && { stream_options: { include_usage: !0 } }
				}, l = e.last = {
					message: "",
					usage: e.last.usage
				}, u = await n(c, { signal: i.signal });
				return s = Symbol.asyncIterator in u, s ? ce(u, e.id, l, r, {
					tellsUsage: o,
					onEnd: a
				}) : se(u, e.id, l, r);
			} finally {
				s || a();
			}
		});
	}
};
async function V() {
	let { gpu: e } = globalThis.navigator;
	return await e?.requestAdapter() ?? null;
}
async function H(e, t, n) {
	let r = new B(t);
	return await r.reload(e, n), r;
}
// src/webllm/sites.ts
var U = 1 << 20;
async function W(...e) {
	return { model_list: await Promise.all((e.length > 0 ? e : ["./"]).map(de)) };
}
async function ue(...e) {
	globalThis.document !== void 0 && v.model_list.push(...(await W(...e)).model_list);
}
async function de(e) {
	let t = globalThis.document?.baseURI ?? globalThis.location?.href, n = new URL(e, t), i = n.pathname.endsWith("/model.json") ? n : new URL(u, `${n.href.replace(/\/*$/, "")}/`), a = await l(i), o = Math.min(a.context, r), s = a.weights_bytes + a.arena_bytes + o * a.kv_bytes_per_token;
	return {
		model: i.href,
		model_id: a.name,
		model_lib: "",
		vram_required_MB: Math.round(100 * s / U) / 100,
		low_resource_required: !0,
		overrides: { context_window_size: o }
	};
}
// src/webllm/integrity.ts
var G = /^(sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2}$/, fe = (e) => G.test(e);
async function pe(e, t, n, r = "error") {
	let [, i] = G.exec(t) ?? [];
	if (i === void 0) throw Error(`${t} is no integrity metadata: sha256-, sha384- or sha512- and the hash in base64.`);
	let a = new Uint8Array(await crypto.subtle.digest(i.replace("sha", "SHA-"), e)), o = `${i}-${btoa(String.fromCharCode(...a))}`;
	if (o === t) return;
	let s = new f(n, t, o);
	if (r === "error") throw s;
	console.warn(s.message);
}
// src/webllm/workers.ts
var K = class extends B {
	worker;
	constructor(e, t) {
		super(t), this.worker = e;
	}
	async open(e, t, n) {
		let r = { postMessage: (e, t) => this.worker.postMessage(e, t) }, { contextAtMost: i, onProgress: a, signal: o, beside: c } = n;
		return s(r, e, {
			id: t,
			beside: c,
			...i !== void 0 && { contextAtMost: i },
			...a && { onProgress: a },
			...o && { signal: o }
		});
	}
}, q = class {
	#e;
	#t = () => void 0;
	constructor() {
		a({
			addEventListener: (e, t) => this.#t = t,
			removeEventListener: () => this.#t = () => void 0
		}, (e) => ({
			grammars: j,
			logitProcessor: _(this.#e?.get(e ?? ""))
		}));
	}
	onmessage(e) {
		this.#t(e);
	}
	setLogitProcessorRegistry(e) {
		this.#e = e;
	}
};
async function me(e, t, n, r) {
	let i = new K(e, n);
	return await i.reload(t, r), i;
}
// src/webllm/service_worker.ts
var J = 1e4, Y = { kind: "keepAlive" }, X = { kind: "heartbeat" }, Z = (e, { kind: t }) => e?.kind === t, he = class extends q {
	constructor() {
		super(), globalThis.addEventListener("message", (e) => this.onmessage(e));
	}
	onmessage(e) {
		Z(e.data, Y) ? e.source?.postMessage(X) : super.onmessage(e);
	}
}, Q = () => d("NoServiceWorkerAPIError", "This browser has no service workers, or not for this page."), $ = class extends K {
	missedHeartbeat = 0;
	constructor(e, t = J, n = null) {
		if (!("serviceWorker" in navigator)) throw Q();
		let { serviceWorker: r } = navigator, i = () => r.controller ?? n;
		super({
			onmessage: null,
			postMessage(e, t) {
				let n = i();
				if (n === null) throw d("ServiceWorkerInitializationError", "No service worker controls this page yet: load it again.");
				n.postMessage(Y), n.postMessage(e, t);
			}
		}, e), r.addEventListener("message", ({ data: e }) => {
			Z(e, X) && (this.missedHeartbeat = 0);
		}), r.startMessages(), setInterval(() => {
			i()?.postMessage(Y), this.missedHeartbeat++;
		}, t);
	}
};
async function ge(e, t, n, r) {
	if (!("serviceWorker" in navigator)) throw Q();
	let { active: i } = await navigator.serviceWorker.ready, a = new $(t, r, i);
	return await a.reload(e, n), a;
}
export { H as CreateMLCEngine, ge as CreateServiceWorkerMLCEngine, me as CreateWebWorkerMLCEngine, f as IntegrityError, B as MLCEngine, g as ModelType, $ as ServiceWorkerMLCEngine, he as ServiceWorkerMLCEngineHandler, K as WebWorkerMLCEngine, q as WebWorkerMLCEngineHandler, W as appConfigOf, D as deleteChatConfigInCache, ie as deleteModelAllInfoInCache, ae as deleteModelInCache, O as deleteModelWasmInCache, ne as functionCallingModelIds, re as hasModelInCache, fe as isValidSRI, ue as listPackaged, te as modelLibURLPrefix, ee as modelVersion, v as prebuiltAppConfig, pe as verifyIntegrity };
