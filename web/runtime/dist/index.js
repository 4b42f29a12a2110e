import { i as e, n as t, t as n } from "./files.js";
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
// src/gpu/gpu.ts
var h = [
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
}, ee = [
	"validation",
	"out-of-memory",
	"internal"
], _ = "Use the processor: device: \"wasm\".", te = class t {
	device;
	name;
	allocatedBytes = 0;
	#e;
	constructor(e, t) {
		this.device = e, this.name = t, e.addEventListener("uncapturederror", ({ error: e }) => this.#t(ae(e, `The GPU ${t} failed.`))), e.lost.then(({ message: e }) => this.#t(ie(t, e)));
	}
	static async open(n, r) {
		let i = re(n);
		for (let [t, a, o] of h) {
			let [s, c] = [r[t], n.limits[a]];
			if (s <= c) continue;
			let l = `The model needs ${o.replace("NEEDED", String(s)).replace("MOST", String(c))}.`;
			throw new e("device", `The GPU ${i} cannot run this model.`, {
				why: l,
				hint: _
			});
		}
		let a = Object.fromEntries(h.map(([, e]) => [e, n.limits[e]]));
		try {
			return new t(await n.requestDevice({
				label: "hearth",
				requiredLimits: a
			}), i);
		} catch (t) {
			throw new e("device", `The GPU ${i} cannot be opened.`, {
				why: String(t),
				hint: _
			});
		}
	}
	requireSound() {
		if (this.#e !== void 0) throw this.#e;
	}
	async make(e, t) {
		this.requireSound();
		for (let e of ee) this.device.pushErrorScope(e);
		let n, r;
		try {
			r = t();
		} finally {
			n = this.popScopes(ee.length, e), n.catch(() => void 0);
		}
		return await n, this.requireSound(), r;
	}
	async popScopes(e, t) {
		let n = await Promise.all(Array.from({ length: e }, () => this.device.popErrorScope())).catch((e) => {
			throw this.explain(e, t);
		});
		for (let e of n) if (e !== null) throw ae(e, t);
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
		await this.device.queue.onSubmittedWorkDone().catch((t) => {
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
async function ne(t) {
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
		let t = `${re(r)} is a program that plays one, slower than the processor's own kernels.`;
		throw new e("device", "There is no GPU.", {
			why: t,
			hint: _
		});
	}
	return r;
}
function re({ info: e }) {
	return e.description ? e.description : [
		e.vendor,
		e.architecture,
		e.device
	].filter(Boolean).join(" ") || "without a name";
}
function ie(t, n) {
	return new e("device", `The GPU ${t} was lost.`, {
		why: n,
		hint: "Load the model again."
	});
}
function ae(t, n) {
	let r = typeof GPUOutOfMemoryError < "u" && t instanceof GPUOutOfMemoryError, i = r ? "Use a smaller context, a smaller model or a smaller number format, or close other pages." : _;
	return new e(r ? "memory" : "device", n, {
		why: t.message,
		hint: i
	});
}
// src/library.ts
var oe = [
	"usage",
	"corrupt",
	"memory",
	"storage",
	"mismatch",
	"internal",
	"internal",
	"device"
], se = 64, ce = 4096, le = class t {
	#e;
	#t;
	#n;
	#r;
	constructor(e, t) {
		this.#n = t, this.#e = e.exports, this.#t = e.exports.memory, this.#r = new DataView(this.#t.buffer), e.exports._initialize();
	}
	static async instantiate(n) {
		let r = new ue(), i = { hearth: {
			now: () => performance.now(),
			...r.imports
		} };
		try {
			return new t((await WebAssembly.instantiate(n, i)).instance, r);
		} catch (t) {
			throw new e("mismatch", "The bundle's module cannot be loaded.", {
				why: String(t),
				hint: "Compile the model again: hearth compile MODEL --target wasm32"
			});
		}
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
		if (i !== 0) throw a === void 0 ? new e(oe[i - 1] ?? "internal", t, { why: this.text(this.call("hearth_error")) }) : a;
	}
	allocate(t, n) {
		let r = Math.max(Math.ceil(t / ce), 1) * ce, i = r < 2 ** 32 ? this.call("hth_pages_allocate", r, se) : 0;
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
}, ue = class {
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
}, v = "plan.bin", y = "gpu_plan.bin", de = "gpu_kernels.wgsl", b = "weights.bin", fe = "tokenizer_meta.json", x = "manifest.json";
function pe(t) {
	let n;
	try {
		n = JSON.parse(t);
	} catch (t) {
		throw new e("corrupt", `${x} is no JSON.`, { why: String(t) });
	}
	let r = [n.format_version, n.abi_version];
	if (r[0] !== 6 || r[1] !== 3) throw new e("mismatch", `This bundle has format ${r.join(", runtime ")}.`, {
		why: "This package reads format 6, runtime 3.",
		hint: "Compile the model with the Hearth that this package came with."
	});
	if (n.target !== "wasm32") throw new e("mismatch", `The bundle of ${n.source_name} is for ${n.target}.`, {
		why: "A page runs WebAssembly.",
		hint: `Compile it for that: hearth compile ${n.source_name} --target wasm32`
	});
	return n;
}
var me = (e) => `libhearth-${e.name}.wasm`;
// src/gpu/pipelines.ts
function he(e, t) {
	return Promise.all(t.map((t) => ge(e, t)));
}
async function ge(e, { name: t, text: n }) {
	let r = `The GPU ${e.name} refuses the kernel ${t}.`, i = await e.make(r, () => e.device.createShaderModule({
		label: t,
		code: n
	}));
	try {
		let n = {
			module: i,
			entryPoint: t
		};
		return await e.device.createComputePipelineAsync({
			label: t,
			layout: "auto",
			compute: n
		});
	} catch (t) {
		throw e.explain(t, r);
	}
}
// src/structs.ts
var S = {
	u32: 4,
	pointer: 4,
	u64: 8,
	i64: 8
};
function C(e) {
	let t = 0, n = 1, r = {};
	for (let [i, a] of Object.entries(e)) {
		let e = S[a];
		r[i] = t = Math.ceil(t / e) * e, t += e, n = Math.max(n, e);
	}
	return {
		size: Math.ceil(t / n) * n,
		offsets: r,
		types: e
	};
}
function w(e, t, n, r) {
	for (let i of Object.keys(n.offsets)) {
		let a = t + n.offsets[i], o = r[i] ?? 0;
		S[n.types[i]] === 8 ? e.setBigInt64(a, BigInt(o), !0) : e.setUint32(a, o, !0);
	}
}
function T(e, t, n, r) {
	let i = t + n.offsets[r];
	return S[n.types[r]] === 8 ? Number(e.getBigInt64(i, !0)) : e.getUint32(i, !0);
}
var E = C({
	struct_size: "u32",
	use_mmap: "u32",
	load_threads: "u32",
	reserved: "u32",
	memory_limit_bytes: "u64",
	progress: "pointer",
	progress_user: "pointer",
	isa: "pointer",
	device: "pointer"
}), D = C({
	name: "pointer",
	value: "i64"
}), O = C({
	struct_size: "u32",
	threads: "u32",
	sizes: "pointer",
	num_sizes: "u32",
	reserved: "u32"
}), k = C({
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
	rope_positions: "pointer"
}), A = C({
	data: "pointer",
	dtype: "u32",
	rows: "u32",
	cols: "u32",
	row_stride: "u32"
}), j = C({
	struct_size: "u32",
	reserved: "u32"
}), M = [
	"logits",
	"argmax",
	"hidden"
], N = C({
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
}), _e = (e) => `shape${e}`, ve = 8, ye = C({
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
}), be = C({
	kind: "u32",
	index: "u32",
	offset: "u64",
	size: "u64"
}), xe = C({
	name: "u32",
	zero: "u32",
	offset: "u64",
	size: "u64"
}), Se = C({
	name: "u32",
	symbol: "u32",
	unit_bytes: "u64"
}), Ce = C({
	name: "u32",
	num_buffers: "u32",
	num_scalars: "u32",
	zero: "u32"
}), we = C({
	kernel: "u32",
	first_arg: "u32",
	units: "u32",
	grain: "u32",
	label: "u32",
	flags: "u32"
}), Te = C({
	changing_bytes: "u64",
	input_bytes: "pointer",
	input_offsets: "pointer",
	state_bytes: "pointer"
}), Ee = C({
	offset: "u64",
	arena: "u32",
	size: "u32",
	to: "pointer"
}), De = [
	"arena",
	"weight",
	"state",
	"input"
];
function P(e, t, n, r, i) {
	let a = e.view;
	return Array.from({ length: n }, (e, n) => i((e) => T(a, t + n * r.size, r, e)));
}
var F = (e, t, n) => Array.from({ length: n }, (n, r) => Number(e.view.getBigUint64(t + 8 * r, !0)));
function Oe(e, t) {
	let n = e.call("hth_web_plan", t), r = (t) => T(e.view, n, ye, t), i = (t) => e.text(r("strings") + t), a = P(e, r("buffers"), r("num_buffers"), be, (e) => ({
		kind: De[e("kind")],
		index: e("index"),
		offset: e("offset"),
		size: e("size")
	})), o = P(e, r("kernels"), r("num_kernels"), Ce, (e) => ({
		name: i(e("name")),
		numBuffers: e("num_buffers")
	})), s = r("args");
	return {
		arenaBytes: F(e, r("arena_bytes"), ve),
		buffers: a,
		weights: P(e, r("weights"), r("num_weights"), xe, (e) => ({
			name: i(e("name")),
			offset: e("offset"),
			size: e("size")
		})),
		states: P(e, r("states"), r("num_states"), Se, (e) => ({ name: i(e("name")) })),
		kernels: o,
		steps: P(e, r("steps"), r("num_steps"), we, (t) => ({
			label: i(t("label")),
			kernel: t("kernel"),
			buffers: Array.from({ length: o[t("kernel")].numBuffers }, (n, r) => a[e.view.getUint32(s + 4 * (t("first_arg") + r), !0)])
		})),
		numInputs: r("num_inputs")
	};
}
function ke(e, t, n) {
	let r = e.call("hth_web_session", t), i = (t) => T(e.view, r, Te, t), a = F(e, i("input_offsets"), n.numInputs), o = F(e, i("input_bytes"), n.numInputs);
	return {
		changingBytes: i("changing_bytes"),
		inputs: a.map((e, t) => ({
			offset: e,
			size: o[t]
		})),
		stateBytes: F(e, i("state_bytes"), n.states.length)
	};
}
function Ae(e, t, n) {
	return P(e, t, n, Ee, (e) => ({
		arena: e("arena"),
		offset: e("offset"),
		size: e("size"),
		to: e("to")
	}));
}
// src/gpu/session.ts
var I = 256, je = 32768, Me = 65536, Ne = 16, L = (e) => Math.ceil(Math.max(e, 1) / Ne) * Ne;
function Pe(e, t) {
	return e.reduce((e, t) => e + Math.ceil(t / I) * I, 0) + t.stateBytes.reduce((e, t) => e + t, 0) + t.changingBytes;
}
var Fe = class {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a;
	#o;
	#s;
	#c;
	#l = 0;
	#u = 0;
	#d = {
		dispatches: 0,
		passes: 0,
		submits: 0,
		writes: 0,
		writtenBytes: 0,
		readBytes: 0,
		objects: 0
	};
	constructor(e, t, n) {
		let { gpu: r, plan: i } = t, { STORAGE: a, UNIFORM: o, COPY_SRC: s, COPY_DST: c } = g;
		this.#e = e, this.#t = t, this.#n = n, this.#r = i.arenaBytes.map((e, t) => {
			let n = Math.ceil(e / I) * I;
			return e > 0 ? r.createBuffer(`arena ${t}`, n, a | s) : void 0;
		}), this.#i = i.states.map(({ name: e }, t) => r.createBuffer(e, n.stateBytes[t], a | c));
		let l = a | o | c;
		this.#a = r.createBuffer("uniforms and inputs", Math.max(n.changingBytes, I), l), this.#o = i.steps.map((e, t) => this.#f(e, t));
	}
	get counters() {
		let { weightBytes: e, plan: t, gpu: n } = this.#t, r = e + Pe(t.arenaBytes, this.#n);
		return {
			...this.#d,
			plannedBytes: r,
			allocatedBytes: n.allocatedBytes
		};
	}
	write(e, t, n) {
		this.#t.gpu.device.queue.writeBuffer(this.#a, e, this.#e.bytes(t, n)), this.#l++, this.#u += n;
	}
	run(e, t, n, r, i) {
		let { gpu: a } = this.#t;
		a.requireSound();
		let o = Ae(this.#e, r, i), s = o.reduce((e, { size: t }) => e + t, 0);
		this.#d = {
			dispatches: 0,
			passes: 0,
			submits: 1,
			writes: this.#l,
			writtenBytes: this.#u,
			readBytes: s,
			objects: 0
		}, this.#l = this.#u = 0, a.device.pushErrorScope("out-of-memory"), a.device.pushErrorScope("validation"), s > 0 && this.#h(s);
		let c = a.device.createCommandEncoder();
		this.#m(c, e, t, n);
		let l = 0;
		for (let { arena: e, offset: t, size: n } of o) c.copyBufferToBuffer(this.#r[e], t, this.#s, l, n), l += n;
		a.device.queue.submit([c.finish()]);
		let u = a.popScopes(2, "The GPU refuses a call.");
		this.#c = this.#g(u, o, s), this.#c.catch(() => void 0);
	}
	clearStates() {
		let e = this.#t.gpu.device.createCommandEncoder();
		for (let t of this.#i) e.clearBuffer(t);
		this.#t.gpu.device.queue.submit([e.finish()]);
	}
	async finish() {
		await this.#c;
	}
	close() {
		let e = [
			...this.#r,
			...this.#i,
			this.#a,
			this.#s
		];
		for (let t of e) t !== void 0 && this.#t.gpu.destroyBuffer(t);
		this.#t.forget(this);
	}
	#f(e, t) {
		let n = {
			buffer: this.#a,
			offset: t * I,
			size: I
		}, r = [...e.buffers.map((e) => this.#p(e)), n], i = this.#t.pipelines[e.kernel].getBindGroupLayout(0), a = r.map((e, t) => ({
			binding: t,
			resource: e
		}));
		return this.#t.gpu.device.createBindGroup({
			label: e.label,
			layout: i,
			entries: a
		});
	}
	#p(e) {
		switch (e.kind) {
			case "arena": return {
				buffer: this.#r[e.index],
				offset: e.offset,
				size: L(e.size)
			};
			case "weight": return {
				...this.#t.weightPlace(e),
				size: L(e.size)
			};
			case "state": return { buffer: this.#i[e.index] };
			case "input": {
				let { offset: t, size: n } = this.#n.inputs[e.index];
				return {
					buffer: this.#a,
					offset: t,
					size: L(n)
				};
			}
		}
	}
	#m(e, t, n, r) {
		let { plan: i, pipelines: a } = this.#t, o = this.#e.view, s, c;
		for (let l = 0; l < n; l++) {
			let n = o.getUint32(r + 8 * l, !0);
			if (n === 0) continue;
			s ??= e.beginComputePass();
			let u = a[i.steps[t + l].kernel];
			u !== c && s.setPipeline(u), c = u, s.setBindGroup(0, this.#o[t + l]);
			let d = Math.min(n, je);
			s.dispatchWorkgroups(d, 1, Math.ceil(n / d)), this.#d.dispatches++;
		}
		s?.end(), s !== void 0 && this.#d.passes++;
	}
	#h(e) {
		if (this.#s !== void 0 && this.#s.size >= e) return;
		let t = this.#s?.size ?? Me;
		for (; t < e;) t *= 2;
		this.#s !== void 0 && this.#t.gpu.destroyBuffer(this.#s), this.#s = this.#t.gpu.createBuffer("outputs", t, g.MAP_READ | g.COPY_DST), this.#d.objects++;
	}
	async #g(e, t, n) {
		let { gpu: r } = this.#t, i = this.#s, a = n > 0 ? i.mapAsync(1, 0, n) : void 0, o = await Promise.allSettled([e, a]);
		r.requireSound();
		for (let e of o) if (e.status === "rejected") throw r.explain(e.reason, "What the GPU computed cannot be read.");
		if (n === 0) return;
		let s = new Uint8Array(i.getMappedRange(0, n)), c = 0;
		for (let { size: e, to: n } of t) this.#e.bytes(n, e).set(s.subarray(c, c + e)), c += e;
		i.unmap();
	}
};
function Ie(t, n) {
	let { gpu: r, plan: i } = t, a = Math.min(r.device.limits.maxStorageBufferBindingSize, r.device.limits.maxBufferSize);
	i.states.forEach(({ name: t }, i) => {
		if (n.stateBytes[i] <= a) return;
		let o = `The state ${t} would take ${n.stateBytes[i]} bytes, the GPU ${r.name} binds at most ${a}.`;
		throw new e("memory", "The session does not fit the GPU.", {
			why: o,
			hint: "Use a smaller context."
		});
	});
}
// src/gpu/shaders.ts
var Le = /^\/\/@ .*$/gm, Re = /^\/\/@ ([A-Za-z_]\w*) (\d{1,3}) ([a-z0-9+]+)$/, ze = "Compile the model again: hearth compile MODEL --target wasm32";
function Be(t) {
	let n = [...t.matchAll(Le)];
	return n.map((r, i) => {
		let a = Re.exec(r[0]);
		if (a === null) throw new e("corrupt", `The bundle's shaders have a line that says nothing: ${r[0]}`, { hint: ze });
		return {
			name: a[1],
			threads: Number(a[2]),
			features: a[3] === "core" ? [] : a[3].split("+"),
			text: t.slice(r.index + r[0].length + 1, n[i + 1]?.index)
		};
	});
}
function Ve(t, n) {
	let r = new Map(t.filter(({ features: e }) => e.length === 0).map((e) => [e.name, e]));
	return n.map(({ name: t }) => {
		let n = r.get(t);
		if (n !== void 0) return n;
		throw new e("mismatch", `The bundle has no shader for the kernel ${t}, which its plan asks for.`, { hint: ze });
	});
}
// src/gpu/weights.ts
var He = 256 << 20, R = 4 << 20, Ue = 64 << 20, We = 256, z = (e, t) => Math.ceil(e / t) * t;
function Ge(e) {
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
		let t = z(e.size, We);
		(a.length === 0 || a.at(-1) + t > He) && a.push(0), e.buffer = a.length - 1, e.offset = a.at(-1), a[e.buffer] += t;
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
async function Ke(t, n, r, i) {
	let a = "The weights cannot be sent to the GPU.", [o, s, c] = [
		0,
		0,
		0
	];
	for await (let e of qe(i)) {
		t.requireSound();
		let i = s + e.length;
		for (; c < n.spans.length; c++) {
			let a = n.spans[c], l = Math.max(a.fileOffset, s), u = Math.min(z(a.fileOffset + a.size, 4), i);
			if (l < u) {
				let n = a.offset + l - a.fileOffset;
				t.device.queue.writeBuffer(r[a.buffer], n, e, l - s, u - l), o += u - l;
			}
			if (a.fileOffset + a.size > i) break;
		}
		s = i, o < Ue || (await t.wait(a), o = 0);
	}
	await t.wait(a);
	let l = n.spans.at(-1);
	if (l !== void 0 && s < l.fileOffset + l.size) throw new e("corrupt", `weights.bin has ${s} bytes, its plan reads up to ${l.fileOffset + l.size}.`);
}
async function* qe(e) {
	let t = new Uint8Array(R), n = 0;
	for await (let r of e) for (let e = 0; e < r.length;) {
		let i = r.subarray(e, e + R - n);
		t.set(i, n), e += i.length, n += i.length, n < R || (yield t, n = 0);
	}
	n !== 0 && (t.fill(0, n, z(n, 4)), yield t.subarray(0, z(n, 4)));
}
// src/gpu/model.ts
var B = class e {
	gpu;
	plan;
	pipelines;
	#e;
	#t;
	#n;
	#r;
	#i = /* @__PURE__ */ new Map();
	constructor(e, t, n, r, i, a, o) {
		this.#e = e, this.gpu = t, this.plan = n, this.pipelines = r, this.#t = i, this.#n = a, this.#r = o;
	}
	static async open(t, n, r, i, { adapter: a, memoryLimitBytes: o = Infinity }) {
		let s = Oe(t, n), c = Ve(Be(r), s.kernels), l = Ge(s);
		H("The weights do not fit the GPU.", V(l), o);
		let u = await te.open(a, Je(s, l, c));
		try {
			let n = he(u, c);
			n.catch(() => void 0);
			let r = await u.make(`The GPU ${u.name} has no memory for the weights.`, () => l.bufferBytes.map((e, t) => u.createBuffer(`weights ${t}`, e, g.STORAGE | g.COPY_DST)));
			return await Ke(u, l, r, i()), new e(t, u, s, await n, l, r, o);
		} catch (e) {
			throw u.close(), e;
		}
	}
	get weightBytes() {
		return V(this.#t);
	}
	weightPlace(e) {
		let { buffer: t, offset: n } = this.#t.places.get(e);
		return {
			buffer: this.#n[t],
			offset: n
		};
	}
	async session(e) {
		let t = ke(this.#e, e, this.plan), n = Pe(this.plan.arenaBytes, t);
		H("The session does not fit the GPU.", [...this.#i.values()].reduce((e, t) => e + t, this.weightBytes) + n, this.#r), Ie(this, t);
		let r = `The GPU ${this.gpu.name} has no memory for a session of ${n} bytes.`, i;
		try {
			return await this.gpu.make(r, () => (i = new Fe(this.#e, this, t), this.#i.set(i, n), i));
		} catch (e) {
			throw i?.close(), e;
		}
	}
	forget(e) {
		this.#i.delete(e);
	}
	close() {
		this.gpu.close();
	}
}, V = ({ bufferBytes: e }) => e.reduce((e, t) => e + t, 0);
function H(t, n, r) {
	if (n <= r) return;
	let i = `It needs ${n} bytes of the GPU's memory, memoryLimitBytes allows ${r}.`;
	throw new e("memory", t, {
		why: i,
		hint: "Use a smaller context, a smaller model or a smaller number format."
	});
}
function Je(e, { bufferBytes: t }, n) {
	let r = (e) => Math.max(0, ...e);
	return {
		bufferBytes: r([...t, ...e.arenaBytes]),
		bindingBytes: r(e.buffers.map(({ size: e }) => e)),
		storageBuffers: r(e.kernels.map(({ numBuffers: e }) => e)),
		invocations: r(n.map(({ threads: e }) => e))
	};
}
// src/info.ts
var U = [
	"f32",
	"i32",
	"u8",
	"i8",
	"f16"
];
function W(e) {
	let t = e.functions.find((e) => e.door === "text");
	if (t === void 0) return;
	let n = (t) => e.symbols[t]?.[1] ?? 0, r = (e) => Number(t.inputs.find(({ name: t }) => t === e)?.high) + 1;
	return {
		vocabSize: r("token_ids"),
		maxTokens: n("tokens"),
		maxSequences: n("sequences"),
		maxLogitRows: n("logit_rows"),
		pageTokens: n("page_tokens"),
		maxPosition: r("positions"),
		kvBytesPerPage: e.states.filter(({ unit: e }) => e === "pages").reduce((e, t) => e + t.unit_bytes, 0)
	};
}
function G(t) {
	let n = W(t);
	if (n !== void 0) return n;
	let r = `Its functions: ${t.functions.map(({ name: e }) => e).join(", ")}.`;
	throw new e("usage", "This model is no language model: it takes no tokens.", { why: r });
}
// src/staging.ts
var K = 16, Ye = class {
	#e;
	#t;
	#n = 0;
	constructor(e) {
		this.#e = e;
	}
	begin(e, t) {
		let n = e + t * K;
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
		return this.put(Xe(e));
	}
	free() {
		this.#t !== void 0 && this.#e.free(this.#t), this.#t = void 0;
	}
	#r(e) {
		let t = this.#t, n = t.at + this.#n;
		if (this.#n += Math.ceil(e / K) * K, this.#n > t.size) throw RangeError("more was staged than begin() was told");
		return n;
	}
}, Xe = (e) => new TextEncoder().encode(`${e}\0`), Ze = {
	f32: Float32Array,
	i32: Int32Array,
	u8: Uint8Array,
	i8: Int8Array,
	f16: Uint16Array
}, Qe = class t {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a;
	#o = 0;
	#s = !1;
	constructor(e, t, n, r, i) {
		this.#e = e, this.#t = t, this.#n = new Ye(e), this.#r = i, this.#i = this.#c(n, Object.entries(r));
	}
	static async create(e, n, r, i, a, o) {
		let s = new t(e, n, r, i, () => o(s));
		try {
			s.#a = await a?.session(s.#i);
		} catch (e) {
			throw s.close(), e;
		}
		return e.attach(s.#i, s.#a), s;
	}
	get counters() {
		return this.#a?.counters;
	}
	#c(e, t) {
		let n = t.reduce((e, [t]) => e + 4 * t.length + 1, 0);
		this.#n.begin(O.size + 4 + t.length * D.size + n, 3 + t.length);
		let r = this.#n.reserve(4), i = this.#n.reserve(O.size), a = this.#n.reserve(t.length * D.size);
		t.forEach(([e, t], n) => {
			w(this.#e.view, a + n * D.size, D, {
				name: this.#n.putText(e),
				value: t
			});
		}), w(this.#e.view, i, O, {
			struct_size: O.size,
			threads: 1,
			sizes: a,
			num_sizes: t.length
		});
		let o = t.map(([e, t]) => `${t} ${e}`).join(", ");
		return this.#e.check(`A session with ${o || "no sizes"} cannot be made.`, "hearth_session_create", e, i, r), this.#e.view.getUint32(r, !0);
	}
	async forward(t) {
		G(this.#t);
		let n = this.#l(), { tokenIds: r, positions: i, tokenSeq: a, blockTable: o, blockTableStride: s, logitRows: c } = t;
		if (i.length !== r.length || a.length !== r.length) throw new e("usage", "tokenIds, positions and tokenSeq must have one entry a token.", { why: `They have ${r.length}, ${i.length} and ${a.length}.` });
		let l = [
			r,
			i,
			a,
			o,
			c
		], u = j.size + M.length * A.size;
		this.#n.begin(k.size + u + 4 * l.reduce((e, t) => e + t.length, 0), 2 + l.length);
		let d = this.#n.reserve(k.size), f = this.#n.reserve(u), p = {
			struct_size: k.size,
			num_tokens: r.length,
			num_seqs: s > 0 ? o.length / s : 0,
			num_logit_rows: c.length,
			block_table_stride: s,
			num_prompt_tokens: t.numPromptTokens ?? 0,
			token_ids: this.#n.put(r),
			positions: this.#n.put(i),
			token_seq: this.#n.put(a),
			block_table: this.#n.put(o),
			logit_rows: this.#n.put(c),
			outputs: $e(t.outputs)
		};
		return w(this.#e.view, d, k, p), w(this.#e.view, f, j, { struct_size: u }), await this.#u("The batch cannot be run.", "hearth_forward", n, d, f), this.#f(f + j.size);
	}
	async run(e, t = {}) {
		let n = this.#l(), r = this.#d(e), i = Object.entries(t), a = i.reduce((e, [t, { data: n }]) => e + n.byteLength + 4 * t.length + 1, 0), o = i.length + r.outputs.length;
		this.#n.begin(a + 4 * e.length + 1 + o * N.size, 3 + 2 * i.length);
		let s = this.#n.reserve(i.length * N.size), c = this.#n.reserve(r.outputs.length * N.size);
		i.forEach(([e, t], n) => this.#m(s + n * N.size, e, t));
		let l = [i.length, r.outputs.length], u = this.#n.putText(e);
		return await this.#u(`${e} cannot be run.`, "hearth_run", n, u, s, l[0], c, l[1]), this.#o++, Object.fromEntries(r.outputs.map((e, t) => [e.name, this.#h(c + t * N.size)]));
	}
	close() {
		this.#i !== 0 && (this.#e.attach(this.#i, void 0), this.#e.call("hearth_session_free", this.#i), this.#a?.close(), this.#n.free(), this.#i = 0, this.#r());
	}
	#l() {
		if (this.#i === 0) throw new e("usage", "The session is closed.");
		if (this.#s) throw new e("usage", "Another call runs in this session.", { hint: "Await it first." });
		return this.#i;
	}
	async #u(e, t, ...n) {
		if (this.#e.check(e, t, ...n), this.#a !== void 0) {
			this.#s = !0;
			try {
				await this.#a.finish();
			} finally {
				this.#s = !1;
			}
			this.#l();
		}
	}
	#d(t) {
		let n = this.#t.functions.find((e) => e.name === t);
		if (n !== void 0) return n;
		let r = this.#t.functions.map((e) => e.name).join(", ");
		throw new e("usage", `The model has no function ${t}.`, { why: `It has: ${r}.` });
	}
	#f(t) {
		let n = ++this.#o, r = (r) => {
			if (n !== this.#o || this.#i === 0) throw new e("usage", "A result is read after the session's next call.");
			let i = t + r * A.size, a = (e) => T(this.#e.view, i, A, e);
			return this.#p(a("data"), U[a("dtype")], a("rows"), a("cols"), a("row_stride"));
		};
		return {
			get logits() {
				return r(0);
			},
			get argmax() {
				return r(1);
			},
			get hidden() {
				return r(2);
			}
		};
	}
	#p(e, t, n, r, i) {
		let a = Ze[t];
		if (e === 0) return new a(0);
		let o = a.BYTES_PER_ELEMENT, s = new a(n * r), c = new Uint8Array(s.buffer);
		for (let t = 0; t < n; t++) c.set(this.#e.bytes(e + t * i * o, r * o), t * r * o);
		return s;
	}
	#m(t, n, { data: r, shape: i }) {
		let a = U.findIndex((e) => r instanceof Ze[e]), o = i.reduce((e, t) => e * t, 1);
		if (a < 0 || i.length > 8 || o !== r.length) throw new e("usage", `${n} cannot be given: ${r.length} numbers for the shape (${i.join(", ")}).`);
		let s = Object.fromEntries(i.map((e, t) => [_e(t), e])), c = {
			name: this.#n.putText(n),
			data: this.#n.put(r)
		};
		w(this.#e.view, t, N, {
			...s,
			...c,
			dtype: a,
			rank: i.length
		});
	}
	#h(e) {
		let t = (t) => T(this.#e.view, e, N, t), n = Array.from({ length: t("rank") }, (e, t) => t).map((e) => t(_e(e))), r = n.at(-1) ?? 1, i = n.slice(0, -1).reduce((e, t) => e * t, 1), a = n.length > 0 ? t("row_stride") : 1;
		return {
			data: this.#p(t("data"), U[t("dtype")], i, r, a),
			shape: n
		};
	}
};
function $e(e) {
	return e === void 0 ? 0 : e.reduce((e, t) => e | 1 << M.indexOf(t), 0) || 1 << M.length;
}
// src/model.ts
var q = class t {
	info;
	text;
	manifest;
	endIds;
	device;
	#e;
	#t;
	#n;
	#r;
	#i = /* @__PURE__ */ new Set();
	constructor(e, t, n, r, i) {
		this.#e = e, this.manifest = t.manifest, this.endIds = t.endIds, this.#r = n, this.#n = r instanceof B ? r : void 0, this.#t = r instanceof B ? void 0 : r, this.info = tt(e, n), this.text = W(this.info);
		let a = this.#n?.gpu;
		this.device = {
			kind: a === void 0 ? "wasm" : "webgpu",
			name: a?.name ?? this.info.isa,
			why: i
		};
	}
	static open(e, n, r, i, a, o) {
		return new t(e, n, et(e, n, r, i, a, "cpu"), i, o);
	}
	static async openOnGpu(e, n, r, i, a, o) {
		let s = et(e, n, r, void 0, 0, "gpu");
		try {
			return new t(e, n, s, await B.open(e, s, i, a, o), "");
		} catch (t) {
			throw e.call("hearth_close", s), t;
		}
	}
	async session(t = {}) {
		if (this.#r === 0) throw new e("usage", "The model is closed.");
		let n = await Qe.create(this.#e, this.info, this.#r, t, this.#n, (e) => this.#i.delete(e));
		return this.#i.add(n), n;
	}
	get memoryBytes() {
		return this.#e.memoryBytes;
	}
	close() {
		if (this.#r !== 0) {
			for (let e of [...this.#i]) e.close();
			this.#e.call("hearth_close", this.#r), this.#t !== void 0 && this.#e.free(this.#t), this.#n?.close(), this.#r = 0;
		}
	}
};
function et(e, t, n, r, i, a) {
	let o = new Ye(e);
	o.begin(n.length + E.size + 4 + a.length + 1, 4);
	let s = o.reserve(4), c = o.reserve(E.size), l = [BigInt(n.length), BigInt(i)];
	w(e.view, c, E, {
		struct_size: E.size,
		device: o.putText(a)
	});
	let u = `The bundle of ${t.manifest.source_name} cannot be opened.`;
	try {
		return e.check(u, "hearth_open_memory", o.put(n), l[0], r?.at ?? 0, l[1], c, s), e.view.getUint32(s, !0);
	} finally {
		o.free();
	}
}
var tt = (e, t) => JSON.parse(e.text(e.call("hearth_describe", t)));
// src/bundle.ts
async function nt(e, t = {}) {
	let r = typeof e == "string" || e instanceof URL ? n(e) : e, i = pe(new TextDecoder().decode(await J(r, x, t))), a = ot(i, t.isa), o = new st(r, i, t), s = await le.instantiate(await o.whole(me(a))), c = {
		manifest: i,
		endIds: "tokenizer_meta.json" in i.files ? await rt(r, t) : []
	}, l = "";
	if (t.device !== "wasm") try {
		return await at(o, s, c, t);
	} catch (e) {
		if (t.device === "webgpu" || !it(e)) throw e;
		l = e.message;
	}
	o.expect(v, b);
	let u = await o.whole(v), d = s.allocate(o.size(b), "the weights");
	return await o.into(s, d, b), q.open(s, c, u, d, o.size(b), l);
}
async function rt(e, t) {
	let n = new TextDecoder().decode(await J(e, fe, t));
	return JSON.parse(n).eos_ids;
}
var it = (t) => t instanceof e && (t.kind === "device" || t.kind === "memory");
async function at(t, n, r, i) {
	let { manifest: a } = r;
	if (a.files["gpu_plan.bin"] === void 0) throw new e("device", `The bundle of ${a.source_name} runs on the processor alone.`, { why: "It has an operation that no kernel for GPUs computes yet, or takes no tokens." });
	let o = await ne(i.softwareGpu ?? !1);
	t.expect(y, de, b);
	let s = await t.whole(y), c = new TextDecoder().decode(await t.whole(de)), l = i.memoryLimitBytes;
	return q.openOnGpu(n, r, s, c, () => t.pieces(b), {
		adapter: o,
		memoryLimitBytes: l
	});
}
function ot({ source_name: t, instruction_sets: n }, r) {
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
async function J(e, t, { signal: n }) {
	let r = [];
	for await (let i of await e.open(t)) n?.throwIfAborted(), r.push(i);
	let i = new Uint8Array(r.reduce((e, t) => e + t.length, 0)), a = 0;
	for (let e of r) i.set(e, a), a += e.length;
	return i;
}
var st = class {
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
		if (n === void 0) throw new e("corrupt", `${x} names no file ${t}.`);
		return n.size_bytes;
	}
	async whole(e) {
		let t = await J(this.#e, e, this.#n);
		return this.#o(e, t.length), this.#a(t.length), t;
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
			why: `${x} says ${r}.`,
			hint: "Load it again; if that does not help, compile the model again."
		});
	}
}, ct = class {
	pageTokens;
	#e;
	#t;
	#n = /* @__PURE__ */ new Set();
	#r = /* @__PURE__ */ new Map();
	#i = /* @__PURE__ */ new Map();
	#a = 1;
	constructor(e, t) {
		this.pageTokens = t, this.#e = new Uint32Array(e), this.#t = Array.from({ length: e }, (t, n) => e - 1 - n);
	}
	get available() {
		return this.#t.length + this.#n.size;
	}
	find(e, t) {
		let n = [], r = 0;
		for (; (n.length + 1) * this.pageTokens <= t;) {
			let t = this.#i.get(this.#o(r, e, n.length));
			if (t === void 0) break;
			this.#e[t]++ === 0 && this.#n.delete(t), n.push(t), r = this.#r.get(t).id;
		}
		return {
			pages: n,
			id: r
		};
	}
	take() {
		let e = this.#t.pop();
		return e === void 0 && (e = this.#n.values().next().value, this.#n.delete(e), this.#i.delete(this.#r.get(e).key), this.#r.delete(e)), this.#e[e] = 1, e;
	}
	publish(e, t, n, r) {
		let i = this.#o(t, n, r), a = this.#i.get(i);
		if (a !== void 0) return this.#r.get(a).id;
		let o = this.#a++;
		return this.#r.set(e, {
			key: i,
			id: o
		}), this.#i.set(i, e), o;
	}
	release(e) {
		for (let t of [...e].reverse()) --this.#e[t] > 0 || (this.#r.has(t) ? this.#n.add(t) : this.#t.push(t));
	}
	#o(e, t, n) {
		let r = n * this.pageTokens;
		return `${e}:${t.slice(r, r + this.pageTokens).join()}`;
	}
}, lt = {
	temperature: 1,
	topK: 0,
	topP: 1,
	minP: 0,
	repetitionPenalty: 1,
	presencePenalty: 0,
	frequencyPenalty: 0,
	maxTokens: 1024,
	stopTokenIds: []
}, ut = {
	temperature: {
		low: 0,
		high: 100
	},
	topK: {
		low: 0,
		high: 2 ** 53 - 1,
		whole: !0
	},
	topP: {
		low: 0,
		high: 1,
		aboveLow: !0
	},
	minP: {
		low: 0,
		high: 1
	},
	repetitionPenalty: {
		low: 0,
		high: 10,
		aboveLow: !0
	},
	presencePenalty: {
		low: -100,
		high: 100
	},
	frequencyPenalty: {
		low: -100,
		high: 100
	},
	maxTokens: {
		low: 1,
		high: 2 ** 53 - 1,
		whole: !0
	}
};
function dt(t) {
	let n = {
		...lt,
		...t
	};
	for (let [t, { low: r, high: i, aboveLow: a, whole: o }] of Object.entries(ut)) {
		let s = n[t];
		if (typeof s == "number" && s >= r && s <= i && !(a && s === r) && (!o || Number.isInteger(s))) continue;
		let c = i === 2 ** 53 - 1 ? `${r} or more` : `${a ? "above " : ""}${r} to ${i}`;
		throw new e("usage", `${t} is ${String(s)}, but must be a${o ? " whole" : ""} number, ${c}.`);
	}
	return n;
}
var Y = (e) => e.repetitionPenalty !== 1 || e.presencePenalty !== 0 || e.frequencyPenalty !== 0, ft = 4294967295, pt = (1n << 64n) - 1n, X = (1n << 128n) - 1n, mt = 47026247687942121848144207491837523525n, Z = 4, ht = 1135663077, gt = 2468251765, _t = 2337405405, vt = 1492356589, yt = 3389127133, bt = 1232336661;
function Q(e, t) {
	let n = e;
	return (e) => {
		let r = (e ^ n) >>> 0;
		n = Math.imul(n, t) >>> 0;
		let i = Math.imul(r, n) >>> 0;
		return (i ^ i >>> 16) >>> 0;
	};
}
function xt(e, t) {
	let n = Math.imul(yt, e) - Math.imul(bt, t) >>> 0;
	return (n ^ n >>> 16) >>> 0;
}
function St(e) {
	let t = [Number(e & BigInt(ft)), Number(e >> 32n)], n = Q(ht, gt), r = Array.from({ length: Z }, (e, r) => n(t[r] ?? 0));
	for (let e = 0; e < Z; e++) for (let t = 0; t < Z; t++) e !== t && (r[t] = xt(r[t], n(r[e])));
	let i = Q(_t, vt), a = Array.from({ length: 8 }, (e, t) => BigInt(i(r[t % Z])));
	return [
		0,
		2,
		4,
		6
	].map((e) => a[e] | a[e + 1] << 32n);
}
var Ct = class {
	#e;
	#t;
	constructor(e) {
		let [t, n, r, i] = St(BigInt.asUintN(64, e === void 0 ? wt() : BigInt(e)));
		this.#t = ((r << 64n | i) << 1n | 1n) & X, this.#e = 0n, this.#n(), this.#e = this.#e + (t << 64n | n) & X, this.#n();
	}
	next() {
		this.#n();
		let e = (this.#e >> 64n ^ this.#e) & pt, t = this.#e >> 122n, n = (e >> t | e << 64n - t) & pt;
		return Number(n >> 11n) / 2 ** 53;
	}
	#n() {
		this.#e = this.#e * mt + this.#t & X;
	}
};
function wt() {
	let e = () => BigInt(Math.floor(Math.random() * 2 ** 32));
	return e() << 32n | e();
}
// src/engine/sampling.ts
var Tt = class {
	#e;
	#t;
	#n;
	constructor(e, t) {
		this.#e = e, this.#t = new Ct(e.seed), this.#n = new Map(Y(e) ? t.map((e) => [e, 0]) : []);
	}
	get needsLogits() {
		return this.#e.temperature > 0 || Y(this.#e);
	}
	sample(e, t) {
		let n = t;
		return this.needsLogits && (this.#r(e), n = this.#e.temperature === 0 ? Et(e) : this.#i(e)), Y(this.#e) && this.#n.set(n, (this.#n.get(n) ?? 0) + 1), n;
	}
	#r(e) {
		let { repetitionPenalty: t, presencePenalty: n, frequencyPenalty: r } = this.#e;
		for (let [i, a] of this.#n) {
			let o = e[i];
			e[i] = (o > 0 ? o / t : o * t) - r * a - (a > 0 ? n : 0);
		}
	}
	#i(e) {
		let { temperature: t, topK: n, topP: r, minP: i } = this.#e, a = e[Et(e)], o = 1 / Math.max(t, 1e-30), s;
		if (n > 0 && n < e.length) {
			let t = Dt(e, n);
			s = $(e, (e) => e >= t);
		}
		let c = Float32Array.from(s ?? e, (t) => Math.exp(((s === void 0 ? t : e[t]) - a) * o)), l = (e) => {
			s = s === void 0 ? e : e.map((e) => s[e]), c = Float32Array.from(e, (e) => c[e]);
		};
		r < 1 && l(kt(c, r)), i > 0 && l($(c, (e) => e >= i));
		let u = jt(c, this.#t.next());
		return s === void 0 ? u : s[u];
	}
};
function Et(t) {
	let n = 0;
	for (let r = 0; r < t.length; r++) {
		let i = t[r];
		if (i > t[n]) n = r;
		else if (Number.isNaN(i)) throw new e("internal", `Logit ${r} is not a number.`, { hint: "The model's weights are damaged, or its arithmetic overflows: compile it with --precision high." });
	}
	return n;
}
function $(e, t) {
	let n = new Uint32Array(e.length), r = 0;
	for (let i = 0; i < e.length; i++) t(e[i]) && (n[r++] = i);
	return n.slice(0, r);
}
function Dt(e, t) {
	let n = e, r = t;
	for (;;) {
		let e = n[n.length >> 1], t = n.filter((t) => t > e);
		if (r <= t.length) {
			n = t;
			continue;
		}
		let i = n.filter((t) => t < e);
		if (r <= n.length - i.length) return e;
		r -= n.length - i.length, n = i;
	}
}
var Ot = [
	.001,
	1e-6,
	0
];
function kt(e, t) {
	let n = t * At(e), r = /* @__PURE__ */ new Uint32Array();
	for (let t of Ot) if (r = $(e, (e) => e >= t), r.reduce((t, n) => t + e[n], 0) >= n) break;
	let i = [...r].sort((t, n) => e[n] - e[t] || t - n), a = 0, o = i.findIndex((t) => (a += e[t]) >= n), s = o < 0 ? i : i.slice(0, o + 1), c = e[s.at(-1)], l = (t) => Number(e[t] === c);
	return Uint32Array.from(s.sort((e, t) => l(e) - l(t) || e - t));
}
var At = (e) => e.reduce((e, t) => e + t, 0);
function jt(e, t) {
	let n = t * At(e), r = 0, i = 0;
	for (let t = 0; t < e.length && !(e[t] !== 0 && (r += e[t], i = t, r > n)); t++);
	return i;
}
// src/engine/sequence.ts
var Mt = class {
	tokens;
	promptLength;
	sampler;
	limit;
	#e;
	#t;
	#n = [];
	#r = 0;
	#i = 0;
	computed = 0;
	constructor(e, t, n, r, i) {
		this.tokens = [...e], this.promptLength = e.length, this.sampler = new Tt(t, e), this.limit = Math.min(e.length + t.maxTokens, r), this.#e = /* @__PURE__ */ new Set([...n, ...t.stopTokenIds]), this.#t = i;
	}
	get pages() {
		return this.#n;
	}
	get reserved() {
		return Math.ceil(this.limit / this.#t.pageTokens) - this.#n.length;
	}
	admit(e) {
		let t = this.#t.find(this.tokens, this.tokens.length - 1);
		return this.#n = t.pages, this.reserved > e() ? (this.release(), !1) : (this.#r = t.id, this.#i = t.pages.length, this.computed = t.pages.length * this.#t.pageTokens, !0);
	}
	cover(e) {
		for (; this.#n.length * this.#t.pageTokens < e;) this.#n.push(this.#t.take());
	}
	advance(e) {
		for (this.computed = e; (this.#i + 1) * this.#t.pageTokens <= e; this.#i++) this.#r = this.#t.publish(this.#n[this.#i], this.#r, this.tokens, this.#i);
	}
	add(e) {
		return this.tokens.push(e), this.#e.has(e) ? {
			token: e,
			finish: "stop"
		} : this.tokens.length >= this.limit ? {
			token: e,
			finish: "length"
		} : { token: e };
	}
	release() {
		this.#t.release(this.#n), this.#n = [];
	}
}, Nt = {
	cacheTokens: 4096,
	maxSequences: 8,
	chunkTokens: 64
}, Pt = class t {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a;
	#o;
	#s = [];
	#c = [];
	#l = !1;
	constructor(e, t, n, r) {
		let { maxSequences: i, chunkTokens: a } = {
			...Nt,
			...r
		};
		this.#e = e, this.#n = t, this.#t = G(e.info), this.#i = n;
		let { pageTokens: o, maxTokens: s, maxSequences: c, maxLogitRows: l } = this.#t;
		this.#a = Math.min(i, c, l, s), this.#o = Math.min(a, s - this.#a + 1), this.#r = new ct(this.#i, o);
	}
	static async create(e, n = {}) {
		let { pageTokens: r, maxPosition: i } = G(e.info), a = n.cacheTokens ?? Math.min(Nt.cacheTokens, i), o = Math.ceil(a / r);
		return new t(e, await e.session({ pages: o }), o, n);
	}
	get contextTokens() {
		return Math.min(this.#i * this.#t.pageTokens, this.#t.maxPosition);
	}
	async *generate(e, t = {}) {
		let n = this.#u(e, dt(t));
		try {
			for (;;) {
				for (; n.events.length === 0;) {
					if (n.error !== void 0) throw n.error;
					let e = new Promise((e) => n.wake = e);
					this.#d(), await e;
				}
				let e = n.events.shift();
				if (yield e, e.finish !== void 0) return;
			}
		} finally {
			this.#_(n);
		}
	}
	close() {
		let t = new e("usage", "The engine was closed.");
		for (let e of [...this.#c, ...this.#s]) this.#g(e, t);
		this.#n.close();
	}
	#u(t, n) {
		let { vocabSize: r } = this.#t, i = t.find((e) => !Number.isInteger(e) || e < 0 || e >= r);
		if (t.length === 0 || i !== void 0) {
			let n = t.length === 0 ? "The prompt has no tokens." : `The prompt has the token ${i}.`;
			throw new e("usage", n, { why: `The model's tokens are numbers from 0 to ${r - 1}.` });
		}
		if (t.length >= this.contextTokens) throw new e("usage", `The prompt has ${t.length} tokens, which leaves no room for an answer.`, {
			why: `The context holds ${this.contextTokens}.`,
			hint: "Make the prompt shorter, or cacheTokens larger."
		});
		let a = {
			sequence: new Mt(t, n, this.#e.endIds, this.contextTokens, this.#r),
			events: [],
			wake: () => void 0
		};
		return this.#s.push(a), a;
	}
	async #d() {
		if (!this.#l) {
			this.#l = !0;
			try {
				for (; this.#c.length > 0 || this.#s.length > 0;) await this.#f(), await It();
			} finally {
				this.#l = !1;
			}
		}
	}
	async #f() {
		this.#p();
		let e = this.#m();
		if (e.length !== 0) try {
			await this.#h(e);
		} catch (t) {
			for (let { request: n } of e) this.#g(n, t);
		}
	}
	#p() {
		let e = () => this.#r.available - this.#c.reduce((e, { sequence: t }) => e + t.reserved, 0);
		for (; this.#s.length > 0 && this.#c.length < this.#a;) {
			if (!this.#s[0].sequence.admit(e)) return;
			this.#c.push(this.#s.shift());
		}
	}
	#m() {
		let e = [], t = [], n = this.#o;
		for (let r of this.#c) {
			let { computed: i, tokens: a, promptLength: o } = r.sequence, s = i < o, c = s ? Math.min(a.length - i, n) : 1;
			c !== 0 && (s && (n -= c), r.sequence.cover(i + c), (s ? e : t).push({
				request: r,
				start: i,
				count: c
			}));
		}
		return [...e, ...t];
	}
	async #h(e) {
		let t = e.filter(({ request: e, start: t, count: n }) => t + n === e.sequence.tokens.length), n = t.some(({ request: e }) => e.sequence.sampler.needsLogits), r = n ? ["argmax", "logits"] : ["argmax"], i = await this.#n.forward({
			...Ft(e),
			outputs: r
		}), { argmax: a } = i, o = n ? i.logits : /* @__PURE__ */ new Float32Array(), s = ({ request: e }) => !this.#c.includes(e);
		for (let t of e) s(t) || t.request.sequence.advance(t.start + t.count);
		let { vocabSize: c } = this.#t;
		t.forEach((e, t) => {
			if (s(e)) return;
			let { request: n } = e, { sequence: r } = n;
			try {
				let e = r.sampler.sample(o.subarray(t * c, (t + 1) * c), a[t]), i = r.add(e);
				n.events.push(i), i.finish !== void 0 && this.#_(n), n.wake();
			} catch (e) {
				this.#g(n, e);
			}
		});
	}
	#g(e, t) {
		e.error = t, this.#_(e), e.wake();
	}
	#_(e) {
		e.sequence.release(), this.#c = this.#c.filter((t) => t !== e);
		let t = this.#s.indexOf(e);
		t >= 0 && this.#s.splice(t, 1);
	}
};
function Ft(e) {
	let t = ({ request: e, start: t }) => t < e.sequence.promptLength, n = e.map(({ request: e }) => e.sequence.pages), r = Math.max(...n.map((e) => e.length)), i = e.flatMap(({ request: e, start: t, count: n }) => e.sequence.tokens.slice(t, t + n)), a = e.map((t, n) => e.slice(0, n + 1).reduce((e, { count: t }) => e + t, 0)), o = e.flatMap(({ request: e, start: t, count: n }, r) => t + n === e.sequence.tokens.length ? [a[r] - 1] : []);
	return {
		tokenIds: Int32Array.from(i),
		positions: Int32Array.from(e.flatMap(({ start: e, count: t }) => Array.from({ length: t }, (t, n) => e + n))),
		tokenSeq: Int32Array.from(e.flatMap(({ count: e }, t) => Array(e).fill(t))),
		blockTable: Int32Array.from(n.flatMap((e) => [...e, ...Array(r - e.length).fill(-1)])),
		blockTableStride: r,
		logitRows: Int32Array.from(o),
		numPromptTokens: e.filter(t).reduce((e, { count: t }) => e + t, 0)
	};
}
var It = () => new Promise((e) => {
	let { port1: t, port2: n } = new MessageChannel();
	t.onmessage = () => {
		t.close(), e();
	}, n.postMessage(null);
});
export { lt as DEFAULT_PARAMS, Pt as Engine, e as HearthError, q as Model, Qe as Session, n as fetchedFiles, t as filesOf, m as hasFeature, nt as loadBundle };
