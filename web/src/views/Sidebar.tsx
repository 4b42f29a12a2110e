// The list of conversations with its search, and what belongs to the whole page at its foot.

import { CircleHelp, PanelLeftClose, Search, SquarePen, Upload, X } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import { shortcut } from "../keys";
import { text } from "../i18n";
import { newChat } from "../state/chat";
import { status } from "../state/connection";
import { importFile, query, search } from "../state/library";
import { closeDrawer, focusInput, helpOpen, isNarrow, targets, toggleSidebar } from "../state/ui";
import { IconButton } from "./Button";
import { ConversationList } from "./ConversationList";
import { Hearth } from "./Hearth";
import { Icon } from "./Icon";
import { PreferencesMenu } from "./PreferencesMenu";

export function Sidebar() {
  const t = text.value;
  const root = useRef<HTMLElement>(null);
  useEffect(() => {
    // As a drawer it takes the focus, and gives it back.
    if (!isNarrow.peek()) return;
    const before = document.activeElement as HTMLElement | null;
    root.current?.querySelector<HTMLElement>("button")?.focus();
    return () => before?.isConnected && before.focus();
  }, []);
  const Brand = isNarrow.value ? "h1" : "span"; // as a drawer it is the page: all else is inert
  return (
    <aside class="sidebar" aria-label={t.conversations} ref={root}>
      <div class="sidebar-head">
        <Brand class="brand">
          <Hearth size={26} />
          {t.appName}
        </Brand>
        <IconButton icon={isNarrow.value ? X : PanelLeftClose} label={t.closeSidebar} keys={shortcut("sidebar")} onClick={toggleSidebar} />
      </div>
      <button
        type="button"
        class="new-chat"
        title={`${t.newChat} (${shortcut("newChat")})`}
        onClick={() => {
          newChat();
          closeDrawer();
          focusInput();
        }}
      >
        <Icon of={SquarePen} size={17} />
        {t.newChat}
      </button>
      <SearchBox />
      <ConversationList />
      <div class="sidebar-foot">
        <PreferencesMenu />
        <ImportButton />
        <IconButton icon={CircleHelp} label={t.help} keys={shortcut("help")} onClick={() => (helpOpen.value = true)} />
        <span class="version">{status.value ? t.version(status.value.version) : ""}</span>
      </div>
    </aside>
  );
}

function SearchBox() {
  const t = text.value;
  return (
    <div class="search" role="search">
      <Icon of={Search} size={16} />
      <input
        ref={(element) => {
          targets.search = element;
        }}
        type="search"
        value={query.value}
        placeholder={t.search}
        aria-label={t.searchPlaceholder}
        title={`${t.searchPlaceholder} (${shortcut("search")})`}
        autocomplete="off"
        maxLength={200}
        onInput={(event) => search(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          event.preventDefault();
          if (query.value) search("");
          else focusInput();
        }}
      />
      {query.value && <IconButton icon={X} size={14} label={t.clearSearch} onClick={() => search("")} />}
    </div>
  );
}

function ImportButton() {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <IconButton icon={Upload} label={text.value.importAction} onClick={() => input.current?.click()} />
      <input
        ref={input}
        type="file"
        accept=".json,application/json"
        class="visually-hidden"
        tabIndex={-1}
        aria-hidden="true"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = "";
          if (file) void importFile(file);
        }}
      />
    </>
  );
}
