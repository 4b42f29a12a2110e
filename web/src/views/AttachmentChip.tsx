// A file that goes along with a message, and how many tokens it takes; of a picture a small one of it.

import { CircleAlert, FileText, X } from "lucide";
import type { Attachment } from "../api/types";
import { text } from "../i18n";
import type { Failure } from "../state/notices";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { usePicture } from "./usePicture";

interface Props {
  name: string;
  attachment: Attachment | null;
  failure?: Failure | null;
  /** A blob: address, of a picture that is being sent. */
  url?: string | null;
  onRemove?: () => void;
}

export function AttachmentChip({ name, attachment, failure = null, url = null, onRemove }: Props) {
  const t = text.value;
  const kept = usePicture(url === null && attachment?.picture ? attachment : null, null);
  const picture = url ?? kept.url;
  const facts = attachment && [attachment.pages ? t.pages(attachment.pages) : "", attachment.tokens ? t.tokens(attachment.tokens) : ""].filter(Boolean).join(" · ");
  const waits = !attachment && !failure;
  return (
    <li class={`chip ${failure ? "failed" : ""} ${picture ? "with-picture" : ""}`} title={attachment?.preview || name}>
      {picture && <img class="chip-picture" src={picture} alt="" decoding="async" draggable={false} />}
      {waits ? <span class="spinner" /> : (!picture || failure) && <Icon of={failure ? CircleAlert : FileText} size={17} />}
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
