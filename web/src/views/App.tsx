// The page: conversations on the left, the open one in the middle, its settings on the right.

import { useEffect, useState } from "preact/hooks";
import { text } from "../i18n";
import { conversation, currentModel } from "../state/chat";
import { attachFiles } from "../state/composer";
import { cards } from "../state/library";
import { modelNamed } from "../state/models";
import { announcement } from "../state/notices";
import { prefs } from "../state/prefs";
import { openId } from "../state/route";
import { seeing, show } from "../state/sight";
import { closeDrawer, deleting, drawerOpen, helpOpen, isNarrow, settingsOpen, viewing } from "../state/ui";
import { Composer } from "./Composer";
import { DeleteDialog } from "./DeleteDialog";
import { Header } from "./Header";
import { HelpDialog } from "./HelpDialog";
import { Notices } from "./Notices";
import { Offline } from "./Offline";
import { PictureDialog } from "./Pictures";
import { SettingsPanel } from "./SettingsPanel";
import { Sidebar } from "./Sidebar";
import { Sight } from "./Sight";
import { Thread } from "./Thread";

export function App() {
  const sidebarShown = isNarrow.value ? drawerOpen.value : prefs.value.sidebar;
  const dragging = useFileDrop();
  useTitle();
  return (
    <div class={`app ${sidebarShown ? "with-sidebar" : ""} ${settingsOpen.value ? "with-settings" : ""}`}>
      <a
        class="skip"
        href={seeing.value ? "#sight" : "#input"}
        onClick={(event) => {
          event.preventDefault(); // the address says which conversation is open
          document.getElementById(seeing.peek() ? "sight" : "input")?.focus();
        }}
      >
        {seeing.value ? text.value.skipToSight : text.value.skipToInput}
      </a>
      {sidebarShown && <Sidebar />}
      {isNarrow.value && (drawerOpen.value || settingsOpen.value) && (
        <div
          class="scrim"
          onClick={() => {
            closeDrawer();
            settingsOpen.value = false;
          }}
        />
      )}
      <main class="main" inert={isNarrow.value && (drawerOpen.value || settingsOpen.value)}>
        <Header sidebarShown={sidebarShown} />
        <Offline />
        {seeing.value ? (
          <Sight />
        ) : (
          <>
            <Thread />
            <Composer />
          </>
        )}
      </main>
      {settingsOpen.value && <SettingsPanel key={openId.value ?? "new"} />}
      {helpOpen.value && <HelpDialog />}
      {deleting.value && <DeleteDialog />}
      {viewing.value && <PictureDialog />}
      {dragging && <div class="drop-hint">{dropHint()}</div>}
      <Notices />
      <div class="visually-hidden" role="status" aria-live="polite">
        {announcement.value}
      </div>
    </div>
  );
}

/** The title of the open conversation: the list hears of a new one first. */
export function openTitle(): string {
  const id = openId.value;
  if (!id) return seeing.value ? text.value.sight : "";
  return cards.value.find((card) => card.id === id)?.title || conversation.value?.title || text.value.untitled;
}

function dropHint(): string {
  if (seeing.value) return text.value.sightDropHere;
  return modelNamed(currentModel.value)?.sees ? text.value.dropHereSeeing : text.value.dropHere;
}

function useTitle(): void {
  const title = openTitle();
  useEffect(() => {
    document.title = title ? `${title} · ${text.peek().appName}` : text.peek().appName;
  }, [title]);
}

/** What is done with files: a model that sees is shown the first, any other is told what is in them. */
function take(files: FileList): void {
  if (!seeing.peek()) attachFiles(files);
  else if (files[0]) show(files[0]);
}

/** Files dropped anywhere on the page are attached; pasted ones too. */
function useFileDrop(): boolean {
  const [dragging, setDragging] = useState(false);
  useEffect(() => {
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
    const over = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setDragging(true);
    };
    const leave = (event: DragEvent): void => {
      if (!event.relatedTarget) setDragging(false);
    };
    const drop = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setDragging(false);
      take(event.dataTransfer!.files);
    };
    const paste = (event: ClipboardEvent): void => {
      const files = event.clipboardData?.files;
      if (!files?.length || event.clipboardData?.types.includes("text/plain")) return;
      event.preventDefault();
      take(files);
    };
    addEventListener("dragover", over);
    addEventListener("dragleave", leave);
    addEventListener("drop", drop);
    addEventListener("paste", paste);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", drop);
      removeEventListener("paste", paste);
    };
  }, []);
  return dragging;
}
