// A file that goes along with a message, and how many tokens it takes.

import { CircleAlert, FileText, X } from "lucide";
import type { Attachment } from "../api/types";
import { text } from "../i18n";
import type { Failure } from "../state/notices";
import { IconButton } from "./Button";
import { Icon } from "./Icon";

interface Props {
  name: string;
  attachment: Attachment | null;
  failure?: Failure | null;
  onRemove?: () => void;
}

export function AttachmentChip({ name, attachment, failure = null, onRemove }: Props) {
  const t = text.value;
  const facts = attachment && [attachment.pages ? t.pages(attachment.pages) : "", attachment.tokens ? t.tokens(attachment.tokens) : ""].filter(Boolean).join(" · ");
  return (
    <li class={failure ? "chip failed" : "chip"} title={attachment?.preview ?? name}>
      {!attachment && !failure ? <span class="spinner" /> : <Icon of={failure ? CircleAlert : FileText} size={17} />}
      <span class="chip-text">
        <span class="chip-name">{name}</span>
        <span class="chip-facts" role={failure ? "alert" : undefined}>
          {failure ? [failure.message, failure.hint].filter(Boolean).join(" ") : (facts ?? t.reading1)}
        </span>
      </span>
      {onRemove && <IconButton icon={X} size={14} label={t.removeAttachment(name)} onClick={onRemove} />}
    </li>
  );
}
