// src/thread.ts
var e = globalThis.process?.getBuiltinModule?.("node:worker_threads")?.parentPort ?? void 0, t = e ?? globalThis;
e === void 0 ? globalThis.addEventListener("message", ({ data: e }) => n(e), { once: !0 }) : e.once("message", n);
function n({ module: e, memory: n, timeOrigin: r, thread: i, stack: a, locals: o }) {
	let s = () => {
		throw Error("Threads ask nothing of the world outside.");
	}, c = { now: () => performance.timeOrigin + performance.now() - r };
	for (let { module: t, name: n } of WebAssembly.Module.imports(e)) t === "hearth" && (c[n] ??= s);
	let { exports: l } = new WebAssembly.Instance(e, {
		env: { memory: n },
		hearth: c
	});
	l.__stack_pointer.value = a, l.__wasm_init_tls(o), t.postMessage("up");
	try {
		l.hth_thread_serve(i);
	} catch (e) {
		throw l.hth_thread_broke(), e;
	}
}
