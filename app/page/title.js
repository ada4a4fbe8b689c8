/** The tab's title tells that something is done to who looks at another tab. */

const MARK = "✓ ";

export function markDone() {
  if (document.visibilityState === "visible" || document.title.startsWith(MARK)) return;
  document.title = MARK + document.title;
  document.addEventListener("visibilitychange", unmark, { once: true });
}

function unmark() {
  document.title = document.title.slice(MARK.length);
}
