/** Earlier results as small pictures. */

import { moment } from "./format.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { isVideo, urlOf } from "./media.js";

export function Gallery({ history, shown, show, remove, clear }) {
  if (history.length === 0) return null;
  return html`<section class="gallery" aria-labelledby="history-title">
    <div class="row between">
      <h2 id="history-title">History</h2>
      <button type="button" class="quiet" onClick=${clear}><${Icon} name="trash" />Clear</button>
    </div>
    <ul>
      ${history.map(
        (result) =>
          html`<li key=${result.id}>
            <button type="button" class="thumb" aria-pressed=${result.id === shown}
              aria-label=${nameOf(result)} title=${nameOf(result)} onClick=${() => show(result)}>
              <${Thumbnail} blob=${result.thumbnail ?? result.media[0].blob} />
            </button>
            <button type="button" class="square remove" aria-label="Remove: ${nameOf(result)}"
              onClick=${(event) => (focusNext(event.currentTarget), remove(result))}><${Icon} name="cancel" /></button>
          </li>`,
      )}
    </ul>
  </section>`;
}

function Thumbnail({ blob }) {
  return isVideo(blob)
    ? html`<video src=${urlOf(blob)} muted preload="metadata" tabindex="-1" />`
    : html`<img src=${urlOf(blob)} alt="" loading="lazy" decoding="async" />`;
}

/** The button goes away with its picture; who uses the keyboard goes on at the next one. */
function focusNext(button) {
  const tile = button.closest("li");
  const next = tile.nextElementSibling ?? tile.previousElementSibling;
  next?.querySelector(".thumb").focus({ preventScroll: true });
}

function nameOf({ input, at }) {
  return `${input?.prompt || "Result"}, ${moment(at)}`;
}
