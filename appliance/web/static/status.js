// The first page: is it well, and if not, what is wrong and what to do; then what the box carries.

import { change, forget, grade, gradeName, make, mute, muteWords, worst } from "./calls.js";
import { gatewayColumns, either, pageOf, plain, refusedColumns, when } from "./columns.js";
import { Table, count, curve, dateAndTime, el, hint, keyed, mark, put, roughly, span } from "./draw.js";
import { live, tone } from "./live.js";
import { Plot } from "./plot.js";

const CALLS_SHOWN = 12;
const FAILED_SHOWN = 10;
const ENDED_SHOWN = 10;
const GATEWAYS_SHOWN = 8;
const id = (name) => document.getElementById(name);
const at = ([host, port]) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

const noCalls = hint("No call is in progress", "Each stands here from its first second on. Without a phone at hand, the self-test of the page Diagnosis makes one.");
id("calls").after(noCalls);

const gateways = new Table(
  id("gateways"),
  "Gateways, those with troubles first",
  gatewayColumns,
  (one) => `${one.trunk} ${one.gateway}`,
  hint("No trunk is configured", "A file in conf.d/ with a section such as this one connects a carrier or a PBX:", "[trunk carrier-a]", "gateways = 192.0.2.10"),
);

const capacity = new Table(
  id("capacity"),
  "Capacity used, the fullest first",
  [
    { label: "Limit", kind: "wide", order: (one) => one.limit, value: (one) => ({ text: one.limit, sub: `${one.scope} · ${one.what}`, title: `${one.limit}: ${one.what} of ${one.scope}` }) },
    { label: "Used", kind: "meter", order: filled, value: (one) => ({ text: `${count(one.used)} of ${count(one.size)}`, title: `${Math.round(100 * filled(one))} %`, share: filled(one), tone: filled(one) >= 1 ? "bad" : filled(one) >= 0.8 ? "fair" : "" }) },
    { label: "Refused", kind: "num", order: (one) => one.refused, value: (one) => (one.refused ? { text: count(one.refused), tone: "fair" } : "0") },
  ],
  (one) => `${one.limit} ${one.scope} ${one.what}`,
  hint("Nothing is limited", "The box's own sizes are in [sip] and [media]."),
);

function filled(one) {
  return one.size ? one.used / one.size : 1;
}

const failed = new Table(
  id("failed"),
  "Calls that failed or were refused, the latest first",
  refusedColumns,
  (one) => `${one.key} ${one.at} ${one.caller}`,
  hint("No call has failed", "Here stands, for each of the last ones, one sentence that says why."),
);

const ended = new Table(
  id("ended"),
  "Calls that ended, the latest first",
  [
    { label: "Ended", kind: "when", value: (call) => when(call.ended_at) },
    { label: "Caller", kind: "party", value: (call) => ({ text: plain(call.caller), title: call.caller }) },
    { label: "Called", kind: "party", value: (call) => ({ text: plain(call.called), title: call.called, sub: call.trunk && `trunk ${call.trunk}` }) },
    { label: "Talked", kind: "num", value: (call) => span(call.ended_at - call.answered_at) },
    { label: "Sound", kind: "num", value: (call) => sound(call) },
    { label: "How it ended", kind: "wide", value: (call) => ({ text: call.ending || "–", href: pageOf(call.serial) }) },
  ],
  (call) => call.serial,
  hint("No call has ended since the start", "Here stands, for each of the last calls, one sentence that says who ended it."),
);

function sound(call) {
  const quiet = mute(call, call.ended_at ?? 0);
  if (quiet.size) return { text: "mute", tone: "bad", title: muteWords(quiet) };
  const score = worst(call);
  return score === null ? "–" : { text: score.toFixed(1), tone: grade(score), title: `The worst direction sounded ${gradeName(score)} (MOS)` };
}

// From the records and from files, asked now and then.

const QUALITY_SHOWN = 20;
const DAY_S = 86_400;
let now = Date.now() / 1000;

