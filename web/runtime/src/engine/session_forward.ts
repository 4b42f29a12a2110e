// A compiled model's session as the engine sees it. A GPU that is lost is opened again, once for all that it computes from then on.

import { GpuLost } from "../gpu/gpu.ts";
import { requireText } from "../info.ts";
import type { Model } from "../model.ts";
import type { Session } from "../session.ts";
import { type Forward, StatesLost, type StepsAhead } from "./forward.ts";

/**
 * @param pages of keys and values.
 * @param slots of state; for a model that has none 0.
 * @param submitMs how long one submit may keep a GPU busy.
 */
export async function sessionForward(model: Model, pages: number, slots: number, submitMs?: number): Promise<Forward> {
  const sizes = slots > 0 ? { pages, slots } : { pages };
  const text = requireText(model.info);
  const outputs = model.info.functions.find(({ door }) => door === "text")?.outputs ?? [];
  let session: Session | undefined = await model.session(sizes);
  let isProven = true; // has computed since it was opened: then another try is worth it
  const openAgain = async (): Promise<never> => {
    session = undefined;
    await model.reopen();
    session = await model.session(sizes);
    isProven = false;
    throw new StatesLost("device", "The GPU was lost, and is there again.");
  };
  const guarded = async <Result>(compute: (session: Session) => Promise<Result>): Promise<Result> => {
    if (session === undefined) return openAgain();
    try {
      const result = await compute(session);
      isProven = true;
      return result;
    } catch (error) {
      if (!(error instanceof GpuLost)) throw error;
      if (isProven) return openAgain();
      session = undefined;
      throw error;
    }
  };
  const ahead: StepsAhead = {
    get worthwhile() {
      return session?.stepsWorthReading ?? 1;
    },
    decode: (batch, steps) => guarded((open) => open.decode(batch, steps, { submitMs })),
  };
  return {
    info: { ...text, hiddenSize: outputs.find(({ name }) => name === "hidden")?.most.at(-1) ?? 0 },
    numPages: pages,
    numSlots: slots,
    forward: (batch) => guarded((open) => open.forward(batch)),
    get ahead() {
      return model.device.kind === "webgpu" ? ahead : undefined;
    },
    close: () => session?.close(),
  };
}
