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
var ee = [
	"usage",
	"corrupt",
	"memory",
	"storage",
	"mismatch",
	"internal",
	"internal"
], te = 64, ne = 4096, re = class t {
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
		if (i !== 0) throw new e(ee[i - 1] ?? "internal", t, { why: this.text(this.call("hearth_error")) });
	}
	allocate(t, n) {
		let r = Math.max(Math.ceil(t / ne), 1) * ne, i = r < 2 ** 32 ? this.call("hth_pages_allocate", r, te) : 0;
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
}, h = "plan.bin", g = "weights.bin", _ = "manifest.json";
function ie(t) {
	let n;
	try {
		n = JSON.parse(t);
	} catch (t) {
		throw new e("corrupt", `${_} is no JSON.`, { why: String(t) });
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
var ae = (e) => `libhearth-${e.name}.wasm`, v = [
	"f32",
	"i32",
	"u8",
	"i8",
	"f16"
];
function oe(e) {
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
function se(t) {
	let n = oe(t);
	if (n !== void 0) return n;
	let r = `Its functions: ${t.functions.map(({ name: e }) => e).join(", ")}.`;
	throw new e("usage", "This model is no language model: it takes no tokens.", { why: r });
}
// src/staging.ts
var y = 16, b = class {
	#e;
	#t;
	#n = 0;
	constructor(e) {
		this.#e = e;
	}
	begin(e, t) {
		let n = e + t * y;
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
		return this.put(ce(e));
	}
	free() {
		this.#t !== void 0 && this.#e.free(this.#t), this.#t = void 0;
	}
	#r(e) {
		let t = this.#t, n = t.at + this.#n;
		if (this.#n += Math.ceil(e / y) * y, this.#n > t.size) throw RangeError("more was staged than begin() was told");
		return n;
	}
}, ce = (e) => new TextEncoder().encode(`${e}\0`), x = {
	u32: 4,
	pointer: 4,
	u64: 8,
	i64: 8
};
function S(e) {
	let t = 0, n = 1, r = {};
	for (let [i, a] of Object.entries(e)) {
		let e = x[a];
		r[i] = t = Math.ceil(t / e) * e, t += e, n = Math.max(n, e);
	}
	return {
		size: Math.ceil(t / n) * n,
		offsets: r,
		types: e
	};
}
function C(e, t, n, r) {
	for (let i of Object.keys(n.offsets)) {
		let a = t + n.offsets[i], o = r[i] ?? 0;
		x[n.types[i]] === 8 ? e.setBigInt64(a, BigInt(o), !0) : e.setUint32(a, o, !0);
	}
}
function w(e, t, n, r) {
	let i = t + n.offsets[r];
	return x[n.types[r]] === 8 ? Number(e.getBigInt64(i, !0)) : e.getUint32(i, !0);
}
var T = S({
	name: "pointer",
	value: "i64"
}), E = S({
	struct_size: "u32",
	threads: "u32",
	sizes: "pointer",
	num_sizes: "u32",
	reserved: "u32"
}), D = S({
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
}), O = S({
	data: "pointer",
	dtype: "u32",
	rows: "u32",
	cols: "u32",
	row_stride: "u32"
}), k = S({
	struct_size: "u32",
	reserved: "u32"
}), le = [
	"logits",
	"argmax",
	"hidden"
], A = S({
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
}), j = (e) => `shape${e}`, M = {
	f32: Float32Array,
	i32: Int32Array,
	u8: Uint8Array,
	i8: Int8Array,
	f16: Uint16Array
}, N = class {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a = 0;
	constructor(e, t, n, r, i) {
		this.#e = e, this.#t = t, this.#n = new b(e), this.#r = i, this.#i = this.#o(n, Object.entries(r));
	}
	#o(e, t) {
		let n = t.reduce((e, [t]) => e + 4 * t.length + 1, 0);
		this.#n.begin(E.size + 4 + t.length * T.size + n, 3 + t.length);
		let r = this.#n.reserve(4), i = this.#n.reserve(E.size), a = this.#n.reserve(t.length * T.size);
		t.forEach(([e, t], n) => {
			C(this.#e.view, a + n * T.size, T, {
				name: this.#n.putText(e),
				value: t
			});
		}), C(this.#e.view, i, E, {
			struct_size: E.size,
			threads: 1,
			sizes: a,
			num_sizes: t.length
		});
		let o = t.map(([e, t]) => `${t} ${e}`).join(", ");
		return this.#e.check(`A session with ${o || "no sizes"} cannot be made.`, "hearth_session_create", e, i, r), this.#e.view.getUint32(r, !0);
	}
	forward(t) {
		se(this.#t);
		let n = this.#s(), { tokenIds: r, positions: i, tokenSeq: a, blockTable: o, blockTableStride: s, logitRows: c } = t;
		if (i.length !== r.length || a.length !== r.length) throw new e("usage", "tokenIds, positions and tokenSeq must have one entry a token.", { why: `They have ${r.length}, ${i.length} and ${a.length}.` });
		let l = [
			r,
			i,
			a,
			o,
			c
		], u = k.size + le.length * O.size;
		this.#n.begin(D.size + u + 4 * l.reduce((e, t) => e + t.length, 0), 2 + l.length);
		let d = this.#n.reserve(D.size), f = this.#n.reserve(u), p = {
			struct_size: D.size,
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
		return C(this.#e.view, d, D, p), C(this.#e.view, f, k, { struct_size: u }), this.#e.check("The batch cannot be run.", "hearth_forward", n, d, f), this.#l(f + k.size);
	}
	run(e, t = {}) {
		let n = this.#s(), r = this.#c(e), i = Object.entries(t), a = i.reduce((e, [t, { data: n }]) => e + n.byteLength + 4 * t.length + 1, 0), o = i.length + r.outputs.length;
		this.#n.begin(a + 4 * e.length + 1 + o * A.size, 3 + 2 * i.length);
		let s = this.#n.reserve(i.length * A.size), c = this.#n.reserve(r.outputs.length * A.size);
		i.forEach(([e, t], n) => this.#d(s + n * A.size, e, t));
		let l = [i.length, r.outputs.length], u = this.#n.putText(e);
		return this.#e.check(`${e} cannot be run.`, "hearth_run", n, u, s, l[0], c, l[1]), this.#a++, Object.fromEntries(r.outputs.map((e, t) => [e.name, this.#f(c + t * A.size)]));
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
			let i = t + r * O.size, a = (e) => w(this.#e.view, i, O, e);
			return this.#u(a("data"), v[a("dtype")], a("rows"), a("cols"), a("row_stride"));
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
		let a = M[t];
		if (e === 0) return new a(0);
		let o = a.BYTES_PER_ELEMENT, s = new a(n * r), c = new Uint8Array(s.buffer);
		for (let t = 0; t < n; t++) c.set(this.#e.bytes(e + t * i * o, r * o), t * r * o);
		return s;
	}
	#d(t, n, { data: r, shape: i }) {
		let a = v.findIndex((e) => r instanceof M[e]), o = i.reduce((e, t) => e * t, 1);
		if (a < 0 || i.length > 8 || o !== r.length) throw new e("usage", `${n} cannot be given: ${r.length} numbers for the shape (${i.join(", ")}).`);
		let s = Object.fromEntries(i.map((e, t) => [j(t), e])), c = {
			name: this.#n.putText(n),
			data: this.#n.put(r)
		};
		C(this.#e.view, t, A, {
			...s,
			...c,
			dtype: a,
			rank: i.length
		});
	}
	#f(e) {
		let t = (t) => w(this.#e.view, e, A, t), n = Array.from({ length: t("rank") }, (e, t) => t).map((e) => t(j(e))), r = n.at(-1) ?? 1, i = n.slice(0, -1).reduce((e, t) => e * t, 1), a = n.length > 0 ? t("row_stride") : 1;
		return {
			data: this.#u(t("data"), v[t("dtype")], i, r, a),
			shape: n
		};
	}
}, P = class t {
	info;
	text;
	manifest;
	#e;
	#t;
	#n;
	#r = /* @__PURE__ */ new Set();
	constructor(e, t, n, r) {
		this.#e = e, this.manifest = t, this.#t = n, this.#n = r, this.info = JSON.parse(e.text(e.call("hearth_describe", r))), this.text = oe(this.info);
	}
	static open(e, n, r, i, a) {
		let o = new b(e);
		o.begin(r.length + 4, 2);
		let s = o.reserve(4), c = o.put(r), l = [BigInt(r.length), BigInt(a)], u = `The bundle of ${n.source_name} cannot be opened.`;
		e.check(u, "hearth_open_memory", c, l[0], i.at, l[1], 0, s);
		let d = e.view.getUint32(s, !0);
		return o.free(), new t(e, n, i, d);
	}
	session(t = {}) {
		if (this.#n === 0) throw new e("usage", "The model is closed.");
		let n = new N(this.#e, this.info, this.#n, t, () => this.#r.delete(n));
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
async function ue(e, t = {}) {
	let r = typeof e == "string" || e instanceof URL ? n(e) : e, i = ie(new TextDecoder().decode(await F(r, _, t))), a = [
		ae(de(i, t.isa)),
		h,
		g
	], o = new fe(r, i, a, t), s = await re.instantiate(await o.whole(a[0])), c = await o.whole(h), l = s.allocate(o.size(g), "the weights");
	return await o.into(s, l, g), P.open(s, i, c, l, o.size(g));
}
function de({ source_name: t, instruction_sets: n }, r) {
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
async function F(e, t, { signal: n }) {
	let r = [];
	for await (let i of await e.open(t)) n?.throwIfAborted(), r.push(i);
	let i = new Uint8Array(r.reduce((e, t) => e + t.length, 0)), a = 0;
	for (let e of r) i.set(e, a), a += e.length;
	return i;
}
var fe = class {
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
		if (n === void 0) throw new e("corrupt", `${_} names no file ${t}.`);
		return n.size_bytes;
	}
	async whole(e) {
		let t = await F(this.#e, e, this.#n);
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
			why: `${_} says ${r}.`,
			hint: "Load it again; if that does not help, compile the model again."
		});
	}
}, pe = class e {
	page;
	#e;
	#t;
	#n = /* @__PURE__ */ new Map();
	constructor(e, t, n) {
		this.page = e, this.#e = t, this.#t = n;
	}
	static root() {
		return new e(-1, void 0, "");
	}
	find(e) {
		return this.#n.get(e.join());
	}
	add(t, n) {
		let r = t.join(), i = this.#n.get(r);
		return i === void 0 && this.#n.set(r, i = new e(n, this, r)), i;
	}
	remove() {
		if (this.#e === void 0) return;
		let e = this.#e.#n;
		e.get(this.#t) === this && e.delete(this.#t);
	}
}, I = (e, t) => Math.ceil(e / t), me = class {
	numPages;
	pageTokens;
	root = pe.root();
	#e;
	#t;
	#n = /* @__PURE__ */ new Map();
	#r = /* @__PURE__ */ new Set();
	constructor(e, t) {
		this.numPages = e, this.pageTokens = t, this.#e = new Int32Array(e), this.#t = Array.from({ length: e }, (t, n) => e - 1 - n);
	}
	get numAvailable() {
		return this.#t.length + this.#r.size;
	}
	isIdle(e) {
		return this.#r.has(e);
	}
	allocate() {
		let t = this.#t.pop();
		if (t === void 0) {
			if ([t] = this.#r, t === void 0) throw new e("memory", `All ${this.numPages} pages of ${this.pageTokens} tokens are in use.`, { hint: "Use a smaller context or fewer sequences at once." });
			this.#r.delete(t), this.forget(t);
		}
		return this.#e[t] = 1, t;
	}
	find(e) {
		let t = [];
		for (let n = this.pageTokens; n < e.length; n += this.pageTokens) {
			let r = (t.at(-1) ?? this.root).find(e.slice(n - this.pageTokens, n));
			if (r === void 0) break;
			t.push(r);
		}
		return t;
	}
	hold(e) {
		this.#r.delete(e), this.#e[e]++;
	}
	publish(e, t, n) {
		let r = t.add(n, e);
		return r.page === e && this.#n.set(e, r), r;
	}
	forget(e) {
		this.#n.get(e)?.remove(), this.#n.delete(e);
	}
	release(e) {
		for (let t of [...e].reverse()) --this.#e[t] > 0 || (this.#n.has(t) ? this.#r.add(t) : this.#t.push(t));
	}
}, L = ({ sequence: e, start: t, count: n }) => t + n <= e.numPromptTokens, R = ({ sequence: e, start: t, count: n }) => t + n === e.tokens.length, he = class {
	pool;
	#e;
	#t;
	#n;
	#r = [];
	#i = [];
	#a = /* @__PURE__ */ new Set();
	constructor(e, t, n) {
		this.pool = t, this.#e = n, this.#t = e.maxTokens, this.#n = Math.min(e.maxSequences, e.maxLogitRows, e.maxTokens);
	}
	get isIdle() {
		return this.#r.length + this.#i.length === 0;
	}
	get sequences() {
		return [...this.#i, ...this.#r];
	}
	add(e) {
		this.#r.push(e);
	}
	remove(e, t = !1) {
		this.#a.delete(e);
		for (let t of [this.#i, this.#r]) {
			let n = t.indexOf(e);
			n >= 0 && t.splice(n, 1);
		}
		e.giveUpPages(this.pool, t);
	}
	suspect(e) {
		for (let t of [...e].reverse()) this.#l(t, !0);
		for (let t of e) this.#a.add(t);
	}
	clear(e) {
		this.#a.delete(e);
	}
	schedule() {
		let [e] = this.#a;
		if (e !== void 0) return this.#o(e);
		let t = /* @__PURE__ */ new Map(), n = this.#r.length;
		for (let e of [...this.#i]) this.#i.includes(e) && e.numPending === 1 && this.#c(e, 1, t);
		let r = Math.min(this.#e, this.#t - t.size);
		for (let e of [...this.#i]) r > 0 && this.#i.includes(e) && e.numPending > 1 && (r -= this.#c(e, r, t));
		return this.#r.length === n && this.#s(r, t), [...t.values()];
	}
	#o(e) {
		let t = this.#r.indexOf(e);
		t >= 0 && (this.#r.splice(t, 1), e.start(this.pool, this.pool.find(e.tokens)), this.#i.unshift(e));
		let n = /* @__PURE__ */ new Map();
		return this.#c(e, this.#e, n), [...n.values()];
	}
	#s(e, t) {
		let n = (e) => I(e.tokens.length + 1, this.pool.pageTokens), r = this.#i.reduce((e, t) => e + Math.max(0, n(t) - t.pages.length), 0);
		for (; this.#r.length > 0 && e > 0 && this.#i.length < this.#n;) {
			let i = this.#r[0], a = this.pool.find(i.tokens), o = this.pool.numAvailable - a.filter(({ page: e }) => this.pool.isIdle(e)).length - r;
			if (n(i) - a.length > o && this.#i.length > 0) return;
			this.#r.shift(), i.start(this.pool, a), this.#i.push(i), e -= this.#c(i, e, t), r += n(i) - i.pages.length;
		}
	}
	#c(e, t, n) {
		let r = e.numPromptTokens - e.numComputed, i = Math.min(t, r > 0 ? r : e.numPending), a = I(e.numComputed + i, this.pool.pageTokens) - e.pages.length;
		for (; a > this.pool.numAvailable && this.#i.length > 1;) {
			let t = this.#i.at(-1);
			if (this.#l(t, !1), n.delete(t), t === e) return 0;
		}
		for (let t = 0; t < a; t++) e.pages.push(this.pool.allocate());
		return n.set(e, {
			sequence: e,
			start: e.numComputed,
			count: i
		}), i;
	}
	#l(e, t) {
		let n = this.#i.indexOf(e);
		n < 0 || (this.#i.splice(n, 1), e.giveUpPages(this.pool, t), this.#r.unshift(e));
	}
};
// src/engine/batch.ts
function z(e, t, n) {
	let r = e.reduce((e, { count: t }) => e + t, 0), i = new Int32Array(r), a = new Int32Array(r), o = new Int32Array(r), s = new Int32Array(e.length * t).fill(-1), c = [], l = 0, u = 0;
	return e.forEach((e, n) => {
		let { sequence: r, start: d, count: f } = e;
		for (let e = 0; e < f; e++, l++) i[l] = r.tokens[d + e], a[l] = d + e, o[l] = n;
		s.set(r.pages, n * t), L(e) && (u = l), R(e) && c.push(l - 1);
	}), {
		tokenIds: i,
		positions: a,
		tokenSeq: o,
		blockTable: s,
		blockTableStride: t,
		logitRows: Int32Array.from(c),
		numPromptTokens: u,
		wanted: n
	};
}
var ge = (e) => [...e.filter((e) => L(e)), ...e.filter((e) => !L(e))], _e = class {
	#e = [];
	#t;
	#n = !1;
	#r;
	constructor(e) {
		this.#t = e;
	}
	push(e) {
		this.#e.push(e), this.#r?.();
	}
	end() {
		this.#n = !0, this.#r?.();
	}
	async next() {
		for (; this.#e.length === 0 && !this.#n;) await new Promise((e) => this.#r = e);
		return this.#e.length === 0 ? {
			done: !0,
			value: void 0
		} : {
			done: !1,
			value: this.#e.shift()
		};
	}
	async return() {
		return this.#e.length = 0, this.#n || this.#t(), this.#e.length = 0, {
			done: !0,
			value: void 0
		};
	}
	[Symbol.asyncIterator]() {
		return this;
	}
}, ve = (e, t) => (e[t >> 5] >> (t & 31) & 1) == 1;
function ye(e, t) {
	for (let n = 0; n * 32 < e.length; n++) {
		let r = t[n];
		if (r === -1) continue;
		let i = Math.min(e.length, n * 32 + 32);
		for (let t = n * 32; t < i; t++) r >> (t & 31) & 1 || (e[t] = -Infinity);
	}
}
var B = (t, n = "") => new e("usage", t, { why: n });
async function V(e, t) {
	try {
		return await t();
	} catch (t) {
		throw B(e, t instanceof Error ? t.message : String(t));
	}
}
// src/engine/logits.ts
var be = [
	.001,
	1e-6,
	0
], xe = 1e-45;
function H(e) {
	let t = -Infinity;
	for (let n = 0; n < e.length; n++) e[n] > t && (t = e[n]);
	return t;
}
function U(e, t) {
	let n = Se(e, t);
	return W(e, (e) => e >= n && e > -Infinity);
}
function Se(e, t) {
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
function W(e, t) {
	let n = [];
	for (let r = 0; r < e.length; r++) t(e[r]) && n.push(r);
	return Int32Array.from(n);
}
var G = (e, t) => {
	let n = new Float32Array(t.length);
	for (let r = 0; r < t.length; r++) n[r] = e[t[r]];
	return n;
};
function K(e) {
	let t = 0;
	for (let n = 0; n < e.length; n++) t += e[n];
	return t;
}
function Ce(e, t) {
	let n = t * K(e), r = /* @__PURE__ */ new Int32Array(), i = /* @__PURE__ */ new Float32Array();
	for (let t of be) {
		let a = Math.fround(t);
		if (r = W(e, (e) => e >= a), i = G(e, r), K(i) >= n) break;
	}
	let a = i.slice().sort(), o = a.length - 1, s = 0;
	for (; o > 0 && s + a[o] < n;) s += a[o--];
	let c = a[o], l = 0;
	for (let e of i) e > c && (l += e);
	let u = Math.max(1, Math.ceil((n - l) / Math.max(c, xe))), d = r.filter((e, t) => i[t] > c), f = r.filter((e, t) => i[t] === c).subarray(0, u), p = new Int32Array(d.length + f.length);
	return p.set(d), p.set(f, d.length), p;
}
function we(e, t) {
	let n = t * K(e), r = 0, i = 0;
	for (let t = 0; t < e.length; t++) {
		let a = e[t];
		if (a !== 0 && (r += a, i = t, r > n)) break;
	}
	return i;
}
function Te(e, t, n) {
	let r = H(e), i = 0;
	for (let t = 0; t < e.length; t++) i += Math.fround(Math.exp(Math.fround(e[t] - r)));
	let a = r + Math.log(i), o = n > 0 ? [...U(e, Math.min(n, e.length))] : [];
	return o.sort((t, n) => e[n] - e[t] || t - n), {
		logprob: e[t] - a,
		topLogprobs: o.slice(0, n).map((t) => [t, e[t] - a])
	};
}
var Ee = {
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
}, De = {
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
}, Oe = {
	low: -100,
	high: 100
}, ke = (1n << 64n) - 1n;
function Ae(t = {}) {
	let n = Object.entries(t).filter(([, e]) => e !== void 0), r = {
		...Ee,
		...Object.fromEntries(n)
	};
	for (let [e, t] of Object.entries(De)) r[e] !== void 0 && q(e, r[e], t);
	for (let [e, t] of r.logitBias) q(`logitBias[${e}]`, t, Oe);
	if (r.seed !== void 0 && (r.seed < 0n || r.seed > ke)) throw new e("usage", `seed is ${r.seed}, but must be 0 to 2^64 - 1.`);
	return r;
}
function q(t, n, { low: r, high: i, above: a = !1, whole: o = !1 }) {
	let s = typeof n == "number" ? n : NaN;
	if (Number.isFinite(s) && s >= r && s <= i && !(a && s === r) && (!o || Number.isInteger(s))) return;
	let c = a ? `above ${r} and at most ${i}` : i === Infinity ? `${r} or more` : `${r} to ${i}`;
	throw new e("usage", `${t} is ${String(n)}, but must be a ${o ? "whole number" : "number"}, ${c}.`);
}
var J = (e) => e.repetitionPenalty !== 1 || e.presencePenalty !== 0 || e.frequencyPenalty !== 0, je = (e) => J(e) || e.logitBias.size > 0, Me = (1n << 64n) - 1n, Y = (1n << 128n) - 1n, Ne = 47026247687942121848144207491837523525n, X = 4, Z = 16;
function Pe(e, t) {
	let n = 1135663077, r = (e) => {
		let t = e ^ n;
		n = Math.imul(n, 2468251765);
		let r = Math.imul(t, n);
		return r ^ r >>> Z;
	}, i = (e, t) => {
		let n = Math.imul(3389127133, e) - Math.imul(1232336661, t);
		return n ^ n >>> Z;
	}, a = Array.from({ length: X }, (t, n) => r(Number(e >> BigInt(32 * n) & 4294967295n)));
	for (let e = 0; e < X; e++) for (let t = 0; t < X; t++) e !== t && (a[t] = i(a[t], r(a[e])));
	return n = 2337405405, Array.from({ length: t }, (e, t) => {
		let r = a[t % X] ^ n;
		n = Math.imul(n, 1492356589);
		let i = Math.imul(r, n);
		return (i ^ i >>> Z) >>> 0;
	});
}
var Fe = class {
	#e;
	#t;
	constructor(e) {
		let t = Pe(e ?? crypto.getRandomValues(/* @__PURE__ */ new BigUint64Array(1))[0], 8).map(BigInt), n = (e) => t[e] | t[e + 1] << 32n, r = n(0) << 64n | n(2);
		this.#t = ((n(4) << 64n | n(6)) << 1n | 1n) & Y, this.#e = this.#t, this.#e = this.#e + r & Y, this.#n();
	}
	next() {
		this.#n();
		let e = this.#e >> 64n ^ this.#e & Me, t = this.#e >> 122n, n = (e >> t | e << 64n - t) & Me;
		return Number(n >> 11n) * 2 ** -53;
	}
	#n() {
		this.#e = this.#e * Ne + this.#t & Y;
	}
}, Ie = "The model's weights are damaged or its arithmetic overflows: check the file, or compile with higher precision.", Le = 1e-30, Re = class {
	params;
	needsLogits;
	#e;
	#t;
	#n;
	#r;
	constructor(e, t, n) {
		this.params = e, this.#e = n, this.#t = new Fe(e.seed), this.#n = je(e), this.needsLogits = e.temperature !== 0 || this.#n || e.logprobs !== void 0, J(e) && (this.#r = new Map(Array.from(t, (e) => [e, 0])));
	}
	get mayNeedLogits() {
		return this.needsLogits || this.#e !== void 0;
	}
	async sample(e, t) {
		let n = this.#e, r = n && await V("What may come next cannot be told.", () => n.mask()), i = this.#i(e, t, r);
		return n && await V(`The drawn token ${i.token} was refused.`, () => n.accept(i.token)), i;
	}
	close() {
		this.#e?.close();
	}
	#i(e, t, n) {
		if (!this.needsLogits && (n === void 0 || ve(n, t))) return { token: t };
		ze(e);
		let r = this.#n || n !== void 0 ? this.#a(e, n) : e, i = this.params.temperature === 0 ? r === e ? t : r.indexOf(H(r)) : this.#o(r);
		if (r[i] === -Infinity) throw Q();
		return this.#r && this.#r.set(i, (this.#r.get(i) ?? 0) + 1), this.params.logprobs === void 0 ? { token: i } : {
			token: i,
			...Te(e, i, this.params.logprobs)
		};
	}
	#a(e, t) {
		let n = e.slice(), r = Math.fround(this.params.repetitionPenalty), i = Math.fround(this.params.frequencyPenalty), a = Math.fround(this.params.presencePenalty);
		for (let [e, t] of this.#r ?? []) {
			let o = n[e];
			o = Math.fround(o > 0 ? o / r : o * r), o = Math.fround(o - Math.fround(i * t)), n[e] = o - (t > 0 ? a : 0);
		}
		for (let [e, t] of this.params.logitBias) n[e] += Math.fround(t);
		return t !== void 0 && ye(n, t), n;
	}
	#o(e) {
		let { topK: t, topP: n, minP: r, temperature: i } = this.params, a = H(e);
		if (a === -Infinity) throw Q();
		let o;
		t > 0 && t < e.length && (o = U(e, t));
		let s = o ? G(e, o) : e.slice(), c = Math.fround(1 / Math.max(i, Le));
		for (let e = 0; e < s.length; e++) {
			let t = Math.fround(s[e] - a);
			s[e] = t === 0 ? 1 : Math.exp(Math.fround(t * c));
		}
		let l = (e) => {
			o = o ? e.map((e) => o[e]) : e, s = G(s, e);
		};
		n < 1 && l(Ce(s, n));
		let u = Math.fround(r);
		r > 0 && l(W(s, (e) => e >= u));
		let d = we(s, this.#t.next());
		return o ? o[d] : d;
	}
}, Q = () => B("The answer cannot go on: no token of the vocabulary is allowed here.", "The grammar has a dead end, or asks for text that this tokenizer cannot write.");
function ze(t) {
	if (Number.isFinite(K(t))) return;
	let n = t.reduce((e, t) => e + Number(!Number.isFinite(t)), 0);
	if (n > 0) throw new e("internal", `${n} of ${t.length} logits are NaN or infinite.`, { hint: Ie });
}
// src/engine/sequence.ts
var Be = class {
	tokens;
	request;
	sampler;
	numComputed = 0;
	pages = [];
	#e = [];
	#t;
	#n = performance.now();
	#r = NaN;
	#i = NaN;
	constructor(e) {
		this.request = e, this.tokens = [...e.promptIds], this.sampler = new Re(e.params, e.promptIds, e.constraint);
	}
	get numPromptTokens() {
		return this.request.promptIds.length;
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
			cachedTokens: this.#t ?? 0,
			outputTokens: this.numOutputTokens,
			begunMs: this.#n,
			firstTokenMs: this.#r,
			lastTokenMs: this.#i
		};
	}
	append(e) {
		this.tokens.push(e), this.#i = performance.now(), this.numOutputTokens === 1 && (this.#r = this.#i);
	}
	start(e, t) {
		for (let { page: n } of t) e.hold(n);
		this.pages = t.map(({ page: e }) => e), this.#e = [...t], this.numComputed = t.length * e.pageTokens, this.#t ??= this.numComputed;
	}
	commit(e, t) {
		this.numComputed += t;
		let n = e.pageTokens;
		for (let t = this.#e.length; (t + 1) * n <= this.numComputed; t++) {
			let r = this.tokens.slice(t * n, (t + 1) * n);
			this.#e.push(e.publish(this.pages[t], this.#e.at(-1) ?? e.root, r));
		}
	}
	giveUpPages(e, t) {
		t && this.pages.forEach((t) => e.forget(t)), e.release(this.pages), this.pages = [], this.#e = [], this.numComputed = 0;
	}
};
// src/engine/turn.ts
function Ve() {
	return new Promise((e) => {
		let { port1: t, port2: n } = new MessageChannel();
		n.onmessage = () => {
			n.close(), e();
		}, t.postMessage(void 0);
	});
}
// src/engine/engine.ts
var He = class {
	context;
	#e;
	#t;
	#n;
	#r;
	#i = /* @__PURE__ */ new Map();
	#a = Promise.resolve();
	#o = !1;
	constructor(t, { context: n, eosIds: r = [], chunkTokens: i } = {}) {
		let { info: a, numPages: o } = t, s = Math.min(a.maxPosition, o * a.pageTokens);
		if (this.context = n ?? s, !(this.context >= 2 && this.context <= s)) throw new e("usage", `The context is ${this.context} tokens, but must be 2 to ${s}.`, { why: `The model takes ${a.maxPosition}, and there are ${o} pages of ${a.pageTokens}.` });
		this.#e = t, this.#t = new Set(r), this.#r = I(this.context, a.pageTokens), this.#n = new he(a, new me(o, a.pageTokens), Math.min(i ?? Infinity, a.maxTokens));
	}
	generate(e) {
		this.#c(e);
		let t = new Be(e), n = () => this.#f(t, "cancelled"), r = new _e(n);
		return this.#i.set(t, r), this.#n.add(t), e.signal?.addEventListener("abort", n, { once: !0 }), e.signal?.aborted === !0 && n(), this.#i.size === 1 && (this.#a = this.#a.then(() => this.#l())), r;
	}
	async close() {
		if (!this.#o) {
			this.#o = !0;
			for (let e of this.#n.sequences) this.#f(e, "cancelled");
			await this.#a, this.#e.close();
		}
	}
	async hidden(e) {
		this.#c({ promptIds: e });
		let t = this.#a.then(() => this.#s(e));
		return this.#a = t.then(() => this.#l(), () => this.#l()), t;
	}
	async #s(e) {
		let { hiddenSize: t, maxTokens: n, pageTokens: r } = this.#e.info, i = Array.from({ length: I(e.length, r) }, () => this.#n.pool.allocate()), a = new Float32Array(e.length * t);
		try {
			for (let r = 0; r < e.length; r += n) {
				let o = Math.min(n, e.length - r), s = z([{
					sequence: {
						tokens: [...e],
						pages: i,
						numPromptTokens: e.length
					},
					start: r,
					count: o
				}], this.#r, ["hidden"]);
				a.set((await this.#e.forward({
					...s,
					logitRows: /* @__PURE__ */ new Int32Array()
				})).hidden, r * t);
			}
		} finally {
			this.#n.pool.release(i);
		}
		return a;
	}
	#c({ promptIds: t, params: n }) {
		if (this.#o) throw new e("usage", "The engine is closed.");
		let { vocabSize: r } = this.#e.info, i = [
			...t,
			...n?.logitBias.keys() ?? [],
			...n?.stopTokenIds ?? []
		].find((e) => !(Number.isInteger(e) && e >= 0 && e < r));
		if (i !== void 0) throw new e("usage", `Token ${i} is none of the vocabulary's ${r}.`);
		if (t.length === 0) throw new e("usage", "The prompt has no tokens.");
		if (!(t.length < this.context)) throw new e("context", `The prompt has ${t.length} tokens; the context holds ${this.context}.`, {
			why: "Prompt and answer share it.",
			hint: "Shorten the prompt, or use a larger context."
		});
	}
	async #l() {
		for (; !this.#n.isIdle;) {
			let e = this.#n.sequences;
			try {
				let t = ge(this.#n.schedule());
				e = t.map(({ sequence: e }) => e), t.length > 0 && await this.#u(t);
			} catch (t) {
				let n = e.filter((e) => this.#i.has(e));
				n.length > 1 ? this.#n.suspect(n) : n.forEach((e) => this.#f(e, "error", $(t)));
			}
			await Ve();
		}
	}
	async #u(e) {
		let t = e.filter(R), n = t.some(({ sequence: e }) => e.sampler.mayNeedLogits), r = t.length === 0 ? [] : n ? ["argmax", "logits"] : ["argmax"], i = await this.#e.forward(z(e, this.#r, r)), a = (e) => this.#i.has(e.sequence);
		for (let { sequence: t, count: n } of e.filter(a)) t.commit(this.#n.pool, n);
		if (t.length === 0) return;
		let o = i.argmax, s = n ? i.logits : /* @__PURE__ */ new Float32Array(), c = n ? this.#e.info.vocabSize : 0;
		for (let [e, n] of t.entries()) a(n) && await this.#d(n.sequence, s.subarray(e * c, (e + 1) * c), o[e]);
	}
	async #d(e, t, n) {
		let { params: r } = e.request;
		try {
			let i = await e.sampler.sample(t, n);
			if (!this.#i.has(e)) return;
			this.#n.clear(e), e.append(i.token);
			let a = this.#t.has(i.token) && !r.ignoreEos || r.stopTokenIds.includes(i.token), o = e.numOutputTokens === r.maxTokens || e.tokens.length >= this.context;
			a || o ? this.#f(e, a ? "stop" : "length", void 0, i) : this.#i.get(e).push(i);
		} catch (t) {
			this.#f(e, "error", $(t));
		}
	}
	#f(e, t, n, r = {}) {
		let i = this.#i.get(e);
		i !== void 0 && (this.#i.delete(e), this.#n.remove(e, t === "error"), e.sampler.close(), i.push({
			...r,
			finishReason: t,
			usage: e.usage,
			...n && { error: n }
		}), i.end());
	}
}, $ = (t) => t instanceof e ? t : new e("internal", "The model could not be run.", { why: t instanceof Error ? t.message : String(t) });
export { He as Engine, e as HearthError, P as Model, N as Session, n as fetchedFiles, t as filesOf, m as hasFeature, ue as loadBundle, Ae as samplingParams };
