// The pictures of a message at reading size, and one of them large.

import { ChevronLeft, ChevronRight, ImageOff } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import type { Attachment } from "../api/types";
import { locale, text } from "../i18n";
import { bytes } from "../numbers";
import { viewing } from "../state/ui";
import { IconButton } from "./Button";
import { Dialog } from "./Dialog";
import { Icon } from "./Icon";
import { usePicture } from "./usePicture";

/** Beyond this, a picture that is far wider than tall (or taller than wide) is cut at its ends until it is opened. */
const MAX_ASPECT = 3;

export function Pictures({ pictures }: { pictures: Attachment[] }) {
  return (
    <ul class={pictures.length > 1 ? "pictures several" : "pictures"} aria-label={text.value.sight}>
      {pictures.map((picture, at) => (
        <li key={picture.id}>
          <Tile picture={picture} onOpen={() => (viewing.value = { pictures, at })} />
        </li>
      ))}
    </ul>
  );
}

function Tile({ picture, onOpen }: { picture: Attachment; onOpen: () => void }) {
  const t = text.value;
  const place = useRef<HTMLButtonElement>(null);
  const { url, failed } = usePicture(picture, place);
  const { width, height } = picture.picture!;
  const aspect = Math.min(Math.max(width / height, 1 / MAX_ASPECT), MAX_ASPECT);
  return (
    <button
      ref={place}
      type="button"
      class="picture-tile"
      // The room is there before the picture is, so nothing moves when it comes.
      style={{ "--aspect": String(aspect), "--width": String(width) }}
      title={failed ? picture.name : t.enlarge}
      disabled={failed}
      onClick={onOpen}
    >
      {url && <img src={url} alt={picture.name} decoding="async" draggable={false} />}
      {failed && (
        <span class="picture-failed">
          <Icon of={ImageOff} size={22} />
          {t.pictureFailed}
        </span>
      )}
      {!url && !failed && <span class="visually-hidden">{picture.name}</span>}
    </button>
  );
}

/** One picture large; the others of its message are a key away. */
export function PictureDialog() {
  const t = text.value;
  const { pictures, at } = viewing.value!;
  const shown = pictures[at]!;
  const { url } = usePicture(shown, null);
  const { width, height, size_bytes } = shown.picture!;
  const go = (to: number): void => {
    if (pictures[to]) viewing.value = { pictures, at: to };
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) go(at + by);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [at]);
  return (
    <Dialog title={shown.name} closeLabel={text.value.close} onClose={() => (viewing.value = null)} class="picture-dialog">
      <div class="picture-frame">
        {url ? <img src={url} alt={shown.name} style={{ aspectRatio: `${width} / ${height}` }} /> : <span class="spinner" />}
      </div>
      <p class="picture-facts">
        {/* Not disabled: the focus would be lost, and would not go back to the picture when this is closed. */}
        {pictures.length > 1 && <IconButton icon={ChevronLeft} label={t.previousPicture} aria-disabled={at === 0} onClick={() => go(at - 1)} />}
        <span aria-live="polite">
          {[pictures.length > 1 ? t.pictureOf(at + 1, pictures.length) : "", t.pictureSize(width, height), bytes(size_bytes, locale.value)]
            .filter(Boolean)
            .join(" · ")}
        </span>
        {pictures.length > 1 && (
          <IconButton icon={ChevronRight} label={t.nextPicture} aria-disabled={at === pictures.length - 1} onClick={() => go(at + 1)} />
        )}
      </p>
    </Dialog>
  );
}
