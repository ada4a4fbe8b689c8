/** Settings that survive a reload, for as long as the form has the same fields. */

import { useLayoutEffect, useState } from "./vendor/hooks.js";

/** State that begins with `initial`; only what differs from it is kept, so that it may change. */
export function useRemembered(key, initial) {
  const [values, setValues] = useState(() => {
    const stored = JSON.parse(localStorage.getItem(key) ?? "{}");
    return { ...initial, ...entries(stored, (name) => name in initial) };
  });
  // At once: a reload may come before the next frame.
  useLayoutEffect(() => {
    const changed = entries(values, (name, value) => value !== initial[name]);
    localStorage.setItem(key, JSON.stringify(changed));
  }, [values]);
  return [values, setValues];
}

function entries(values, isWanted) {
  return Object.fromEntries(Object.entries(values).filter((entry) => isWanted(...entry)));
}
