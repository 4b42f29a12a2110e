// A compiled model's session as the engine sees it.

import { requireText } from "../info.ts";
import type { Model } from "../model.ts";
import type { Session } from "../session.ts";
import type { Forward, StepsAhead } from "./forward.ts";

/**
 * @param pages of keys and values.
 * @param submitMs how long one submit may keep a GPU busy.
 */
export async function sessionForward(model: Model, pages: number, submitMs: number | undefined): Promise<Forward> {
  const text = requireText(model.info);
  const outputs = model.info.functions.find(({ door }) => door === "text")?.outputs ?? [];
  const session = await model.session({ pages });
  return {
    info: { ...text, hiddenSize: outputs.find(({ name }) => name === "hidden")?.most.at(-1) ?? 0 },
    numPages: pages,
    forward: async (batch) => session.forward(batch),
    ahead: model.device.kind === "webgpu" ? ahead(session, submitMs) : undefined,
    close: () => session.close(),
  };
}

const ahead = (session: Session, submitMs: number | undefined): StepsAhead => ({
  get worthwhile() {
    return session.stepsWorthReading;
  },
  decode: (batch, steps) => session.decode(batch, steps, { submitMs }),
});
