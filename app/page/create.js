/** The view that makes things: the form, the stage and the history, joined by one job. */

import { thumbnailOf } from "./canvas.js";
import { Code } from "./code.js";
import { Form } from "./form.js";
import { Gallery } from "./gallery.js";
import { forget, keep, letGo, loadHistory, withResult } from "./history.js";
import { html } from "./html.js";
import { cancel, isUnderWay, resume, run } from "./job.js";
import { measure, readOutput, toDataUrl } from "./media.js";
import { usePicture } from "./picture.js";
import { useRemembered } from "./remembered.js";
import { ResultView } from "./result.js";
import { fromInput, initialValues, toInput } from "./schema.js";
import { shorten } from "./snippets.js";
import { Announcer, Empty, Working } from "./stage.js";
import { markDone } from "./title.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";

const SQUARE = { width: 512, height: 512 };

export function Create({ api, version, pipeline, health, jobId, openJob }) {
  const model = version.model_id;
  const initial = initialValues(pipeline);
  const [values, setValues] = useRemembered(`form:${pipeline.name}:${model}`, initial);
  const [picture, chosenPicture, choosePicture] = usePicture();
  const [history, setHistory] = useState(null);
  const [job, setJob] = useState(null);
  const [result, setResult] = useState(null);
  const [said, say] = useState("");
  const isBusy = Boolean(job && isUnderWay(job));
  const output = useRef(null);
  const following = useRef(new AbortController());

  const setValue = (name, value) =>
    setValues((known) => (known[name] === value ? known : { ...known, [name]: value }));

  useEffect(() => {
    loadHistory(pipeline.name).then(setHistory);
    return () => following.current.abort();
  }, []);

  // A job in the address bar: one of this page, one that a reload interrupted, or an old one.
  useEffect(() => {
    if (!history || !jobId || jobId === job?.id || jobId === result?.id) return;
    if (job?.phase === "sending") return; // Whoever asks for something new wants to see that.
    const old = history.find(({ id }) => id === jobId);
    if (old) showResult(old);
    else follow((report, signal) => resume(api, jobId, recall(jobId), report, signal));
  }, [history !== null, jobId]);

  async function follow(start) {
    following.current.abort();
    following.current = new AbortController();
    const { signal } = following.current;
    setResult(null);
    say("");
    let opened = "";
    await start((changed) => {
      if (signal.aborted) return;
      if (changed.id !== opened) openJob((opened = changed.id));
      if (changed.phase !== "done") return setJob(changed);
      finish(changed, signal).catch((error) => signal.aborted || setJob(unreadable(changed, error)));
    }, signal);
  }

  function submit() {
    if (isBusy) return;
    showOutput(output.current);
    follow((report, signal) => {
      const remember = (changed) => {
        if (changed.id) sessionStorage.setItem(`job:${changed.id}`, JSON.stringify(changed.request));
        report(changed);
      };
      return run(api, prepare, remember, signal);
    });
  }

  async function prepare() {
    const input = toInput(pipeline, values);
    const sent = await chosenPicture.current;
    const request = { input, size: sizeIn(values) ?? sizeIn(sent ?? {}) ?? SQUARE, sentAt: Date.now() };
    if (!sent) return { request, input };
    return { request, input: { ...input, [pipeline.image.name]: await toDataUrl(sent.blob) } };
  }

  async function finish(done, signal) {
    const finished = { ...(await toResult(api, done)), pipeline: pipeline.name, model };
    setHistory((known) => withResult(known ?? [], finished));
    if (!signal.aborted) present(finished);
    await keep(finished);
  }

  function present(finished) {
    setJob(null);
    say(`Done: ${shorten(finished.input?.prompt || pipeline.title)}`);
    markDone();
    setResult(finished);
    openJob(finished.id);
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

  async function remove(olds) {
    setHistory((known) => known.filter((one) => !olds.includes(one)));
    for (const old of olds) letGo(old, old === result);
    await forget(olds.map(({ id }) => id));
  }

  function clear() {
    if (confirm(`Remove all results of ${pipeline.title} from this browser?`)) remove(history);
  }

  function fillPrompt(text) {
    setValue("prompt", text);
    document.getElementById("prompt").focus();
  }

  function reset() {
    setValues(({ prompt }) => ({ ...initial, ...("prompt" in initial && { prompt }) }));
  }

  function stop() {
    // The button that was pressed goes away; who uses the keyboard goes on from here.
    output.current.parentElement.querySelector(".composer .primary").focus({ preventScroll: true });
    cancel(api, job.id).catch((error) => setJob((known) => ({ ...known, error: error.message })));
  }

  const reuse = {
    all: ({ input }, seed) => setValues({ ...fromInput(pipeline, input), seed }),
    seed: (seed) => setValue("seed", seed),
  };
  return html`<main class="create">
    <${Form} ...${{ pipeline, values, initial, picture, isBusy, setValue, choosePicture, reset, submit }} />
    <section class="stage" ref=${output} aria-label="Output">
      <${Announcer} ...${{ job, health, said }} />
      ${result && isBusy &&
      html`<button type="button" class="quiet" onClick=${showJob}>Back to the running request</button>`}
      ${result
        ? html`<${ResultView} key=${result.id} ...${{ result, pipeline, model, useAsInput: choosePicture, reuse }} />`
        : job
          ? html`<${Working} job=${job} size=${job.request.size ?? SQUARE} health=${health} cancel=${stop} />`
          : html`<${Empty} pipeline=${pipeline} size=${sizeIn(values) ?? SQUARE} fill=${fillPrompt} />`}
      <${Code} pipeline=${pipeline} input=${result ? repeated(result) : toInput(pipeline, values)}
        response=${result?.response ?? job?.response} needsToken=${api.needsToken} />
      <${Gallery} history=${history ?? []} shown=${result?.id} show=${showResult}
        remove=${(old) => remove([old])} clear=${clear} />
    </section>
  </main>`;
}

/** What makes the same again: the request with the seed that it was given; null where unknown. */
function repeated({ input, media }) {
  return input && { ...input, seed: media[0].seed };
}

/** @returns {Promise<import("./history.js").Result>} but for what was served */
async function toResult(api, { id, request, response }) {
  const media = await readOutput(api, response.output);
  return {
    id,
    at: Date.now(),
    input: request.input ?? null,
    media,
    urls: (response.output.images ?? []).map(({ url }) => (url.startsWith("data:") ? "" : url)),
    ...(await measure(media[0].blob)),
    thumbnail: await thumbnailOf(media[0].blob),
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
