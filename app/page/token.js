/** The box that asks for the service's token; open only while a request waits for one. */

import { html } from "./html.js";
import { render } from "./vendor/preact.js";

export class TokenDialog {
  #answer = null;

  /**
   * The token that the user enters, "" if they close the box. Asked twice, it asks once.
   * @param {boolean} isRefused whether the last one was not taken
   */
  ask(isRefused) {
    this.#answer ??= this.#open(isRefused).finally(() => (this.#answer = null));
    return this.#answer;
  }

  #open(isRefused) {
    const dialog = document.createElement("dialog");
    dialog.className = "token";
    dialog.setAttribute("aria-labelledby", "token-title");
    document.body.append(dialog);
    return new Promise((resolve) => {
      const finish = (token) => {
        dialog.close(); // the focus returns to where it was
        dialog.remove();
        resolve(token);
      };
      dialog.addEventListener("close", () => finish(""));
      const form = html`<${TokenForm} isRefused=${isRefused} submit=${finish} dismiss=${() => finish("")} />`;
      render(form, dialog);
      dialog.showModal();
    });
  }
}

function TokenForm({ isRefused, submit, dismiss }) {
  const onSubmit = (event) => {
    event.preventDefault();
    const token = event.target.elements.token.value.trim();
    if (token) submit(token);
  };
  return html`<form onSubmit=${onSubmit}>
    <h2 id="token-title">This service asks for a token</h2>
    <p class="muted">It is kept in this browser tab and forgotten when the tab is closed.</p>
    <label class="label" for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="off" required autofocus
      aria-invalid=${isRefused} aria-describedby=${isRefused ? "token-refused" : null} />
    ${isRefused && html`<p id="token-refused" class="error-text" role="alert">This token was refused.</p>`}
    <div class="row end">
      <button type="button" class="quiet" onClick=${dismiss}>Not now</button>
      <button class="primary">Continue</button>
    </div>
  </form>`;
}
