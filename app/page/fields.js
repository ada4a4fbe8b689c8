/** One control per parameter, by its kind in the schema. */

import { html } from "./html.js";
import { Icon } from "./icons.js";
import { useState } from "./vendor/hooks.js";

const SEEDS = 2 ** 32;

/** @param {{field: import("./schema.js").Field, value: *, change: (value: *) => void}} props */
export function FieldControl(props) {
  if (props.field.name === "seed") return html`<${SeedField} ...${props} />`;
  if (props.field.kind === "boolean") return html`<${SwitchField} ...${props} />`;
  if (props.field.kind === "choice") return html`<${ChoiceField} ...${props} />`;
  if (props.field.kind === "text") return html`<${TextField} ...${props} />`;
  return html`<${NumberField} ...${props} />`;
}

/**
 * A parameter's name, a control beside it or below, and what it means: read to those who hear the
 * page, shown to all others when they ask.
 */
export function Field({ field, control, children }) {
  const [isExplained, explain] = useState(false);
  const { name, label, help } = field;
  return html`<div class="field" title=${help}>
    <div class="row between">
      <span class="row tight">
        <label class="label" for=${name}>${label}</label>
        ${help &&
        html`<button type="button" class="explain" aria-label="About: ${label}" aria-expanded=${isExplained}
          aria-controls=${helpOf(field)} onClick=${() => explain(!isExplained)}>?</button>`}
      </span>
      ${control}
    </div>
    ${children}
    ${help && html`<p id=${helpOf(field)} class="help muted" hidden=${!isExplained}>${help}</p>`}
  </div>`;
}

/** The id of a field's explanation, for `aria-describedby`; null without one. */
export function helpOf({ name, help }) {
  return help ? `${name}-help` : null;
}

function NumberField({ field, value, change }) {
  const { name, label, initial, min, max, step, range } = field;
  const [low, high] = range;
  const shown = value === "" ? (initial ?? low) : value;
  const share = Math.min(Math.max((Number(shown) - low) / (high - low), 0), 1);
  const onInput = ({ target }) => change(target.value === "" ? "" : Number(target.value));
  const restore = () => {
    if (value === "" && initial !== undefined) change(initial);
  };
  const control = html`<input id=${name} class="number" type="number" inputmode="decimal" ...${{ min, max }}
    step=${step === 0.01 ? "any" : step} value=${value} aria-describedby=${helpOf(field)}
    onInput=${onInput} onBlur=${restore} />`;
  return html`<${Field} field=${field} control=${control}>
    ${low < high &&
    html`<input type="range" aria-label="${label}, slider" min=${low} max=${high} step=${step}
      value=${shown} style=${{ "--share": share }} onInput=${onInput} />`}
  <//>`;
}

function SeedField({ field, value, change }) {
  const isLocked = value !== "";
  const roll = () => change(Math.floor(Math.random() * SEEDS));
  const onInput = ({ target }) => change(target.value === "" ? "" : Number(target.value));
  const control = html`<span class="row tight">
    <input id="seed" class="number seed" type="number" inputmode="numeric" placeholder="random"
      min=${field.min} max=${field.max} value=${value} aria-describedby=${helpOf(field)} onInput=${onInput} />
    <button type="button" class="quiet square" aria-label="Roll the dice for a seed"
      title="Roll the dice" onClick=${roll}><${Icon} name="dice" /></button>
    <button type="button" class="quiet square" aria-pressed=${isLocked} aria-label="Keep this seed"
      title=${isLocked ? "Kept: press for a random seed each time" : "Random each time: press to keep one"}
      onClick=${isLocked ? () => change("") : roll}>
      <${Icon} name=${isLocked ? "locked" : "unlocked"} />
    </button>
  </span>`;
  return html`<${Field} field=${field} control=${control} />`;
}

function SwitchField({ field, value, change }) {
  const control = html`<input id=${field.name} type="checkbox" role="switch" checked=${value}
    aria-describedby=${helpOf(field)} onChange=${({ target }) => change(target.checked)} />`;
  return html`<${Field} field=${field} control=${control} />`;
}

function ChoiceField({ field, value, change }) {
  const control = html`<select id=${field.name} value=${value} aria-describedby=${helpOf(field)}
    onChange=${({ target }) => change(target.value)}>
    ${field.choices.map((choice) => html`<option value=${choice}>${choice}</option>`)}
  </select>`;
  return html`<${Field} field=${field} control=${control} />`;
}

function TextField({ field, value, change }) {
  return html`<${Field} field=${field}>
    <textarea id=${field.name} rows="2" maxlength=${field.maxLength} value=${value}
      aria-describedby=${helpOf(field)} onInput=${({ target }) => change(target.value)} />
  <//>`;
}
