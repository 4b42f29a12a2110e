import { i as e } from "./files.js";
import { E as t, M as n, _ as r, a as i, b as a, i as o, k as s, n as c, r as l, t as u, u as d, x as f } from "./worker.js";
// src/webllm/errors.ts
function p(e, t, n) {
	let r = Error(t, n === void 0 ? void 0 : { cause: n });
	return r.name = e, r;
}
var m = class extends Error {
	url;
	expected;
	actual;
	constructor(e, t, n) {
		super(`${e} is not what it should be: its hash is ${n}, not ${t}.`), this.name = "IntegrityError", this.url = e, this.expected = t, this.actual = n;
	}
}, h = {
	context: "ContextWindowSizeExceededError",
	unloaded: "WorkerEngineModelNotLoadedError",
	device: "DeviceLostError",
	memory: "DeviceLostError"
};
function g(t) {
	let n = t instanceof e ? h[t.kind] : void 0;
	return n === void 0 ? t : p(n, t.message, t);
}
async function _(e) {
	try {
		return await e();
	} catch (e) {
		throw g(e);
	}
}
// src/webllm/config.ts
var ee = /* @__PURE__ */ function(e) {
	return e[e.LLM = 0] = "LLM", e[e.embedding = 1] = "embedding", e[e.VLM = 2] = "VLM", e;
}({}), v = (e) => e && {
	reset: () => e.resetState(),
	process: (t) => e.processLogits(t),
	sampled: (t) => e.processSampledToken(t)
}, te = "hearth", ne = "", re = [], y = { model_list: [] };
function b(e, { model_list: t }) {
	let n = t.find(({ model_id: t }) => t === e);
	if (n !== void 0) return n;
	if (/^(?:https?:)?\.{0,2}\//.test(e)) return {
		model: e,
		model_id: e,
		model_lib: ""
	};
	throw p("ModelNotFoundError", `There is no model ${e} in appConfig.model_list. It has: ${t.map(({ model_id: e }) => e).join(", ") || "none"}.`);
}
// src/webllm/cache.ts
var x = (e, t) => new URL(b(e, t).model, globalThis.location?.href), S = (e) => e.pathname.endsWith(`/${t}`);
async function* C(e) {
	if (globalThis.caches === void 0) return;
	let t = `${e.href.replace(/\/*$/, "")}/`;
	for (let e of await caches.keys()) {
		let n = await caches.open(e);
		for (let e of await n.keys()) e.url.startsWith(t) && (yield [n, e]);
	}
}
async function w(t) {
	if (!S(t)) {
		for await (let [, e] of C(t)) if (e.url.endsWith("/weights.bin")) return !0;
		return !1;
	}
	try {
		let { keptBytes: e, totalBytes: r } = await (await a.open(t)).keeping([n]);
		return e === r;
	} catch (t) {
		if (t instanceof e && ["network", "corrupt"].includes(t.kind)) return !1;
		throw t;
	}
}
var ie = async (e, t = y) => w(x(e, t)), T = (e) => async (t, n = y) => {
	let r = x(t, n);
	if (S(r)) {
		let t = await a.open(r);
		return t.forget(Object.keys(t.facts.files).filter(e));
	}
	for await (let [t, n] of C(r)) e(n.url) && await t.delete(n);
}, E = (e) => e.endsWith(".wasm"), D = (e) => e.endsWith(".json"), ae = T(() => !0), O = T((e) => !E(e) && !D(e)), k = T(D), oe = T(E);
// src/webllm/answers.ts
function se(e) {
	let t = e.prompt_tokens - e.prompt_tokens_details.cached_tokens;
	return {
		...e,
		prompt_tokens: t,
		total_tokens: t + e.completion_tokens
	};
}
var A = (e, t) => ({
	...e,
	model: t,
	...e.usage && { usage: se(e.usage) }
});
function ce(e, t, n, r) {
	let i = A(e, t);
	return n.usage = i.usage, n.message = r(e.choices.at(-1)), i;
}
async function* le(e, t, n, r, { tellsUsage: i, onEnd: a }) {
	try {
		for await (let a of e) {
			let e = A(a, t);
			e.usage && (n.usage = e.usage);
			for (let e of a.choices) n.message += r(e);
			(i || a.choices.length > 0) && (yield e);
		}
	} catch (e) {
		throw g(e);
	} finally {
		a();
	}
}
// src/webllm/checks.ts
var ue = [
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
function j({ stream: e, stream_options: t, n, seed: r, response_format: i, tools: a, tool_choice: o }) {
	if (e === !0 && (n ?? 1) > 1) throw p("StreamingCountError", "A stream has one choice: n must be 1.");
	if (e !== !0 && t != null) throw p("InvalidStreamOptionsError", "stream_options are for requests with stream: true.");
	if (r != null && !Number.isInteger(r)) throw p("SeedTypeError", `seed is ${r}, but must be a whole number.`);
	for (let [e, t, n, r] of ue) {
		let a = i?.[e] != null;
		if (a && i?.type !== t) throw p(r, `response_format.${e} goes with the type ${t} alone.`);
		if (n && !a && i?.type === t) throw p(r, `response_format of the type ${t} must have ${e}.`);
	}
	let s = o?.function?.name;
	if (s !== void 0 && !(a ?? []).some((e) => e.function.name === s)) throw p("FunctionNotFoundError", `tool_choice names ${s}, which is not among the tools.`);
}
// src/webllm/grammars.ts
var M = () => import("@mlc-ai/web-xgrammar"), N = 1 << 20, P = 8 * N, F = [
	"temperature",
	"top_p",
	"repetition_penalty",
	"frequency_penalty",
	"presence_penalty"
], de = /* @__PURE__ */ new Set([...F, "context_window_size"]), fe = {
	model_lib: "a bundle of Hearth holds its own program",
	required_features: "what the GPU lacks is done without",
	integrity: "it names files of MLC's; the chunks of a packaged model are checked by SHA-256 in any case"
};
function pe(e, t) {
	let n = Object.entries(fe).filter(([t]) => {
		let n = e[t];
		return Array.isArray(n) ? n.length > 0 : !!n;
	}), r = Object.keys({
		...e.overrides,
		...t
	}).filter((e) => !de.has(e));
	return [...n.map(([e, t]) => `${e} is not used: ${t}.`), ...r.length > 0 ? [`${r.join(", ")}: not used; a bundle of Hearth has what the model was published with.`] : []];
}
var I = class {
	#e;
	#t = performance.now();
	constructor(e) {
		this.#e = e, this.#r(0, "Start to fetch params");
	}
	loaded(e, t, n) {
		let r = t > 0 ? e / t : 0, [i, a] = n ? ["Loading model from cache", "loaded"] : ["Fetching param cache", "fetched"], o = `[${Math.ceil(e / P)}/${Math.ceil(t / P)}]`, s = Math.ceil(this.#n);
		this.#r(r, `${i}${o}: ${Math.ceil(e / N)}MB ${a}. ${Math.floor(100 * r)}% completed, ${s} secs elapsed.`);
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
}, L = [
	"TRACE",
	"DEBUG",
	"INFO"
], R = class {
	chat = { completions: { create: this.chatCompletion.bind(this) } };
	completions = { create: this.completion.bind(this) };
	embeddings = { create: (e) => this.embedding(e) };
	#e;
	#t;
	#n;
	#r = [];
	#i;
	#a;
	constructor({ appConfig: e = y, initProgressCallback: t, logitProcessorRegistry: n, logLevel: r = "INFO" } = {}) {
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
		if (r.length > 0 && r.length !== n.length) throw p("ReloadArgumentSizeUnmatchedError", `${r.length} sets of options are given for ${n.length} models.`);
		if (new Set(n).size !== n.length) throw p("ReloadModelIdNotUniqueError", `A model stands twice in ${n.join(", ")}.`);
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
		j(e);
		let t = this.#s(e.model, "ChatCompletionRequest");
		return this.#c(t, e, t.api.chat.completions.create, (e) => ("message" in e ? e.message.content : e.delta.content) ?? "");
	}
	async completion(e) {
		j(e);
		let t = this.#s(e.model, "CompletionCreateParams");
		return this.#c(t, e, t.api.completions.create, ({ text: e }) => e);
	}
	embedding(e) {
		return _(async () => {
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
		return (await z())?.limits.maxStorageBufferBindingSize ?? 0;
	}
	async getGPUVendor() {
		return (await z())?.info.vendor ?? "";
	}
	async open(e, t, { beside: n, ...r }) {
		let a = v(this.#n?.get(t)), o = await i.open(e, {
			...r,
			grammars: M,
			logitProcessor: a
		});
		return {
			backend: l(o),
			device: o.device,
			close: () => o.close()
		};
	}
	async #o(e, t, n, r) {
		let i = b(e, this.#e);
		L.includes(this.#a) && pe(i, t).forEach((t) => console.info(`${e}: ${t}`));
		let a = {
			...i.overrides,
			...t
		}, s = new I(this.#t), c = new URL(i.model, globalThis.location?.href), l = await w(c), u = a.context_window_size, d = (e, t) => s.loaded(e, t, l), f = await _(() => this.open(c.href, e, {
			onProgress: d,
			signal: r,
			beside: n,
			...u !== void 0 && { contextAtMost: u }
		}));
		s.finished(f.device);
		let p = Object.fromEntries(F.flatMap((e) => a[e] === void 0 ? [] : [[e, a[e]]])), { backend: m, device: h } = f;
		return {
			id: e,
			backend: m,
			device: h,
			close: () => f.close(),
			api: o(m),
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
		if (n.length === 0) throw p("ModelNotLoadedError", `${t}: no model is loaded. Call reload(modelId) first.`);
		if (e == null && n.length > 1) throw p("UnclearModelToUseError", `${t}: model must say which of ${n.join(", ")}.`);
		let r = this.#r.find((t) => t.id === e) ?? (e == null ? this.#r[0] : void 0);
		if (r !== void 0) return r;
		throw p("SpecifiedModelNotFoundError", `${t}: the model ${e} is not loaded. Loaded: ${n.join(", ")}.`);
	}
	#c(e, t, n, r) {
		let i = new AbortController();
		e.running.add(i);
		let a = () => void e.running.delete(i), o = t.stream_options?.include_usage === !0;
		return _(async () => {
			let s = !1;
			try {
				let c = await n({
					...e.defaults,
					...t,
					...t.stream === !0 && { stream_options: { include_usage: !0 } }
				}, { signal: i.signal }), l = e.last = {
					message: "",
					usage: e.last.usage
				};
				return s = Symbol.asyncIterator in c, s ? le(c, e.id, l, r, {
					tellsUsage: o,
					onEnd: a
				}) : ce(c, e.id, l, r);
			} finally {
				s || a();
			}
		});
	}
};
async function z() {
	let { gpu: e } = globalThis.navigator;
	return await e?.requestAdapter() ?? null;
}
async function me(e, t, n) {
	let r = new R(t);
	return await r.reload(e, n), r;
}
// src/webllm/sites.ts
var he = 1 << 20;
async function B(...e) {
	return { model_list: await Promise.all((e.length > 0 ? e : ["./"]).map(_e)) };
}
async function ge(...e) {
	globalThis.document !== void 0 && y.model_list.push(...(await B(...e)).model_list);
}
async function _e(e) {
	let n = globalThis.document?.baseURI ?? globalThis.location?.href, i = new URL(e, n), a = i.pathname.endsWith("/model.json") ? i : new URL(t, `${i.href.replace(/\/*$/, "")}/`), o = await f(a), c = Math.min(o.context, r), l = s(o, c);
	return {
		model: a.href,
		model_id: o.name,
		model_lib: "",
		vram_required_MB: Math.round(100 * l / he) / 100,
		low_resource_required: !0,
		overrides: { context_window_size: c }
	};
}
// src/webllm/integrity.ts
var V = /^(sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2}$/, ve = (e) => V.test(e);
async function ye(e, t, n, r = "error") {
	let [, i] = V.exec(t) ?? [];
	if (i === void 0) throw Error(`${t} is no integrity metadata: sha256-, sha384- or sha512- and the hash in base64.`);
	let a = new Uint8Array(await crypto.subtle.digest(i.replace("sha", "SHA-"), e)), o = `${i}-${btoa(String.fromCharCode(...a))}`;
	if (o === t) return;
	let s = new m(n, t, o);
	if (r === "error") throw s;
	console.warn(s.message);
}
// src/webllm/workers.ts
var H = class extends R {
	worker;
	constructor(e, t) {
		super(t), this.worker = e;
	}
	async open(e, t, n) {
		let r = { postMessage: (e, t) => this.worker.postMessage(e, t) }, { contextAtMost: i, onProgress: a, signal: o, beside: s } = n;
		return u(r, e, {
			id: t,
			beside: s,
			...i !== void 0 && { contextAtMost: i },
			...a && { onProgress: a },
			...o && { signal: o }
		});
	}
}, U = class {
	#e;
	#t = () => void 0;
	constructor() {
		c({
			addEventListener: (e, t) => this.#t = t,
			removeEventListener: () => this.#t = () => void 0
		}, (e) => ({
			grammars: M,
			logitProcessor: v(this.#e?.get(e ?? ""))
		}));
	}
	onmessage(e) {
		this.#t(e);
	}
	setLogitProcessorRegistry(e) {
		this.#e = e;
	}
};
async function be(e, t, n, r) {
	let i = new H(e, n);
	return await i.reload(t, r), i;
}
// src/webllm/extension.ts
var xe = "web_llm_service_worker", Se = 1e4, W = (e) => typeof e?.call == "string", G = (e) => typeof e == "object" && !!e && !("item" in e), K = class {
	#e = /* @__PURE__ */ new Map();
	#t;
	constructor(e) {
		this.#t = e;
	}
	add(e, t) {
		this.#e.set(e, t), t.onmessage = ({ data: t }) => {
			this.#t({
				call: e,
				message: t
			}), G(t) && this.#n(e);
		};
	}
	pass({ call: e, message: t }) {
		let n = this.#e.get(e);
		return n?.postMessage(t), G(t) && this.#n(e), n !== void 0;
	}
	end() {
		for (let e of this.#e.values()) e.postMessage("end");
		this.#e.clear();
	}
	#n(e) {
		this.#e.delete(e);
	}
}, Ce = class extends U {
	#e;
	#t;
	constructor(e) {
		super(), this.setPort(e);
	}
	setPort(e) {
		let t = new K((t) => e === this.#e && e.postMessage(t));
		[this.#e, this.#t] = [e, t], e.onDisconnect.addListener(() => t.end());
	}
	onmessage(e) {
		if (!W(e) || this.#t.pass(e) || !G(e.message)) return;
		let { port1: t, port2: n } = new MessageChannel();
		this.#t.add(e.call, t), super.onmessage({
			data: e.message,
			ports: [n]
		});
	}
};
function we(e) {
	let t = new K((t) => e.postMessage(t));
	return e.onMessage.addListener((e) => void (W(e) && t.pass(e))), {
		onmessage: null,
		postMessage(n, [r]) {
			let i = d();
			t.add(i, r), e.postMessage({
				call: i,
				message: n
			});
		}
	};
}
var q = class extends H {
	port;
	constructor({ extensionId: e, onDisconnect: t, ...n } = {}, r = Se) {
		let { runtime: i } = globalThis.chrome, a = i.connect(...e === void 0 ? [] : [e], { name: xe });
		super(we(a), n), this.port = a;
		let o = setInterval(() => a.postMessage({ kind: "keepAlive" }), r);
		a.onDisconnect.addListener(() => {
			clearInterval(o), t?.();
		});
	}
};
async function Te(e, t, n, r) {
	let i = new q(t, r);
	return await i.reload(e, n), i;
}
// src/webllm/service_worker.ts
var J = 1e4, Y = { kind: "keepAlive" }, X = { kind: "heartbeat" }, Z = (e, { kind: t }) => e?.kind === t, Ee = class extends U {
	constructor() {
		super(), globalThis.addEventListener("message", (e) => this.onmessage(e));
	}
	onmessage(e) {
		let { data: t, source: n } = e;
		Z(t, Y) ? n?.postMessage(X) : super.onmessage(e);
	}
}, Q = () => p("NoServiceWorkerAPIError", "This browser has no service workers, or not for this page."), $ = class extends H {
	missedHeartbeat = 0;
	constructor(e, t = J, n = null) {
		if (!("serviceWorker" in navigator)) throw Q();
		let { serviceWorker: r } = navigator, i = () => r.controller ?? n;
		super({
			onmessage: null,
			postMessage(e, t) {
				let n = i();
				if (n === null) throw p("ServiceWorkerInitializationError", "No service worker controls this page yet: load it again.");
				n.postMessage(Y), n.postMessage(e, t);
			}
		}, e), r.addEventListener("message", ({ data: e }) => {
			Z(e, X) && (this.missedHeartbeat = 0);
		}), r.startMessages(), setInterval(() => {
			i()?.postMessage(Y), this.missedHeartbeat++;
		}, t);
	}
};
async function De(e, t, n, r) {
	if (!("serviceWorker" in navigator)) throw Q();
	let { active: i } = await navigator.serviceWorker.ready, a = new $(t, r, i);
	return await a.reload(e, n), a;
}
export { Te as CreateExtensionServiceWorkerMLCEngine, me as CreateMLCEngine, De as CreateServiceWorkerMLCEngine, be as CreateWebWorkerMLCEngine, q as ExtensionServiceWorkerMLCEngine, Ce as ExtensionServiceWorkerMLCEngineHandler, m as IntegrityError, R as MLCEngine, ee as ModelType, $ as ServiceWorkerMLCEngine, Ee as ServiceWorkerMLCEngineHandler, H as WebWorkerMLCEngine, U as WebWorkerMLCEngineHandler, B as appConfigOf, k as deleteChatConfigInCache, ae as deleteModelAllInfoInCache, O as deleteModelInCache, oe as deleteModelWasmInCache, re as functionCallingModelIds, ie as hasModelInCache, ve as isValidSRI, ge as listPackaged, ne as modelLibURLPrefix, te as modelVersion, y as prebuiltAppConfig, ye as verifyIntegrity };
