// Says that Hearth is not there, lets nobody in, or can keep nothing; goes away by itself.

import { text } from "../i18n";
import { connected, locked, status } from "../state/connection";

export function Offline() {
  const t = text.value;
  if (locked.value) {
    return (
      <div class="banner" role="alert">
        <span class="ember out" />
        <span>
          <strong>{t.lockedTitle}</strong> {t.lockedHint[0]} <code>hearth app</code> {t.lockedHint[1]}
        </span>
      </div>
    );
  }
  if (!connected.value) {
    return (
      <div class="banner" role="alert">
        <span class="ember out" />
        <span>
          <strong>{t.offlineTitle}</strong> {t.offlineHint} <code>hearth app</code>. {t.offlineRetry}
        </span>
      </div>
    );
  }
  if (status.value?.read_only) {
    return (
      <div class="banner" role="status">
        {t.readOnly}
      </div>
    );
  }
  return null;
}
