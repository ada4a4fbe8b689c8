/** Copying, on plain http pages as far as browsers allow it there. */

import { toPng } from "./canvas.js";

/** Whether pictures can be copied: browsers keep that for https. */
export const CAN_COPY_PICTURES = isSecureContext;

export function copyText(text) {
  return isSecureContext ? navigator.clipboard.writeText(text) : copySelected(text);
}

export function copyImage(blob) {
  return navigator.clipboard.write([new ClipboardItem({ "image/png": toPng(blob) })]);
}

/** The old way: text that is selected, in a field that nobody sees. */
function copySelected(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.className = "visually-hidden";
  field.value = text;
  document.body.append(field);
  field.focus({ preventScroll: true });
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  focused?.focus({ preventScroll: true });
  if (!isCopied) throw new Error("the browser allows copying on https pages only");
}
