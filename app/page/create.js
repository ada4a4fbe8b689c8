/** The view that makes things: the form, the stage and the history, joined by one job. */

import { Code } from "./code.js";
import { Form } from "./form.js";
import { Gallery } from "./gallery.js";
import { forget, forgetAll, keep, loadHistory, withResult } from "./history.js";
import { html } from "./html.js";
import { cancel, isOver, resume, run } from "./job.js";
import { measure, readOutput, toDataUrl } from "./media.js";
import { ResultView } from "./result.js";
import { initialValues, toInput } from "./schema.js";
import { shorten } from "./snippets.js";
import { Empty, Working } from "./stage.js";
import { useCallback, useEffect, useRef, useState } from "./vendor/hooks.js";

const SQUARE = { width: 512, height: 512 };

export function Create({ api, pipeline, health, jobId, openJob }) {
  const [values, setValues] = useStored(`form:${pipeline.name}`, initialValues(pipeline));
  const [image, setImage] = useState(null);
  const [history, setHistory] = useState(null);
  const [job, setJob] = useState(null);
  const [result, setResult] = useState(null);
  const isBusy = Boolean(job && !isOver(job));
  const output = useRef(null);
  const following = useRef(new AbortController());

  const setValue = (name, value) =>
    setValues((known) => (known[name] === value ? known : { ...known, [name]: value }));

  useEffect(() => {
    loadHistory().then(setHistory);
    return () => following.current.abort();
  }, []);

  // A job in the address bar: one of this page, one that a reload interrupted, or an old one.
  useEffect(() => {
    if (!history || !jobId || jobId === job?.id || jobId === result?.id) return;
    const old = history.find(({ id }) => id === jobId);
    if (old) showResult(old);
    else follow((report, signal) => resume(api, jobId, recall(jobId), report, signal));
  }, [history !== null, jobId]);

  async function follow(start) {
    following.current.abort();
    following.current = new AbortController();
    const { signal } = following.current;
    setResult(null);
    let opened = "";
    await start((changed) => {
      if (signal.aborted) return;
      if (changed.id !== opened) openJob((opened = changed.id));
      if (changed.phase === "done") finish(changed).catch((error) => setJob(unreadable(changed, error)));
      else setJob(changed);
    }, signal);
  }

  function runExample() {
    const example = { ...initialValues(pipeline), ...pipeline.example };
    setValues(example);
    return submit(example);
  }

  async function submit(chosen = values) {
    if (isBusy) return;
    showOutput(output.current);
    const input = toInput(pipeline, chosen);
    const request = { input, size: await sizeOf(chosen, image), sentAt: Date.now() };
    const encode = async () =>
      image ? { ...input, [pipeline.image.name]: await toDataUrl(image) } : input;
    await follow((report, signal) => {
      const remember = (changed) => {
        if (changed.id) sessionStorage.setItem(`job:${changed.id}`, JSON.stringify(request));
        report(changed);
      };
      return run(api, encode, request, remember, signal);
    });
  }

  async function finish(done) {
    const finished = await toResult(api, done);
    setJob(null);
    setResult(finished);
    openJob(done.id);
    setHistory((known) => withResult(known ?? [], finished));
    await keep(finished);
  }

  /** A job that is on its way goes on, and is shown again when it is done. */
  function showResult(chosen) {
    if (!isBusy) setJob(null);
    setResult(chosen);
    openJob(chosen.id);
  }

  function showJob() {
    setResult(null);
    openJob(job.id);
  }

  async function remove(old) {
    await forget(old.id);
    setHistory((known) => known.filter(({ id }) => id !== old.id));
  }

  async function clear() {
    if (!confirm("Remove all results from this browser?")) return;
    await forgetAll();
    setHistory([]);
  }

  function reuse({ input }, seed) {
    setValues({ ...initialValues(pipeline), ...input, ...("seed" in values && { seed }) });
  }

  function stop() {
    // The button that was pressed goes away; who uses the keyboard goes on from here.
    output.current.parentElement.querySelector(".composer .primary").focus();
    cancel(api, job.id).catch((error) => setJob((known) => ({ ...known, error: error.message })));
  }

  const shownInput = result?.input ?? toInput(pipeline, values);
  return html`<main class="create">
    <${Form} ...${{ pipeline, values, image, isBusy, setValue, setImage: useCallback(setImage, []), submit }} />
    <section class="stage" ref=${output} aria-label="Output">
      ${result && isBusy &&
      html`<button type="button" class="quiet" onClick=${showJob}>Back to the running request</button>`}
      ${result
        ? html`<${ResultView} key=${result.id} ...${{ result, pipeline, useAsInput: setImage, reuse }} />`
        : job
          ? html`<${Working} job=${job} size=${job.request.size ?? SQUARE} health=${health} cancel=${stop} />`
          : html`<${Empty} pipeline=${pipeline} size=${sizeIn(values) ?? SQUARE} runExample=${runExample} />`}
      <${Code} pipeline=${pipeline} input=${shownInput} response=${result?.response ?? job?.response}
        needsToken=${Boolean(api.token)} />
      <${Gallery} history=${history ?? []} shown=${result?.id} show=${showResult} ...${{ remove, clear }} />
    </section>
  </main>`;
}

/** @returns {Promise<import("./history.js").Result>} */
async function toResult(api, { id, request, response }) {
  const media = await readOutput(api, response.output);
  return {
    id,
    at: Date.now(),
    input: request.input ?? {},
    media,
    urls: (response.output.images ?? []).map(({ url }) => (url.startsWith("data:") ? "" : url)),
    ...(await measure(media[0].blob)),
    queueSeconds: response.delayTime / 1000,
    executionSeconds: response.executionTime / 1000,
    response: shorten(response),
  };
}

function unreadable(job, error) {
  return { ...job, phase: "failed", error: `The output cannot be shown: ${error.message}` };
}

/** What this browser tab knows of a job that it sent before a reload. */
function recall(id) {
  return JSON.parse(sessionStorage.getItem(`job:${id}`) ?? "{}");
}

/** On a phone the output lies below the form. */
function showOutput(element) {
  const isBelow = element.getBoundingClientRect().top > 0.6 * innerHeight;
  if (isBelow) element.scrollIntoView({ behavior: "smooth" });
}

function sizeIn({ width, height }) {
  return width && height ? { width, height } : null;
}

async function sizeOf(values, image) {
  if (sizeIn(values) || !image) return sizeIn(values) ?? SQUARE;
  // What this browser cannot read is for the service to refuse, in its own words.
  return measure(image).catch(() => SQUARE);
}

/** State that survives a reload, for as long as the form has the same fields. */
function useStored(key, initial) {
  const [value, setValue] = useState(() => {
    const stored = JSON.parse(localStorage.getItem(key) ?? "{}");
    return { ...initial, ...Object.fromEntries(Object.entries(stored).filter(([name]) => name in initial)) };
  });
  useEffect(() => localStorage.setItem(key, JSON.stringify(value)), [value]);
  return [value, setValue];
}
