// Which model answers; and getting another one.

import { ChevronDown } from "lucide";
import { text } from "../i18n";
import { change, currentModel, newChat } from "../state/chat";
import { loadModels, loadSuggestions, modelNamed, pickerOpen, shortName } from "../state/models";
import { coming, pulls } from "../state/pulls";
import { openId } from "../state/route";
import { GetModel } from "./GetModel";
import { Icon } from "./Icon";
import { Menu } from "./Menu";
import { ModelList } from "./ModelList";
import { PullList } from "./Pulls";
import { useEffect } from "preact/hooks";

export function ModelPicker() {
  const name = currentModel.value;
  return (
    <Menu
      kind="dialog"
      label={text.value.chooseModel}
      class="model-picker"
      state={pickerOpen}
      button={(props) => (
        <button
          type="button"
          class="model-button"
          {...props}
          title={name ?? ""}
          aria-label={`${text.value.model}: ${name ?? text.value.noModel}`}
        >
          <span class="model-name">{name ? shortName(name) : text.value.noModel}</span>
          <Icon of={ChevronDown} size={15} />
        </button>
      )}
    >
      {(close) => (
        <Panel
          onChoose={(chosen) => {
            // A picture is no part of a conversation: the one that is open stays as it is.
            if (openId.peek() && modelNamed(chosen)?.made_for === "vision") newChat();
            void change({ model: chosen });
            close();
          }}
        />
      )}
    </Menu>
  );
}

function Panel({ onChoose }: { onChoose: (name: string) => void }) {
  const t = text.value;
  useEffect(() => {
    void loadModels();
    void loadSuggestions();
  }, []);
  return (
    <>
      <h2 class="menu-title">{t.onThisDevice}</h2>
      <ModelList onChoose={onChoose} />
      {pulls.value.length > 0 && (
        <section class="menu-section">
          <h2 class="menu-title">{coming.value.length > 0 ? t.comingModels : t.newModels}</h2>
          <PullList onUse={onChoose} />
        </section>
      )}
      <GetModel />
    </>
  );
}
