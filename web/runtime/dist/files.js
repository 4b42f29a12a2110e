// src/errors.ts
var e = class extends Error {
	kind;
	what;
	why;
	hint;
	constructor(e, t, { why: n = "", hint: r = "" } = {}) {
		super([
			t,
			n,
			r
		].filter(Boolean).join(" ")), this.name = "HearthError", this.kind = e, this.what = t, this.why = n, this.hint = r;
	}
};
// src/files.ts
function t(t, n = {}) {
	let r = new URL(`${String(t).replace(/\/*$/, "")}/`, globalThis.location?.href);
	return { async open(t) {
		let a = new URL(t, r), o;
		try {
			o = await fetch(a, n);
		} catch (t) {
			throw new e("network", `${a.href} cannot be fetched.`, { why: String(t) });
		}
		if (!o.ok || o.body === null) throw new e(o.status === 404 ? "corrupt" : "network", `${a.href} cannot be fetched.`, { why: `The server answered ${o.status}.` });
		return i(o.body);
	} };
}
function n(e) {
	let t = e instanceof Map ? e : new Map([...e].map((e) => [e.name, e]));
	return { open(e) {
		let n = t.get(e);
		return n === void 0 ? Promise.reject(r(e)) : Promise.resolve(i(n.stream()));
	} };
}
var r = (t, n = "") => new e("corrupt", `The bundle has no file ${t}.`, {
	why: n,
	hint: "Compile the model again: hearth compile MODEL."
});
async function* i(e) {
	let t = e.getReader();
	try {
		for (;;) {
			let { done: e, value: n } = await t.read();
			if (e) return;
			yield n;
		}
	} finally {
		t.releaseLock();
	}
}
export { e as i, n, r, t };
