// What every page behind the sign-in shares: it listens to the box, and tells when the box says nothing any more.

import { count, mark, put, span, timeOfDay } from "./draw.js";

const SILENCE_MS = 5000;
const AGAIN_MS = 2000;
const id = (name) => document.getElementById(name);

const TONES = { well: "good", degraded: "bad", down: "bad", changing: "fair" };
let drawPage = () => {};
let clockOffset = 0;
let last = null;
let lost = false;
let titled = true;

export function tone(wellness) {
  const mild = wellness.grade === "degraded" && wellness.reasons.every((one) => one.tone !== "bad");
  return mild ? "fair" : TONES[wellness.grade] || "fair";
}

// On a narrow screen the name of this page may lie beside it.
const here = document.querySelector("nav [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - (here.parentElement.clientWidth - here.offsetWidth) / 2;

// Begin: draw(box) is called with what the box says, about once a second.
export function live(draw, { title = true } = {}) {
  drawPage = draw;
  titled = title;
  if (!document.hidden) listen();
}

function show(box) {
  clockOffset = box.now - Date.now() / 1000;
  put(id("version"), box.version);
  const { wellness } = box;
  mark(id("dot"), "data-tone", tone(wellness));
  mark(id("dot"), "aria-label", wellness.sentence);
  id("dot").title = wellness.sentence;
  const numbers = { "/calls": box.totals.active, "/registrations": box.totals.registrations, "/security": box.bans.total, "/alarms": box.alarms.length };
  for (const node of document.querySelectorAll("[data-count]")) {
    const number = numbers[node.dataset.count];
    put(node, number ? count(number) : "");
  }
  const active = box.totals.active;
  const trouble = wellness.grade === "well" ? "" : "⚠ ";
  if (titled) document.title = `${trouble}${active ? `${count(active)} ${active === 1 ? "call" : "calls"} · ` : ""}${box.name}`;
  drawPage(box);
  last = box;
  tick();
}

function tick() {
  if (lost) return;
  const now = Date.now() / 1000 + clockOffset;
  for (const node of document.querySelectorAll("[data-since]")) put(node, span(now - Number(node.dataset.since)));
}
setInterval(tick, 1000);

let source = null;
let watch = 0;
let told = false; // whether this stream has said anything yet

function listen() {
  stop();
  source = new EventSource("/status/events");
  source.addEventListener("message", (event) => {
    told = true;
    heard(JSON.parse(event.data));
  });
  source.addEventListener("signed-out", leave);
  source.addEventListener("error", fail);
  watch = setTimeout(fail, SILENCE_MS);
}

function stop() {
  clearTimeout(watch);
  if (source) source.close();
  source = null;
}

function heard(box) {
  if (source) {
    clearTimeout(watch);
    watch = setTimeout(fail, SILENCE_MS);
  }
  if (last && box.version !== last.version) {
    location.reload();
    return;
  }
  lost = false;
  id("lost").hidden = true;
  document.body.classList.remove("stale");
  show(box);
}

// The stream broke off, or there was no room for one: ask now and then instead, until there is one again.
function fail() {
  stop();
  if (document.hidden) return;
  watch = setTimeout(again, told ? 0 : AGAIN_MS);
  told = false;
}

async function again() {
  try {
    const answer = await fetch("/status/now", { signal: AbortSignal.timeout(SILENCE_MS) });
    if (answer.status === 401) {
      leave();
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    heard(await answer.json());
    listen();
  } catch {
    tellLost();
    fail();
  }
}

function tellLost() {
  if (lost || document.hidden) return;
  lost = true;
  document.body.classList.add("stale");
  const since = last ? ` What you see is from ${timeOfDay(last.now)}.` : "";
  put(id("lost"), `Connection lost, trying again …${since}`);
  id("lost").hidden = false;
}

// The session has ended: to the sign-in, and back here from there.
export function leave() {
  stop();
  location.assign(location.pathname === "/" ? "/sign-in" : `/sign-in?${new URLSearchParams({ to: location.pathname })}`);
}

// A page that nobody sees holds no connection: browsers allow six to one box.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stop();
  else listen();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) listen();
});
