// Above the conversation: the way to the list, the model, the settings.

import { PanelLeft, SlidersHorizontal, SquarePen } from "lucide";
import { shortcut } from "../keys";
import { text } from "../i18n";
import { newChat } from "../state/chat";
import { seeing } from "../state/sight";
import { focusInput, isNarrow, settingsOpen, toggleSidebar } from "../state/ui";
import { openTitle } from "./App";
import { IconButton } from "./Button";
import { ModelPicker } from "./ModelPicker";
import { PullTray } from "./Pulls";

export function Header({ sidebarShown }: { sidebarShown: boolean }) {
  const apart = isNarrow.value || !sidebarShown;
  return (
    <header class="header">
      {apart && (
        <>
          <IconButton icon={PanelLeft} label={text.value.openSidebar} keys={shortcut("sidebar")} aria-expanded={sidebarShown} onClick={toggleSidebar} />
          <IconButton
            icon={SquarePen}
            label={text.value.newChat}
            keys={shortcut("newChat")}
            onClick={() => {
              newChat();
              focusInput();
            }}
          />
        </>
      )}
      <ModelPicker />
      <PullTray />
      <h1 class="header-title">{openTitle() || <span class="visually-hidden">{text.value.newChat}</span>}</h1>
      {!seeing.value && (
        <IconButton
          icon={SlidersHorizontal}
          label={text.value.settings}
          keys={shortcut("settings")}
          aria-expanded={settingsOpen.value}
          class={settingsOpen.value ? "on" : ""}
          onClick={() => (settingsOpen.value = !settingsOpen.peek())}
        />
      )}
    </header>
  );
}
