// Deleting cannot be undone, so it is asked for twice.

import { text } from "../i18n";
import { remove } from "../state/library";
import { deleting } from "../state/ui";
import { Dialog } from "./Dialog";

export function DeleteDialog() {
  const t = text.value;
  const target = deleting.value!;
  const close = (): void => {
    deleting.value = null;
  };
  return (
    <Dialog title={t.deleteTitle} closeLabel={t.close} onClose={close} class="narrow">
      <p>{t.deleteBody(target.title)}</p>
      <div class="dialog-actions">
        <button type="button" class="button" autofocus onClick={close}>
          {t.cancel}
        </button>
        <button
          type="button"
          class="button danger"
          onClick={() => {
            void remove(target.id);
            close();
          }}
        >
          {t.deleteConfirm}
        </button>
      </div>
    </Dialog>
  );
}
