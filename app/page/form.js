/** The request: prompt and image first, settings below, the rest folded. */

import { Field, FieldControl, helpOf } from "./fields.js";
import { html } from "./html.js";
import { ImageField } from "./image_field.js";
import { useEffect, useState } from "./vendor/hooks.js";

const WIDE = matchMedia("(min-width: 56rem)").matches;

export function Form({ pipeline, values, initial, picture, isBusy, setValue, choosePicture, reset, submit }) {
  const { image, prompt, main, more } = pipeline;
  const [isMissing, setMissing] = useState(false);
  useEffect(() => setMissing(false), [picture]);
  const controls = (fields) =>
    fields.map(
      (field) =>
        html`<${FieldControl} key=${field.name} field=${field} value=${values[field.name]}
          change=${(value) => setValue(field.name, value)} />`,
    );
  const onSubmit = (event) => {
    event.preventDefault();
    const lacksImage = Boolean(image?.required) && !picture;
    setMissing(lacksImage);
    if (lacksImage) event.currentTarget.querySelector(".image-field .drop").focus();
    else submit();
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.currentTarget.requestSubmit();
    }
  };
  const isChanged = [...main, ...more].some(({ name }) => values[name] !== initial[name]);
  const onReset = (event) => {
    // The button goes away; who uses the keyboard goes on from here.
    event.currentTarget.parentElement.querySelector("summary").focus();
    reset();
  };
  return html`<form class="composer" aria-label="Request" onSubmit=${onSubmit} onKeyDown=${onKeyDown} novalidate>
    ${image && html`<${ImageField} field=${image} ...${{ picture, isMissing }} change=${choosePicture} />`}
    ${prompt &&
    html`<${Field} field=${prompt}>
      <textarea id="prompt" class="prompt" rows="4" maxlength=${prompt.maxLength} autofocus=${WIDE}
        placeholder=${pipeline.example.prompt} value=${values.prompt} aria-describedby=${helpOf(prompt)}
        onInput=${({ target }) => setValue("prompt", target.value)} />
    <//>`}
    <button class="primary" aria-disabled=${isBusy}>Generate <kbd aria-hidden="true">Ctrl ↵</kbd></button>
    <div class="settings">
      <details open=${WIDE}>
        <summary>Settings</summary>
        <div class="fields">${controls(main)}</div>
      </details>
      ${isChanged &&
      html`<button type="button" class="quiet reset" aria-label="Reset the settings" onClick=${onReset}>Reset</button>`}
    </div>
    ${more.length > 0 &&
    html`<details>
      <summary>More settings</summary>
      <div class="fields">${controls(more)}</div>
    </details>`}
  </form>`;
}
