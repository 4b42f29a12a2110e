// Says that Hearth is not there, or that nothing can be kept; goes away by itself.

import { text } from "../i18n";
import { connected, status } from "../state/connection";

export function Offline() {
  const t = text.value;
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
