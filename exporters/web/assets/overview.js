// All containers in one table that can be sorted and filtered. Only the rows in view exist, however many there are.

import { Sparkline } from "./chart.js";
import { element, setText } from "./dom.js";
import { bytes, bytesPerSecond, cores, count, percent } from "./format.js";
import { linkTo } from "./routes.js";

const ROW_PIXELS = 32;
const SPARE_ROWS = 6;
const SPARK_LOOKS = 60;

function sum(...numbers) {
  const known = numbers.filter((one) => one !== null && one !== undefined);
  return known.length ? known.reduce((all, one) => all + one, 0) : null;
}

function most(...numbers) {
  const known = numbers.filter((one) => one !== null && one !== undefined);
  return known.length ? Math.max(...known) : null;
}

export function shareOf(used, limit) {
  return used === null || used === undefined || !Number.isFinite(limit) || limit === 0 ? null : used / limit;
}

function ofLimit(used, limit) {
  return limit === Infinity ? "no limit" : percent(shareOf(used, limit));
}

const working = (one) => one.last.workingSet ?? one.last.memory;
const memoryLimit = (one) => (one.memoryLimit === null ? null : Math.min(one.memoryLimit, one.memoryHigh ?? Infinity));

// sort: what rows are ordered by; text: what they show; spark: series drawn beside it; bar: share that is filled
const COLUMNS = [
  { key: "name", title: "Container", sort: (one) => one.title.toLowerCase(), rising: true },
  { key: "engine", title: "Engine", sort: (one) => one.labels.engine ?? "", text: (one) => one.labels.engine ?? "", rising: true },
  { key: "cpu", title: "CPU", help: "CPUs in use", sort: (one) => one.last.cpu, text: (one) => cores(one.last.cpu), spark: "cpu" },
  {
    key: "quota",
    title: "of quota",
    help: "CPU in use, of the least quota of all levels",
    sort: (one) => shareOf(one.last.cpu, one.cpuLimit),
    text: (one) => ofLimit(one.last.cpu, one.cpuLimit),
    bar: true,
  },
  { key: "throttled", title: "Throttled", help: "Periods in which the quota was used up", sort: (one) => one.last.throttled, text: (one) => percent(one.last.throttled) },
  { key: "memory", title: "Memory", help: "In use, page cache included", sort: (one) => one.last.memory, text: (one) => bytes(one.last.memory), spark: "memory" },
  {
    key: "limit",
    title: "of limit",
    help: "Working set, of the least limit of all levels",
    sort: (one) => shareOf(working(one), memoryLimit(one)),
    text: (one) => ofLimit(working(one), memoryLimit(one)),
    bar: true,
  },
  {
    key: "pressure",
    title: "Waiting",
    help: "Time in which a task waited for CPU, memory or disks: the greatest of the three",
    sort: (one) => most(one.last.cpuWaiting, one.last.memoryWaiting, one.last.ioWaiting),
    text: (one) => percent(most(one.last.cpuWaiting, one.last.memoryWaiting, one.last.ioWaiting)),
  },
  { key: "threads", title: "Threads", sort: (one) => one.last.threads, text: (one) => count(one.last.threads) },
  { key: "disk", title: "Disk", help: "Read and written", sort: (one) => sum(one.last.read, one.last.written), text: (one) => bytesPerSecond(sum(one.last.read, one.last.written)) },
  { key: "network", title: "Network", help: "Received and sent", sort: (one) => sum(one.last.received, one.last.sent), text: (one) => bytesPerSecond(sum(one.last.received, one.last.sent)) },
  { key: "oom", title: "OOM kills", help: "Since the cgroup was made", sort: (one) => one.last.oomKills, text: (one) => count(one.last.oomKills) },
];

function compare(one, other, column, rising) {
  const [mine, theirs] = [column.sort(one), column.sort(other)];
  if (mine === theirs) return one.id < other.id ? -1 : 1;
  if (mine === null || mine === undefined) return 1; // the unknown is last in either direction
  if (theirs === null || theirs === undefined) return -1;
  return mine < theirs === rising ? -1 : 1;
}

