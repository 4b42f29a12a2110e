// What the user said: with its files, its versions, and a way to say it differently.

import { Copy, Pencil } from "lucide";
import { memo } from "preact/compat";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Message } from "../api/types";
import { text } from "../i18n";
import { answering, ask } from "../state/chat";
import { connected } from "../state/connection";
import { editing, focusInput } from "../state/ui";
import { BranchSwitch } from "./BranchSwitch";
import { IconButton } from "./Button";
import { AttachmentChip } from "./AttachmentChip";
import { grow } from "./grow";
import { Pictures } from "./Pictures";
import { copy } from "./Markdown";
import { When } from "./When";

export const UserMessage = memo(function UserMessage({ message }: { message: Message }) {
  const t = text.value;
  if (editing.value === message.id) return <Editor message={message} />;
  const pictures = message.attachments.filter((attachment) => attachment.picture);
  const files = message.attachments.filter((attachment) => !attachment.picture);
  return (
    <article class="message user" data-message={message.id} aria-label={t.you}>
      {pictures.length > 0 && <Pictures pictures={pictures} />}
      {files.length > 0 && (
        <ul class="chips" aria-label={t.attachments}>
          {files.map((attachment) => (
            <AttachmentChip key={attachment.id} name={attachment.name} attachment={attachment} />
          ))}
        </ul>
      )}
      {message.content && (
        <div class="bubble" dir="auto">
          {message.content}
        </div>
      )}
      <div class="message-actions">
        <When at={message.created} />
        <BranchSwitch message={message} />
        {message.content && <IconButton icon={Copy} size={15} label={t.copy} onClick={() => void copy(message.content)} />}
        <IconButton icon={Pencil} size={15} label={t.edit} disabled={answering.value !== null} onClick={() => (editing.value = message.id)} />
      </div>
    </article>
  );
});

function Editor({ message }: { message: Message }) {
  const t = text.value;
  const [content, setContent] = useState(message.content);
  const [attachments, setAttachments] = useState(message.attachments);
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const element = box.current!;
    element.focus();
    element.setSelectionRange(element.value.length, element.value.length);
    element.closest("article")!.scrollIntoView({ block: "nearest" });
  }, []);
  useEffect(() => grow(box.current!), [content]);
  const ready = (content.trim() !== "" || attachments.length > 0) && answering.value === null && connected.value;
  const close = (): void => {
    editing.value = null;
    focusInput();
  };
  const save = async (): Promise<void> => {
    if (ready && (await ask(content.trim(), attachments, message.parent))) close();
  };
  return (
    <article class="message user editing" aria-label={t.you}>
      {attachments.length > 0 && (
        <ul class="chips" aria-label={t.attachments}>
          {attachments.map((attachment) => (
            <AttachmentChip
              key={attachment.id}
              name={attachment.name}
              attachment={attachment}
              onRemove={() => setAttachments(attachments.filter((other) => other !== attachment))}
            />
          ))}
        </ul>
      )}
      <textarea
        ref={box}
        class="field"
        aria-label={t.editLabel}
        value={content}
        dir="auto"
        rows={1}
        onInput={(event) => setContent(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.isComposing) return;
          if (event.key === "Enter" && !event.shiftKey) {
            event.preventDefault();
            void save();
          } else if (event.key === "Escape") {
            event.preventDefault();
            event.stopPropagation();
            close();
          }
        }}
      />
      <div class="editor-actions">
        <button type="button" class="button quiet" onClick={close}>
          {t.cancel}
        </button>
        <button type="button" class="button primary" disabled={!ready} onClick={() => void save()}>
          {t.saveAndAsk}
        </button>
      </div>
    </article>
  );
}
