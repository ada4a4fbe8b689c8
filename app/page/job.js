/**
 * One asynchronous job, from sending its request to its output.
 *
 * @typedef {object} Job
 * @property {string} id "" until the service has accepted it
 * @property {"opening"|"sending"|"queued"|"running"|"done"|"failed"|"cancelled"} phase
 * @property {object} request what was asked for, as far as this browser knows
 * @property {number|null} position jobs in front of it, while it is queued
 * @property {number} step of `steps`, 0 while unknown
 * @property {number} steps
 * @property {string} preview data URL of how it looks so far, or ""
 * @property {boolean} isLost whether the service could not be reached just now
 * @property {string} error the service's words
 * @property {object|null} response the service's last answer
 */

import { ApiError } from "./api.js";
import { readEvents } from "./events.js";

const PHASES = {
  queued: "queued",
  IN_QUEUE: "queued",
  running: "running",
  IN_PROGRESS: "running",
  COMPLETED: "done",
  FAILED: "failed",
  TIMED_OUT: "failed",
  CANCELLED: "cancelled",
};
const POLL_MS = 700;
/** A proxy's words while the service behind it starts again; 0 is none at all. */
const NO_ANSWER = [0, 502, 503, 504];
/** The service has no events, or nothing that this job is known to. */
const NO_EVENTS = [404, 405];

const NEW = { id: "", position: null, step: 0, steps: 0, preview: "", isLost: false, error: "", response: null };

export function isOver(job) {
  return ["done", "failed", "cancelled"].includes(job.phase);
}

/** Whether the service is at work on it, as far as is known. */
export function isUnderWay(job) {
  return ["sending", "queued", "running"].includes(job.phase);
}

/**
 * Send a request and follow its job to the end.
 * @param {() => Promise<{request: object, input: object}>} prepare what is asked for, as this browser
 *   remembers it and as the service reads it
 * @param {(job: Job) => void} report called with every change; the last one is over
 */
export async function run(api, prepare, report, signal) {
  let job = { ...NEW, phase: "sending", request: {} };
  report(job);
  try {
    const { request, input } = await prepare();
    job = { ...job, request };
    report(job);
    const accepted = await api.json("run?response=url", { method: "POST", body: { input }, signal });
    job = { ...job, id: accepted.id, phase: "queued", response: accepted };
    report(job);
  } catch (error) {
    report(failed(job, error));
    return;
  }
  await follow(api, job, report, signal);
}

/** Follow a job that another page, or this one before a reload, has sent. */
export async function resume(api, id, request, report, signal) {
  const job = { ...NEW, id, phase: "opening", request };
  report(job);
  await follow(api, job, report, signal);
}

/** Ask the service to stop a job. Its end is reported to whoever follows it. */
export function cancel(api, id) {
  return api.json(`cancel/${encodeURIComponent(id)}`, { method: "POST" });
}

async function follow(api, job, report, signal) {
  let hasEvents = true;
  const change = (changes) => {
    job = { ...job, ...changes };
    report(job);
  };
  try {
    while (!isOver(job)) {
      if (hasEvents) hasEvents = await watch(api, job.id, change, signal);
      const answer = await ask(api, job.id, signal);
      change(answer ? fromStatus(answer) : { isLost: true });
      if (!isOver(job)) await pause(POLL_MS, signal);
    }
  } catch (error) {
    if (error.name !== "AbortError") report(failed(job, error));
  }
}

/** Report events until their stream ends or breaks; false if there are none to ask for again. */
async function watch(api, id, change, signal) {
  try {
    const response = await api.request(`jobs/${encodeURIComponent(id)}/events`, { signal });
    for await (const event of readEvents(response)) {
      const phase = PHASES[event.state];
      // The end is taken from the status, which has the output or the error.
      if (phase) change(progress(phase, event));
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return !NO_EVENTS.includes(error.status);
  }
  return true;
}

/** The job's status, null while the service cannot be reached. */
async function ask(api, id, signal) {
  try {
    return await api.json(`status/${encodeURIComponent(id)}`, { signal });
  } catch (error) {
    if (error instanceof ApiError && NO_ANSWER.includes(error.status)) return null;
    throw error;
  }
}

function fromStatus(answer) {
  const phase = PHASES[answer.status] ?? "running";
  if (phase === "running" || phase === "queued") {
    return { ...progress(phase, answer.output?.progress ?? {}), response: answer };
  }
  const error = phase === "failed" ? (answer.error ?? "The job failed.") : "";
  return { phase, error, response: answer };
}

/** Only what an event says: a later one need not repeat the preview. */
function progress(phase, { position = null, step, steps, preview }) {
  const changes = { phase, position, isLost: false };
  if (step) Object.assign(changes, { step, steps });
  if (preview) changes.preview = preview;
  return changes;
}

function failed(job, error) {
  if (error.name === "AbortError") return { ...job, phase: "cancelled" };
  return { ...job, phase: "failed", error: error.message, response: error.body ?? null };
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("", "AbortError"));
    });
  });
}
