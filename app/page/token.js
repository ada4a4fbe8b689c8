/** The box that asks for the service's token; open only while a request waits for one. */

import { html } from "./html.js";
import { render } from "./vendor/preact.js";

export class TokenDialog {
  #answer = null;

  /** The token that the user enters, "" if they close the box. Asked twice, it asks once. */
  ask() {
    this.#answer ??= this.#open().finally(() => (this.#answer = null));
    return this.#answer;
  }

  #open() {
    const dialog = document.createElement("dialog");
    dialog.className = "token";
    dialog.setAttribute("aria-labelledby", "token-title");
    document.body.append(dialog);
    return new Promise((resolve) => {
      const finish = (token) => {
        dialog.remove();
        resolve(token);
      };
      dialog.addEventListener("close", () => finish(""));
      render(html`<${TokenForm} submit=${finish} dismiss=${() => dialog.close()} />`, dialog);
      dialog.showModal();
    });
  }
}

function TokenForm({ submit, dismiss }) {
  const onSubmit = (event) => {
    event.preventDefault();
    const token = event.target.elements.token.value.trim();
    if (token) submit(token);
  };
  return html`<form onSubmit=${onSubmit}>
    <h2 id="token-title">This service asks for a token</h2>
    <p class="muted">It is kept in this browser tab and forgotten when the tab is closed.</p>
    <label class="label" for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="off" required autofocus />
    <div class="row end">
      <button type="button" class="quiet" onClick=${dismiss}>Not now</button>
      <button class="primary">Continue</button>
    </div>
  </form>`;
}
