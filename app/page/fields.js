/** One control per parameter, by its kind in the schema. */

import { html } from "./html.js";
import { Icon } from "./icons.js";

const SEEDS = 2 ** 32;

/** @param {{field: import("./schema.js").Field, value: *, change: (value: *) => void}} props */
export function FieldControl(props) {
  if (props.field.name === "seed") return html`<${SeedField} ...${props} />`;
  if (props.field.kind === "boolean") return html`<${SwitchField} ...${props} />`;
  if (props.field.kind === "choice") return html`<${ChoiceField} ...${props} />`;
  if (props.field.kind === "text") return html`<${TextField} ...${props} />`;
  return html`<${NumberField} ...${props} />`;
}

function Label({ field }) {
  return html`<label class="label" for=${field.name} title=${field.help}>${field.label}</label>`;
}

function NumberField({ field, value, change }) {
  const { name, label, help, min, max, step, range } = field;
  const [low, high] = range;
  const share = Math.min(Math.max((Number(value) - low) / (high - low), 0), 1);
  const onInput = (event) => {
    if (event.target.value !== "") change(Number(event.target.value));
  };
  return html`<div class="field" title=${help}>
    <div class="row between">
      <${Label} field=${field} />
      <input id=${name} class="number" type="number" inputmode="decimal" ...${{ min, max }}
        step=${step === 0.01 ? "any" : step} value=${value} onInput=${onInput} />
    </div>
    ${low < high &&
    html`<input type="range" aria-label="${label}, slider" min=${low} max=${high} step=${step}
      value=${value} style=${{ "--share": share }} onInput=${onInput} />`}
  </div>`;
}

function SeedField({ field, value, change }) {
  const isLocked = value !== "";
  const roll = () => change(Math.floor(Math.random() * SEEDS));
  const onInput = ({ target }) => change(target.value === "" ? "" : Number(target.value));
  return html`<div class="field" title=${field.help}>
    <div class="row between">
      <${Label} field=${field} />
      <span class="row tight">
        <input id="seed" class="number seed" type="number" inputmode="numeric" placeholder="random"
          min=${field.min} max=${field.max} value=${value} onInput=${onInput} />
        <button type="button" class="quiet square" aria-label="Roll the dice for a seed"
          title="Roll the dice" onClick=${roll}><${Icon} name="dice" /></button>
        <button type="button" class="quiet square" aria-pressed=${isLocked} aria-label="Keep this seed"
          title=${isLocked ? "Kept: press for a random seed each time" : "Random each time: press to keep one"}
          onClick=${isLocked ? () => change("") : roll}>
          <${Icon} name=${isLocked ? "locked" : "unlocked"} />
        </button>
      </span>
    </div>
  </div>`;
}

function SwitchField({ field, value, change }) {
  return html`<div class="field row between" title=${field.help}>
    <${Label} field=${field} />
    <input id=${field.name} type="checkbox" role="switch" checked=${value}
      onChange=${({ target }) => change(target.checked)} />
  </div>`;
}

function ChoiceField({ field, value, change }) {
  return html`<div class="field row between" title=${field.help}>
    <${Label} field=${field} />
    <select id=${field.name} value=${value} onChange=${({ target }) => change(target.value)}>
      ${field.choices.map((choice) => html`<option value=${choice}>${choice}</option>`)}
    </select>
  </div>`;
}

function TextField({ field, value, change }) {
  return html`<div class="field" title=${field.help}>
    <${Label} field=${field} />
    <textarea id=${field.name} rows="2" maxlength=${field.maxLength} value=${value}
      onInput=${({ target }) => change(target.value)} />
  </div>`;
}
