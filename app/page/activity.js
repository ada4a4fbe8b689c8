/** What the service did lately: requests, times, rows, its worker, its GPUs and its log. */

import { BarChart, LineChart } from "./chart.js";
import { bytes, duration, plural } from "./format.js";
import { html } from "./html.js";
import { Log } from "./log.js";
import { useEffect, useState } from "./vendor/hooks.js";

const WINDOWS = { "15m": "15 min", "1h": "1 h", "24h": "24 h", "7d": "7 d" };
const REFRESH = 3000;

export function View({ api }) {
  const [window, setWindow] = useState("15m");
  const [filter, setFilter] = useState({ job: "", text: "" });
  const { report, error } = useReport(api, { window, ...filter });
  return html`<main class="activity">
    <div class="row between heading">
      <h1>Activity</h1>
      <div class="row segments" role="group" aria-label="Time">
        ${Object.entries(WINDOWS).map(
          ([key, label]) =>
            html`<button type="button" aria-pressed=${key === window}
              onClick=${() => setWindow(key)}>${label}</button>`,
        )}
      </div>
    </div>
    ${error && html`<p class="error" role="alert">${error}</p>`}
    ${report &&
    html`<${Figures} report=${report} />
      <${Charts} report=${report} />
      <div class="cards">
        <${WorkerCard} worker=${report.worker} />
        <${GpuCard} gpus=${report.gpus} />
        <${OutcomeCard} outcomes=${report.summary.outcomes} />
      </div>
      <${Log} lines=${report.log} filter=${filter} setFilter=${setFilter} />`}
  </main>`;
}

/** The latest report, asked for again while the page is looked at. */
function useReport(api, query) {
  const [state, setState] = useState({ report: null, error: "" });
  const address = `activity?${new URLSearchParams(query)}`;
  useEffect(() => {
    let timer;
    const controller = new AbortController();
    async function ask() {
      if (document.visibilityState === "visible") {
        try {
          const report = await api.json(address, { signal: controller.signal });
          setState({ report, error: "" });
        } catch (error) {
          if (error.name === "AbortError") return;
          setState(({ report }) => ({ report, error: error.message }));
          if (error.status === 401) return; // the token box was closed: not again by itself
        }
      }
      timer = setTimeout(ask, REFRESH);
    }
    ask();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [address]);
  return state;
}

function Figures({ report: { summary, worker } }) {
  const requests = Object.values(summary.outcomes).reduce((sum, count) => sum + count, 0);
  const figures = [
    ["Requests", requests, `${worker.running} running, ${worker.waiting} waiting`],
    ["Execution", duration(summary.execution.p50), `95 %: ${duration(summary.execution.p95)}`],
    ["In the queue", duration(summary.queue.p50), `95 %: ${duration(summary.queue.p95)}`],
    ["Rows per forward", summary.rows?.toFixed(1) ?? "–", "of all requests that shared it"],
  ];
  return html`<dl class="figures">
    ${figures.map(
      ([name, value, more]) => html`<div><dt>${name}</dt><dd>${value}</dd><dd class="muted">${more}</dd></div>`,
    )}
  </dl>`;
}

function Charts({ report: { moments } }) {
  const times = moments.map(({ start }) => start);
  const of = (read) => moments.map(read);
  return html`<div class="charts">
    <${BarChart} title="Requests" times=${times}
      series=${[
        { label: "served", color: "--accent", values: of((m) => m.succeeded) },
        { label: "cancelled", color: "--edge", values: of((m) => m.cancelled) },
        { label: "failed", color: "--bad", values: of((m) => m.failed) },
      ]} />
    <${LineChart} title="Execution time" times=${times} unit="s" series=${percentiles(of((m) => m.execution))} />
    <${LineChart} title="Time in the queue" times=${times} unit="s" series=${percentiles(of((m) => m.queue))} />
    <${LineChart} title="Rows per forward" times=${times} unit=""
      series=${[{ label: "mean", color: "--accent", values: of((m) => m.rows) }]} />
  </div>`;
}

function percentiles(values) {
  return [
    { label: "median", color: "--accent", values: values.map(({ p50 }) => p50) },
    { label: "95 %", color: "--warn", values: values.map(({ p95 }) => p95) },
  ];
}

function WorkerCard({ worker }) {
  const facts = [
    ["State", { OK: "ready", LOADING: "loading", ERROR: "failed" }[worker.state] ?? worker.state],
    ["Restarts", worker.restarts],
    ["Device", [worker.device, worker.dtype].filter(Boolean).join(", ") || "–"],
    ["Jobs at a time", worker.concurrency || "–"],
    ["Loaded in", worker.device ? duration(worker.load_seconds) : "–"],
    ["Accelerators", worker.accelerators.join(", ") || "none"],
  ];
  return html`<section class="card" aria-labelledby="worker-title">
    <h2 id="worker-title">Worker</h2>
    ${worker.error && html`<p class="error">${worker.error}</p>`}
    <${Table} rows=${facts} />
  </section>`;
}

function GpuCard({ gpus }) {
  const all = Object.entries(gpus);
  return html`<section class="card" aria-labelledby="gpu-title">
    <h2 id="gpu-title">GPU</h2>
    ${all.length === 0 && html`<p class="muted">There is none on this machine.</p>`}
    ${all.map(([index, gpu]) => {
      const used = gpu.memory_total - gpu.memory_free;
      return html`<h3>${gpu.name}</h3>
        <${Meter} label="Memory of GPU ${index}" share=${used / gpu.memory_total}
          text="${bytes(used)} of ${bytes(gpu.memory_total)}" />
        <${Meter} label="Use of GPU ${index}" share=${gpu.utilization_compute / 100}
          text="${gpu.utilization_compute} % busy" />`;
    })}
  </section>`;
}

function Meter({ label, share, text }) {
  return html`<div class="meter"><span>${text}</span><meter min="0" max="1" value=${share} aria-label=${label} /></div>`;
}

function OutcomeCard({ outcomes }) {
  const rows = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
  return html`<section class="card" aria-labelledby="outcome-title">
    <h2 id="outcome-title">Outcomes</h2>
    ${rows.length === 0 && html`<p class="muted">Nothing was asked for in this time.</p>`}
    <${Table} rows=${rows.map(([name, count]) => [name === "ok" ? "served" : name, plural(count, "job")])} />
  </section>`;
}

function Table({ rows }) {
  return html`<dl class="table">
    ${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}
