// The open conversation's system prompt and sampling. What is changed is kept as it is typed, with a short delay.

import { RotateCcw, X } from "lucide";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Settings } from "../api/types";
import { text } from "../i18n";
import { change, currentModel, currentSettings, currentSystem } from "../state/chat";
import { modelNamed } from "../state/models";
import { announce } from "../state/notices";
import { prefs, setPrefs } from "../state/prefs";
import { focusInput, isNarrow, settingsOpen } from "../state/ui";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { NumberField } from "./NumberField";
import { NUMBERS, type NumberName } from "../state/sampling";

export function SettingsPanel() {
  const t = text.value;
  const root = useRef<HTMLElement>(null);
  const [system, setSystem] = useState(currentSystem.value);
  useEffect(() => root.current?.querySelector("textarea")?.focus(), []);

  const systemSaved = useDelayed((value: string) => void change({ system: value }));
  // The conversation may come after the panel; what is being typed goes first.
  useEffect(() => {
    if (!systemSaved.pending()) setSystem(currentSystem.value);
  }, [currentSystem.value]);
  const settings = currentSettings.value;
  const set = (name: keyof Settings, value: number | boolean | null): void => {
    const { [name]: _, ...rest } = currentSettings.peek();
    void change({ settings: value === null ? rest : { ...rest, [name]: value } });
  };
  const close = (): void => {
    settingsOpen.value = false;
    focusInput();
  };

  const Heading = isNarrow.value ? "h1" : "h2"; // on a phone it is the page: all else is inert
  return (
    <aside class="settings" aria-label={t.settings} ref={root}>
      <header class="settings-head">
        <Heading>{t.settingsShort}</Heading>
        <IconButton icon={X} label={t.close} onClick={close} />
      </header>
      <div class="settings-body" tabIndex={-1}>
        <label class="settings-label" for="system-prompt">
          {t.systemPrompt}
        </label>
        <textarea
          id="system-prompt"
          class="field"
          rows={6}
          dir="auto"
          value={system}
          placeholder={t.systemPlaceholder}
          onInput={(event) => {
            setSystem(event.currentTarget.value);
            systemSaved.soon(event.currentTarget.value);
          }}
          onBlur={systemSaved.now}
        />
        {system !== prefs.value.system && (
          <button
            type="button"
            class="button quiet"
            onClick={() => {
              systemSaved.now();
              setPrefs({ system });
              announce(t.saved);
            }}
          >
            {system.trim() ? t.systemForNew : t.systemForNone}
          </button>
        )}
        <div class="settings-section">
          <h3>{t.sampling}</h3>
          <p class="menu-note">{t.samplingNote}</p>
        </div>
        {modelNamed(currentModel.value)?.thinking && (
          <label class="check">
            <input type="checkbox" checked={settings.thinking !== false} onChange={(event) => set("thinking", event.currentTarget.checked)} />
            {t.thinkingToggle}
          </label>
        )}
        {NUMBERS.map((spec) => (
          <NumberField
            key={spec.name}
            spec={spec}
            value={settings[spec.name] ?? null}
            byDefault={ownNumber(spec.name)}
            onChange={(value) => set(spec.name, value)}
          />
        ))}
        <button type="button" class="button quiet" disabled={Object.keys(settings).length === 0} onClick={() => void change({ settings: {} })}>
          <Icon of={RotateCcw} size={15} />
          {t.resetSampling}
        </button>
      </div>
    </aside>
  );
}

/** What the open model takes where nothing is set. */
function ownNumber(name: NumberName): number | null {
  const own = modelNamed(currentModel.value)?.sampling;
  const number = own && name in own ? own[name as keyof typeof own] : undefined;
  return number === undefined ? null : Math.round(number * 1000) / 1000;
}

/** Calls `act` a moment after the last change; at once when the field is left or taken away. */
function useDelayed(act: (value: string) => void): { soon: (value: string) => void; now: () => void; pending: () => boolean } {
  const pending = useRef<{ value: string; timer: ReturnType<typeof setTimeout> } | null>(null);
  const now = (): void => {
    if (!pending.current) return;
    clearTimeout(pending.current.timer);
    const { value } = pending.current;
    pending.current = null;
    act(value);
  };
  const soon = (value: string): void => {
    if (pending.current) clearTimeout(pending.current.timer);
    pending.current = { value, timer: setTimeout(now, 500) };
  };
  useEffect(() => now, []);
  return { soon, now, pending: () => pending.current !== null };
}
