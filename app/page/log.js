/** The last lines of the service's log: all, those of one job, or those with some text. */

import { html } from "./html.js";
import { useEffect, useState } from "./vendor/hooks.js";

const PAUSE = 250;

export function Log({ lines, filter, setFilter }) {
  return html`<section class="card log" aria-labelledby="log-title">
    <div class="row between">
      <h2 id="log-title">Log</h2>
      <div class="row filters">
        <${FilterField} label="Job" placeholder="All jobs" value=${filter.job}
          change=${(job) => setFilter((known) => ({ ...known, job }))} />
        <${FilterField} label="Text" placeholder="Any text" value=${filter.text}
          change=${(text) => setFilter((known) => ({ ...known, text }))} />
      </div>
    </div>
    ${lines.length === 0
      ? html`<p class="muted">No lines.</p>`
      : html`<div class="lines" tabindex="0" role="log" aria-labelledby="log-title">
          ${lines.toReversed().map(
            (line) => html`<${Line} key=${`${line.time} ${line.text}`} line=${line}
              show=${() => setFilter((known) => ({ ...known, job: line.job }))} />`,
          )}
        </div>`}
  </section>`;
}

function Line({ line, show }) {
  const time = new Date(1000 * line.time);
  return html`<p class="line" data-level=${line.level}>
    <time class="muted" datetime=${time.toISOString()} title=${time.toLocaleString()}>${time.toLocaleTimeString()}</time>
    <span class="level">${line.level.toLowerCase()}</span>
    <span>${line.job ? linked(line, show) : line.text}</span>
  </p>`;
}

/** The text, its job's id a button that shows only that job's lines. */
function linked({ text, job }, show) {
  const [before, ...after] = text.split(job);
  return html`${before}<button type="button" class="link" onClick=${show}>${job}</button>${after.join(job)}`;
}

/** A field that waits until its user pauses. */
function FilterField({ label, placeholder, value, change }) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed === value) return undefined;
    const timer = setTimeout(() => change(typed), PAUSE);
    return () => clearTimeout(timer);
  }, [typed]);
  return html`<input type="search" aria-label="${label} of the log lines" placeholder=${placeholder}
    value=${typed} onInput=${({ target }) => setTyped(target.value.trim())} />`;
}
