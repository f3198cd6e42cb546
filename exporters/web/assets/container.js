// One container: who it is, charts of the last minutes with its limits drawn in, and every value that there is of it.

import { get } from "./api.js";
import { Chart } from "./chart.js";
import { element, Rows, setText } from "./dom.js";
import { bytes, bytesPerSecond, cores, count, duration, moment, ofMetric, percent } from "./format.js";
import { home } from "./routes.js";

const memoryLimits = [["limit", (one) => one.memoryLimit], ["high", (one) => one.memoryHigh]];

const CHARTS = [
  {
    title: "CPU",
    help: "CPUs in use. At the quota, tasks are throttled.",
    format: cores,
    lines: [["cpu", "in use"]],
    limits: [["quota", (one) => one.cpuLimit]],
    least: 0.01,
  },
  {
    title: "Memory",
    help: "At the limit the kernel reclaims, then kills. Page cache can be dropped; anonymous memory cannot.",
    format: bytes,
    lines: [["memory", "in use"], ["workingSet", "working set"], ["anonymous", "anonymous"], ["cache", "page cache"]],
    limits: memoryLimits,
  },
  {
    title: "Threads",
    help: "At the limit, fork and pthread_create fail.",
    format: count,
    lines: [["threads", "threads"]],
    limits: [["limit", (one) => one.threadsLimit]],
  },
  {
    title: "Waiting",
    help: "Share of time in which at least one task waited (pressure stall information).",
    format: percent,
    lines: [["cpuWaiting", "for CPU"], ["memoryWaiting", "for memory"], ["ioWaiting", "for disks"]],
    least: 0.01,
  },
  { title: "Throttled", help: "Periods in which the quota was used up.", format: percent, lines: [["throttled", "periods"]], least: 0.01 },
  { title: "Disk", help: "Bytes per second, all devices.", format: bytesPerSecond, lines: [["read", "read"], ["written", "written"]], least: 1024 },
  { title: "Network", help: "Bytes per second, all interfaces.", format: bytesPerSecond, lines: [["received", "received"], ["sent", "sent"]], least: 1024 },
  {
    title: "Kills and refusals",
    help: "OOM kills, and forks refused at the limit of threads, since the cgroup was made.",
    format: count,
    lines: [["oomKills", "OOM kills"], ["refused", "forks refused"]],
    least: 1,
  },
];

export class ContainerPage {
  constructor(history, parameters) {
    this.history = history;
    this.id = parameters.get("id") ?? "";
    this.title = this.id;
    this.heading = element("h1", {}, this.id);
    this.facts = new Rows(["", ""], "Facts");
    this.facts.table.classList.add("facts");
    this.notice = element("p", { class: "notice", role: "status", hidden: true });
    this.charts = CHARTS.map((chart) => new Chart(chart));
    this.grid = element("div", { class: "charts" }, ...this.charts.map((chart) => chart.node));
    this.filter = element("input", { type: "search", placeholder: "filter metrics", "aria-label": "Filter metrics", on: { input: () => this.#list() } });
    this.values = new Rows(["Metric", "Labels", "Value", "Meaning"], "All values");
    this.details = element("details", { on: { toggle: () => this.#fetch() } }, element("summary", {}, "All values"), this.filter, this.values.table);
    this.node = element("section", {}, element("p", {}, element("a", { href: home() }, "← all containers")), this.heading, this.notice, this.facts.table, this.grid, this.details);
    this.found = [];
  }

  update({ alerts }) {
    const one = this.history.byId(this.id);
    const isGone = one === null || one.isGone;
    this.notice.hidden = !isGone || this.history.time === null;
    setText(this.notice, one === null ? "There is no such container." : "This container is gone.");
    this.grid.hidden = this.details.hidden = one === null;
    if (one === null) return;
    setText(this.heading, one.title);
    this.title = one.title;
    this.facts.show([one.labels, one.started && duration(this.history.time - one.started), this.#firing(alerts)], () => this.#facts(one, alerts));
    for (const chart of this.charts) chart.show(this.history, one);
    if (!isGone) this.#fetch();
  }

  key(name) {
    if (name !== "/") return false;
    this.details.open = true;
    this.filter.select();
    return true;
  }

  #firing(alerts) {
    const mine = alerts?.alerts.filter((one) => one.labels.id === this.id) ?? [];
    return mine.map((one) => `${one.severity}: ${one.annotations.summary ?? one.name}`);
  }

  #facts(one, alerts) {
    const started = one.started === null ? [] : [["started", `${moment(one.started)} (${duration(this.history.time - one.started)} ago)`]];
    const firing = this.#firing(alerts).map((text) => ["alert", element("strong", { class: "firing" }, text)]);
    return [...Object.entries(one.labels), ...started, ...firing];
  }

  async #fetch() {
    if (!this.details.open || this.isFetching) return;
    this.isFetching = true;
    try {
      this.metadata ??= await get("metadata");
      this.found = (await get("container", { id: this.id })).values;
      this.#list();
    } catch (error) {
      if (error.status !== 404) setText(this.details.firstChild, `All values (${error.message})`);
    } finally {
      this.isFetching = false;
    }
  }

  #list() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = this.found.filter((one) => words.every((word) => one.metric.includes(word)));
    this.values.show(wanted, () =>
      wanted.map(({ metric, labels, value }) => [
        element("code", {}, metric),
        Object.entries(labels).map(([name, text]) => `${name}=${text}`).join(" "),
        ofMetric(metric, value),
        this.metadata?.[metric]?.help ?? "",
      ]),
    );
  }
}
