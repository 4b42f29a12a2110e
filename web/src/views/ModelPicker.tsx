// Which model answers; and getting another one by its name.

import { Check, ChevronDown, Download, X } from "lucide";
import { useState } from "preact/hooks";
import type { Model } from "../api/types";
import { locale, text } from "../i18n";
import { change, currentModel } from "../state/chat";
import { cancelPull, loadModels, models, pull, startPull } from "../state/models";
import { bytes, compact } from "../numbers";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { Menu } from "./Menu";

export function ModelPicker() {
  const name = currentModel.value;
  return (
    <Menu
      kind="dialog"
      label={text.value.chooseModel}
      class="model-picker"
      button={(props, open) => (
        <button
          type="button"
          class="model-button"
          {...props}
          title={name ?? ""}
          aria-label={`${text.value.model}: ${name ?? text.value.noModel}`}
          onClick={(event) => {
            if (!open) void loadModels();
            props.onClick?.(event);
          }}
        >
          <span class="model-name">{name ? shortName(name) : text.value.noModel}</span>
          <Icon of={ChevronDown} size={15} />
        </button>
      )}
    >
      {(close) => (
        <>
          <ModelList
            onChoose={(chosen) => {
              void change({ model: chosen });
              close();
            }}
          />
          <PullForm />
        </>
      )}
    </Menu>
  );
}

/** Of `Qwen/Qwen3-0.6B` and of a path, what tells models apart. */
export function shortName(name: string): string {
  return name.split(/[/\\]/).at(-1) || name;
}

function ModelList({ onChoose }: { onChoose: (name: string) => void }) {
  const all = models.value ?? [];
  if (models.value && all.length === 0) return <p class="menu-note">{text.value.noModels}</p>;
  return (
    <ul class="model-list">
      {all.map((model) => (
        <li key={model.name}>
          <button type="button" class="model-item" aria-pressed={model.name === currentModel.value} onClick={() => onChoose(model.name)}>
            <span class="model-item-name">{model.name}</span>
            <span class="model-item-facts">{facts(model)}</span>
            {model.name === currentModel.value && <Icon of={Check} size={16} />}
          </button>
        </li>
      ))}
    </ul>
  );
}

function facts(model: Model): string {
  const t = text.value;
  return [
    model.size_bytes ? bytes(model.size_bytes, locale.value) : "",
    model.context ? t.modelContext(compact(model.context, locale.value)) : "",
    model.thinking ? t.modelThinks : "",
    model.tools ? t.modelTools : "",
    model.loaded ? t.modelLoaded : "",
  ]
    .filter(Boolean)
    .join(" · ");
}

function PullForm() {
  const [name, setName] = useState("");
  const t = text.value;
  const now = pull.value;
  const submit = (event: Event): void => {
    event.preventDefault();
    const wanted = name.trim();
    if (!wanted) return;
    void startPull(wanted).then((got) => {
      if (!got) return;
      setName("");
      void change({ model: got });
    });
  };
  return (
    <form class="pull" onSubmit={submit}>
      <label for="pull-name">{t.pullTitle}</label>
      <div class="pull-row">
        <input
          id="pull-name"
          class="field"
          value={name}
          placeholder={t.pullPlaceholder}
          aria-label={t.pullLabel}
          autocomplete="off"
          spellcheck={false}
          maxLength={300}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <button type="submit" class="button" disabled={!name.trim() || (now !== null && !now.failure)}>
          <Icon of={Download} size={16} />
          {t.pullAction}
        </button>
      </div>
      {now ? <PullProgress /> : <p class="menu-note">{t.pullNote}</p>}
    </form>
  );
}

function PullProgress() {
  const now = pull.value!;
  const t = text.value;
  if (now.failure) {
    return (
      <div class="pull-failure" role="alert">
        <strong>{now.failure.message}</strong>
        {now.failure.hint && <span>{now.failure.hint}</span>}
        <IconButton icon={X} size={14} label={t.dismiss} onClick={cancelPull} />
      </div>
    );
  }
  const share = now.total ? Math.min(1, now.done / now.total) : null;
  return (
    <div class="pull-progress">
      <div class="pull-progress-text">
        <span>{now.label || t.pulling(now.name)}</span>
        <span>{now.total ? `${bytes(now.done, locale.value)} / ${bytes(now.total, locale.value)}` : ""}</span>
      </div>
      <div class="pull-progress-row">
        <progress {...(share === null ? {} : { value: share })} max={1} aria-label={t.pulling(now.name)} />
        <IconButton icon={X} size={14} label={t.cancel} onClick={cancelPull} />
      </div>
    </div>
  );
}
