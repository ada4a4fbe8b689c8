/** The request: prompt and image first, settings below, the rest folded. */

import { FieldControl } from "./fields.js";
import { html } from "./html.js";
import { ImageField } from "./image_field.js";

const WIDE = matchMedia("(min-width: 56rem)").matches;

export function Form({ pipeline, values, image, isBusy, setValue, setImage, submit }) {
  const { prompt, main, more } = pipeline;
  const controls = (fields) =>
    fields.map(
      (field) =>
        html`<${FieldControl} key=${field.name} field=${field} value=${values[field.name]}
          change=${(value) => setValue(field.name, value)} />`,
    );
  const onSubmit = (event) => {
    event.preventDefault();
    submit();
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.currentTarget.requestSubmit();
    }
  };
  return html`<form class="composer" aria-label="Request" onSubmit=${onSubmit} onKeyDown=${onKeyDown} novalidate>
    ${pipeline.image && html`<${ImageField} field=${pipeline.image} image=${image} change=${setImage} />`}
    ${prompt &&
    html`<label class="visually-hidden" for="prompt">${prompt.label}</label>
      <textarea id="prompt" class="prompt" rows="4" maxlength=${prompt.maxLength} autofocus=${WIDE}
        placeholder=${pipeline.example.prompt ?? prompt.help} value=${values.prompt}
        title=${prompt.help} onInput=${({ target }) => setValue("prompt", target.value)} />`}
    <button class="primary" aria-disabled=${isBusy}>Generate <kbd aria-hidden="true">Ctrl ↵</kbd></button>
    <details open=${WIDE}>
      <summary>Settings</summary>
      <div class="fields">${controls(main)}</div>
    </details>
    ${more.length > 0 &&
    html`<details>
      <summary>More settings</summary>
      <div class="fields">${controls(more)}</div>
    </details>`}
  </form>`;
}