class Row {
  constructor() {
    this.link = element("a", { class: "name" });
    this.more = element("span", { class: "more" });
    this.sparks = {};
    this.cells = COLUMNS.map((column, index) => {
      if (index === 0) return { node: element("th", { scope: "row" }, this.link, this.more) };
      const text = element("span");
      const cell = { node: element("td", { class: column.rising ? "text" : "number" }, text), text };
      if (column.spark) {
        this.sparks[column.spark] = new Sparkline();
        cell.node.prepend(this.sparks[column.spark].node);
      }
      if (column.bar) cell.node.append((cell.bar = element("meter", { min: 0, max: 1, high: 0.9, low: 0.75, optimum: 0, "aria-hidden": "true" })));
      return cell;
    });
    this.node = element("tr", {}, ...this.cells.map((cell) => cell.node));
    this.shown = null;
  }

  show(one, history, isChosen) {
    if (this.shown !== one) {
      this.shown = one;
      this.link.href = linkTo(one);
    }
    setText(this.link, one.title);
    setText(this.more, [one.frozen ? "frozen" : "", one.labels.image ?? ""].filter(Boolean).join(" · "));
    this.node.title = one.id;
    if (isChosen) this.node.setAttribute("aria-current", "true");
    else this.node.removeAttribute("aria-current");
    COLUMNS.forEach((column, index) => {
      if (!column.text) return;
      const cell = this.cells[index];
      setText(cell.text, column.text(one));
      if (cell.bar) {
        const share = column.sort(one);
        cell.bar.hidden = share === null;
        cell.bar.value = share ?? 0;
      }
    });
    for (const [name, spark] of Object.entries(this.sparks)) spark.show(history.values(one, name, SPARK_LOOKS));
  }
}

export class Overview {
  constructor(history, parameters, remember) {
    this.title = "Containers";
    this.history = history;
    this.remember = remember;
    this.sorting = COLUMNS.find((column) => column.key === parameters.get("sort")) ?? COLUMNS[2];
    this.rising = (parameters.get("order") ?? (this.sorting.rising ? "rising" : "falling")) === "rising";
    this.chosen = null; // id of the container that the keyboard is at
    this.rows = [];
    this.shown = [];
    this.#build(parameters.get("filter") ?? "");
  }

