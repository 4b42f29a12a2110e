// What computes the model, for people.

import type { Device } from "../../runtime/src/model.ts";

export function deviceText({ kind, name, threads, why, isChecked, variants }: Device): string {
  // Of one thread `why` tells, where more were to be.
  if (kind === "wasm") return `On this device's processor${threads > 1 ? `, on ${threads} threads` : ""}. ${why}`;
  const used = [...new Set(Object.values(variants))].sort().join(", ");
  const kernels = used === "" ? "" : ` Its fastest kernels use ${used}.`;
  return `On this device's GPU: ${name}.${isChecked ? ` It was checked.${kernels}` : ""}`;
}
