// The status page: listens to the box, draws what it says, and tells when it says nothing any more.

import { change, forget, grade, gradeName, make, worst } from "./calls.js";
import { Table, count, curve, dateAndTime, el, hint, keyed, mark, put, roughly, span, timeOfDay } from "./draw.js";

const SILENCE_MS = 5000;
const AGAIN_MS = 2000;
const id = (name) => document.getElementById(name);
const where = location.hostname.replace(/^\[|\]$/g, "");

const plain = (uri) => uri.replace(/^sips?:/, "");
const either = (list, none) => (list.length ? list.join(", ") : none);
const at = ([host, port]) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

const noCalls = hint("No call is in progress", "Dial 9196 from a registered phone to hear your own voice, or 9197 for a test tone.");
id("calls").after(noCalls);

const alarms = new Table(
  id("alarms"),
  "Alarms, the worst first",
  [
    { label: "Since", kind: "when", value: (one) => ({ text: timeOfDay(one.since), title: dateAndTime(one.since) }) },
    { label: "Severity", value: (one) => ({ text: one.severity, tone: { critical: "bad", major: "bad", minor: "fair" }[one.severity] || "" }) },
    { label: "Alarm", kind: "party", value: (one) => ({ text: one.kind, sub: one.count > 1 ? `${count(one.count)} times` : "" }) },
    { label: "Of", kind: "party", value: (one) => one.subject },
    { label: "What is wrong, and what to do", kind: "wide", value: (one) => ({ text: one.sentence, sub: one.remedy, title: one.remedy }) },
  ],
  (one) => String(one.number),
  hint("Nothing is wrong", ""),
);

const ended = new Table(
  id("ended"),
  "Calls that ended, the latest first",
  [
    { label: "Ended", kind: "when", value: (call) => ({ text: timeOfDay(call.ended_at), title: dateAndTime(call.ended_at) }) },
    { label: "Caller", kind: "party", value: (call) => ({ text: plain(call.caller), title: call.caller }) },
    { label: "Called", kind: "party", value: (call) => ({ text: plain(call.called), title: call.called, sub: call.trunk && `trunk ${call.trunk}` }) },
    { label: "Talked", kind: "num", value: (call) => (call.answered_at ? span(call.ended_at - call.answered_at) : "–") },
    { label: "Sound", kind: "num", value: (call) => sound(call) },
    { label: "How it ended", kind: "wide", value: (call) => ({ text: call.ending || "–", tone: call.status >= 400 && !call.answered_at ? "bad" : "" }) },
  ],
  (call) => call.serial,
  hint("No call has ended since the start", "Here stands, for each of the last calls, one sentence that says who ended it or why it failed."),
);

function sound(call) {
  const score = worst(call);
  return score === null ? "–" : { text: score.toFixed(1), tone: grade(score), title: `The worst direction sounded ${gradeName(score)} (MOS)` };
}

const refused = new Table(
  id("refused"),
  "Calls that were refused, the latest first",
  [
    { label: "When", kind: "when", value: (one) => ({ text: timeOfDay(one.at), title: dateAndTime(one.at) }) },
    { label: "Caller", kind: "party", value: (one) => ({ text: one.caller || "–", sub: `from ${one.source}`, title: `${one.caller} (as they say) from ${one.source}` }) },
    { label: "Called", kind: "party", value: (one) => one.called },
    { label: "Answer", kind: "num", value: (one) => String(one.status) },
    { label: "Why", kind: "wide", value: (one) => one.cause },
  ],
  (one) => `${one.call_id} ${one.at}`,
  hint("No call was refused", ""),
);

const bans = new Table(
  id("bans"),
  "Banned addresses, those by hand first",
  [
    { label: "Address", kind: "party", value: (one) => one.source },
    { label: "What happens", value: (one) => (one.grade === "drop" ? "not heard" : "answered late") },
    { label: "Ends", kind: "num", value: (one) => (one.left_s === null ? "never" : `in ${span(one.left_s)}`) },
    { label: "Why", kind: "wide", value: (one) => one.cause },
  ],
  (one) => one.source,
  hint("Nobody is banned", ""),
);

const phoneHint = el("code");
const registrations = new Table(
  id("registrations"),
  "Registered phones",
  [
    { label: "User", kind: "party", value: (one) => ({ text: one.user, sub: one.display_name }) },
    { label: "Transport", value: (one) => one.transport },
    { label: "From", kind: "party", value: (one) => one.source },
    { label: "Phone", kind: "wide", value: (one) => one.user_agent || "–" },
    { label: "Contact", kind: "wide", value: (one) => ({ text: plain(one.contact), title: one.contact }) },
    { label: "Expires in", kind: "num", value: (one) => span(one.expires_in_s) },
  ],
  (one) => `${one.user} ${one.source} ${one.contact}`,
  hint("No phone is registered yet", "Point one at this box, with a password that scripts/run showed at the start:", phoneHint),
);

