/** The bar on top: what is served, how it is, where to go, which theme. */

import { html } from "./html.js";
import { Icon } from "./icons.js";
import { useState } from "./vendor/hooks.js";

const WORDS = {
  "": "…",
  LOADING: "Loading the model",
  OK: "Ready",
  ERROR: "Cannot serve",
  UNREACHABLE: "Not reachable",
};
const THEMES = ["auto", "light", "dark"];

export function Header({ version, pipeline, health, view, createHash }) {
  return html`<header class="bar">
    <a class="brand" href="#${createHash}">${pipeline.title}</a>
    <span class="model" title=${version.model_id}>${version.model_id}</span>
    <span class="health" data-health=${health} role="status">${WORDS[health]}</span>
    <nav aria-label="Views">
      <a href="#${createHash}" aria-current=${view === "create" ? "page" : null}>Create</a>
      <a href="#activity" aria-current=${view === "activity" ? "page" : null}>Activity</a>
      <a href="docs">API</a>
    </nav>
    <${ThemeButton} />
  </header>`;
}

function ThemeButton() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? "auto");
  const change = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    setTheme(next);
    applyTheme(next);
  };
  return html`<button class="quiet square" onClick=${change} title="Theme: ${theme}"
    aria-label="Theme: ${theme}"><${Icon} name=${theme} /></button>`;
}

function applyTheme(theme) {
  if (theme === "auto") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", theme);
    document.documentElement.dataset.theme = theme;
  }
  window.dispatchEvent(new Event("themechange"));
}
