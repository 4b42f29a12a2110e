// gpu_kernels.wgsl: the shaders of a plan's kernels, each behind a line `//@ NAME THREADS FEATURES`.

import { HearthError } from "../errors.ts";

/** One shader. A kernel may have several, which need different features and compute the same. */
export interface Shader {
  /** Of the kernel, and of the entry point. */
  readonly name: string;
  /** Invocations of a workgroup. */
  readonly threads: number;
  /** What the adapter needs: `core`, which all have, or of `f16`, `subgroups`, `dot4`, joined by `+`. */
  readonly features: string;
  readonly text: string;
}

/** The shaders of a kernel that an adapter runs. */
export interface Kernel {
  readonly name: string;
  /** What every adapter runs. */
  readonly core: Shader;
  /** The others, by their features. */
  readonly variants: ReadonlyMap<string, Shader>;
}

export const CORE = "core";
const HEAD = /^\/\/@ .*$/gm;
const WORDS = /^\/\/@ ([A-Za-z_]\w*) (\d{1,3}) ([a-z0-9+]+)$/;
const hint = "Compile the model again: hearth compile MODEL --target wasm32";

export function readShaders(content: string): Shader[] {
  const heads = [...content.matchAll(HEAD)];
  return heads.map((head, i) => {
    const words = WORDS.exec(head[0]);
    if (words === null) throw new HearthError("corrupt", `The bundle's shaders have a line that says nothing: ${head[0]}`, { hint });
    const text = content.slice(head.index + head[0].length + 1, heads[i + 1]?.index);
    return { name: words[1]!, threads: Number(words[2]), features: words[3]!, text };
  });
}

/**
 * A plan's kernels, in its order.
 *
 * @param has the features beyond the core.
 */
export function kernelsOf(shaders: readonly Shader[], plan: readonly { readonly name: string }[], has: ReadonlySet<string>): Kernel[] {
  const byName = new Map<string, Shader[]>();
  for (const shader of shaders) byName.set(shader.name, [...(byName.get(shader.name) ?? []), shader]);
  return plan.map(({ name }) => {
    const all = byName.get(name) ?? [];
    const core = all.find(({ features }) => features === CORE);
    if (core === undefined) {
      throw new HearthError("mismatch", `The bundle has no shader for the kernel ${name}, which its plan asks for.`, { hint });
    }
    const runs = all.filter(({ features }) => features !== CORE && features.split("+").every((feature) => has.has(feature)));
    return { name, core, variants: new Map(runs.map((shader) => [shader.features, shader])) };
  });
}
