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
}({}), d = (e) => e && {
	reset: () => e.resetState(),
	process: (t) => e.processLogits(t),
	sampled: (t) => e.processSampledToken(t)
}, f = "hearth", p = "", m = [], h = { model_list: [] };
function g(e, { model_list: t }) {
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
async function* _(e, t) {
	let n = new URL(`${g(e, t).model.replace(/\/*$/, "")}/`, globalThis.location?.href).href;
	for (let e of await caches.keys()) {
		let t = await caches.open(e);
		for (let e of await t.keys()) e.url.startsWith(n) && (yield [t, e]);
	}
}
async function v(e, t = h) {
	for await (let [, n] of _(e, t)) if (n.url.endsWith("/manifest.json")) return !0;
	return !1;
}
var y = (e) => async (t, n = h) => {
	for await (let [r, i] of _(t, n)) e(i.url) && await r.delete(i);
}, b = (e) => e.endsWith(".wasm"), x = (e) => e.endsWith(".json"), S = y(() => !0), C = y((e) => !b(e) && !x(e)), w = y(x), T = y(b), E = "@mlc-ai/web-xgrammar", D = () => import(
	/* @vite-ignore */
	E
), O = [
	"temperature",
	"top_p",
	"repetition_penalty",
	"frequency_penalty",
	"presence_penalty"
], k = 1 << 20, A = class {
	chat = { completions: { create: this.chatCompletion.bind(this) } };
	completions = { create: this.completion.bind(this) };
	embeddings = { create: (e) => this.embedding(e) };
	#e;
	#t;
	#n;
	#r = [];
	#i;
	constructor({ appConfig: e = h, initProgressCallback: t, logitProcessorRegistry: n } = {}) {
		this.#e = e, this.#t = t, this.#n = n;
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
	setLogLevel(e) {}
	async reload(e, t) {
		let n = [e].flat(), r = t === void 0 ? [] : [t].flat();
		if (r.length > 0 && r.length !== n.length) throw o("ReloadArgumentSizeUnmatchedError", `${r.length} sets of options are given for ${n.length} models.`);
		if (new Set(n).size !== n.length) throw o("ReloadModelIdNotUniqueError", `A model stands twice in ${n.join(", ")}.`);
		await this.unload(), this.#i = new AbortController();
		for (let [e, t] of n.entries()) this.#r.push(await this.#a(t, r[e] ?? {}, this.#i.signal));
	}
	async unload() {
		this.#i?.abort();
		let e = this.#r;
		this.#r = [], await Promise.all(e.map((e) => e.close()));
	}
	async chatCompletion(e) {
		M(e);
		let t = this.#o(e.model, "ChatCompletionRequest"), n = t.api.chat.completions.create;
		return this.#s(t, e, n, ({ choices: e }) => {
			let [t] = e;
			return (t && ("message" in t ? t.message.content : t.delta.content)) ?? "";
		});
	}
	async completion(e) {
		M(e);
		let t = this.#o(e.model, "CompletionCreateParams");
		return this.#s(t, e, t.api.completions.create, ({ choices: e }) => e[0]?.text ?? "");
	}
	embedding(e) {
		return l(async () => this.#o(e.model, "EmbeddingCreateParams").api.embeddings.create(e));
	}
	interruptGenerate() {
		for (let { running: e } of this.#r) e.forEach((e) => e.abort());
	}
	async resetChat(e = !1, t) {
		let n = this.#o(t, "resetChat");
		n.running.forEach((e) => e.abort()), n.message = "", e || (n.usage = void 0);
	}
	async getMessage(e) {
		return this.#o(e, "getMessage").message;
	}
	async runtimeStatsText(e) {
		let t = this.#o(e, "runtimeStatsText").usage?.extra;
		return t === void 0 ? "" : `prefill: ${t.prefill_tokens_per_s.toFixed(4)} tokens/sec, decoding: ${t.decode_tokens_per_s.toFixed(4)} tokens/sec`;
	}
	async getMaxStorageBufferBindingSize() {
		return (await N())?.limits.maxStorageBufferBindingSize ?? 0;
	}
	async getGPUVendor() {
		return (await N())?.info.vendor ?? "";
	}
	async open(e, n, r) {
		let a = d(this.#n?.get(n)), o = await t.open(e, {
			...r,
			grammars: D,
			logitProcessor: a
		});
		return {
			backend: i(o),
			close: () => o.close()
		};
	}
	async #a(e, t, r) {
		let i = g(e, this.#e);
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
			s(n > 0 ? t / n : 0, `Loading ${e}: ${Math.round(t / k)} of ${Math.round(n / k)} MB`);
		}, l = a.context_window_size, u = new URL(i.model, globalThis.location?.href).href, d = await this.open(u, e, {
			onProgress: c,
			signal: r,
			...l !== void 0 && { context: l }
		});
		s(1, `Finish loading ${e}`);
		let f = Object.fromEntries(O.flatMap((e) => a[e] === void 0 ? [] : [[e, a[e]]]));
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
	#o(e, t) {
		let n = this.#r.map((e) => e.id);
		if (n.length === 0) throw o("ModelNotLoadedError", `${t}: no model is loaded. Call reload(modelId) first.`);
		if (e == null && n.length > 1) throw o("UnclearModelToUseError", `${t}: model must say which of ${n.join(", ")}.`);
		let r = this.#r.find((t) => t.id === e) ?? (e == null ? this.#r[0] : void 0);
		if (r !== void 0) return r;
		throw o("SpecifiedModelNotFoundError", `${t}: the model ${e} is not loaded. Loaded: ${n.join(", ")}.`);
	}
	#s(e, t, n, r) {
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
				else return j(s, a, o, () => e.running.delete(i));
				return s;
			} finally {
				r || e.running.delete(i);
			}
		});
	}
};
async function* j(e, t, n, r) {
	try {
		for await (let r of e) t(r), (n || r.choices.length > 0) && (yield r);
	} finally {
		r();
	}
}
function M({ stream: e, stream_options: t, n }) {
	if (e === !0 && (n ?? 1) > 1) throw o("StreamingCountError", "A stream has one choice: n must be 1.");
	if (e !== !0 && t != null) throw o("InvalidStreamOptionsError", "stream_options are for requests with stream: true.");
}
async function N() {
	let { gpu: e } = globalThis.navigator;
	return await e?.requestAdapter() ?? null;
}
async function P(e, t, n) {
	let r = new A(t);
	return await r.reload(e, n), r;
}
// src/webllm/integrity.ts
var F = /^(sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2}$/, I = (e) => F.test(e);
async function L(e, t, n, r = "error") {
	let [, i] = F.exec(t) ?? [];
	if (i === void 0) throw Error(`${t} is no integrity metadata: sha256-, sha384- or sha512- and the hash in base64.`);
	let a = new Uint8Array(await crypto.subtle.digest(i.replace("sha", "SHA-"), e)), o = `${i}-${btoa(String.fromCharCode(...a))}`;
	if (o === t) return;
	let c = new s(n, t, o);
	if (r === "error") throw c;
	console.warn(c.message);
}
// src/webllm/workers.ts
var R = class extends A {
	worker;
	constructor(e, t) {
		super(t), this.worker = e;
	}
	async open(e, t, n) {
		let r = { postMessage: (e, t) => this.worker.postMessage(e, t) }, { context: i, onProgress: o, signal: s } = n;
		return a(r, e, {
			id: t,
			...i !== void 0 && { context: i },
			...o && { onProgress: o },
			...s && { signal: s }
		});
	}
}, z = class {
	#e;
	#t = () => void 0;
	constructor() {
		r({
			addEventListener: (e, t) => this.#t = t,
			removeEventListener: () => this.#t = () => void 0
		}, (e) => ({
			grammars: D,
			logitProcessor: d(this.#e?.get(e ?? ""))
		}));
	}
	onmessage(e) {
		this.#t(e);
	}
	setLogitProcessorRegistry(e) {
		this.#e = e;
	}
};
async function B(e, t, n, r) {
	let i = new R(e, n);
	return await i.reload(t, r), i;
}
var V = class extends z {
	constructor() {
		super(), globalThis.addEventListener("message", (e) => this.onmessage(e));
	}
}, H = class extends R {
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
async function U(e, t, n, r) {
	let i = new H(t, r);
	return await navigator.serviceWorker.ready, await i.reload(e, n), i;
}
export { P as CreateMLCEngine, U as CreateServiceWorkerMLCEngine, B as CreateWebWorkerMLCEngine, s as IntegrityError, A as MLCEngine, u as ModelType, H as ServiceWorkerMLCEngine, V as ServiceWorkerMLCEngineHandler, R as WebWorkerMLCEngine, z as WebWorkerMLCEngineHandler, w as deleteChatConfigInCache, S as deleteModelAllInfoInCache, C as deleteModelInCache, T as deleteModelWasmInCache, m as functionCallingModelIds, v as hasModelInCache, I as isValidSRI, p as modelLibURLPrefix, f as modelVersion, h as prebuiltAppConfig, L as verifyIntegrity };