const judged = (name, unit, digits) => (one) => (one[name] === null ? "–" : { text: `${one[name].toFixed(digits)}${unit}`, tone: one.tones[name] });
const quality = new Table(
  id("quality"),
  "Quality by gateway, the worst first",
  [
    { label: "Gateway", kind: "wide", order: (one) => `${one.trunk} ${one.gateway}`, value: (one) => ({ text: one.gateway || "none", sub: one.trunk, title: `trunk ${one.trunk}, ${one.gateway || "no gateway was tried"}` }) },
    { label: "Calls", kind: "num", order: (one) => one.calls, value: (one) => ({ text: count(one.calls), title: `${count(one.answered)} of ${count(one.calls)} were answered` }) },
    { label: "ASR", kind: "num", order: (one) => one.asr ?? -1, value: judged("asr", " %", 0) },
    { label: "NER", kind: "num", order: (one) => one.ner ?? -1, value: judged("ner", " %", 0) },
    { label: "PDD", kind: "num", order: (one) => one.pdd_s ?? -1, value: judged("pdd_s", " s", 1) },
    { label: "Talked", kind: "num", order: (one) => one.acd_s ?? -1, value: (one) => (one.acd_s === null ? "–" : span(one.acd_s)) },
    { label: "MOS", kind: "num", order: (one) => one.mos ?? -1, value: judged("mos", "", 1) },
    { label: "Put back", kind: "wide", value: (one) => (one.put_back ? { text: one.put_back, tone: "bad", title: "It is tried after the others, as its [quality] says" } : "–") },
  ],
  (one) => `${one.trunk} ${one.gateway}`,
  hint("No call went to a trunk in this time", "Here stands for each gateway how many calls were answered, how many the network lost, how long callers waited, and how it sounded."),
);

const certificates = new Table(
  id("certificates"),
  "Certificates, the first to run out before the others",
  [
    { label: "Certificate", kind: "wide", value: (one) => ({ text: one.names.join(", ") || "cannot be read", sub: one.file, title: `${one.names.join("\n")}\n${one.issuer || "self-signed"}` }) },
    { label: "Shown by", kind: "wide", value: (one) => ({ text: one.serves.join(", "), title: one.serves.join("\n") }) },
    { label: "Left", kind: "num", order: (one) => one.ends_at ?? 0, value: left },
    { label: "How it is, and what to do", kind: "wide", value: (one) => ({ text: one.sentence, sub: one.remedy, title: one.sentence, tone: one.tone === "good" ? "" : one.tone }) },
  ],
  (one) => one.file,
  hint("No certificate is in use", "Listeners for TLS and WSS have one, and so has this page."),
);

function left(one) {
  if (one.ends_at === null) return "–";
  const days = Math.floor((one.ends_at - now) / DAY_S);
  const tone = days < 7 ? "bad" : days < 30 ? "fair" : "";
  return { text: days < 0 ? "ran out" : `${count(days)} ${days === 1 ? "day" : "days"}`, tone, title: dateAndTime(one.ends_at) };
}

