// Pipelines of a plan's kernels, compiled by the driver while other things go on.

import type { Gpu } from "./gpu.ts";
import type { Shader } from "./shaders.ts";

/** A pipeline for each shader, in their order. */
export function makePipelines(gpu: Gpu, shaders: readonly Shader[]): Promise<GPUComputePipeline[]> {
  return Promise.all(shaders.map((shader) => makePipeline(gpu, shader)));
}

async function makePipeline(gpu: Gpu, { name, text }: Shader): Promise<GPUComputePipeline> {
  const what = `The GPU ${gpu.name} refuses the kernel ${name}.`;
  const module = await gpu.make(what, () => gpu.device.createShaderModule({ label: name, code: text }));
  try {
    const compute = { module, entryPoint: name };
    return await gpu.device.createComputePipelineAsync({ label: name, layout: "auto", compute });
  } catch (error) {
    throw gpu.explain(error, what);
  }
}
