// Lines out of numbers, as SVG: sparklines for tables, and charts with limits drawn in.

import { element, setText, svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 170;
const LEFT = 64;
const TOP = 8;
const BOTTOM = 20;
const SPANS_SECONDS = [60, 120, 180, 240, 300]; // the least that has everything
const NEAR = 0.2; // below this share of a limit the scale is that of the values

function path(points) {
  let text = "";
  let drawing = false;
  for (const [x, y] of points) {
    if (Number.isNaN(y)) drawing = false;
    else {
      text += `${drawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      drawing = true;
    }
  }
  return text;
}

export class Sparkline {
  constructor() {
    this.line = svg("path");
    this.node = svg("svg", { class: "spark", viewBox: "0 0 60 20", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.node.append(this.line);
  }

  show(values, top) {
    const most = Math.max(top ?? 0, ...values.filter((one) => !Number.isNaN(one)), 1e-9);
    const step = 60 / (values.length - 1);
    this.line.setAttribute("d", path(values.map((one, index) => [index * step, 19 - (18 * one) / most])));
  }
}

export class Chart {
  // lines: [[name of the series, label]]; limits: [[label, (container) => number, Infinity (none) or null (unknown)]]
  constructor({ title, help, format, lines, limits = [], least = 0 }) {
    Object.assign(this, { title, format, lines, limits, least });
    this.grid = svg("g", { class: "grid" });
    this.drawn = lines.map((_, index) => svg("path", { class: `line line-${index}` }));
    this.bounds = limits.map(() => svg("path", { class: "limit" }));
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, this.grid, ...this.bounds, ...this.drawn);
    this.legend = element("ul", { class: "legend" });
    this.items = [...lines.map((_, index) => `line-${index}`), ...limits.map(() => "limit")].map((kind) =>
      element("li", { class: kind }),
    );
    this.legend.append(...this.items);
    this.node = element("figure", {}, element("figcaption", { title: help }, title), this.svg, this.legend);
  }

  show(history, container) {
    const times = history.timesOf();
    const end = history.time ?? 0;
    const series = this.lines.map(([name]) => history.values(container, name));
    const bounds = this.limits.map(([, of]) => of(container));
    const top = this.#top(series, bounds);
    const seen = end - (times.find((one) => !Number.isNaN(one)) ?? end);
    const span = SPANS_SECONDS.find((one) => one >= seen) ?? SPANS_SECONDS.at(-1);
    const x = (time) => LEFT + ((WIDTH - LEFT) * (time - end + span)) / span;
    const y = (number) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * number) / top;
    series.forEach((values, index) => {
      const inside = values.map((one, at) => [x(times[at]), y(one)]).filter(([left]) => left >= LEFT);
      this.drawn[index].setAttribute("d", path(inside));
    });
    bounds.forEach((bound, index) => {
      const isInside = Number.isFinite(bound) && bound <= top;
      this.bounds[index].setAttribute("d", isInside ? `M${LEFT} ${y(bound).toFixed(1)}H${WIDTH}` : "");
    });
    this.#draw(top, y, span);
    this.#tell(container, bounds, top);
  }

  // Limits decide the scale, unless the values are so far below that nothing could be seen of them.
  #top(series, bounds) {
    const most = Math.max(this.least, ...series.flat().filter((one) => !Number.isNaN(one)));
    const limit = Math.max(0, ...bounds.filter(Number.isFinite));
    return (limit && most >= NEAR * limit ? Math.max(limit, most) : most) * 1.1 || 1;
  }

  #draw(top, y, span) {
    const marks = [0, top / 2.2, top / 1.1].map((number) => [number, y(number)]);
    this.grid.replaceChildren(
      ...marks.flatMap(([number, at]) => [
        svg("path", { d: `M${LEFT} ${at.toFixed(1)}H${WIDTH}` }),
        svg("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, this.format(number)),
      ]),
      svg("text", { x: LEFT, y: HEIGHT - 4 }, `${span / 60} min ago`),
      svg("text", { x: WIDTH, y: HEIGHT - 4, "text-anchor": "end" }, "now"),
    );
  }

  #tell(container, bounds, top) {
    const texts = this.lines.map(([name, label]) => `${label} ${this.format(container.last[name])}`);
    this.limits.forEach(([label], index) => {
      const bound = bounds[index];
      const where = Number.isFinite(bound) && bound > top ? " (above)" : "";
      texts.push(`${label} ${bound === Infinity ? "none" : this.format(bound)}${where}`);
    });
    texts.forEach((text, index) => setText(this.items[index], text));
    this.svg.setAttribute("aria-label", `${this.title}: ${texts.join(", ")}`);
  }
}
