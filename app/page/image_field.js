/** The input image: dropped, pasted, picked from a file, or taken from an earlier result. */

import { html } from "./html.js";
import { Icon } from "./icons.js";
import { urlOf } from "./media.js";
import { useLayoutEffect, useRef, useState } from "./vendor/hooks.js";

export function ImageField({ field, picture, isMissing, change }) {
  const [isOver, setOver] = useState(false);
  const picker = useRef(null);
  usePastedImage(change);
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files, change);
  };
  const pick = ({ target }) => {
    take(target.files, change);
    target.value = "";
  };
  return html`<div class="field">
    <div class="image-field" data-over=${isOver} onDrop=${drop} title=${field.help}
      onDragOver=${(event) => (event.preventDefault(), setOver(true))} onDragLeave=${() => setOver(false)}>
      <input ref=${picker} id=${field.name} type="file" accept="image/*" hidden onChange=${pick} />
      ${picture && html`<img src=${urlOf(picture.blob)} alt="The image to start from" />`}
      <button type="button" class=${picture ? "quiet replace" : "drop"} aria-describedby="image-note"
        onClick=${() => picker.current.click()}>
        ${picture ? "Replace" : html`<${Icon} name="image" /><span>Drop, paste or <u>choose an image</u></span>`}
      </button>
      ${picture &&
      html`<button type="button" class="quiet square remove" aria-label="Remove the image"
        onClick=${() => change(null)}><${Icon} name="cancel" /></button>`}
    </div>
    ${isMissing && html`<p id="image-note" class="error-text" role="alert">Choose an image first</p>`}
    ${picture?.isScaled &&
    html`<p id="image-note" class="help muted">scaled to ${picture.width} × ${picture.height}</p>`}
  </div>`;
}

function take(files, change) {
  const image = [...files].find((file) => file.type.startsWith("image/"));
  if (image) change(image);
}

function usePastedImage(change) {
  useLayoutEffect(() => {
    const paste = (event) => take(event.clipboardData.files, change);
    document.addEventListener("paste", paste);
    return () => document.removeEventListener("paste", paste);
  }, [change]);
}
