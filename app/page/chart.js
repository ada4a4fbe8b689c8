/** Charts over time, drawn by uPlot in the page's own colours. */

import { duration } from "./format.js";
import { html } from "./html.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import uPlot from "./vendor/uplot.js";

const HEIGHT = 160;
const DAY = 86_400;

/**
 * Bars on top of each other.
 * @param {{title: string, times: number[], series: {label: string, color: string, values: number[]}[]}} props
 */
export function BarChart({ series, ...rest }) {
  const heights = series.map((_, index) => sumUpTo(series, index));
  // The tallest first: uPlot draws in order, and what is drawn later covers what lies below.
  const drawn = series.map(({ color }, index) => ({ color, values: heights[index] })).reverse();
  return html`<${Chart} ...${rest} legend=${series} drawn=${drawn} draw=${drawBars} unit="" />`;
}

/** Lines; a moment without a value is a gap. */
export function LineChart({ series, ...rest }) {
  return html`<${Chart} ...${rest} legend=${series} drawn=${series} draw=${drawLine} />`;
}

function Chart({ title, times, legend, drawn, draw, unit }) {
  const box = useRef(null);
  const theme = useThemeChanges();
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined; // the view was left before its first paint
    const { options, data } = plan(element.clientWidth, times, drawn, draw, unit);
    const plot = new uPlot(options, data, element);
    const resize = () => plot.setSize({ width: element.clientWidth, height: HEIGHT });
    const observer = new ResizeObserver(resize);
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [times[0], JSON.stringify(drawn), theme]);
  return html`<figure class="card chart">
    <figcaption class="row between">
      <h2>${title}</h2>
      <span class="row legend">
        ${legend.map(({ label, color }) => html`<span data-color=${color}>${label}</span>`)}
      </span>
    </figcaption>
    <div ref=${box} role="img" aria-label=${describe(title, legend, unit)} class="plot" />
  </figure>`;
}

function plan(width, times, drawn, draw, unit) {
  const axis = {
    stroke: color("--muted"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  const isLong = times.at(-1) - times[0] > DAY;
  const options = {
    width,
    height: HEIGHT,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: (_, first, last) => [first, last + (times[1] - times[0])] },
      y: { range: (_, __, highest) => [0, Math.max(highest * 1.1, unit ? 0.01 : 1)] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: 64, values: (_, ticks) => ticks.map((t) => clock(t, isLong)) },
      { ...axis, size: 48, space: 32, values: (_, ticks) => ticks.map((tick) => label(tick, unit)) },
    ],
    series: [{}, ...drawn.map((series) => draw(color(series.color)))],
  };
  return { options, data: [times, ...drawn.map(({ values }) => values)] };
}

function drawBars(fill) {
  return { fill, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.75, 24], align: 1 }) };
}

function drawLine(stroke) {
  return { stroke, width: 2, points: { show: true, size: 5, fill: stroke }, spanGaps: true };
}

function sumUpTo(series, last) {
  return series[0].values.map((_, moment) =>
    series.slice(0, last + 1).reduce((sum, { values }) => sum + values[moment], 0),
  );
}

function color(property) {
  // Resolves light-dark() for the theme in force.
  const probe = document.createElement("i");
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}

function clock(seconds, isLong) {
  const date = new Date(1000 * seconds);
  return isLong
    ? date.toLocaleDateString([], { day: "numeric", month: "short" })
    : date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function label(value, unit) {
  if (unit) return duration(value);
  return Number.isInteger(value) ? `${value}` : "";
}

/** The chart in a sentence, for who cannot see it: the last value of each series. */
function describe(title, legend, unit) {
  const last = legend.map(({ label: name, values }) => {
    const known = values.filter((value) => value != null);
    const value = known.length ? spoken(known.at(-1), unit) : "no value";
    return `${name} lately ${value}`;
  });
  return `${title}: ${last.join(", ")}`;
}

function spoken(value, unit) {
  return unit ? duration(value) : `${Number(value.toFixed(1))}`;
}

/** A number that changes whenever the colours do. */
function useThemeChanges() {
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    const change = () => setChanges((count) => count + 1);
    const system = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("themechange", change);
    system.addEventListener("change", change);
    return () => {
      removeEventListener("themechange", change);
      system.removeEventListener("change", change);
    };
  }, []);
  return changes;
}
