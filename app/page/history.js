/**
 * Results of earlier jobs, kept in this browser (IndexedDB) and bounded.
 *
 * @typedef {object} Result
 * @property {string} id of the job
 * @property {number} at when it ended, in milliseconds
 * @property {object} input the request's parameters, the image apart
 * @property {{blob: Blob, seed: number, nsfw: boolean}[]} media
 * @property {number} width
 * @property {number} height
 * @property {number} queueSeconds
 * @property {number} executionSeconds
 * @property {object} response the service's answer, long strings cut
 */

const DATABASE = "diffusion-runner";
const STORE = "results";
const MOST = 60;

/** All results, the newest first; none where the browser keeps nothing (private windows). */
export async function loadHistory() {
  try {
    const results = await inStore("readonly", (store) => store.getAll());
    return results.sort((a, b) => b.at - a.at);
  } catch {
    return [];
  }
}

/** A history with one more result, without those that are too many. */
export function withResult(history, result) {
  return [result, ...history.filter(({ id }) => id !== result.id)].slice(0, MOST);
}

/** Keep a result; the oldest make room. A browser that keeps nothing is no error. */
export async function keep(result) {
  try {
    await inStore("readwrite", (store) => store.put(result));
    for (const { id } of (await loadHistory()).slice(MOST)) await forget(id);
  } catch (error) {
    console.info("The history is not kept:", error);
  }
}

export async function forget(id) {
  await inStore("readwrite", (store) => store.delete(id));
}

export async function forgetAll() {
  await inStore("readwrite", (store) => store.clear());
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
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
  return settled(request);
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
