// Whether Hearth answers, and lets this browser in. While it does not, the page asks again, soon at first and then every
// few seconds.

import { effect, signal } from "@preact/signals";
import { api, ApiError } from "../api/client";
import { enter, refreshToken } from "../api/entry";
import type { Status } from "../api/types";

export const status = signal<Status | null>(null);
export const connected = signal(true);
/** It answers, but wants the link that `hearth app` printed. */
export const locked = signal(false);

const CHECK_MS = 15_000;
const RETRY_MS = [500, 1_000, 2_000, 3_000];

let timer: ReturnType<typeof setTimeout> | undefined;
let failures = 0;

function later(delayMs: number): void {
  clearTimeout(timer);
  timer = setTimeout(() => void check(), delayMs);
}

async function check(): Promise<void> {
  try {
    status.value = await api.status();
    failures = 0;
    locked.value = false;
    connected.value = true;
    later(CHECK_MS);
  } catch (error) {
    // A server that answers with an error is there all the same.
    if (error instanceof ApiError && (error.unreachable || error.locked)) {
      locked.value = error.locked;
      connected.value = false;
      if (error.locked) refreshToken();
    }
    later(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]!);
  }
}

/** A request got no answer, or was turned away: look at once whether Hearth is still there. */
export function suspect(error: unknown): void {
  if (error instanceof ApiError && (error.unreachable || error.locked)) later(0);
}

export function watchConnection(onReturn: () => void): Promise<void> {
  let was = true;
  effect(() => {
    const now = connected.value;
    if (now && !was) onReturn();
    was = now;
  });
  addEventListener("online", () => later(0));
  addEventListener("hashchange", () => void enter().then((entered) => entered && later(0)));
  document.addEventListener("visibilitychange", () => document.hidden || later(0));
  return check();
}
