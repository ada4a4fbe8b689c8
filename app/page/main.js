/** Entry: mounts the application once the service has said what it is. */

import { Api } from "./api.js";
import { App, Unreachable } from "./app.js";
import { html } from "./html.js";
import { describePipeline } from "./schema.js";
import { TokenDialog } from "./token.js";
import { render } from "./vendor/preact.js";

const root = document.getElementById("app");
const dialog = new TokenDialog();
const api = new Api((isRefused) => dialog.ask(isRefused));

async function start() {
  try {
    const [version, document] = await Promise.all([api.json("version"), api.json("openapi.json")]);
    const pipeline = describePipeline(document, version.pipeline);
    root.replaceChildren();
    render(html`<${App} ...${{ api, version, pipeline }} />`, root);
  } catch (error) {
    root.replaceChildren();
    render(html`<${Unreachable} error=${error} retry=${start} />`, root);
  }
}

/** A file that misses its field would be opened in place of the page. */
function ignoreFile(event) {
  if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "none";
}

addEventListener("dragover", ignoreFile);
addEventListener("drop", ignoreFile);
start();
