// One conversation of the list: opens it, and holds its menu.

import { Braces, Ellipsis, FileText, Pencil, Trash2 } from "lucide";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ConversationCard } from "../api/types";
import { text } from "../i18n";
import { running, showMessage } from "../state/chat";
import { exportFile, query, rename } from "../state/library";
import { go, openId } from "../state/route";
import { closeDrawer, deleting } from "../state/ui";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { Marked } from "./Marked";
import { Menu } from "./Menu";

export function ConversationItem({ card, searching }: { card: ConversationCard; searching: boolean }) {
  const t = text.value;
  const [renaming, setRenaming] = useState(false);
  const title = card.title || t.untitled;
  const open = openId.value === card.id;
  if (renaming) {
    return (
      <li class="item">
        <Rename
          title={card.title}
          onDone={(to) => {
            setRenaming(false);
            if (to !== null && to !== card.title) void rename(card.id, to);
          }}
        />
      </li>
    );
  }
  return (
    <li class={open ? "item open" : "item"}>
      <a
        class="item-link"
        href={`#/c/${card.id}`}
        aria-current={open ? "page" : undefined}
        title={title}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          if (searching && card.message) void showMessage(card.id, card.message, query.peek());
          else go(card.id);
          closeDrawer();
        }}
        onDblClick={() => setRenaming(true)}
      >
        <span class="item-title">
          {running.value.has(card.id) && <span class="ember" />}
          <span>
            <Marked text={title} hits={card.title ? card.title_hits : []} />
          </span>
        </span>
        {searching && card.snippet && (
          <span class="item-snippet">
            <Marked text={card.snippet} hits={card.hits} />
          </span>
        )}
      </a>
      <Menu
        kind="menu"
        label={t.conversationMenu(title)}
        class="item-menu"
        button={(props) => <IconButton icon={Ellipsis} size={16} label={t.conversationMenu(title)} {...props} />}
      >
        {(close) => (
          <>
            <MenuItem icon={Pencil} label={t.rename} onClick={() => setRenaming(true)} />
            <MenuItem
              icon={FileText}
              label={t.exportMarkdown}
              onClick={() => {
                close();
                void exportFile(card.id, "markdown");
              }}
            />
            <MenuItem
              icon={Braces}
              label={t.exportJson}
              onClick={() => {
                close();
                void exportFile(card.id, "json");
              }}
            />
            <MenuItem
              icon={Trash2}
              label={t.deleteAction}
              danger
              onClick={() => {
                close();
                deleting.value = { id: card.id, title };
              }}
            />
          </>
        )}
      </Menu>
    </li>
  );
}

type IconNode = typeof Pencil;

function MenuItem({ icon, label, onClick, danger = false }: { icon: IconNode; label: string; onClick: () => void; danger?: boolean }) {
  return (
    <button type="button" role="menuitem" class={danger ? "menu-item danger" : "menu-item"} onClick={onClick}>
      <Icon of={icon} size={16} />
      {label}
    </button>
  );
}

function Rename({ title, onDone }: { title: string; onDone: (title: string | null) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  useEffect(() => input.current?.select(), []);
  const end = (to: string | null): void => {
    if (done.current) return; // Enter takes the field away, which blurs it
    done.current = true;
    onDone(to);
  };
  return (
    <input
      ref={input}
      class="field item-rename"
      defaultValue={title}
      aria-label={text.value.renameLabel}
      maxLength={200}
      onBlur={(event) => end(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.isComposing) return;
        if (event.key === "Enter") end(event.currentTarget.value);
        else if (event.key === "Escape") {
          event.stopPropagation();
          event.preventDefault();
          end(null);
        }
      }}
    />
  );
}
