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
// src/library.ts
var h = [
	"usage",
	"corrupt",
	"memory",
	"storage",
	"mismatch",
	"internal",
	"internal",
	"device"
], ee = 64, g = 4096, te = class t {
	#e;
	#t;
	#n;
	#r;
	constructor(e, t) {
		this.#n = t, this.#e = e.exports, this.#t = e.exports.memory, this.#r = new DataView(this.#t.buffer), e.exports._initialize();
	}
	static async instantiate(n) {
		let r = new ne(), i = { hearth: {
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
		if (i !== 0) throw a === void 0 ? new e(h[i - 1] ?? "internal", t, { why: this.text(this.call("hearth_error")) }) : a;
	}
	allocate(t, n) {
		let r = Math.max(Math.ceil(t / g), 1) * g, i = r < 2 ** 32 ? this.call("hth_pages_allocate", r, ee) : 0;
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
}, ne = class {
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
}, _ = "plan.bin", v = "weights.bin", re = "tokenizer_meta.json", y = "manifest.json";
function ie(t) {
	let n;
	try {
		n = JSON.parse(t);
	} catch (t) {
		throw new e("corrupt", `${y} is no JSON.`, { why: String(t) });
	}
	let r = [n.format_version, n.abi_version];
	if (r[0] !== 6 || r[1] !== 4) throw new e("mismatch", `This bundle has format ${r.join(", runtime ")}.`, {
		why: "This package reads format 6, runtime 4.",
		hint: "Compile the model with the Hearth that this package came with."
	});
	if (n.target !== "wasm32") throw new e("mismatch", `The bundle of ${n.source_name} is for ${n.target}.`, {
		why: "A page runs WebAssembly.",
		hint: `Compile it for that: hearth compile ${n.source_name} --target wasm32`
	});
	return n;
}
var ae = (e) => `libhearth-${e.name}.wasm`, b = [
	"f32",
	"i32",
	"u8",
	"i8",
	"f16"
];
function x(e) {
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
function S(t) {
	let n = x(t);
	if (n !== void 0) return n;
	let r = `Its functions: ${t.functions.map(({ name: e }) => e).join(", ")}.`;
	throw new e("usage", "This model is no language model: it takes no tokens.", { why: r });
}
// src/staging.ts
var C = 16, w = class {
	#e;
	#t;
	#n = 0;
	constructor(e) {
		this.#e = e;
	}
	begin(e, t) {
		let n = e + t * C;
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
		return this.put(oe(e));
	}
	free() {
		this.#t !== void 0 && this.#e.free(this.#t), this.#t = void 0;
	}
	#r(e) {
		let t = this.#t, n = t.at + this.#n;
		if (this.#n += Math.ceil(e / C) * C, this.#n > t.size) throw RangeError("more was staged than begin() was told");
		return n;
	}
}, oe = (e) => new TextEncoder().encode(`${e}\0`), T = {
	u32: 4,
	pointer: 4,
	u64: 8,
	i64: 8
};
function E(e) {
	let t = 0, n = 1, r = {};
	for (let [i, a] of Object.entries(e)) {
		let e = T[a];
		r[i] = t = Math.ceil(t / e) * e, t += e, n = Math.max(n, e);
	}
	return {
		size: Math.ceil(t / n) * n,
		offsets: r,
		types: e
	};
}
function D(e, t, n, r) {
	for (let i of Object.keys(n.offsets)) {
		let a = t + n.offsets[i], o = r[i] ?? 0;
		T[n.types[i]] === 8 ? e.setBigInt64(a, BigInt(o), !0) : e.setUint32(a, o, !0);
	}
}
function O(e, t, n, r) {
	let i = t + n.offsets[r];
	return T[n.types[r]] === 8 ? Number(e.getBigInt64(i, !0)) : e.getUint32(i, !0);
}
var k = E({
	name: "pointer",
	value: "i64"
}), A = E({
	struct_size: "u32",
	threads: "u32",
	sizes: "pointer",
	num_sizes: "u32",
	reserved: "u32"
}), j = E({
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
}), M = E({
	data: "pointer",
	dtype: "u32",
	rows: "u32",
	cols: "u32",
	row_stride: "u32"
}), N = E({
	struct_size: "u32",
	reserved: "u32"
}), P = [
	"logits",
	"argmax",
	"hidden"
], F = E({
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
}), I = (e) => `shape${e}`, L = {
	f32: Float32Array,
	i32: Int32Array,
	u8: Uint8Array,
	i8: Int8Array,
	f16: Uint16Array
}, R = class {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a = 0;
	constructor(e, t, n, r, i) {
		this.#e = e, this.#t = t, this.#n = new w(e), this.#r = i, this.#i = this.#o(n, Object.entries(r));
	}
	#o(e, t) {
		let n = t.reduce((e, [t]) => e + 4 * t.length + 1, 0);
		this.#n.begin(A.size + 4 + t.length * k.size + n, 3 + t.length);
		let r = this.#n.reserve(4), i = this.#n.reserve(A.size), a = this.#n.reserve(t.length * k.size);
		t.forEach(([e, t], n) => {
			D(this.#e.view, a + n * k.size, k, {
				name: this.#n.putText(e),
				value: t
			});
		}), D(this.#e.view, i, A, {
			struct_size: A.size,
			threads: 1,
			sizes: a,
			num_sizes: t.length
		});
		let o = t.map(([e, t]) => `${t} ${e}`).join(", ");
		return this.#e.check(`A session with ${o || "no sizes"} cannot be made.`, "hearth_session_create", e, i, r), this.#e.view.getUint32(r, !0);
	}
	forward(t) {
		S(this.#t);
		let n = this.#s(), { tokenIds: r, positions: i, tokenSeq: a, blockTable: o, blockTableStride: s, logitRows: c } = t;
		if (i.length !== r.length || a.length !== r.length) throw new e("usage", "tokenIds, positions and tokenSeq must have one entry a token.", { why: `They have ${r.length}, ${i.length} and ${a.length}.` });
		let l = [
			r,
			i,
			a,
			o,
			c
		], u = N.size + P.length * M.size;
		this.#n.begin(j.size + u + 4 * l.reduce((e, t) => e + t.length, 0), 2 + l.length);
		let d = this.#n.reserve(j.size), f = this.#n.reserve(u), p = {
			struct_size: j.size,
			num_tokens: r.length,
			num_seqs: s > 0 ? o.length / s : 0,
			num_logit_rows: c.length,
			block_table_stride: s,
			num_prompt_tokens: t.numPromptTokens ?? 0,
			outputs: (t.outputs ?? []).reduce((e, t) => e | 1 << P.indexOf(t), 0),
			token_ids: this.#n.put(r),
			positions: this.#n.put(i),
			token_seq: this.#n.put(a),
			block_table: this.#n.put(o),
			logit_rows: this.#n.put(c)
		};
		return D(this.#e.view, d, j, p), D(this.#e.view, f, N, { struct_size: u }), this.#e.check("The batch cannot be run.", "hearth_forward", n, d, f), this.#l(f + N.size);
	}
	run(e, t = {}) {
		let n = this.#s(), r = this.#c(e), i = Object.entries(t), a = i.reduce((e, [t, { data: n }]) => e + n.byteLength + 4 * t.length + 1, 0), o = i.length + r.outputs.length;
		this.#n.begin(a + 4 * e.length + 1 + o * F.size, 3 + 2 * i.length);
		let s = this.#n.reserve(i.length * F.size), c = this.#n.reserve(r.outputs.length * F.size);
		i.forEach(([e, t], n) => this.#d(s + n * F.size, e, t));
		let l = [i.length, r.outputs.length], u = this.#n.putText(e);
		return this.#e.check(`${e} cannot be run.`, "hearth_run", n, u, s, l[0], c, l[1]), this.#a++, Object.fromEntries(r.outputs.map((e, t) => [e.name, this.#f(c + t * F.size)]));
	}
	close() {
		this.#i !== 0 && (this.#e.call("hearth_session_free", this.#i), this.#n.free(), this.#i = 0, this.#r());
	}
	#s() {
		if (this.#i === 0) throw new e("usage", "The session is closed.");
		return this.#i;
	}
	#c(t) {
		let n = this.#t.functions.find((e) => e.name === t);
		if (n !== void 0) return n;
		let r = this.#t.functions.map((e) => e.name).join(", ");
		throw new e("usage", `The model has no function ${t}.`, { why: `It has: ${r}.` });
	}
	#l(t) {
		let n = ++this.#a, r = (r) => {
			if (n !== this.#a || this.#i === 0) throw new e("usage", "A result is read after the session's next call.");
			let i = t + r * M.size, a = (e) => O(this.#e.view, i, M, e);
			return this.#u(a("data"), b[a("dtype")], a("rows"), a("cols"), a("row_stride"));
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
	#u(e, t, n, r, i) {
		let a = L[t];
		if (e === 0) return new a(0);
		let o = a.BYTES_PER_ELEMENT, s = new a(n * r), c = new Uint8Array(s.buffer);
		for (let t = 0; t < n; t++) c.set(this.#e.bytes(e + t * i * o, r * o), t * r * o);
		return s;
	}
	#d(t, n, { data: r, shape: i }) {
		let a = b.findIndex((e) => r instanceof L[e]), o = i.reduce((e, t) => e * t, 1);
		if (a < 0 || i.length > 8 || o !== r.length) throw new e("usage", `${n} cannot be given: ${r.length} numbers for the shape (${i.join(", ")}).`);
		let s = Object.fromEntries(i.map((e, t) => [I(t), e])), c = {
			name: this.#n.putText(n),
			data: this.#n.put(r)
		};
		D(this.#e.view, t, F, {
			...s,
			...c,
			dtype: a,
			rank: i.length
		});
	}
	#f(e) {
		let t = (t) => O(this.#e.view, e, F, t), n = Array.from({ length: t("rank") }, (e, t) => t).map((e) => t(I(e))), r = n.at(-1) ?? 1, i = n.slice(0, -1).reduce((e, t) => e * t, 1), a = n.length > 0 ? t("row_stride") : 1;
		return {
			data: this.#u(t("data"), b[t("dtype")], i, r, a),
			shape: n
		};
	}
}, z = class t {
	info;
	text;
	manifest;
	endIds;
	#e;
	#t;
	#n;
	#r = /* @__PURE__ */ new Set();
	constructor(e, t, n, r) {
		this.#e = e, this.manifest = t.manifest, this.endIds = t.endIds, this.#t = n, this.#n = r, this.info = JSON.parse(e.text(e.call("hearth_describe", r))), this.text = x(this.info);
	}
	static open(e, n, r, i, a) {
		let o = new w(e);
		o.begin(r.length + 4, 2);
		let s = o.reserve(4), c = o.put(r), l = [BigInt(r.length), BigInt(a)], u = `The bundle of ${n.manifest.source_name} cannot be opened.`;
		e.check(u, "hearth_open_memory", c, l[0], i.at, l[1], 0, s);
		let d = e.view.getUint32(s, !0);
		return o.free(), new t(e, n, i, d);
	}
	session(t = {}) {
		if (this.#n === 0) throw new e("usage", "The model is closed.");
		let n = new R(this.#e, this.info, this.#n, t, () => this.#r.delete(n));
		return this.#r.add(n), n;
	}
	get memoryBytes() {
		return this.#e.memoryBytes;
	}
	close() {
		if (this.#n !== 0) {
			for (let e of [...this.#r]) e.close();
			this.#e.call("hearth_close", this.#n), this.#e.free(this.#t), this.#n = 0;
		}
	}
};
// src/bundle.ts
async function se(e, t = {}) {
	let r = typeof e == "string" || e instanceof URL ? n(e) : e, i = ie(new TextDecoder().decode(await B(r, y, t))), a = [
		ae(le(i, t.isa)),
		_,
		v
	], o = new V(r, i, a, t), s = await te.instantiate(await o.whole(a[0])), c = await o.whole(_), l = s.allocate(o.size(v), "the weights");
	await o.into(s, l, v);
	let u = "tokenizer_meta.json" in i.files ? await ce(r, t) : [];
	return z.open(s, {
		manifest: i,
		endIds: u
	}, c, l, o.size(v));
}
async function ce(e, t) {
	let n = new TextDecoder().decode(await B(e, re, t));
	return JSON.parse(n).eos_ids;
}
function le({ source_name: t, instruction_sets: n }, r) {
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
async function B(e, t, { signal: n }) {
	let r = [];
	for await (let i of await e.open(t)) n?.throwIfAborted(), r.push(i);
	let i = new Uint8Array(r.reduce((e, t) => e + t.length, 0)), a = 0;
	for (let e of r) i.set(e, a), a += e.length;
	return i;
}
var V = class {
	#e;
	#t;
	#n;
	#r;
	#i = 0;
	constructor(e, t, n, r) {
		this.#e = e, this.#t = t, this.#n = r, this.#r = n.reduce((e, t) => e + this.size(t), 0);
	}
	size(t) {
		let n = this.#t.files[t];
		if (n === void 0) throw new e("corrupt", `${y} names no file ${t}.`);
		return n.size_bytes;
	}
	async whole(e) {
		let t = await B(this.#e, e, this.#n);
		return this.#o(e, t.length), this.#a(t.length), t;
	}
	async into(e, t, n) {
		let r = this.size(n), i = 0;
		for await (let a of await this.#e.open(n)) this.#n.signal?.throwIfAborted(), i + a.length > r && this.#o(n, i + a.length), e.bytes(t.at + i, a.length).set(a), i += a.length, this.#a(a.length);
		this.#o(n, i);
	}
	#a(e) {
		this.#i += e, this.#n.onProgress?.(this.#i, this.#r);
	}
	#o(t, n) {
		let r = this.size(t);
		if (n !== r) throw new e("corrupt", `${t} has ${n > r ? "more than " : ""}${Math.min(n, r)} bytes.`, {
			why: `${y} says ${r}.`,
			hint: "Load it again; if that does not help, compile the model again."
		});
	}
}, H = class {
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
}, U = {
	temperature: 1,
	topK: 0,
	topP: 1,
	minP: 0,
	repetitionPenalty: 1,
	presencePenalty: 0,
	frequencyPenalty: 0,
	maxTokens: 1024,
	stopTokenIds: []
}, W = {
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
function ue(t) {
	let n = {
		...U,
		...t
	};
	for (let [t, { low: r, high: i, aboveLow: a, whole: o }] of Object.entries(W)) {
		let s = n[t];
		if (typeof s == "number" && s >= r && s <= i && !(a && s === r) && (!o || Number.isInteger(s))) continue;
		let c = i === 2 ** 53 - 1 ? `${r} or more` : `${a ? "above " : ""}${r} to ${i}`;
		throw new e("usage", `${t} is ${String(s)}, but must be a${o ? " whole" : ""} number, ${c}.`);
	}
	return n;
}
var G = (e) => e.repetitionPenalty !== 1 || e.presencePenalty !== 0 || e.frequencyPenalty !== 0, K = 4294967295, q = (1n << 64n) - 1n, J = (1n << 128n) - 1n, de = 47026247687942121848144207491837523525n, Y = 4, fe = 1135663077, pe = 2468251765, me = 2337405405, he = 1492356589, ge = 3389127133, _e = 1232336661;
function X(e, t) {
	let n = e;
	return (e) => {
		let r = (e ^ n) >>> 0;
		n = Math.imul(n, t) >>> 0;
		let i = Math.imul(r, n) >>> 0;
		return (i ^ i >>> 16) >>> 0;
	};
}
function ve(e, t) {
	let n = Math.imul(ge, e) - Math.imul(_e, t) >>> 0;
	return (n ^ n >>> 16) >>> 0;
}
function ye(e) {
	let t = [Number(e & BigInt(K)), Number(e >> 32n)], n = X(fe, pe), r = Array.from({ length: Y }, (e, r) => n(t[r] ?? 0));
	for (let e = 0; e < Y; e++) for (let t = 0; t < Y; t++) e !== t && (r[t] = ve(r[t], n(r[e])));
	let i = X(me, he), a = Array.from({ length: 8 }, (e, t) => BigInt(i(r[t % Y])));
	return [
		0,
		2,
		4,
		6
	].map((e) => a[e] | a[e + 1] << 32n);
}
var be = class {
	#e;
	#t;
	constructor(e) {
		let [t, n, r, i] = ye(BigInt.asUintN(64, e === void 0 ? xe() : BigInt(e)));
		this.#t = ((r << 64n | i) << 1n | 1n) & J, this.#e = 0n, this.#n(), this.#e = this.#e + (t << 64n | n) & J, this.#n();
	}
	next() {
		this.#n();
		let e = (this.#e >> 64n ^ this.#e) & q, t = this.#e >> 122n, n = (e >> t | e << 64n - t) & q;
		return Number(n >> 11n) / 2 ** 53;
	}
	#n() {
		this.#e = this.#e * de + this.#t & J;
	}
};
function xe() {
	let e = () => BigInt(Math.floor(Math.random() * 2 ** 32));
	return e() << 32n | e();
}
// src/engine/sampling.ts
var Se = class {
	#e;
	#t;
	#n;
	constructor(e, t) {
		this.#e = e, this.#t = new be(e.seed), this.#n = new Map(G(e) ? t.map((e) => [e, 0]) : []);
	}
	get needsLogits() {
		return this.#e.temperature > 0 || G(this.#e);
	}
	sample(e, t) {
		let n = t;
		return this.needsLogits && (this.#r(e), n = this.#e.temperature === 0 ? Z(e) : this.#i(e)), G(this.#e) && this.#n.set(n, (this.#n.get(n) ?? 0) + 1), n;
	}
	#r(e) {
		let { repetitionPenalty: t, presencePenalty: n, frequencyPenalty: r } = this.#e;
		for (let [i, a] of this.#n) {
			let o = e[i];
			e[i] = (o > 0 ? o / t : o * t) - r * a - (a > 0 ? n : 0);
		}
	}
	#i(e) {
		let { temperature: t, topK: n, topP: r, minP: i } = this.#e, a = e[Z(e)], o = 1 / Math.max(t, 1e-30), s;
		if (n > 0 && n < e.length) {
			let t = Ce(e, n);
			s = Q(e, (e) => e >= t);
		}
		let c = Float32Array.from(s ?? e, (t) => Math.exp(((s === void 0 ? t : e[t]) - a) * o)), l = (e) => {
			s = s === void 0 ? e : e.map((e) => s[e]), c = Float32Array.from(e, (e) => c[e]);
		};
		r < 1 && l(Te(c, r)), i > 0 && l(Q(c, (e) => e >= i));
		let u = Ee(c, this.#t.next());
		return s === void 0 ? u : s[u];
	}
};
function Z(t) {
	let n = 0;
	for (let r = 0; r < t.length; r++) {
		let i = t[r];
		if (i > t[n]) n = r;
		else if (Number.isNaN(i)) throw new e("internal", `Logit ${r} is not a number.`, { hint: "The model's weights are damaged, or its arithmetic overflows: compile it with --precision high." });
	}
	return n;
}
function Q(e, t) {
	let n = new Uint32Array(e.length), r = 0;
	for (let i = 0; i < e.length; i++) t(e[i]) && (n[r++] = i);
	return n.slice(0, r);
}
function Ce(e, t) {
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
var we = [
	.001,
	1e-6,
	0
];
function Te(e, t) {
	let n = t * $(e), r = /* @__PURE__ */ new Uint32Array();
	for (let t of we) if (r = Q(e, (e) => e >= t), r.reduce((t, n) => t + e[n], 0) >= n) break;
	let i = [...r].sort((t, n) => e[n] - e[t] || t - n), a = 0, o = i.findIndex((t) => (a += e[t]) >= n), s = o < 0 ? i : i.slice(0, o + 1), c = e[s.at(-1)], l = (t) => Number(e[t] === c);
	return Uint32Array.from(s.sort((e, t) => l(e) - l(t) || e - t));
}
var $ = (e) => e.reduce((e, t) => e + t, 0);
function Ee(e, t) {
	let n = t * $(e), r = 0, i = 0;
	for (let t = 0; t < e.length && !(e[t] !== 0 && (r += e[t], i = t, r > n)); t++);
	return i;
}
// src/engine/sequence.ts
var De = class {
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
		this.tokens = [...e], this.promptLength = e.length, this.sampler = new Se(t, e), this.limit = Math.min(e.length + t.maxTokens, r), this.#e = /* @__PURE__ */ new Set([...n, ...t.stopTokenIds]), this.#t = i;
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
}, Oe = {
	cacheTokens: 4096,
	maxSequences: 8,
	chunkTokens: 64
}, ke = class {
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
	constructor(e, t = {}) {
		let { cacheTokens: n, maxSequences: r, chunkTokens: i } = {
			...Oe,
			...t
		};
		this.#e = e, this.#t = S(e.info);
		let { pageTokens: a, maxPosition: o, maxTokens: s, maxSequences: c, maxLogitRows: l } = this.#t, u = t.cacheTokens === void 0 ? Math.min(n, o) : n;
		this.#i = Math.ceil(u / a), this.#a = Math.min(r, c, l, s), this.#o = Math.min(i, s - this.#a + 1), this.#r = new H(this.#i, a), this.#n = e.session({ pages: this.#i });
	}
	get contextTokens() {
		return Math.min(this.#i * this.#t.pageTokens, this.#t.maxPosition);
	}
	async *generate(e, t = {}) {
		let n = this.#u(e, ue(t));
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
			sequence: new De(t, n, this.#e.endIds, this.contextTokens, this.#r),
			events: [],
			wake: () => void 0
		};
		return this.#s.push(a), a;
	}
	async #d() {
		if (!this.#l) {
			this.#l = !0;
			try {
				for (; this.#c.length > 0 || this.#s.length > 0;) this.#f(), await je();
			} finally {
				this.#l = !1;
			}
		}
	}
	#f() {
		this.#p();
		let e = this.#m();
		if (e.length !== 0) try {
			this.#h(e);
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
	#h(e) {
		let t = e.filter(({ request: e, start: t, count: n }) => t + n === e.sequence.tokens.length), n = t.some(({ request: e }) => e.sequence.sampler.needsLogits), r = n ? ["argmax", "logits"] : ["argmax"], i = this.#n.forward({
			...Ae(e),
			outputs: r
		}), { argmax: a } = i, o = n ? i.logits : /* @__PURE__ */ new Float32Array();
		for (let { request: t, start: n, count: r } of e) t.sequence.advance(n + r);
		let { vocabSize: s } = this.#t;
		t.forEach(({ request: e }, t) => {
			let { sequence: n } = e;
			try {
				let r = n.sampler.sample(o.subarray(t * s, (t + 1) * s), a[t]), i = n.add(r);
				e.events.push(i), i.finish !== void 0 && this.#_(e), e.wake();
			} catch (t) {
				this.#g(e, t);
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
function Ae(e) {
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
var je = () => new Promise((e) => {
	let { port1: t, port2: n } = new MessageChannel();
	t.onmessage = () => {
		t.close(), e();
	}, n.postMessage(null);
});
export { U as DEFAULT_PARAMS, ke as Engine, e as HearthError, z as Model, R as Session, n as fetchedFiles, t as filesOf, m as hasFeature, se as loadBundle };
