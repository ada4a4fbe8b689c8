/** Whether the service can serve, asked again and again. */

import { useEffect, useState } from "./vendor/hooks.js";

const WHILE_LOADING = 1000;
const WHEN_READY = 15_000;

/** "LOADING", "OK", "ERROR", or "" while unknown, "UNREACHABLE" without an answer. */
export function useHealth() {
  const [health, setHealth] = useState("");
  useEffect(() => {
    let timer;
    let left = false;
    async function ask() {
      const status = await askHealth();
      if (left) return;
      setHealth(status);
      timer = setTimeout(ask, status === "OK" ? WHEN_READY : WHILE_LOADING);
    }
    ask();
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, []);
  return health;
}

async function askHealth() {
  try {
    // Not through Api: 503 is an answer here, and its body says which.
    return (await (await fetch("health")).json()).status;
  } catch {
    return "UNREACHABLE";
  }
}
