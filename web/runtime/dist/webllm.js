import { i as e } from "./files.js";
import { E as t, _ as n, a as r, b as i, i as a, j as o, n as s, r as c, t as l, u, x as d } from "./worker.js";
// src/webllm/errors.ts
function f(e, t, n) {
	let r = Error(t, n === void 0 ? void 0 : { cause: n });
	return r.name = e, r;
}
var p = class extends Error {
	url;
	expected;
	actual;
	constructor(e, t, n) {
		super(`${e} is not what it should be: its hash is ${n}, not ${t}.`), this.name = "IntegrityError", this.url = e, this.expected = t, this.actual = n;
	}
}, m = {
	context: "ContextWindowSizeExceededError",
	unloaded: "WorkerEngineModelNotLoadedError",
	device: "DeviceLostError",
	memory: "DeviceLostError"
};
function h(t) {
	let n = t instanceof e ? m[t.kind] : void 0;
	return n === void 0 ? t : f(n, t.message, t);
}
async function g(e) {
	try {
		return await e();
	} catch (e) {
		throw h(e);
	}
}
// src/webllm/config.ts
var ee = /* @__PURE__ */ function(e) {
	return e[e.LLM = 0] = "LLM", e[e.embedding = 1] = "embedding", e[e.VLM = 2] = "VLM", e;
}({}), _ = (e) => e && {
	reset: () => e.resetState(),
	process: (t) => e.processLogits(t),
	sampled: (t) => e.processSampledToken(t)
}, te = "hearth", ne = "", re = [], v = { model_list: [] };
function y(e, { model_list: t }) {
	let n = t.find(({ model_id: t }) => t === e);
	if (n !== void 0) return n;
	if (/^(?:https?:)?\.{0,2}\//.test(e)) return {
		model: e,
		model_id: e,
		model_lib: ""
	};
	throw f("ModelNotFoundError", `There is no model ${e} in appConfig.model_list. It has: ${t.map(({ model_id: e }) => e).join(", ") || "none"}.`);
}
// src/webllm/cache.ts
var b = (e, t) => new URL(y(e, t).model, globalThis.location?.href), x = (e) => e.pathname.endsWith(`/${t}`);
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
		let { keptBytes: e, totalBytes: n } = await (await i.open(t)).keeping([o]);
		return e === n;
	} catch (t) {
		if (t instanceof e && ["network", "corrupt"].includes(t.kind)) return !1;
		throw t;
	}
}
var ie = async (e, t = v) => C(b(e, t)), w = (e) => async (t, n = v) => {
	let r = b(t, n);
	if (x(r)) {
		let t = await i.open(r);
		return t.forget(Object.keys(t.facts.files).filter(e));
	}
	for await (let [t, n] of S(r)) e(n.url) && await t.delete(n);
}, T = (e) => e.endsWith(".wasm"), E = (e) => e.endsWith(".json"), ae = w(() => !0), D = w((e) => !T(e) && !E(e)), O = w(E), oe = w(T);
// src/webllm/answers.ts
function se(e) {
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
	...e.usage && { usage: se(e.usage) }
});
function ce(e, t, n, r) {
	let i = k(e, t);
	return n.usage = i.usage, n.message = r(e.choices.at(-1)), i;
}
async function* le(e, t, n, r, { tellsUsage: i, onEnd: a }) {
	try {
		for await (let a of e) {
			let e = k(a, t);
			e.usage && (n.usage = e.usage);
			for (let e of a.choices) n.message += r(e);
			(i || a.choices.length > 0) && (yield e);
		}
	} catch (e) {
		throw h(e);
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
function A({ stream: e, stream_options: t, n, seed: r, response_format: i, tools: a, tool_choice: o }) {
	if (e === !0 && (n ?? 1) > 1) throw f("StreamingCountError", "A stream has one choice: n must be 1.");
	if (e !== !0 && t != null) throw f("InvalidStreamOptionsError", "stream_options are for requests with stream: true.");
	if (r != null && !Number.isInteger(r)) throw f("SeedTypeError", `seed is ${r}, but must be a whole number.`);
	for (let [e, t, n, r] of ue) {
		let a = i?.[e] != null;
		if (a && i?.type !== t) throw f(r, `response_format.${e} goes with the type ${t} alone.`);
		if (n && !a && i?.type === t) throw f(r, `response_format of the type ${t} must have ${e}.`);
	}
	let s = o?.function?.name;
	if (s !== void 0 && !(a ?? []).some((e) => e.function.name === s)) throw f("FunctionNotFoundError", `tool_choice names ${s}, which is not among the tools.`);
}
// src/webllm/grammars.ts
var j = () => import("@mlc-ai/web-xgrammar"), M = 1 << 20, N = 8 * M, P = [
	"temperature",
	"top_p",
	"repetition_penalty",
	"frequency_penalty",
	"presence_penalty"
], de = /* @__PURE__ */ new Set([...P, "context_window_size"]), fe = {
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
var F = class {
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
}, I = [
	"TRACE",
	"DEBUG",
	"INFO"
], L = class {
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
		if (r.length > 0 && r.length !== n.length) throw f("ReloadArgumentSizeUnmatchedError", `${r.length} sets of options are given for ${n.length} models.`);
		if (new Set(n).size !== n.length) throw f("ReloadModelIdNotUniqueError", `A model stands twice in ${n.join(", ")}.`);
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
		return g(async () => {
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
		return (await R())?.limits.maxStorageBufferBindingSize ?? 0;
	}
	async getGPUVendor() {
		return (await R())?.info.vendor ?? "";
	}
	async open(e, t, { beside: n, ...i }) {
		let a = _(this.#n?.get(t)), o = await r.open(e, {
			...i,
			grammars: j,
			logitProcessor: a
		});
		return {
			backend: c(o),
			device: o.device,
			close: () => o.close()
		};
	}
	async #o(e, t, n, r) {
		let i = y(e, this.#e);
		I.includes(this.#a) && pe(i, t).forEach((t) => console.info(`${e}: ${t}`));
		let o = {
			...i.overrides,
			...t
		}, s = new F(this.#t), c = new URL(i.model, globalThis.location?.href), l = await C(c), u = o.context_window_size, d = (e, t) => s.loaded(e, t, l), f = await g(() => this.open(c.href, e, {
			onProgress: d,
			signal: r,
			beside: n,
			...u !== void 0 && { contextAtMost: u }
		}));
		s.finished(f.device);
		let p = Object.fromEntries(P.flatMap((e) => o[e] === void 0 ? [] : [[e, o[e]]])), { backend: m, device: h } = f;
		return {
			id: e,
			backend: m,
			device: h,
			close: () => f.close(),
			api: a(m),
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
		if (n.length === 0) throw f("ModelNotLoadedError", `${t}: no model is loaded. Call reload(modelId) first.`);
		if (e == null && n.length > 1) throw f("UnclearModelToUseError", `${t}: model must say which of ${n.join(", ")}.`);
		let r = this.#r.find((t) => t.id === e) ?? (e == null ? this.#r[0] : void 0);
		if (r !== void 0) return r;
		throw f("SpecifiedModelNotFoundError", `${t}: the model ${e} is not loaded. Loaded: ${n.join(", ")}.`);
	}
	#c(e, t, n, r) {
		let i = new AbortController();
		e.running.add(i);
		let a = () => void e.running.delete(i), o = t.stream_options?.include_usage === !0;
		return g(async () => {
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
async function R() {
	let { gpu: e } = globalThis.navigator;
	return await e?.requestAdapter() ?? null;
}
async function z(e, t, n) {
	let r = new L(t);
	return await r.reload(e, n), r;
}
// src/webllm/sites.ts
var me = 1 << 20;
async function B(...e) {
	return { model_list: await Promise.all((e.length > 0 ? e : ["./"]).map(ge)) };
}
async function he(...e) {
	globalThis.document !== void 0 && v.model_list.push(...(await B(...e)).model_list);
}
async function ge(e) {
	let r = globalThis.document?.baseURI ?? globalThis.location?.href, i = new URL(e, r), a = i.pathname.endsWith("/model.json") ? i : new URL(t, `${i.href.replace(/\/*$/, "")}/`), o = await d(a), s = Math.min(o.context, n), c = o.weights_bytes + o.arena_bytes + s * o.kv_bytes_per_token;
	return {
		model: a.href,
		model_id: o.name,
		model_lib: "",
		vram_required_MB: Math.round(100 * c / me) / 100,
		low_resource_required: !0,
		overrides: { context_window_size: s }
	};
}
// src/webllm/integrity.ts
var V = /^(sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2}$/, _e = (e) => V.test(e);
async function ve(e, t, n, r = "error") {
	let [, i] = V.exec(t) ?? [];
	if (i === void 0) throw Error(`${t} is no integrity metadata: sha256-, sha384- or sha512- and the hash in base64.`);
	let a = new Uint8Array(await crypto.subtle.digest(i.replace("sha", "SHA-"), e)), o = `${i}-${btoa(String.fromCharCode(...a))}`;
	if (o === t) return;
	let s = new p(n, t, o);
	if (r === "error") throw s;
	console.warn(s.message);
}
// src/webllm/workers.ts
var H = class extends L {
	worker;
	constructor(e, t) {
		super(t), this.worker = e;
	}
	async open(e, t, n) {
		let r = { postMessage: (e, t) => this.worker.postMessage(e, t) }, { contextAtMost: i, onProgress: a, signal: o, beside: s } = n;
		return l(r, e, {
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
		s({
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
async function ye(e, t, n, r) {
	let i = new H(e, n);
	return await i.reload(t, r), i;
}
// src/webllm/extension.ts
var be = "web_llm_service_worker", xe = 1e4, W = (e) => typeof e?.call == "string", G = (e) => typeof e == "object" && !!e && !("item" in e), K = class {
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
}, Se = class extends U {
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
function Ce(e) {
	let t = new K((t) => e.postMessage(t));
	return e.onMessage.addListener((e) => void (W(e) && t.pass(e))), {
		onmessage: null,
		postMessage(n, [r]) {
			let i = u();
			t.add(i, r), e.postMessage({
				call: i,
				message: n
			});
		}
	};
}
var q = class extends H {
	port;
	constructor({ extensionId: e, onDisconnect: t, ...n } = {}, r = xe) {
		let { runtime: i } = globalThis.chrome, a = i.connect(...e === void 0 ? [] : [e], { name: be });
		super(Ce(a), n), this.port = a;
		let o = setInterval(() => a.postMessage({ kind: "keepAlive" }), r);
		a.onDisconnect.addListener(() => {
			clearInterval(o), t?.();
		});
	}
};
async function we(e, t, n, r) {
	let i = new q(t, r);
	return await i.reload(e, n), i;
}
// src/webllm/service_worker.ts
var Te = 1e4, J = { kind: "keepAlive" }, Y = { kind: "heartbeat" }, X = (e, { kind: t }) => e?.kind === t, Z = class extends U {
	constructor() {
		super(), globalThis.addEventListener("message", (e) => this.onmessage(e));
	}
	onmessage(e) {
		let { data: t, source: n } = e;
		X(t, J) ? n?.postMessage(Y) : super.onmessage(e);
	}
}, Q = () => f("NoServiceWorkerAPIError", "This browser has no service workers, or not for this page."), $ = class extends H {
	missedHeartbeat = 0;
	constructor(e, t = Te, n = null) {
		if (!("serviceWorker" in navigator)) throw Q();
		let { serviceWorker: r } = navigator, i = () => r.controller ?? n;
		super({
			onmessage: null,
			postMessage(e, t) {
				let n = i();
				if (n === null) throw f("ServiceWorkerInitializationError", "No service worker controls this page yet: load it again.");
				n.postMessage(J), n.postMessage(e, t);
			}
		}, e), r.addEventListener("message", ({ data: e }) => {
			X(e, Y) && (this.missedHeartbeat = 0);
		}), r.startMessages(), setInterval(() => {
			i()?.postMessage(J), this.missedHeartbeat++;
		}, t);
	}
};
async function Ee(e, t, n, r) {
	if (!("serviceWorker" in navigator)) throw Q();
	let { active: i } = await navigator.serviceWorker.ready, a = new $(t, r, i);
	return await a.reload(e, n), a;
}
export { we as CreateExtensionServiceWorkerMLCEngine, z as CreateMLCEngine, Ee as CreateServiceWorkerMLCEngine, ye as CreateWebWorkerMLCEngine, q as ExtensionServiceWorkerMLCEngine, Se as ExtensionServiceWorkerMLCEngineHandler, p as IntegrityError, L as MLCEngine, ee as ModelType, $ as ServiceWorkerMLCEngine, Z as ServiceWorkerMLCEngineHandler, H as WebWorkerMLCEngine, U as WebWorkerMLCEngineHandler, B as appConfigOf, O as deleteChatConfigInCache, ae as deleteModelAllInfoInCache, D as deleteModelInCache, oe as deleteModelWasmInCache, re as functionCallingModelIds, ie as hasModelInCache, _e as isValidSRI, he as listPackaged, ne as modelLibURLPrefix, te as modelVersion, v as prebuiltAppConfig, ve as verifyIntegrity };
