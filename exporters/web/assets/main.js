// Starts the page: which part is shown, when to look again, keys, colours.

import { get } from "./api.js";
import { ContainerPage } from "./container.js";
import { setText } from "./dom.js";
import { moment } from "./format.js";
import { History } from "./history.js";
import { AlertsPage, ExporterPage, OomPage } from "./lists.js";
import { Overview } from "./overview.js";
import { home, place, remember } from "./routes.js";

const FIRST_RATES_MS = 700; // rates need two looks: the second one comes soon
const RETRY_MS = 2000;
const THEMES = ["auto", "light", "dark"];
const PAGES = { overview: Overview, container: ContainerPage, alerts: AlertsPage, oom: OomPage, exporter: ExporterPage };

const seen = new History();
const main = document.getElementById("main");
const state = document.getElementById("state");
let alerts = null;
let view = null;

async function show() {
  const { page, parameters } = place();
  const known = PAGES[page] ? page : "overview";
  view = new PAGES[known](seen, parameters, remember);
  main.replaceChildren(view.node);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === known) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
  await draw().catch(tellLost);
}

async function draw() {
  const began = performance.now();
  const drawn = view;
  const more = drawn.update({ alerts });
  performance.measure("draw", { start: began });
  await more;
  document.title = drawn === view ? view.title : document.title;
}

// ---------------------------------------------------------------------------------------------- looking

async function look() {
  const seconds = await seen.refresh();
  alerts = await get("alerts", { state: "firing" });
  const firing = alerts.alerts;
  const badge = document.getElementById("firing");
  badge.hidden = firing.length === 0;
  badge.className = `badge ${firing.some((one) => one.severity === "critical") ? "critical" : ""}`;
  setText(badge, String(firing.length));
  await draw();
  setText(state, `live · ${moment(seen.time).slice(11)}`);
  state.className = "live";
  return seconds * 1000;
}

function tellLost(error) {
  const text = { 401: "not logged in: reload the page", 403: "not allowed" }[error.status];
  setText(state, text ?? (error.status ? `the exporter answers ${error.status}` : "no connection, trying again"));
  state.className = "lost";
  if (!error.status && !(error instanceof TypeError) && error.name !== "TimeoutError") console.error(error); // a fault of ours
}

function until(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function untilVisible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

async function run() {
  let looks = 0;
  for (;;) {
    await untilVisible(); // who is not looking costs nothing
    let pause = RETRY_MS;
    try {
      pause = await look();
      looks += 1;
    } catch (error) {
      tellLost(error);
    }
    await until(looks === 1 ? Math.max(FIRST_RATES_MS, pause / 2) : pause);
  }
}

// ----------------------------------------------------------------------------------------------- people

function pressed(event) {
  const isTyping = event.target instanceof HTMLInputElement;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (isTyping) {
    if (event.key === "Escape") {
      if (event.target.value && view.clear) view.clear();
      event.target.blur();
    } else if (["Enter", "ArrowDown"].includes(event.key)) {
      event.target.blur();
      view.key("ArrowDown");
    }
    return;
  }
  const isControl = event.target.closest?.("a, button, summary") !== null;
  if (isControl && event.key === "Enter") return;
  const number = Number(event.key);
  if (number >= 1 && number <= 4) document.querySelectorAll("nav a")[number - 1].click();
  else if (event.key === "t") changeTheme();
  else if (!view.key(event.key)) {
    if (event.key !== "Escape" || place().page === "overview") return;
    location.hash = home();
  }
  event.preventDefault();
}

function applyTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  setText(document.getElementById("theme"), theme);
}

function changeTheme() {
  const now = document.documentElement.dataset.theme ?? "auto";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  localStorage.setItem("theme", next);
  applyTheme(next);
}

applyTheme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");
document.getElementById("theme").addEventListener("click", changeTheme);
document.addEventListener("keydown", pressed);
addEventListener("hashchange", show);
show();
run();
