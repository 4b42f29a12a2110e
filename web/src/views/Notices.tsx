// Failures and short confirmations, at the edge of the page until they are read.

import { CircleAlert, CircleCheck, X } from "lucide";
import { text } from "../i18n";
import { dismiss, notices } from "../state/notices";
import { IconButton } from "./Button";
import { Icon } from "./Icon";

export function Notices() {
  return (
    <div class="notices">
      {notices.value.map((notice) => (
        <div key={notice.id} class={`notice ${notice.kind}`} role={notice.kind === "error" ? "alert" : "status"}>
          <Icon of={notice.kind === "error" ? CircleAlert : CircleCheck} />
          <div class="notice-text">
            <strong>{notice.message}</strong>
            {notice.hint && <span>{notice.hint}</span>}
          </div>
          <IconButton icon={X} size={15} label={text.value.dismiss} onClick={() => dismiss(notice.id)} />
        </div>
      ))}
    </div>
  );
}
