// Applied before the first paint, so that a chosen theme never flashes. Not a module: those wait.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
})();
