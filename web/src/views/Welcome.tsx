// A chat that has not begun.

import { useEffect, useMemo } from "preact/hooks";
import { text } from "../i18n";
import { currentModel } from "../state/chat";
import { setContent } from "../state/composer";
import { loadSuggestions, suggestions } from "../state/models";
import { focusInput } from "../state/ui";
import { SuggestedModels } from "./GetModel";
import { Hearth } from "./Hearth";

/** The model that comes with Hearth: a demonstration, too small for more than a few kinds of questions. */
const STARTER = "starter";

export function Welcome() {
  const t = text.value;
  const which = useMemo(() => Math.floor(Math.random() * 3), []);
  const starter = currentModel.value === STARTER;
  return (
    <section class="welcome">
      <Hearth size={84} alive />
      <h2>{t.greetings[which]}</h2>
      <p>{t.privacy}</p>
      {starter && <p class="welcome-note">{t.starterNote}</p>}
      <div class="suggestions">
        {(starter ? t.starterSuggestions : t.suggestions).map(([title, words]) => (
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
      {starter && <RealModels />}
    </section>
  );
}

function RealModels() {
  const t = text.value;
  useEffect(() => void loadSuggestions(), []);
  if (suggestions.value.length === 0) return null;
  return (
    <section class="real-models" aria-label={t.getReal}>
      <h3>{t.getReal}</h3>
      <p>{t.getRealNote}</p>
      <SuggestedModels />
    </section>
  );
}
