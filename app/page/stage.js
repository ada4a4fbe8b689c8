/** Where the picture appears: its box is reserved by proportion, so that nothing jumps. */

import { duration } from "./format.js";
import { html } from "./html.js";
import { isOver } from "./job.js";
import { isVideo, urlOf } from "./media.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";

const PROMPTS = [
  "a red house by the sea at sunset",
  "green hills at noon with clouds",
  "a boat on the sea at night with a crescent moon",
];
const OFFERED = 3;

/** A frame of width × height, as large as there is room; small pictures are enlarged a little. */
export function Frame({ width, height, children, ...rest }) {
  return html`<div class="frame" style=${proportions(width, height)} ...${rest}>${children}</div>`;
}

function proportions(width, height) {
  return { "--width": width, "--height": height };
}

/** Nothing was made yet; where there is a prompt, some to begin with are offered. */
export function Empty({ pipeline, size, fill }) {
  const prompts = [...new Set([pipeline.example.prompt, ...PROMPTS].filter(Boolean))].slice(0, OFFERED);
  return html`<${Frame} ...${size} data-state="empty">
    <div class="hint">
      <p>${pipeline.description}</p>
      ${pipeline.prompt &&
      prompts.map(
        (prompt) => html`<button type="button" class="quiet wrap" onClick=${() => fill(prompt)}>${prompt}</button>`,
      )}
    </div>
  <//>`;
}

/** One finished picture or video. */
export function Media({ item, label, elementRef }) {
  const source = { src: urlOf(item.blob), ref: elementRef };
  if (!isVideo(item.blob)) return html`<img ...${source} alt=${label} />`;
  return html`<video ...${source} aria-label=${label} controls loop autoplay muted playsinline />`;
}

/** A job on its way: queued, running with a preview, failed or cancelled. */
export function Working({ job, size, health, cancel }) {
  const elapsed = useElapsed(job);
  return html`<${Frame} ...${size} data-state=${job.phase}>
      ${job.preview && html`<img class="preview" src=${job.preview} alt="How it looks so far" />`}
      ${!job.preview && !isOver(job) && html`<div class="shimmer" />`}
      ${job.phase === "cancelled" && html`<p class="hint">Cancelled.</p>`}
      ${job.error && html`<p class="error" role="alert">${job.error}</p>`}
    <//>
    ${!isOver(job) &&
    html`<div class="progress" style=${proportions(size.width, size.height)}>
      <progress max="1" value=${job.steps ? job.step / job.steps : null} aria-label="Progress" />
      <div class="row between">
        <span>${describe(job, health)}</span>
        <span class="row">
          <span class="muted elapsed" aria-hidden="true">${duration(elapsed)}</span>
          <button type="button" class="quiet" disabled=${!job.id} onClick=${cancel}>Cancel</button>
        </span>
      </div>
    </div>`}`;
}

/** Says aloud what changes, but not every single step. Always there: a new region is not heard. */
export function Announcer({ job, health, said }) {
  return html`<p class="visually-hidden" aria-live="polite">${job ? aloud(job, health) : said}</p>`;
}

function aloud(job, health) {
  const quarter = job.steps ? Math.floor((4 * job.step) / job.steps) : 0;
  return job.phase === "running" && quarter ? `${25 * quarter} per cent` : describe(job, health);
}

function describe(job, health) {
  if (job.isLost) return "The service cannot be reached; trying again";
  switch (job.phase) {
    case "opening":
      return "Opening the job";
    case "sending":
      return "Sending the request";
    case "queued":
      if (health === "LOADING") return "The model is loading; the request waits";
      return job.position ? `Queued: ${job.position} in front` : "Queued: next in line";
    case "running":
      return job.step ? `Step ${job.step} of ${job.steps}` : "Starting";
    case "done":
      return "Done";
    case "cancelled":
      return "Cancelled";
    default:
      return "";
  }
}

/** Seconds since the request was sent, ten times a second while the job is on its way. */
function useElapsed(job) {
  const [, tick] = useState(0);
  const first = useRef(Date.now());
  const isRunning = !isOver(job);
  useEffect(() => {
    if (!isRunning) return undefined;
    const timer = setInterval(() => tick((count) => count + 1), 100);
    return () => clearInterval(timer);
  }, [isRunning]);
  return (Date.now() - (job.request.sentAt ?? first.current)) / 1000;
}
