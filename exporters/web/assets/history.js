// What the page has seen since it was opened: a ring of the last looks for each container. Rates are worked out here, as
// Prometheus does: a counter that is unknown or fell gives no rate, and neither does another container of the same name.

import { get } from "./api.js";

const LOOKS = 150;
const SAME_SECONDS = 2; // an exporter that was started again works out start times anew, and not to the last digit

function value(metric) {
  return (now) => now(metric);
}

function increase(metric) {
  return (now, before) => {
    const [from, to] = [before(metric), now(metric)];
    return from === null || to === null || to < from ? null : to - from;
  };
}

function rate(metric) {
  const grown = increase(metric);
  return (now, before, seconds) => {
    const by = grown(now, before);
    return by === null ? null : by / seconds;
  };
}

function share(part, whole) {
  const [some, all] = [increase(part), increase(whole)];
  return (now, before) => {
    const [of, among] = [some(now, before), all(now, before)];
    return of === null || among === null ? null : among ? Math.min(1, of / among) : 0;
  };
}

export const SERIES = {
  cpu: rate("container_cpu_usage_seconds_total"),
  throttled: share("container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total"),
  memory: value("container_memory_usage_bytes"),
  workingSet: value("container_memory_working_set_bytes"),
  anonymous: value("container_memory_rss"),
  cache: value("container_memory_cache"),
  threads: value("container_threads"),
  cpuWaiting: rate("container_pressure_cpu_waiting_seconds_total"),
  memoryWaiting: rate("container_pressure_memory_waiting_seconds_total"),
  ioWaiting: rate("container_pressure_io_waiting_seconds_total"),
  read: rate("container_fs_reads_bytes_total"),
  written: rate("container_fs_writes_bytes_total"),
  received: rate("container_network_receive_bytes_total"),
  sent: rate("container_network_transmit_bytes_total"),
  oomKills: value("container_memory_events_total"),
  refused: value("container_pids_max_events_total"),
};
const NAMES = Object.keys(SERIES);

export class Container {
  constructor(description) {
    this.id = description.labels.id;
    this.rings = {};
    for (const name of NAMES) this.rings[name] = new Float32Array(LOOKS).fill(NaN);
    this.last = {};
    this.place = -1; // in the list that is in force
    this.placeBefore = -1; // in the one before, where the last look's values are
    this.missedLooks = 0;
    this.frozen = null;
    this.describe(description);
  }

  describe({ labels, values }) {
    this.labels = labels;
    this.title = labels.name ?? (labels.pod ? `pod ${labels.pod}` : labels.id);
    this.words = Object.values(labels).join("\n").toLowerCase();
    this.started = values.container_start_time_seconds ?? null;
    this.cpuLimit = limited(values.container_effective_cpu_limit_cores);
    this.memoryLimit = limited(values.container_effective_memory_limit_bytes);
    this.memoryHigh = limited(values.container_effective_memory_high_bytes);
    this.threadsLimit = limited(values.container_effective_threads_max);
  }

  get isGone() {
    return this.place < 0;
  }

  // Whether that is this very container, and not another one of the same name.
  is({ values }) {
    const started = values.container_start_time_seconds ?? null;
    return started === null || this.started === null || Math.abs(started - this.started) < SAME_SECONDS;
  }
}

// The API says 0 where there is no limit, as /metrics does; null is unknown.
function limited(number) {
  return number === 0 ? Infinity : (number ?? null);
}

export class History {
  constructor() {
    this.times = new Float64Array(LOOKS).fill(NaN);
    this.cursor = -1; // place of the newest look in all rings
    this.machine = {};
    this.time = null;
    this.version = null;
    this.usage = null;
    this.usageBefore = null;
    this.containers = new Map();
  }

  // Look once more. Gives how long to wait for the next look, seconds.
  async refresh() {
    let usage = await get("usage");
    for (let tries = 0; usage.version !== this.version && tries < 3; tries += 1) {
      const list = await get("containers");
      if (list.version !== usage.version) usage = await get("usage");
      if (list.version === usage.version) this.#adopt(list);
    }
    if (usage.version === this.version) this.#take(usage);
    return usage.interval_seconds;
  }

  get living() {
    return [...this.containers.values()].filter((one) => !one.isGone && one.id !== "/");
  }

  get root() {
    return this.byId("/");
  }

  byId(id) {
    return this.containers.get(id) ?? null;
  }

  // The last `many` values, oldest first; NaN where nothing is known.
  values(container, name, many = LOOKS) {
    return this.#inOrder(container.rings[name], many);
  }

  timesOf(many = LOOKS) {
    return this.#inOrder(this.times, many);
  }

  #inOrder(ring, many) {
    const found = new Array(many);
    for (let index = 0; index < many; index += 1) {
      found[index] = ring[(this.cursor + 1 + LOOKS - many + index + LOOKS) % LOOKS];
    }
    return found;
  }

  #adopt(list) {
    this.version = list.version;
    for (const one of this.containers.values()) one.place = -1;
    list.containers.forEach((description, place) => {
      let one = this.byId(description.labels.id);
      if (one?.is(description)) one.describe(description);
      else this.containers.set(description.labels.id, (one = new Container(description)));
      one.place = place;
    });
  }

  #take(usage) {
    const seconds = this.usage === null ? 0 : usage.clock - this.usage.clock;
    if (this.usage !== null && seconds <= 0) return; // the look that we have already
    this.cursor = (this.cursor + 1) % LOOKS;
    this.times[this.cursor] = usage.time;
    [this.time, this.machine] = [usage.time, usage.machine];
    const before = this.usage;
    this.usage = usage;
    for (const one of this.containers.values()) {
      this.#measure(one, usage, before, seconds);
      one.placeBefore = one.place;
      one.missedLooks = one.isGone ? one.missedLooks + 1 : 0;
      if (one.missedLooks >= LOOKS) this.containers.delete(one.id);
    }
  }

  #measure(one, usage, before, seconds) {
    const now = (metric) => usage.values[metric]?.[one.place] ?? null;
    const then = (metric) => before?.values[metric]?.[one.placeBefore] ?? null;
    for (const name of NAMES) {
      const number = one.isGone ? null : SERIES[name](now, then, seconds);
      one.last[name] = number;
      one.rings[name][this.cursor] = number ?? NaN;
    }
    one.frozen = one.isGone ? null : now("container_frozen");
  }
}
