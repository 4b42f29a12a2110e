// A button that opens a panel below itself: closed by Escape, by a click elsewhere, by leaving it with Tab.

import type { ComponentChildren, JSX } from "preact";
import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

interface Props {
  /** Draws the button; `props` go onto it. */
  button: (props: Pick<JSX.IntrinsicElements["button"], "aria-expanded" | "aria-haspopup" | "onClick">, open: boolean) => ComponentChildren;
  children: (close: () => void) => ComponentChildren;
  kind: "menu" | "dialog";
  label: string;
  class?: string;
  /** Whether it is open, where other parts of the page may say so too. */
  state?: Signal<boolean>;
}

export function Menu({ button, children, kind, label, class: name, state }: Props) {
  const own = useSignal(false);
  const shown = state ?? own;
  const open = shown.value;
  const setOpen = (to: boolean): void => {
    shown.value = to;
  };
  const root = useRef<HTMLDivElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const close = (): void => {
    if (panel.current?.contains(document.activeElement)) root.current?.querySelector("button")?.focus();
    setOpen(false);
  };

  useEffect(() => {
    if (!open) return;
    place(root.current!, panel.current!);
    items(panel.current!)[0]?.focus();
    const elsewhere = (event: PointerEvent): void => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const escaped = (event: KeyboardEvent): void => {
      // The focus may have been on what is not there any more.
      if (event.key === "Escape" && document.activeElement === document.body) close();
    };
    addEventListener("pointerdown", elsewhere);
    addEventListener("keydown", escaped);
    return () => {
      removeEventListener("pointerdown", elsewhere);
      removeEventListener("keydown", escaped);
    };
  }, [open]);

  const onKeyDown = (event: KeyboardEvent): void => {
    if (!open) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
      return;
    }
    if (kind !== "menu") return;
    const all = items(panel.current!);
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all.at(to % all.length)?.focus();
  };

  return (
    <div
      class={`menu ${name ?? ""}`}
      ref={root}
      onKeyDown={onKeyDown}
      onFocusOut={(event) => {
        const to = event.relatedTarget as Node | null;
        if (to && !root.current?.contains(to)) setOpen(false);
      }}
    >
      {button({ "aria-expanded": open, "aria-haspopup": kind, onClick: () => setOpen(!open) }, open)}
      {open && (
        <div class="menu-panel" ref={panel} role={kind} aria-label={label}>
          {children(close)}
        </div>
      )}
    </div>
  );
}

function items(panel: HTMLElement): HTMLElement[] {
  return [...panel.querySelectorAll<HTMLElement>("button:not(:disabled), a[href], input:not(:disabled)")];
}

/** Opens upwards where there is no room below. */
function place(root: HTMLElement, panel: HTMLElement): void {
  const below = innerHeight - root.getBoundingClientRect().bottom;
  panel.classList.toggle("upwards", panel.offsetHeight + 12 > below && root.getBoundingClientRect().top > below);
}
