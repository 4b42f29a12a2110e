// How much of what the model can have before it is taken: by the conversation, and by what is being written.

import { locale, text } from "../i18n";
import { compact } from "../numbers";
import { contextUse } from "../state/composer";

const RADIUS = 7;
const ROUND = 2 * Math.PI * RADIUS;

export function ContextMeter() {
  const t = text.value;
  const { used, of } = contextUse.value;
  if (of === null || used === 0) return null;
  const share = Math.min(1, used / of);
  const words = t.contextUsed(used.toLocaleString(locale.value), of.toLocaleString(locale.value));
  return (
    <div
      class={share > 0.9 ? "meter hot" : share > 0.7 ? "meter warm" : "meter"}
      role="meter"
      aria-label={t.contextLabel}
      aria-valuemin={0}
      aria-valuemax={of}
      aria-valuenow={Math.min(used, of)}
      aria-valuetext={words}
      title={`${t.contextLabel}: ${words}`}
    >
      <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">
        <circle class="meter-track" cx="9" cy="9" r={RADIUS} />
        <circle
          class="meter-used"
          cx="9"
          cy="9"
          r={RADIUS}
          transform="rotate(-90 9 9)"
          stroke-dasharray={`${Math.max(0.6, share * ROUND)} ${ROUND}`}
        />
      </svg>
      <span>
        {compact(used, locale.value)} / {compact(of, locale.value)}
      </span>
    </div>
  );
}
