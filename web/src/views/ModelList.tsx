// The models on this device: how large each is, and whether it can be used.

import { Check, CircleAlert, CircleStop } from "lucide";
import type { Model } from "../api/types";
import { locale, text } from "../i18n";
import { bytes, compact } from "../numbers";
import { currentModel } from "../state/chat";
import { inWords } from "../state/failures";
import { models, unload } from "../state/models";
import { IconButton } from "./Button";
import { Icon } from "./Icon";

export function ModelList({ onChoose }: { onChoose: (name: string) => void }) {
  const t = text.value;
  const all = models.value ?? [];
  if (models.value && all.length === 0) return <p class="menu-note">{t.noModels}</p>;
  return (
    <ul class="model-list">
      {all.map((model) => {
        const chosen = model.name === currentModel.value;
        return (
          <li key={model.name} class={usable(model) ? "model-line" : "model-line unusable"}>
            <button
              type="button"
              class="model-item"
              aria-pressed={chosen}
              aria-disabled={!usable(model)}
              onClick={() => usable(model) && onChoose(model.name)}
            >
              <span class="model-item-name">{model.name}</span>
              <Facts model={model} />
              {chosen && <Icon of={Check} size={16} />}
            </button>
            {model.loaded && <IconButton icon={CircleStop} size={16} label={t.unload(model.name)} onClick={() => void unload(model.name)} />}
          </li>
        );
      })}
    </ul>
  );
}

/** Whether it answers, or looks at pictures. */
function usable(model: Model): boolean {
  return !model.problem && model.made_for !== "encoder";
}

function Facts({ model }: { model: Model }) {
  const t = text.value;
  const facts = [
    model.loaded ? t.modelLoaded : "",
    model.format ?? "",
    model.disk_bytes ? t.onDisk(bytes(model.disk_bytes, locale.value)) : "",
    model.memory_bytes ? t.inMemory(bytes(model.memory_bytes, locale.value)) : "",
    model.context ? t.modelContext(compact(model.context, locale.value)) : "",
    model.thinking ? t.modelThinks : "",
    model.tools ? t.modelTools : "",
    model.sees ? t.modelTakesPictures : "",
    model.made_for === "vision" ? t.modelSees : "",
    model.made_for === "encoder" ? t.modelReads : "",
  ].filter(Boolean);
  const wrong = model.problem ? inWords({ message: t.unusable, hint: null, kind: model.problem }).message : model.fits === false ? t.doesNotFit : "";
  return (
    <span class="model-item-facts">
      {facts.join(" · ")}
      {wrong && (
        <span class="model-item-wrong">
          <Icon of={CircleAlert} size={13} />
          {wrong}
        </span>
      )}
    </span>
  );
}
