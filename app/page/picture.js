/** The chosen picture, ready for a request that is sent at once. */

import { readPicture } from "./canvas.js";
import { useCallback, useRef, useState } from "./vendor/hooks.js";

/**
 * @returns {[?import("./canvas.js").Picture, {current: ?Promise}, (blob: ?Blob) => Promise<void>]}
 *   the picture as far as it is known, a promise of it as it will be sent, and a way to choose one
 */
export function usePicture() {
  const [picture, setPicture] = useState(null);
  const chosen = useRef(null);
  const choose = useCallback(async (blob) => {
    const reading = blob && readPicture(blob);
    chosen.current = reading;
    setPicture(blob && { blob, isScaled: false });
    const read = await reading;
    if (chosen.current === reading) setPicture(read);
  }, []);
  return [picture, chosen, choose];
}
