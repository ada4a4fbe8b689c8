/** The application: a bar, and the view that the address bar's hash names. */

import { Create } from "./create.js";
import { Header } from "./header.js";
import { html } from "./html.js";
import { useHealth } from "./service.js";
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";

export function App({ api, version, pipeline }) {
  const health = useHealth();
  const [hash, goTo] = useHash();
  const view = viewOf(hash);
  const lastCreated = useRef("");
  if (view === "create") lastCreated.current = hash;
  const jobId = jobIn(hash);
  const openJob = (id) => {
    lastCreated.current = `job=${encodeURIComponent(id)}`;
    // Asked of the address itself: a job may outlive the view that started it.
    if (viewOf(location.hash.slice(1)) === "create") goTo(lastCreated.current);
  };
  useEffect(() => {
    document.title = `${pipeline.title} · ${version.model_id}`;
  }, []);
  return html`
    <${Header} ...${{ version, pipeline, health, view, createHash: lastCreated.current }} />
    <div hidden=${view !== "create"}>
      <${Create} ...${{ api, version, pipeline, health, jobId, openJob }} />
    </div>
    ${view === "activity" && html`<${Lazy} load=${() => import("./activity.js")} api=${api} />`}
  `;
}

/** Nothing else can be shown: the service did not say what it is, or does not offer what is needed. */
export function Unreachable({ error, retry }) {
  return html`<main class="notice">
    <h1>${error.title ?? "The service does not answer"}</h1>
    <p class="error" role="alert">${error.message}</p>
    <button class="primary" onClick=${retry}>Try again</button>
  </main>`;
}

/** A view whose code comes with its first use; the module exports it as `View`. */
function Lazy({ load, ...props }) {
  const [View, setView] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    load().then((module) => setView(() => module.View), setError);
  }, []);
  // Browsers remember a module that did not come: only a new page asks for it again.
  if (error) return html`<${Unreachable} error=${error} retry=${() => location.reload()} />`;
  return View ? html`<${View} ...${props} />` : html`<main />`;
}

function viewOf(hash) {
  return hash === "activity" ? "activity" : "create";
}

/** The job that the hash names, "" without one that can be read. */
function jobIn(hash) {
  try {
    return hash.startsWith("job=") ? decodeURIComponent(hash.slice(4)) : "";
  } catch {
    return "";
  }
}

/** The address's hash, and a way to set it that is seen at once: its event comes later. */
function useHash() {
  const read = () => location.hash.slice(1);
  const [hash, setHash] = useState(read);
  useLayoutEffect(() => {
    const change = () => setHash(read());
    addEventListener("hashchange", change);
    return () => removeEventListener("hashchange", change);
  }, []);
  const goTo = (next) => {
    location.hash = next;
    setHash(read());
  };
  return [hash, goTo];
}
