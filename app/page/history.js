/**
 * Results of earlier jobs, kept in this browser (IndexedDB) and bounded.
 *
 * @typedef {object} Result
 * @property {string} id of the job
 * @property {number} at when it ended, in milliseconds
 * @property {string} pipeline that made it
 * @property {string} model
 * @property {?object} input the request's parameters, the image apart; null of another's job
 * @property {{blob: Blob, seed: number, nsfw: boolean}[]} media
 * @property {Blob} [thumbnail] a small picture of the first, where there could be one
 * @property {number} width
 * @property {number} height
 * @property {number} queueSeconds
 * @property {number} executionSeconds
 * @property {object} response the service's answer, long strings cut
 */

import { release } from "./media.js";

const DATABASE = "diffusion-runner";
const STORE = "results";
const BY_AGE = "at";
const MOST = 60;

/** A pipeline's results, the newest first; none where the browser keeps nothing (private windows). */
export async function loadHistory(pipeline) {
  try {
    const results = await inStore("readonly", (store) => store.index(BY_AGE).getAll());
    // The first ones did not say which pipeline made them.
    return results.filter((result) => (result.pipeline ?? pipeline) === pipeline).toReversed();
  } catch {
    return [];
  }
}

/** A history with one more result, without those that are too many. */
export function withResult(history, result) {
  const all = [result, ...history.filter(({ id }) => id !== result.id)];
  for (const one of all.slice(MOST)) letGo(one);
  return all.slice(0, MOST);
}

/** Keep a result; the oldest make room. A browser that keeps nothing is no error. */
export async function keep(result) {
  try {
    await inStore("readwrite", (store) => store.put(result));
    const ids = await inStore("readonly", (store) => store.index(BY_AGE).getAllKeys());
    await forget(ids.slice(0, -MOST));
  } catch (error) {
    console.info("The history is not kept:", error);
  }
}

/** Remove results from the browser. */
export async function forget(ids) {
  if (ids.length === 0) return;
  await inStore("readwrite", (store) => ids.map((id) => store.delete(id)).at(-1));
}

/** Free what showing a result in the history has taken, and all else unless it is still shown. */
export function letGo({ media, thumbnail }, isShown = false) {
  release(thumbnail);
  if (!isShown) for (const { blob } of media) release(blob);
}

async function inStore(mode, work) {
  const database = await open();
  try {
    return await settled(work(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

function open() {
  const request = indexedDB.open(DATABASE, 2);
  request.onupgradeneeded = ({ oldVersion }) => {
    const store = oldVersion
      ? request.transaction.objectStore(STORE)
      : request.result.createObjectStore(STORE, { keyPath: "id" });
    store.createIndex(BY_AGE, "at");
  };
  return settled(request);
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
