/** A finished job: its pictures or video, what made them, and what to do with them. */

import { toPng } from "./canvas.js";
import { CAN_COPY_PICTURES, copyImage, copyText } from "./clipboard.js";
import { duration } from "./format.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { extensionOf, isVideo, ownPath, urlOf } from "./media.js";
import { Frame, Media } from "./stage.js";
import { useRef, useState } from "./vendor/hooks.js";

export function ResultView({ result, pipeline, model, useAsInput, reuse }) {
  const [selected, select] = useState(0);
  const element = useRef(null);
  const item = result.media[selected] ?? result.media[0];
  const label = result.input?.prompt || pipeline.title;
  return html`<article class="result" aria-label="Result">
    <${Frame} width=${result.width} height=${result.height} data-state="done">
      <${Media} key=${urlOf(item.blob)} item=${item} label=${label} elementRef=${element} />
    <//>
    ${result.media.length > 1 &&
    html`<div class="row thumbs" role="group" aria-label="Images of this request">
      ${result.media.map(
        ({ blob }, index) =>
          html`<button type="button" class="thumb" aria-pressed=${index === selected}
            aria-label="Image ${index + 1}" onClick=${() => select(index)}>
            <img src=${urlOf(blob)} alt="" /></button>`,
      )}
    </div>`}
    <${Facts} ...${{ result, item, model }} />
    <${Actions} ...${{ result, item, selected, element, pipeline, useAsInput, reuse }} />
  </article>`;
}

function Facts({ result, item, model }) {
  const facts = [
    ["Seed", item.seed],
    ["Size", `${result.width} × ${result.height}`],
    ["Generated in", duration(result.executionSeconds)],
    ["Waited", duration(result.queueSeconds)],
    ...((result.model ?? model) === model ? [] : [["Model", result.model]]),
  ];
  return html`<dl class="facts">
    ${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
    ${item.nsfw && html`<div class="flag"><dt>Safety</dt><dd>flagged</dd></div>`}
  </dl>`;
}

function Actions({ result, item, selected, element, pipeline, useAsInput, reuse }) {
  const name = `${result.id}-${selected}.${extensionOf(item.blob)}`;
  const link = shareUrl(result, selected);
  // The moment that a video shows, or the picture itself.
  const picture = () => (isVideo(item.blob) ? toPng(element.current) : item.blob);
  return html`<div class="row actions">
    <a class="button" href=${urlOf(item.blob)} download=${name}><${Icon} name="download" />Download</a>
    ${CAN_COPY_PICTURES && !isVideo(item.blob) &&
    html`<${Action} icon="copy" label="Copy" work=${() => copyImage(item.blob)} />`}
    ${link && html`<${Action} icon="share" label="Copy link" work=${() => copyText(link)} />`}
    ${pipeline.image &&
    html`<${Action} icon="image" label="Use as input" work=${async () => useAsInput(await picture())} />`}
    ${result.input
      ? html`<${Action} icon="reuse" label="Reuse settings" work=${() => reuse.all(result, item.seed)} />`
      : html`<${Action} icon="reuse" label="Use this seed" work=${() => reuse.seed(item.seed)} />`}
  </div>`;
}

/** A button that says whether its work was done. */
export function Action({ icon, label, work }) {
  const [outcome, setOutcome] = useState("");
  const act = async () => {
    try {
      await work();
      setOutcome("done");
    } catch (error) {
      setOutcome(error.message);
    }
    setTimeout(() => setOutcome(""), 2500);
  };
  const failed = outcome && outcome !== "done";
  return html`<button type="button" class="quiet" onClick=${act}>
    <${Icon} name=${outcome === "done" ? "check" : icon} />${label}
    <span role="status" class=${failed ? "error-text" : "visually-hidden"}>${outcome}</span>
  </button>`;
}

/** Where anyone may see it, as long as the service keeps it; "" if it has no address. */
function shareUrl(result, index) {
  const url = result.urls[index];
  return url ? new URL(ownPath(url), document.baseURI).href : "";
}
