// A compiled model's session as the engine sees it.

import { requireText } from "../info.ts";
import type { Model } from "../model.ts";
import type { Forward } from "./forward.ts";

/** @param pages of keys and values. */
export async function sessionForward(model: Model, pages: number): Promise<Forward> {
  const text = requireText(model.info);
  const outputs = model.info.functions.find(({ door }) => door === "text")?.outputs ?? [];
  const session = await model.session({ pages });
  return {
    info: { ...text, hiddenSize: outputs.find(({ name }) => name === "hidden")?.most.at(-1) ?? 0 },
    numPages: pages,
    forward: async (batch) => session.forward(batch),
    close: () => session.close(),
  };
}
