// Getting a model: one of those that suit this machine, or any by its name.

import { Download } from "lucide";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Suggestion } from "../api/types";
import { language, locale, text } from "../i18n";
import { bytes } from "../numbers";
import { suggestedLooking, suggestions } from "../state/models";
import type { Failure } from "../state/notices";
import { coming, pullFailure, startPull } from "../state/pulls";
import { FailureText } from "./FailureText";
import { Icon } from "./Icon";

export function GetModel() {
  const t = text.value;
  const [name, setName] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const submit = (event: Event): void => {
    event.preventDefault();
    const wanted = name.trim();
    if (!wanted) return;
    input.current?.focus(); // which the button loses when there is nothing more to get
    void startPull(wanted).then((begun) => begun && setName(""));
  };
  return (
    <form class="pull menu-section" onSubmit={submit}>
      <label for="pull-name">{t.pullTitle}</label>
      {suggestions.value.length > 0 && <SuggestedModels />}
      {suggestedLooking.value.length > 0 && <LookingModels />}
      <div class="pull-row">
        <input
          id="pull-name"
          ref={input}
          class="field"
          value={name}
          placeholder={t.pullPlaceholder}
          aria-label={t.pullLabel}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          maxLength={300}
          onInput={(event) => {
            setName(event.currentTarget.value);
            pullFailure.value = null;
          }}
        />
        <button type="submit" class="button" aria-disabled={!name.trim()}>
          <Icon of={Download} size={16} />
          {t.pullAction}
        </button>
      </div>
      {pullFailure.value ? (
        <PullFailure failure={pullFailure.value} />
      ) : (
        <p class="menu-note">{t.pullNote}</p>
      )}
    </form>
  );
}

function PullFailure({ failure }: { failure: Failure }) {
  const shown = useRef<HTMLDivElement>(null);
  // The picker may be longer than the screen, with the name at its end.
  useEffect(() => shown.current?.scrollIntoView({ block: "nearest" }), [failure]);
  return (
    <div class="pull-failure" role="alert" ref={shown}>
      <FailureText failure={failure} />
    </div>
  );
}

/** Models that this machine can run well, each with a button that gets it. */
export function SuggestedModels() {
  return (
    <ul class="suggested">
      {suggestions.value.map((model) => (
        <SuggestedModel key={model.name} model={model} />
      ))}
    </ul>
  );
}

function SuggestedModel({ model }: { model: Suggestion }) {
  const t = text.value;
  return (
    <Proposed name={model.name}>
      {t.sizes(bytes(model.download_bytes, locale.value), bytes(model.memory_bytes, locale.value))}
      {model.sees && ` · ${t.modelTakesPictures}`}
      {language.value === "en" && model.good_at && ` · ${model.good_at}`}
    </Proposed>
  );
}

/** Models that look at pictures, by what they say of one. */
function LookingModels() {
  const t = text.value;
  return (
    <details class="suggested-more">
      <summary>{t.lookingModels}</summary>
      <ul class="suggested">
        {suggestedLooking.value.map(({ name, task, download_bytes }) => (
          <Proposed key={name} name={name}>
            {t.sightTitles[task as keyof typeof t.sightTitles]} · {t.toDownload(bytes(download_bytes, locale.value))}
          </Proposed>
        ))}
      </ul>
    </details>
  );
}

/** A model with what is to be known of it, and a button that gets it. */
function Proposed({ name, children }: { name: string; children: ComponentChildren }) {
  const t = text.value;
  const on = coming.value.some((pull) => pull.name === name);
  return (
    <li class="suggested-model">
      <span class="suggested-text">
        <strong>{name.split("/").at(-1)}</strong>
        <span>{children}</span>
      </span>
      <button type="button" class="button small" aria-label={t.getModel(name)} aria-disabled={on} onClick={() => on || void startPull(name)}>
        <Icon of={Download} size={14} />
        {on ? t.isComing : t.pullAction}
      </button>
    </li>
  );
}