  #build(filter) {
    this.filter = element("input", {
      type: "search",
      placeholder: "filter: words of name, image, pod, engine, path",
      "aria-label": "Filter",
      value: filter,
      on: { input: () => this.#changed() },
    });
    this.tally = element("span", { class: "tally", role: "status" });
    this.machine = element("dl", { class: "tiles" });
    this.alerts = element("p", { class: "firing", hidden: true }, element("a", { href: "#/alerts" }));
    this.headers = COLUMNS.map((column) =>
      element("th", { scope: "col", class: column.rising ? "text" : "number" },
        element("button", { type: "button", title: column.help, on: { click: () => this.#sortBy(column) } }, column.title)),
    );
    this.above = element("tr", { class: "space", "aria-hidden": "true" });
    this.below = element("tr", { class: "space", "aria-hidden": "true" });
    this.body = element("tbody", {}, this.above, this.below);
    const head = element("thead", {}, element("tr", {}, ...this.headers));
    this.table = element("table", { class: "containers", "aria-label": "Containers" }, head, this.body);
    this.scroller = element("div", { class: "scroller", tabindex: "-1", on: { scroll: () => this.#draw() } }, this.table);
    this.empty = element("p", { class: "empty", hidden: true });
    const bar = element("div", { class: "bar" }, this.filter, this.tally);
    this.node = element("section", { class: "overview" }, this.machine, this.alerts, bar, this.scroller, this.empty);
  }

  update({ alerts }) {
    this.#showMachine();
    const firing = alerts?.alerts ?? [];
    this.alerts.hidden = firing.length === 0;
    const texts = [...new Set(firing.map((one) => one.annotations.summary ?? one.name))]; // each severity says the same
    const more = texts.length > 3 ? ` · and ${texts.length - 3} more` : "";
    setText(this.alerts.firstChild, texts.slice(0, 3).join(" · ") + more);
    this.#arrange();
  }

  #showMachine() {
    const { machine, root } = this.history;
    const used = machine.machine_memory_bytes - machine.machine_memory_available_bytes;
    const tiles = [
      ["CPU", `${cores(root?.last.cpu)} of ${machine.machine_cpu_cores ?? "–"}`],
      ["Memory", `${bytes(used)} of ${bytes(machine.machine_memory_bytes)}`],
      ["Threads", `${count(machine.machine_threads)} of ${count(machine.machine_threads_max)}`],
      ["OOM kills since boot", count(machine.machine_oom_kills_total)],
    ];
    if (this.tiles === undefined) {
      this.tiles = tiles.map(() => element("dd"));
      this.machine.append(...tiles.map(([title], at) => element("div", {}, element("dt", {}, title), this.tiles[at])));
    }
    tiles.forEach(([, text], at) => setText(this.tiles[at], text));
  }

  #arrange() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const living = this.history.living;
    this.shown = living
      .filter((one) => words.every((word) => one.words.includes(word)))
      .sort((one, other) => compare(one, other, this.sorting, this.rising));
    setText(this.tally, words.length ? `${this.shown.length} of ${living.length}` : `${living.length} containers`);
    this.headers.forEach((header, index) => {
      const order = this.rising ? "ascending" : "descending";
      header.setAttribute("aria-sort", COLUMNS[index] === this.sorting ? order : "none");
    });
    this.empty.hidden = this.shown.length > 0 || this.history.time === null;
    setText(this.empty, words.length ? "No container has all these words." : "There are no containers on this machine.");
    this.scroller.hidden = this.shown.length === 0;
    this.#draw();
  }

  // Put the rows that are in view into the table, and space for the others above and below.
  #draw() {
    const fitting = Math.ceil(this.scroller.clientHeight / ROW_PIXELS) + 2 * SPARE_ROWS;
    const top = Math.floor(this.scroller.scrollTop / ROW_PIXELS) - SPARE_ROWS;
    const first = Math.max(0, Math.min(top, this.shown.length - fitting));
    const inView = this.shown.slice(first, first + fitting);
    while (this.rows.length < inView.length) {
      const row = new Row();
      this.rows.push(row);
      this.below.before(row.node);
    }
    for (const row of this.rows.splice(inView.length)) row.node.remove();
    inView.forEach((one, index) => this.rows[index].show(one, this.history, one.id === this.chosen));
    this.above.style.height = `${first * ROW_PIXELS}px`;
    this.below.style.height = `${(this.shown.length - first - inView.length) * ROW_PIXELS}px`;
  }

  #changed() {
    this.scroller.scrollTop = 0;
    this.remember({
      filter: this.filter.value,
      sort: this.sorting === COLUMNS[2] && !this.rising ? "" : this.sorting.key,
      order: this.rising === Boolean(this.sorting.rising) ? "" : this.rising ? "rising" : "falling",
    });
    this.#arrange();
  }

  #sortBy(column) {
    this.rising = column === this.sorting ? !this.rising : Boolean(column.rising);
    this.sorting = column;
    this.#changed();
  }

  // Keys that are not typed into the filter. True: it was one of ours.
  key(name) {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[name];
    if (step !== undefined) this.#choose(step);
    else if (name === "/") this.filter.select();
    else if (name === "Enter" && this.#chosenContainer()) location.hash = linkTo(this.#chosenContainer());
    else if (name === "Escape" && this.filter.value) this.clear();
    else return false;
    return true;
  }

  clear() {
    this.filter.value = "";
    this.#changed();
  }

  #chosenContainer() {
    return this.shown.find((one) => one.id === this.chosen);
  }

  #choose(step) {
    const at = this.shown.findIndex((one) => one.id === this.chosen);
    const next = Math.max(0, Math.min(this.shown.length - 1, at < 0 && step > 0 && step < Infinity ? step - 1 : at + step));
    if (!this.shown[next]) return;
    this.chosen = this.shown[next].id;
    const [from, room] = [next * ROW_PIXELS, this.scroller.clientHeight - 2 * ROW_PIXELS];
    if (from < this.scroller.scrollTop) this.scroller.scrollTop = from;
    else if (from > this.scroller.scrollTop + room) this.scroller.scrollTop = from - room;
    this.#draw();
  }
}
