// The smaller pages: alerts, the OOM ledger, the exporter itself.

import { get } from "./api.js";
import { element, Rows, setText } from "./dom.js";
import { bytes, count, duration, moment, seconds } from "./format.js";
import { linkTo } from "./routes.js";

const RANKS = { critical: 0, warning: 1, info: 2 };
const STATES = { firing: 0, pending: 1, resolved: 2 };

function containerLink(id, text) {
  return element("a", { href: linkTo({ id }), title: id }, text ?? id);
}

class Page {
  constructor(title) {
    this.title = title;
    this.notice = element("p", { class: "notice", hidden: true });
    this.node = element("section", {}, element("h1", {}, title), this.notice);
  }

  say(text) {
    this.notice.hidden = !text;
    setText(this.notice, text);
  }

  key() {
    return false;
  }
}

export class AlertsPage extends Page {
  constructor(history) {
    super("Alerts");
    this.history = history;
    this.rows = new Rows(["State", "Severity", "Alert", "What", "About", "Since"], "Alerts");
    this.node.append(this.rows.table);
  }

  async update() {
    const alerts = await get("alerts"); // the pending ones, too, which may be very many
    const failures = Object.entries(alerts.failures).map(([name, reason]) => `${name}: ${reason}`);
    const quiet = alerts.alerts.length ? "" : "Nothing is pending or firing.";
    this.say(alerts.enabled ? [quiet, ...failures].filter(Boolean).join(" ") : "This exporter does not evaluate alerts.");
    const order = (one) => STATES[one.state] * 10 + (RANKS[one.severity] ?? 9);
    const sorted = alerts.alerts.toSorted((one, other) => order(one) - order(other) || other.since - one.since);
    this.rows.table.hidden = sorted.length === 0;
    this.rows.show(sorted, () =>
      sorted.map((one) => [
        element("span", { class: `state ${one.state}` }, one.state),
        element("span", { class: `severity ${one.severity}` }, one.severity),
        runbook(one),
        element("span", { title: one.annotations.description ?? "" }, one.annotations.summary ?? ""),
        one.labels.id ? containerLink(one.labels.id, one.labels.name ?? one.labels.id) : "",
        moment(one.since),
      ]),
    );
  }
}

// Only to pages of the web: an address comes from a rule file, and could be a script.
function runbook(alert) {
  const address = alert.annotations.runbook_url ?? "";
  return /^https?:\/\//.test(address) ? element("a", { href: address, rel: "noreferrer" }, alert.name) : alert.name;
}

export class OomPage extends Page {
  constructor() {
    super("OOM kills");
    this.totals = element("p");
    this.rows = new Rows(["Container", "Kills", "of its own", "Last", "State", "Last victims"], "OOM kills");
    this.node.append(this.totals, this.rows.table);
  }

  async update() {
    const report = await get("oom");
    const quiet = report.accounts.length ? "" : "No kill is known.";
    this.say(report.enabled ? quiet : "This exporter does not count OOM kills.");
    this.totals.hidden = !report.enabled;
    setText(this.totals, report.enabled ? this.#totals(report) : "");
    this.rows.table.hidden = report.accounts.length === 0;
    this.rows.show(report.accounts, (accounts) => accounts.map((account) => this.#cells(account)));
  }

  #totals(report) {
    const log = report.log_readable ? "" : " The kernel's log cannot be read, so victims have no names.";
    return (
      `${count(report.machine_kills)} since boot; since the ledger began ${count(report.attributed)} in known cgroups and ` +
      `${count(report.unattributed)} in none.${log}`
    );
  }

  #cells(account) {
    const victims = account.victims.map((one) => `${one.comm} (${one.pid}), ${bytes(one.anon_rss_bytes)} anonymous`);
    return [
      account.gone ? element("span", { title: account.id }, account.name ?? account.id) : containerLink(account.id, account.name),
      count(account.kills),
      count(account.own_kills),
      account.last ? moment(account.last) : "before the ledger began",
      account.gone ? `gone since ${moment(account.gone)}` : "there",
      victims.join("; "),
    ];
  }
}

export class ExporterPage extends Page {
  constructor() {
    super("Exporter");
    this.facts = new Rows(["", ""], "Exporter");
    this.facts.table.classList.add("facts");
    this.collectors = new Rows(["Collector", "Time", "State"], "Collectors");
    this.problems = new Rows(["Part", "Reason", "Times"], "What could not be read");
    this.requests = new Rows(["Path", "Code", "Times"], "Requests");
    for (const rows of [this.facts, this.collectors, this.problems, this.requests]) {
      this.node.append(element("h2", {}, rows.table.getAttribute("aria-label")), rows.table);
    }
  }

  async update() {
    const health = await get("health");
    this.facts.show(Object.entries(facts(health)), (rows) => rows);
    this.collectors.show(health.collectors, (all) =>
      all.map((one) => [one.name, seconds(one.seconds), one.success ? "good" : element("strong", { class: "firing" }, "failed")]),
    );
    this.problems.show(health.problems, (all) => all.map((one) => [one.part, one.reason, count(one.count)]));
    this.requests.show(health.requests, (all) => all.map((one) => [one.path, one.code, count(one.count)]));
  }
}

function facts(health) {
  return {
    version: `${health.version}, Python ${health.python}`,
    cgroups: health.cgroups,
    running: `since ${moment(health.started)} (${duration(Date.now() / 1000 - health.started)})`,
    "CPU time": seconds(health.cpu_seconds),
    memory: bytes(health.resident_bytes),
    looks: count(health.scrapes),
    "last look": `${seconds(health.scrape_seconds)} for ${count(health.containers)} cgroups and ${count(health.series)} values`,
    "values left out": count(health.series_dropped),
    "control files open": `${count(health.control_files.open)} of ${count(health.control_files.max)}`,
    descriptors: `${count(health.descriptors.open)} of ${count(health.descriptors.max)}`,
  };
}
