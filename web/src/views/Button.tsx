// A button that shows an icon and says in words what it does.

import type { IconNode } from "lucide";
import type { ComponentChildren, JSX, Ref } from "preact";
import { Icon } from "./Icon";

interface Props extends Omit<JSX.IntrinsicElements["button"], "ref" | "label" | "icon"> {
  icon: IconNode;
  label: string;
  /** The shortcut, told to assistive technology and in the tooltip. */
  keys?: string;
  size?: number;
  buttonRef?: Ref<HTMLButtonElement>;
  children?: ComponentChildren;
}

export function IconButton({ icon, label, keys, size, buttonRef, children, class: name, ...rest }: Props) {
  return (
    <button
      type="button"
      aria-label={label}
      title={keys ? `${label} (${keys})` : label}
      {...rest}
      class={`icon-button ${name ?? ""}`}
      {...(buttonRef ? { ref: buttonRef } : {})}
    >
      <Icon of={icon} {...(size ? { size } : {})} />
      {children}
    </button>
  );
}