function registered(one) {
  if (!one.account) return one.reason ? { text: "password refused", tone: "bad", title: one.reason } : "–";
  const good = one.registration === "registered";
  const tone = good ? "good" : one.registration === "registering" ? "" : "bad";
  return { text: one.registration, tone, title: one.reason || one.account, sub: good ? one.registrar : one.reason };
}

const trunks = new Table(
  id("trunks"),
  "Trunks",
  [
    { label: "Trunk", kind: "party", value: (one) => one.name },
    { label: "Calls", kind: "num", value: (one) => count(one.calls) },
    { label: "Gateways", kind: "wide", value: (one) => gateways(one.gateways) },
    { label: "Registered", value: registered },
    { label: "Trusted", kind: "wide", value: (one) => either(one.trusted, "nobody") },
  ],
  (one) => one.name,
  hint("No trunk is configured", "A file in conf.d/ with a section such as this one connects a carrier or a PBX:", "[trunk carrier-a]", "gateways = 192.0.2.10"),
);

function gateways(list) {
  if (!list.length) return "only calls in";
  const out = list.filter((one) => !one.usable);
  const shown = list.map((one) => (one.state === "not watched" || one.state === "in service" ? one.gateway : `${one.gateway} ${one.state}`));
  const facts = list.map((one) => {
    const latency = one.latency_ms === null ? "" : `, ${one.latency_ms} ms`;
    return `${one.gateway}: ${one.state}${one.why ? `, ${one.why}` : ""}, ${one.calls} calls${latency}${one.quality ? `, ${one.quality}` : ""}`;
  });
  const tone = out.length === list.length ? "bad" : shown.some((text, index) => text !== list[index].gateway) ? "fair" : "";
  return { text: shown.join(", "), title: facts.join("\n"), tone };
}

const capacity = new Table(
  id("capacity"),
  "Capacity used",
  [
    { label: "Limit", kind: "party", value: (one) => one.limit },
    { label: "Of", value: (one) => one.scope },
    { label: "What", value: (one) => one.what },
    { label: "Used", kind: "num", value: (one) => filling(one) },
    { label: "Size", kind: "num", value: (one) => count(one.size) },
    { label: "Refused", kind: "num", value: (one) => (one.refused ? { text: count(one.refused), tone: "fair" } : "0") },
  ],
  (one) => `${one.limit} ${one.scope} ${one.what}`,
  hint("Nothing is limited", "The box's own sizes are in [sip] and [media]."),
);

function filling(one) {
  const share = one.size ? one.used / one.size : 1;
  return { text: count(one.used), title: `${Math.round(100 * share)} %`, tone: share >= 1 ? "bad" : share >= 0.8 ? "fair" : "" };
}

const services = new Table(
  id("services"),
  "Services",
  [
    { label: "Service", value: (one) => ({ text: one.name, sub: one.restarts ? `${one.restarts} restarts` : "" }) },
    { label: "State", value: (one) => ({ text: one.trouble ? "not well" : one.state, tone: one.trouble ? "bad" : { ready: "good", degraded: "bad" }[one.state] || "fair" }) },
    { label: "Where, or what is wrong", kind: "wide", value: (one) => one.trouble || one.fault || one.where || "–" },
  ],
  (one) => one.name,
  hint("Nothing runs", "No service has reported yet."),
);

