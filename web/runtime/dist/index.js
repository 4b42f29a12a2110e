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
	"internal"
], g = 64, _ = 4096, v = class t {
	#e;
	#t;
	#n;
	constructor(e) {
		this.#e = e.exports, this.#t = e.exports.memory, this.#n = new DataView(this.#t.buffer), e.exports._initialize();
	}
	static async instantiate(n) {
		let r = { hearth: { now: () => performance.now() } };
		try {
			return new t((await WebAssembly.instantiate(n, r)).instance);
		} catch (t) {
			throw new e("mismatch", "The bundle's module cannot be loaded.", {
				why: String(t),
				hint: "Compile the model again: hearth compile MODEL --target wasm32"
			});
		}
	}
	get view() {
		return this.#n.buffer !== this.#t.buffer && (this.#n = new DataView(this.#t.buffer)), this.#n;
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
		let i = this.call(n, ...r);
		if (i !== 0) throw new e(h[i - 1] ?? "internal", t, { why: this.text(this.call("hearth_error")) });
	}
	allocate(t, n) {
		let r = Math.max(Math.ceil(t / _), 1) * _, i = r < 2 ** 32 ? this.call("hth_pages_allocate", r, g) : 0;
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
}, y = "plan.bin", b = "weights.bin", x = "manifest.json";
function S(t) {
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
var C = (e) => `libhearth-${e.name}.wasm`, w = [
	"f32",
	"i32",
	"u8",
	"i8",
	"f16"
];
function T(e) {
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
function E(t) {
	let n = T(t);
	if (n !== void 0) return n;
	let r = `Its functions: ${t.functions.map(({ name: e }) => e).join(", ")}.`;
	throw new e("usage", "This model is no language model: it takes no tokens.", { why: r });
}
// src/staging.ts
var D = 16, O = class {
	#e;
	#t;
	#n = 0;
	constructor(e) {
		this.#e = e;
	}
	begin(e, t) {
		let n = e + t * D;
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
		return this.put(k(e));
	}
	free() {
		this.#t !== void 0 && this.#e.free(this.#t), this.#t = void 0;
	}
	#r(e) {
		let t = this.#t, n = t.at + this.#n;
		if (this.#n += Math.ceil(e / D) * D, this.#n > t.size) throw RangeError("more was staged than begin() was told");
		return n;
	}
}, k = (e) => new TextEncoder().encode(`${e}\0`), A = {
	u32: 4,
	pointer: 4,
	u64: 8,
	i64: 8
};
function j(e) {
	let t = 0, n = 1, r = {};
	for (let [i, a] of Object.entries(e)) {
		let e = A[a];
		r[i] = t = Math.ceil(t / e) * e, t += e, n = Math.max(n, e);
	}
	return {
		size: Math.ceil(t / n) * n,
		offsets: r,
		types: e
	};
}
function M(e, t, n, r) {
	for (let i of Object.keys(n.offsets)) {
		let a = t + n.offsets[i], o = r[i] ?? 0;
		A[n.types[i]] === 8 ? e.setBigInt64(a, BigInt(o), !0) : e.setUint32(a, o, !0);
	}
}
function N(e, t, n, r) {
	let i = t + n.offsets[r];
	return A[n.types[r]] === 8 ? Number(e.getBigInt64(i, !0)) : e.getUint32(i, !0);
}
var P = j({
	name: "pointer",
	value: "i64"
}), F = j({
	struct_size: "u32",
	threads: "u32",
	sizes: "pointer",
	num_sizes: "u32",
	reserved: "u32"
}), I = j({
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
	reserved2: "u32",
	embeddings: "pointer",
	embedded_tokens: "pointer",
	last_seen: "pointer",
	rope_positions: "pointer"
}), L = j({
	data: "pointer",
	dtype: "u32",
	rows: "u32",
	cols: "u32",
	row_stride: "u32"
}), R = j({
	struct_size: "u32",
	reserved: "u32"
}), z = [
	"logits",
	"argmax",
	"hidden"
], B = j({
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
}), V = (e) => `shape${e}`, H = {
	f32: Float32Array,
	i32: Int32Array,
	u8: Uint8Array,
	i8: Int8Array,
	f16: Uint16Array
}, U = class {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a = 0;
	constructor(e, t, n, r, i) {
		this.#e = e, this.#t = t, this.#n = new O(e), this.#r = i, this.#i = this.#o(n, Object.entries(r));
	}
	#o(e, t) {
		let n = t.reduce((e, [t]) => e + 4 * t.length + 1, 0);
		this.#n.begin(F.size + 4 + t.length * P.size + n, 3 + t.length);
		let r = this.#n.reserve(4), i = this.#n.reserve(F.size), a = this.#n.reserve(t.length * P.size);
		t.forEach(([e, t], n) => {
			M(this.#e.view, a + n * P.size, P, {
				name: this.#n.putText(e),
				value: t
			});
		}), M(this.#e.view, i, F, {
			struct_size: F.size,
			threads: 1,
			sizes: a,
			num_sizes: t.length
		});
		let o = t.map(([e, t]) => `${t} ${e}`).join(", ");
		return this.#e.check(`A session with ${o || "no sizes"} cannot be made.`, "hearth_session_create", e, i, r), this.#e.view.getUint32(r, !0);
	}
	forward(t) {
		E(this.#t);
		let n = this.#s(), { tokenIds: r, positions: i, tokenSeq: a, blockTable: o, blockTableStride: s, logitRows: c } = t;
		if (i.length !== r.length || a.length !== r.length) throw new e("usage", "tokenIds, positions and tokenSeq must have one entry a token.", { why: `They have ${r.length}, ${i.length} and ${a.length}.` });
		let l = [
			r,
			i,
			a,
			o,
			c
		], u = R.size + z.length * L.size;
		this.#n.begin(I.size + u + 4 * l.reduce((e, t) => e + t.length, 0), 2 + l.length);
		let d = this.#n.reserve(I.size), f = this.#n.reserve(u), p = {
			struct_size: I.size,
			num_tokens: r.length,
			num_seqs: s > 0 ? o.length / s : 0,
			num_logit_rows: c.length,
			block_table_stride: s,
			num_prompt_tokens: t.numPromptTokens ?? 0,
			token_ids: this.#n.put(r),
			positions: this.#n.put(i),
			token_seq: this.#n.put(a),
			block_table: this.#n.put(o),
			logit_rows: this.#n.put(c)
		};
		return M(this.#e.view, d, I, p), M(this.#e.view, f, R, { struct_size: u }), this.#e.check("The batch cannot be run.", "hearth_forward", n, d, f), this.#l(f + R.size);
	}
	run(e, t = {}) {
		let n = this.#s(), r = this.#c(e), i = Object.entries(t), a = i.reduce((e, [t, { data: n }]) => e + n.byteLength + 4 * t.length + 1, 0), o = i.length + r.outputs.length;
		this.#n.begin(a + 4 * e.length + 1 + o * B.size, 3 + 2 * i.length);
		let s = this.#n.reserve(i.length * B.size), c = this.#n.reserve(r.outputs.length * B.size);
		i.forEach(([e, t], n) => this.#d(s + n * B.size, e, t));
		let l = [i.length, r.outputs.length], u = this.#n.putText(e);
		return this.#e.check(`${e} cannot be run.`, "hearth_run", n, u, s, l[0], c, l[1]), this.#a++, Object.fromEntries(r.outputs.map((e, t) => [e.name, this.#f(c + t * B.size)]));
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
			let i = t + r * L.size, a = (e) => N(this.#e.view, i, L, e);
			return this.#u(a("data"), w[a("dtype")], a("rows"), a("cols"), a("row_stride"));
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
		let a = H[t];
		if (e === 0) return new a(0);
		let o = a.BYTES_PER_ELEMENT, s = new a(n * r), c = new Uint8Array(s.buffer);
		for (let t = 0; t < n; t++) c.set(this.#e.bytes(e + t * i * o, r * o), t * r * o);
		return s;
	}
	#d(t, n, { data: r, shape: i }) {
		let a = w.findIndex((e) => r instanceof H[e]), o = i.reduce((e, t) => e * t, 1);
		if (a < 0 || i.length > 8 || o !== r.length) throw new e("usage", `${n} cannot be given: ${r.length} numbers for the shape (${i.join(", ")}).`);
		let s = Object.fromEntries(i.map((e, t) => [V(t), e])), c = {
			name: this.#n.putText(n),
			data: this.#n.put(r)
		};
		M(this.#e.view, t, B, {
			...s,
			...c,
			dtype: a,
			rank: i.length
		});
	}
	#f(e) {
		let t = (t) => N(this.#e.view, e, B, t), n = Array.from({ length: t("rank") }, (e, t) => t).map((e) => t(V(e))), r = n.at(-1) ?? 1, i = n.slice(0, -1).reduce((e, t) => e * t, 1), a = n.length > 0 ? t("row_stride") : 1;
		return {
			data: this.#u(t("data"), w[t("dtype")], i, r, a),
			shape: n
		};
	}
}, W = class t {
	info;
	text;
	manifest;
	#e;
	#t;
	#n;
	#r = /* @__PURE__ */ new Set();
	constructor(e, t, n, r) {
		this.#e = e, this.manifest = t, this.#t = n, this.#n = r, this.info = JSON.parse(e.text(e.call("hearth_describe", r))), this.text = T(this.info);
	}
	static open(e, n, r, i, a) {
		let o = new O(e);
		o.begin(r.length + 4, 2);
		let s = o.reserve(4), c = o.put(r), l = [BigInt(r.length), BigInt(a)], u = `The bundle of ${n.source_name} cannot be opened.`;
		e.check(u, "hearth_open_memory", c, l[0], i.at, l[1], 0, s);
		let d = e.view.getUint32(s, !0);
		return o.free(), new t(e, n, i, d);
	}
	session(t = {}) {
		if (this.#n === 0) throw new e("usage", "The model is closed.");
		let n = new U(this.#e, this.info, this.#n, t, () => this.#r.delete(n));
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
async function G(e, t = {}) {
	let r = typeof e == "string" || e instanceof URL ? n(e) : e, i = S(new TextDecoder().decode(await q(r, x, t))), a = [
		C(K(i, t.isa)),
		y,
		b
	], o = new J(r, i, a, t), s = await v.instantiate(await o.whole(a[0])), c = await o.whole(y), l = s.allocate(o.size(b), "the weights");
	return await o.into(s, l, b), W.open(s, i, c, l, o.size(b));
}
function K({ source_name: t, instruction_sets: n }, r) {
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
async function q(e, t, { signal: n }) {
	let r = [];
	for await (let i of await e.open(t)) n?.throwIfAborted(), r.push(i);
	let i = new Uint8Array(r.reduce((e, t) => e + t.length, 0)), a = 0;
	for (let e of r) i.set(e, a), a += e.length;
	return i;
}
var J = class {
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
		if (n === void 0) throw new e("corrupt", `${x} names no file ${t}.`);
		return n.size_bytes;
	}
	async whole(e) {
		let t = await q(this.#e, e, this.#n);
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
			why: `${x} says ${r}.`,
			hint: "Load it again; if that does not help, compile the model again."
		});
	}
};
export { e as HearthError, W as Model, U as Session, n as fetchedFiles, t as filesOf, m as hasFeature, G as loadBundle };
