/** Request and response as JSON, and the same call in other languages, ready to copy. */

import { copyText } from "./clipboard.js";
import { html } from "./html.js";
import { Action } from "./result.js";
import { readable, snippets } from "./snippets.js";
import { useId, useState } from "./vendor/hooks.js";

/** @param {?object} props.input null where nobody knows what was asked for */
export function Code({ pipeline, input, response, needsToken }) {
  const [chosen, choose] = useState("Request");
  const panel = useId();
  const url = new URL(pipeline.name, document.baseURI).href;
  const texts = {
    ...(input && { Request: readable(input) }),
    ...(response && { Response: readable(response) }),
    ...(input && snippets({ url, input, isMultipart: pipeline.isMultipart, needsToken })),
  };
  const name = chosen in texts ? chosen : Object.keys(texts)[0];
  return html`<details class="code">
    <summary>Code</summary>
    <div class="row between">
      <div class="tabs" role="tablist" aria-label="Language" onKeyDown=${moveFocus}>
        ${Object.keys(texts).map(
          (tab) =>
            html`<button type="button" role="tab" aria-selected=${tab === name} aria-controls=${panel}
              tabindex=${tab === name ? 0 : -1} onClick=${() => choose(tab)}>${tab}</button>`,
        )}
      </div>
      <${Action} icon="copy" label="Copy" work=${() => copyText(texts[name])} />
    </div>
    <pre id=${panel} role="tabpanel" aria-label=${name} tabindex="0"><code>${texts[name]}</code></pre>
  </details>`;
}

/** Arrow keys go from tab to tab. */
function moveFocus(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const tabs = [...event.currentTarget.children];
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
  next.focus();
  next.click();
}
