// A chat that has not begun.

import { useMemo } from "preact/hooks";
import { text } from "../i18n";
import { setContent } from "../state/composer";
import { focusInput } from "../state/ui";
import { Hearth } from "./Hearth";

export function Welcome() {
  const t = text.value;
  const which = useMemo(() => Math.floor(Math.random() * 3), []);
  return (
    <section class="welcome">
      <Hearth size={84} alive />
      <h2>{t.greetings[which]}</h2>
      <p>{t.privacy}</p>
      <div class="suggestions">
        {t.suggestions.map(([title, words]) => (
          <button
            type="button"
            key={title}
            class="suggestion"
            onClick={() => {
              setContent(words);
              focusInput();
            }}
          >
            <strong>{title}</strong>
            <span>{words}</span>
          </button>
        ))}
      </div>
    </section>
  );
}
