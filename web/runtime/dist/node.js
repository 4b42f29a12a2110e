import { r as e } from "./files.js";
import { createReadStream as t } from "node:fs";
import { stat as n } from "node:fs/promises";
import { join as r } from "node:path";
// src/node.ts
var i = 1 << 20;
function a(a) {
	return { async open(o) {
		let s = r(a, o);
		try {
			if (!(await n(s)).isFile()) throw Error("it is no file");
		} catch (t) {
			throw e(o, `${s}: ${t instanceof Error ? t.message : String(t)}`);
		}
		return t(s, { highWaterMark: i });
	} };
}
export { a as filesIn };
