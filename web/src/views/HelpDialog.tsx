// The shortcuts, and where the page's licences stand.

import { KEYS, keyName } from "../keys";
import { text } from "../i18n";
import { helpOpen } from "../state/ui";
import { Dialog } from "./Dialog";

export function HelpDialog() {
  const t = text.value;
  const rows: [keyof typeof KEYS, string][] = [
    ["send", t.keySend],
    ["newline", t.keyNewline],
    ["stop", t.keyStop],
    ["editLast", t.keyEditLast],
    ["regenerate", t.keyRegenerate],
    ["newChat", t.keyNewChat],
    ["search", t.keySearch],
    ["focus", t.keyFocus],
    ["settings", t.keySettings],
    ["sidebar", t.keySidebar],
    ["help", t.keyHelp],
  ];
  return (
    <Dialog title={t.help} closeLabel={t.close} onClose={() => (helpOpen.value = false)}>
      <dl class="keys">
        {rows.map(([action, label]) => (
          <div key={action}>
            <dt>{label}</dt>
            <dd>
              {KEYS[action].map((key) => (
                <kbd key={key}>{keyName(key)}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <p class="dialog-foot">
        <a href="/licenses.txt" target="_blank" rel="noopener">
          {t.licences}
        </a>
      </p>
    </Dialog>
  );
}