async function found(path) {
  try {
    const answer = await fetch(path, { signal: AbortSignal.timeout(20_000) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // the page says that the box is gone
  }
}

let qualityOf = "day";
async function askQuality() {
  const asked = qualityOf;
  const answer = await found(`/find/quality?span=${asked}`);
  if (!answer || asked !== qualityOf) return;
  quality.show(answer.rows.slice(0, QUALITY_SHOWN));
  put(id("n-quality"), answer.error || (answer.rows.length > QUALITY_SHOWN ? `the ${QUALITY_SHOWN} worst of ${count(answer.rows.length)}` : ""));
}
toggle(id("quality-spans"), [["hour", "An hour"], ["day", "A day"], ["week", "A week"]], qualityOf, (name) => {
  qualityOf = name;
  askQuality();
});

async function askCertificates() {
  const answer = await found("/find/certificates");
  if (!answer) return;
  now = answer.now;
  certificates.show(answer.rows);
  put(id("n-certificates"), answer.rows.length ? count(answer.rows.length) : "");
}
askQuality();
askCertificates();
setInterval(() => document.hidden || askQuality(), 20_000);
setInterval(() => document.hidden || askCertificates(), 60_000);

const services = new Table(
  id("services"),
  "Services",
  [
    { label: "Service", value: (one) => ({ text: one.name, sub: one.restarts ? `${one.restarts} restarts` : "" }) },
    { label: "State", kind: "state", value: (one) => ({ text: one.trouble ? "not well" : one.state, tone: one.trouble ? "bad" : { ready: "good", degraded: "bad" }[one.state] || "fair", badge: true }) },
    { label: "Where, or fault", kind: "wide", value: (one) => one.trouble || one.fault || one.where || "–" },
  ],
  (one) => one.name,
  hint("Nothing runs", "No service has reported yet."),
);

const listeners = new Table(
  id("listeners"),
  "Listeners",
  [
    { label: "Listener", kind: "wide", value: (one) => ({ text: `${one.name} · ${one.transport}`, sub: one.accepting ? either(one.addresses.map(at), "the web page’s own") : "takes no new connections" }) },
    { label: "Open", kind: "num", value: (one) => (one.transport === "UDP" ? "–" : count(one.connections)) },
    { label: "In", kind: "num", value: (one) => count(one.messages_in) },
    { label: "Out", kind: "num", value: (one) => count(one.messages_out) },
    { label: "Dropped", kind: "num", value: (one) => dropped(one.drops) },
  ],
  (one) => `${one.name} ${one.transport}`,
  hint("No listener is configured", "A file in conf.d/ with a section such as this one opens a port for phones:", "[listener udp]", "transport = udp", "port = 5060"),
);

function dropped(drops) {
  const causes = Object.entries(drops).filter(([, number]) => number);
  const sum = causes.reduce((total, [, number]) => total + number, 0);
  if (!sum) return "0";
  return { text: count(sum), tone: "fair", title: causes.map(([cause, number]) => `${cause}: ${count(number)}`).join("\n") };
}

// Calls over time, in three spans.

const plot = new Plot(id("hours"));
let spanShown = "day";
toggle(id("spans"), [["hour", "An hour"], ["day", "A day"], ["days", "Two days"]], spanShown, (name) => {
  spanShown = name;
  hours();
});

// Buttons of which one is pressed.
function toggle(mount, choices, first, chosen) {
  for (const [name, label] of choices) {
    const button = el("button", "", label);
    button.type = "button";
    mark(button, "aria-pressed", name === first);
    button.addEventListener("click", () => {
      for (const other of mount.children) mark(other, "aria-pressed", other === button);
      chosen(name);
    });
    mount.append(button);
  }
}

async function hours() {
  const asked = spanShown;
  try {
    const answer = await fetch(`/status/history?span=${asked}`, { signal: AbortSignal.timeout(8000) });
    if (answer.ok && asked === spanShown) plot.show(await answer.json());
  } catch {
    // the page says that the box is gone
  }
}
hours();
setInterval(() => document.hidden || hours(), 15_000);

function makeReason() {
  return el("li", "card", el("strong"), el("p", "what"), el("p", "remedy"));
}

function changeReason(line, one) {
  mark(line, "data-tone", one.tone);
  put(line.children[0], one.what, one.what);
  put(line.children[1], one.sentence, one.sentence);
  const remedy = line.children[2];
  if (remedy.dataset.of === one.remedy + one.page) return;
  remedy.dataset.of = one.remedy + one.page;
  remedy.replaceChildren(one.remedy);
  if (one.page && one.page !== "/") {
    const link = el("a", "", "Look there");
    link.href = one.page;
    remedy.append(" ", link);
  }
}

const tiles = {};
function tile(name, label) {
  const value = el("span", "value", "–");
  const note = el("span", "note");
  const box = el("div", "card tile", el("dt", "", label), el("dd", "", value, note));
  id("tiles").append(box);
  tiles[name] = { box, value, note };
}
tile("calls", "Calls in progress");
tile("answered", "Answered");
tile("phones", "Registered phones");
tile("sound", "Worst sound now");
tile("messages", "SIP messages");
tile("bans", "Banned addresses");
const calls = curve();
tiles.calls.box.append(calls);

let rate = null;

function draw(box) {
  const { wellness } = box;
  mark(id("verdict"), "data-state", tone(wellness));
  put(id("state"), wellness.sentence);
  put(id("since"), box.state === "starting" ? "" : `Running for ${roughly(box.up_s)}`);
  const more = wellness.left_out ? [{ tone: "fair", what: `and ${wellness.left_out} more`, sentence: "", remedy: "", page: "/alarms" }] : [];
  const reasons = [...wellness.reasons, ...more];
  id("reasons").hidden = reasons.length === 0;
  keyed(id("reasons"), reasons, (one) => one.what, makeReason, changeReason);

  const { active, routed, answered, refused } = box.totals;
  put(tiles.calls.value, count(active));
  calls.draw([...box.history.calls, active]);
  put(tiles.answered.value, routed ? `${Math.round((100 * answered) / routed)} %` : "–");
  put(tiles.answered.note, routed ? `${count(answered)} of ${count(routed)} calls` : "no call yet");
  put(tiles.phones.value, count(box.totals.registrations));
  put(tiles.phones.note, users(box));
  const scores = box.calls.map(worst).filter((score) => score !== null);
  const score = scores.length ? Math.min(...scores) : null;
  const quiet = box.calls.filter((call) => mute(call, box.now).size).length;
  put(tiles.sound.value, quiet ? "mute" : score === null ? "–" : score.toFixed(1));
  mark(tiles.sound.value, "data-tone", quiet ? "bad" : grade(score));
  put(tiles.sound.note, quiet ? `in ${count(quiet)} ${quiet === 1 ? "call" : "calls"}` : score === null ? "no call to measure" : `${gradeName(score)} (MOS)`);
  put(tiles.messages.value, perSecond(box));
  put(tiles.messages.note, "received a second");
  put(tiles.bans.value, count(box.bans.total));
  put(tiles.bans.note, refused ? `${count(refused)} ${refused === 1 ? "call" : "calls"} refused` : "no call refused");

  const shown = box.calls.slice(0, CALLS_SHOWN);
  noCalls.hidden = shown.length !== 0;
  keyed(id("calls"), shown, (call) => call.serial, make, (card, call) => change(card, call, shown.length, box.now));
  forget(box.calls);
  number("calls", shown.length, active);

  const all = box.trunks.flatMap((one) => one.gateways);
  const sick = (one) => (one.usable && /in service|not watched/.test(one.state) ? 1 : 0);
  gateways.show([...all].sort((a, b) => sick(a) - sick(b)).slice(0, GATEWAYS_SHOWN));
  number("gateways", Math.min(all.length, GATEWAYS_SHOWN), all.length);
  capacity.show([...box.capacity].sort((a, b) => filled(b) - filled(a)).slice(0, GATEWAYS_SHOWN));
  number("capacity", Math.min(box.capacity.length, GATEWAYS_SHOWN), box.capacity.length);

  const lost = box.ended.filter((call) => call.status >= 400 && !call.answered_at);
  const rows = [
    ...lost.map((call) => ({ at: call.ended_at, caller: plain(call.caller), called: plain(call.called), source: "", status: call.status, cause: call.ending || "–", key: call.serial })),
    ...box.refused.filter((one) => !lost.some((call) => call.call_id === one.call_id)).map((one) => ({ ...one, key: one.serial })),
  ].sort((a, b) => b.at - a.at);
  failed.show(rows.slice(0, FAILED_SHOWN));
  number("failed", Math.min(rows.length, FAILED_SHOWN), rows.length);
  const talked = box.ended.filter((call) => call.answered_at);
  ended.show(talked.slice(0, ENDED_SHOWN));
  number("ended", Math.min(talked.length, ENDED_SHOWN), talked.length);

  const faults = new Map(box.faults.map((fault) => [fault.name, fault.text]));
  services.show(box.services.map((one) => ({ ...one, trouble: faults.get(one.name) })));
  listeners.show(box.listeners);
  for (const name of ["services", "listeners"]) number(name, box[name].length, box[name].length);
}

function number(name, shown, all) {
  put(id(`n-${name}`), shown < all ? `${count(shown)} of ${count(all)} shown` : all ? count(all) : "");
}

function users(box) {
  const names = new Set(box.registrations.map((one) => one.user));
  if (box.registrations.length < box.totals.registrations) return "";
  return names.size === 1 ? "of one user" : names.size ? `of ${count(names.size)} users` : "none yet";
}

function perSecond(box) {
  const received = box.listeners.reduce((sum, one) => sum + one.messages_in, 0);
  if (rate && box.now - rate.now >= 0.5) {
    const fresh = Math.max(0, received - rate.received) / (box.now - rate.now);
    rate = { now: box.now, received, shown: fresh >= 10 ? count(Math.round(fresh)) : fresh.toFixed(1) };
  } else if (!rate) rate = { now: box.now, received, shown: "–" };
  return rate.shown;
}

live(draw);
