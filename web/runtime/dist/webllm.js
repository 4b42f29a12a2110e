import { i as e } from "./files.js";
import { a as t, i as n, n as r, r as i, t as a } from "./worker.js";
// src/webllm/errors.ts
function o(e, t, n) {
	let r = Error(t, n === void 0 ? void 0 : { cause: n });
	return r.name = e, r;
}
var s = class extends Error {
	url;
	expected;
	actual;
	constructor(e, t, n) {
		super(`${e} is not what it should be: its hash is ${n}, not ${t}.`), this.name = "IntegrityError", this.url = e, this.expected = t, this.actual = n;
	}
}, c = {
	context: "ContextWindowSizeExceededError",
	unloaded: "WorkerEngineModelNotLoadedError"
};
async function l(t) {
	try {
		return await t();
	} catch (t) {
		let n = t instanceof e ? c[t.kind] : void 0;
		throw n === void 0 ? t : o(n, t.message, t);
	}
}
// src/webllm/config.ts
var u = /* @__PURE__ */ function(e) {
	return e[e.LLM = 0] = "LLM", e[e.embedding = 1] = "embedding", e[e.VLM = 2] = "VLM", e;
}({}), d = "hearth", f = "", p = [], m = { model_list: [] };
function h(e, { model_list: t }) {
	let n = t.find(({ model_id: t }) => t === e);
	if (n !== void 0) return n;
	if (/^(?:https?:)?\.{0,2}\//.test(e)) return {
		model: e,
		model_id: e,
		model_lib: ""
	};
	throw o("ModelNotFoundError", `There is no model ${e} in appConfig.model_list. It has: ${t.map(({ model_id: e }) => e).join(", ") || "none"}.`);
}
// src/webllm/cache.ts
async function* g(e, t) {
	let n = new URL(`${h(e, t).model.replace(/\/*$/, "")}/`, globalThis.location?.href).href;
	for (let e of await caches.keys()) {
		let t = await caches.open(e);
		for (let e of await t.keys()) e.url.startsWith(n) && (yield [t, e]);
	}
}
async function _(e, t = m) {
	for await (let [, n] of g(e, t)) if (n.url.endsWith("/manifest.json")) return !0;
	return !1;
}
var v = (e) => async (t, n = m) => {
	for await (let [r, i] of g(t, n)) e(i.url) && await r.delete(i);
}, y = (e) => e.endsWith(".wasm"), b = (e) => e.endsWith(".json"), x = v(() => !0), S = v((e) => !y(e) && !b(e)), C = v(b), w = v(y), T = "@mlc-ai/web-xgrammar", E = () => import(
	/* @vite-ignore */
	T
), D = [
	"temperature",
	"top_p",
	"repetition_penalty",
	"frequency_penalty",
	"presence_penalty"
], O = 1 << 20, k = class {
	chat = { completions: { create: this.chatCompletion.bind(this) } };
	completions = { create: this.completion.bind(this) };
	embeddings = { create: (e) => this.embedding(e) };
	#e;
	#t;
	#n = [];
	#r;
	constructor({ appConfig: e = m, initProgressCallback: t, logitProcessorRegistry: n } = {}) {
		this.#e = e, this.#t = t, this.setLogitProcessorRegistry(n);
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
		if (e !== void 0 && e.size !== 0) throw o("FeatureSupportError", "Logit processors are not supported: use logit_bias, or response_format with a grammar.");
	}
	setLogLevel(e) {}
	async reload(e, t) {
		let n = [e].flat(), r = t === void 0 ? [] : [t].flat();
		if (r.length > 0 && r.length !== n.length) throw o("ReloadArgumentSizeUnmatchedError", `${r.length} sets of options are given for ${n.length} models.`);
		if (new Set(n).size !== n.length) throw o("ReloadModelIdNotUniqueError", `A model stands twice in ${n.join(", ")}.`);
		await this.unload(), this.#r = new AbortController();
		for (let [e, t] of n.entries()) this.#n.push(await this.#i(t, r[e] ?? {}, this.#r.signal));
	}
	async unload() {
		this.#r?.abort();
		let e = this.#n;
		this.#n = [], await Promise.all(e.map((e) => e.close()));
	}
	async chatCompletion(e) {
		j(e);
		let t = this.#a(e.model, "ChatCompletionRequest"), n = t.api.chat.completions.create;
		return this.#o(t, e, n, ({ choices: e }) => {
			let [t] = e;
			return (t && ("message" in t ? t.message.content : t.delta.content)) ?? "";
		});
	}
	async completion(e) {
		j(e);
		let t = this.#a(e.model, "CompletionCreateParams");
		return this.#o(t, e, t.api.completions.create, ({ choices: e }) => e[0]?.text ?? "");
	}
	embedding(e) {
		return l(async () => this.#a(e.model, "EmbeddingCreateParams").api.embeddings.create(e));
	}
	interruptGenerate() {
		for (let { running: e } of this.#n) e.forEach((e) => e.abort());
	}
	async resetChat(e = !1, t) {
		let n = this.#a(t, "resetChat");
		n.running.forEach((e) => e.abort()), n.message = "", e || (n.usage = void 0);
	}
	async getMessage(e) {
		return this.#a(e, "getMessage").message;
	}
	async runtimeStatsText(e) {
		let t = this.#a(e, "runtimeStatsText").usage?.extra;
		return t === void 0 ? "" : `prefill: ${t.prefill_tokens_per_s.toFixed(4)} tokens/sec, decoding: ${t.decode_tokens_per_s.toFixed(4)} tokens/sec`;
	}
	async getMaxStorageBufferBindingSize() {
		return (await M())?.limits.maxStorageBufferBindingSize ?? 0;
	}
	async getGPUVendor() {
		return (await M())?.info.vendor ?? "";
	}
	async open(e, n) {
		let r = await t.open(e, {
			...n,
			grammars: E
		});
		return {
			backend: i(r),
			close: () => r.close()
		};
	}
	async #i(e, t, r) {
		let i = h(e, this.#e);
		i.model_lib !== "" && console.info(`${e}: model_lib is not used: a bundle of Hearth holds its own program.`);
		let a = {
			...i.overrides,
			...t
		}, o = performance.now(), s = (e, t) => this.#t?.({
			progress: e,
			timeElapsed: (performance.now() - o) / 1e3,
			text: t
		});
		s(0, `Start to fetch ${e}`);
		let c = (t, n) => {
			s(n > 0 ? t / n : 0, `Loading ${e}: ${Math.round(t / O)} of ${Math.round(n / O)} MB`);
		}, l = a.context_window_size, u = new URL(i.model, globalThis.location?.href).href, d = await this.open(u, {
			onProgress: c,
			signal: r,
			...l !== void 0 && { context: l }
		});
		s(1, `Finish loading ${e}`);
		let f = Object.fromEntries(D.flatMap((e) => a[e] === void 0 ? [] : [[e, a[e]]]));
		return {
			...d,
			id: e,
			api: n(d.backend),
			defaults: f,
			running: /* @__PURE__ */ new Set(),
			message: "",
			usage: void 0
		};
	}
	#a(e, t) {
		let n = this.#n.map((e) => e.id);
		if (n.length === 0) throw o("ModelNotLoadedError", `${t}: no model is loaded. Call reload(modelId) first.`);
		if (e == null && n.length > 1) throw o("UnclearModelToUseError", `${t}: model must say which of ${n.join(", ")}.`);
		let r = this.#n.find((t) => t.id === e) ?? (e == null ? this.#n[0] : void 0);
		if (r !== void 0) return r;
		throw o("SpecifiedModelNotFoundError", `${t}: the model ${e} is not loaded. Loaded: ${n.join(", ")}.`);
	}
	#o(e, t, n, r) {
		let i = new AbortController();
		e.running.add(i);
		let a = (t) => {
			e.message += r(t), e.usage = t.usage ?? e.usage;
		}, o = t.stream_options?.include_usage === !0;
		return l(async () => {
			let r = !1;
			try {
				let s = await n({
					...e.defaults,
					...t,
					...t.stream === !0 && { stream_options: { include_usage: !0 } }
				}, { signal: i.signal });
				if (e.message = "", r = Symbol.asyncIterator in s, !r) a(s);
				else return A(s, a, o, () => e.running.delete(i));
				return s;
			} finally {
				r || e.running.delete(i);
			}
		});
	}
};
async function* A(e, t, n, r) {
	try {
		for await (let r of e) t(r), (n || r.choices.length > 0) && (yield r);
	} finally {
		r();
	}
}
function j({ stream: e, stream_options: t, n }) {
	if (e === !0 && (n ?? 1) > 1) throw o("StreamingCountError", "A stream has one choice: n must be 1.");
	if (e !== !0 && t != null) throw o("InvalidStreamOptionsError", "stream_options are for requests with stream: true.");
}
async function M() {
	let { gpu: e } = globalThis.navigator;
	return await e?.requestAdapter() ?? null;
}
async function N(e, t, n) {
	let r = new k(t);
	return await r.reload(e, n), r;
}
// src/webllm/integrity.ts
var P = /^(sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2}$/, F = (e) => P.test(e);
async function I(e, t, n, r = "error") {
	let [, i] = P.exec(t) ?? [];
	if (i === void 0) throw Error(`${t} is no integrity metadata: sha256-, sha384- or sha512- and the hash in base64.`);
	let a = new Uint8Array(await crypto.subtle.digest(i.replace("sha", "SHA-"), e)), o = `${i}-${btoa(String.fromCharCode(...a))}`;
	if (o === t) return;
	let c = new s(n, t, o);
	if (r === "error") throw c;
	console.warn(c.message);
}
// src/webllm/workers.ts
var L = class extends k {
	worker;
	constructor(e, t) {
		super(t), this.worker = e;
	}
	async open(e, t) {
		let n = { postMessage: (e, t) => this.worker.postMessage(e, t) }, { context: r, onProgress: i, signal: o } = t;
		return a(n, e, {
			...r !== void 0 && { context: r },
			...i && { onProgress: i },
			...o && { signal: o }
		});
	}
}, R = class {
	#e = () => void 0;
	constructor() {
		r({
			addEventListener: (e, t) => this.#e = t,
			removeEventListener: () => this.#e = () => void 0
		}, { grammars: E });
	}
	onmessage(e) {
		this.#e(e);
	}
	setLogitProcessorRegistry(e) {
		new k().setLogitProcessorRegistry(e);
	}
};
async function z(e, t, n, r) {
	let i = new L(e, n);
	return await i.reload(t, r), i;
}
var B = class extends R {
	constructor() {
		super(), globalThis.addEventListener("message", (e) => this.onmessage(e));
	}
}, V = class extends L {
	constructor(e, t) {
		if (!("serviceWorker" in navigator)) throw o("NoServiceWorkerAPIError", "This browser has no service workers, or not for this page.");
		super({
			onmessage: null,
			postMessage(e, t) {
				let { controller: n } = navigator.serviceWorker;
				if (n === null) throw o("ServiceWorkerInitializationError", "No service worker controls this page yet: load it again.");
				n.postMessage(e, t);
			}
		}, e);
	}
};
async function H(e, t, n, r) {
	let i = new V(t, r);
	return await navigator.serviceWorker.ready, await i.reload(e, n), i;
}
export { N as CreateMLCEngine, H as CreateServiceWorkerMLCEngine, z as CreateWebWorkerMLCEngine, s as IntegrityError, k as MLCEngine, u as ModelType, V as ServiceWorkerMLCEngine, B as ServiceWorkerMLCEngineHandler, L as WebWorkerMLCEngine, R as WebWorkerMLCEngineHandler, C as deleteChatConfigInCache, x as deleteModelAllInfoInCache, S as deleteModelInCache, w as deleteModelWasmInCache, p as functionCallingModelIds, _ as hasModelInCache, F as isValidSRI, f as modelLibURLPrefix, d as modelVersion, m as prebuiltAppConfig, I as verifyIntegrity };
