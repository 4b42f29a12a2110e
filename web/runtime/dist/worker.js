import { i as e, r as t, t as n } from "./files.js";
// src/features.ts
var r = (...e) => e.flat(), i = (e) => r(e.length, e);
function a(e) {
	let t = e & 127, n = e >> 7;
	return n === (t & 64 ? -1 : 0) ? [t] : r(t | 128, a(n));
}
var o = (e) => r(65, a(e)), s = [253, 15], c = [253, 17], l = [
	253,
	27,
	0
], u = [
	253,
	147,
	2
], d = [11];
function f(e) {
	let t = i(r(0, e, l, d)), n = [
		r(1, i(r(1, 96, 0, 1, 127))),
		r(3, i(r(1, 0))),
		r(7, i(r(1, i([102]), 0, 0))),
		r(10, i(r(1, t)))
	];
	return new Uint8Array(r([
		0,
		97,
		115,
		109,
		1,
		0,
		0,
		0
	], ...n));
}
var p = {
	simd128: {
		module: f(r(o(-7), c)),
		answer: -7
	},
	relaxed_simd: {
		module: f(r(o(-127), s, o(63), s, o(1e3), c, u)),
		answer: -31004
	}
};
function m(e) {
	let t = p[e];
	if (t === void 0 || !WebAssembly.validate(t.module)) return !1;
	let { exports: n } = new WebAssembly.Instance(new WebAssembly.Module(t.module));
	return n.f() === t.answer;
}
// src/gpu/soon.ts
async function h(e, t) {
	let n, r = new Promise((e) => {
		t !== Infinity && (n = setTimeout(e, t, !1));
	}), i = e.then(() => !0, () => !0), a = await Promise.race([i, r]);
	return clearTimeout(n), a;
}
// src/gpu/gpu.ts
var ee = [
	[
		"bufferBytes",
		"maxBufferSize",
		"buffers of NEEDED bytes, it has at most MOST"
	],
	[
		"bindingBytes",
		"maxStorageBufferBindingSize",
		"to bind NEEDED bytes at once, it binds at most MOST"
	],
	[
		"storageBuffers",
		"maxStorageBuffersPerShaderStage",
		"NEEDED buffers in a step, it has at most MOST"
	],
	[
		"invocations",
		"maxComputeInvocationsPerWorkgroup",
		"groups of NEEDED threads, it has at most MOST"
	],
	[
		"invocations",
		"maxComputeWorkgroupSizeX",
		"groups of NEEDED threads along an axis, it has at most MOST"
	]
], g = {
	MAP_READ: 1,
	COPY_SRC: 4,
	COPY_DST: 8,
	UNIFORM: 64,
	STORAGE: 128
}, te = 4, ne = [
	"validation",
	"out-of-memory",
	"internal"
], _ = "Use the processor: device: \"wasm\".", re = [["f16", "shader-f16"], ["subgroups", "subgroups"]], ie = "packed_4x8_integer_dot_product", v = class extends e {}, ae = class t {
	device;
	name;
	allocatedBytes = 0;
	#e;
	constructor(e, t) {
		this.device = e, this.name = t, e.addEventListener("uncapturederror", ({ error: e }) => {
			let n = ue(e, `The GPU ${t} failed.`);
			this.#t(new v(n.kind, n.what, n));
		}), e.lost.then(({ message: e }) => this.#t(le(t, e)));
	}
	static async open(n, r) {
		let i = se(n);
		for (let [t, a, o] of ee) {
			let [s, c] = [r[t], n.limits[a]];
			if (s <= c) continue;
			let l = `The model needs ${o.replace("NEEDED", String(s)).replace("MOST", String(c))}.`;
			throw new e("device", `The GPU ${i} cannot run this model.`, {
				why: l,
				hint: _
			});
		}
		let a = re.map(([, e]) => e).filter((e) => n.features.has(e)), o = Object.fromEntries(ee.map(([, e]) => [e, n.limits[e]]));
		try {
			return new t(await n.requestDevice({
				label: "hearth",
				requiredFeatures: a,
				requiredLimits: o
			}), i);
		} catch (t) {
			throw new e("device", `The GPU ${i} cannot be opened.`, {
				why: String(t),
				hint: _
			});
		}
	}
	get isLost() {
		return this.#e instanceof v;
	}
	requireSound() {
		if (this.#e !== void 0) throw this.#e;
	}
	async make(e, t) {
		this.requireSound();
		for (let e of ne) this.device.pushErrorScope(e);
		let n, r;
		try {
			r = t();
		} finally {
			n = this.popScopes(ne.length, e), n.catch(() => void 0);
		}
		return await n, this.requireSound(), r;
	}
	async popScopes(e, t) {
		let n = await Promise.all(Array.from({ length: e }, () => this.device.popErrorScope())).catch((e) => {
			throw this.explain(e, t);
		});
		for (let e of n) if (e !== null) throw ue(e, t);
	}
	createBuffer(e, t, n) {
		let r = this.device.createBuffer({
			label: e,
			size: t,
			usage: n
		});
		return this.allocatedBytes += t, r;
	}
	destroyBuffer(e) {
		this.allocatedBytes -= e.size, e.destroy();
	}
	explain(t, n) {
		return this.#e === void 0 ? t instanceof e ? t : new e("device", n, {
			why: String(t),
			hint: _
		}) : this.#e;
	}
	async wait(e) {
		let t = this.device.queue.onSubmittedWorkDone();
		for (; !await h(t, te);) this.device.queue.submit([]);
		await t.catch((t) => {
			throw this.explain(t, e);
		}), this.requireSound();
	}
	close() {
		this.#t(new e("usage", "The model is closed.")), this.device.destroy();
	}
	#t(e) {
		this.#e ??= e;
	}
};
async function oe(t) {
	let n = globalThis.navigator?.gpu;
	if (n === void 0) {
		let t = globalThis.isSecureContext === !1 ? "Pages have WebGPU over https or on localhost only." : "This browser has no WebGPU, or it is switched off.";
		throw new e("device", "There is no GPU.", {
			why: t,
			hint: _
		});
	}
	let r = await n.requestAdapter({ powerPreference: "high-performance" });
	if (r === null) throw new e("device", "There is no GPU.", {
		why: "The browser offers none of this machine's.",
		hint: _
	});
	if (r.info.isFallbackAdapter && !t) {
		let t = `The GPU ${se(r)} is a program that plays one, slower than the processor's own kernels.`;
		throw new e("device", "There is no GPU.", {
			why: t,
			hint: _
		});
	}
	return r;
}
function se({ info: e }) {
	return e.description ? e.description : [
		e.vendor,
		e.architecture,
		e.device
	].filter(Boolean).join(" ") || "without a name";
}
function ce(e) {
	let t = new Set(re.filter(([, t]) => e.features.has(t)).map(([e]) => e));
	return navigator.gpu.wgslLanguageFeatures?.has(ie) === !0 && t.add("dot4"), t;
}
function le(e, t) {
	return new v("device", `The GPU ${e} was lost.`, {
		why: t,
		hint: "Load the model again."
	});
}
function ue(t, n) {
	let r = typeof GPUOutOfMemoryError < "u" && t instanceof GPUOutOfMemoryError, i = r ? "Use a smaller context, a smaller model or a smaller number format, or close other pages." : _;
	return new e(r ? "memory" : "device", n, {
		why: t.message,
		hint: i
	});
}
// src/gpu/known_answers.ts
var de = 1;
function fe(t) {
	let n;
	try {
		n = JSON.parse(t);
	} catch (t) {
		throw new e("corrupt", "The bundle's known answers are no JSON.", { why: String(t) });
	}
	if (n.format !== de) throw new e("mismatch", `The bundle's known answers have format ${n.format}.`, {
		why: `This package reads format ${de}.`,
		hint: "Package the model again with the Hearth that the page came with: hearth package web MODEL."
	});
	let r = n.calls.map((e) => ({
		...e,
		logits: pe(e.logits)
	}));
	return {
		pages: n.pages,
		calls: r
	};
}
function pe(e) {
	let t = Uint8Array.from(atob(e), (e) => e.charCodeAt(0));
	return new Float32Array(t.buffer);
}
// src/gpu/shaders.ts
var y = "core", me = /^\/\/@ .*$/gm, b = /^\/\/@ ([A-Za-z_]\w*) (\d{1,3}) ([a-z0-9+]+)$/, he = "Compile the model again: hearth compile MODEL --target wasm32";
function ge(t) {
	let n = [...t.matchAll(me)];
	return n.map((r, i) => {
		let a = b.exec(r[0]);
		if (a === null) throw new e("corrupt", `The bundle's shaders have a line that says nothing: ${r[0]}`, { hint: he });
		let o = t.slice(r.index + r[0].length + 1, n[i + 1]?.index);
		return {
			name: a[1],
			threads: Number(a[2]),
			features: a[3],
			text: o
		};
	});
}
function _e(t, n, r) {
	let i = /* @__PURE__ */ new Map();
	for (let e of t) i.set(e.name, [...i.get(e.name) ?? [], e]);
	return n.map(({ name: t }) => {
		let n = i.get(t) ?? [], a = n.find(({ features: e }) => e === y);
		if (a === void 0) throw new e("mismatch", `The bundle has no shader for the kernel ${t}, which its plan asks for.`, { hint: he });
		let o = n.filter(({ features: e }) => e !== "core" && e.split("+").every((e) => r.has(e)));
		return {
			name: t,
			core: a,
			variants: new Map(o.map((e) => [e.features, e]))
		};
	});
}
// src/gpu/race.ts
var ve = .1, ye = .05, be = 5, xe = 100, Se = class extends v {}, Ce = 2;
async function we(e, t, n, r, i) {
	let a = (e) => De(t, r, i, e), o = t.calls.map(({ logits: e }) => e), s = e.kernels.filter((e) => e.variants.size > 0 && n.choice(e) === void 0), c = await a(s.length > 0), l = Ne(c.logits, o);
	if (l > ve) {
		if (Object.keys(e.variants).length === 0) throw Fe(e, l);
		return await n.choose(new Map(e.kernels.filter(({ variants: e }) => e.size > 0).map((e) => [e, y]))), await e.use(() => y), we(e, t, n, r, i);
	}
	if (s.length === 0) return;
	let u = /* @__PURE__ */ new Map([[y, c]]);
	for (let t of [...new Set(s.flatMap(({ variants: e }) => [...e.keys()]))].sort()) {
		if (await n.hasLost(t)) continue;
		let r = await Te(e, t, n, a);
		r !== void 0 && Ne(r.logits, c.logits) <= ye && u.set(t, r);
	}
	await n.choose(new Map(s.map((e) => [e, Ee(e, u)]))), await e.use((e) => n.choice(e) ?? "core");
}
async function Te(e, t, n, r) {
	await n.beginTrial(t);
	try {
		return await e.use(() => t), await r(!0);
	} catch (e) {
		if (e instanceof v) throw new Se(e.kind, e.what, e);
		return;
	} finally {
		e.gpu.isLost || await n.endTrial(t);
	}
}
function Ee({ name: e, variants: t }, n) {
	let r = ({ milliseconds: t, ran: n }) => Math.min(...t.filter((t, r) => n[r].has(e))), i = y;
	for (let e of t.keys()) {
		let t = n.get(e);
		t !== void 0 && r(t) < r(n.get(i)) && (i = e);
	}
	return i;
}
async function De({ pages: e, calls: t }, n, r, i) {
	let a = await r(n ? {
		pages: e,
		slots: Ce
	} : { pages: e }), [o, s, c] = [
		[],
		[],
		[]
	];
	try {
		for (let [e, r] of t.entries()) {
			let t = {
				...ke(r),
				...n && Ae(r, e)
			};
			o.push(await Oe(a, r, t)), c.push(new Set(a.counters.kernels)), i && s.push(await Me(() => a.forward({
				...t,
				outputs: ["argmax"]
			})));
		}
	} finally {
		a.close();
	}
	return {
		logits: o,
		milliseconds: s,
		ran: c
	};
}
async function Oe(e, { rows: t, stride: n }, r) {
	let { logits: i, argmax: a } = await e.forward({
		...r,
		outputs: ["logits", "argmax"]
	}), o = i.length / t;
	return a.every((e, t) => je(i.subarray(t * o, (t + 1) * o), e)) ? i.filter((e, t) => t % n === 0) : /* @__PURE__ */ new Float32Array();
}
var ke = ({ tokens: e, position: t, pages: n, rows: r }) => ({
	tokenIds: Int32Array.from(e),
	positions: Int32Array.from(e, (e, n) => t + n),
	tokenSeq: new Int32Array(e.length),
	blockTable: Int32Array.from(n),
	blockTableStride: n.length,
	logitRows: Int32Array.from({ length: r }, (t, n) => e.length - r + n)
}), Ae = ({ tokens: e, position: t }, n) => ({
	stateFrom: Int32Array.of(t === 0 ? -1 : n % Ce),
	stateTo: new Int32Array(e.length).fill(-1).fill((n + 1) % Ce, e.length - 1)
}), je = (e, t) => e.every((n) => n <= e[t]);
async function Me(e) {
	let t = [], n = performance.now();
	for (let r = n; t.length === 0 || t.length < be && r - n < xe;) {
		await e();
		let n = r;
		t.push((r = performance.now()) - n);
	}
	return t.sort((e, t) => e - t)[t.length >> 1];
}
var Ne = (e, t) => Math.max(...t.map((t, n) => Pe(e[n], t)));
function Pe(e, t) {
	if (e.length !== t.length) return Infinity;
	let n = Math.hypot(...e.map((e, n) => e - t[n])) / Math.hypot(...t);
	return Number.isFinite(n) ? n : Infinity;
}
function Fe({ gpu: t }, n) {
	let r = Number.isFinite(n) ? `${(100 * n).toFixed(0)} % away from` : "not";
	return new e("device", `The GPU ${t.name} does not compute what the processor computes.`, {
		why: `Logits are ${r} those of the same model on the processor.`,
		hint: "Update the GPU's driver and the browser, or compute on the processor: device: \"wasm\"."
	});
}
// src/memory.ts
var Ie = 2, Le = 0, Re = 2, ze = 1, Be = 65536;
function Ve(e, t, n = 0) {
	let r = Ue(e), { initial: i } = r, a = t ? `It could not grow to ${n} bytes.` : "";
	for (let { maximum: o } = r; t && o >= i && o * Be >= n; o >>= 1) try {
		let n = new WebAssembly.Memory({
			initial: i,
			maximum: o,
			shared: t
		});
		return {
			module: He(e, r, 3),
			memory: n,
			why: ""
		};
	} catch (e) {
		a = String(e);
	}
	let o = new WebAssembly.Memory({
		initial: i,
		maximum: r.maximum
	});
	return {
		module: He(e, r, ze),
		memory: o,
		why: a
	};
}
function He(e, { flagsAt: t }, n) {
	let r = new Uint8Array(e);
	return r[t] = n, r;
}
function Ue(e) {
	let t = new Ge(e, 8);
	for (; t.at < e.length;) {
		let e = t.byte(), n = t.number() + t.at;
		if (e === Ie) for (let e = t.number(); e > 0; e--) {
			t.skip(t.number()), t.skip(t.number());
			let e = t.byte();
			if (e === Le) t.number();
			else if (e === Re) return We(t);
			else break;
		}
		t.at = n;
	}
	throw Error("It imports no memory.");
}
function We(e) {
	let t = e.at;
	if ((e.byte() & ze) === 0) throw Error("Its memory has no maximum.");
	return {
		flagsAt: t,
		initial: e.number(),
		maximum: e.number()
	};
}
var Ge = class {
	#e;
	at;
	constructor(e, t) {
		this.#e = e, this.at = t;
	}
	byte() {
		let e = this.#e[this.at++];
		if (e === void 0) throw Error("It ends too early.");
		return e;
	}
	number() {
		let e = 0;
		for (let t = 0; t < 35; t += 7) {
			let n = this.byte();
			if (e += (n & 127) * 2 ** t, n < 128) return e;
		}
		throw Error("It has a number of more than 32 bits.");
	}
	skip(e) {
		this.at += e;
	}
}, Ke = ((e) => globalThis.process?.getBuiltinModule?.(e)), qe = 1e4, Je = () => typeof Worker < "u" || Ke("node:worker_threads") !== void 0;
function Ye() {
	if (typeof Worker > "u") return Xe();
	let e = new Worker(new URL("./thread.js", import.meta.url), {
		type: "module",
		name: "hearth thread"
	});
	return {
		up: (t) => Ze((n, r) => {
			e.onmessage = () => n(), e.onerror = ({ message: e }) => r(Error(e || "The script thread.js cannot be loaded.")), e.postMessage(t);
		}),
		terminate: () => e.terminate()
	};
}
function Xe() {
	let e = new (Ke("node:worker_threads")).Worker(new URL("./thread.js", import.meta.url));
	return {
		async up(t) {
			await Ze((n, r) => {
				e.once("message", () => n()).on("error", r), e.postMessage(t);
			}), e.unref();
		},
		terminate: () => void e.terminate()
	};
}
async function Ze(e) {
	let t;
	try {
		await new Promise((n, r) => {
			t = setTimeout(() => r(/* @__PURE__ */ Error(`It has not come up in ${qe / 1e3} s.`)), qe), e(n, r);
		});
	} finally {
		clearTimeout(t);
	}
}
var Qe = 8, $e = 1 << 20, et = {
	count: 1,
	why: ""
};
function tt(t = "auto") {
	if (t !== "auto" && !(Number.isInteger(t) && t >= 1 && t <= 64)) throw new e("usage", `threads is ${String(t)}, must be a whole number from 1 to 64, or "auto".`);
	let n = t === "auto" ? nt(rt()) : t, r = n > 1 ? it() : "";
	return {
		count: r === "" ? n : 1,
		why: r
	};
}
function nt(e) {
	return e <= 4 ? Math.max(1, e) : Math.min(Qe, Math.max(4, e >> 1));
}
function rt() {
	return globalThis.navigator?.hardwareConcurrency ?? Ke("node:os")?.availableParallelism() ?? 1;
}
function it() {
	return globalThis.crossOriginIsolated === !1 ? "1 thread, as the page is not cross-origin isolated." : typeof SharedArrayBuffer > "u" ? "1 thread, as there is no shared memory here." : Je() ? "" : "1 thread, as no workers can be started here.";
}
function at() {
	try {
		return Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1), !0;
	} catch {
		return !1;
	}
}
var ot = class {
	#e;
	#t;
	#n;
	#r = [];
	#i;
	#a = "";
	constructor(e, t, n, r) {
		this.#e = e, this.#t = t, this.#n = n, this.#i = r;
	}
	get count() {
		let e = Math.min(this.#i.count, this.#e.call("hth_processor_count"));
		return this.#a === "" ? {
			count: e,
			why: this.#i.why
		} : {
			count: e,
			why: `${e} thread${e === 1 ? "" : "s"}, as no more workers start. ${this.#a}`
		};
	}
	async reserve() {
		if (this.#a !== "") return;
		let e = this.#i.count - this.count.count, t = (await Promise.allSettled(Array.from({ length: e }, () => this.#o()))).find((e) => e.status === "rejected");
		t !== void 0 && (this.#a = t.reason.message);
	}
	close() {
		for (let e of this.#r.splice(0)) e.terminate();
	}
	async #o() {
		let e = Ye();
		this.#r.push(e);
		try {
			let t = this.#e.allocate($e, "a thread"), [n, r] = [t.at, t.at + t.size], i = this.#e.call("hth_thread_create", n);
			await e.up({
				module: this.#t,
				memory: this.#n,
				timeOrigin: performance.timeOrigin,
				thread: n,
				stack: r,
				locals: i
			}), this.#e.call("hth_thread_add", n);
		} catch (t) {
			throw e.terminate(), t;
		}
	}
}, st = [
	"usage",
	"corrupt",
	"memory",
	"storage",
	"mismatch",
	"internal",
	"internal",
	"device"
], ct = 64, lt = 4096, ut = class t {
	threads;
	#e;
	#t;
	#n;
	#r;
	constructor({ module: e, instance: t }, n, r, i) {
		this.#n = r, this.#e = t.exports, this.#t = n, this.#r = new DataView(n.buffer), t.exports._initialize(), this.threads = new ot(this, e, n, i), i.count > 1 && !at() && this.call("hth_never_sleep");
	}
	static async instantiate(n, r = et, i = 0) {
		let a = new dt();
		try {
			let { module: e, memory: o, why: s } = Ve(n, r.count > 1, i), c = s === "" ? r : {
				count: 1,
				why: `1 thread, as no shared memory can be had. ${s}`
			}, l = {
				env: { memory: o },
				hearth: {
					now: () => performance.now(),
					...a.imports
				}
			};
			return new t(await WebAssembly.instantiate(e, l), o, a, c);
		} catch (t) {
			throw new e("mismatch", "The bundle's module cannot be loaded.", {
				why: String(t),
				hint: "Compile the model again: hearth compile MODEL --target wasm32"
			});
		}
	}
	close() {
		this.threads.close();
	}
	attach(e, t) {
		t === void 0 ? this.#n.sessions.delete(e) : this.#n.sessions.set(e, t);
	}
	get view() {
		return this.#r.buffer !== this.#t.buffer && (this.#r = new DataView(this.#t.buffer)), this.#r;
	}
	get memoryBytes() {
		return this.#t.buffer.byteLength;
	}
	bytes(e, t) {
		return new Uint8Array(this.#t.buffer, e, t);
	}
	call(e, ...t) {
		return Number(this.#e[e](...t)) >>> 0;
	}
	check(t, n, ...r) {
		let i = this.call(n, ...r), a = this.#n.takeFailure();
		if (i !== 0) throw a === void 0 ? new e(st[i - 1] ?? "internal", t, { why: this.text(this.call("hearth_error")) }) : a;
	}
	allocate(t, n) {
		let r = Math.max(Math.ceil(t / lt), 1) * lt, i = r < 2 ** 32 ? this.call("hth_pages_allocate", r, ct) : 0;
		if (i === 0) throw new e("memory", `${t} bytes for ${n} cannot be had.`, {
			why: `The module's memory has ${this.memoryBytes} bytes, and may have 4 GiB where the system gives them.`,
			hint: "Use a smaller context, a smaller model or a smaller number format."
		});
		return {
			at: i,
			size: r
		};
	}
	free(e) {
		this.call("hth_pages_free", e.at, e.size);
	}
	text(e) {
		let t = new Uint8Array(this.#t.buffer);
		return new TextDecoder().decode(t.slice(e, t.indexOf(0, e)));
	}
}, dt = class {
	sessions = /* @__PURE__ */ new Map();
	#e;
	imports = {
		gpu_write: (e, t, n, r) => {
			this.#t(e, (e) => e.write(t, n >>> 0, r >>> 0));
		},
		gpu_run: (e, t, n, r, i, a) => this.#t(e, (e) => e.run(t, n, r >>> 0, i >>> 0, a)),
		gpu_clear_states: (e) => this.#t(e, (e) => e.clearStates())
	};
	takeFailure() {
		let e = this.#e;
		return this.#e = void 0, e;
	}
	#t(e, t) {
		if (this.#e !== void 0) return 1;
		try {
			return t(this.sessions.get(e >>> 0)), 0;
		} catch (e) {
			return this.#e = e, 1;
		}
	}
}, ft = "plan.bin", pt = "gpu_plan.bin", mt = "gpu_kernels.wgsl", ht = "known_answers.json", gt = "weights.bin", _t = "tokenizer_meta.json", vt = "manifest.json";
function yt(t) {
	let n;
	try {
		n = JSON.parse(t);
	} catch (t) {
		throw new e("corrupt", `${vt} is no JSON.`, { why: String(t) });
	}
	if (typeof n != "object" || !n || !("format_version" in n)) throw new e("corrupt", `${vt} is no manifest of a bundle: it names no format.`);
	let r = [n.format_version, n.abi_version];
	if (r[0] !== 7 || r[1] !== 5) throw new e("mismatch", `This bundle has format ${r.join(", runtime ")}.`, {
		why: "This package reads format 7, runtime 5.",
		hint: "Compile the model with the Hearth that this package came with."
	});
	if (n.target !== "wasm32") throw new e("mismatch", `The bundle of ${n.source_name} is for ${n.target}.`, {
		why: "A page runs WebAssembly.",
		hint: `Compile it for that: hearth compile ${n.source_name} --target wasm32`
	});
	return n;
}
var bt = (e) => `libhearth-${e.name}.wasm`, xt = class {
	#e;
	#t = /* @__PURE__ */ new Map();
	constructor(e) {
		this.#e = e;
	}
	make(e) {
		return Promise.all(e.map((e) => {
			let t = this.#t.get(e);
			return t === void 0 && this.#t.set(e, t = this.#n(e)), t;
		}));
	}
	async #n({ name: e, features: t, text: n }) {
		let r = `The GPU ${this.#e.name} refuses the kernel ${e}.`, i = await this.#e.make(r, () => this.#e.device.createShaderModule({
			label: e,
			code: St(t, n)
		}));
		try {
			let t = {
				module: i,
				entryPoint: e
			};
			return await this.#e.device.createComputePipelineAsync({
				label: e,
				layout: "auto",
				compute: t
			});
		} catch (e) {
			throw this.#e.explain(e, r);
		}
	}
};
function St(e, t) {
	return ["f16", "subgroups"].filter((n) => e.split("+").includes(n) && !t.includes(`enable ${n};`)).map((e) => `enable ${e};\n`).join("") + t;
}
// src/store/memos.ts
var Ct = "hearth-memos", wt = (e) => `/${Ct}/${e}`;
async function Tt(e) {
	try {
		return await (await (await caches.open(Ct)).match(wt(e)))?.json();
	} catch {
		return;
	}
}
async function Et(e, t) {
	try {
		await (await caches.open(Ct)).put(wt(e), new Response(JSON.stringify(t)));
	} catch {}
}
// src/store/sha256.ts
var Dt = Array.from({ length: 400 }, (e, t) => t).filter((e) => e > 1 && ![...Array(e).keys()].some((t) => t > 1 && e % t === 0)), Ot = (e) => Math.floor((e - Math.floor(e)) * 2 ** 32) | 0, kt = Int32Array.from(Dt.slice(0, 64), (e) => Ot(Math.cbrt(e))), At = Int32Array.from(Dt.slice(0, 8), (e) => Ot(Math.sqrt(e))), jt = 64;
async function Mt(e) {
	let t = globalThis.crypto?.subtle;
	return Nt(t === void 0 ? Pt(e) : new Uint8Array(await t.digest("SHA-256", e)));
}
var Nt = (e) => Array.from(e, (e) => e.toString(16).padStart(2, "0")).join("");
function Pt(e) {
	let t = At.slice(), n = e.length - e.length % jt, r = new DataView(e.buffer, e.byteOffset, e.byteLength);
	for (let e = 0; e < n; e += jt) It(t, r, e);
	let i = e.subarray(n), a = new Uint8Array(i.length + 9 <= jt ? jt : 128);
	a.set(i), a[i.length] = 128;
	let o = new DataView(a.buffer);
	o.setBigUint64(a.length - 8, BigInt(e.length) * 8n);
	for (let e = 0; e < a.length; e += jt) It(t, o, e);
	let s = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(32));
	return t.forEach((e, t) => s.setInt32(4 * t, e)), new Uint8Array(s.buffer);
}
var Ft = /* @__PURE__ */ new Int32Array(64), x = (e, t) => e >>> t | e << 32 - t;
function It(e, t, n) {
	for (let e = 0; e < 16; e++) Ft[e] = t.getInt32(n + 4 * e);
	for (let e = 16; e < 64; e++) {
		let [t, n] = [Ft[e - 15], Ft[e - 2]], r = x(t, 7) ^ x(t, 18) ^ t >>> 3, i = x(n, 17) ^ x(n, 19) ^ n >>> 10;
		Ft[e] = Ft[e - 16] + r + Ft[e - 7] + i;
	}
	let [r, i, a, o, s, c, l, u] = e;
	for (let e = 0; e < 64; e++) {
		let t = x(s, 6) ^ x(s, 11) ^ x(s, 25), n = u + t + (s & c ^ ~s & l) + kt[e] + Ft[e] | 0, d = (x(r, 2) ^ x(r, 13) ^ x(r, 22)) + (r & i ^ r & a ^ i & a) | 0;
		[u, l, c, s, o, a, i, r] = [
			l,
			c,
			s,
			o + n | 0,
			a,
			i,
			r,
			n + d | 0
		];
	}
	[
		r,
		i,
		a,
		o,
		s,
		c,
		l,
		u
	].forEach((t, n) => e[n] += t);
}
// src/gpu/race_record.ts
var Lt = 1;
async function Rt({ name: e, core: t, variants: n }) {
	let r = [t, ...n.values()].map(({ features: e, text: t }) => `${e}\0${t}`);
	return `${e} ${await Mt(new TextEncoder().encode(r.join("\0")))}`;
}
var zt = class e {
	#e;
	#t;
	#n;
	constructor(e, t, n) {
		this.#e = e, this.#t = t, this.#n = n;
	}
	static async open({ info: t, features: n }, r) {
		let i = globalThis.navigator.userAgent, a = [
			t.vendor,
			t.architecture,
			t.device,
			t.description
		].join(" ").trim(), o = JSON.stringify([
			a,
			i,
			[...n].sort()
		]), s = `gpu-${await Mt(new TextEncoder().encode(o))}`, c = r.filter(({ variants: e }) => e.size > 0), l = new Map(await Promise.all(c.map(async (e) => [e, await Rt(e)]))), u = await Tt(s), d = {
			version: Lt,
			adapter: a,
			browser: i,
			kernels: {},
			lost: []
		};
		return new e(s, l, u?.version === Lt ? u : d);
	}
	choice(e) {
		return this.#n.kernels[this.#t.get(e)];
	}
	async hasLost(e) {
		return this.#n.lost.includes(await this.#i(e));
	}
	async beginTrial(e) {
		await this.#r({ lost: [.../* @__PURE__ */ new Set([...this.#n.lost, await this.#i(e)])] });
	}
	async endTrial(e) {
		let t = await this.#i(e);
		await this.#r({ lost: this.#n.lost.filter((e) => e !== t) });
	}
	async choose(e) {
		let t = [...e].map(([e, t]) => [this.#t.get(e), t]);
		await this.#r({ kernels: {
			...this.#n.kernels,
			...Object.fromEntries(t)
		} });
	}
	async #r(e) {
		this.#n = {
			...this.#n,
			...e
		}, await Et(this.#e, this.#n);
	}
	async #i(e) {
		let t = [...this.#t].filter(([{ variants: t }]) => t.has(e)).map(([, e]) => e);
		return `${e} ${await Mt(new TextEncoder().encode(t.sort().join()))}`;
	}
}, Bt = 1 / 16, Vt = 16, Ht = 250, Ut = .3, Wt = .1, Gt = class {
	#e;
	#t;
	constructor(e) {
		this.#e = e;
	}
	get steps() {
		if (this.#t === void 0) return 1;
		let e = Math.ceil(this.#e() / Bt / this.#t);
		return Math.max(1, Math.min(e, Vt, Math.floor(Ht / this.#t)));
	}
	stepsWithin(e) {
		return this.#t === void 0 && e !== Infinity ? 1 : Math.max(1, Math.floor(e / (this.#t ?? 1)));
	}
	expectedMs(e) {
		return e * (this.#t ?? 0);
	}
	took(e, t) {
		let n = Math.max(Wt, (t - this.#e()) / e);
		this.#t = this.#t === void 0 ? n : this.#t + Ut * (n - this.#t);
	}
}, Kt = 65536, qt = 8, Jt = 20, Yt = 1, Xt = 4, Zt = class {
	latencyMs = 0;
	#e;
	#t;
	#n = !1;
	constructor(e) {
		this.#e = e;
	}
	reserve(e) {
		if (this.#t !== void 0 && this.#t.size >= e) return this.#t;
		let t = this.#t?.size ?? Kt;
		for (; t < e;) t *= 2;
		return this.close(), this.#t = this.#e.createBuffer("outputs", t, g.MAP_READ | g.COPY_DST), this.#t;
	}
	async read(e, t) {
		let n = this.#t, r = n.mapAsync(1, 0, e);
		this.#n && await this.#r(r, t), await r;
		let i = new Uint8Array(n.getMappedRange(0, e)).slice();
		return n.unmap(), i;
	}
	async measure() {
		await this.#e.make(`The GPU ${this.#e.name} has no memory for outputs.`, () => this.reserve(4));
		let e = [];
		for (; e.length < qt;) {
			let t = performance.now(), n = this.#e.device.createCommandEncoder();
			n.clearBuffer(this.#t, 0, 4), this.#e.device.queue.submit([n.finish()]);
			let r = this.read(4, 0).catch((e) => {
				throw this.#e.explain(e, "What the GPU computed cannot be read.");
			}), i = this.#n || await h(r, Jt);
			i || (this.#n = !0, await this.#r(r, 0)), await r, i ? e.push(performance.now() - t) : e.length = 0;
		}
		let t = e.reduce((e, t) => e + t, 0) / qt;
		this.latencyMs = this.#n ? Math.max(t, Xt) : t, this.close();
	}
	close() {
		this.#t !== void 0 && this.#e.destroyBuffer(this.#t), this.#t = void 0;
	}
	async #r(e, t) {
		let { queue: n } = this.#e.device;
		if (t > 8 && await h(e, t / 2)) return;
		let r = !1;
		h(e, Infinity).then(() => r = !0);
		let i = new Qt(), a = performance.now();
		for (let t = -Infinity; !r; await i.next()) {
			let r = performance.now();
			if (!(r - t < Yt)) {
				if (r - a > Xt && await h(e, Xt)) break;
				n.submit([]), t = r;
			}
		}
		i.close();
	}
}, Qt = class {
	#e = new MessageChannel();
	next() {
		let { port1: e, port2: t } = this.#e;
		return new Promise((n) => {
			t.onmessage = () => n(), e.postMessage(void 0);
		});
	}
	close() {
		this.#e.port2.close();
	}
}, $t = {
	u32: 4,
	pointer: 4,
	u64: 8,
	i64: 8
};
function S(e) {
	let t = 0, n = 1, r = {};
	for (let [i, a] of Object.entries(e)) {
		let e = $t[a];
		r[i] = t = Math.ceil(t / e) * e, t += e, n = Math.max(n, e);
	}
	return {
		size: Math.ceil(t / n) * n,
		offsets: r,
		types: e
	};
}
function en(e, t, n, r) {
	for (let i of Object.keys(n.offsets)) {
		let a = t + n.offsets[i], o = r[i] ?? 0;
		$t[n.types[i]] === 8 ? e.setBigInt64(a, BigInt(o), !0) : e.setUint32(a, o, !0);
	}
}
function tn(e, t, n, r) {
	let i = t + n.offsets[r];
	return $t[n.types[r]] === 8 ? Number(e.getBigInt64(i, !0)) : e.getUint32(i, !0);
}
var nn = S({
	struct_size: "u32",
	use_mmap: "u32",
	load_threads: "u32",
	reserved: "u32",
	memory_limit_bytes: "u64",
	progress: "pointer",
	progress_user: "pointer",
	isa: "pointer",
	device: "pointer"
}), rn = S({
	name: "pointer",
	value: "i64"
}), an = S({
	struct_size: "u32",
	threads: "u32",
	sizes: "pointer",
	num_sizes: "u32",
	reserved: "u32"
}), on = S({
	struct_size: "u32",
	num_tokens: "u32",
	num_seqs: "u32",
	num_logit_rows: "u32",
	block_table_stride: "u32",
	num_prompt_tokens: "u32",
	token_ids: "pointer",
	positions: "pointer",
	token_seq: "pointer",
	block_table: "pointer",
	logit_rows: "pointer",
	num_embeddings: "u32",
	outputs: "u32",
	embeddings: "pointer",
	embedded_tokens: "pointer",
	last_seen: "pointer",
	rope_positions: "pointer",
	layer_input: "pointer",
	state_from: "pointer",
	state_to: "pointer"
}), sn = S({
	data: "pointer",
	dtype: "u32",
	rows: "u32",
	cols: "u32",
	row_stride: "u32"
}), cn = S({
	struct_size: "u32",
	reserved: "u32"
}), ln = [
	"logits",
	"argmax",
	"hidden",
	"layer_output",
	"likeliest"
], un = {
	logits: 1,
	argmax: 2,
	hidden: 4,
	nothing: 8,
	likeliest: 16
}, C = S({
	name: "pointer",
	data: "pointer",
	dtype: "u32",
	rank: "u32",
	shape0: "i64",
	shape1: "i64",
	shape2: "i64",
	shape3: "i64",
	shape4: "i64",
	shape5: "i64",
	shape6: "i64",
	shape7: "i64",
	row_stride: "i64"
}), dn = (e) => `shape${e}`, fn = 8, pn = S({
	strings: "pointer",
	args: "pointer",
	arena_bytes: "pointer",
	buffers: "pointer",
	weights: "pointer",
	states: "pointer",
	kernels: "pointer",
	steps: "pointer",
	num_buffers: "u32",
	num_weights: "u32",
	num_states: "u32",
	num_kernels: "u32",
	num_steps: "u32",
	num_inputs: "u32"
}), mn = S({
	kind: "u32",
	index: "u32",
	offset: "u64",
	size: "u64"
}), hn = S({
	name: "u32",
	zero: "u32",
	offset: "u64",
	size: "u64"
}), gn = S({
	name: "u32",
	symbol: "u32",
	unit_bytes: "u64"
}), _n = S({
	name: "u32",
	num_buffers: "u32",
	num_scalars: "u32",
	zero: "u32"
}), vn = S({
	kernel: "u32",
	first_arg: "u32",
	units: "u32",
	grain: "u32",
	label: "u32",
	flags: "u32"
}), yn = S({
	changing_bytes: "u64",
	input_bytes: "pointer",
	input_offsets: "pointer",
	state_bytes: "pointer"
}), bn = S({
	offset: "u64",
	arena: "u32",
	size: "u32",
	to: "pointer"
}), xn = [
	"arena",
	"weight",
	"state",
	"input"
];
function Sn(e, t, n, r, i) {
	let a = e.view;
	return Array.from({ length: n }, (e, n) => i((e) => tn(a, t + n * r.size, r, e)));
}
var Cn = (e, t, n) => Array.from({ length: n }, (n, r) => Number(e.view.getBigUint64(t + 8 * r, !0)));
function wn(e, t) {
	let n = e.call("hth_web_plan", t), r = (t) => tn(e.view, n, pn, t), i = (t) => e.text(r("strings") + t), a = Sn(e, r("buffers"), r("num_buffers"), mn, (e) => ({
		kind: xn[e("kind")],
		index: e("index"),
		offset: e("offset"),
		size: e("size")
	})), o = Sn(e, r("kernels"), r("num_kernels"), _n, (e) => ({
		name: i(e("name")),
		numBuffers: e("num_buffers")
	})), s = r("args");
	return {
		arenaBytes: Cn(e, r("arena_bytes"), fn),
		buffers: a,
		weights: Sn(e, r("weights"), r("num_weights"), hn, (e) => ({
			name: i(e("name")),
			offset: e("offset"),
			size: e("size")
		})),
		states: Sn(e, r("states"), r("num_states"), gn, (e) => ({ name: i(e("name")) })),
		kernels: o,
		steps: Sn(e, r("steps"), r("num_steps"), vn, (t) => ({
			label: i(t("label")),
			kernel: t("kernel"),
			buffers: Array.from({ length: o[t("kernel")].numBuffers }, (n, r) => a[e.view.getUint32(s + 4 * (t("first_arg") + r), !0)])
		})),
		numInputs: r("num_inputs")
	};
}
function Tn(e, t, n) {
	let r = e.call("hth_web_session", t), i = (t) => tn(e.view, r, yn, t), a = Cn(e, i("input_offsets"), n.numInputs), o = Cn(e, i("input_bytes"), n.numInputs);
	return {
		changingBytes: i("changing_bytes"),
		inputs: a.map((e, t) => ({
			offset: e,
			size: o[t]
		})),
		stateBytes: Cn(e, i("state_bytes"), n.states.length)
	};
}
function En(e, t, n) {
	return Sn(e, t, n, bn, (e) => ({
		arena: e("arena"),
		offset: e("offset"),
		size: e("size"),
		to: e("to")
	}));
}
// src/gpu/calls.ts
var Dn = 32768, On = 16384, kn = 200, An = {
	steps: 0,
	dispatches: 0,
	passes: 0,
	submits: 0,
	readBacks: 0,
	writes: 0,
	writtenBytes: 0,
	readBytes: 0,
	objects: 0
}, jn = class {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a;
	#o;
	#s = [];
	#c = [];
	#l = 0;
	#u = !1;
	#d = { ...An };
	#f = An;
	#p = /* @__PURE__ */ new Set();
	constructor(e, t, n) {
		this.#e = e, this.#t = t, this.#n = n, this.#r = new Zt(t.gpu), this.#i = new Gt(() => this.#r.latencyMs);
	}
	async measure() {
		await this.#r.measure();
	}
	get costs() {
		return this.#f;
	}
	get ran() {
		return this.#p;
	}
	get stepsWorthReading() {
		return this.#i.steps;
	}
	write(e, t, n) {
		let r = this.#e.bytes(t, n);
		this.#s.length > 0 ? this.#c.push({
			offset: e,
			bytes: r.slice()
		}) : this.#g(this.#n.changing, e, r);
	}
	run(e, t, n, r, i) {
		this.#t.gpu.requireSound();
		let a = this.#e.view, o = Array.from({ length: t }, (e, t) => a.getUint32(n + 8 * t, !0)), s = En(this.#e, r, i);
		if (this.#s.push({
			firstStep: e,
			units: o,
			copies: s,
			changes: this.#c,
			follows: this.#l > 0
		}), this.#c = [], this.#u) return;
		let c = Mn(s), l = this.#m(0, c);
		this.#o = this.#y(l, s, c), this.#o.catch(() => void 0);
	}
	async decode(e, t, n, { submitMs: r = 8 }) {
		let i = performance.now(), a = [], o = this.#i.stepsWithin(r), s = 0;
		this.#u = !0;
		try {
			for (let r = 0; r < e; r++) t(r), s = Mn(this.#s.at(-1).copies), this.#l++, this.#s.length < o && r < e - 1 || a.push(this.#m(n, s * e));
		} finally {
			this.#v(a, n, s, e);
		}
		let c = await this.#b(Promise.all(a), s * e, this.#i.expectedMs(e));
		return this.#i.took(e, performance.now() - i), Array.from({ length: e }, (e, t) => new Int32Array(c.buffer, t * s, s / 4));
	}
	async finish() {
		await this.#o;
	}
	close() {
		this.#a !== void 0 && this.#t.gpu.destroyBuffer(this.#a), this.#r.close();
	}
	#m(e, t) {
		let { gpu: n } = this.#t;
		n.device.pushErrorScope("out-of-memory"), n.device.pushErrorScope("validation");
		let r = n.allocatedBytes, i = t > 0 ? this.#r.reserve(t) : void 0;
		n.allocatedBytes !== r && this.#d.objects++, this.#h();
		let a = n.device.createCommandEncoder(), o = this.#l - this.#s.length;
		this.#p = /* @__PURE__ */ new Set();
		let s = 0;
		return this.#s.forEach((t, n) => {
			for (let { offset: e, bytes: n } of t.changes) a.copyBufferToBuffer(this.#a, s, this.#n.changing, e, n.length), s += n.length;
			if (t.follows) {
				let [{ arena: n, offset: r, size: i }] = t.copies;
				a.copyBufferToBuffer(this.#n.arenas[n], r, this.#n.changing, e, i);
			}
			this.#_(a, t), t.follows && a.clearBuffer(this.#n.changing, e, Mn(t.copies));
			let r = this.#u ? (o + n) * Mn(t.copies) : 0;
			for (let { arena: e, offset: n, size: o } of t.copies) a.copyBufferToBuffer(this.#n.arenas[e], n, i, r, o), r += o;
		}), n.device.queue.submit([a.finish()]), this.#d.steps += this.#s.length, this.#d.submits++, this.#s = [], n.popScopes(2, "The GPU refuses a call.");
	}
	#h() {
		let e = this.#s.flatMap((e) => e.changes), t = e.reduce((e, { bytes: t }) => e + t.length, 0);
		if (t === 0) return;
		let { gpu: n } = this.#t;
		if (this.#a === void 0 || this.#a.size < t) {
			let e = this.#a?.size ?? On;
			for (; e < t;) e *= 2;
			this.#a !== void 0 && n.destroyBuffer(this.#a), this.#a = n.createBuffer("inputs of later steps", e, g.COPY_SRC | g.COPY_DST), this.#d.objects++;
		}
		let r = new Uint8Array(t), i = 0;
		for (let { bytes: t } of e) r.set(t, i), i += t.length;
		this.#g(this.#a, 0, r);
	}
	#g(e, t, n) {
		this.#t.gpu.device.queue.writeBuffer(e, t, n), this.#d.writes++, this.#d.writtenBytes += n.length;
	}
	#_(e, { firstStep: t, units: n }) {
		let { plan: r, pipelines: i } = this.#t, a, o;
		n.forEach((n, s) => {
			if (n === 0) return;
			a ??= e.beginComputePass();
			let { kernel: c } = r.steps[t + s], l = i[c];
			l !== o && a.setPipeline(l), o = l, this.#p.add(c), a.setBindGroup(0, this.#n.groups[t + s]);
			let u = Math.min(n, Dn);
			a.dispatchWorkgroups(u, 1, Math.ceil(n / u)), this.#d.dispatches++;
		}), a?.end(), a !== void 0 && this.#d.passes++;
	}
	#v(e, t, n, r) {
		this.#s.length > 0 && e.push(this.#m(t, n * r));
		for (let { offset: e, bytes: t } of this.#c) this.#g(this.#n.changing, e, t);
		for (let t of e) t.catch(() => void 0);
		this.#c = [], this.#l = 0, this.#u = !1;
	}
	async #y(e, t, n) {
		let r = await this.#b(e, n, 0), i = 0;
		for (let { size: e, to: n } of t) this.#e.bytes(n, e).set(r.subarray(i, i + e)), i += e;
	}
	async #b(e, t, n) {
		let { gpu: r } = this.#t;
		this.#f = {
			...this.#d,
			readBytes: t,
			readBacks: +(t > 0)
		}, this.#d = { ...An };
		let [i, a] = await Promise.allSettled([e, t > 0 ? this.#r.read(t, n) : /* @__PURE__ */ new Uint8Array()]);
		a.status === "rejected" && await h(r.device.lost, kn), r.requireSound();
		for (let e of [i, a]) if (e.status === "rejected") throw r.explain(e.reason, "What the GPU computed cannot be read.");
		return a.value;
	}
}, Mn = (e) => e.reduce((e, { size: t }) => e + t, 0), w = 256, Nn = 16, Pn = (e) => Math.ceil(Math.max(e, 1) / Nn) * Nn;
function Fn(e, t) {
	return e.reduce((e, t) => e + Math.ceil(t / w) * w, 0) + t.stateBytes.reduce((e, t) => e + t, 0) + t.changingBytes;
}
var In = class {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a;
	constructor(e, t, n) {
		let { gpu: r, plan: i } = t, { STORAGE: a, UNIFORM: o, COPY_SRC: s, COPY_DST: c } = g;
		this.#e = t, this.#t = n, this.#n = i.arenaBytes.map((e, t) => {
			let n = Math.ceil(e / w) * w;
			return e > 0 ? r.createBuffer(`arena ${t}`, n, a | s) : void 0;
		}), this.#r = i.states.map(({ name: e }, t) => r.createBuffer(e, n.stateBytes[t], a | c));
		let l = a | o | c;
		this.#i = r.createBuffer("uniforms and inputs", Math.max(n.changingBytes, w), l);
		let u = i.steps.map((e, t) => this.#o(e, t));
		this.#a = new jn(e, t, {
			arenas: this.#n,
			changing: this.#i,
			groups: u
		});
	}
	async measure() {
		await this.#a.measure();
	}
	get stepsWorthReading() {
		return this.#a.stepsWorthReading;
	}
	get counters() {
		let { weightBytes: e, plan: t, gpu: n } = this.#e, r = e + Fn(t.arenaBytes, this.#t), { costs: i, ran: a } = this.#a, o = t.kernels.filter((e, t) => a.has(t)).map(({ name: e }) => e);
		return {
			...i,
			kernels: o,
			plannedBytes: r,
			allocatedBytes: n.allocatedBytes
		};
	}
	write(e, t, n) {
		this.#a.write(e, t, n);
	}
	run(e, t, n, r, i) {
		this.#a.run(e, t, n, r, i);
	}
	decode(e, t, n, r) {
		return this.#a.decode(e, t, this.#t.inputs[n].offset, r);
	}
	clearStates() {
		let e = this.#e.gpu.device.createCommandEncoder();
		for (let t of this.#r) e.clearBuffer(t);
		this.#e.gpu.device.queue.submit([e.finish()]);
	}
	async finish() {
		await this.#a.finish();
	}
	close() {
		let e = [
			...this.#n,
			...this.#r,
			this.#i
		];
		for (let t of e) t !== void 0 && this.#e.gpu.destroyBuffer(t);
		this.#a.close(), this.#e.forget(this);
	}
	#o(e, t) {
		let n = {
			buffer: this.#i,
			offset: t * w,
			size: w
		}, r = [...e.buffers.map((e) => this.#s(e)), n], i = this.#e.pipelines[e.kernel].getBindGroupLayout(0), a = r.map((e, t) => ({
			binding: t,
			resource: e
		}));
		return this.#e.gpu.device.createBindGroup({
			label: e.label,
			layout: i,
			entries: a
		});
	}
	#s(e) {
		switch (e.kind) {
			case "arena": return {
				buffer: this.#n[e.index],
				offset: e.offset,
				size: Pn(e.size)
			};
			case "weight": return {
				...this.#e.weightPlace(e),
				size: Pn(e.size)
			};
			case "state": return { buffer: this.#r[e.index] };
			case "input": {
				let { offset: t, size: n } = this.#t.inputs[e.index];
				return {
					buffer: this.#i,
					offset: t,
					size: Pn(n)
				};
			}
		}
	}
};
function Ln(t, n) {
	let { gpu: r, plan: i } = t, a = Math.min(r.device.limits.maxStorageBufferBindingSize, r.device.limits.maxBufferSize);
	i.states.forEach(({ name: t }, i) => {
		if (n.stateBytes[i] <= a) return;
		let o = `The state ${t} would take ${n.stateBytes[i]} bytes, the GPU ${r.name} binds at most ${a}.`;
		throw new e("memory", "The session does not fit the GPU.", {
			why: o,
			hint: "Use a smaller context, or fewer sequences at once."
		});
	});
}
// src/gpu/weights.ts
var Rn = 256 << 20, zn = 4 << 20, Bn = 64 << 20, Vn = 256, Hn = (e, t) => Math.ceil(e / t) * t;
function Un(e) {
	let t = (t) => e.weights[t.index].offset + t.offset, n = e.buffers.filter(({ kind: e }) => e === "weight").sort((e, n) => t(e) - t(n) || e.index - n.index), r = [], i = [];
	n.forEach((e, a) => {
		let o = r.at(-1), [s, c] = [t(e), t(e) + e.size];
		o === void 0 || n[a - 1].index !== e.index || s >= o.fileOffset + o.size ? r.push({
			fileOffset: s,
			size: e.size,
			buffer: 0,
			offset: 0
		}) : o.size = Math.max(o.size, c - o.fileOffset), i.push(r.length - 1);
	});
	let a = [];
	for (let e of r) {
		let t = Hn(e.size, Vn);
		(a.length === 0 || a.at(-1) + t > Rn) && a.push(0), e.buffer = a.length - 1, e.offset = a.at(-1), a[e.buffer] += t;
	}
	return {
		spans: r,
		bufferBytes: a,
		places: new Map(n.map((e, n) => {
			let a = r[i[n]];
			return [e, {
				buffer: a.buffer,
				offset: a.offset + t(e) - a.fileOffset
			}];
		}))
	};
}
async function Wn(t, n, r, i) {
	let a = "The weights cannot be sent to the GPU.", [o, s, c] = [
		0,
		0,
		0
	];
	for await (let e of Gn(i)) {
		t.requireSound();
		let i = s + e.length;
		for (; c < n.spans.length; c++) {
			let a = n.spans[c], l = Math.max(a.fileOffset, s), u = Math.min(Hn(a.fileOffset + a.size, 4), i);
			if (l < u) {
				let n = a.offset + l - a.fileOffset;
				t.device.queue.writeBuffer(r[a.buffer], n, e, l - s, u - l), o += u - l;
			}
			if (a.fileOffset + a.size > i) break;
		}
		s = i, o < Bn || (await t.wait(a), o = 0);
	}
	await t.wait(a);
	let l = n.spans.at(-1);
	if (l !== void 0 && s < l.fileOffset + l.size) throw new e("corrupt", `weights.bin has ${s} bytes, its plan reads up to ${l.fileOffset + l.size}.`);
}
async function* Gn(e) {
	let t = new Uint8Array(zn), n = 0;
	for await (let r of e) for (let e = 0; e < r.length;) {
		let i = r.subarray(e, e + zn - n);
		t.set(i, n), e += i.length, n += i.length, n < zn || (yield t, n = 0);
	}
	n !== 0 && (t.fill(0, n, Hn(n, 4)), yield t.subarray(0, Hn(n, 4)));
}
// src/gpu/model.ts
var Kn = class e {
	gpu;
	plan;
	kernels;
	record;
	isChecked;
	#e;
	#t;
	#n = [];
	#r = [];
	#i;
	#a;
	#o;
	#s = /* @__PURE__ */ new Map();
	constructor(e, t, n, r, i, a, o, { memoryLimitBytes: s = Infinity, isChecked: c }) {
		this.#e = e, this.gpu = t, this.plan = n, this.kernels = r, this.record = i, this.#t = new xt(t), this.#i = a, this.#a = o, this.#o = s, this.isChecked = c;
	}
	static async open(t, n, r, i, a) {
		let { adapter: o, memoryLimitBytes: s = Infinity, isChecked: c } = a, l = wn(t, n), u = _e(ge(r), l.kernels, c ? ce(o) : /* @__PURE__ */ new Set()), d = await zt.open(o, u), f = Un(l);
		Jn("The weights do not fit the GPU.", qn(f), s);
		let p = await ae.open(o, Yn(l, f, u));
		try {
			let n = await p.make(`The GPU ${p.name} has no memory for the weights.`, () => f.bufferBytes.map((e, t) => p.createBuffer(`weights ${t}`, e, g.STORAGE | g.COPY_DST))), r = new e(t, p, l, u, d, f, n, a), o = r.use((e) => d.choice(e) ?? "core").catch(() => r.use(() => y));
			return o.catch(() => void 0), await Wn(p, f, n, i()), await o, r;
		} catch (e) {
			throw p.close(), e;
		}
	}
	get pipelines() {
		return this.#r;
	}
	get variants() {
		return Object.fromEntries(this.#n.filter(({ features: e }) => e !== y).map(({ name: e, features: t }) => [e, t]));
	}
	async use(e) {
		let t = this.kernels.map((t) => t.variants.get(e(t)) ?? t.core);
		this.#r = await this.#t.make(t), this.#n = t;
	}
	get weightBytes() {
		return qn(this.#i);
	}
	weightPlace(e) {
		let { buffer: t, offset: n } = this.#i.places.get(e);
		return {
			buffer: this.#a[t],
			offset: n
		};
	}
	async session(e) {
		let t = Tn(this.#e, e, this.plan), n = Fn(this.plan.arenaBytes, t);
		Jn("The session does not fit the GPU.", [...this.#s.values()].reduce((e, t) => e + t, this.weightBytes) + n, this.#o), Ln(this, t);
		let r = `The GPU ${this.gpu.name} has no memory for a session of ${n} bytes.`, i;
		try {
			return await this.gpu.make(r, () => (i = new In(this.#e, this, t), this.#s.set(i, n), i));
		} catch (e) {
			throw i?.close(), e;
		}
	}
	forget(e) {
		this.#s.delete(e);
	}
	close() {
		this.gpu.close();
	}
}, qn = ({ bufferBytes: e }) => e.reduce((e, t) => e + t, 0);
function Jn(t, n, r) {
	if (n <= r) return;
	let i = `It needs ${n} bytes of the GPU's memory, memoryLimitBytes allows ${r}.`;
	throw new e("memory", t, {
		why: i,
		hint: "Use a smaller context, a smaller model or a smaller number format."
	});
}
function Yn(e, { bufferBytes: t }, n) {
	let r = (e) => Math.max(0, ...e);
	return {
		bufferBytes: r([...t, ...e.arenaBytes]),
		bindingBytes: r(e.buffers.map(({ size: e }) => e)),
		storageBuffers: r(e.kernels.map(({ numBuffers: e }) => e)),
		invocations: r(n.flatMap(({ core: e, variants: t }) => [e, ...t.values()]).map(({ threads: e }) => e))
	};
}
// src/info.ts
var Xn = [
	"f32",
	"i32",
	"u8",
	"i8",
	"f16"
];
function Zn(e) {
	let t = e.functions.find((e) => e.door === "text");
	if (t === void 0) return;
	let n = (t) => e.symbols[t]?.[1] ?? 0, r = (t) => e.states.filter(({ unit: e }) => e === t).reduce((e, t) => e + t.unit_bytes, 0), i = (e) => Number(t.inputs.find(({ name: t }) => t === e)?.high) + 1;
	return {
		vocabSize: i("token_ids"),
		maxTokens: n("tokens"),
		maxSequences: n("sequences"),
		maxLogitRows: n("logit_rows"),
		pageTokens: n("page_tokens"),
		maxPosition: i("positions"),
		kvBytesPerPage: r("pages"),
		stateBytesPerSlot: r("slots"),
		likeliest: (t.outputs.find(({ name: e }) => e === "likeliest")?.most.at(-1) ?? 0) / 2
	};
}
function Qn(t) {
	let n = Zn(t);
	if (n !== void 0) return n;
	let r = `Its functions: ${t.functions.map(({ name: e }) => e).join(", ")}.`;
	throw new e("usage", "This model is no language model: it takes no tokens.", { why: r });
}
// src/staging.ts
var $n = 16, er = class {
	#e;
	#t;
	#n = 0;
	constructor(e) {
		this.#e = e;
	}
	begin(e, t) {
		let n = e + t * $n;
		this.#n = 0, this.#t !== void 0 && this.#t.size >= n || (this.free(), this.#t = this.#e.allocate(2 * n, "the arguments of a call"));
	}
	reserve(e) {
		let t = this.#r(e);
		return this.#e.bytes(t, e).fill(0), t;
	}
	put(e) {
		let t = this.#r(e.byteLength), n = new Uint8Array(e.buffer, e.byteOffset, e.byteLength);
		return this.#e.bytes(t, e.byteLength).set(n), t;
	}
	putText(e) {
		return this.put(tr(e));
	}
	free() {
		this.#t !== void 0 && this.#e.free(this.#t), this.#t = void 0;
	}
	#r(e) {
		let t = this.#t, n = t.at + this.#n;
		if (this.#n += Math.ceil(e / $n) * $n, this.#n > t.size) throw RangeError("more was staged than begin() was told");
		return n;
	}
}, tr = (e) => new TextEncoder().encode(`${e}\0`), nr = {
	f32: Float32Array,
	i32: Int32Array,
	u8: Uint8Array,
	i8: Int8Array,
	f16: Uint16Array
}, rr = class t {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a;
	#o = 0;
	#s = !1;
	constructor(e, t, n, r, i) {
		this.#e = e, this.#t = t, this.#n = new er(e), this.#r = i, this.#i = this.#c(n, Object.entries(r), e.threads.count.count);
	}
	static async create(e, n, r, i, a, o) {
		a === void 0 && await e.threads.reserve();
		let s = new t(e, n, r, i, () => o(s));
		try {
			s.#a = await a?.session(s.#i), await s.#a?.measure();
		} catch (e) {
			throw s.close(), e;
		}
		return e.attach(s.#i, s.#a), s;
	}
	get counters() {
		return this.#a?.counters;
	}
	#c(e, t, n) {
		let r = t.reduce((e, [t]) => e + 4 * t.length + 1, 0);
		this.#n.begin(an.size + 4 + t.length * rn.size + r, 3 + t.length);
		let i = this.#n.reserve(4), a = this.#n.reserve(an.size), o = this.#n.reserve(t.length * rn.size);
		t.forEach(([e, t], n) => {
			en(this.#e.view, o + n * rn.size, rn, {
				name: this.#n.putText(e),
				value: t
			});
		}), en(this.#e.view, a, an, {
			struct_size: an.size,
			threads: n,
			sizes: o,
			num_sizes: t.length
		});
		let s = t.map(([e, t]) => `${t} ${e}`).join(", ");
		return this.#e.check(`A session with ${s || "no sizes"} cannot be made.`, "hearth_session_create", e, a, i), this.#e.view.getUint32(i, !0);
	}
	async forward(e) {
		let t = this.#u(this.#d(), e);
		return await this.#f(() => this.#a.finish()), this.#m(t + cn.size);
	}
	get stepsWorthReading() {
		return this.#a?.stepsWorthReading ?? 1;
	}
	async decode(e, t, n = {}) {
		let r = this.#d();
		this.#l(e, t);
		let i = this.#a;
		if (i === void 0) {
			let n = [];
			for (; n.length < t;) {
				let { argmax: t } = await this.forward(ir(e, n.length, n.at(-1)));
				n.push(t);
			}
			return n;
		}
		let a = (t) => this.#u(r, ir(e, t));
		this.#o++;
		let o = [];
		return await this.#f(async () => {
			o = await i.decode(t, a, ar(this.#t, "token_ids"), n);
		}), o;
	}
	#l({ tokenIds: t, logitRows: n, tokenSeq: r }, i) {
		let { functions: a } = this.#t, o = a.some(({ door: e, outputs: t }) => e === "text" && t.some(({ name: e }) => e === "argmax")), s = new Set(r).size === t.length && n.length === t.length;
		if (!(o && s && n.every((e, t) => e === t) && Number.isInteger(i) && i >= 1)) throw new e("usage", "These tokens cannot be decoded.", {
			why: o ? `${i} steps, ${t.length} tokens of ${new Set(r).size} sequences, of which ${n.length} rows are wanted.` : "The plan does not say which token is the likeliest.",
			hint: "Give one token of each sequence, and the rows of all of them in their order."
		});
	}
	#u(t, n) {
		Qn(this.#t);
		let { tokenIds: r, positions: i, tokenSeq: a, blockTable: o, blockTableStride: s, logitRows: c } = n;
		if (i.length !== r.length || a.length !== r.length) throw new e("usage", "tokenIds, positions and tokenSeq must have one entry a token.", { why: `They have ${r.length}, ${i.length} and ${a.length}.` });
		let { stateFrom: l, stateTo: u } = n, d = s > 0 ? o.length / s : 0;
		if ((l?.length ?? d) !== d || (u?.length ?? r.length) !== r.length) throw new e("usage", "stateFrom must have one entry a sequence, stateTo one a token.", { why: `They have ${l?.length} and ${u?.length}, for ${d} and ${r.length}.` });
		let f = [
			r,
			i,
			a,
			o,
			c,
			...[l, u].filter((e) => e !== void 0)
		], p = cn.size + or(this.#t) * sn.size;
		this.#n.begin(on.size + p + 4 * f.reduce((e, t) => e + t.length, 0), 2 + f.length);
		let m = this.#n.reserve(on.size), h = this.#n.reserve(p), ee = {
			struct_size: on.size,
			num_tokens: r.length,
			num_seqs: d,
			num_logit_rows: c.length,
			block_table_stride: s,
			num_prompt_tokens: n.numPromptTokens ?? 0,
			token_ids: this.#n.put(r),
			positions: this.#n.put(i),
			token_seq: this.#n.put(a),
			block_table: this.#n.put(o),
			logit_rows: this.#n.put(c),
			outputs: sr(n.outputs),
			...l && { state_from: this.#n.put(l) },
			...u && { state_to: this.#n.put(u) }
		};
		return en(this.#e.view, m, on, ee), en(this.#e.view, h, cn, { struct_size: p }), this.#e.check("The batch cannot be run.", "hearth_forward", t, m, h), h;
	}
	async run(e, t = {}) {
		let n = this.#d(), r = this.#p(e), i = Object.entries(t), a = i.reduce((e, [t, { data: n }]) => e + n.byteLength + 4 * t.length + 1, 0), o = i.length + r.outputs.length;
		this.#n.begin(a + 4 * e.length + 1 + o * C.size, 3 + 2 * i.length);
		let s = this.#n.reserve(i.length * C.size), c = this.#n.reserve(r.outputs.length * C.size);
		i.forEach(([e, t], n) => this.#g(s + n * C.size, e, t));
		let l = [i.length, r.outputs.length], u = this.#n.putText(e), d = `${e} cannot be run.`;
		return this.#e.check(d, "hearth_run", n, u, s, l[0], c, l[1]), await this.#f(() => this.#a.finish()), this.#o++, Object.fromEntries(r.outputs.map((e, t) => [e.name, this.#_(c + t * C.size)]));
	}
	close() {
		this.#i !== 0 && (this.#e.attach(this.#i, void 0), this.#e.call("hearth_session_free", this.#i), this.#a?.close(), this.#n.free(), this.#i = 0, this.#r());
	}
	#d() {
		if (this.#i === 0) throw new e("usage", "The session is closed.");
		if (this.#s) throw new e("usage", "Another call runs in this session.", { hint: "Await it first." });
		return this.#i;
	}
	async #f(e) {
		if (this.#a !== void 0) {
			this.#s = !0;
			try {
				await e();
			} finally {
				this.#s = !1;
			}
			this.#d();
		}
	}
	#p(t) {
		let n = this.#t.functions.find((e) => e.name === t);
		if (n !== void 0) return n;
		let r = this.#t.functions.map((e) => e.name).join(", ");
		throw new e("usage", `The model has no function ${t}.`, { why: `It has: ${r}.` });
	}
	#m(t) {
		let n = ++this.#o, r = (r) => {
			if (n !== this.#o || this.#i === 0) throw new e("usage", "A result is read after the session's next call.");
			let i = ln.indexOf(r);
			return i >= or(this.#t) ? () => 0 : (e) => tn(this.#e.view, t + i * sn.size, sn, e);
		}, i = (e) => {
			let t = r(e);
			return this.#h(t("data"), Xn[t("dtype")], t("rows"), t("cols"), t("row_stride"));
		}, a = (e, t) => {
			let n = r("likeliest"), [i, a] = [n("data"), n("cols") / 2];
			return this.#h(i && i + e * a * nr[t].BYTES_PER_ELEMENT, t, n("rows"), a, n("row_stride"));
		};
		return {
			get logits() {
				return i("logits");
			},
			get argmax() {
				return i("argmax");
			},
			get hidden() {
				return i("hidden");
			},
			get likeliest() {
				return {
					logits: a(0, "f32"),
					tokens: a(1, "i32")
				};
			}
		};
	}
	#h(e, t, n, r, i) {
		let a = nr[t];
		if (e === 0) return new a(0);
		let o = a.BYTES_PER_ELEMENT, s = new a(n * r), c = new Uint8Array(s.buffer);
		for (let t = 0; t < n; t++) c.set(this.#e.bytes(e + t * i * o, r * o), t * r * o);
		return s;
	}
	#g(t, n, { data: r, shape: i }) {
		let a = Xn.findIndex((e) => r instanceof nr[e]), o = i.reduce((e, t) => e * t, 1);
		if (a < 0 || i.length > 8 || o !== r.length) throw new e("usage", `${n} cannot be given: ${r.length} numbers for the shape (${i.join(", ")}).`);
		let s = Object.fromEntries(i.map((e, t) => [dn(t), e])), c = {
			name: this.#n.putText(n),
			data: this.#n.put(r)
		};
		en(this.#e.view, t, C, {
			...s,
			...c,
			dtype: a,
			rank: i.length
		});
	}
	#_(e) {
		let t = (t) => tn(this.#e.view, e, C, t), n = Array.from({ length: t("rank") }, (e, t) => t).map((e) => t(dn(e))), r = n.at(-1) ?? 1, i = n.slice(0, -1).reduce((e, t) => e * t, 1), a = n.length > 0 ? t("row_stride") : 1;
		return {
			data: this.#h(t("data"), Xn[t("dtype")], i, r, a),
			shape: n
		};
	}
};
function ir(e, t, n = new Int32Array(e.tokenIds.length)) {
	let r = e.tokenIds.length, i = (t) => e.stateTo?.subarray(t * r, (t + 1) * r), a = {
		stateFrom: t === 0 ? e.stateFrom : i(t - 1),
		stateTo: i(t)
	};
	if (t === 0) return {
		...e,
		...a,
		outputs: ["argmax"]
	};
	let o = e.positions.map((e) => e + t);
	return {
		...e,
		...a,
		tokenIds: n,
		positions: o,
		numPromptTokens: 0,
		outputs: ["argmax"]
	};
}
function ar({ functions: e }, t) {
	let n = e.findIndex(({ door: e }) => e === "text");
	return e.slice(0, n).reduce((e, { inputs: t }) => e + t.length, 0) + e[n].inputs.findIndex(({ name: e }) => e === t);
}
function or({ functions: e }) {
	let t = e.find(({ door: e }) => e === "text")?.outputs ?? [];
	return Math.max(0, ...t.map((e) => 1 + ln.findIndex((t) => t === e.name)));
}
function sr(e) {
	return e === void 0 ? 0 : e.reduce((e, t) => e | un[t], 0) || un.nothing;
}
// src/model.ts
function cr(e, t, n, r, i, a) {
	let o = fr(e, t, n, r, i, "cpu"), s = pr(e, o);
	return {
		library: e,
		pointer: o,
		weights: r,
		info: s,
		device: dr(s, e.threads.count, a)
	};
}
async function lr(e, t, n, r, i) {
	let { plan: a, shaders: o, known: s, weights: c } = n, l = fr(e, t, a, void 0, 0, "gpu"), u;
	try {
		let t = pr(e, l);
		u = await Kn.open(e, l, o, c, {
			adapter: r,
			memoryLimitBytes: i,
			isChecked: s !== void 0
		}), s !== void 0 && await we(u, s, u.record, (Zn(t)?.stateBytesPerSlot ?? 0) > 0, (n) => rr.create(e, t, l, n, u, () => void 0));
		let n = {
			kind: "webgpu",
			name: u.gpu.name,
			threads: 0,
			why: "",
			isChecked: u.isChecked,
			variants: u.variants
		};
		return {
			library: e,
			pointer: l,
			weights: u,
			info: t,
			device: n
		};
	} catch (t) {
		throw u?.close(), e.call("hearth_close", l), t;
	}
}
var ur = class {
	manifest;
	endIds;
	#e;
	#t = /* @__PURE__ */ new Set();
	#n;
	#r = !0;
	#i = !1;
	constructor(e, t, n) {
		this.manifest = e.manifest, this.endIds = e.endIds, this.#n = t, this.#e = n;
	}
	get info() {
		return this.#n.info;
	}
	get text() {
		return Zn(this.info);
	}
	get device() {
		return this.#n.device;
	}
	async session(t = {}) {
		if (!this.#r) throw new e("usage", "The model is closed.");
		let { library: n, pointer: r, weights: i, info: a } = this.#n, o = (e) => this.#t.delete(e), s = i instanceof Kn ? i : void 0, c = await rr.create(n, a, r, t, s, o);
		return this.#t.add(c), c;
	}
	get memoryBytes() {
		return this.#n.library.memoryBytes;
	}
	async reopen() {
		if (this.#i) throw new e("usage", "The model is closed.");
		this.#a(), this.#n = await this.#e(), this.#r = !0, this.#i && this.#a();
	}
	close() {
		this.#i = !0, this.#a();
	}
	#a() {
		if (!this.#r) return;
		this.#r = !1;
		let { library: e, pointer: t, weights: n } = this.#n;
		try {
			for (let e of [...this.#t]) e.close();
			e.call("hearth_close", t), n instanceof Kn ? n.close() : e.free(n);
		} finally {
			e.close();
		}
	}
};
function dr({ isa: e }, { count: t, why: n }, r) {
	return {
		kind: "wasm",
		name: `${e}, ${t} thread${t === 1 ? "" : "s"}`,
		threads: t,
		why: [r, n].filter(Boolean).join(" "),
		isChecked: !1,
		variants: {}
	};
}
function fr(e, t, n, r, i, a) {
	let o = new er(e);
	o.begin(n.length + nn.size + 4 + a.length + 1, 4);
	let s = o.reserve(4), c = o.reserve(nn.size), l = [BigInt(n.length), BigInt(i)];
	en(e.view, c, nn, {
		struct_size: nn.size,
		device: o.putText(a)
	});
	let u = `The bundle of ${t.manifest.source_name} cannot be opened.`;
	try {
		return e.check(u, "hearth_open_memory", o.put(n), l[0], r?.at ?? 0, l[1], c, s), e.view.getUint32(s, !0);
	} finally {
		o.free();
	}
}
var pr = (e, t) => JSON.parse(e.text(e.call("hearth_describe", t))), mr = class e {
	page;
	children = /* @__PURE__ */ new Map();
	tails = /* @__PURE__ */ new Map();
	isInTree = !0;
	#e;
	#t;
	constructor(e, t = "") {
		this.#e = e, this.#t = t;
	}
	child(t) {
		let n = this.children.get(t);
		return n === void 0 && this.children.set(t, n = new e(this, t)), n;
	}
	prune() {
		this.#e === void 0 || this.page !== void 0 || this.children.size + this.tails.size > 0 || (this.isInTree = !1, this.#e.children.delete(this.#t), this.#e.prune());
	}
}, hr = class {
	tokens;
	#e;
	#t;
	constructor(e, t, n) {
		this.#t = [e], this.tokens = t, this.#e = n;
	}
	find(e) {
		for (let t = this.#n(e); t < e; t++) {
			let e = this.#t[t].children.get(this.#r(t));
			if (e === void 0) return;
			this.#t[t + 1] = e;
		}
		return this.#t[e];
	}
	make(e) {
		for (let t = this.#n(e); t < e; t++) this.#t[t + 1] = this.#t[t].child(this.#r(t));
		return this.#t[e];
	}
	block(e, t = this.#e) {
		return this.tokens.slice(e * this.#e, e * this.#e + t);
	}
	#n(e) {
		let t = Math.min(e, this.#t.length - 1);
		for (; !this.#t[t].isInTree;) t--;
		return t;
	}
	#r(e) {
		return this.block(e).join();
	}
}, gr = class {
	#e;
	#t = new mr();
	#n = /* @__PURE__ */ new Map();
	constructor(e) {
		this.#e = e;
	}
	chain(e) {
		return new hr(this.#t, e, this.#e);
	}
	has(e) {
		return this.#n.has(e);
	}
	addBlock(e, t, n) {
		let r = t.make(n + 1);
		if (r.page !== void 0 || this.has(e)) return r.prune();
		r.page = e, this.#n.set(e, r);
	}
	addTail(e, t, n, r) {
		let i = t.make(n);
		i.tails.set(e, t.block(n, r)), this.#n.set(e, i);
	}
	remove(e) {
		let t = this.#n.get(e);
		t !== void 0 && (this.#n.delete(e), t.tails.delete(e) || (t.page = void 0), t.prune());
	}
	findBlock(e, t) {
		return e.find(t + 1)?.page;
	}
	findTail(e, t, n) {
		let r, i = e.block(t, n);
		for (let [a, o] of e.find(t)?.tails ?? []) {
			let e = Math.min(o.length, n);
			e > (r?.count ?? 0) && _r(o, i, e) && (r = {
				page: a,
				count: e
			});
		}
		return r;
	}
	findWholeTail(e, t, n) {
		let r = e.block(t, n);
		for (let [i, a] of e.find(t)?.tails ?? []) if (a.length === n && _r(a, r, n)) return i;
	}
};
function _r(e, t, n) {
	if (e.length < n || t.length < n) return !1;
	for (let r = n - 1; r >= 0; r--) if (e[r] !== t[r]) return !1;
	return !0;
}
// src/engine/checkpoints.ts
var vr = 512, yr = 8, br = class {
	#e;
	#t;
	constructor(e, t, n) {
		this.#e = e;
		let [r, i] = [this.floor(n), this.floor(t - 1)];
		this.#t = [Math.min(r, i), Math.max(r, i)];
	}
	isEnd(e) {
		return this.#t.includes(e);
	}
	isLasting(e) {
		return this.isEnd(e) || this.#n(e);
	}
	isWorth(e) {
		return e % this.#e === 0 && (e > this.#t[1] || this.isLasting(e));
	}
	*between(e, t) {
		let n = [.../* @__PURE__ */ new Set([this.#t[1], this.#t[0]])].filter((n) => e < n && n < t);
		yield* n;
		for (let r = this.floor(t - 1); r > e; r -= this.#e) !n.includes(r) && this.#n(r) && (yield r);
	}
	floor(e) {
		return Math.floor(e / this.#e) * this.#e;
	}
	#n(e) {
		let t = Math.ceil(vr / this.#e) * this.#e;
		for (; e > yr * t;) t *= 2;
		return e % t === 0;
	}
}, xr = class {
	#e = /* @__PURE__ */ new Map();
	has(e) {
		return this.#e.has(e);
	}
	add(e, t, n, r) {
		this.#e.set(e, {
			tokens: Int32Array.from(t.slice(0, n)),
			isLasting: r
		});
	}
	remove(e) {
		this.#e.delete(e);
	}
	find(e, t) {
		for (let [n, r] of this.#e) if (r.tokens.length === t && _r(r.tokens, e, t)) return n;
	}
	along(e) {
		return [...this.#e].filter(([, t]) => _r(t.tokens, e, t.tokens.length)).map(([e, t]) => ({
			slot: e,
			length: t.tokens.length
		})).sort((e, t) => t.length - e.length);
	}
	isLasting(e) {
		return this.#e.get(e).isLasting;
	}
}, Sr = class {
	#e;
	#t;
	#n;
	#r = /* @__PURE__ */ new Set();
	constructor(e, t) {
		this.#e = t, this.#t = new Int32Array(e), this.#n = Array.from({ length: e }, (t, n) => e - 1 - n);
	}
	get numAvailable() {
		return this.#n.length + this.#r.size;
	}
	isIdle(e) {
		return this.#r.has(e);
	}
	hold(e) {
		this.#r.delete(e), this.#t[e]++;
	}
	release(e) {
		for (let t of [...e].reverse()) --this.#t[t] > 0 || (this.#e.has(t) ? this.#r.add(t) : this.#n.push(t));
	}
	forget(e) {
		for (let t of e) this.#e.remove(t);
	}
	forgetAll() {
		this.forget(this.#t.keys()), this.#n.push(...this.#r), this.#r.clear();
	}
	get numFree() {
		return this.#n.length;
	}
	get numIdle() {
		return this.#r.size;
	}
	refs(e) {
		return this.#t[e];
	}
	giveOut() {
		let e = this.#n.pop();
		if (e === void 0) {
			if ([e] = this.#r, e === void 0) return;
			this.#r.delete(e), this.#e.remove(e);
		}
		return this.#t[e] = 1, e;
	}
	takeOver(e) {
		this.#e.remove(e), this.#r.delete(e), this.#t[e] = 1;
	}
	setFree(e) {
		this.#r.delete(e), this.#n.push(e);
	}
}, Cr = 2, wr = 3, Tr = (e) => wr * (e + 1), Er = class extends Sr {
	numSlots;
	#e;
	constructor(e) {
		let t = new xr();
		super(e, t), this.#e = t, this.numSlots = e;
	}
	get numSpare() {
		return this.numFree + Math.max(0, this.numIdle - Math.max(Cr, Math.floor(this.numSlots / 2)));
	}
	allocate() {
		let t = this.giveOut();
		if (t !== void 0) return t;
		throw new e("memory", `All ${this.numSlots} slots of state are in use.`, { hint: "Compute fewer sequences at once." });
	}
	mayBeWritten(e) {
		return this.refs(e) === 1 && !this.#e.has(e);
	}
	find(e, t) {
		return this.#e.find(e, t);
	}
	along(e) {
		return this.#e.along(e);
	}
	publish(e, t, n, r) {
		if (n === 0) return !1;
		let i = this.#e.find(t, n);
		return (i === void 0 || r && !this.#e.isLasting(i)) && this.#e.add(i ?? e, t, n, r), i === void 0 || i === e;
	}
	letGo(e, t) {
		let n = this.#e.find(e, t);
		n === void 0 || this.#e.isLasting(n) || (this.#e.remove(n), this.isIdle(n) && this.setFree(n));
	}
	forgetAlong(e) {
		for (let { slot: t } of this.along(e)) this.#e.remove(t), this.isIdle(t) && this.setFree(t);
	}
}, Dr = 1, Or = "model.json", kr = (e, t) => e.weights_bytes + e.arena_bytes + t * e.kv_bytes_per_token + Tr(1) * (e.state_bytes ?? 0);
function Ar(t) {
	let n;
	try {
		n = JSON.parse(t);
	} catch (t) {
		throw new e("corrupt", `${Or} is no JSON.`, { why: String(t) });
	}
	if (n?.format === Dr && typeof n.files == "object") return n;
	throw new e("mismatch", `${Or} has format ${String(n?.format)}.`, {
		why: `This package reads format ${Dr}.`,
		hint: "Package the model again with the Hearth that the page came with: hearth package web MODEL."
	});
}
function jr({ chunk_bytes: e }, { size_bytes: t, chunks: n }) {
	return n.map((n, r) => [n, Math.min(e, t - r * e)]);
}
var Mr = ({ files: e }) => Object.values(e).flatMap(({ chunks: e }) => e);
function Nr(e) {
	let t = new URL(e, globalThis.location?.href);
	return t.hash = "", t.href;
}
// src/store/chunks.ts
var Pr = "hearth-chunks", Fr = "content-length";
async function Ir() {
	let e = [];
	for (let t of [Lr, zr]) try {
		return await t();
	} catch (t) {
		e.push(t instanceof Error ? t.message : String(t));
	}
	return globalThis.isSecureContext === !1 ? "Pages may keep files over https or on localhost only." : e.join(" ");
}
async function Lr() {
	if (globalThis.navigator?.storage?.getDirectory === void 0) throw Error("There is no private file system.");
	let e = await (await navigator.storage.getDirectory()).getDirectoryHandle(Pr, { create: !0 });
	return {
		kind: "opfs",
		async sizes() {
			let t = /* @__PURE__ */ new Map();
			for await (let [n, r] of e) {
				let e = await r.getFile().then((e) => e.size, () => void 0);
				e !== void 0 && t.set(n, e);
			}
			return t;
		},
		async read(t) {
			try {
				return new Uint8Array(await (await (await e.getFileHandle(t)).getFile()).arrayBuffer());
			} catch {
				return;
			}
		},
		async write(t, n) {
			await Rr(await e.getFileHandle(t, { create: !0 }), n);
		},
		remove: (t) => e.removeEntry(t).catch(() => void 0)
	};
}
async function Rr(e, t) {
	if (!("createSyncAccessHandle" in e)) {
		let n = await e.createWritable();
		return await n.write(t), n.close();
	}
	let n = await e.createSyncAccessHandle();
	try {
		if (n.truncate(0), n.write(t, { at: 0 }) !== t.length) throw new DOMException("There is no room for it.", "QuotaExceededError");
		n.flush();
	} finally {
		n.close();
	}
}
async function zr() {
	if (globalThis.caches === void 0) throw Error("There is no Cache API.");
	let e = await caches.open(Pr), t = (e) => `/${Pr}/${e}`;
	return {
		kind: "cache",
		async sizes() {
			let t = /* @__PURE__ */ new Map();
			for (let n of await e.keys()) {
				let r = (await e.match(n))?.headers.get(Fr);
				t.set(n.url.slice(n.url.lastIndexOf("/") + 1), Number(r ?? 0));
			}
			return t;
		},
		async read(n) {
			let r = await e.match(t(n));
			return r && new Uint8Array(await r.arrayBuffer());
		},
		write: (n, r) => e.put(t(n), new Response(r, { headers: { [Fr]: String(r.length) } })),
		async remove(n) {
			await e.delete(t(n));
		}
	};
}
// src/store/records.ts
var Br = ".json", Vr = async ({ url: e, version: t }) => await Mt(new TextEncoder().encode(`${e}\n${t}`)) + Br;
async function Hr(e) {
	let t = [...(await e.sizes()).keys()].filter((e) => e.endsWith(Br)), n = [];
	for (let r of t) try {
		let t = JSON.parse(new TextDecoder().decode(await e.read(r)));
		await Vr(t) === r && typeof t.facts.files == "object" && n.push(t);
	} catch {}
	return n.sort((e, t) => t.order - e.order);
}
async function Ur(e, t) {
	let [n] = await Hr(e), r = {
		...t,
		order: (n?.order ?? 0) + 1
	};
	await e.write(await Vr(t), new TextEncoder().encode(JSON.stringify(r)));
}
function Wr(e, t) {
	let n = new Set(t.flatMap(({ facts: e }) => Mr(e)));
	return [...e].filter(([e]) => !e.endsWith(Br) && !n.has(e));
}
async function Gr(e, t) {
	let n = await e.sizes(), r = await Hr(e);
	for (let n of r) t(n) || await e.remove(await Vr(n));
	let i = Wr(n, r.filter(t));
	for (let [t] of i) await e.remove(t);
	return i.reduce((e, [, t]) => e + t, 0);
}
// src/store/package.ts
var Kr = class n {
	facts;
	#e;
	#t;
	#n;
	#r;
	#i;
	#a;
	constructor(e, t, n, r) {
		this.facts = e.facts, this.#e = e, this.#r = t, this.#t = n, this.#n = r, this.#i = typeof r != "string";
	}
	static async open(e, t = {}) {
		let r = Nr(e), i = await Ir();
		try {
			return new n(await qr(r, t.signal), !0, t, i);
		} catch (e) {
			let a = (typeof i == "string" || !Yr(e) ? [] : await Hr(i)).find((e) => e.url === r && e.isComplete);
			if (a === void 0) throw e;
			return new n(a, !1, t, i);
		}
	}
	async open(e) {
		let n = this.facts.files[e];
		if (n === void 0) throw t(e, `${Or} does not name it.`);
		return this.#s(e, n);
	}
	async keeping(e = Object.keys(this.facts.files)) {
		let t = this.#n, n = typeof t != "string", r = n ? await t.sizes() : /* @__PURE__ */ new Map(), i = e.flatMap((e) => jr(this.facts, this.facts.files[e])), a = (e) => e.reduce((e, [, t]) => e + t, 0), o = await globalThis.navigator?.storage?.estimate?.().catch(() => void 0), s = o?.quota === void 0 ? void 0 : Math.max(0, o.quota - (o.usage ?? 0));
		return {
			kind: n ? t.kind : "memory",
			why: n ? "" : t,
			keptBytes: a(i.filter(([e]) => r.has(e))),
			totalBytes: a(i),
			freeBytes: s
		};
	}
	async opened() {
		if (this.#r && this.#i && typeof this.#n != "string") try {
			let [e] = (await Hr(this.#n)).filter(({ url: e }) => e === this.#e.url);
			e?.version === this.#e.version && e.isComplete || await Ur(this.#n, {
				...this.#e,
				isComplete: !0
			}), await this.#o(this.#n);
		} catch {}
	}
	async forget(e = Object.keys(this.facts.files)) {
		let t = this.#n;
		if (typeof t == "string") return;
		let n = (e) => e.flatMap((e) => this.facts.files[e]?.chunks ?? []), r = Object.keys(this.facts.files).filter((t) => !e.includes(t)), i = (await Hr(t)).filter(({ url: e }) => e !== this.#e.url);
		if (r.length === 0) {
			await Gr(t, ({ url: e }) => e !== this.#e.url);
			return;
		}
		await Ur(t, {
			...this.#e,
			isComplete: !1
		});
		let a = /* @__PURE__ */ new Set([...n(r), ...i.flatMap(({ facts: e }) => Mr(e))]);
		for (let r of n(e)) a.has(r) || await t.remove(r);
	}
	#o(e) {
		let { url: t, version: n } = this.#e;
		return Gr(e, (e) => e.url !== t || e.version === n);
	}
	async *#s(e, t) {
		for (let [n, r] of jr(this.facts, t)) this.#t.signal?.throwIfAborted(), yield await this.#c(n) ?? await this.#l(e, n, r);
	}
	async #c(e) {
		if (typeof this.#n == "string") return;
		let t = await this.#n.read(e);
		if (t === void 0 || await Mt(t) === e) return t;
		await this.#n.remove(e);
	}
	async #l(t, n, r) {
		let i = new URL(`blobs/${n}`, this.#e.url), a = this.#i ? "no-store" : "default", o = await Xr(i, {
			signal: this.#t.signal ?? null,
			cache: a
		}), s;
		try {
			s = new Uint8Array(await o.arrayBuffer());
		} catch (t) {
			throw this.#t.signal?.throwIfAborted(), new e("network", `${i.href} broke off.`, {
				why: String(t),
				hint: "Load again: what came is kept."
			});
		}
		if (s.length !== r || await Mt(s) !== n) throw new e("corrupt", `A part of ${t} is damaged.`, {
			why: `${i.href} has ${s.length} bytes whose SHA-256 is not its name.`,
			hint: "Load again; if that does not help, the server's copy of the site is damaged."
		});
		return await this.#u(n, s), s;
	}
	async #u(e, t) {
		if (!this.#r || !this.#i || typeof this.#n == "string") return;
		let n = this.#n, r = async () => {
			await (this.#a ??= this.#d(n)), await n.write(e, t);
		};
		try {
			try {
				await r();
			} catch (e) {
				if (await this.#o(n) === 0) throw e;
				this.#a = void 0, await r();
			}
		} catch (t) {
			this.#i = !1, await n.remove(e), this.#t.onNotice?.(`The browser cannot keep the model for the next time: ${t instanceof Error ? t.message : String(t)}`);
		}
	}
	async #d(e) {
		let { url: t, version: n } = this.#e, [r] = (await Hr(e)).filter((e) => e.url === t);
		r?.version !== n && await Ur(e, {
			...this.#e,
			isComplete: !1
		});
	}
};
async function qr(e, t) {
	let n = await (await Xr(new URL(e), {
		signal: t ?? null,
		cache: "no-cache"
	})).text();
	return {
		url: e,
		version: await Mt(new TextEncoder().encode(n)),
		facts: Ar(n)
	};
}
var Jr = async (e, t) => (await qr(Nr(e), t)).facts, Yr = (t) => t instanceof e && t.kind === "network";
async function Xr(t, n) {
	let r;
	try {
		r = await fetch(t, n);
	} catch (r) {
		throw n.signal?.throwIfAborted(), new e("network", `${t.href} cannot be fetched.`, {
			why: String(r),
			hint: "Load again: what came is kept."
		});
	}
	if (r.ok) return r;
	let i = r.status === 404 ? "corrupt" : "network";
	throw new e(i, `${t.href} cannot be fetched.`, { why: `The server answered ${r.status}.` });
}
// src/sources.ts
async function Zr(e, t) {
	return typeof e != "string" && !(e instanceof URL) ? e : new URL(e, globalThis.location?.href).pathname.endsWith("/model.json") ? Kr.open(e, t) : n(e);
}
// src/bundle.ts
var Qr = 2;
async function $r(e, t = {}) {
	let n = await Zr(e, t), r = await ei(n, t);
	return await n.opened?.(), r;
}
async function ei(e, t) {
	let n = yt(new TextDecoder().decode(await si(e, vt, t))), r = oi(n, t.isa), i = tt(t.threads), a = new ci(e, n, t);
	a.expect(bt(r), "plan.bin" in n.files ? ft : pt, gt);
	let o = await a.whole(bt(r)), s = {
		manifest: n,
		endIds: "tokenizer_meta.json" in n.files ? await ri(e, t) : []
	};
	return new ur(s, await ti(a, o, s, i, t), () => ti(new ci(e, n, {}), o, s, i, t));
}
async function ti(e, t, n, r, i) {
	let a = "";
	if (i.device !== "wasm") try {
		return await ai(e, t, n, i);
	} catch (e) {
		if (i.device === "webgpu" || !ii(e)) throw e;
		a = `${e.what} ${e.why}`.trim();
	}
	return ni(e, t, n, r, a);
}
async function ni(e, t, n, r, i) {
	e.expect(ft, gt);
	let a = e.size(gt), o = await ut.instantiate(t, r, Qr * a);
	try {
		let t = o.threads.reserve(), r = await e.whole(ft), s = o.allocate(a, "the weights");
		return await e.into(o, s, gt), await t, cr(o, n, r, s, a, i);
	} catch (e) {
		throw o.close(), e;
	}
}
async function ri(e, t) {
	let n = new TextDecoder().decode(await si(e, _t, t));
	return JSON.parse(n).eos_ids;
}
var ii = (t) => t instanceof e && (t.kind === "device" || t.kind === "memory");
async function ai(t, n, r, i) {
	let { manifest: a } = r;
	if (a.files["gpu_plan.bin"] === void 0) throw new e("device", `The bundle of ${a.source_name} runs on the processor alone.`, { why: "It has an operation that no kernel for GPUs computes yet, or takes no tokens." });
	let o = await oe(i.softwareGpu ?? i.device === "webgpu"), s = "known_answers.json" in a.files ? [ht] : [];
	t.expect(pt, mt, ...s, gt);
	let c = await t.whole(pt), l = await t.text(mt), u = s.length > 0 ? fe(await t.text(ht)) : void 0, d = () => t.pieces(gt), f = await ut.instantiate(n);
	try {
		return await lr(f, r, {
			plan: c,
			shaders: l,
			known: u,
			weights: d
		}, o, i.memoryLimitBytes);
	} catch (e) {
		if (f.close(), !(e instanceof Se)) throw e;
		return ai(t, n, r, i);
	}
}
function oi({ source_name: t, instruction_sets: n }, r) {
	let i = n.filter(({ name: e }) => r === void 0 || e === r);
	if (i.length === 0) {
		let i = n.map(({ name: e }) => e).join(", ");
		throw new e("usage", `The bundle of ${t} has no kernels for ${r}.`, { why: `It has: ${i}.` });
	}
	let a = i.find(({ features: e }) => e.every(m));
	if (a !== void 0) return a;
	let o = i.map(({ name: e, features: t }) => `${e} needs ${t.filter((e) => !m(e)).join(", ")}`);
	throw new e("mismatch", `This browser cannot run the bundle of ${t}.`, {
		why: `It does not know what the bundle's kernels need: ${o.join("; ")}.`,
		hint: "Use a current version of Chrome, Firefox or Safari."
	});
}
async function si(e, t, { signal: n }) {
	let r = [];
	for await (let i of await e.open(t)) n?.throwIfAborted(), r.push(i);
	let i = new Uint8Array(r.reduce((e, t) => e + t.length, 0)), a = 0;
	for (let e of r) i.set(e, a), a += e.length;
	return i;
}
var ci = class {
	#e;
	#t;
	#n;
	#r = 0;
	#i = 0;
	constructor(e, t, n) {
		this.#e = e, this.#t = t, this.#n = n;
	}
	expect(...e) {
		this.#r = e.reduce((e, t) => e + this.size(t), this.#i);
	}
	size(t) {
		let n = this.#t.files[t];
		if (n === void 0) throw new e("corrupt", `${vt} names no file ${t}.`);
		return n.size_bytes;
	}
	async whole(e) {
		let t = await si(this.#e, e, this.#n);
		return this.#o(e, t.length), this.#a(t.length), t;
	}
	async text(e) {
		return new TextDecoder().decode(await this.whole(e));
	}
	async *pieces(e) {
		let t = this.size(e), n = 0;
		for await (let r of await this.#e.open(e)) this.#n.signal?.throwIfAborted(), n += r.length, n > t && this.#o(e, n), yield r, this.#a(r.length);
		this.#o(e, n);
	}
	async into(e, t, n) {
		let r = 0;
		for await (let i of this.pieces(n)) e.bytes(t.at + r, i.length).set(i), r += i.length;
	}
	#a(e) {
		this.#i += e, this.#n.onProgress?.(this.#i, Math.max(this.#i, this.#r));
	}
	#o(t, n) {
		let r = this.size(t);
		if (n !== r) throw new e("corrupt", `${t} has ${n > r ? "more than " : ""}${Math.min(n, r)} bytes.`, {
			why: `${vt} says ${r}.`,
			hint: "Load it again; if that does not help, compile the model again."
		});
	}
}, li = (e, t) => Math.ceil(e / t), ui = {
	shared: [],
	numTokens: 0
}, di = ({ shared: e, taken: t }) => t === void 0 ? [...e] : [...e, t], fi = class extends Sr {
	numPages;
	pageTokens;
	#e;
	constructor(e, t) {
		let n = new gr(t);
		super(e, n), this.#e = n, this.numPages = e, this.pageTokens = t;
	}
	chain(e) {
		return this.#e.chain(e);
	}
	allocate() {
		let t = this.giveOut();
		if (t !== void 0) return t;
		throw new e("memory", `All ${this.numPages} pages of ${this.pageTokens} tokens are in use.`, { hint: "Use a smaller context or fewer sequences at once." });
	}
	publishBlock(e, t, n) {
		this.#e.addBlock(e, t, n);
	}
	publishTail(e, t, n, r) {
		this.refs(e) === 1 && !this.#e.has(e) && this.#e.addTail(e, t, n, r);
	}
	findFull(e) {
		let t = [];
		for (; (t.length + 1) * this.pageTokens < e.tokens.length;) {
			let n = this.#e.findBlock(e, t.length);
			if (n === void 0) break;
			t.push(n);
		}
		return t;
	}
	findWholeTail(e, t, n) {
		return this.#e.findWholeTail(e, t, n);
	}
	find(e) {
		let t = this.findFull(e), [n, r] = [e.tokens.length - 1, t.length * this.pageTokens], i = n > r ? this.#e.findTail(e, t.length, Math.min(n - r, this.pageTokens)) : void 0;
		if (n - r === this.pageTokens - 1) {
			let r = this.#e.findBlock(e, t.length);
			if (r !== void 0 && this.refs(r) === 0) return {
				shared: t,
				taken: r,
				numTokens: n
			};
		}
		return {
			shared: t,
			taken: i?.page,
			numTokens: r + (i?.count ?? 0)
		};
	}
	holdPrefix({ shared: e, taken: t }) {
		for (let t of e) this.hold(t);
		t !== void 0 && this.takeOver(t);
	}
}, pi = ({ sequence: e, start: t, count: n }) => t + n <= e.numPromptTokens, mi = ({ sequence: e, start: t, count: n }) => t + n === e.tokens.length, hi = class {
	memory;
	#e;
	#t;
	#n;
	#r;
	#i = [];
	#a = [];
	#o = /* @__PURE__ */ new Set();
	constructor(e, t, { maxSequences: n, chunkTokens: r }) {
		this.memory = t, this.#e = t.pages, this.#t = Math.min(r, e.maxTokens), this.#n = e.maxTokens, this.#r = Math.min(n, e.maxSequences, e.maxLogitRows, e.maxTokens, t.states.numSlots || Infinity);
	}
	get isIdle() {
		return this.#i.length + this.#a.length === 0;
	}
	get sequences() {
		return [...this.#a, ...this.#i];
	}
	add(e) {
		this.#i.push(e);
	}
	remove(e, t = !1) {
		this.#o.delete(e);
		for (let t of [this.#a, this.#i]) {
			let n = t.indexOf(e);
			n >= 0 && t.splice(n, 1);
		}
		e.giveUp(t);
	}
	suspect(e) {
		for (let t of [...e].reverse()) this.#u(t, !0);
		for (let t of e) this.#o.add(t);
	}
	restartAll() {
		for (let e of [...this.#a].reverse()) this.#u(e, !0);
		this.memory.forgetAll();
	}
	clear(e) {
		this.#o.delete(e);
	}
	schedule() {
		let [e] = this.#o;
		if (e !== void 0) return this.#s(e);
		let t = /* @__PURE__ */ new Map(), n = this.#i.length;
		for (let e of [...this.#a]) this.#a.includes(e) && e.numPending === 1 && this.#l(e, 1, t);
		let r = Math.min(this.#t, this.#n - t.size);
		for (let e of [...this.#a]) r > 0 && this.#a.includes(e) && e.numPending > 1 && (r -= this.#l(e, r, t));
		return this.#i.length === n && this.#c(r, t), [...t.values()];
	}
	reserve(e, t) {
		if (this.#o.size > 0) return 1;
		let { pageTokens: n, numAvailable: r } = this.#e, i = (t) => e.map(({ sequence: e, start: r }) => li(r + t, n) - e.pages.length), a = t;
		for (; a > 1 && i(a).reduce((e, t) => e + Math.max(0, t), 0) > r;) a--;
		return i(a).forEach((t, n) => {
			for (let r = 0; r < t; r++) e[n].sequence.pages.push(this.#e.allocate());
		}), a;
	}
	#s(e) {
		let t = this.#i.indexOf(e);
		if (t >= 0) {
			for (this.#i.splice(t, 1); !this.memory.hasSlot;) this.#u(this.#a.at(-1), !1);
			e.start(this.memory.find(e.chain)), this.#a.unshift(e);
		}
		let n = /* @__PURE__ */ new Map();
		return this.#l(e, this.#t, n), [...n.values()];
	}
	#c(e, t) {
		let n = (e) => li(e.tokens.length + 1, this.#e.pageTokens), r = this.#a.reduce((e, t) => e + Math.max(0, n(t) - t.pages.length), 0);
		for (; this.#i.length > 0 && e > 0 && this.#a.length < this.#r;) {
			let i = this.#i[0], a = this.memory.find(i.chain), o = di(a), s = this.#e.numAvailable - o.filter((e) => this.#e.isIdle(e)).length - r;
			if ((n(i) - o.length > s || !this.memory.hasSlot) && this.#a.length > 0) return;
			this.#i.shift(), i.start(a), this.#a.push(i), e -= this.#l(i, e, t), r += n(i) - i.pages.length;
		}
	}
	#l(e, t, n) {
		let r = e.numPromptTokens - e.numComputed, i = Math.min(t, r > 0 ? r : e.numPending), a = li(e.numComputed + i, this.#e.pageTokens) - e.pages.length;
		for (; a > this.#e.numAvailable && this.#a.length > 1;) {
			let t = this.#a.at(-1);
			if (this.#u(t, !1), n.delete(t), t === e) return 0;
		}
		for (let t = 0; t < a; t++) e.pages.push(this.#e.allocate());
		return n.set(e, {
			sequence: e,
			start: e.numComputed,
			count: i
		}), i;
	}
	#u(e, t) {
		let n = this.#a.indexOf(e);
		n < 0 || (this.#a.splice(n, 1), e.giveUp(t), this.#i.unshift(e));
	}
};
// src/engine/batch.ts
function gi(e, t, n, r) {
	let i = e.reduce((e, { count: t }) => e + t, 0), a = new Int32Array(i), o = new Int32Array(i), s = new Int32Array(i), c = new Int32Array(e.length * t).fill(-1), l = [], u = 0, d = 0;
	return e.forEach((e, n) => {
		let { sequence: r, start: i, count: f } = e;
		for (let e = 0; e < f; e++, u++) a[u] = r.tokens[i + e], o[u] = i + e, s[u] = n;
		c.set(r.pages, n * t), pi(e) && (d = u), mi(e) && l.push(u - 1);
	}), {
		tokenIds: a,
		positions: o,
		tokenSeq: s,
		blockTable: c,
		blockTableStride: t,
		logitRows: Int32Array.from(l),
		numPromptTokens: d,
		outputs: n,
		...r && _i(e.map(({ sequence: e, start: t, count: n }) => e.state.way(t, t + n)))
	};
}
var _i = (e) => ({
	stateFrom: Int32Array.from(e, ({ from: e }) => e),
	stateTo: Int32Array.from(e.flatMap(({ to: e }) => e))
});
function vi(e, t, n, r) {
	let i = gi(e, t, ["argmax"], !1);
	if (!r) return i;
	let a = e.map(({ sequence: e, start: t }) => e.state.wayOfSteps(t, t + n)), o = Int32Array.from({ length: n * a.length }, (e, t) => a[t % a.length].to[Math.floor(t / a.length)]);
	return {
		...i,
		..._i(a),
		stateTo: o
	};
}
var yi = (e) => [...e.filter((e) => pi(e)), ...e.filter((e) => !pi(e))], bi = class extends e {}, xi = (e = -1) => ({ way: (t, n) => ({
	from: t === 0 ? -1 : e,
	to: [...Array(n - t - 1).fill(-1), e]
}) }), Si = class {
	#e;
	#t;
	#n = 0;
	#r = -1;
	#i = -1;
	#a = /* @__PURE__ */ new Map();
	#o = 0;
	constructor(e, t) {
		this.#e = e, this.#t = t;
	}
	start(e, t, n) {
		this.#e.numSlots !== 0 && (e === void 0 ? this.#i = this.#e.allocate() : (this.#e.hold(e), n || this.#e.numAvailable === 0 ? (this.#e.forget([e]), this.#i = e) : this.#i = this.#e.allocate(), [this.#r, this.#n] = [e, t]));
	}
	prepare(e, t, n) {
		if (this.#e.numSlots !== 0) {
			this.#a.set(t, this.#i);
			for (let r of n.between(e, t)) this.#s(r, n.isEnd(r));
		}
	}
	prepareSteps(e, t, n) {
		if (this.prepare(e, t, n), this.#e.numSlots === 0 || t === e + 1) return;
		this.spareSource();
		let r = n.floor(t - 1);
		r > e && !this.#a.has(r) && n.isWorth(r) && this.#s(r, !1);
	}
	spareSource() {
		let e = [...this.#a].find(([, e]) => e === this.#r);
		return e === void 0 || this.#e.numSpare !== 0 && (this.#a.set(e[0], this.#e.allocate()), !0);
	}
	way(e, t) {
		let n = Array.from({ length: t - e }, (t, n) => this.#a.get(e + n + 1) ?? -1);
		return {
			from: e === 0 ? -1 : this.#r,
			to: n
		};
	}
	wayOfSteps(e, t) {
		let { from: n, to: r } = this.way(e, t);
		return {
			from: n,
			to: r.map((e) => e === -1 ? r.at(-1) : e)
		};
	}
	settle(e) {
		if (this.#a.size === 0) return;
		let t = Math.max(...this.#a.keys()), n = this.#a.get(t);
		this.#u(t, e);
		let r = this.#l().filter((e) => e !== n), i = r.find((e) => this.#e.mayBeWritten(e));
		e.isWorth(t) && this.#d(t, n, e, i !== void 0), this.#i = this.#e.mayBeWritten(n) ? n : i ?? this.#e.allocate(), this.#e.release(r.filter((e) => e !== this.#i)), [this.#r, this.#n] = [n, t], this.#a.clear();
	}
	leave(e, t) {
		let n = [...this.#a.values()].includes(this.#r), r = [...this.#a.keys(), ...n ? [] : [this.#n]], i = (n) => n === t.floor(n) || t.floor(n) === t.floor(e), a = Math.max(0, ...r.filter((t) => t <= e && i(t)));
		return a === 0 ? 0 : (this.#u(a, t), this.#e.publish(this.#a.get(a) ?? this.#r, this.#t, a, !0), a);
	}
	release() {
		this.#e.release(this.#l()), this.#a.clear(), this.#n = this.#o = 0, this.#r = this.#i = -1;
	}
	#s(e, t) {
		this.#c(t) > 0 && this.#e.find(this.#t, e) === void 0 && this.#a.set(e, this.#e.allocate());
	}
	#c(e) {
		return e ? this.#e.numAvailable : this.#e.numSpare;
	}
	#l() {
		let e = [...this.#a.keys()].sort((e, t) => t - e), t = [
			this.#i,
			...e.map((e) => this.#a.get(e)),
			this.#r
		];
		return [...new Set(t)].filter((e) => e !== -1);
	}
	#u(e, t) {
		for (let [n, r] of [...this.#a].sort(([e], [t]) => e - t)) n >= e || !t.isWorth(n) || this.#e.publish(r, this.#t, n, t.isLasting(n)) && this.#f(n, t);
	}
	#d(e, t, n, r) {
		this.#e.find(this.#t, e) === void 0 && (this.#f(e, n), (r || this.#c(n.isEnd(e)) > 0) && this.#e.publish(t, this.#t, e, n.isLasting(e)));
	}
	#f(e, t) {
		this.#o > 0 && this.#e.letGo(this.#t, this.#o), this.#o = t.isLasting(e) ? 0 : e;
	}
}, Ci = class {
	#e = [];
	#t;
	#n = !1;
	#r;
	#i;
	constructor(e) {
		this.#t = e;
	}
	push(e) {
		this.#e.push(e), this.#i?.();
	}
	end(...e) {
		this.#e.push(...e), this.#n = !0, this.#i?.();
	}
	fail(e) {
		this.#r = e, this.end();
	}
	async next() {
		for (; this.#e.length === 0 && !this.#n;) await new Promise((e) => this.#i = e);
		if (this.#e.length > 0) return {
			done: !1,
			value: this.#e.shift()
		};
		let e = this.#r;
		if (this.#r = void 0, e !== void 0) throw e;
		return {
			done: !0,
			value: void 0
		};
	}
	async return() {
		return this.#n || this.#t(), this.#n = !0, this.#r = void 0, this.#e.length = 0, {
			done: !0,
			value: void 0
		};
	}
	[Symbol.asyncIterator]() {
		return this;
	}
}, wi = class {
	pages;
	states;
	constructor(e, t, n) {
		this.pages = new fi(e, t), this.states = new Er(n);
	}
	find(e) {
		if (this.states.numSlots === 0) return this.pages.find(e);
		let { pageTokens: t } = this.pages, n = this.pages.findFull(e);
		for (let { slot: r, length: i } of this.states.along(e.tokens)) {
			let a = Math.floor(i / t);
			if (i >= e.tokens.length || a > n.length) continue;
			let o = i % t, s = o > 0 ? this.pages.findWholeTail(e, a, o) : void 0;
			if (o === 0 || s !== void 0) return {
				shared: n.slice(0, a),
				taken: s,
				numTokens: i,
				slot: r
			};
		}
		return ui;
	}
	get hasSlot() {
		return this.states.numSlots === 0 || this.states.numAvailable > 0;
	}
	forgetAll() {
		this.pages.forgetAll(), this.states.forgetAll();
	}
}, Ti = {
	temperature: 1,
	topK: 0,
	topP: 1,
	minP: 0,
	repetitionPenalty: 1,
	presencePenalty: 0,
	frequencyPenalty: 0,
	logitBias: /* @__PURE__ */ new Map(),
	seed: void 0,
	maxTokens: void 0,
	stopTokenIds: [],
	logprobs: void 0,
	ignoreEos: !1
}, Ei = {
	temperature: {
		low: 0,
		high: 100
	},
	topK: {
		low: 0,
		high: Infinity,
		whole: !0
	},
	topP: {
		low: 0,
		high: 1,
		above: !0
	},
	minP: {
		low: 0,
		high: 1
	},
	repetitionPenalty: {
		low: 0,
		high: 10,
		above: !0
	},
	presencePenalty: {
		low: -2,
		high: 2
	},
	frequencyPenalty: {
		low: -2,
		high: 2
	},
	maxTokens: {
		low: 1,
		high: Infinity,
		whole: !0
	},
	logprobs: {
		low: 0,
		high: 100,
		whole: !0
	}
}, Di = {
	low: -100,
	high: 100
}, Oi = (1n << 64n) - 1n;
function ki(t = {}) {
	let n = Object.entries(t).filter(([, e]) => e !== void 0), r = {
		...Ti,
		...Object.fromEntries(n)
	};
	for (let [e, t] of Object.entries(Ei)) r[e] !== void 0 && Ai(e, r[e], t);
	for (let [e, t] of r.logitBias) Ai(`logitBias[${e}]`, t, Di);
	let { seed: i } = r;
	if (i !== void 0 && !(i >= 0 && i <= Oi && (typeof i == "bigint" || Number.isSafeInteger(i)))) throw new e("usage", `seed is ${i}, but must be a whole number, 0 to 2^64 - 1.`, { hint: "Give one beyond 2^53 as a BigInt." });
	return r;
}
function Ai(t, n, { low: r, high: i, above: a = !1, whole: o = !1 }) {
	let s = typeof n == "number" ? n : NaN;
	if (Number.isFinite(s) && s >= r && s <= i && !(a && s === r) && (!o || Number.isInteger(s))) return;
	let c = a ? `above ${r} and at most ${i}` : i === Infinity ? `${r} or more` : `${r} to ${i}`;
	throw new e("usage", `${t} is ${String(n)}, but must be a ${o ? "whole number" : "number"}, ${c}.`);
}
var ji = (e) => e.repetitionPenalty !== 1 || e.presencePenalty !== 0 || e.frequencyPenalty !== 0, Mi = (e) => ji(e) || e.logitBias.size > 0, Ni = [
	.001,
	1e-6,
	0
], Pi = 1e-45;
function Fi(e) {
	let t = -Infinity;
	for (let n = 0; n < e.length; n++) e[n] > t && (t = e[n]);
	return t;
}
function Ii(e, t) {
	let n = Li(e, t);
	return Ri(e, (e) => e >= n && e > -Infinity);
}
function Li(e, t) {
	let n = new Float32Array(Math.min(t, e.length)).fill(-Infinity);
	for (let t = 0; t < e.length; t++) {
		let r = e[t];
		if (r <= n[0]) continue;
		let i = 0;
		for (let e = 1; e < n.length && (e + 1 < n.length && n[e + 1] < n[e] && e++, !(n[e] >= r)); e = 2 * i + 1) n[i] = n[e], i = e;
		n[i] = r;
	}
	return n[0];
}
function Ri(e, t) {
	let n = [];
	for (let r = 0; r < e.length; r++) t(e[r]) && n.push(r);
	return Int32Array.from(n);
}
var zi = (e, t) => {
	let n = new Float32Array(t.length);
	for (let r = 0; r < t.length; r++) n[r] = e[t[r]];
	return n;
};
function Bi(e) {
	let t = 0;
	for (let n = 0; n < e.length; n++) t += e[n];
	return t;
}
function Vi(e, t) {
	let n = t * Bi(e), r = /* @__PURE__ */ new Int32Array(), i = /* @__PURE__ */ new Float32Array();
	for (let t of Ni) {
		let a = Math.fround(t);
		if (r = Ri(e, (e) => e >= a), i = zi(e, r), Bi(i) >= n) break;
	}
	let a = i.slice().sort(), o = a.length - 1, s = 0;
	for (; o > 0 && s + a[o] < n;) s += a[o--];
	let c = a[o], l = 0;
	for (let e of i) e > c && (l += e);
	let u = Math.max(1, Math.ceil((n - l) / Math.max(c, Pi))), d = r.filter((e, t) => i[t] > c), f = r.filter((e, t) => i[t] === c).subarray(0, u), p = new Int32Array(d.length + f.length);
	return p.set(d), p.set(f, d.length), p;
}
function Hi(e, t) {
	let n = t * Bi(e), r = 0, i = 0;
	for (let t = 0; t < e.length; t++) {
		let a = e[t];
		if (a !== 0 && (r += a, i = t, r > n)) break;
	}
	return i;
}
function Ui(e, t, n) {
	let r = Fi(e), i = 0;
	for (let t = 0; t < e.length; t++) i += Math.fround(Math.exp(Math.fround(e[t] - r)));
	let a = r + Math.log(i), o = n > 0 ? [...Ii(e, Math.min(n, e.length))] : [];
	return o.sort((t, n) => e[n] - e[t] || t - n), {
		logprob: e[t] - a,
		topLogprobs: o.slice(0, n).map((t) => [t, e[t] - a])
	};
}
// src/engine/likeliest.ts
var Wi = class {
	#e;
	#t;
	constructor(e, t) {
		this.#e = e, this.#t = t;
	}
	among(e) {
		let [t, n] = [this.#e, this.#t];
		if (e >= n.length || n[e] < 0) return;
		let r = e;
		for (; r < n.length && t[r] === t[e - 1];) r++;
		if (r === n.length || !t.subarray(0, r).every(Number.isFinite)) return;
		let i = Int32Array.from({ length: r }, (e, t) => t).sort((e, t) => n[e] - n[t]);
		return {
			ids: i.map((e) => n[e]),
			logits: zi(t, i)
		};
	}
}, Gi = ["argmax", "logits"];
function Ki(e, t) {
	if (e.length === 0) return [];
	let n = e.filter(({ mayNeedLogits: e }) => e);
	return n.length === 0 ? ["argmax"] : n.every((e) => e.drawsAmong(t)) ? ["argmax", "likeliest"] : Gi;
}
function qi(e, t, n) {
	if (n === 0) return [];
	let { argmax: r } = e, i = t.includes("logits") ? e.logits : /* @__PURE__ */ new Float32Array(), a = t.includes("likeliest") ? e.likeliest : void 0, o = (e, t) => {
		let r = e.length / n;
		return e.subarray(t * r, (t + 1) * r);
	};
	return Array.from({ length: n }, (e, t) => ({
		logits: o(i, t),
		argmax: r[t],
		likeliest: a && new Wi(o(a.logits, t), o(a.tokens, t))
	}));
}
var Ji = (e, t) => e.every(({ likeliest: e }, n) => {
	let { mayNeedLogits: r, params: i } = t[n];
	return e === void 0 || !r || e.among(i.topK) !== void 0;
}), Yi = (e, t) => (e[t >> 5] >> (t & 31) & 1) == 1;
function Xi(e, t) {
	for (let n = 0; n * 32 < e.length; n++) {
		let r = t[n];
		if (r === -1) continue;
		let i = Math.min(e.length, n * 32 + 32);
		for (let t = n * 32; t < i; t++) r >> (t & 31) & 1 || (e[t] = -Infinity);
	}
}
var Zi = (t, n = "") => new e("usage", t, { why: n });
async function Qi(e, t) {
	try {
		return await t();
	} catch (t) {
		throw Zi(e, t instanceof Error ? t.message : String(t));
	}
}
// src/engine/processor.ts
function $i(t, n) {
	let r;
	try {
		r = t.process(n.slice());
	} catch (t) {
		throw new e("usage", "The logit processor failed.", { why: t instanceof Error ? t.message : String(t) });
	}
	if (r instanceof Float32Array && r.length === n.length) return r;
	throw new e("usage", `The logit processor must answer a Float32Array of ${n.length} logits.`);
}
// src/engine/random.ts
var ea = (1n << 64n) - 1n, ta = (1n << 128n) - 1n, na = 47026247687942121848144207491837523525n, ra = 4, ia = 16;
function aa(e, t) {
	let n = 1135663077, r = (e) => {
		let t = e ^ n;
		n = Math.imul(n, 2468251765);
		let r = Math.imul(t, n);
		return r ^ r >>> ia;
	}, i = (e, t) => {
		let n = Math.imul(3389127133, e) - Math.imul(1232336661, t);
		return n ^ n >>> ia;
	}, a = Array.from({ length: ra }, (t, n) => r(Number(e >> BigInt(32 * n) & 4294967295n)));
	for (let e = 0; e < ra; e++) for (let t = 0; t < ra; t++) e !== t && (a[t] = i(a[t], r(a[e])));
	return n = 2337405405, Array.from({ length: t }, (e, t) => {
		let r = a[t % ra] ^ n;
		n = Math.imul(n, 1492356589);
		let i = Math.imul(r, n);
		return (i ^ i >>> ia) >>> 0;
	});
}
var oa = class {
	#e;
	#t;
	constructor(e) {
		let t = aa(e ?? crypto.getRandomValues(/* @__PURE__ */ new BigUint64Array(1))[0], 8).map(BigInt), n = (e) => t[e] | t[e + 1] << 32n, r = n(0) << 64n | n(2);
		this.#t = ((n(4) << 64n | n(6)) << 1n | 1n) & ta, this.#e = this.#t, this.#e = this.#e + r & ta, this.#n();
	}
	next() {
		this.#n();
		let e = this.#e >> 64n ^ this.#e & ea, t = this.#e >> 122n, n = (e >> t | e << 64n - t) & ea;
		return Number(n >> 11n) * 2 ** -53;
	}
	#n() {
		this.#e = this.#e * na + this.#t & ta;
	}
}, sa = "The model's weights are damaged or its arithmetic overflows: check the file, or compile with higher precision.", ca = 1e-30, la = class {
	params;
	needsLogits;
	#e;
	#t;
	#n;
	#r;
	#i;
	constructor(e, t, n, r) {
		this.params = e, this.#e = n, this.#t = r, r?.reset(), this.#n = new oa(e.seed === void 0 ? void 0 : BigInt(e.seed)), this.#r = Mi(e), this.needsLogits = e.temperature !== 0 || this.#r || e.logprobs !== void 0 || r !== void 0, ji(e) && (this.#i = new Map(Array.from(t, (e) => [e, 0])));
	}
	get mayNeedLogits() {
		return this.needsLogits || this.#e !== void 0;
	}
	drawsAmong(e) {
		let { temperature: t, topK: n, logprobs: r } = this.params;
		return !this.#r && r === void 0 && this.#t === void 0 && this.#e === void 0 && t !== 0 && n > 0 && n < e;
	}
	async sample(e, t, n) {
		let r = this.params.temperature === 0 ? void 0 : n?.among(this.params.topK);
		if (r !== void 0) return { token: this.#c(r.ids, r.logits, Fi(r.logits)) };
		let i = this.#e, a = i && await Qi("What may come next cannot be told.", () => i.mask()), o = this.#a(e, t, a);
		return i && await Qi(`The drawn token ${o.token} was refused.`, () => i.accept(o.token)), o;
	}
	close() {
		this.#e?.close();
	}
	#a(e, t, n) {
		if (!this.needsLogits && (n === void 0 || Yi(n, t))) return { token: t };
		da(e);
		let r = this.#t ? $i(this.#t, e) : e, i = this.#r || n !== void 0 ? this.#o(r, n) : r, a = this.params.temperature === 0 ? i === e ? t : i.indexOf(Fi(i)) : this.#s(i);
		if (i[a] === -Infinity) throw ua();
		return this.#t?.sampled(a), this.#i && this.#i.set(a, (this.#i.get(a) ?? 0) + 1), this.params.logprobs === void 0 ? { token: a } : {
			token: a,
			...Ui(e, a, this.params.logprobs)
		};
	}
	#o(e, t) {
		let n = e.slice(), r = Math.fround(this.params.repetitionPenalty), i = Math.fround(this.params.frequencyPenalty), a = Math.fround(this.params.presencePenalty);
		for (let [e, t] of this.#i ?? []) {
			let o = n[e];
			o = Math.fround(o > 0 ? o / r : o * r), o = Math.fround(o - Math.fround(i * t)), n[e] = o - (t > 0 ? a : 0);
		}
		for (let [e, t] of this.params.logitBias) n[e] += Math.fround(t);
		return t !== void 0 && Xi(n, t), n;
	}
	#s(e) {
		let { topK: t } = this.params, n = Fi(e);
		if (n === -Infinity) throw ua();
		if (!(t > 0 && t < e.length)) return this.#c(void 0, e.slice(), n);
		let r = Ii(e, t);
		return this.#c(r, zi(e, r), n);
	}
	#c(e, t, n) {
		let { topP: r, minP: i, temperature: a } = this.params, o = Math.fround(1 / Math.max(a, ca));
		for (let e = 0; e < t.length; e++) {
			let r = Math.fround(t[e] - n);
			t[e] = r === 0 ? 1 : Math.exp(Math.fround(r * o));
		}
		let s = (n) => {
			e = e ? n.map((t) => e[t]) : n, t = zi(t, n);
		};
		r < 1 && s(Vi(t, r));
		let c = Math.fround(i);
		i > 0 && s(Ri(t, (e) => e >= c));
		let l = Hi(t, this.#n.next());
		return e ? e[l] : l;
	}
}, ua = () => Zi("The answer cannot go on: no token of the vocabulary is allowed here.", "The grammar has a dead end, or asks for text that this tokenizer cannot write.");
function da(t) {
	if (Number.isFinite(Bi(t))) return;
	let n = t.reduce((e, t) => e + Number(!Number.isFinite(t)), 0);
	if (n > 0) throw new e("internal", `${n} of ${t.length} logits are NaN or infinite.`, { hint: sa });
}
// src/engine/sequence.ts
var fa = class {
	tokens;
	numPromptTokens;
	sampler;
	state;
	chain;
	numComputed = 0;
	pages = [];
	#e;
	#t;
	#n = 0;
	#r;
	#i = performance.now();
	#a = NaN;
	#o = NaN;
	constructor(e, t, n, { constraint: r, processor: i, keepTokens: a = 0 } = {}) {
		this.tokens = [...t], this.numPromptTokens = t.length, this.sampler = new la(n, t, r, i), this.state = new Si(e.states, this.tokens), this.chain = e.pages.chain(this.tokens), this.#e = e, this.#t = new br(e.pages.pageTokens, t.length, a);
	}
	get numOutputTokens() {
		return this.tokens.length - this.numPromptTokens;
	}
	get numPending() {
		return this.tokens.length - this.numComputed;
	}
	get usage() {
		return {
			promptTokens: this.numPromptTokens,
			cachedTokens: this.#r ?? 0,
			outputTokens: this.numOutputTokens,
			begunMs: this.#i,
			firstTokenMs: this.#a,
			lastTokenMs: this.#o
		};
	}
	append(e) {
		this.tokens.push(e), this.#o = performance.now(), this.numOutputTokens === 1 && (this.#a = this.#o);
	}
	start(e) {
		this.#e.pages.holdPrefix(e), this.state.start(e.slot, e.numTokens, e.taken !== void 0), this.pages = di(e), this.#n = e.shared.length, this.numComputed = e.numTokens, this.#r ??= this.numComputed;
	}
	prepare(e) {
		this.state.prepare(this.numComputed, this.numComputed + e, this.#t);
	}
	prepareSteps(e) {
		this.state.prepareSteps(this.numComputed, this.numComputed + e, this.#t);
	}
	commit(e) {
		let { pages: t } = this.#e;
		for (this.numComputed += e; (this.#n + 1) * t.pageTokens <= this.numComputed; this.#n++) t.publishBlock(this.pages[this.#n], this.chain, this.#n);
	}
	settle() {
		this.state.settle(this.#t);
	}
	giveUp(e) {
		let { pages: t, states: n } = this.#e;
		e ? (t.forget(this.pages), n.forgetAlong(this.tokens)) : this.#s(n.numSlots > 0 ? this.state.leave(this.numComputed, this.#t) : this.numComputed), t.release(this.pages), this.state.release(), this.pages = [], this.#n = 0, this.numComputed = 0;
	}
	#s(e) {
		let { pages: t } = this.#e, n = Math.floor(e / t.pageTokens), r = e % t.pageTokens;
		r > 0 && t.publishTail(this.pages[n], this.chain, n, r);
	}
};
// src/engine/session_forward.ts
async function pa(e, t, n, r) {
	let i = n > 0 ? {
		pages: t,
		slots: n
	} : { pages: t }, a = Qn(e.info), o = e.info.functions.find(({ door: e }) => e === "text")?.outputs ?? [], s = await e.session(i), c = !0, l = async () => {
		throw s = void 0, await e.reopen(), s = await e.session(i), c = !1, new bi("device", "The GPU was lost, and is there again.");
	}, u = async (e) => {
		if (s === void 0) return l();
		try {
			let t = await e(s);
			return c = !0, t;
		} catch (e) {
			if (!(e instanceof v)) throw e;
			if (c) return l();
			throw s = void 0, e;
		}
	}, d = {
		get worthwhile() {
			return s?.stepsWorthReading ?? 1;
		},
		decode: (e, t) => u((n) => n.decode(e, t, { submitMs: r }))
	};
	return {
		info: {
			...a,
			hiddenSize: o.find(({ name: e }) => e === "hidden")?.most.at(-1) ?? 0
		},
		numPages: t,
		numSlots: n,
		forward: (e) => u((t) => t.forward(e)),
		get ahead() {
			return e.device.kind === "webgpu" ? d : void 0;
		},
		close: () => s?.close()
	};
}
// src/engine/turn.ts
function ma() {
	return new Promise((e) => {
		let { port1: t, port2: n } = new MessageChannel();
		n.onmessage = () => {
			n.close(), e();
		}, t.postMessage(void 0);
	});
}
// src/engine/engine.ts
var ha = 4096, ga = 128, _a = 2, va = 64, ya = class t {
	context;
	#e;
	#t;
	#n;
	#r;
	#i;
	#a = /* @__PURE__ */ new Map();
	#o = Promise.resolve();
	#s = !1;
	constructor(t, n = [], r = {}) {
		let { context: i, maxSequences: a = Infinity, chunkTokens: o = ga, tokensPerReadBack: s = "auto" } = r, { info: c, numPages: l, numSlots: u } = t, d = Math.min(c.maxPosition, l * c.pageTokens);
		if (this.context = i ?? d, !(this.context >= 2 && this.context <= d)) throw new e("usage", `The context is ${this.context} tokens, but must be 2 to ${d}.`, { why: `The model takes ${c.maxPosition}, and there are ${l} pages of ${c.pageTokens}.` });
		if (u > 0 && u < _a) throw xa(u);
		if (!(Number.isInteger(s) && Number(s) >= 1 && Number(s) <= va) && s !== "auto") throw new e("usage", `tokensPerReadBack is ${s}, but must be 1 to ${va}, or "auto".`);
		this.#e = t, this.#i = s, this.#t = new Set(n), this.#r = li(this.context, c.pageTokens), this.#n = new hi(c, new wi(l, c.pageTokens, u), {
			maxSequences: a,
			chunkTokens: o
		});
	}
	static async create(e, n = {}) {
		let { pageTokens: r, maxPosition: i, stateBytesPerSlot: a } = Qn(e.info), o = n.cacheTokens ?? Math.max(n.context ?? 0, Math.min(4096, i)), s = a > 0 ? n.stateSlots ?? Tr(n.maxSequences ?? 1) : 0;
		if (a > 0 && !(Number.isInteger(s) && s >= _a)) throw xa(s);
		return new t(await pa(e, li(o, r), s, n.submitMs), e.endIds, n);
	}
	get hasState() {
		return this.#e.numSlots > 0;
	}
	generate(e, t = {}, { signal: n, ...r } = {}) {
		let i = ki(t);
		this.#l(e, [...i.logitBias.keys(), ...i.stopTokenIds]);
		let a = new fa(this.#n.memory, e, i, r), o = () => this.#g(a, "cancelled"), s = new Ci(o);
		return this.#a.set(a, s), this.#n.add(a), n?.addEventListener("abort", o, { once: !0 }), n?.aborted === !0 && o(), this.#a.size === 1 && (this.#o = this.#o.then(() => this.#u())), s;
	}
	async close() {
		if (!this.#s) {
			this.#s = !0;
			for (let e of this.#n.sequences) this.#g(e, "cancelled");
			await this.#o, this.#e.close();
		}
	}
	async hidden(e) {
		this.#l(e);
		let t = () => this.#c(e), n = this.#o.then(t).catch((e) => {
			if (!(e instanceof bi)) throw e;
			return this.#n.restartAll(), t();
		});
		return this.#o = n.then(() => this.#u(), () => this.#u()), n;
	}
	async #c(e) {
		let { hiddenSize: t, maxTokens: n, pageTokens: r } = this.#e.info, { pages: i, states: a } = this.#n.memory, o = Array.from({ length: li(e.length, r) }, () => i.allocate()), s = this.hasState ? [a.allocate()] : [], c = {
			tokens: [...e],
			pages: o,
			numPromptTokens: e.length,
			state: xi(s[0])
		}, l = new Float32Array(e.length * t);
		try {
			for (let r = 0; r < e.length; r += n) {
				let i = Math.min(n, e.length - r), a = gi([{
					sequence: c,
					start: r,
					count: i
				}], this.#r, ["hidden"], this.hasState);
				l.set((await this.#e.forward({
					...a,
					logitRows: /* @__PURE__ */ new Int32Array()
				})).hidden, r * t);
			}
		} finally {
			i.release(o), a.release(s);
		}
		return l;
	}
	#l(t, n = []) {
		if (this.#s) throw new e("usage", "The engine is closed.");
		let { vocabSize: r } = this.#e.info, i = [...t, ...n].find((e) => !(Number.isInteger(e) && e >= 0 && e < r));
		if (i !== void 0) {
			let t = `The model's tokens are numbers from 0 to ${r - 1}.`;
			throw new e("usage", `The request has the token ${i}.`, { why: t });
		}
		if (t.length === 0) throw new e("usage", "The prompt has no tokens.");
		if (!(t.length < this.context)) throw new e("context", `The prompt has ${t.length} tokens, which leaves no room for an answer.`, {
			why: `The context holds ${this.context}.`,
			hint: "Shorten the prompt, or use a larger context."
		});
	}
	async #u() {
		for (; !this.#n.isIdle;) {
			let e = this.#n.sequences;
			try {
				let t = yi(this.#n.schedule());
				e = t.map(({ sequence: e }) => e), t.length > 0 && await this.#d(t);
			} catch (t) {
				let n = e.filter((e) => this.#a.has(e));
				t instanceof bi ? this.#n.restartAll() : n.length > 1 ? this.#n.suspect(n) : n.forEach((e) => this.#_(e, t));
			}
			await ma();
		}
	}
	async #d(e) {
		let { ahead: t } = this.#e;
		if (t !== void 0 && e.every(ba)) return this.#p(e, t);
		let n = e.filter(mi), r = await this.#f(e, n.map(({ sequence: e }) => e.sampler)), i = (e) => this.#a.has(e.sequence);
		for (let { sequence: t, count: n } of e.filter(i)) t.commit(n);
		for (let [e, t] of n.entries()) i(t) && await this.#h(t.sequence, r[e]);
		for (let { sequence: t } of e.filter(i)) t.settle();
	}
	async #f(e, t) {
		for (let { sequence: t, count: n } of e) t.prepare(n);
		let n = Ki(t, this.#e.info.likeliest), r = !n.includes("likeliest") || e.every(({ sequence: e }) => e.state.spareSource()) ? n : Ki(t, 0), i = gi(e, this.#r, r, this.hasState), a = qi(await this.#e.forward(i), r, t.length);
		return Ji(a, t) ? a : qi(await this.#e.forward({
			...i,
			outputs: Gi
		}), Gi, t.length);
	}
	async #p(e, t) {
		let n = this.#i === "auto" ? t.worthwhile : this.#i, r = e.map(({ sequence: e }) => this.#m(e)), i = this.#n.reserve(e, Math.min(n, ...r));
		for (let { sequence: t } of e) t.prepareSteps(i);
		let a = await t.decode(vi(e, this.#r, i, this.hasState), i);
		for (let [t, n] of a.entries()) {
			t > 0 && await ma();
			for (let [t, { sequence: r }] of e.entries()) this.#a.has(r) && (r.commit(1), await this.#h(r, {
				logits: /* @__PURE__ */ new Float32Array(),
				argmax: n[t],
				likeliest: void 0
			}));
		}
		for (let { sequence: t } of e) this.#a.has(t) && t.settle();
	}
	#m({ tokens: e, numOutputTokens: t, sampler: n }) {
		return Math.min(this.context - e.length, (n.params.maxTokens ?? Infinity) - t);
	}
	async #h(e, { logits: t, argmax: n, likeliest: r }) {
		let { params: i } = e.sampler;
		try {
			let a = await e.sampler.sample(t, n, r);
			if (!this.#a.has(e)) return;
			this.#n.clear(e), e.append(a.token);
			let o = this.#t.has(a.token) && !i.ignoreEos || i.stopTokenIds.includes(a.token), s = this.#m(e) <= 0;
			o || s ? this.#g(e, o ? "stop" : "length", a) : this.#a.get(e).push(a);
		} catch (t) {
			this.#_(e, t);
		}
	}
	#g(e, t, n = {}) {
		this.#v(e, !1)?.end({
			...n,
			finish: t,
			usage: e.usage
		});
	}
	#_(e, t) {
		this.#v(e, !0)?.fail(Sa(t));
	}
	#v(e, t) {
		let n = this.#a.get(e);
		if (n !== void 0) return this.#a.delete(e), this.#n.remove(e, t), e.sampler.close(), n;
	}
}, ba = (e) => !pi(e) && mi(e) && e.count === 1 && !e.sequence.sampler.mayNeedLogits, xa = (t) => new e("usage", `There are ${t} slots of state, but must be ${_a} at least.`, {
	why: "A model with recurrent layers keeps what these know of a text in one, and in another what it can be gone on from.",
	hint: "Leave stateSlots out."
}), Sa = (t) => t instanceof e ? t : new e("internal", "The model could not be run.", { why: t instanceof Error ? t.message : String(t) }), Ca = Object.defineProperty, wa = (e, t, n) => t in e ? Ca(e, t, {
	enumerable: !0,
	configurable: !0,
	writable: !0,
	value: n
}) : e[t] = n, Ta = (e, t, n) => (wa(e, typeof t == "symbol" ? t : t + "", n), n), T = Object.freeze({
	Text: "Text",
	NumericLiteral: "NumericLiteral",
	StringLiteral: "StringLiteral",
	Identifier: "Identifier",
	Equals: "Equals",
	OpenParen: "OpenParen",
	CloseParen: "CloseParen",
	OpenStatement: "OpenStatement",
	CloseStatement: "CloseStatement",
	OpenExpression: "OpenExpression",
	CloseExpression: "CloseExpression",
	OpenSquareBracket: "OpenSquareBracket",
	CloseSquareBracket: "CloseSquareBracket",
	OpenCurlyBracket: "OpenCurlyBracket",
	CloseCurlyBracket: "CloseCurlyBracket",
	Comma: "Comma",
	Dot: "Dot",
	Colon: "Colon",
	Pipe: "Pipe",
	CallOperator: "CallOperator",
	AdditiveBinaryOperator: "AdditiveBinaryOperator",
	MultiplicativeBinaryOperator: "MultiplicativeBinaryOperator",
	ExponentiationBinaryOperator: "ExponentiationBinaryOperator",
	ComparisonBinaryOperator: "ComparisonBinaryOperator",
	UnaryOperator: "UnaryOperator",
	Comment: "Comment"
}), E = class {
	constructor(e, t) {
		this.value = e, this.type = t;
	}
};
function Ea(e) {
	return /\w/.test(e);
}
function Da(e) {
	return /[0-9]/.test(e);
}
function Oa(e) {
	return /\s/.test(e);
}
var ka = [
	["{%", T.OpenStatement],
	["%}", T.CloseStatement],
	["{{", T.OpenExpression],
	["}}", T.CloseExpression],
	["(", T.OpenParen],
	[")", T.CloseParen],
	["{", T.OpenCurlyBracket],
	["}", T.CloseCurlyBracket],
	["[", T.OpenSquareBracket],
	["]", T.CloseSquareBracket],
	[",", T.Comma],
	[".", T.Dot],
	[":", T.Colon],
	["|", T.Pipe],
	["<=", T.ComparisonBinaryOperator],
	[">=", T.ComparisonBinaryOperator],
	["==", T.ComparisonBinaryOperator],
	["!=", T.ComparisonBinaryOperator],
	["<", T.ComparisonBinaryOperator],
	[">", T.ComparisonBinaryOperator],
	["+", T.AdditiveBinaryOperator],
	["-", T.AdditiveBinaryOperator],
	["~", T.AdditiveBinaryOperator],
	["**", T.ExponentiationBinaryOperator],
	["*", T.MultiplicativeBinaryOperator],
	["//", T.MultiplicativeBinaryOperator],
	["/", T.MultiplicativeBinaryOperator],
	["%", T.MultiplicativeBinaryOperator],
	["=", T.Equals]
], Aa = /* @__PURE__ */ new Map([
	["n", "\n"],
	["t", "	"],
	["r", "\r"],
	["b", "\b"],
	["f", "\f"],
	["v", "\v"],
	["'", "'"],
	["\"", "\""],
	["\\", "\\"]
]);
function ja(e, t = {}) {
	return e.endsWith("\n") && (e = e.slice(0, -1)), t.lstrip_blocks && (e = e.replace(/^[ \t]*({[#%-])/gm, "$1")), t.trim_blocks && (e = e.replace(/([#%-]})\n/g, "$1")), e.replace(/(\s*){%(-?)\s*(?:end)?generation\s*(-?)%}(\s*)/gs, (e, t, n, r, i) => (n ? "" : t) + (r ? "" : i));
}
function Ma(e, t = {}) {
	let n = [], r = ja(e, t), i = 0, a = 0, o = (e) => {
		let t = "";
		for (; e(r[i]);) if (r[i] === "\\") {
			if (++i, i >= r.length) throw SyntaxError("Unexpected end of input");
			let e = r[i++];
			if (e === "x" || e === "u") {
				let n = e === "x" ? 2 : 4, a = r.slice(i, i + n);
				if (a.length !== n || /[^0-9a-f]/i.test(a)) throw SyntaxError(`Invalid hexadecimal escape sequence: \\${e}${a}`);
				t += String.fromCharCode(parseInt(a, 16)), i += n;
				continue;
			}
			let n = Aa.get(e);
			if (n === void 0) throw SyntaxError(`Unexpected escaped character: ${e}`);
			t += n;
		} else if (t += r[i++], i >= r.length) throw SyntaxError("Unexpected end of input");
		return t;
	}, s = () => {
		let e = n.at(-1);
		e && e.type === T.Text && (e.value = e.value.trimEnd(), e.value === "" && n.pop());
	}, c = () => {
		for (; i < r.length && Oa(r[i]);) ++i;
	};
	main: for (; i < r.length;) {
		let e = n.at(-1)?.type;
		if (e === void 0 || e === T.CloseStatement || e === T.CloseExpression || e === T.Comment) {
			let e = "";
			for (; i < r.length && (r[i] !== "{" || r[i + 1] !== "%" && r[i + 1] !== "{" && r[i + 1] !== "#");) e += r[i++];
			if (e.length > 0) {
				n.push(new E(e, T.Text));
				continue;
			}
		}
		if (r[i] === "{" && r[i + 1] === "#") {
			i += 2;
			let e = r[i] === "-";
			e && ++i;
			let t = "";
			for (; r[i] !== "#" || r[i + 1] !== "}";) {
				if (i + 2 >= r.length) throw SyntaxError("Missing end of comment tag");
				t += r[i++];
			}
			let a = t.endsWith("-");
			a && (t = t.slice(0, -1)), e && s(), n.push(new E(t, T.Comment)), i += 2, a && c();
			continue;
		}
		if (r.slice(i, i + 3) === "{%-") {
			s(), n.push(new E("{%", T.OpenStatement)), i += 3;
			continue;
		}
		if (r.slice(i, i + 3) === "{{-") {
			s(), n.push(new E("{{", T.OpenExpression)), a = 0, i += 3;
			continue;
		}
		if (o(Oa), r.slice(i, i + 3) === "-%}") {
			n.push(new E("%}", T.CloseStatement)), i += 3, c();
			continue;
		}
		if (r.slice(i, i + 3) === "-}}") {
			n.push(new E("}}", T.CloseExpression)), i += 3, c();
			continue;
		}
		let t = r[i];
		if (t === "-" || t === "+") {
			let e = n.at(-1)?.type;
			if (e === T.Text || e === void 0) throw SyntaxError(`Unexpected character: ${t}`);
			switch (e) {
				case T.Identifier:
				case T.NumericLiteral:
				case T.StringLiteral:
				case T.CloseParen:
				case T.CloseSquareBracket: break;
				default: {
					++i;
					let e = o(Da);
					if (e.length > 0 && r[i] === "." && Da(r[i + 1])) {
						++i;
						let t = o(Da);
						e = `${e}.${t}`;
					}
					n.push(new E(`${t}${e}`, e.length > 0 ? T.NumericLiteral : T.UnaryOperator));
					continue;
				}
			}
		}
		for (let [e, t] of ka) if (!(e === "}}" && a > 0) && r.slice(i, i + e.length) === e) {
			n.push(new E(e, t)), t === T.OpenExpression ? a = 0 : t === T.OpenCurlyBracket ? ++a : t === T.CloseCurlyBracket && --a, i += e.length;
			continue main;
		}
		if (t === "'" || t === "\"") {
			++i;
			let e = o((e) => e !== t);
			n.push(new E(e, T.StringLiteral)), ++i;
		} else if (Da(t)) {
			let e = o(Da);
			if (n.at(-1)?.type !== T.Dot && r[i] === "." && Da(r[i + 1])) {
				++i;
				let t = o(Da);
				e = `${e}.${t}`;
			}
			n.push(new E(e, T.NumericLiteral));
		} else if (Ea(t)) {
			let e = o(Ea);
			n.push(new E(e, T.Identifier));
		} else throw SyntaxError(`Unexpected character: ${t}`);
	}
	return n;
}
var D = class {
	type = "Statement";
}, Na = class extends D {
	constructor(e) {
		super(), this.body = e;
	}
	type = "Program";
}, Pa = class extends D {
	constructor(e, t, n) {
		super(), this.test = e, this.body = t, this.alternate = n;
	}
	type = "If";
}, Fa = class extends D {
	constructor(e, t, n, r) {
		super(), this.loopvar = e, this.iterable = t, this.body = n, this.defaultBlock = r;
	}
	type = "For";
}, Ia = class extends D {
	type = "Break";
}, La = class extends D {
	type = "Continue";
}, Ra = class extends D {
	constructor(e, t, n) {
		super(), this.assignee = e, this.value = t, this.body = n;
	}
	type = "Set";
}, za = class extends D {
	constructor(e, t, n) {
		super(), this.name = e, this.args = t, this.body = n;
	}
	type = "Macro";
}, Ba = class extends D {
	constructor(e) {
		super(), this.value = e;
	}
	type = "Comment";
}, O = class extends D {
	type = "Expression";
}, Va = class extends O {
	constructor(e, t, n) {
		super(), this.object = e, this.property = t, this.computed = n;
	}
	type = "MemberExpression";
}, Ha = class extends O {
	constructor(e, t) {
		super(), this.callee = e, this.args = t;
	}
	type = "CallExpression";
}, k = class extends O {
	constructor(e) {
		super(), this.value = e;
	}
	type = "Identifier";
}, Ua = class extends O {
	constructor(e) {
		super(), this.value = e;
	}
	type = "Literal";
}, Wa = class extends Ua {
	type = "IntegerLiteral";
}, Ga = class extends Ua {
	type = "FloatLiteral";
}, Ka = class extends Ua {
	type = "StringLiteral";
}, qa = class extends Ua {
	type = "ArrayLiteral";
}, Ja = class extends Ua {
	type = "TupleLiteral";
}, Ya = class extends Ua {
	type = "ObjectLiteral";
}, Xa = class extends O {
	constructor(e, t, n) {
		super(), this.operator = e, this.left = t, this.right = n;
	}
	type = "BinaryExpression";
}, Za = class extends O {
	constructor(e, t) {
		super(), this.operand = e, this.filter = t;
	}
	type = "FilterExpression";
}, Qa = class extends D {
	constructor(e, t) {
		super(), this.filter = e, this.body = t;
	}
	type = "FilterStatement";
}, $a = class extends O {
	constructor(e, t) {
		super(), this.lhs = e, this.test = t;
	}
	type = "SelectExpression";
}, eo = class extends O {
	constructor(e, t, n) {
		super(), this.operand = e, this.negate = t, this.test = n;
	}
	type = "TestExpression";
}, to = class extends O {
	constructor(e, t) {
		super(), this.operator = e, this.argument = t;
	}
	type = "UnaryExpression";
}, no = class extends O {
	constructor(e = void 0, t = void 0, n = void 0) {
		super(), this.start = e, this.stop = t, this.step = n;
	}
	type = "SliceExpression";
}, ro = class extends O {
	constructor(e, t) {
		super(), this.key = e, this.value = t;
	}
	type = "KeywordArgumentExpression";
}, io = class extends O {
	constructor(e) {
		super(), this.argument = e;
	}
	type = "SpreadExpression";
}, ao = class extends O {
	constructor(e) {
		super(), this.argument = e;
	}
	type = "KeywordSpreadExpression";
}, oo = class extends D {
	constructor(e, t, n) {
		super(), this.call = e, this.callerArgs = t, this.body = n;
	}
	type = "CallStatement";
}, so = class extends O {
	constructor(e, t, n) {
		super(), this.condition = e, this.trueExpr = t, this.falseExpr = n;
	}
	type = "Ternary";
};
function co(e) {
	let t = new Na([]), n = 0;
	function r(t, r) {
		let i = e[n++];
		if (!i || i.type !== t) throw Error(`Parser Error: ${r}. ${i.type} !== ${t}.`);
		return i;
	}
	function i(e) {
		if (!c(e)) throw SyntaxError(`Expected ${e}`);
		++n;
	}
	function a() {
		switch (e[n].type) {
			case T.Comment: return new Ba(e[n++].value);
			case T.Text: return l();
			case T.OpenStatement: return u();
			case T.OpenExpression: return d();
			default: throw SyntaxError(`Unexpected token type: ${e[n].type}`);
		}
	}
	function o(...t) {
		return n + t.length <= e.length && t.every((t, r) => t === e[n + r].type);
	}
	function s(...t) {
		return e[n]?.type === T.OpenStatement && e[n + 1]?.type === T.Identifier && t.includes(e[n + 1]?.value);
	}
	function c(...t) {
		return n + t.length <= e.length && t.every((t, r) => e[n + r].type === "Identifier" && t === e[n + r].value);
	}
	function l() {
		return new Ka(r(T.Text, "Expected text token").value);
	}
	function u() {
		if (r(T.OpenStatement, "Expected opening statement token"), e[n].type !== T.Identifier) throw SyntaxError(`Unknown statement, got ${e[n].type}`);
		let t = e[n].value, c;
		switch (t) {
			case "set":
				++n, c = f();
				break;
			case "if":
				++n, c = p(), r(T.OpenStatement, "Expected {% token"), i("endif"), r(T.CloseStatement, "Expected %} token");
				break;
			case "macro":
				++n, c = m(), r(T.OpenStatement, "Expected {% token"), i("endmacro"), r(T.CloseStatement, "Expected %} token");
				break;
			case "for":
				++n, c = ee(), r(T.OpenStatement, "Expected {% token"), i("endfor"), r(T.CloseStatement, "Expected %} token");
				break;
			case "call": {
				++n;
				let e = null;
				o(T.OpenParen) && (e = se("parameters"));
				let t = b();
				if (t.type !== "Identifier") throw SyntaxError("Expected identifier following call statement");
				let l = se("call");
				r(T.CloseStatement, "Expected closing statement token");
				let u = [];
				for (; !s("endcall");) u.push(a());
				r(T.OpenStatement, "Expected '{%'"), i("endcall"), r(T.CloseStatement, "Expected closing statement token"), c = new oo(new Ha(t, l), e, u);
				break;
			}
			case "break":
				++n, r(T.CloseStatement, "Expected closing statement token"), c = new Ia();
				break;
			case "continue":
				++n, r(T.CloseStatement, "Expected closing statement token"), c = new La();
				break;
			case "filter": {
				++n;
				let e = b();
				e instanceof k && o(T.OpenParen) && (e = oe(e)), r(T.CloseStatement, "Expected closing statement token");
				let t = [];
				for (; !s("endfilter");) t.push(a());
				r(T.OpenStatement, "Expected '{%'"), i("endfilter"), r(T.CloseStatement, "Expected '%}'"), c = new Qa(e, t);
				break;
			}
			default: throw SyntaxError(`Unknown statement type: ${t}`);
		}
		return c;
	}
	function d() {
		r(T.OpenExpression, "Expected opening expression token");
		let e = g();
		return r(T.CloseExpression, "Expected closing expression token"), e;
	}
	function f() {
		let e = h(), t = null, c = [];
		if (o(T.Equals)) ++n, t = h();
		else {
			for (r(T.CloseStatement, "Expected %} token"); !s("endset");) c.push(a());
			r(T.OpenStatement, "Expected {% token"), i("endset");
		}
		return r(T.CloseStatement, "Expected closing statement token"), new Ra(e, t, c);
	}
	function p() {
		let e = g();
		r(T.CloseStatement, "Expected closing statement token");
		let t = [], i = [];
		for (; !s("elif", "else", "endif");) t.push(a());
		if (s("elif")) {
			++n, ++n;
			let e = p();
			i.push(e);
		} else if (s("else")) for (++n, ++n, r(T.CloseStatement, "Expected closing statement token"); !s("endif");) i.push(a());
		return new Pa(e, t, i);
	}
	function m() {
		let e = b();
		if (e.type !== "Identifier") throw SyntaxError("Expected identifier following macro statement");
		let t = se("parameters");
		r(T.CloseStatement, "Expected closing statement token");
		let n = [];
		for (; !s("endmacro");) n.push(a());
		return new za(e, t, n);
	}
	function h(e = !1) {
		let t = e ? b : g, r = [t()], i = o(T.Comma);
		for (; i && (++n, r.push(t()), o(T.Comma)););
		return i ? new Ja(r) : r[0];
	}
	function ee() {
		let e = h(!0);
		if (!(e instanceof k || e instanceof Ja)) throw SyntaxError(`Expected identifier/tuple for the loop variable, got ${e.type} instead`);
		if (!c("in")) throw SyntaxError("Expected `in` keyword following loop variable");
		++n;
		let t = g();
		r(T.CloseStatement, "Expected closing statement token");
		let i = [];
		for (; !s("endfor", "else");) i.push(a());
		let o = [];
		if (s("else")) for (++n, ++n, r(T.CloseStatement, "Expected closing statement token"); !s("endfor");) o.push(a());
		return new Fa(e, t, i, o);
	}
	function g() {
		return te();
	}
	function te() {
		let e = ne();
		if (c("if")) {
			++n;
			let t = ne();
			return c("else") ? (++n, new so(t, e, te())) : new $a(e, t);
		}
		return e;
	}
	function ne() {
		let t = _();
		for (; c("or");) {
			let r = e[n];
			++n;
			let i = _();
			t = new Xa(r, t, i);
		}
		return t;
	}
	function _() {
		let t = re();
		for (; c("and");) {
			let r = e[n];
			++n;
			let i = re();
			t = new Xa(r, t, i);
		}
		return t;
	}
	function re() {
		let t;
		for (; c("not");) {
			let r = e[n];
			++n, t = new to(r, re());
		}
		return t ?? ie();
	}
	function ie() {
		let t = v();
		for (;;) {
			let r;
			if (c("not", "in")) r = new E("not in", T.Identifier), n += 2;
			else if (c("in")) r = e[n++];
			else if (o(T.ComparisonBinaryOperator)) r = e[n++];
			else break;
			let i = v();
			t = new Xa(r, t, i);
		}
		return t;
	}
	function v() {
		let t = de();
		for (; o(T.AdditiveBinaryOperator);) {
			let r = e[n];
			++n;
			let i = de();
			t = new Xa(r, t, i);
		}
		return t;
	}
	function ae() {
		let e = ue(b());
		return o(T.OpenParen) ? oe(e) : e;
	}
	function oe(e) {
		let t = new Ha(e, se("call"));
		return t = ue(t), o(T.OpenParen) && (t = oe(t)), t;
	}
	function se(e) {
		r(T.OpenParen, "Expected opening parenthesis for arguments list");
		let t = ce(e);
		return r(T.CloseParen, "Expected closing parenthesis for arguments list"), t;
	}
	function ce(t) {
		let r = [], i = /* @__PURE__ */ new Set(), a = !1, s = !1;
		for (; !o(T.CloseParen);) {
			let c = o(T.ExponentiationBinaryOperator), l = o(T.MultiplicativeBinaryOperator) && e[n].value === "*";
			if (t === "parameters" && (c || l)) throw SyntaxError("Argument unpacking is not allowed in parameter declarations");
			if (c) {
				if (++n, r.push(new ao(g())), o(T.Comma) && ++n, !o(T.CloseParen)) throw SyntaxError("Expected closing parenthesis: `**` must be applied to the final argument");
				break;
			}
			let u;
			if (l) {
				if (s) throw SyntaxError("Only one `*` argument unpacking is allowed");
				s = !0, ++n, u = new io(g());
			} else {
				if (u = g(), o(T.Equals)) {
					if (++n, !(u instanceof k)) throw SyntaxError(t === "parameters" ? "Expected identifier for parameter declaration" : "Expected identifier for keyword argument");
					let e = g();
					u = new ro(u, e);
				}
				if (t === "parameters") {
					if (!(u instanceof k || u instanceof ro)) throw SyntaxError("Expected identifier for parameter declaration");
					let e = u instanceof k ? u.value : u.key.value;
					if (i.has(e)) throw SyntaxError(`Duplicate parameter name: ${e}`);
					i.add(e);
				}
				if (u instanceof ro) a = !0;
				else if (a) throw SyntaxError(t === "call" ? "Positional arguments must come before keyword arguments" : "Non-default argument follows default argument");
				else if (s) throw SyntaxError("Positional arguments must not follow `*` argument unpacking");
			}
			r.push(u), o(T.Comma) && ++n;
		}
		return r;
	}
	function le() {
		let e = [], t = !1;
		for (; !o(T.CloseSquareBracket);) o(T.Colon) ? (e.push(void 0), ++n, t = !0) : (e.push(g()), o(T.Colon) && (++n, t = !0));
		if (e.length === 0) throw SyntaxError("Expected at least one argument for member/slice expression");
		if (t) {
			if (e.length > 3) throw SyntaxError("Expected 0-3 arguments for slice expression");
			return new no(...e);
		}
		return e[0];
	}
	function ue(t) {
		for (; o(T.Dot) || o(T.OpenSquareBracket);) {
			let i = e[n];
			++n;
			let a, o = i.type === T.OpenSquareBracket;
			if (o) a = le(), r(T.CloseSquareBracket, "Expected closing square bracket");
			else if (a = b(), a.type !== "Identifier" && a.type !== "IntegerLiteral") throw SyntaxError("Expected identifier or integer following dot operator");
			t = new Va(t, a, o);
		}
		return t;
	}
	function de() {
		let t = fe();
		for (; o(T.MultiplicativeBinaryOperator);) {
			let r = e[n++], i = fe();
			t = new Xa(r, t, i);
		}
		return t;
	}
	function fe() {
		let t = pe();
		for (; o(T.ExponentiationBinaryOperator);) {
			let r = e[n++], i = pe();
			t = new Xa(r, t, i);
		}
		return t;
	}
	function pe() {
		let e = y();
		for (; c("is");) {
			++n;
			let t = c("not");
			t && ++n;
			let r = b();
			if (!(r instanceof k)) throw SyntaxError("Expected identifier for the test");
			e = new eo(e, t, r);
		}
		return e;
	}
	function y() {
		let e = me();
		for (; o(T.Pipe);) {
			++n;
			let t = b();
			if (!(t instanceof k)) throw SyntaxError("Expected identifier for the filter");
			o(T.OpenParen) && (t = oe(t)), e = new Za(e, t);
		}
		return e;
	}
	function me() {
		let t = e[n];
		if (t && (t.type === T.UnaryOperator || t.type === T.AdditiveBinaryOperator) && (t.value === "-" || t.value === "+")) {
			let t = e[n++];
			return new to(t, me());
		}
		return ae();
	}
	function b() {
		let t = e[n++];
		switch (t.type) {
			case T.NumericLiteral: {
				let e = t.value;
				return e.includes(".") ? new Ga(Number(e)) : new Wa(Number(e));
			}
			case T.StringLiteral: {
				let r = t.value;
				for (; o(T.StringLiteral);) r += e[n++].value;
				return new Ka(r);
			}
			case T.Identifier: return new k(t.value);
			case T.OpenParen: {
				let e = h();
				return r(T.CloseParen, "Expected closing parenthesis, got ${tokens[current].type} instead."), e;
			}
			case T.OpenSquareBracket: {
				let e = [];
				for (; !o(T.CloseSquareBracket);) e.push(g()), o(T.Comma) && ++n;
				return ++n, new qa(e);
			}
			case T.OpenCurlyBracket: {
				let e = /* @__PURE__ */ new Map();
				for (; !o(T.CloseCurlyBracket);) {
					let t = g();
					r(T.Colon, "Expected colon between key and value in object literal");
					let i = g();
					e.set(t, i), o(T.Comma) && ++n;
				}
				return ++n, new Ya(e);
			}
			default: throw SyntaxError(`Unexpected token: ${t.type}`);
		}
	}
	for (; n < e.length;) t.body.push(a());
	return t;
}
function lo(e, t, n = 1) {
	if (t === void 0 && (t = e, e = 0), n === 0) throw Error("range() step must not be zero");
	let r = [];
	if (n > 0) for (let i = e; i < t; i += n) r.push(i);
	else for (let i = e; i > t; i += n) r.push(i);
	return r;
}
function uo(e, t, n, r = 1) {
	let i = Math.sign(r);
	i >= 0 ? (t = (t ??= 0) < 0 ? Math.max(e.length + t, 0) : Math.min(t, e.length), n = (n ??= e.length) < 0 ? Math.max(e.length + n, 0) : Math.min(n, e.length)) : (t = (t ??= e.length - 1) < 0 ? Math.max(e.length + t, -1) : Math.min(t, e.length - 1), n = (n ??= -1) < -1 ? Math.max(e.length + n, -1) : Math.min(n, e.length - 1));
	let a = [];
	for (let o = t; i * o < i * n; o += r) a.push(e[o]);
	return a;
}
function fo(e) {
	return e.replace(/\b\w/g, (e) => e.toUpperCase());
}
function po(e) {
	return mo(/* @__PURE__ */ new Date(), e);
}
function mo(e, t) {
	let n = new Intl.DateTimeFormat(void 0, { month: "long" }), r = new Intl.DateTimeFormat(void 0, { month: "short" }), i = (e) => e < 10 ? "0" + e : e.toString();
	return t.replace(/%[YmdbBHM%]/g, (t) => {
		switch (t) {
			case "%Y": return e.getFullYear().toString();
			case "%m": return i(e.getMonth() + 1);
			case "%d": return i(e.getDate());
			case "%b": return r.format(e);
			case "%B": return n.format(e);
			case "%H": return i(e.getHours());
			case "%M": return i(e.getMinutes());
			case "%%": return "%";
			default: return t;
		}
	});
}
function ho(e) {
	return e.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
function go(e, t, n, r) {
	if (r === 0) return e;
	let i = r == null || r < 0 ? Infinity : r, a = t.length === 0 ? /* @__PURE__ */ RegExp("(?=)", "gu") : new RegExp(ho(t), "gu");
	return e.replaceAll(a, (e) => i > 0 ? (--i, n) : e);
}
var _o = class extends Error {}, vo = class extends Error {}, yo = /* @__PURE__ */ new Map(), A = class {
	type = "RuntimeValue";
	value;
	get builtins() {
		return yo;
	}
	constructor(e = void 0) {
		this.value = e;
	}
	__bool__() {
		return new P(!!this.value);
	}
	toString() {
		return String(this.value);
	}
}, j = class extends A {
	type = "IntegerValue";
}, M = class extends A {
	type = "FloatValue";
	toString() {
		return Object.is(this.value, -0) ? "-0.0" : this.value % 1 == 0 ? this.value.toFixed(1) : this.value.toString();
	}
}, N = class extends A {
	type = "StringValue";
	_builtins;
	get builtins() {
		return this._builtins ??= /* @__PURE__ */ new Map([
			["upper", new R(() => new N(this.value.toUpperCase()))],
			["lower", new R(() => new N(this.value.toLowerCase()))],
			["strip", new R(() => new N(this.value.trim()))],
			["title", new R(() => new N(fo(this.value)))],
			["capitalize", new R(() => new N(this.value.charAt(0).toUpperCase() + this.value.slice(1)))],
			["length", new j(this.value.length)],
			["rstrip", new R(() => new N(this.value.trimEnd()))],
			["lstrip", new R(() => new N(this.value.trimStart()))],
			["startswith", new R((e) => {
				if (e.length === 0) throw Error("startswith() requires at least one argument");
				let t = e[0];
				if (t instanceof N) return new P(this.value.startsWith(t.value));
				if (t instanceof L) {
					for (let e of t.value) {
						if (!(e instanceof N)) throw Error("startswith() tuple elements must be strings");
						if (this.value.startsWith(e.value)) return new P(!0);
					}
					return new P(!1);
				}
				throw Error("startswith() argument must be a string or tuple of strings");
			})],
			["endswith", new R((e) => {
				if (e.length === 0) throw Error("endswith() requires at least one argument");
				let t = e[0];
				if (t instanceof N) return new P(this.value.endsWith(t.value));
				if (t instanceof L) {
					for (let e of t.value) {
						if (!(e instanceof N)) throw Error("endswith() tuple elements must be strings");
						if (this.value.endsWith(e.value)) return new P(!0);
					}
					return new P(!1);
				}
				throw Error("endswith() argument must be a string or tuple of strings");
			})],
			["split", new R((e) => {
				let t = e[0] ?? new z();
				if (!(t instanceof N || t instanceof z)) throw Error("sep argument must be a string or null");
				let n = e[1] ?? new j(-1);
				if (!(n instanceof j)) throw Error("maxsplit argument must be a number");
				let r = [];
				if (t instanceof z) {
					let e = this.value.trimStart();
					for (let { 0: t, index: i } of e.matchAll(/\S+/g)) {
						if (n.value !== -1 && r.length >= n.value && i !== void 0) {
							r.push(t + e.slice(i + t.length));
							break;
						}
						r.push(t);
					}
				} else {
					if (t.value === "") throw Error("empty separator");
					r = this.value.split(t.value), n.value !== -1 && r.length > n.value && r.push(r.splice(n.value).join(t.value));
				}
				return new L(r.map((e) => new N(e)));
			})],
			["replace", new R((e) => {
				if (e.length < 2) throw Error("replace() requires at least two arguments");
				let t = e[0], n = e[1];
				if (!(t instanceof N && n instanceof N)) throw Error("replace() arguments must be strings");
				let r;
				if (r = e.length > 2 ? e[2].type === "KeywordArgumentsValue" ? e[2].value.get("count") ?? new z() : e[2] : new z(), !(r instanceof j || r instanceof z)) throw Error("replace() count argument must be a number or null");
				return new N(go(this.value, t.value, n.value, r.value));
			})]
		]);
	}
}, P = class extends A {
	type = "BooleanValue";
}, bo = /[\x7f-\uffff]/g;
function xo(e) {
	return e.replace(bo, (e) => "\\u" + e.charCodeAt(0).toString(16).padStart(4, "0"));
}
function F(e, t = {}, n = 0, r = !0) {
	let { indent: i = null, ensureAscii: a = !1, separators: o = null, sortKeys: s = !1 } = t, c, l;
	switch (o ? [c, l] = o : i ? (c = ",", l = ": ") : (c = ", ", l = ": "), e.type) {
		case "NullValue": return "null";
		case "UndefinedValue": return r ? "null" : "undefined";
		case "IntegerValue":
		case "FloatValue":
		case "BooleanValue": return JSON.stringify(e.value);
		case "StringValue": {
			let t = JSON.stringify(e.value);
			return a && (t = xo(t)), t;
		}
		case "ArrayValue":
		case "NamespaceValue":
		case "ObjectValue": {
			let o = i ? " ".repeat(i) : "", u = "\n" + o.repeat(n), d = u + o;
			if (e.type === "ArrayValue") {
				let a = e.value.map((e) => F(e, t, n + 1, r));
				return i && a.length > 0 ? `[${d}${a.join(`${c}${d}`)}${u}]` : `[${a.join(c)}]`;
			}
			{
				let o = Array.from(e.value.entries());
				s && (o = o.sort(([e], [t]) => e.localeCompare(t)));
				let f = o.map(([e, o]) => {
					let s = JSON.stringify(e);
					a && (s = xo(s));
					let c = `${s}${l}${F(o, t, n + 1, r)}`;
					return i ? `${d}${c}` : c;
				});
				return i && f.length > 0 ? `{${f.join(c)}${u}}` : `{${f.join(c)}}`;
			}
		}
		default: throw Error(`Cannot convert to JSON: ${e.type}`);
	}
}
var I = class extends A {
	type = "ObjectValue";
	_builtins;
	__bool__() {
		return new P(this.value.size > 0);
	}
	get builtins() {
		return this._builtins ??= /* @__PURE__ */ new Map([
			["get", new R(([e, t]) => {
				if (!(e instanceof N)) throw Error(`Object key must be a string: got ${e.type}`);
				return this.value.get(e.value) ?? t ?? new z();
			})],
			["items", new R(() => this.items())],
			["keys", new R(() => this.keys())],
			["values", new R(() => this.values())],
			["dictsort", new R((e) => {
				let t = /* @__PURE__ */ new Map(), n = e.filter((e) => e instanceof So ? (t = e.value, !1) : !0), r = n.at(0) ?? t.get("case_sensitive") ?? new P(!1);
				if (!(r instanceof P)) throw Error("case_sensitive must be a boolean");
				let i = n.at(1) ?? t.get("by") ?? new N("key");
				if (!(i instanceof N)) throw Error("by must be a string");
				if (!["key", "value"].includes(i.value)) throw Error("by must be either 'key' or 'value'");
				let a = n.at(2) ?? t.get("reverse") ?? new P(!1);
				if (!(a instanceof P)) throw Error("reverse must be a boolean");
				return new L(Array.from(this.value.entries()).map(([e, t]) => new L([new N(e), t])).sort((e, t) => {
					let n = i.value === "key" ? 0 : 1, o = e.value[n], s = t.value[n], c = Mo(o, s, r.value);
					return a.value ? -c : c;
				}));
			})]
		]);
	}
	items() {
		return new L(Array.from(this.value.entries()).map(([e, t]) => new L([new N(e), t])));
	}
	keys() {
		return new L(Array.from(this.value.keys()).map((e) => new N(e)));
	}
	values() {
		return new L(Array.from(this.value.values()));
	}
	toString() {
		return F(this, {}, 0, !1);
	}
}, So = class extends I {
	type = "KeywordArgumentsValue";
}, Co = class extends A {
	type = "NamespaceValue";
	toString() {
		return F(this, {}, 0, !1);
	}
}, L = class extends A {
	type = "ArrayValue";
	_builtins;
	get builtins() {
		return this._builtins ??= /* @__PURE__ */ new Map([["length", new j(this.value.length)]]);
	}
	__bool__() {
		return new P(this.value.length > 0);
	}
	toString() {
		return F(this, {}, 0, !1);
	}
}, wo = class extends L {
	type = "TupleValue";
}, R = class extends A {
	type = "FunctionValue";
}, z = class extends A {
	type = "NullValue";
}, B = class extends A {
	type = "UndefinedValue";
};
function To(e) {
	let t;
	if (e instanceof L ? t = e.value : e instanceof N && (t = Array.from(e.value, (e) => new N(e))), !t || t.length !== 2) throw Error("namespace expected an object or an iterable of [key, value] pairs");
	let [n, r] = t;
	if (!(n instanceof N)) throw Error("namespace keys must be strings");
	return [n, r];
}
var Eo = class {
	constructor(e) {
		this.parent = e;
	}
	variables = /* @__PURE__ */ new Map([["namespace", new R((e) => {
		let t = e.slice(), n;
		if (t.at(-1) instanceof So && (n = t.pop()), t.length > 1) throw Error(`namespace expected at most 1 argument, got ${t.length}`);
		let r = /* @__PURE__ */ new Map();
		if (t.length === 1) {
			let e = t[0];
			if (e instanceof I) for (let [t, n] of e.value) r.set(t, n);
			else if (e instanceof L) for (let t of e.value) {
				let [e, n] = To(t);
				r.set(e.value, n);
			}
			else throw Error(`'${e.type}' object is not iterable`);
		}
		if (n) for (let [e, t] of n.value) r.set(e, t);
		return new Co(r);
	})]]);
	tests = Eo.TESTS;
	set(e, t) {
		return this.declareVariable(e, Lo(t));
	}
	declareVariable(e, t) {
		if (this.variables.has(e)) throw SyntaxError(`Variable already declared: ${e}`);
		return this.variables.set(e, t), t;
	}
	setVariable(e, t) {
		return this.variables.set(e, t), t;
	}
	resolve(e) {
		if (this.variables.has(e)) return this;
		if (this.parent) return this.parent.resolve(e);
		throw Error(`Unknown variable: ${e}`);
	}
	lookupVariable(e) {
		try {
			return this.resolve(e).variables.get(e) ?? new B();
		} catch {
			return new B();
		}
	}
}, V = Eo;
Ta(V, "TESTS", /* @__PURE__ */ new Map([
	["boolean", (e) => e.type === "BooleanValue"],
	["callable", (e) => e instanceof R],
	["odd", (e) => {
		if (!(e instanceof j)) throw Error(`cannot odd on ${e.type}`);
		return e.value % 2 != 0;
	}],
	["even", (e) => {
		if (!(e instanceof j)) throw Error(`cannot even on ${e.type}`);
		return e.value % 2 == 0;
	}],
	["false", (e) => e.type === "BooleanValue" && !e.value],
	["true", (e) => e.type === "BooleanValue" && e.value],
	["none", (e) => e.type === "NullValue"],
	["string", (e) => e.type === "StringValue"],
	["number", (e) => e instanceof j || e instanceof M],
	["integer", (e) => e instanceof j],
	["iterable", (e) => e.type === "ArrayValue" || e.type === "StringValue"],
	["mapping", (e) => e instanceof I],
	["sequence", (e) => e instanceof L || e instanceof I || e instanceof N],
	["lower", (e) => {
		let t = e.value;
		return e.type === "StringValue" && t === t.toLowerCase();
	}],
	["upper", (e) => {
		let t = e.value;
		return e.type === "StringValue" && t === t.toUpperCase();
	}],
	["none", (e) => e.type === "NullValue"],
	["defined", (e) => e.type !== "UndefinedValue"],
	["undefined", (e) => e.type === "UndefinedValue"],
	["equalto", (e, t) => e.value === t.value],
	["eq", (e, t) => e.value === t.value]
]));
function Do(e) {
	e.set("false", !1), e.set("true", !0), e.set("none", null), e.set("raise_exception", (e) => {
		throw Error(e);
	}), e.set("range", lo), e.set("strftime_now", po), e.set("True", !0), e.set("False", !1), e.set("None", null);
}
function Oo(e) {
	return e instanceof I || e instanceof Co;
}
function ko(e) {
	return e instanceof j || e instanceof M || e instanceof P;
}
function Ao(e) {
	return e instanceof P ? Number(e.value) : e.value;
}
function jo(e, t) {
	let n = t.split("."), r = e;
	for (let e of n) if (Oo(r)) r = r.value.get(e) ?? new B();
	else if (r instanceof L) {
		let t = parseInt(e, 10);
		if (!isNaN(t) && t >= 0 && t < r.value.length) r = r.value[t];
		else return new B();
	} else return new B();
	return r;
}
function Mo(e, t, n = !1) {
	if (e instanceof z && t instanceof z) return 0;
	if (e instanceof z || t instanceof z) throw Error(`Cannot compare ${e.type} with ${t.type}`);
	if (e instanceof B && t instanceof B) return 0;
	if (e instanceof B || t instanceof B) throw Error(`Cannot compare ${e.type} with ${t.type}`);
	if (ko(e) && ko(t)) {
		let n = Ao(e), r = Ao(t);
		return n < r ? -1 : +(n > r);
	}
	if (e.type !== t.type) throw Error(`Cannot compare different types: ${e.type} and ${t.type}`);
	switch (e.type) {
		case "StringValue": {
			let r = e.value, i = t.value;
			return n || (r = r.toLowerCase(), i = i.toLowerCase()), r < i ? -1 : +(r > i);
		}
		default: throw Error(`Cannot compare type: ${e.type}`);
	}
}
function No(e) {
	if (e.type === "Identifier") return { name: e.value };
	let t = e;
	return {
		name: t.key.value,
		defaultValue: t.value
	};
}
function Po(e) {
	return e === "kwargs" || e === "varargs";
}
function Fo(e, t) {
	let n = /* @__PURE__ */ new Set(), r = /* @__PURE__ */ new Set(), i = (e) => {
		Po(e) && n.add(e);
	}, a = (e) => {
		if (e.type === "Identifier") i(e.value);
		else if (e.type === "TupleLiteral") for (let t of e.value) a(t);
	}, o = (e) => {
		i(No(e).name);
	}, s = (e) => {
		for (let t of e) {
			let e = No(t);
			e.defaultValue && l(e.defaultValue);
		}
	}, c = (e) => {
		e.type === "CallExpression" && l(e.args);
	}, l = (e) => {
		if (Array.isArray(e)) for (let t of e) l(t);
		else if (e instanceof Map) for (let [t, n] of e) l(t), l(n);
		else if (e instanceof D) switch (e.type) {
			case "For": {
				let t = e;
				if (a(t.loopvar), t.iterable.type === "SelectExpression") {
					let e = t.iterable;
					l(e.lhs), l(t.body), l(t.defaultBlock), l(e.test);
					return;
				}
				l(t.iterable), l(t.body), l(t.defaultBlock);
				return;
			}
			case "Set": {
				let t = e;
				a(t.assignee), l(t.value), l(t.body);
				return;
			}
			case "Macro": {
				let t = e;
				for (let e of t.args) o(e);
				s(t.args), l(t.body);
				return;
			}
			case "CallStatement": {
				let t = e;
				l(t.call);
				for (let e of t.callerArgs ?? []) o(e);
				s(t.callerArgs ?? []), l(t.body);
				return;
			}
			case "FilterStatement": {
				let t = e;
				l(t.body), c(t.filter);
				return;
			}
			case "Identifier": {
				let t = e.value;
				Po(t) && !n.has(t) && r.add(t);
				return;
			}
			case "MemberExpression": {
				let t = e;
				l(t.object), t.computed && l(t.property);
				return;
			}
			case "FilterExpression": {
				let t = e;
				l(t.operand), c(t.filter);
				return;
			}
			case "TestExpression":
				l(e.operand);
				return;
			case "SelectExpression": {
				let t = e;
				l(t.test), l(t.lhs);
				return;
			}
			case "KeywordArgumentExpression":
				l(e.value);
				return;
			default: for (let t of Object.values(e)) l(t);
		}
	};
	for (let t of e) o(t);
	return l(t), r;
}
var Io = class {
	global;
	constructor(e) {
		this.global = e ?? new V();
	}
	run(e) {
		return this.evaluate(e, this.global);
	}
	evaluateBinaryExpression(e, t) {
		let n = this.evaluate(e.left, t);
		switch (e.operator.value) {
			case "and": return n.__bool__().value ? this.evaluate(e.right, t) : n;
			case "or": return n.__bool__().value ? n : this.evaluate(e.right, t);
		}
		let r = this.evaluate(e.right, t);
		switch (e.operator.value) {
			case "==": return new P(n.value == r.value);
			case "!=": return new P(n.value != r.value);
		}
		if (n instanceof B || r instanceof B) {
			if (r instanceof B && ["in", "not in"].includes(e.operator.value)) return new P(e.operator.value === "not in");
			throw Error(`Cannot perform operation ${e.operator.value} on undefined values`);
		}
		if (n instanceof z || r instanceof z) throw Error("Cannot perform operation on null values");
		if (e.operator.value === "~") return new N(n.value.toString() + r.value.toString());
		if (e.operator.value === "**" && ko(n) && ko(r)) {
			let e = Ao(n), t = Ao(r);
			if (e === 0 && t < 0) throw Error("0.0 cannot be raised to a negative power");
			let i = e ** t;
			if (!Number.isFinite(i)) throw Error("Exponentiation result is not a finite real number");
			return n instanceof M || r instanceof M || t < 0 ? new M(i) : new j(i);
		}
		if ((n instanceof j || n instanceof M) && (r instanceof j || r instanceof M)) {
			let t = n.value, i = r.value;
			switch (e.operator.value) {
				case "+":
				case "-":
				case "*": {
					let a = e.operator.value === "+" ? t + i : e.operator.value === "-" ? t - i : t * i;
					return n instanceof M || r instanceof M ? new M(a) : new j(a);
				}
				case "/": return new M(t / i);
				case "//": {
					let e = Math.floor(t / i);
					return n instanceof M || r instanceof M ? new M(e) : new j(e);
				}
				case "%": {
					let e = t % i;
					return n instanceof M || r instanceof M ? new M(e) : new j(e);
				}
				case "<": return new P(t < i);
				case ">": return new P(t > i);
				case ">=": return new P(t >= i);
				case "<=": return new P(t <= i);
			}
		} else if (n instanceof L && r instanceof L) switch (e.operator.value) {
			case "+": return new L(n.value.concat(r.value));
		}
		else if (r instanceof L) {
			let t = r.value.find((e) => e.value === n.value) !== void 0;
			switch (e.operator.value) {
				case "in": return new P(t);
				case "not in": return new P(!t);
			}
		}
		if (n instanceof N || r instanceof N) switch (e.operator.value) {
			case "+": return new N(n.value.toString() + r.value.toString());
		}
		if (n instanceof N && r instanceof N) switch (e.operator.value) {
			case "in": return new P(r.value.includes(n.value));
			case "not in": return new P(!r.value.includes(n.value));
		}
		if (n instanceof N && r instanceof I) switch (e.operator.value) {
			case "in": return new P(r.value.has(n.value));
			case "not in": return new P(!r.value.has(n.value));
		}
		throw SyntaxError(`Unknown operator "${e.operator.value}" between ${n.type} and ${r.type}`);
	}
	evaluateArguments(e, t) {
		let n = [], r = /* @__PURE__ */ new Map(), i = (e, t) => {
			if (r.has(e)) throw Error(`Got multiple values for keyword argument '${e}'`);
			r.set(e, t);
		};
		for (let r of e) if (r.type === "SpreadExpression") {
			let e = r, i = this.evaluate(e.argument, t);
			if (!(i instanceof L)) throw Error(`Cannot unpack non-iterable type: ${i.type}`);
			for (let e of i.value) n.push(e);
		} else r.type !== "KeywordArgumentExpression" && r.type !== "KeywordSpreadExpression" && n.push(this.evaluate(r, t));
		for (let n of e) if (n.type === "KeywordArgumentExpression") {
			let e = n;
			i(e.key.value, this.evaluate(e.value, t));
		} else if (n.type === "KeywordSpreadExpression") {
			let e = n, r = this.evaluate(e.argument, t);
			if (!(r instanceof I)) throw Error(`Argument after ** must be a mapping, not ${r.type}`);
			for (let [e, t] of r.value) i(e, t);
		}
		return [n, r];
	}
	applyFilter(e, t, n) {
		if (t.type === "Identifier") {
			let r = t;
			if (r.value === "safe") return e;
			if (r.value === "tojson") return new N(F(e, {}));
			if (e instanceof L) switch (r.value) {
				case "list": return e;
				case "first": return e.value[0];
				case "last": return e.value[e.value.length - 1];
				case "length": return new j(e.value.length);
				case "reverse": return new L(e.value.slice().reverse());
				case "sort": return new L(e.value.slice().sort((e, t) => Mo(e, t, !1)));
				case "join": return new N(e.value.map((e) => e.value).join(""));
				case "string": return new N(F(e, {}, 0, !1));
				case "unique": {
					let t = /* @__PURE__ */ new Set(), n = [];
					for (let r of e.value) t.has(r.value) || (t.add(r.value), n.push(r));
					return new L(n);
				}
				default: throw Error(`Unknown ArrayValue filter: ${r.value}`);
			}
			else if (e instanceof N) switch (r.value) {
				case "length":
				case "upper":
				case "lower":
				case "title":
				case "capitalize": {
					let t = e.builtins.get(r.value);
					if (t instanceof R) return t.value([], n);
					if (t instanceof j) return t;
					throw Error(`Unknown StringValue filter: ${r.value}`);
				}
				case "trim": return new N(e.value.trim());
				case "indent": return new N(e.value.split("\n").map((e, t) => t === 0 || e.length === 0 ? e : "    " + e).join("\n"));
				case "join":
				case "string": return e;
				case "int": {
					let t = parseInt(e.value, 10);
					return new j(isNaN(t) ? 0 : t);
				}
				case "float": {
					let t = parseFloat(e.value);
					return new M(isNaN(t) ? 0 : t);
				}
				default: throw Error(`Unknown StringValue filter: ${r.value}`);
			}
			else if (e instanceof j || e instanceof M) switch (r.value) {
				case "abs": return e instanceof j ? new j(Math.abs(e.value)) : new M(Math.abs(e.value));
				case "int": return new j(Math.floor(e.value));
				case "float": return new M(e.value);
				case "string": return new N(e.toString());
				default: throw Error(`Unknown NumericValue filter: ${r.value}`);
			}
			else if (e instanceof I) switch (r.value) {
				case "items": return new L(Array.from(e.value.entries()).map(([e, t]) => new L([new N(e), t])));
				case "length": return new j(e.value.size);
				default: {
					let t = e.builtins.get(r.value);
					if (t) return t instanceof R ? t.value([], n) : t;
					throw Error(`Unknown ObjectValue filter: ${r.value}`);
				}
			}
			else if (e instanceof P) switch (r.value) {
				case "bool": return new P(e.value);
				case "int": return new j(+!!e.value);
				case "float": return new M(+!!e.value);
				case "string": return new N(e.value ? "true" : "false");
				default: throw Error(`Unknown BooleanValue filter: ${r.value}`);
			}
			throw Error(`Cannot apply filter "${r.value}" to type: ${e.type}`);
		}
		if (t.type === "CallExpression") {
			let r = t;
			if (r.callee.type !== "Identifier") throw Error(`Unknown filter: ${r.callee.type}`);
			let i = r.callee.value;
			if (i === "tojson") {
				let [, t] = this.evaluateArguments(r.args, n), i = t.get("indent") ?? new z();
				if (!(i instanceof j || i instanceof z)) throw Error("If set, indent must be a number");
				let a = t.get("ensure_ascii") ?? new P(!1);
				if (!(a instanceof P)) throw Error("If set, ensure_ascii must be a boolean");
				let o = t.get("sort_keys") ?? new P(!1);
				if (!(o instanceof P)) throw Error("If set, sort_keys must be a boolean");
				let s = t.get("separators") ?? new z(), c = null;
				if (s instanceof L || s instanceof wo) {
					if (s.value.length !== 2) throw Error("separators must be a tuple of two strings");
					let [e, t] = s.value;
					if (!(e instanceof N) || !(t instanceof N)) throw Error("separators must be a tuple of two strings");
					c = [e.value, t.value];
				} else if (!(s instanceof z)) throw Error("If set, separators must be a tuple of two strings");
				return new N(F(e, {
					indent: i.value,
					ensureAscii: a.value,
					sortKeys: o.value,
					separators: c
				}));
			}
			if (i === "join") {
				let t;
				if (e instanceof N) t = Array.from(e.value);
				else if (e instanceof L) t = e.value.map((e) => e.value);
				else throw Error(`Cannot apply filter "${i}" to type: ${e.type}`);
				let [a, o] = this.evaluateArguments(r.args, n), s = a.at(0) ?? o.get("separator") ?? new N("");
				if (!(s instanceof N)) throw Error("separator must be a string");
				return new N(t.join(s.value));
			}
			if (i === "int" || i === "float") {
				let [t, a] = this.evaluateArguments(r.args, n), o = t.at(0) ?? a.get("default") ?? (i === "int" ? new j(0) : new M(0));
				if (e instanceof N) {
					let t = i === "int" ? parseInt(e.value, 10) : parseFloat(e.value);
					return isNaN(t) ? o : i === "int" ? new j(t) : new M(t);
				}
				if (e instanceof j || e instanceof M) return e;
				if (e instanceof P) return i === "int" ? new j(+!!e.value) : new M(+!!e.value);
				throw Error(`Cannot apply filter "${i}" to type: ${e.type}`);
			}
			if (i === "default") {
				let [t, i] = this.evaluateArguments(r.args, n), a = t[0] ?? new N(""), o = t[1] ?? i.get("boolean") ?? new P(!1);
				if (!(o instanceof P)) throw Error("`default` filter flag must be a boolean");
				return e instanceof B || o.value && !e.__bool__().value ? a : e;
			}
			if (e instanceof L) {
				switch (i) {
					case "sort": {
						let [t, i] = this.evaluateArguments(r.args, n), a = t.at(0) ?? i.get("reverse") ?? new P(!1);
						if (!(a instanceof P)) throw Error("reverse must be a boolean");
						let o = t.at(1) ?? i.get("case_sensitive") ?? new P(!1);
						if (!(o instanceof P)) throw Error("case_sensitive must be a boolean");
						let s = t.at(2) ?? i.get("attribute") ?? new z();
						if (!(s instanceof N || s instanceof j || s instanceof z)) throw Error("attribute must be a string, integer, or null");
						let c = (e) => s instanceof z ? e : jo(e, s instanceof j ? String(s.value) : s.value);
						return new L(e.value.slice().sort((e, t) => {
							let n = Mo(c(e), c(t), o.value);
							return a.value ? -n : n;
						}));
					}
					case "selectattr":
					case "rejectattr": {
						let t = i === "selectattr";
						if (e.value.some((e) => !Oo(e))) throw Error(`\`${i}\` can only be applied to array of objects`);
						if (r.args.some((e) => e.type !== "StringLiteral")) throw Error(`arguments of \`${i}\` must be strings`);
						let [a, o, s] = r.args.map((e) => this.evaluate(e, n)), c;
						if (o) {
							let e = n.tests.get(o.value);
							if (!e) throw Error(`Unknown test: ${o.value}`);
							c = e;
						} else c = (...e) => e[0].__bool__().value;
						return new L(e.value.filter((e) => {
							let n = e.value.get(a.value), r = n ? c(n, s) : !1;
							return t ? r : !r;
						}));
					}
					case "map": {
						let [, t] = this.evaluateArguments(r.args, n);
						if (t.has("attribute")) {
							let n = t.get("attribute");
							if (!(n instanceof N)) throw Error("attribute must be a string");
							let r = t.get("default");
							return new L(e.value.map((e) => {
								if (!Oo(e)) throw Error("items in map must be an object");
								let t = jo(e, n.value);
								return t instanceof B ? r ?? new B() : t;
							}));
						}
						throw Error("`map` expressions without `attribute` set are not currently supported.");
					}
				}
				throw Error(`Unknown ArrayValue filter: ${i}`);
			}
			if (e instanceof N) {
				switch (i) {
					case "indent": {
						let [t, i] = this.evaluateArguments(r.args, n), a = t.at(0) ?? i.get("width") ?? new j(4);
						if (!(a instanceof j)) throw Error("width must be a number");
						let o = t.at(1) ?? i.get("first") ?? new P(!1), s = t.at(2) ?? i.get("blank") ?? new P(!1), c = e.value.split("\n"), l = " ".repeat(a.value);
						return new N(c.map((e, t) => !o.value && t === 0 || !s.value && e.length === 0 ? e : l + e).join("\n"));
					}
					case "replace": {
						let t = e.builtins.get("replace");
						if (!(t instanceof R)) throw Error("replace filter not available");
						let [i, a] = this.evaluateArguments(r.args, n);
						return t.value([...i, new So(a)], n);
					}
				}
				throw Error(`Unknown StringValue filter: ${i}`);
			}
			if (e instanceof I) {
				let t = e.builtins.get(i);
				if (t && t instanceof R) {
					let [e, i] = this.evaluateArguments(r.args, n);
					return i.size > 0 && e.push(new So(i)), t.value(e, n);
				}
				throw Error(`Unknown ObjectValue filter: ${i}`);
			}
			throw Error(`Cannot apply filter "${i}" to type: ${e.type}`);
		}
		throw Error(`Unknown filter: ${t.type}`);
	}
	evaluateFilterExpression(e, t) {
		let n = this.evaluate(e.operand, t);
		return this.applyFilter(n, e.filter, t);
	}
	evaluateTestExpression(e, t) {
		let n = this.evaluate(e.operand, t), r = t.tests.get(e.test.value);
		if (!r) throw Error(`Unknown test: ${e.test.value}`);
		let i = r(n);
		return new P(e.negate ? !i : i);
	}
	evaluateSelectExpression(e, t) {
		return this.evaluate(e.test, t).__bool__().value ? this.evaluate(e.lhs, t) : new B();
	}
	evaluateUnaryExpression(e, t) {
		let n = this.evaluate(e.argument, t);
		switch (e.operator.value) {
			case "not": return new P(!n.__bool__().value);
			case "+":
			case "-": {
				let t = e.operator.value === "-" ? -1 : 1;
				if (n instanceof j || n instanceof M || n instanceof P) {
					let e = t * (n instanceof P ? +!!n.value : n.value);
					return n instanceof M ? new M(e) : new j(e);
				}
				throw SyntaxError(`Unknown operator "${e.operator.value}" for ${n.type}`);
			}
			default: throw SyntaxError(`Unknown operator: ${e.operator.value}`);
		}
	}
	evaluateTernaryExpression(e, t) {
		return this.evaluate(e.condition, t).__bool__().value ? this.evaluate(e.trueExpr, t) : this.evaluate(e.falseExpr, t);
	}
	evalProgram(e, t) {
		return this.evaluateBlock(e.body, t);
	}
	evaluateBlock(e, t) {
		let n = "";
		for (let r of e) {
			let e = this.evaluate(r, t);
			e.type !== "NullValue" && e.type !== "UndefinedValue" && (n += e.toString());
		}
		return new N(n);
	}
	evaluateIdentifier(e, t) {
		return t.lookupVariable(e.value);
	}
	evaluateCallExpression(e, t) {
		let [n, r] = this.evaluateArguments(e.args, t);
		r.size > 0 && n.push(new So(r));
		let i = this.evaluate(e.callee, t);
		if (i.type !== "FunctionValue") throw Error(`Cannot call something that is not a function: got ${i.type}`);
		return i.value(n, t);
	}
	evaluateSliceExpression(e, t, n) {
		if (!(e instanceof L || e instanceof N)) throw Error("Slice object must be an array or string");
		let r = this.evaluate(t.start, n), i = this.evaluate(t.stop, n), a = this.evaluate(t.step, n);
		if (!(r instanceof j || r instanceof B)) throw Error("Slice start must be numeric or undefined");
		if (!(i instanceof j || i instanceof B)) throw Error("Slice stop must be numeric or undefined");
		if (!(a instanceof j || a instanceof B)) throw Error("Slice step must be numeric or undefined");
		return e instanceof L ? new L(uo(e.value, r.value, i.value, a.value)) : new N(uo(Array.from(e.value), r.value, i.value, a.value).join(""));
	}
	evaluateMemberExpression(e, t) {
		let n = this.evaluate(e.object, t), r;
		if (e.computed) {
			if (e.property.type === "SliceExpression") return this.evaluateSliceExpression(n, e.property, t);
			r = this.evaluate(e.property, t);
		} else r = e.property.type === "IntegerLiteral" ? new j(e.property.value) : new N(e.property.value);
		let i;
		if (Oo(n)) {
			if (!(r instanceof N)) throw Error(`Cannot access property with non-string: got ${r.type}`);
			i = n.value.get(r.value) ?? (n instanceof I ? n.builtins.get(r.value) : void 0);
		} else if (n instanceof L || n instanceof N) {
			if (r instanceof j) {
				if (n instanceof N) {
					let e = n.value.at(r.value);
					i = e === void 0 ? void 0 : new N(e);
				} else i = n.value.at(r.value);
			} else if (r instanceof N) i = n.builtins.get(r.value);
			else throw Error(`Cannot access property with non-string/non-number: got ${r.type}`);
		} else {
			if (!(r instanceof N)) throw Error(`Cannot access property with non-string: got ${r.type}`);
			i = n.builtins.get(r.value);
		}
		return i instanceof A ? i : new B();
	}
	evaluateSet(e, t) {
		let n = e.value ? this.evaluate(e.value, t) : this.evaluateBlock(e.body, t);
		if (e.assignee.type === "Identifier") {
			let r = e.assignee.value;
			t.setVariable(r, n);
		} else if (e.assignee.type === "TupleLiteral") {
			let r = e.assignee;
			if (!(n instanceof L)) throw Error(`Cannot unpack non-iterable type in set: ${n.type}`);
			let i = n.value;
			if (i.length !== r.value.length) throw Error(`Too ${r.value.length > i.length ? "few" : "many"} items to unpack in set`);
			for (let e = 0; e < r.value.length; ++e) {
				let n = r.value[e];
				if (n.type !== "Identifier") throw Error(`Cannot unpack to non-identifier in set: ${n.type}`);
				t.setVariable(n.value, i[e]);
			}
		} else if (e.assignee.type === "MemberExpression") {
			let r = e.assignee, i = this.evaluate(r.object, t);
			if (!(i instanceof Co)) throw Error("cannot assign attribute on non-namespace object");
			if (r.property.type !== "Identifier") throw Error("Cannot assign to member with non-identifier property");
			i.value.set(r.property.value, n);
		} else throw Error(`Invalid LHS inside assignment expression: ${JSON.stringify(e.assignee)}`);
		return new z();
	}
	evaluateIf(e, t) {
		let n = this.evaluate(e.test, t);
		return this.evaluateBlock(n.__bool__().value ? e.body : e.alternate, t);
	}
	evaluateFor(e, t) {
		let n = new V(t), r, i;
		if (e.iterable.type === "SelectExpression") {
			let t = e.iterable;
			i = this.evaluate(t.lhs, n), r = t.test;
		} else i = this.evaluate(e.iterable, n);
		if (!(i instanceof L || i instanceof I)) throw Error(`Expected iterable or object type in for loop: got ${i.type}`);
		i instanceof I && (i = i.keys());
		let a = [], o = [];
		for (let t = 0; t < i.value.length; ++t) {
			let s = new V(n), c = i.value[t], l;
			if (e.loopvar.type === "Identifier") l = (t) => t.setVariable(e.loopvar.value, c);
			else if (e.loopvar.type === "TupleLiteral") {
				let t = e.loopvar;
				if (c.type !== "ArrayValue") throw Error(`Cannot unpack non-iterable type: ${c.type}`);
				let n = c;
				if (t.value.length !== n.value.length) throw Error(`Too ${t.value.length > n.value.length ? "few" : "many"} items to unpack`);
				l = (e) => {
					for (let r = 0; r < t.value.length; ++r) {
						if (t.value[r].type !== "Identifier") throw Error(`Cannot unpack non-identifier type: ${t.value[r].type}`);
						e.setVariable(t.value[r].value, n.value[r]);
					}
				};
			} else throw Error(`Invalid loop variable(s): ${e.loopvar.type}`);
			r && (l(s), !this.evaluate(r, s).__bool__().value) || (a.push(c), o.push(l));
		}
		let s = "", c = !0;
		for (let t = 0; t < a.length; ++t) {
			let r = /* @__PURE__ */ new Map([
				["index", new j(t + 1)],
				["index0", new j(t)],
				["revindex", new j(a.length - t)],
				["revindex0", new j(a.length - t - 1)],
				["first", new P(t === 0)],
				["last", new P(t === a.length - 1)],
				["length", new j(a.length)],
				["previtem", t > 0 ? a[t - 1] : new B()],
				["nextitem", t < a.length - 1 ? a[t + 1] : new B()]
			]);
			n.setVariable("loop", new I(r)), o[t](n);
			try {
				let t = this.evaluateBlock(e.body, n);
				s += t.value;
			} catch (e) {
				if (e instanceof vo) continue;
				if (e instanceof _o) break;
				throw e;
			}
			c = !1;
		}
		if (c) {
			let t = this.evaluateBlock(e.defaultBlock, n);
			s += t.value;
		}
		return new N(s);
	}
	bindMacroArguments(e, t, n, r, i) {
		let a = r.slice(), o = /* @__PURE__ */ new Map();
		a.at(-1) instanceof So && (o = new Map(a.pop().value));
		let s = [];
		for (let e = 0; e < t.length; ++e) {
			let { name: n, defaultValue: r } = No(t[e]), c = a[e];
			c === void 0 && o.has(n) && (c = o.get(n), o.delete(n)), c === void 0 && r !== void 0 && s.push([n, r]), i.setVariable(n, c ?? new B());
		}
		if (n.has("kwargs")) i.setVariable("kwargs", new I(o));
		else if (o.size > 0) throw Error(`macro ${e} takes no keyword argument '${o.keys().next().value}'`);
		if (n.has("varargs")) i.setVariable("varargs", new L(a.slice(t.length)));
		else if (a.length > t.length) throw Error(`macro ${e} takes not more than ${t.length} argument(s)`);
		for (let [e, t] of s) i.setVariable(e, this.evaluate(t, i));
	}
	evaluateMacro(e, t) {
		let n = Fo(e.args, e.body);
		return t.setVariable(e.name.value, new R((t, r) => {
			let i = new V(r);
			return this.bindMacroArguments(`'${e.name.value}'`, e.args, n, t, i), this.evaluateBlock(e.body, i);
		})), new z();
	}
	evaluateCallStatement(e, t) {
		let n = e.callerArgs ?? [], r = Fo(n, e.body), i = new R((i) => {
			let a = new V(t);
			return this.bindMacroArguments("None", n, r, i, a), this.evaluateBlock(e.body, a);
		}), [a, o] = this.evaluateArguments(e.call.args, t);
		a.push(new So(o));
		let s = this.evaluate(e.call.callee, t);
		if (s.type !== "FunctionValue") throw Error(`Cannot call something that is not a function: got ${s.type}`);
		let c = new V(t);
		return c.setVariable("caller", i), s.value(a, c);
	}
	evaluateFilterStatement(e, t) {
		let n = this.evaluateBlock(e.body, t);
		return this.applyFilter(n, e.filter, t);
	}
	evaluate(e, t) {
		if (!e) return new B();
		switch (e.type) {
			case "Program": return this.evalProgram(e, t);
			case "Set": return this.evaluateSet(e, t);
			case "If": return this.evaluateIf(e, t);
			case "For": return this.evaluateFor(e, t);
			case "Macro": return this.evaluateMacro(e, t);
			case "CallStatement": return this.evaluateCallStatement(e, t);
			case "Break": throw new _o();
			case "Continue": throw new vo();
			case "IntegerLiteral": return new j(e.value);
			case "FloatLiteral": return new M(e.value);
			case "StringLiteral": return new N(e.value);
			case "ArrayLiteral": return new L(e.value.map((e) => this.evaluate(e, t)));
			case "TupleLiteral": return new wo(e.value.map((e) => this.evaluate(e, t)));
			case "ObjectLiteral": {
				let n = /* @__PURE__ */ new Map();
				for (let [r, i] of e.value) {
					let e = this.evaluate(r, t);
					if (!(e instanceof N)) throw Error(`Object keys must be strings: got ${e.type}`);
					n.set(e.value, this.evaluate(i, t));
				}
				return new I(n);
			}
			case "Identifier": return this.evaluateIdentifier(e, t);
			case "CallExpression": return this.evaluateCallExpression(e, t);
			case "MemberExpression": return this.evaluateMemberExpression(e, t);
			case "UnaryExpression": return this.evaluateUnaryExpression(e, t);
			case "BinaryExpression": return this.evaluateBinaryExpression(e, t);
			case "FilterExpression": return this.evaluateFilterExpression(e, t);
			case "FilterStatement": return this.evaluateFilterStatement(e, t);
			case "TestExpression": return this.evaluateTestExpression(e, t);
			case "SelectExpression": return this.evaluateSelectExpression(e, t);
			case "Ternary": return this.evaluateTernaryExpression(e, t);
			case "Comment": return new z();
			default: throw SyntaxError(`Unknown node type: ${e.type}`);
		}
	}
};
function Lo(e) {
	switch (typeof e) {
		case "number": return Number.isInteger(e) ? new j(e) : new M(e);
		case "string": return new N(e);
		case "boolean": return new P(e);
		case "undefined": return new B();
		case "object": return e === null ? new z() : Array.isArray(e) ? new L(e.map(Lo)) : new I(new Map(Object.entries(e).map(([e, t]) => [e, Lo(t)])));
		case "function": return new R((t, n) => Lo(e(...t.map((e) => e.value)) ?? null));
		default: throw Error(`Cannot convert to runtime value: ${e}`);
	}
}
var H = "\n", Ro = "{%- ", zo = " -%}", U = Object.freeze({
	CONDITIONAL: 0,
	LOGICAL_OR: 1,
	LOGICAL_AND: 2,
	LOGICAL_NOT: 3,
	COMPARISON: 4,
	ADDITIVE: 5,
	MULTIPLICATIVE: 6,
	EXPONENTIATION: 7,
	TEST: 8,
	FILTER: 9,
	UNARY_SIGN: 10,
	ATOM: 11
});
function Bo(e) {
	switch (e.operator.type) {
		case "ExponentiationBinaryOperator": return U.EXPONENTIATION;
		case "MultiplicativeBinaryOperator": return U.MULTIPLICATIVE;
		case "AdditiveBinaryOperator": return U.ADDITIVE;
		case "ComparisonBinaryOperator": return U.COMPARISON;
		case "Identifier": return e.operator.value === "and" ? U.LOGICAL_AND : e.operator.value === "in" || e.operator.value === "not in" ? U.COMPARISON : U.LOGICAL_OR;
	}
	return U.LOGICAL_OR;
}
function Vo(e) {
	switch (e.type) {
		case "SelectExpression":
		case "Ternary": return U.CONDITIONAL;
		case "BinaryExpression": return Bo(e);
		case "UnaryExpression": return e.operator.value === "not" ? U.LOGICAL_NOT : U.UNARY_SIGN;
		case "TestExpression": return U.TEST;
		case "FilterExpression": return U.FILTER;
		default: return U.ATOM;
	}
}
function W(e, t) {
	let n = q(e);
	return Vo(e) < t ? `(${n})` : n;
}
function Ho(e, t = "	") {
	let n = typeof t == "number" ? " ".repeat(t) : t;
	return K(e.body, 0, n).replace(/\n$/, "");
}
function G(...e) {
	return Ro + e.join(" ") + zo;
}
function K(e, t, n) {
	return e.map((e) => Wo(e, t, n)).join(H);
}
function Uo(e) {
	return e.map((e) => q(e)).join(", ");
}
function Wo(e, t, n) {
	let r = n.repeat(t);
	switch (e.type) {
		case "Program": return K(e.body, t, n);
		case "If": return Go(e, t, n);
		case "For": return Ko(e, t, n);
		case "Set": return qo(e, t, n);
		case "Macro": return Jo(e, t, n);
		case "Break": return r + G("break");
		case "Continue": return r + G("continue");
		case "CallStatement": return Yo(e, t, n);
		case "FilterStatement": return Xo(e, t, n);
		case "Comment": return r + "{# " + e.value + " #}";
		default: return r + "{{- " + q(e) + " -}}";
	}
}
function Go(e, t, n) {
	let r = n.repeat(t), i = [], a = e;
	for (; a && (i.push({
		test: a.test,
		body: a.body
	}), a.alternate.length === 1 && a.alternate[0].type === "If");) a = a.alternate[0];
	let o = r + G("if", q(i[0].test)) + H + K(i[0].body, t + 1, n);
	for (let e = 1; e < i.length; ++e) o += H + r + G("elif", q(i[e].test)) + H + K(i[e].body, t + 1, n);
	return a && a.alternate.length > 0 && (o += H + r + G("else") + H + K(a.alternate, t + 1, n)), o += H + r + G("endif"), o;
}
function Ko(e, t, n) {
	let r = n.repeat(t), i = "";
	if (e.iterable.type === "SelectExpression") {
		let t = e.iterable;
		i = `${q(t.lhs)} if ${q(t.test)}`;
	} else i = q(e.iterable);
	let a = r + G("for", q(e.loopvar), "in", i) + H + K(e.body, t + 1, n);
	return e.defaultBlock.length > 0 && (a += H + r + G("else") + H + K(e.defaultBlock, t + 1, n)), a += H + r + G("endfor"), a;
}
function qo(e, t, n) {
	let r = n.repeat(t), i = q(e.assignee), a = e.value ? q(e.value) : "", o = r + G("set", `${i}${e.value ? " = " + a : ""}`);
	return e.body.length === 0 ? o : o + H + K(e.body, t + 1, n) + H + r + G("endset");
}
function Jo(e, t, n) {
	let r = n.repeat(t), i = Uo(e.args);
	return r + G("macro", `${e.name.value}(${i})`) + H + K(e.body, t + 1, n) + H + r + G("endmacro");
}
function Yo(e, t, n) {
	let r = n.repeat(t), i = e.callerArgs && e.callerArgs.length > 0 ? `(${Uo(e.callerArgs)})` : "", a = q(e.call), o = r + G(`call${i}`, a) + H;
	return o += K(e.body, t + 1, n) + H, o += r + G("endcall"), o;
}
function Xo(e, t, n) {
	let r = n.repeat(t), i = r + G("filter", e.filter.type === "Identifier" ? e.filter.value : q(e.filter)) + H;
	return i += K(e.body, t + 1, n) + H, i += r + G("endfilter"), i;
}
function q(e) {
	switch (e.type) {
		case "SpreadExpression": return `*${q(e.argument)}`;
		case "KeywordSpreadExpression": return `**${q(e.argument)}`;
		case "Identifier": return e.value;
		case "IntegerLiteral": return `${e.value}`;
		case "FloatLiteral": {
			let t = e.value;
			return Object.is(t, -0) ? "-0.0" : t % 1 == 0 ? t.toFixed(1) : t.toString();
		}
		case "StringLiteral": return JSON.stringify(e.value);
		case "BinaryExpression": {
			let t = e, n = Bo(t), r = W(t.left, n), i = W(t.right, n + 1);
			return `${r} ${t.operator.value} ${i}`;
		}
		case "UnaryExpression": {
			let t = e, n = t.argument.type === "UnaryExpression" ? Vo(t) : U.ATOM;
			return t.operator.value + (t.operator.value === "not" ? " " : "") + W(t.argument, n);
		}
		case "CallExpression": {
			let t = e, n = Uo(t.args);
			return `${q(t.callee)}(${n})`;
		}
		case "MemberExpression": {
			let t = e, n = W(t.object, U.ATOM), r = q(t.property);
			return !t.computed && t.property.type !== "Identifier" && t.property.type !== "IntegerLiteral" && (r = `(${r})`), t.computed ? `${n}[${r}]` : `${n}.${r}`;
		}
		case "FilterExpression": {
			let t = e, n = W(t.operand, U.FILTER);
			return t.filter.type === "CallExpression" ? `${n} | ${q(t.filter)}` : `${n} | ${t.filter.value}`;
		}
		case "SelectExpression": {
			let t = e;
			return `${W(t.lhs, U.LOGICAL_OR)} if ${W(t.test, U.LOGICAL_OR)}`;
		}
		case "TestExpression": {
			let t = e;
			return `${W(t.operand, U.TEST)} is${t.negate ? " not" : ""} ${t.test.value}`;
		}
		case "ArrayLiteral":
		case "TupleLiteral": {
			let t = Uo(e.value), n = e.type === "ArrayLiteral" ? "[]" : "()";
			return `${n[0]}${t}${n[1]}`;
		}
		case "ObjectLiteral": return `{${Array.from(e.value.entries()).map(([e, t]) => `${q(e)}: ${q(t)}`).join(", ")}}`;
		case "SliceExpression": {
			let t = e;
			return `${t.start ? q(t.start) : ""}:${t.stop ? q(t.stop) : ""}${t.step ? `:${q(t.step)}` : ""}`;
		}
		case "KeywordArgumentExpression": {
			let t = e;
			return `${t.key.value}=${q(t.value)}`;
		}
		case "Ternary": {
			let t = e;
			return `${W(t.trueExpr, U.LOGICAL_OR)} if ${W(t.condition, U.LOGICAL_OR)} else ${W(t.falseExpr, U.CONDITIONAL)}`;
		}
		default: throw Error(`Unknown expression type: ${e.type}`);
	}
}
var Zo = class {
	parsed;
	constructor(e) {
		let t = Ma(e, {
			lstrip_blocks: !0,
			trim_blocks: !0
		});
		this.parsed = co(t);
	}
	render(e) {
		let t = new V();
		if (Do(t), e) for (let [n, r] of Object.entries(e)) t.set(n, r);
		return new Io(t).run(this.parsed).value;
	}
	format(e) {
		return Ho(this.parsed, e?.indent || "	");
	}
}, Qo = class {
	#e = {
		next: /* @__PURE__ */ new Map(),
		isEnd: !1
	};
	constructor(e) {
		for (let t of e) {
			if (t === "") continue;
			let e = this.#e;
			for (let n of t.split("")) {
				let t = e.next.get(n);
				t === void 0 && e.next.set(n, t = {
					next: /* @__PURE__ */ new Map(),
					isEnd: !1
				}), e = t;
			}
			e.isEnd = !0;
		}
	}
	search(e, t = 0) {
		for (let n = t; n < e.length; n++) {
			let t = -1, r = this.#e;
			for (let i = n; r !== void 0; i++) r.isEnd && (t = i), r = r.next.get(e[i] ?? "");
			if (t >= 0) return {
				begin: n,
				end: t,
				word: e.slice(n, t)
			};
		}
	}
	*matches(e) {
		for (let t = this.search(e); t !== void 0; t = this.search(e, t.end)) yield t;
	}
	continues(e) {
		let t = this.#e;
		for (let n of e.split("")) t = t?.next.get(n);
		return (t?.next.size ?? 0) > 0;
	}
}, $o = /* @__PURE__ */ new Set(["role", "type"]), es = /^\w{1,64}$/, ts = 1e3, ns = (e) => e.split("").reverse().join(""), rs = class {
	#e;
	#t;
	#n;
	#r;
	constructor(e, t) {
		let n = [...e].filter(({ length: e }) => e > 1);
		this.#e = new Qo(n), this.#t = new Qo(n.map(ns)), this.#n = new Qo(t), this.#r = Math.min(ts, Math.max(0, ...n.map(({ length: e }) => e)));
	}
	mark(e, t) {
		if (typeof e == "string") return this.#i(e, t, !0);
		if (Array.isArray(e)) return e.map((e) => this.mark(e, t));
		if (typeof e != "object" || !e) return e;
		let n = Object.entries(e).map(([e, n]) => {
			let r = $o.has(e) && typeof n == "string" && es.test(n);
			return [this.#i(e, t, !1), r ? n : this.mark(n, t)];
		});
		return Object.fromEntries(n);
	}
	#i(e, t, n) {
		let r = [...this.#e.matches(e)], i = [
			...r.map(({ end: e, word: n }) => [e, t.around(n)[1]]),
			...(n ? this.#a(e) : []).filter((e) => !r.some(({ begin: t, end: n }) => t < e && e < n)).map((e) => [e, t.inside]),
			...r.map(({ begin: e, word: n }) => [e, t.around(n)[0]])
		];
		i.sort((e, t) => e[0] - t[0]);
		let a = "", o = 0;
		for (let [t, n] of i) a += e.slice(o, t) + n, o = t;
		return a + e.slice(o);
	}
	#a(e) {
		let t = /* @__PURE__ */ new Set(), n = [
			0,
			...[...this.#n.matches(e)].flatMap(({ begin: e, end: t }) => [e, t]),
			e.length
		];
		for (let r = 0; r < n.length; r += 2) {
			let i = n[r], a = e.slice(i, n[r + 1]);
			for (let e of /* @__PURE__ */ new Set([a.length, a.trimEnd().length])) {
				let n = a.slice(Math.max(0, e - this.#r), e);
				for (let r of is(n, this.#e)) t.add(i + e - r + 1);
			}
			for (let e of /* @__PURE__ */ new Set([0, a.length - a.trimStart().length])) {
				let n = ns(a.slice(e, e + this.#r));
				for (let r of is(n, this.#t)) t.add(i + e + r - 1);
			}
		}
		return [...t];
	}
};
function is(e, t) {
	return Array.from({ length: e.length }, (e, t) => t + 1).filter((n) => t.continues(e.slice(-n)));
}
// src/text/markers.ts
var as = [57344, 63744], os = /(?<=u)[ef][0-9a-f]{3}/g, ss = class {
	inside;
	#e = /* @__PURE__ */ new Set();
	#t = /* @__PURE__ */ new Map();
	#n = as[0];
	constructor(e) {
		for (let t of e) {
			for (let e of t) e >= "" && e < "豈" && this.#e.add(e);
			for (let [e] of t.matchAll(os)) this.#e.add(String.fromCharCode(parseInt(e, 16)));
		}
		this.inside = this.#i();
	}
	around(e) {
		let t = this.#t.get(e);
		return t === void 0 && this.#t.set(e, t = [this.#i(), this.#i()]), t;
	}
	unmark(e) {
		let { plain: t, found: n } = this.#r(e), r = new Map([...this.#t].map(([e, [t]]) => [t, e])), i = new Map([...this.#t].map(([e, [, t]]) => [t, e]));
		return {
			text: t,
			literal: cs(n.map(([e, n]) => {
				let a = r.get(n), o = i.get(n);
				return a !== void 0 && t.startsWith(a, e) ? [e, e + a.length] : o !== void 0 && t.endsWith(o, e) ? [e - o.length, e] : [e, e];
			}))
		};
	}
	#r(e) {
		let t = [this.inside, ...[...this.#t.values()].flat()], n = t.map((e) => e.charCodeAt(0).toString(16)), r = RegExp(`[${t.join("")}]|(\\\\+)u(${n.join("|")})`, "g"), i = [], a = "", o = 0;
		for (let t of e.matchAll(r)) {
			let n = t[1]?.length ?? 0;
			a += e.slice(o, t.index + n - (n & -n)), o = t.index + t[0].length, i.push([a.length, t[2] ? String.fromCharCode(parseInt(t[2], 16)) : t[0]]);
		}
		return {
			plain: a + e.slice(o),
			found: i
		};
	}
	#i() {
		for (; this.#n < as[1];) {
			let e = String.fromCharCode(this.#n++);
			if (!this.#e.has(e)) return e;
		}
		throw new e("usage", "The messages hold nearly every private-use character there is.");
	}
};
function cs(e) {
	let t = [];
	for (let [n, r] of [...e].sort((e, t) => e[0] - t[0] || e[1] - t[1])) {
		let e = t.at(-1);
		e && (n < e[1] || n === r && n === e[1]) ? e[1] = Math.max(e[1], r) : e && e[0] === n && e[1] === r || t.push([n, r]);
	}
	return t;
}
// src/text/template.ts
var ls = 1e5, us = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/, ds = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g, fs = 3, ps = /[^\p{L}\p{N}_\s]/u, ms = ["<think>", "</think>"], hs = [
	"<|im_end|>",
	"<|eot_id|>",
	"<|eom_id|>",
	"<end_of_turn>",
	"<start_function_response>",
	"<|tool_response>",
	"<turn|>",
	"<|end|>",
	"<|end_of_text|>",
	"<|endoftext|>",
	"<|END_OF_TURN_TOKEN|>",
	"<|end_of_turn|>",
	"<|return|>",
	"<|call|>",
	"<｜end▁of▁sentence｜>",
	"</s>"
], gs = class {
	source;
	endIds;
	#e;
	#t;
	#n;
	constructor(e, t) {
		if (e.length > ls) throw xs(`It is ${e.length} characters long; ${ls} are accepted.`);
		this.source = e, this.#e = bs(() => new Zo(e)), this.#t = new rs(t.control.keys(), _s(e));
		let n = e.includes("<|return|>") ? "<|end|>" : "", r = hs.filter((t) => t !== n && e.includes(t));
		this.endIds = r.flatMap((e) => t.idOf(e) ?? []);
		let { special: i, additional_special: a } = t.spec.meta;
		this.#n = {
			bos_token: "",
			eos_token: "",
			additional_special_tokens: a,
			...i
		};
	}
	render(t, n = {}, r = !0) {
		let i = t.find(({ role: e }) => typeof e != "string" || !us.test(e));
		if (i !== void 0) throw new e("usage", `A message's role is ${String(i.role)}; it must be a word such as user.`);
		let a = {
			tools: null,
			...n,
			messages: t
		}, o = new ss([this.source, JSON.stringify(a)]), s = this.#t.mark(a, o), c = {
			...this.#n,
			...s,
			add_generation_prompt: r
		};
		return o.unmark(bs(() => this.#e.render(c)));
	}
};
function _s(e) {
	let t = Array.from(e.matchAll(ds), ([, e, t]) => ys(e ?? t ?? ""));
	return /* @__PURE__ */ new Set([...ms, ...t.filter((e) => e.length >= fs && ps.test(e))]);
}
var vs = {
	n: "\n",
	t: "	",
	r: "\r"
}, ys = (e) => e.replace(/\\(.)/gs, (e, t) => vs[t] ?? t);
function bs(e) {
	try {
		return e();
	} catch (e) {
		throw xs(e instanceof Error ? e.message : String(e));
	}
}
var xs = (t) => new e("template", "The model's chat template cannot be used for this conversation.", { why: t }), Ss = "tokenizer.json", Cs = "tokenizer_meta.json", ws = 2;
function Ts(e, t) {
	let n = {
		json: Es(e, Ss),
		meta: Es(t, Cs)
	};
	if (n.meta.version !== ws) throw Ds(Cs, `Its version is ${n.meta.version}, this package reads ${ws}.`);
	if (typeof n.json.model?.vocab != "object") throw Ds(Ss, "It has no vocabulary.");
	return n;
}
function Es(e, t) {
	try {
		return JSON.parse(e);
	} catch (e) {
		throw Ds(t, String(e));
	}
}
var Ds = (t, n) => new e("corrupt", `The tokenizer file ${t} is damaged.`, {
	why: n,
	hint: "Compile the model again with --force."
}), Os = 64, ks = 4096, As = class {
	#e;
	#t = "";
	found;
	constructor(t) {
		if (t.length > Os || t.some(({ length: e }) => e === 0 || e > ks)) throw new e("usage", `Up to ${Os} stop strings of 1 to ${ks} characters are possible.`);
		this.#e = t;
	}
	push(e) {
		if (this.found !== void 0) return "";
		if (this.#e.length === 0) return e;
		this.#t += e;
		let t = this.#t.length - this.#a(), n = this.#r();
		return n === void 0 || t < n.at ? this.#i(t) : this.#n(n);
	}
	finish() {
		let e = this.found === void 0 ? this.#r() : void 0;
		return e === void 0 ? this.#i(this.#t.length) : this.#n(e);
	}
	#n({ at: e, stop: t }) {
		let n = this.#i(e);
		return this.found = t, this.#t = "", n;
	}
	#r() {
		return this.#e.map((e) => ({
			at: this.#t.indexOf(e),
			stop: e
		})).filter(({ at: e }) => e >= 0).sort((e, t) => e.at - t.at || e.stop.length - t.stop.length)[0];
	}
	#i(e) {
		let t = this.#t.slice(0, e);
		return this.#t = this.#t.slice(e), t;
	}
	#a() {
		let e = Math.max(...this.#e.map(({ length: e }) => e)) - 1;
		for (let t = Math.min(this.#t.length, e); t > 0; t--) {
			let e = this.#t.slice(-t);
			if (this.#e.some((n) => n.length > t && n.startsWith(e))) return t;
		}
		return 0;
	}
}, js = class {
	#e;
	#t;
	#n = new TextDecoder("utf-8", { ignoreBOM: !0 });
	#r = [];
	#i = "";
	#a;
	#o;
	constructor(e, { keep: t = /* @__PURE__ */ new Set(), continues: n = !1 } = {}) {
		this.#e = e, this.#t = t, this.#a = !n, this.#o = n ? 0 : e.stripSpaces;
	}
	push(e) {
		if (this.#e.isHidden(e) && !this.#t.has(e)) return "";
		let t = this.#e.bytesOf(e, this.#a);
		return this.#a = !1, t === void 0 ? (this.#r.push(e), this.#c(this.#e.decodeAll(this.#r).replace(/\uFFFD+$/, ""))) : this.#s(this.#n.decode(t, { stream: !0 }));
	}
	finish() {
		return this.#r.length > 0 ? this.#c(this.#e.decodeAll(this.#r)) : this.#s(this.#n.decode());
	}
	#s(e) {
		let t = 0;
		for (; this.#o > 0 && t < e.length;) e[t] === " " ? (t++, this.#o--) : this.#o = 0;
		return e.slice(t);
	}
	#c(e) {
		if (!e.startsWith(this.#i)) return "";
		let t = e.slice(this.#i.length);
		return this.#i = e, t;
	}
};
// src/text/around.ts
function Ms({ json: e, meta: t }, n) {
	return t.added_by_json ? Ns(e.post_processor ?? null, n) : {
		before: t.add_bos && t.bos_id !== null ? [t.bos_id] : [],
		after: t.add_eos ? t.eos_ids.slice(0, 1) : []
	};
}
function Ns(e, t) {
	if (e?.type === "Sequence") {
		let n = e.processors.map((e) => Ns(e, t));
		return {
			before: n.flatMap(({ before: e }) => e),
			after: n.flatMap(({ after: e }) => e)
		};
	}
	if (e?.type === "BertProcessing" || e?.type === "RobertaProcessing") return {
		before: [e.cls[1]],
		after: [e.sep[1]]
	};
	if (e?.type !== "TemplateProcessing") return {
		before: [],
		after: []
	};
	let n = e.single, r = e.special_tokens ?? {}, i = n.findIndex(({ Sequence: e }) => e !== void 0), a = (e) => e.flatMap(({ SpecialToken: e }) => {
		let n = e?.id ?? "";
		return r[n]?.ids ?? [t(n) ?? []].flat();
	});
	return {
		before: a(n.slice(0, Math.max(i, 0))),
		after: a(n.slice(i + 1))
	};
}
var Ps = class {
	constructor(e) {
		this.trie = this._build_trie(e);
	}
	_build_trie(e) {
		let t = /* @__PURE__ */ Object.create(null);
		for (let n of e) {
			let e = t;
			for (let t = 0; t < n.length; ++t) {
				let r = n[t];
				e = e[r] ??= /* @__PURE__ */ Object.create(null);
			}
			e.end = n;
		}
		return t;
	}
	split(e) {
		let t = [], n = e.length, r = 0, i = 0;
		for (; i < n;) {
			let a = this.trie, o = null, s = i;
			for (; s < n && (a = a[e[s]]);) a.end && (o = a.end), ++s;
			o ? (i > r && t.push(e.slice(r, i)), t.push(o), i += o.length, r = i) : ++i;
		}
		return r < n && t.push(e.slice(r)), t;
	}
}, Fs = class {
	constructor(e) {
		this.content = e.content, this.id = e.id, this.single_word = e.single_word ?? !1, this.lstrip = e.lstrip ?? !1, this.rstrip = e.rstrip ?? !1, this.special = e.special ?? !1, this.normalized = e.normalized ?? !this.special;
	}
}, Is = (e, t) => {
	try {
		return new RegExp(e, t);
	} catch (n) {
		if (!(n instanceof SyntaxError)) throw n;
		let r = /* @__PURE__ */ new Map(), i = e.replace(/(\\[pP])\{([^}=]+)\}/g, (t, n, i, a) => {
			let o = 0;
			for (let t = a - 1; t >= 0 && e[t] === "\\"; --t) ++o;
			if (o % 2 == 1) return t;
			let s = r.get(i);
			if (s === void 0) {
				try {
					RegExp(`\\p{${i}}`, "u"), s = i;
				} catch {
					s = `Script=${i}`;
				}
				r.set(i, s);
			}
			return `${n}{${s}}`;
		});
		if (i === e) throw n;
		try {
			return new RegExp(i, t);
		} catch {
			throw n;
		}
	}
}, Ls = (e) => e.replace(/ \./g, ".").replace(/ \?/g, "?").replace(/ \!/g, "!").replace(/ ,/g, ",").replace(/ \' /g, "'").replace(/ n't/g, "n't").replace(/ 'm/g, "'m").replace(/ 's/g, "'s").replace(/ 've/g, "'ve").replace(/ 're/g, "'re"), Rs = (e, t = !0) => {
	if (e.Regex !== void 0) return Is(bc(lc(e.Regex)), "gu");
	if (e.String !== void 0) {
		let n = xc(e.String);
		return new RegExp(t ? n : `(${n})`, "gu");
	}
	return console.warn("Unknown pattern type:", e), null;
}, zs = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}", Bs = `${zs}\\u00B2\\u00B3\\u00B9\\u00BC-\\u00BE`, J = `[${Bs}]`, Vs = `[^${Bs}]`, Hs = `(?:(?<!${J})(?=${J})|(?<=${J})(?!${J}))`, Us = `(?:(?<!${J})(?!${J})|(?<=${J})(?=${J}))`, Ws = "(?:(?<![\\s\\S])|(?<=\\n))", Gs = "(?:(?=\\n)|(?![\\s\\S]))", Ks = "0-9A-Fa-f", qs = /* @__PURE__ */ new Map([
	["A", "(?<![\\s\\S])"],
	["z", "(?![\\s\\S])"],
	["Z", "(?=\\n?(?![\\s\\S]))"],
	["h", `[${Ks}]`],
	["H", `[^${Ks}]`],
	["w", J],
	["W", Vs],
	["d", "\\p{Nd}"],
	["D", "\\P{Nd}"],
	["s", "\\p{White_Space}"],
	["S", "\\P{White_Space}"],
	["b", Hs],
	["B", Us],
	["a", "\\x07"],
	["e", "\\x1B"]
]), Js = /* @__PURE__ */ new Map([
	["h", Ks],
	["w", zs],
	["d", "\\p{Nd}"],
	["D", "\\P{Nd}"],
	["s", "\\p{White_Space}"],
	["S", "\\P{White_Space}"],
	["a", "\\x07"],
	["e", "\\x1B"]
]), Ys = /* @__PURE__ */ new Map([["W", `[^${zs}]`], ["H", `[^${Ks}]`]]), Xs = /* @__PURE__ */ new Map([
	["\n", "\\n"],
	["\r", "\\r"],
	["	", "\\t"],
	["\f", "\\f"],
	["\v", "\\v"]
]), Zs = /* @__PURE__ */ new Map([
	["alpha", "\\p{Alphabetic}"],
	["alnum", "\\p{Alphabetic}\\p{Nd}"],
	["digit", "\\p{Nd}"],
	["lower", "\\p{Lowercase}"],
	["upper", "\\p{Uppercase}"],
	["space", "\\p{White_Space}"],
	["blank", "\\t\\p{Zs}"],
	["punct", "\\p{P}\\p{S}"],
	["cntrl", "\\p{Cc}"],
	["word", zs],
	["xdigit", Ks]
]), Qs = "^$\\.*+?()[]{}|/", $s = /^\(\?(?:<[=!]|<[A-Za-z_][A-Za-z0-9_]*>|[:=!>])/, ec = /^\\([pPxu])\{([^}]*)\}/, tc = /^\{(\d+(?:,\d*)?|,\d+)\}/, nc = /^\[:(\^?)(\p{Alphabetic}+):\]/u, rc = /^\[:\^:\]/, ic = /^\[(?:\.[^\]]*\.\]|=[^\]]*=\])/, ac = /^(?:\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\c[A-Za-z])/, oc = (e) => e >= "A" && e <= "Z" || e >= "a" && e <= "z", sc = (e, t) => String.fromCodePoint(e.codePointAt(t)), cc = (e) => {
	if (!/^[0-9A-Fa-f]{1,8}$/.test(e)) return null;
	let t = Number.parseInt(e, 16);
	if (t > 127) return null;
	let n = String.fromCharCode(t);
	return oc(n) ? `[${n.toLowerCase()}${n.toUpperCase()}]` : null;
}, lc = (e) => e.replace(/\[\^\(\\s\|\[([^\]]+)\]\)\]/g, "[^()|\\s$1]"), uc = "[\\s\\S]", dc = 256, fc = () => ({
	fragment: "",
	alternatives: [],
	tail: null,
	contains_complex_set: !1
}), pc = (e) => {
	throw SyntaxError(`Unsupported range with a set-valued character-class operand at index ${e}`);
}, mc = (e, t, n, r = !0) => {
	e.tail === "range" && pc(n), e.alternatives.push(t), e.tail = "set", e.contains_complex_set = e.contains_complex_set || r;
}, Y = (e, t, n = !1, r = -1) => {
	n && e.tail === "range" && pc(r), e.tail === "range" ? (e.fragment += t, e.tail = "complete_range") : (e.fragment += t, e.tail = n ? "set" : "scalar", e.contains_complex_set = e.contains_complex_set || n);
}, hc = (e, t, n) => {
	let r = ec.exec(e.slice(t));
	if (r) {
		let [e, i, a] = r;
		return i === "P" && a === "Word" ? mc(n, `[^${zs}]`, t) : Y(n, i === "x" ? `\\u{${a}}` : i === "p" && a === "Word" ? zs : e, i === "p" || i === "P", t), t + e.length;
	}
	let i = ac.exec(e.slice(t));
	if (i) return Y(n, i[0]), t + i[0].length;
	if (t + 1 >= e.length) throw SyntaxError(`Unterminated escape in character class at index ${t}`);
	let a = sc(e, t + 1), o = t + 1 + a.length, s = Xs.get(a);
	if (s !== void 0) return Y(n, s), o;
	let c = Ys.get(a);
	if (c !== void 0) return mc(n, c, t), o;
	let l = Js.get(a), u, d = !1;
	return l === void 0 ? u = /[A-Za-z0-9]/.test(a) || Qs.includes(a) || a === "-" ? `\\${a}` : a : (u = l, d = a !== "a" && a !== "e"), Y(n, u, d, t), o;
}, gc = (e) => e.length === 1 ? e[0] : `(?:(?=(?:${e.join("|")}))${uc})`, _c = (e) => gc(e.fragment.length === 0 ? e.alternatives : [`[${e.fragment}]`, ...e.alternatives]), vc = (e) => {
	let t = Is(`^(?:${e})$`, "u"), n = "";
	for (let e = 0; e < 26; ++e) {
		let r = String.fromCharCode(65 + e), i = String.fromCharCode(97 + e), a = t.test(r);
		a !== t.test(i) && (n += a ? i : r);
	}
	return n;
}, yc = (e, t, n, r = !0, i = 1) => {
	if (i > dc) throw SyntaxError(`Maximum character-class nesting depth of ${dc} exceeded at index ${t}`);
	let a = t + 1, o = e[a] === "^";
	o && ++a;
	let s = a, c = [fc()], l = c[0], u = !1;
	for (; a < e.length;) {
		let d = sc(e, a);
		if (d === "\\") a = hc(e, a, l);
		else {
			if (d === "]") {
				if (a === s) {
					Y(l, "\\]"), ++a;
					continue;
				}
				if (l.tail === null) throw c.length > 1 ? SyntaxError(`Malformed character-class intersection with an empty operand at index ${a}`) : SyntaxError(`Empty character class at index ${t}`);
				let e = c.some((e) => e.contains_complex_set);
				if (o && c.length > 1 && u) throw SyntaxError(`Unsupported outer-negated character-class intersection with a nested negated class containing a Unicode property, POSIX class, or shorthand at index ${t}`);
				let i = _c(c[0]), d = i;
				if (c.length > 1) {
					let e = "";
					for (let t = 1; t < c.length; ++t) e += `(?=${_c(c[t])})`;
					d = `(?:${e}${i})`;
				}
				let f = c.length === 1 && l.alternatives.length === 0, p = l.fragment;
				if (n && r) {
					let e = vc(d);
					e.length > 0 && (f ? (p += e, d = `[${p}]`) : d = gc([d, `[${e}]`]));
				}
				return {
					atom: o ? f ? `[^${p}]` : `(?:(?!${d})${uc})` : d,
					end: a + 1,
					negated: o,
					contains_complex_set: e,
					contains_nested_negated_complex_set: u
				};
			}
			if (e.startsWith("&&", a)) {
				if (l.tail === null) throw SyntaxError(`Malformed character-class intersection with an empty operand at index ${a}`);
				l = fc(), c.push(l), a += 2;
			} else if (d === "[") {
				let t = e.slice(a);
				if (rc.test(t)) throw SyntaxError(`Malformed empty negated POSIX character class at index ${a}`);
				let r = nc.exec(t);
				if (r) {
					let [, e, t] = r, i = Zs.get(t);
					if (i === void 0) throw SyntaxError(`Unsupported POSIX character class "${t}" at index ${a}`);
					if (n && e && (t === "lower" || t === "upper")) throw SyntaxError(`Unsupported negated POSIX ${t} class inside an inline case-insensitive group`);
					e ? mc(l, `[^${i}]`, a) : Y(l, i, !0, a), a += r[0].length;
					continue;
				}
				if (ic.test(t)) throw SyntaxError(`Unsupported POSIX collating or equivalence bracket expression at index ${a}`);
				let o = yc(e, a, n, !1, i + 1);
				mc(l, o.atom, a, o.contains_complex_set), u ||= o.contains_nested_negated_complex_set || o.negated && o.contains_complex_set, a = o.end;
			} else if (d === "-") {
				let t = e[a + 1] === "]" || e.startsWith("&&", a + 1);
				l.tail === "set" && !t && pc(a), l.tail === null || l.tail === "range" || l.tail === "complete_range" || t ? Y(l, "\\-") : (l.fragment += "-", l.tail = "range"), ++a;
			} else Y(l, d === "^" && l.fragment.length === 0 ? "\\^" : d), a += d.length;
		}
	}
	throw SyntaxError(`${c.length > 1 ? "Unterminated character-class intersection" : "Unterminated character class"} at index ${t}`);
}, bc = (e) => {
	let t = "", n = -1, r = !1, i = !1, a = [], o = (e) => {
		n = t.length, t += e, r = !1;
	};
	for (let s = 0; s < e.length;) {
		let c = sc(e, s);
		if (c === "\\") {
			let n = ec.exec(e.slice(s));
			if (n) {
				let [e, t, r] = n, a = e;
				if (t === "x") {
					let e = `\\u{${r}}`;
					a = i ? cc(r) ?? e : e;
				} else r === "Word" && (a = t === "p" ? J : Vs);
				o(a), s += e.length;
				continue;
			}
			let r = ac.exec(e.slice(s));
			if (r) {
				let e = r[0];
				o(i && e[1] !== "c" ? cc(e.slice(2)) ?? e : e), s += e.length;
				continue;
			}
			if (s + 1 >= e.length) {
				t += c;
				break;
			}
			let a = sc(e, s + 1);
			if (s += 1 + a.length, a === "G") continue;
			let l = Xs.get(a);
			if (l !== void 0) {
				o(l);
				continue;
			}
			let u = qs.get(a), d;
			d = u === void 0 ? /[A-Za-z0-9]/.test(a) || Qs.includes(a) ? `\\${a}` : a : u, o(d);
		} else switch (c) {
			case "[": {
				let t = yc(e, s, i);
				o(t.atom), s = t.end;
				continue;
			}
			case "]":
				o("\\]"), ++s;
				continue;
			case ".":
				o("[^\\n]"), ++s;
				continue;
			case "^":
				o(Ws), ++s;
				continue;
			case "$":
				o(Gs), ++s;
				continue;
			case "(": {
				let n = e.startsWith("(?i:", s), o = n ? "(?i:" : $s.exec(e.slice(s))?.[0] ?? "(", c = n || o === "(?>" ? "(?:" : o;
				a.push([t.length, i]), n && (i = !0), t += c, r = !1, s += o.length;
				continue;
			}
			case ")":
				t += c, [n, i] = a.pop() ?? [-1, !1], r = !1, ++s;
				continue;
			case "|":
				t += c, n = -1, r = !1, ++s;
				continue;
			case "{": {
				let i = tc.exec(e.slice(s));
				if (!i || n < 0) {
					o("\\{"), ++s;
					continue;
				}
				let a = i[1].startsWith(",") ? `0${i[1]}` : i[1];
				s += i[0].length;
				let c = e[s];
				c === "+" || c === "*" ? (t = `${t.slice(0, n)}(?:${t.slice(n)}{${a}})${c}`, ++s) : t += `{${a}}`, r = !0;
				continue;
			}
			case "}":
				o("\\}"), ++s;
				continue;
			case "+":
				if (r) {
					++s;
					continue;
				}
				t += c, r = !0, ++s;
				continue;
			case "*":
			case "?":
				t += c, r = !0, ++s;
				continue;
			default:
				o(i && oc(c) ? `[${c.toLowerCase()}${c.toUpperCase()}]` : c), s += c.length;
				continue;
		}
	}
	return t;
}, xc = (e) => e.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), Sc = (e, t, n) => {
	let r = [], i = 0;
	for (; i < e.length;) if (r.push(e[i]), (t.get(e[i]) ?? n) !== n) ++i;
	else for (; ++i < e.length && (t.get(e[i]) ?? n) === n;) t.get(r.at(-1)) !== n && (r[r.length - 1] += e[i]);
	return r;
}, Cc = (e) => e >= 19968 && e <= 40959 || e >= 13312 && e <= 19903 || e >= 131072 && e <= 173791 || e >= 173824 && e <= 177983 || e >= 177984 && e <= 178207 || e >= 178208 && e <= 183983 || e >= 63744 && e <= 64255 || e >= 194560 && e <= 195103, wc = (e) => Number.isInteger(e) || typeof e == "bigint", Tc = (e) => {
	let t = 0;
	for (let n of e) ++t;
	return t;
}, Ec = (e) => kc(e.toLowerCase()), X = (...e) => Array.prototype.concat.apply([], e), Dc = (e) => new Map(Object.entries(e)), Oc = (e, t) => {
	let n = [], r = 0;
	for (let i of e.matchAll(t)) {
		let t = i[0];
		r < i.index && n.push(e.slice(r, i.index)), t.length > 0 && n.push(t), r = i.index + t.length;
	}
	return r < e.length && n.push(e.slice(r)), n;
}, kc = (e) => e.replace(/\p{M}/gu, ""), Ac = (e, t, n = []) => {
	if (!e || Array.isArray(e) || typeof e != "object") return `${t} must be a valid object`;
	for (let r of n) if (!(r in e)) return `${t} must contain a "${r}" property`;
	return null;
}, jc = (e) => e.match(/\S+/g) || [], Mc = class {
	constructor() {
		let e = function(...t) {
			return e._call(...t);
		};
		return Object.setPrototypeOf(e, new.target.prototype);
	}
}, Z = class extends Mc {
	constructor(e) {
		super(), this.config = e;
	}
	_call(e) {
		return this.normalize(e);
	}
}, Nc = class extends Z {
	tokenize_chinese_chars(e) {
		let t = [];
		for (let n = 0; n < e.length; ++n) {
			let r = e[n];
			Cc(r.charCodeAt(0)) ? (t.push(" "), t.push(r), t.push(" ")) : t.push(r);
		}
		return t.join("");
	}
	strip_accents(e) {
		return e.normalize("NFD").replace(/\p{Mn}/gu, "");
	}
	is_control(e) {
		switch (e) {
			case "	":
			case "\n":
			case "\r": return !1;
			default: return /^\p{Cc}|\p{Cf}|\p{Co}|\p{Cs}$/u.test(e);
		}
	}
	clean_text(e) {
		let t = [];
		for (let n of e) {
			let e = n.charCodeAt(0);
			e === 0 || e === 65533 || this.is_control(n) || (/^\s$/.test(n) ? t.push(" ") : t.push(n));
		}
		return t.join("");
	}
	normalize(e) {
		return this.config.clean_text && (e = this.clean_text(e)), this.config.handle_chinese_chars && (e = this.tokenize_chinese_chars(e)), this.config.lowercase ? (e = e.toLowerCase(), this.config.strip_accents !== !1 && (e = this.strip_accents(e))) : this.config.strip_accents && (e = this.strip_accents(e)), e;
	}
}, Pc = class extends Z {
	constructor(e) {
		super(e), this.charsmap = e.precompiled_charsmap ?? null;
	}
	normalize(e) {
		return e = e.replace(/[\u0001-\u0008\u000B\u000E-\u001F\u007F\u008F\u009F]/gm, ""), e = e.replace(/[\u0009\u000A\u000C\u000D\u00A0\u1680\u2000-\u200F\u2028\u2029\u202F\u205F\u2581\u3000\uFEFF\uFFFD]/gm, " "), e = e.includes("～") ? e.split("～").map((e) => e.normalize("NFKC")).join("～") : e.normalize("NFKC"), e;
	}
}, Fc = class extends Z {
	constructor(e) {
		super(e), this.normalizers = (e.normalizers ?? []).map((e) => qc(e));
	}
	normalize(e) {
		return this.normalizers.reduce((e, t) => t ? t.normalize(e) : e, e);
	}
}, Ic = class extends Z {
	constructor(e) {
		super(e), this.pattern = Rs(this.config.pattern ?? {});
	}
	normalize(e) {
		return this.pattern === null ? e : e.replaceAll(this.pattern, this.config.content ?? "");
	}
}, Lc = class extends Z {
	constructor() {
		super(...arguments), this.form = "NFC";
	}
	normalize(e) {
		return e = e.normalize(this.form), e;
	}
}, Rc = class extends Lc {
	constructor() {
		super(...arguments), this.form = "NFC";
	}
}, zc = class extends Lc {
	constructor() {
		super(...arguments), this.form = "NFD";
	}
}, Bc = class extends Lc {
	constructor() {
		super(...arguments), this.form = "NFKC";
	}
}, Vc = class extends Lc {
	constructor() {
		super(...arguments), this.form = "NFKD";
	}
}, Hc = class extends Z {
	normalize(e) {
		return this.config.strip_left && this.config.strip_right ? e = e.trim() : (this.config.strip_left && (e = e.trimStart()), this.config.strip_right && (e = e.trimEnd())), e;
	}
}, Uc = class extends Z {
	normalize(e) {
		return kc(e);
	}
}, Wc = class extends Z {
	normalize(e) {
		return e.toLowerCase();
	}
}, Gc = class extends Z {
	normalize(e) {
		return e = this.config.prepend + e, e;
	}
};
function Kc(e) {
	if (e === null) return null;
	switch (e.type) {
		case "BertNormalizer": return new Nc(e);
		case "Precompiled": return new Pc(e);
		case "Sequence": return new Fc(e);
		case "Replace": return new Ic(e);
		case "NFC": return new Rc(e);
		case "NFD": return new zc(e);
		case "NFKC": return new Bc(e);
		case "NFKD": return new Vc(e);
		case "Strip": return new Hc(e);
		case "StripAccents": return new Uc(e);
		case "Lowercase": return new Wc(e);
		case "Prepend": return new Gc(e);
		default: throw Error(`Unknown Normalizer type: ${e.type}`);
	}
}
var qc = Kc, Q = class extends Mc {
	pre_tokenize(e, t) {
		return (Array.isArray(e) ? e.map((e) => this.pre_tokenize_text(e, t)) : this.pre_tokenize_text(e, t)).flat();
	}
	_call(e, t) {
		return this.pre_tokenize(e, t);
	}
}, Jc = (() => {
	let e = [
		...Array.from({ length: 94 }, (e, t) => t + 33),
		...Array.from({ length: 12 }, (e, t) => t + 161),
		...Array.from({ length: 82 }, (e, t) => t + 174)
	], t = e.slice(), n = 0;
	for (let r = 0; r < 256; ++r) e.includes(r) || (e.push(r), t.push(256 + n), n += 1);
	let r = t.map((e) => String.fromCharCode(e));
	return Object.fromEntries(e.map((e, t) => [e, r[t]]));
})(), Yc = ((e) => Object.fromEntries(Object.entries(e).map(([e, t]) => [t, e])))(Jc), Xc = "\\p{P}\\u0021-\\u002F\\u003A-\\u0040\\u005B-\\u0060\\u007B-\\u007E", Zc = class extends Q {
	constructor(e) {
		super(), this.config = e, this.add_prefix_space = this.config.add_prefix_space ?? !1, this.trim_offsets = this.config.trim_offsets ?? !1, this.use_regex = this.config.use_regex ?? !0, this.pattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu, this.byte_encoder = Jc, this.text_encoder = new TextEncoder();
	}
	pre_tokenize_text(e, t) {
		return this.add_prefix_space && !e.startsWith(" ") && (e = " " + e), (this.use_regex ? e.match(this.pattern) || [] : [e]).map((e) => Array.from(this.text_encoder.encode(e), (e) => this.byte_encoder[e]).join(""));
	}
}, Qc = class extends Q {
	pre_tokenize_text(e, t) {
		return e.match(/\w+|[^\w\s]+/g) || [];
	}
}, $c = class extends Q {
	constructor(e) {
		super(), this.replacement = e.replacement ?? "▁", this.str_rep = e.str_rep || this.replacement, this.prepend_scheme = e.prepend_scheme ?? "always";
	}
	pre_tokenize_text(e, t) {
		let { section_index: n = void 0 } = t ?? {}, r = e.replaceAll(" ", this.str_rep);
		return !r.startsWith(this.replacement) && (this.prepend_scheme === "always" || this.prepend_scheme === "first" && n === 0) && (r = this.str_rep + r), [r];
	}
}, el = class extends Q {
	constructor(e) {
		super(), this.config = e, this.pattern = Rs(this.config.pattern ?? {}, this.config.invert ?? !0);
	}
	pre_tokenize_text(e) {
		return this.pattern === null ? [] : this.config.invert ? (e.match(this.pattern) || []).filter((e) => e) : this.config.behavior?.toLowerCase() === "removed" ? e.split(this.pattern).filter((e) => e) : Oc(e, this.pattern);
	}
}, tl = class extends Q {
	constructor(e) {
		super(), this.config = e, this.pattern = RegExp(`[^${Xc}]+|[${Xc}]+`, "gu");
	}
	pre_tokenize_text(e) {
		return e.match(this.pattern) || [];
	}
}, nl = class extends Q {
	constructor(e) {
		super(), this.config = e;
		let t = `[^\\d]+|\\d${this.config.individual_digits ? "" : "+"}`;
		this.pattern = new RegExp(t, "gu");
	}
	pre_tokenize_text(e) {
		return e.match(this.pattern) || [];
	}
}, rl = class extends Q {
	constructor() {
		super(), this.pattern = RegExp(`[^\\s${Xc}]+|[${Xc}]`, "gu");
	}
	pre_tokenize_text(e, t) {
		return e.trim().match(this.pattern) || [];
	}
}, il = class extends Q {
	constructor(e) {
		super(), this.config = e, this.pattern = Rs(this.config.pattern ?? {}), this.content = this.config.content ?? "";
	}
	pre_tokenize_text(e) {
		return this.pattern === null ? [e] : [e.replaceAll(this.pattern, this.config.content ?? "")];
	}
}, al = class extends Q {
	constructor(e) {
		super(), this.tokenizers = (e.pretokenizers ?? []).map((e) => ll(e));
	}
	pre_tokenize_text(e, t) {
		return this.tokenizers.reduce((e, n) => n ? n.pre_tokenize(e, t) : e, [e]);
	}
}, ol = class extends Q {
	pre_tokenize_text(e) {
		return jc(e);
	}
}, sl = class extends Q {
	constructor(e) {
		super(), this.config = e, this._length = e.length;
	}
	pre_tokenize_text(e) {
		let t = [];
		for (let n = 0; n < e.length; n += this._length) t.push(e.slice(n, n + this._length));
		return t;
	}
};
function cl(e) {
	if (e === null) return null;
	switch (e.type) {
		case "BertPreTokenizer": return new rl();
		case "Sequence": return new al(e);
		case "Whitespace": return new Qc();
		case "WhitespaceSplit": return new ol();
		case "Metaspace": return new $c(e);
		case "ByteLevel": return new Zc(e);
		case "Split": return new el(e);
		case "Punctuation": return new tl(e);
		case "Digits": return new nl(e);
		case "Replace": return new il(e);
		case "FixedLength": return new sl(e);
		default: throw Error(`Unknown PreTokenizer type: ${e.type}`);
	}
}
var ll = cl, ul = class extends Mc {
	constructor(e) {
		super(), this.config = e, this.vocab = [], this.tokens_to_ids = /* @__PURE__ */ new Map(), this.unk_token_id = void 0, this.unk_token = void 0, this.end_of_word_suffix = void 0, this.fuse_unk = this.config.fuse_unk ?? !1;
	}
	_call(e) {
		let t = this.encode(e);
		return this.fuse_unk && (t = Sc(t, this.tokens_to_ids, this.unk_token_id)), t;
	}
}, dl = class extends ul {
	constructor(e) {
		super(e), this.max_input_chars_per_word = 100, this.tokens_to_ids = Dc(e.vocab), this.unk_token_id = this.tokens_to_ids.get(e.unk_token), this.unk_token = e.unk_token, this.max_input_chars_per_word = e.max_input_chars_per_word ?? 100, this.vocab = Array(this.tokens_to_ids.size);
		for (let [e, t] of this.tokens_to_ids) this.vocab[t] = e;
	}
	encode(e) {
		let t = [];
		for (let n of e) {
			let e = [...n];
			if (e.length > this.max_input_chars_per_word) {
				t.push(this.unk_token);
				continue;
			}
			let r = !1, i = 0, a = [];
			for (; i < e.length;) {
				let t = e.length, n = null;
				for (; i < t;) {
					let r = e.slice(i, t).join("");
					if (i > 0 && (r = this.config.continuing_subword_prefix + r), this.tokens_to_ids.has(r)) {
						n = r;
						break;
					}
					--t;
				}
				if (n === null) {
					r = !0;
					break;
				}
				a.push(n), i = t;
			}
			r ? t.push(this.unk_token) : t.push(...a);
		}
		return t;
	}
}, fl = class e {
	constructor(e, t) {
		this.is_leaf = e, this.children = t;
	}
	static default() {
		return new e(!1, /* @__PURE__ */ new Map());
	}
}, pl = class {
	constructor() {
		this.root = fl.default();
	}
	extend(e) {
		for (let t of e) this.push(t);
	}
	push(e) {
		let t = this.root;
		for (let n of e) {
			let e = t.children.get(n);
			e === void 0 && (e = fl.default(), t.children.set(n, e)), t = e;
		}
		t.is_leaf = !0;
	}
	*common_prefix_search(e, t = 0) {
		let n = this.root;
		if (n === void 0) return;
		let r = "";
		for (let i = t; i < e.length; ++i) {
			let t = e[i];
			if (r += t, n = n.children.get(t), n === void 0) return;
			n.is_leaf && (yield r);
		}
	}
}, ml = class e {
	constructor(e, t, n, r, i) {
		this.token_id = e, this.node_id = t, this.pos = n, this.length = r, this.score = i, this.prev = null, this.backtrace_score = 0;
	}
	clone() {
		let t = new e(this.token_id, this.node_id, this.pos, this.length, this.score);
		return t.prev = this.prev, t.backtrace_score = this.backtrace_score, t;
	}
}, hl = class {
	constructor(e, t, n) {
		this.chars = Array.from(e), this.len = this.chars.length, this.bos_token_id = t, this.eos_token_id = n, this.nodes = [], this.begin_nodes = Array.from({ length: this.len + 1 }, () => []), this.end_nodes = Array.from({ length: this.len + 1 }, () => []);
		let r = new ml(this.bos_token_id ?? 0, 0, 0, 0, 0), i = new ml(this.eos_token_id ?? 0, 1, this.len, 0, 0);
		this.nodes.push(r.clone()), this.nodes.push(i.clone()), this.begin_nodes[this.len].push(i), this.end_nodes[0].push(r);
	}
	insert(e, t, n, r) {
		let i = this.nodes.length, a = new ml(r, i, e, t, n);
		this.begin_nodes[e].push(a), this.end_nodes[e + t].push(a), this.nodes.push(a);
	}
	viterbi() {
		let e = this.len, t = 0;
		for (; t <= e;) {
			if (this.begin_nodes[t].length == 0) return [];
			for (let e of this.begin_nodes[t]) {
				e.prev = null;
				let n = 0, r = null;
				for (let i of this.end_nodes[t]) {
					let t = i.backtrace_score + e.score;
					(r === null || t > n) && (r = i.clone(), n = t);
				}
				if (r !== null) e.prev = r, e.backtrace_score = n;
				else return [];
			}
			++t;
		}
		let n = [], r = this.begin_nodes[e][0].prev;
		if (r === null) return [];
		let i = r.clone();
		for (; i.prev !== null;) n.push(i.clone()), i = i.clone().prev.clone();
		return n.reverse(), n;
	}
	piece(e) {
		return this.chars.slice(e.pos, e.pos + e.length).join("");
	}
	tokens() {
		return this.viterbi().map((e) => this.piece(e));
	}
	token_ids() {
		return this.viterbi().map((e) => e.token_id);
	}
};
function gl(e) {
	if (e.length === 0) throw Error("Array must not be empty");
	let t = e[0], n = 0;
	for (let r = 1; r < e.length; ++r) e[r] < t && (t = e[r], n = r);
	return [t, n];
}
var _l = class extends ul {
	constructor(e, t) {
		super(e);
		let n = e.vocab.length;
		this.vocab = Array(n), this.scores = Array(n);
		for (let t = 0; t < n; ++t) [this.vocab[t], this.scores[t]] = e.vocab[t];
		this.unk_token_id = e.unk_id, this.unk_token = this.vocab[e.unk_id], this.tokens_to_ids = new Map(this.vocab.map((e, t) => [e, t])), this.bos_token = " ", this.bos_token_id = this.tokens_to_ids.get(this.bos_token), this.eos_token = t, this.eos_token_id = this.tokens_to_ids.get(this.eos_token), this.unk_token = this.vocab[this.unk_token_id], this.min_score = gl(this.scores)[0], this.unk_score = this.min_score - 10, this.scores[this.unk_token_id] = this.unk_score, this.trie = new pl(), this.trie.extend(this.vocab), this.fuse_unk = !0;
	}
	populate_nodes(e) {
		let t = e.chars, n = 0;
		for (; n < t.length;) {
			let r = !1, i = this.trie.common_prefix_search(t, n);
			for (let t of i) {
				let i = this.tokens_to_ids.get(t), a = this.scores[i], o = Tc(t);
				e.insert(n, o, a, i), !r && o === 1 && (r = !0);
			}
			r || e.insert(n, 1, this.unk_score, this.unk_token_id), n += 1;
		}
	}
	tokenize(e) {
		let t = new hl(e, this.bos_token_id, this.eos_token_id);
		return this.populate_nodes(t), t.tokens();
	}
	encode(e) {
		let t = [];
		for (let n of e) {
			let e = this.tokenize(n);
			t.push(...e);
		}
		return t;
	}
}, vl = class {
	constructor(e = (e, t) => e > t, t = Infinity) {
		this._heap = [], this._comparator = e, this._max_size = t;
	}
	get size() {
		return this._heap.length;
	}
	is_empty() {
		return this.size === 0;
	}
	peek() {
		return this._heap[0];
	}
	push(...e) {
		return this.extend(e);
	}
	extend(e) {
		for (let t of e) if (this.size < this._max_size) this._heap.push(t), this._sift_up();
		else {
			let e = this._smallest();
			this._comparator(t, this._heap[e]) && (this._heap[e] = t, this._sift_up_from(e));
		}
		return this.size;
	}
	pop() {
		let e = this.peek(), t = this.size - 1;
		return t > 0 && this._swap(0, t), this._heap.pop(), this._sift_down(), e;
	}
	replace(e) {
		let t = this.peek();
		return this._heap[0] = e, this._sift_down(), t;
	}
	_parent(e) {
		return (e + 1 >>> 1) - 1;
	}
	_left(e) {
		return (e << 1) + 1;
	}
	_right(e) {
		return e + 1 << 1;
	}
	_greater(e, t) {
		return this._comparator(this._heap[e], this._heap[t]);
	}
	_swap(e, t) {
		let n = this._heap[e];
		this._heap[e] = this._heap[t], this._heap[t] = n;
	}
	_sift_up() {
		this._sift_up_from(this.size - 1);
	}
	_sift_up_from(e) {
		for (; e > 0 && this._greater(e, this._parent(e));) this._swap(e, this._parent(e)), e = this._parent(e);
	}
	_sift_down() {
		let e = 0;
		for (; this._left(e) < this.size && this._greater(this._left(e), e) || this._right(e) < this.size && this._greater(this._right(e), e);) {
			let t = this._right(e) < this.size && this._greater(this._right(e), this._left(e)) ? this._right(e) : this._left(e);
			this._swap(e, t), e = t;
		}
	}
	_smallest() {
		return 2 ** Math.floor(Math.log2(this.size)) - 1;
	}
}, yl = class {
	constructor(e) {
		this.capacity = e, this.cache = /* @__PURE__ */ new Map();
	}
	get(e) {
		if (!this.cache.has(e)) return;
		let t = this.cache.get(e);
		return this.cache.delete(e), this.cache.set(e, t), t;
	}
	put(e, t) {
		this.cache.has(e) && this.cache.delete(e), this.cache.set(e, t), this.cache.size > this.capacity && this.cache.delete(this.cache.keys().next().value);
	}
	clear() {
		this.cache.clear();
	}
}, bl = class extends ul {
	constructor(e) {
		super(e), this.tokens_to_ids = Dc(e.vocab), this.unk_token_id = this.tokens_to_ids.get(e.unk_token), this.unk_token = e.unk_token, this.vocab = Array(this.tokens_to_ids.size);
		for (let [e, t] of this.tokens_to_ids) this.vocab[t] = e;
		let t = Array.isArray(e.merges[0]);
		this.merges = t ? e.merges : e.merges.map((e) => e.split(" ", 2)), this.bpe_ranks = new Map(this.merges.map((e, t) => [JSON.stringify(e), t])), this.end_of_word_suffix = e.end_of_word_suffix, this.continuing_subword_suffix = e.continuing_subword_suffix ?? null, this.byte_fallback = this.config.byte_fallback ?? !1, this.byte_fallback && (this.text_encoder = new TextEncoder()), this.ignore_merges = this.config.ignore_merges ?? !1, this.max_length_to_cache = 256, this.cache_capacity = 1e4, this.cache = new yl(this.cache_capacity);
	}
	clear_cache() {
		this.cache.clear();
	}
	bpe(e) {
		if (e.length === 0) return [];
		let t = this.cache.get(e);
		if (t !== void 0) return t;
		let n = Array.from(e);
		this.end_of_word_suffix && (n[n.length - 1] += this.end_of_word_suffix);
		let r = [];
		if (n.length > 1) {
			let e = new vl((e, t) => e.score < t.score), t = {
				token: n[0],
				bias: 0,
				prev: null,
				next: null
			}, i = t;
			for (let t = 1; t < n.length; ++t) {
				let r = {
					bias: t / n.length,
					token: n[t],
					prev: i,
					next: null
				};
				i.next = r, this.add_node(e, i), i = r;
			}
			for (; !e.is_empty();) {
				let n = e.pop();
				if (n.deleted || !n.next || n.next.deleted) continue;
				if (n.deleted = !0, n.next.deleted = !0, n.prev) {
					let e = { ...n.prev };
					n.prev.deleted = !0, n.prev = e, e.prev ? e.prev.next = e : t = e;
				}
				let r = {
					token: n.token + n.next.token,
					bias: n.bias,
					prev: n.prev,
					next: n.next.next
				};
				r.prev ? (r.prev.next = r, this.add_node(e, r.prev)) : t = r, r.next && (r.next.prev = r, this.add_node(e, r));
			}
			for (let e = t; e !== null; e = e.next) r.push(e.token);
		} else r = n;
		if (this.continuing_subword_suffix) for (let e = 0; e < r.length - 1; ++e) r[e] += this.continuing_subword_suffix;
		return e.length < this.max_length_to_cache && this.cache.put(e, r), r;
	}
	add_node(e, t) {
		let n = this.bpe_ranks.get(JSON.stringify([t.token, t.next.token]));
		n !== void 0 && (t.score = n + t.bias, e.push(t));
	}
	encode(e) {
		let t = [];
		for (let n of e) {
			if (this.ignore_merges && this.tokens_to_ids.has(n)) {
				t.push(n);
				continue;
			}
			let e = this.bpe(n);
			for (let n of e) if (this.tokens_to_ids.has(n)) t.push(n);
			else if (this.byte_fallback) {
				let e = Array.from(this.text_encoder.encode(n)).map((e) => `<0x${e.toString(16).toUpperCase().padStart(2, "0")}>`);
				e.every((e) => this.tokens_to_ids.has(e)) ? t.push(...e) : this.unk_token != null && t.push(this.unk_token);
			} else this.unk_token != null && t.push(this.unk_token);
		}
		return t;
	}
}, xl = class extends ul {
	constructor(e, t) {
		super(e);
		let n = e.vocab;
		this.tokens_to_ids = Dc(t.target_lang ? n[t.target_lang] : n), this.bos_token = t.bos_token, this.bos_token_id = this.tokens_to_ids.get(this.bos_token), this.eos_token = t.eos_token, this.eos_token_id = this.tokens_to_ids.get(this.eos_token), this.pad_token = t.pad_token, this.pad_token_id = this.tokens_to_ids.get(this.pad_token), this.unk_token = t.unk_token, this.unk_token_id = this.tokens_to_ids.get(this.unk_token), this.vocab = Array(this.tokens_to_ids.size);
		for (let [e, t] of this.tokens_to_ids) this.vocab[t] = e;
	}
	encode(e) {
		return e;
	}
};
function Sl(e, t) {
	switch (e.type) {
		case "WordPiece": return new dl(e);
		case "Unigram": return new _l(e, t.eos_token);
		case "BPE": return new bl(e);
		default:
			if (e.vocab) return Array.isArray(e.vocab) ? new _l(e, t.eos_token) : Object.hasOwn(e, "continuing_subword_prefix") && Object.hasOwn(e, "unk_token") ? Object.hasOwn(e, "merges") ? new bl(e) : new dl(e) : new xl(e, {
				target_lang: t.target_lang,
				bos_token: t.bos_token,
				eos_token: t.eos_token,
				pad_token: t.pad_token,
				unk_token: t.unk_token
			});
			throw Error(`Unknown TokenizerModel type: ${e?.type}`);
	}
}
var Cl = Sl, wl = class extends Mc {
	constructor(e) {
		super(), this.config = e;
	}
	_call(e, ...t) {
		return this.post_process(e, ...t);
	}
}, Tl = class extends wl {
	post_process(e, t = null, n = !0) {
		let r = t === null ? this.config.single : this.config.pair, i = [], a = [];
		for (let o of r) "SpecialToken" in o ? n && (i.push(o.SpecialToken.id), a.push(o.SpecialToken.type_id)) : "Sequence" in o && (o.Sequence.id === "A" ? (i = X(i, e), a = X(a, Array(e.length).fill(o.Sequence.type_id))) : o.Sequence.id === "B" && (i = X(i, t), a = X(a, Array(t.length).fill(o.Sequence.type_id))));
		return {
			tokens: i,
			token_type_ids: a
		};
	}
}, El = class extends wl {
	post_process(e, t = null) {
		return {
			tokens: e,
			tokens_pair: t
		};
	}
}, Dl = class extends wl {
	constructor(e) {
		super(e), this.sep = e.sep, this.cls = e.cls;
	}
	post_process(e, t = null, n = !0) {
		n && (e = X([this.cls[0]], e, [this.sep[0]]));
		let r = Array(e.length).fill(0);
		if (t) {
			let i = [], a = n ? [this.sep[0]] : [];
			e = X(e, i, t, a), r = X(r, Array(t.length + i.length + a.length).fill(1));
		}
		return {
			tokens: e,
			token_type_ids: r
		};
	}
}, Ol = class extends wl {
	constructor(e) {
		super(e), this.sep = e.sep, this.cls = e.cls;
	}
	post_process(e, t, n = !0) {
		n && (e = X([this.cls[0]], e, [this.sep[0]]));
		let r = Array(e.length).fill(0);
		if (t) {
			let i = n ? [this.sep[0]] : [], a = n ? [this.sep[0]] : [];
			e = X(e, i, t, a), r = X(r, Array(t.length + i.length + a.length).fill(1));
		}
		return {
			tokens: e,
			token_type_ids: r
		};
	}
}, kl = class extends wl {
	constructor(e) {
		super(e), this.processors = (e.processors ?? []).map((e) => jl(e));
	}
	post_process(e, t = null, n = !0) {
		let r = {
			tokens: e,
			tokens_pair: t
		};
		for (let e of this.processors) r = e.post_process(r.tokens, r.tokens_pair, n);
		return r;
	}
};
function Al(e) {
	if (e === null) return null;
	switch (e.type) {
		case "TemplateProcessing": return new Tl(e);
		case "ByteLevel": return new El(e);
		case "BertProcessing": return new Dl(e);
		case "RobertaProcessing": return new Ol(e);
		case "Sequence": return new kl(e);
		default: throw Error(`Unknown PostProcessor type: ${e.type}`);
	}
}
var jl = Al, $ = class extends Mc {
	constructor(e) {
		super(), this.config = e, this.added_tokens = [], this.end_of_word_suffix = null, this.trim_offsets = "trim_offsets" in e && e.trim_offsets;
	}
	_call(e) {
		return this.decode(e);
	}
	decode(e) {
		return this.decode_chain(e).join("");
	}
}, Ml = class extends $ {
	constructor(e) {
		super(e), this.byte_decoder = Yc, this.text_decoder = new TextDecoder("utf-8", {
			fatal: !1,
			ignoreBOM: !0
		}), this.end_of_word_suffix = null;
	}
	convert_tokens_to_string(e) {
		let t = e.join(""), n = new Uint8Array([...t].map((e) => this.byte_decoder[e]));
		return this.text_decoder.decode(n);
	}
	decode_chain(e) {
		let t = [], n = [];
		for (let r of e) this.added_tokens.find((e) => e.content === r) === void 0 ? n.push(r) : (n.length > 0 && (t.push(this.convert_tokens_to_string(n)), n = []), t.push(r));
		return n.length > 0 && t.push(this.convert_tokens_to_string(n)), t;
	}
}, Nl = class extends $ {
	constructor(e) {
		super(e), this.cleanup = e.cleanup;
	}
	decode_chain(e) {
		return e.map((e, t) => {
			if (t !== 0) {
				let t = this.config.prefix;
				e = t && e.startsWith(t) ? e.replace(t, "") : " " + e;
			}
			return this.cleanup && (e = Ls(e)), e;
		});
	}
}, Pl = class extends $ {
	constructor(e) {
		super(e), this.replacement = e.replacement ?? "▁";
	}
	decode_chain(e) {
		let t = [];
		for (let n = 0; n < e.length; ++n) {
			let r = e[n].replaceAll(this.replacement, " ");
			n == 0 && r.startsWith(" ") && (r = r.substring(1)), t.push(r);
		}
		return t;
	}
}, Fl = class extends $ {
	constructor(e) {
		super(e), this.suffix = e.suffix ?? "";
	}
	decode_chain(e) {
		return e.map((t, n) => t.replaceAll(this.suffix, n === e.length - 1 ? "" : " "));
	}
}, Il = class extends $ {
	constructor(e) {
		super(e), this.pad_token = e.pad_token ?? "", this.word_delimiter_token = e.word_delimiter_token ?? "", this.cleanup = e.cleanup;
	}
	convert_tokens_to_string(e) {
		if (e.length === 0) return "";
		let t = [e[0]];
		for (let n = 1; n < e.length; ++n) e[n] !== t.at(-1) && t.push(e[n]);
		let n = t.filter((e) => e !== this.pad_token).join("");
		return this.cleanup && (n = Ls(n).replaceAll(this.word_delimiter_token, " ").trim()), n;
	}
	decode_chain(e) {
		return [this.convert_tokens_to_string(e)];
	}
}, Ll = class extends $ {
	constructor(e) {
		super(e), this.decoders = (e.decoders ?? []).map((e) => Ul(e));
	}
	decode_chain(e) {
		return this.decoders.reduce((e, t) => t.decode_chain(e), e);
	}
}, Rl = class extends $ {
	constructor(e) {
		super(e), this.pattern = Rs(this.config.pattern);
	}
	decode_chain(e) {
		let t = this.config.content ?? "", n = this.pattern;
		return n === null ? e : e.map((e) => e.replaceAll(n, t));
	}
}, zl = class extends $ {
	decode_chain(e) {
		return [e.join("")];
	}
}, Bl = class extends $ {
	constructor(e) {
		super(e), this.content = e.content ?? "", this.start = e.start ?? 0, this.stop = e.stop ?? 0;
	}
	decode_chain(e) {
		return e.map((e) => {
			let t = 0;
			for (let n = 0; n < this.start && e[n] === this.content; ++n) t = n + 1;
			let n = e.length;
			for (let t = 0; t < this.stop; ++t) {
				let r = e.length - t - 1;
				if (e[r] === this.content) n = r;
				else break;
			}
			return e.slice(t, n);
		});
	}
}, Vl = class extends $ {
	constructor(e) {
		super(e), this.text_decoder = new TextDecoder();
	}
	decode_chain(e) {
		let t = [], n = [];
		for (let r of e) {
			let e = null;
			if (r.length === 6 && r.startsWith("<0x") && r.endsWith(">")) {
				let t = parseInt(r.slice(3, 5), 16);
				isNaN(t) || (e = t);
			}
			if (e !== null) n.push(e);
			else {
				if (n.length > 0) {
					let e = this.text_decoder.decode(Uint8Array.from(n));
					t.push(e), n = [];
				}
				t.push(r);
			}
		}
		if (n.length > 0) {
			let e = this.text_decoder.decode(Uint8Array.from(n));
			t.push(e), n = [];
		}
		return t;
	}
};
function Hl(e) {
	if (e === null) return null;
	switch (e.type) {
		case "ByteLevel": return new Ml(e);
		case "WordPiece": return new Nl(e);
		case "Metaspace": return new Pl(e);
		case "BPEDecoder": return new Fl(e);
		case "CTC": return new Il(e);
		case "Sequence": return new Ll(e);
		case "Replace": return new Rl(e);
		case "Fuse": return new zl(e);
		case "Strip": return new Bl(e);
		case "ByteFallback": return new Vl(e);
		default: throw Error(`Unknown Decoder type: ${e.type}`);
	}
}
var Ul = Hl, Wl = class {
	constructor(e, t) {
		let n = Ac(e, "Tokenizer", [
			"model",
			"decoder",
			"post_processor",
			"pre_tokenizer",
			"normalizer"
		]);
		if (n) throw Error(n);
		let r = Ac(t, "Config");
		if (r) throw Error(r);
		this.tokenizer = e, this.config = t, this.normalizer = qc(this.tokenizer.normalizer), this.pre_tokenizer = ll(this.tokenizer.pre_tokenizer), this.model = Cl(this.tokenizer.model, this.config), this.post_processor = jl(this.tokenizer.post_processor), this.decoder = Ul(this.tokenizer.decoder), this.special_tokens = [], this.all_special_ids = [], this.added_tokens = [];
		let i = [], a = [];
		this.added_tokens_map = /* @__PURE__ */ new Map();
		for (let e of this.tokenizer.added_tokens) {
			let t = new Fs(e);
			if (this.added_tokens.push(t), this.model.tokens_to_ids.set(t.content, t.id), this.model.vocab[t.id] = t.content, t.special && (this.special_tokens.push(t.content), this.all_special_ids.push(t.id)), this.added_tokens_map.set(t.content, t), t.normalized && this.normalizer !== null) {
				let e = this.normalizer(t.content);
				a.push(e), this.added_tokens_map.set(e, t);
			} else i.push(t.content);
		}
		(this.config.additional_special_tokens ?? []).forEach((e) => {
			this.special_tokens.includes(e) || this.special_tokens.push(e);
		}), this.decoder && (this.decoder.added_tokens = this.added_tokens, this.decoder.end_of_word_suffix = this.model.end_of_word_suffix), this.splitter_unnormalized = new Ps(i), this.splitter_normalized = new Ps(a), this.remove_space = this.config.remove_space, this.clean_up_tokenization_spaces = this.config.clean_up_tokenization_spaces ?? !0, this.do_lowercase_and_remove_accent = this.config.do_lowercase_and_remove_accent ?? !1;
	}
	encode(e, { text_pair: t = null, add_special_tokens: n = !0, return_token_type_ids: r = null } = {}) {
		let { tokens: i, token_type_ids: a } = this.tokenize_helper(e, {
			text_pair: t,
			add_special_tokens: n
		}), o = i.map((e) => this.added_tokens_map.get(e)?.id ?? this.model.tokens_to_ids.get(e) ?? this.model.unk_token_id), s = {
			ids: o,
			tokens: i,
			attention_mask: Array(o.length).fill(1)
		};
		return r && a && (s.token_type_ids = a), s;
	}
	decode(e, t = {}) {
		if (!Array.isArray(e) || e.length === 0 || !wc(e[0])) throw Error("token_ids must be a non-empty array of integers.");
		let n = e.map((e) => this.model.vocab[Number(e)] ?? this.model.unk_token);
		t.skip_special_tokens && (n = n.filter((e) => !this.special_tokens.includes(e)));
		let r = this.decoder ? this.decoder(n) : n.join(" ");
		return this.decoder && this.decoder.end_of_word_suffix && (r = r.replaceAll(this.decoder.end_of_word_suffix, " "), t.skip_special_tokens && (r = r.trim())), (t.clean_up_tokenization_spaces ?? this.clean_up_tokenization_spaces) && (r = Ls(r)), r;
	}
	tokenize(e, { text_pair: t = null, add_special_tokens: n = !1 } = {}) {
		return this.tokenize_helper(e, {
			text_pair: t,
			add_special_tokens: n
		}).tokens;
	}
	encode_text(e) {
		if (e === null) return null;
		let t = this.splitter_unnormalized.split(e);
		return t.forEach((e, n) => {
			let r = this.added_tokens_map.get(e);
			r && (r.lstrip && n > 0 && (t[n - 1] = t[n - 1].trimEnd()), r.rstrip && n < t.length - 1 && (t[n + 1] = t[n + 1].trimStart()));
		}), t.flatMap((e, t) => {
			if (e.length === 0) return [];
			if (this.added_tokens_map.has(e)) return [e];
			if (this.remove_space === !0 && (e = e.trim().split(/\s+/).join(" ")), this.do_lowercase_and_remove_accent && (e = Ec(e)), this.normalizer !== null && (e = this.normalizer(e)), e.length === 0) return [];
			let n = this.splitter_normalized.split(e);
			return n.forEach((e, t) => {
				let r = this.added_tokens_map.get(e);
				r && (r.lstrip && t > 0 && (n[t - 1] = n[t - 1].trimEnd()), r.rstrip && t < n.length - 1 && (n[t + 1] = n[t + 1].trimStart()));
			}), n.flatMap((e) => {
				if (e.length === 0) return [];
				if (this.added_tokens_map.has(e)) return [e];
				let n = this.pre_tokenizer === null ? [e] : this.pre_tokenizer(e, { section_index: t });
				return this.model(n);
			});
		});
	}
	tokenize_helper(e, { text_pair: t = null, add_special_tokens: n = !0 }) {
		let r = this.encode_text(e), i = this.encode_text(t || null);
		return this.post_processor ? this.post_processor(r, i, n) : { tokens: X(r ?? [], i ?? []) };
	}
	token_to_id(e) {
		return this.model.tokens_to_ids.get(e);
	}
	id_to_token(e) {
		return this.model.vocab[e];
	}
	get_added_tokens_decoder() {
		let e = /* @__PURE__ */ new Map();
		for (let t of this.added_tokens) e.set(t.id, t);
		return e;
	}
	get_vocab(e = !0) {
		let t = /* @__PURE__ */ new Map();
		for (let n = 0; n < this.model.vocab.length; ++n) {
			let r = this.model.vocab[n];
			(e || !this.added_tokens_map.has(r)) && t.set(r, n);
		}
		return t;
	}
}, Gl = 16, Kl = () => Array.from(crypto.getRandomValues(new Uint8Array(Gl)), (e) => e.toString(16).padStart(2, "0")).join(""), ql = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", Jl = class {
	#e;
	#t;
	#n;
	constructor(t, n) {
		let r = Kl(), i = (e) => n.has(e) ? `\u{f0000}${r}${e}` : e, a = {
			...t,
			...Yl,
			normalizer: t.normalizer ?? null,
			decoder: t.decoder ?? null
		};
		try {
			this.#e = new Wl({
				...a,
				pre_tokenizer: Zl(t.pre_tokenizer ?? null),
				model: Xl(t.model, i)
			}, {});
		} catch (t) {
			let n = t instanceof Error ? t.message : String(t);
			throw new e("corrupt", "The bundle's tokenizer cannot be loaded.", {
				why: n,
				hint: "Compile the model again."
			});
		}
		this.#t = this.#e.model.tokens_to_ids, this.#n = this.#e.model.vocab;
	}
	get size() {
		return this.#n.length;
	}
	tokenOf(e) {
		return this.#n[e];
	}
	normalize(e) {
		return this.#e.normalizer?.(e) ?? e;
	}
	encode(e, t) {
		if (e === "") return [];
		let { pre_tokenizer: n, model: r } = this.#e;
		return r(n ? n(e, { section_index: +!t }) : [e]).map((e) => this.#t.get(e) ?? r.unk_token_id).filter((e) => e !== void 0);
	}
	decode(e) {
		return this.#e.decoder?.(e) ?? e.join(" ");
	}
}, Yl = {
	added_tokens: [],
	post_processor: null
};
function Xl(e, t) {
	let n = ((e) => Array.isArray(e))(e.vocab) ? e.vocab.map(([e, n]) => [t(e), n]) : Object.fromEntries(Object.entries(e.vocab).map(([e, n]) => [t(e), n])), r = (e, n) => [
		e,
		n,
		e + n
	].some((e) => t(e) !== e), i = e.merges?.filter((e) => {
		let [t, n] = typeof e == "string" ? e.split(" ", 2) : e;
		return !r(t, n);
	});
	return {
		...e,
		vocab: n,
		...i && { merges: i },
		...e.unk_token && { unk_token: t(e.unk_token) }
	};
}
function Zl(e) {
	return e === null ? null : e.type === "Sequence" ? {
		...e,
		pretokenizers: e.pretokenizers.map(Zl)
	} : e.type === "Metaspace" && e.prepend_scheme === void 0 ? {
		...e,
		prepend_scheme: e.add_prefix_space === !1 ? "never" : "always"
	} : e.type === "ByteLevel" && e.use_regex !== !1 && e.add_prefix_space !== !0 ? {
		type: "Sequence",
		pretokenizers: [{
			type: "Split",
			pattern: { Regex: ql },
			behavior: "Isolated",
			invert: !1
		}, {
			...e,
			use_regex: !1
		}]
	} : e;
}
// src/text/pieces.ts
var Ql = /^<0x([0-9A-Fa-f]{2})>$/, $l = {
	byteLevel: !1,
	replace: [],
	byteFallback: !1,
	stripSpaces: 0,
	dropInFirst: void 0
};
function eu(e) {
	let t = e ? nu(e) : [], n = t.findIndex(({ type: e }) => e === "Fuse"), r = t.filter(({ type: e }) => e !== "Fuse");
	if (r.length === 1 && r[0].type === "ByteLevel") return {
		...$l,
		byteLevel: !0
	};
	let i = t.length > 0 ? $l : void 0;
	return t.forEach((e, t) => {
		i !== void 0 && e.type !== "Fuse" && (i = tu(i, e, n >= 0 && t > n));
	}), i;
}
function tu(e, t, n) {
	let { type: r } = t;
	if (r === "Replace" && !n) {
		let n = t.pattern.String;
		return n ? {
			...e,
			replace: [...e.replace, [n, String(t.content)]]
		} : void 0;
	}
	if (r === "ByteFallback" && !n) return {
		...e,
		byteFallback: !0
	};
	if (r === "Strip" && n && t.content === " " && t.stop === 0) return {
		...e,
		stripSpaces: e.stripSpaces + Number(t.start)
	};
	if (r === "Metaspace" && !n && e.replace.length === 0) {
		let n = String(t.replacement), r = t.prepend_scheme !== "never" && t.add_prefix_space !== !1;
		return {
			...e,
			replace: [[n, " "]],
			dropInFirst: r ? n : void 0
		};
	}
}
var nu = (e) => e.type === "Sequence" ? e.decoders.flatMap(nu) : [e], ru = (() => {
	let e = (e) => e >= 33 && e < 127 || e >= 161 && e !== 173, t = 256;
	return new Map(Array.from({ length: 256 }, (n, r) => [String.fromCharCode(e(r) ? r : t++), r]));
})(), iu = new TextEncoder();
function au(e, t, n) {
	if (e.byteLevel) {
		let e = Array.from(t, (e) => ru.get(e));
		return e.includes(void 0) ? iu.encode(t) : Uint8Array.from(e);
	}
	let r = n && e.dropInFirst !== void 0 ? t.replaceAll(e.dropInFirst, "") : t;
	for (let [t, n] of e.replace) r = r.replaceAll(t, n);
	let i = e.byteFallback ? Ql.exec(r) : null;
	return i ? Uint8Array.of(parseInt(i[1], 16)) : iu.encode(r);
}
// src/text/prompt.ts
var ou = (e) => ({
	text: e,
	literal: [[0, e.length]]
}), su = (e) => ({
	text: e,
	literal: []
});
function* cu({ text: e, literal: t }, n) {
	let r = 0;
	for (let i = n.search(e); i !== void 0;) {
		for (; r < t.length && t[r][1] <= i.begin;) r++;
		let a = r < t.length && t[r][0] < i.end;
		a || (yield i), i = n.search(e, a ? i.begin + 1 : i.end);
	}
}
// src/text/sections.ts
var lu = /\p{White_Space}+$/u, uu = /^\p{White_Space}+/u, du = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]$/u, fu = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u, pu = class {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a;
	#o;
	constructor(e, t, n) {
		let r = t.filter(({ content: e }) => !n.has(e)), i = ({ normalized: e, special: t }) => e ?? t !== !0;
		this.#e = e, this.#t = n, this.#r = new Map(r.filter((e) => !i(e)).map((e) => [e.content, e])), this.#a = new Map(r.filter(i).map((t) => [e.normalize(t.content), t])), this.#n = new Qo(n.keys()), this.#i = new Qo(this.#r.keys()), this.#o = new Qo(this.#a.keys());
	}
	encode(e) {
		return mu({
			text: e.text,
			begin: 0
		}, cu(e, this.#n), this.#t).flatMap((e) => this.#s(e, this.#i, this.#r)).flatMap((e) => {
			if ("id" in e) return [e.id];
			let t = {
				text: this.#e.normalize(e.text),
				begin: e.begin
			};
			return this.#s(t, this.#o, this.#a).flatMap((e) => "id" in e ? [e.id] : this.#e.encode(e.text, e.begin === 0));
		});
	}
	#s(e, t, n) {
		return "id" in e ? [e] : mu(e, t.matches(e.text), n);
	}
};
function mu({ text: e, begin: t }, n, r) {
	let i = [], a = 0, o = (n) => {
		n > a && i.push({
			text: e.slice(a, n),
			begin: t + a
		});
	};
	for (let t of n) {
		let n = r.get(t.word), [s, c] = [e.slice(a, t.begin), e.slice(t.end)];
		n.single_word && (du.test(s) || fu.test(c)) || (o(t.begin - (n.lstrip ? lu.exec(s)?.[0].length ?? 0 : 0)), i.push({ id: n.id }), a = t.end + (n.rstrip ? uu.exec(c)?.[0].length ?? 0 : 0));
	}
	return o(e.length), i;
}
// src/text/tokens.ts
var hu = /^(?:<\|[^|>]*\|>|<｜[^｜>]*｜>)$/;
function gu({ json: e, meta: t }) {
	let n = new Set(Object.values(t.special));
	return new Map((e.added_tokens ?? []).filter(({ id: e, content: r, special: i }) => i === !0 || t.eos_ids.includes(e) || e === t.bos_id || n.has(r) || hu.test(r)).map((e) => [e.content, e]));
}
// src/text/tokenizer.ts
var _u = /\p{Surrogate}/u, vu = class {
	spec;
	control;
	size;
	#e;
	#t;
	#n;
	#r;
	#i;
	#a;
	#o;
	#s;
	constructor(e) {
		let { json: t, meta: n } = e, r = t.added_tokens ?? [];
		this.spec = e, this.control = gu(e), this.#e = new Jl(t, new Set(this.control.keys())), this.#t = new pu(this.#e, r, this.control), this.#n = new Map(r.map(({ id: e, content: t }) => [e, t])), this.#r = new Map(r.map(({ id: e, content: t }) => [t, e])), this.size = Math.max(this.#e.size, ...r.map(({ id: e }) => e + 1));
		let { vocab: i } = t.model, a = Array.isArray(i) ? new Map(i.map(([e], t) => [e, t])) : void 0;
		this.#i = (e) => a ? a.get(e) : i[e], this.#a = eu(t.decoder), this.#o = /* @__PURE__ */ new Set([...Array.from(this.control.values(), ({ id: e }) => e), ...n.eos_ids]), this.#s = Ms(e, (e) => this.idOf(e));
	}
	encode(t, n = !0) {
		let r = typeof t == "string" ? ou(t) : t, i = _u.exec(r.text);
		if (i !== null) throw new e("usage", `The text holds half of a character at position ${i.index}.`, {
			why: "UTF-8 cannot hold it.",
			hint: "Cut texts between characters."
		});
		let a = this.#t.encode(r);
		return n ? [
			...this.#s.before,
			...a,
			...this.#s.after
		] : a;
	}
	decode(e, t = {}) {
		let n = this.stream(t);
		return Array.from(e, (e) => n.push(e)).join("") + n.finish();
	}
	stream(e = {}) {
		return new js(this.#c, e);
	}
	tokenText(e) {
		return this.decode([e], {
			keep: this.#o,
			continues: !0
		});
	}
	tokenBytes(e) {
		return this.#c.bytesOf(e, !1) ?? new TextEncoder().encode(this.tokenText(e));
	}
	vocabulary() {
		let e = this.#a?.byteLevel ? "byte_level" : this.#a?.byteFallback ? "byte_fallback" : "raw", t = (e) => this.#o.has(e) ? "" : this.#l(e) ?? "";
		return {
			kind: e,
			tokens: Array.from({ length: this.size }, (e, n) => t(n))
		};
	}
	idOf(e) {
		return this.#r.get(e) ?? this.#i(e);
	}
	#c = ((e) => ({
		get stripSpaces() {
			return e.#a?.stripSpaces ?? 0;
		},
		isHidden: (t) => e.#o.has(t),
		bytesOf: (t, n) => {
			let r = e.#l(t);
			return r === void 0 ? /* @__PURE__ */ new Uint8Array() : e.#a && au(e.#a, r, n);
		},
		decodeAll: (t) => e.#e.decode(t.flatMap((t) => e.#l(t) ?? []))
	}))(this);
	#l(e) {
		return this.#n.get(e) ?? this.#e.tokenOf(e);
	}
}, yu = [
	"multipleOf",
	"uniqueItems",
	"not",
	"if",
	"then",
	"else",
	"contains",
	"dependentRequired",
	"dependentSchemas",
	"dependencies"
], bu = [
	"items",
	"additionalProperties",
	"propertyNames",
	"unevaluatedItems",
	"unevaluatedProperties"
], xu = [
	"prefixItems",
	"anyOf",
	"oneOf",
	"allOf"
], Su = [
	"properties",
	"patternProperties",
	"$defs",
	"definitions"
], Cu = [
	"minimum",
	"maximum",
	"exclusiveMinimum",
	"exclusiveMaximum"
], wu = (e) => typeof e == "object" && !!e && !Array.isArray(e);
function Tu(t) {
	let n;
	try {
		n = JSON.parse(t);
	} catch (t) {
		throw new e("usage", "The JSON schema is no JSON.", { why: String(t) });
	}
	return JSON.stringify(Eu(n));
}
function Eu(e) {
	if (!wu(e)) return e;
	let t = yu.find((t) => t in e) ?? (Array.isArray(e.allOf) && e.allOf.length > 1 ? "allOf" : void 0);
	if (t !== void 0) throw Ou(t);
	let n = Object.entries(Du(e)).map(([e, t]) => bu.includes(e) ? [e, Eu(t)] : xu.includes(e) && Array.isArray(t) ? [e, t.map(Eu)] : Su.includes(e) && wu(t) ? [e, Object.fromEntries(Object.entries(t).map(([e, t]) => [e, Eu(t)]))] : [e, t]);
	return Object.fromEntries(n);
}
function Du(e) {
	let t = Cu.find((t) => t in e);
	if (t === void 0) return e;
	if (e.type !== "integer") throw Ou(t);
	let n = (t, n) => Number(e[t] ?? n), { exclusiveMinimum: r, exclusiveMaximum: i, ...a } = e, o = Math.ceil(n("minimum", -(2 ** 53 - 1))), s = Math.floor(n("maximum", 2 ** 53 - 1));
	return {
		...a,
		minimum: r === void 0 ? o : Math.max(o, Math.floor(Number(r)) + 1),
		maximum: i === void 0 ? s : Math.min(s, Math.ceil(Number(i)) - 1)
	};
}
var Ou = (t) => new e("usage", `The JSON schema says ${t}, which an answer cannot be kept to in a page.`, {
	why: "The grammar engine would pass over it.",
	hint: "Leave it out, and check the answer yourself."
}), ku = 32;
function Au(t, n, r, i) {
	let a, o = async () => {
		let e = ju(await t()), { kind: a, tokens: o } = n.vocabulary(), s = await e.TokenizerInfo.createTokenizerInfo(o, a, !1, r, [...i]);
		return {
			grammars: e,
			compiler: await e.GrammarCompiler.createGrammarCompiler(s)
		};
	};
	return async (t) => {
		try {
			let { grammars: e, compiler: n } = await (a ??= o()), r = await Mu(n, t);
			return new Nu(await e.GrammarMatcher.createGrammarMatcher(r), r);
		} catch (t) {
			throw t instanceof e ? t : new e("usage", "The structure that the answer must have cannot be used.", { why: t instanceof Error ? t.message : String(t) });
		}
	};
}
function ju(e) {
	let t = [
		e,
		e.default,
		globalThis.xgrammar
	].find((e) => typeof e == "object" && !!e && "GrammarCompiler" in e);
	if (t === void 0) throw Error("What was loaded is not @mlc-ai/web-xgrammar.");
	return t;
}
function Mu(e, t) {
	switch (t.kind) {
		case "json": return e.compileBuiltinJSONGrammar();
		case "schema": return e.compileJSONSchema(Tu(t.schema), !0, void 0, void 0, !0, ku);
		case "grammar": return e.compileGrammar(t.grammar);
		case "structural_tag": return e.compileStructuralTag(t.tag);
	}
}
var Nu = class {
	#e;
	#t;
	constructor(e, t) {
		this.#e = e, this.#t = t;
	}
	mask() {
		return this.#e.getNextTokenBitmask();
	}
	accept(e) {
		if (!this.#e.acceptToken(e)) throw Error("The grammar does not go on with it.");
	}
	close() {
		this.#e.dispose(), this.#t.dispose();
	}
}, Pu = {
	begin: "{",
	end: "",
	argumentsField: "parameters"
}, Fu = /* @__PURE__ */ new Map([
	["hermes", {
		begin: "<tool_call>",
		end: "</tool_call>",
		argumentsField: "arguments"
	}],
	["mistral", {
		begin: "[TOOL_CALLS]",
		end: "",
		argumentsField: "arguments"
	}],
	["llama3", Pu]
]);
function Iu(t, n, r) {
	let i = `The model ${t} cannot be given tools in a page.`;
	if (n === void 0) throw new e("usage", i, {
		why: "Its bundle does not say how it calls them.",
		hint: "Compile it again for pages: hearth compile MODEL --target wasm32 --force."
	});
	let a = n[r] ?? null;
	if (a === null) throw new e("usage", i, { why: "Its chat template knows no tools, or calls in no known form." });
	let o = Fu.get(a);
	if (o !== void 0) return o;
	throw new e("usage", i, {
		why: `It calls them in the format ${a}; pages read ${[...Fu.keys()].join(", ")}.`,
		hint: "hearth serve reads it."
	});
}
function Lu(e, t) {
	let n = t.begin === Pu.begin, r = e.indexOf(t.begin);
	if (r < 0 || n && e.slice(0, r).trim() !== "") return {
		content: e,
		calls: []
	};
	let i = (n ? [e.slice(r)] : e.slice(r).split(t.begin).slice(1)).map((e) => Ru(t.end === "" ? e : e.split(t.end)[0]));
	return i.some((e) => e === void 0) ? {
		content: e,
		calls: []
	} : {
		content: e.slice(0, r).trim(),
		calls: i.flatMap((e) => e)
	};
}
function Ru(e) {
	let t;
	try {
		t = JSON.parse(e);
	} catch {
		return;
	}
	let n = (Array.isArray(t) ? t : [t]).map((e) => {
		if (typeof e != "object" || !e) return;
		let { name: t, arguments: n, parameters: r } = e, i = n ?? r ?? {};
		if (typeof t != "string" || typeof i != "object" && typeof i != "string") return;
		let a = typeof i == "string" ? i : JSON.stringify(i);
		return {
			id: `call_${Kl()}`,
			type: "function",
			function: {
				name: t,
				arguments: a
			}
		};
	});
	return n.includes(void 0) ? void 0 : n;
}
var zu = class {
	#e;
	#t = "";
	#n = "";
	#r = !1;
	constructor(e) {
		this.#e = e;
	}
	push(e) {
		this.#t += e;
		let { begin: t } = this.#e;
		if (this.#r) return "";
		let n = this.#t.indexOf(t), r = t === Pu.begin;
		if (r && (this.#n + this.#t).trim() !== "" && !(this.#n + this.#t).trimStart().startsWith(t)) return this.#i(this.#t.length);
		if (n >= 0) return this.#r = !0, r ? "" : this.#i(n);
		if (r) return "";
		let i = Math.min(this.#t.length, t.length - 1);
		for (; i > 0 && !t.startsWith(this.#t.slice(-i));) i--;
		return this.#i(this.#t.length - i);
	}
	finish() {
		let e = Lu(this.#t, this.#e);
		return e.calls.length > 0 ? e : {
			content: this.#t,
			calls: []
		};
	}
	#i(e) {
		let t = this.#t.slice(0, e);
		return this.#t = this.#t.slice(e), this.#n += t, t;
	}
}, Bu = "tool_use", Vu = class t {
	name;
	engine;
	tokenizer;
	logitProcessor;
	#e;
	#t;
	#n;
	#r;
	#i = /* @__PURE__ */ new Map();
	constructor({ name: e, engine: t, tokenizer: n, endIds: r, device: i, constraints: a, logitProcessor: o, close: s }) {
		this.name = e, this.engine = t, this.tokenizer = n, this.logitProcessor = o, this.#e = r, this.#t = a, this.#n = s, this.#r = i;
	}
	static async open(e, n = {}) {
		let r = await Zr(e, n), [i, a] = await Promise.all([Hu(r, Ss), Hu(r, Cs)]), o = new vu(Ts(i, a)), s = await $r(r, n), { endIds: c } = s, { vocabSize: l, maxPosition: u } = Qn(s.info), d = n.contextAtMost === void 0 ? n.context : Math.min(n.contextAtMost, u);
		return new t({
			name: s.manifest.source_name,
			engine: await ya.create(s, {
				...n,
				context: d
			}),
			tokenizer: o,
			endIds: c,
			device: () => s.device,
			logitProcessor: n.logitProcessor,
			constraints: n.grammars && Au(n.grammars, o, l, c),
			close: () => s.close()
		});
	}
	get device() {
		return this.#r();
	}
	get chats() {
		return this.#a(!1) !== void 0;
	}
	#a(e) {
		let { chat_template: t, named_templates: n } = this.tokenizer.spec.meta;
		return (e ? n[Bu] : void 0) ?? t ?? n.default;
	}
	template(t) {
		let n = this.#a(t);
		if (n === void 0) throw new e("template", `The model ${this.name} has no chat template.`, {
			why: "Its publisher gave none with it.",
			hint: "Ask for a text completion with a prompt of your own."
		});
		let r = this.#i.get(n);
		return r === void 0 && this.#i.set(n, r = new gs(n, this.tokenizer)), r;
	}
	callFormat() {
		let { named_templates: e, call_formats: t } = this.tokenizer.spec.meta;
		return Iu(this.name, t, Bu in e ? Bu : "default");
	}
	endIds(e) {
		return /* @__PURE__ */ new Set([...this.#e, ...e?.endIds ?? []]);
	}
	get constraints() {
		if (this.#t !== void 0) return this.#t;
		throw new e("usage", "An answer of a given structure needs a grammar engine.", { hint: "Install @mlc-ai/web-xgrammar and open the model with { grammars: () => import(\"@mlc-ai/web-xgrammar\") }." });
	}
	async close() {
		await this.engine.close(), this.#n?.();
	}
};
async function Hu(e, t) {
	let n = new TextDecoder(), r = "";
	for await (let i of await e.open(t)) r += n.decode(i, { stream: !0 });
	return r + n.decode();
}
// src/api/answer.ts
async function* Uu(e, t, n) {
	let r = new AbortController(), i = () => r.abort();
	n.signal?.addEventListener("abort", i, { once: !0 }), n.signal?.aborted === !0 && r.abort();
	let a = t.stream(n), o = new As(n.stops), s = [], c = [];
	try {
		for await (let i of e(r.signal)) {
			let { token: e, finish: l, usage: u } = i, d = l === "stop" && n.endIds.has(e), f = "";
			if (e !== void 0 && o.found === void 0 && c.push(e), e !== void 0 && !d && o.found === void 0 && (f = o.push(a.push(e)), i.logprob !== void 0 && s.push(Wu(i, t))), l !== void 0) {
				f += o.push(a.finish()) + o.finish();
				let e = o.found === void 0 ? l === "cancelled" ? "abort" : l : "stop";
				yield {
					text: f,
					logprobs: s,
					tokens: c,
					finish: e,
					...u && { usage: u }
				};
			} else f !== "" && (yield {
				text: f,
				logprobs: s,
				tokens: c
			}, [s, c] = [[], []]);
			o.found !== void 0 && r.abort();
		}
	} finally {
		n.signal?.removeEventListener("abort", i);
	}
}
function Wu(e, t) {
	let n = (e, n) => ({
		token: t.tokenText(e),
		bytes: [...t.tokenBytes(e)],
		logprob: n
	});
	return {
		...n(e.token, e.logprob),
		top_logprobs: (e.topLogprobs ?? []).map(([e, t]) => n(e, t))
	};
}
// src/api/merged.ts
async function* Gu(e) {
	let t = (e, t) => e.next().then((e) => ({
		place: t,
		result: e
	})), n = new Map(e.map((e, n) => [n, t(e, n)]));
	try {
		for (; n.size > 0;) {
			let { place: r, result: i } = await Promise.race(n.values());
			i.done === !0 ? n.delete(r) : (n.set(r, t(e[r], r)), yield [r, i.value]);
		}
	} finally {
		await Promise.allSettled(e.map((e) => e.return()));
	}
}
// src/api/settings.ts
var Ku = 16, qu = {
	temperature: "temperature",
	topK: "top_k",
	topP: "top_p",
	minP: "min_p",
	repetitionPenalty: "repetition_penalty",
	presencePenalty: "presence_penalty",
	frequencyPenalty: "frequency_penalty"
};
function Ju(e, t, n) {
	let r = Object.entries(qu).flatMap(([t, n]) => e[n] == null ? [] : [[t, e[n]]]), i = Object.entries(e.logit_bias ?? {}).map(([e, t]) => [Number(e), t]);
	return {
		...Object.fromEntries(r),
		logitBias: new Map(i),
		...e.seed != null && { seed: BigInt.asUintN(64, BigInt(e.seed) + BigInt(n)) },
		...t !== void 0 && { logprobs: t },
		maxTokens: e.max_completion_tokens ?? e.max_tokens ?? void 0,
		ignoreEos: e.ignore_eos ?? !1
	};
}
var Yu = ({ stop: e }) => typeof e == "string" ? [e] : e ?? [];
function Xu({ n: t, seed: n }) {
	if (n != null && !Number.isSafeInteger(n)) throw new e("usage", `seed is ${n}, but must be a whole number.`);
	let r = t ?? 1;
	if (Number.isInteger(r) && r >= 1 && r <= Ku) return r;
	throw new e("usage", `n is ${r}, but must be a whole number, 1 to ${Ku}.`);
}
// src/api/structure.ts
function Zu({ response_format: t }) {
	switch (t?.type) {
		case void 0:
		case "text": return;
		case "json_object": return t.schema === void 0 ? { kind: "json" } : {
			kind: "schema",
			schema: t.schema
		};
		case "json_schema": return {
			kind: "schema",
			schema: JSON.stringify(t.json_schema.schema)
		};
		case "grammar": return {
			kind: "grammar",
			grammar: t.grammar
		};
		case "structural_tag": return {
			kind: "structural_tag",
			tag: t.structural_tag
		};
		default: throw new e("usage", `response_format.type is ${String(t.type)}.`, { why: "Known: text, json_object, json_schema, grammar, structural_tag." });
	}
}
function Qu({ tools: e, tool_choice: t }) {
	return t === "none" ? [] : e ?? [];
}
function $u(t, n) {
	let { tool_choice: r } = t;
	if (r == null || r === "none" || r === "auto") return;
	let i = r === "required" ? void 0 : r.function.name, a = Qu(t).filter((e) => i === void 0 || e.function.name === i);
	if (n === void 0 || a.length === 0) throw new e("usage", i === void 0 ? "tool_choice wants a call, but there are no tools." : `There is no tool ${i}.`);
	let o = a.map(({ function: e }) => ({
		type: "object",
		properties: {
			name: { const: e.name },
			[n.argumentsField]: e.parameters ?? { type: "object" }
		},
		required: ["name", n.argumentsField],
		additionalProperties: !1
	})), s = o.length === 1 ? o[0] : { anyOf: o };
	if (n.begin === "{") return {
		kind: "schema",
		schema: JSON.stringify(s)
	};
	let c = {
		type: "json_schema",
		json_schema: n.end === "" ? {
			type: "array",
			items: s,
			minItems: 1
		} : s
	};
	return {
		kind: "structural_tag",
		tag: {
			type: "structural_tag",
			format: {
				type: "tag",
				begin: n.begin,
				content: c,
				end: n.end
			}
		}
	};
}
// src/api/usage.ts
var ed = (e, t) => t > 0 ? 1e3 * e / t : 0;
function td(e) {
	let t = e[0], n = e.reduce((e, { outputTokens: t }) => e + t, 0), r = performance.now(), i = Math.min(...e.map(({ begunMs: e }) => e)), a = Math.min(...e.map(({ firstTokenMs: e }) => e || r)), o = Math.max(...e.map(({ lastTokenMs: e }) => e || r)), s = Math.max(0, n - e.length);
	return {
		prompt_tokens: t.promptTokens,
		completion_tokens: n,
		total_tokens: t.promptTokens + n,
		prompt_tokens_details: { cached_tokens: t.cachedTokens },
		extra: {
			e2e_latency_s: (r - i) / 1e3,
			prefill_tokens_per_s: ed(t.promptTokens - t.cachedTokens, a - i),
			decode_tokens_per_s: ed(s, o - a),
			time_to_first_token_s: (a - i) / 1e3,
			time_per_output_token_s: s > 0 ? (o - a) / 1e3 / s : 0
		}
	};
}
// src/api/chat.ts
var nd = ["system", "developer"];
async function* rd(e, t, n) {
	let r = Qu(t), i = e.template(r.length > 0), a = t.extra_body?.enable_thinking, o = {
		...t.chat_template_kwargs,
		...a != null && { enable_thinking: a },
		...r.length > 0 && { tools: r }
	}, s = t.messages.map(cd), c = e.tokenizer.encode(i.render(s, o), !1), l = e.engine.hasState ? sd(e.tokenizer, i, s, o, c) : 0, u = r.length > 0 ? e.callFormat() : void 0, d = Zu(t) ?? $u(t, u), f = e.endIds(i), p = t.logprobs === !0 ? t.top_logprobs ?? 0 : void 0, m = u ? [u.begin, u.end].flatMap((t) => e.tokenizer.idOf(t) ?? []) : [], h = await Promise.all(Array.from({ length: Xu(t) }, async (r, i) => {
		let a = {
			...Ju(t, p, i),
			stopTokenIds: [...f]
		}, o = {
			constraint: d && await e.constraints(d),
			processor: e.logitProcessor,
			keepTokens: l
		};
		return Uu((t) => e.engine.generate(c, a, {
			...o,
			signal: t
		}), e.tokenizer, {
			stops: Yu(t),
			endIds: f,
			keep: new Set(m),
			signal: n
		});
	})), ee = {
		id: `chatcmpl-${Kl()}`,
		created: Math.floor(Date.now() / 1e3),
		model: e.name
	}, g = (e) => ({
		...ee,
		object: "chat.completion.chunk",
		choices: e
	}), te = h.map(() => u && new zu(u)), ne = /* @__PURE__ */ new Set(), _ = [];
	for await (let [e, t] of Gu(h)) {
		let n = ne.has(e) ? {} : { role: "assistant" };
		ne.add(e);
		let { delta: r, isCall: i } = od(t, te[e]);
		t.usage && _.push(t.usage);
		let a = p === void 0 ? {} : { logprobs: { content: [...t.logprobs] } }, o = t.finish === void 0 ? null : i ? "tool_calls" : t.finish;
		(o !== null || Object.keys({
			...n,
			...r
		}).length > 0 || t.logprobs.length > 0) && (yield g([{
			index: e,
			delta: {
				...n,
				...r
			},
			finish_reason: o,
			...a
		}]));
	}
	yield {
		...g([]),
		usage: td(_)
	};
}
async function id(t, n, r) {
	let i = [];
	for await (let e of rd(t, n, r)) {
		for (let { index: t, delta: n, finish_reason: r, logprobs: a } of e.choices) {
			let e = i[t] ??= {
				index: t,
				message: {
					role: "assistant",
					content: ""
				},
				finish_reason: "stop",
				logprobs: null
			};
			e.message.content += n.content ?? "", n.tool_calls && (e.message.tool_calls = n.tool_calls.map(({ index: e, ...t }) => t)), a && (e.logprobs = ad(e.logprobs, a)), r !== null && (e.finish_reason = r);
		}
		if (e.usage) {
			for (let { message: e } of i) e.tool_calls && e.content === "" && (e.content = null);
			return {
				id: e.id,
				object: "chat.completion",
				created: e.created,
				model: e.model,
				choices: i,
				usage: e.usage
			};
		}
	}
	throw new e("internal", "The answer ended without its last chunk.");
}
var ad = (e, t) => ({ content: [...e?.content ?? [], ...t.content ?? []] });
function od(e, t) {
	let n = t ? t.push(e.text) : e.text, r = e.finish === void 0 ? void 0 : t?.finish(), i = r?.calls ?? [], a = n + (r?.content ?? "");
	return {
		delta: {
			...a !== "" && { content: a },
			...i.length > 0 && { tool_calls: i.map((e, t) => ({
				index: t,
				...e
			})) }
		},
		isCall: i.length > 0
	};
}
function sd(e, t, n, r, i) {
	let a = n.slice(0, 1).filter(({ role: e }) => nd.includes(e)), o = e.encode(t.render([...a, {
		role: "user",
		content: "•"
	}], r), !1), s = i.findIndex((e, t) => e !== o[t]);
	return s < 0 ? i.length : s;
}
function cd(e) {
	let { content: t, tool_calls: n, ...r } = e;
	return {
		...r,
		content: ld(t),
		...n && { tool_calls: n.map(ud) }
	};
}
function ld(t) {
	if (t == null) return "";
	if (typeof t == "string") return t;
	let n = t.find(({ type: e }) => e !== "text");
	if (n !== void 0) throw new e("usage", `A message has a part of type ${n.type}; this model takes text.`);
	return t.map((e) => e.text).join("");
}
function ud(t) {
	try {
		return {
			...t,
			function: {
				...t.function,
				arguments: JSON.parse(t.function.arguments)
			}
		};
	} catch {
		throw new e("usage", `The arguments of the call of ${t.function.name} are no JSON.`);
	}
}
// src/api/completions.ts
async function* dd(t, n, r) {
	let { prompt: i } = n, a = typeof i == "string";
	if (!a && !(Array.isArray(i) && i.every((e) => typeof e == "number"))) throw new e("usage", "prompt must be a text, or a list of tokens.");
	let o = a ? t.tokenizer.encode(i) : i, s = Zu(n), c = t.endIds(), l = n.logprobs, u = l === !0 ? n.top_logprobs ?? 0 : typeof l == "number" ? l : void 0, d = n.goes_on === !0 ? pd(t.logitProcessor) : t.logitProcessor, f = await Promise.all(Array.from({ length: Xu(n) }, async (e, i) => {
		let a = s && await t.constraints(s), l = Ju(n, u, i);
		return Uu((e) => t.engine.generate(o, l, {
			constraint: a,
			processor: d,
			signal: e
		}), t.tokenizer, {
			stops: Yu(n),
			endIds: c,
			continues: !0,
			signal: r
		});
	})), p = {
		id: `cmpl-${Kl()}`,
		object: "text_completion",
		created: Math.floor(Date.now() / 1e3),
		model: t.name
	};
	if (n.echo === !0) {
		let e = a ? i : t.tokenizer.decode(i);
		yield {
			...p,
			choices: f.map((t, n) => ({
				index: n,
				text: e,
				finish_reason: null
			}))
		};
	}
	let m = [];
	for await (let [e, t] of Gu(f)) {
		t.usage && m.push(t.usage);
		let r = u === void 0 ? {} : { logprobs: { content: [...t.logprobs] } };
		yield {
			...p,
			choices: [{
				index: e,
				text: t.text,
				finish_reason: t.finish ?? null,
				...r,
				...n.return_token_ids === !0 && { token_ids: [...t.tokens] }
			}]
		};
	}
	yield {
		...p,
		choices: [],
		usage: td(m)
	};
}
async function fd(t, n, r) {
	let i = [];
	for await (let e of dd(t, n, r)) {
		for (let { index: t, text: n, finish_reason: r, logprobs: a, token_ids: o } of e.choices) {
			let e = i[t] ??= {
				index: t,
				text: "",
				finish_reason: null,
				logprobs: null
			};
			e.text += n, e.finish_reason = r, o && (e.token_ids = [...e.token_ids ?? [], ...o]), a && (e.logprobs = { content: [...e.logprobs?.content ?? [], ...a.content ?? []] });
		}
		if (e.usage) return {
			...e,
			choices: i
		};
	}
	throw new e("internal", "The completion ended without its last chunk.");
}
var pd = (e) => e && {
	reset: () => void 0,
	process: (t) => e.process(t),
	sampled: (t) => e.sampled(t)
};
// src/api/embeddings.ts
async function md(t, n) {
	if (n.encoding_format === "base64") throw new e("usage", "encoding_format is base64; known: float.");
	let r = performance.now(), i = hd(n.input).map((e) => typeof e == "string" ? t.tokenizer.encode(e) : [...e]), a = [];
	for (let [e, r] of i.entries()) {
		let i = gd(await t.engine.hidden(r), r.length).slice(0, n.dimensions), o = Math.hypot(...i) || 1;
		a.push({
			object: "embedding",
			index: e,
			embedding: Array.from(i, (e) => e / o)
		});
	}
	let o = i.reduce((e, t) => e + t.length, 0), s = 1e3 * o / Math.max(performance.now() - r, .001);
	return {
		object: "list",
		model: t.name,
		data: a,
		usage: {
			prompt_tokens: o,
			total_tokens: o,
			extra: { prefill_tokens_per_s: s }
		}
	};
}
function hd(t) {
	if (typeof t == "string") return [t];
	if (t.length === 0) throw new e("usage", "There is nothing to embed.");
	return typeof t[0] == "number" ? [t] : t;
}
function gd(e, t) {
	let n = e.length / t, r = new Float64Array(n);
	for (let i = 0; i < e.length; i++) r[i % n] += e[i] / t;
	return r;
}
// src/api/open_ai.ts
var _d = (e) => ({
	chatChunks: (t, n) => rd(e, t, n),
	chatCompletion: (t, n) => id(e, t, n),
	textChunks: (t, n) => dd(e, t, n),
	textCompletion: (t, n) => fd(e, t, n),
	embeddings: (t) => md(e, t)
});
function vd(e) {
	let t = yd(e.chatChunks, e.chatCompletion), n = yd(e.textChunks, e.textCompletion);
	return {
		chat: { completions: { create: t } },
		completions: { create: n },
		embeddings: { create: (t) => e.embeddings(t) }
	};
}
function yd(e, t) {
	return async (n, { signal: r } = {}) => n.stream === !0 ? bd(e(n, r), n.stream_options?.include_usage === !0) : t(n, r);
}
async function bd(e, t) {
	let n = e[Symbol.asyncIterator](), r = await n.next();
	return (async function* () {
		try {
			for (let e = r; e.done !== !0; e = await n.next()) (t || e.value.choices.length > 0) && (yield e.value);
		} finally {
			await n.return?.();
		}
	})();
}
// src/api/remote_calls.ts
var xd = 1e4;
function Sd(e, t) {
	let n = /* @__PURE__ */ new Set(), r = (e) => {
		let r = e.data, i = e.ports[0];
		if (i === void 0 || (r?.hearth === "known" && i.postMessage(n.has(r.id)), r?.hearth !== "call")) return;
		n.add(r.id);
		let a = Cd(i, r, t).finally(() => n.delete(r.id));
		e.waitUntil?.(a);
	};
	return e.addEventListener("message", r), e.start?.(), () => e.removeEventListener("message", r);
}
async function Cd(t, { name: n, argument: r }, i) {
	let a = new AbortController(), o = (e) => t.postMessage(e);
	t.onmessage = () => a.abort();
	try {
		let t = i[n];
		if (t === void 0) throw new e("usage", `The worker knows no call ${n}.`);
		o({ value: await t(r, (e) => o({ item: e }), a.signal) ?? null });
	} catch (t) {
		let n = t instanceof e ? t : new e("internal", t instanceof Error ? t.message : String(t));
		o({ error: {
			kind: n.kind,
			what: n.what,
			why: n.why,
			hint: n.hint
		} });
	} finally {
		t.onmessage = null;
	}
}
function wd(t, n, r, i) {
	let { port1: a, port2: o } = new MessageChannel(), s = () => a.postMessage("end"), c = new Ci(s), l = Kl(), u = new Promise((n, r) => {
		let o = () => {
			a.close(), clearInterval(f), i?.removeEventListener("abort", s);
		}, u = (e) => {
			o(), c.fail(e), r(e);
		};
		a.onmessage = ({ data: t }) => {
			if ("item" in t) return c.push(t.item);
			if ("error" in t) return u(new e(t.error.kind, t.error.what, t.error));
			o(), c.end(), n(t.value);
		};
		let d = 0, f = setInterval(() => {
			let { port1: n, port2: r } = new MessageChannel();
			n.onmessage = ({ data: t }) => {
				n.close(), !t && ++d > 1 && u(new e("unloaded", "The worker was stopped in the middle of it.", {
					why: "Browsers do that to service workers.",
					hint: "Ask again."
				}));
			}, t.postMessage({
				hearth: "known",
				id: l
			}, [r]);
		}, xd);
	});
	return u.catch(() => void 0), i?.addEventListener("abort", s, { once: !0 }), t.postMessage({
		hearth: "call",
		id: l,
		name: n,
		argument: r
	}, [o]), i?.aborted === !0 && s(), {
		items: c,
		value: u
	};
}
// src/api/worker.ts
function Td(t, n = {}, r = Vu.open) {
	let i = /* @__PURE__ */ new Map(), a = (e) => JSON.stringify(e), o = async (t) => {
		let n = i.get(a(t));
		if (n === void 0) throw new e("unloaded", "The worker has this model not open.", { hint: "Open it with openInWorker." });
		return _d(await n);
	}, s = async (e) => {
		let t = e.map((e) => i.get(e));
		e.forEach((e) => i.delete(e));
		for (let e of t) await (await e?.catch(() => void 0))?.close();
	}, c = (e) => async (t, n, r) => {
		let { model: i, request: a } = t;
		return e(await o(i), a, r);
	}, l = (e) => async (t, n, r) => {
		let { model: i, request: a } = t;
		for await (let t of e(await o(i), a, r)) n(t);
	};
	return Sd(t, {
		async open(e, t, o) {
			let { model: c, beside: l } = e, { url: u, options: d } = c, f = a(c), p = l === !0 ? Promise.resolve() : s([...i.keys()].filter((e) => e !== f)), m = i.get(f);
			if (m === void 0) {
				let e = typeof n == "function" ? n(d.id) : n;
				m = p.then(() => r(u, {
					...d,
					...e,
					signal: o,
					onProgress: (e, n) => t([e, n]),
					onNotice: t
				})), i.set(f, m);
				let a = m;
				a.catch(() => i.get(f) === a && i.delete(f));
			}
			let { name: h, device: ee, chats: g } = await m;
			return {
				name: h,
				device: ee,
				chats: g
			};
		},
		close: async (e) => s([a(e.model)]),
		chatChunks: l((e, t, n) => e.chatChunks(t, n)),
		textChunks: l((e, t, n) => e.textChunks(t, n)),
		chatCompletion: c((e, t, n) => e.chatCompletion(t, n)),
		textCompletion: c((e, t, n) => e.textCompletion(t, n)),
		embeddings: c((e, t) => e.embeddings(t))
	});
}
var Ed = (t) => t instanceof e && t.kind === "unloaded";
async function Dd(e, t, n = {}) {
	let { onProgress: r, onNotice: i, signal: a, beside: o = !1, ...s } = n, c = {
		url: new URL(t, globalThis.location?.href).href,
		options: s
	}, l = async (t) => {
		let { items: n, value: o } = wd(e, "open", {
			model: c,
			beside: t
		}, a);
		for await (let e of n) typeof e == "string" ? i?.(e) : r?.(...e);
		return await o;
	}, u = (e) => l(e).catch((t) => Ed(t) ? l(e) : Promise.reject(t)), d = async (e) => {
		try {
			return await e();
		} catch (t) {
			if (!Ed(t)) throw t;
			return await u(!0), e();
		}
	}, f = (t, n, r) => d(async () => await wd(e, t, {
		model: c,
		request: n
	}, r).value);
	async function* p(t, n, r) {
		let [i, a] = await d(async () => {
			let { items: i } = wd(e, t, {
				model: c,
				request: n
			}, r);
			return [i, await i.next()];
		});
		try {
			for (let e = a; e.done !== !0; e = await i.next()) yield e.value;
		} finally {
			await i.return();
		}
	}
	let m = {
		chatChunks: (e, t) => p("chatChunks", e, t),
		textChunks: (e, t) => p("textChunks", e, t),
		chatCompletion: (e, t) => f("chatCompletion", e, t),
		textCompletion: (e, t) => f("textCompletion", e, t),
		embeddings: (e) => f("embeddings", e)
	};
	return {
		...await u(o),
		backend: m,
		...vd(m),
		close: async () => void await wd(e, "close", { model: c }).value
	};
}
export { ur as A, Hr as C, Nr as D, Or as E, gt as M, m as N, Mr as O, Gr as S, Ir as T, ha as _, Vu as a, Kr as b, ou as c, js as d, As as f, gs as g, Ts as h, vd as i, rr as j, kr as k, su as l, Ss as m, Td as n, Au as o, Cs as p, _d as r, vu as s, Dd as t, Kl as u, ya as v, Wr as w, Jr as x, $r as y };