const listeners = new Table(
  id("listeners"),
  "Listeners",
  [
    { label: "Listener", kind: "party", value: (one) => one.name },
    { label: "Transport", value: (one) => ({ text: one.transport, sub: one.accepting ? "" : "takes no new connections" }) },
    { label: "Addresses", kind: "wide", value: (one) => either(one.addresses.map(at), "the web page’s own") },
    { label: "Connections", kind: "num", value: (one) => (one.transport === "UDP" ? "–" : count(one.connections)) },
    { label: "Received", kind: "num", value: (one) => count(one.messages_in) },
    { label: "Sent", kind: "num", value: (one) => count(one.messages_out) },
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

const VERDICTS = {
  ready: ["All is well", "good"],
  degraded: ["Something does not work", "bad"],
  draining: ["Going down: no new calls", "fair"],
  starting: ["Starting", "fair"],
};

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
const calls = curve();
tiles.calls.box.append(calls);

let clockOffset = 0;
let last = null;
let lost = false;
let rate = null;

function draw(box) {
  clockOffset = box.now - Date.now() / 1000;
  const [sentence, tone] = VERDICTS[box.state] || [box.state, "fair"];
  mark(id("verdict"), "data-state", tone);
  put(id("state"), sentence);
  put(id("since"), box.state === "starting" ? "" : `Running for ${roughly(box.up_s)}`);
  put(id("version"), box.version);
  const unwell = box.services.filter((one) => one.state === "degraded" || one.state === "starting");
  const troubles = [...unwell.map((one) => ({ name: one.name, text: one.fault || one.state })), ...box.faults];
  id("troubles").hidden = troubles.length === 0;
  keyed(id("troubles"), troubles, (one) => one.name, () => el("li", "", el("strong"), " ", el("span")), (line, one) => {
    put(line.children[0], one.name);
    put(line.children[1], one.text, one.text);
  });

  const { active, routed, answered } = box.totals;
  put(tiles.calls.value, count(active));
  calls.draw([...box.history.calls, active]);
  put(tiles.answered.value, routed ? `${Math.round((100 * answered) / routed)} %` : "–");
  put(tiles.answered.note, routed ? `${count(answered)} of ${count(routed)} calls` : "no call yet");
  put(tiles.phones.value, count(box.totals.registrations));
  put(tiles.phones.note, users(box));
  const scores = box.calls.map(worst).filter((score) => score !== null);
  const score = scores.length ? Math.min(...scores) : null;
  put(tiles.sound.value, score === null ? "–" : score.toFixed(1));
  mark(tiles.sound.value, "data-tone", grade(score));
  put(tiles.sound.note, score === null ? "no call to measure" : `${gradeName(score)}, on the MOS scale to 4.5`);
  put(tiles.messages.value, perSecond(box));
  put(tiles.messages.note, "received a second");

  noCalls.hidden = box.calls.length !== 0;
  keyed(id("calls"), box.calls, (call) => call.serial, make, (card, call) => change(card, call, box.calls.length));
  forget(box.calls);
  alarms.show(box.alarms);
  id("s-alarms").hidden = box.alarms.length === 0;
  number("alarms", box.alarms.length, box.alarms.length);
  ended.show(box.ended);
  refused.show(box.refused);
  id("s-refused").hidden = box.refused.length === 0;
  bans.show(box.bans.shown);
  id("s-bans").hidden = box.bans.total === 0;
  put(phoneHint, `server ${where}, user ${box.first_user || "…"}`);
  registrations.show(box.registrations);
  trunks.show(box.trunks);
  const faults = new Map(box.faults.map((fault) => [fault.name, fault.text]));
  services.show(box.services.map((one) => ({ ...one, trouble: faults.get(one.name) })));
  capacity.show(box.capacity);
  listeners.show(box.listeners);
  number("calls", box.calls.length, active);
  number("ended", box.ended.length, box.ended.length, "the latest");
  number("refused", box.refused.length, box.refused.length);
  number("bans", box.bans.shown.length, box.bans.total);
  number("registrations", box.registrations.length, box.totals.registrations);
  for (const name of ["trunks", "services", "capacity", "listeners"]) number(name, box[name].length, box[name].length);
  document.title = `${troubles.length ? "⚠ " : ""}${active ? `${count(active)} ${active === 1 ? "call" : "calls"} · ` : ""}${box.name}`;
  last = box;
  tick();
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

function tick() {
  if (lost) return;
  const now = Date.now() / 1000 + clockOffset;
  for (const node of document.querySelectorAll("[data-since]")) put(node, span(now - Number(node.dataset.since)));
}
setInterval(tick, 1000);

// Listening. Events where they come; where they stay away, the page says so and asks until the box answers again.

let source = null;
let watch = 0;

function listen() {
  stop();
  source = new EventSource("/status/events");
  source.addEventListener("message", (event) => {
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
  clearTimeout(watch);
  watch = setTimeout(fail, SILENCE_MS);
  if (last && box.version !== last.version) {
    location.reload();
    return;
  }
  lost = false;
  id("lost").hidden = true;
  document.body.classList.remove("stale");
  draw(box);
}

function fail() {
  stop();
  if (document.hidden) return;
  if (!lost) {
    lost = true;
    document.body.classList.add("stale");
    const since = last ? ` What you see is from ${timeOfDay(last.now)}.` : "";
    put(id("lost"), `Connection lost, trying again …${since}`);
    id("lost").hidden = false;
  }
  watch = setTimeout(again, AGAIN_MS);
}

async function again() {
  try {
    const answer = await fetch("/status/now", { signal: AbortSignal.timeout(SILENCE_MS) });
    if (answer.status === 401) {
      leave();
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const box = await answer.json();
    listen();
    heard(box);
  } catch {
    fail();
  }
}

function leave() {
  stop();
  location.assign("/sign-in");
}

// A page that nobody sees holds no connection: browsers allow six to one box.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stop();
  else listen();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) listen();
});
if (!document.hidden) listen();
