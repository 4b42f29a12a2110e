// Appearance and language of the page.

import { Monitor, Moon, Settings2, Sun } from "lucide";
import { dictionaries, language, text, type Language } from "../i18n";
import { prefs, setPrefs, type Theme } from "../state/prefs";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { Menu } from "./Menu";

const THEMES: [Theme, typeof Sun][] = [
  ["system", Monitor],
  ["light", Sun],
  ["dark", Moon],
];

export function PreferencesMenu() {
  const t = text.value;
  const names: Record<Theme, string> = { system: t.themeSystem, light: t.themeLight, dark: t.themeDark };
  return (
    <Menu
      kind="dialog"
      label={t.preferences}
      class="preferences"
      button={(props) => <IconButton icon={Settings2} label={t.preferences} {...props} />}
    >
      {() => (
        <>
          <fieldset class="segments">
            <legend>{t.theme}</legend>
            <div class="segments-row">
              {THEMES.map(([theme, icon]) => (
                <button type="button" key={theme} aria-pressed={prefs.value.theme === theme} onClick={() => setPrefs({ theme })}>
                  <Icon of={icon} size={16} />
                  {names[theme]}
                </button>
              ))}
            </div>
          </fieldset>
          <fieldset class="segments">
            <legend>{t.language}</legend>
            <div class="segments-row">
              {(Object.keys(dictionaries) as Language[]).map((code) => (
                <button
                  type="button"
                  key={code}
                  lang={code === "zh" ? "zh-Hans" : code}
                  aria-pressed={language.value === code}
                  onClick={() => setPrefs({ language: code })}
                >
                  {dictionaries[code].languageName}
                </button>
              ))}
            </div>
          </fieldset>
        </>
      )}
    </Menu>
  );
}
