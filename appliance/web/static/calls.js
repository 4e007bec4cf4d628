// One call in progress: who, what, how long, and how each side of it sounds.

import { count, el, keyed, mark, put } from "./draw.js";

const STATES = { trying: "Trying", ringing: "Ringing", answered: "Talking", ended: "Ended" };
const KINDS = { RTP: "RTP", SDES: "SDES-SRTP", WEBRTC: "WebRTC" };
const opened = new Map(); // what the viewer opened or closed, by serial

export function grade(mos) {
  if (mos === null || mos === undefined) return "";
  return mos >= 4 ? "good" : mos >= 3.6 ? "fair" : "bad";
}

const GRADES = { good: "good", fair: "fair", bad: "poor" };
export const gradeName = (mos) => GRADES[grade(mos)] || "not measured yet";

function* directions(call) {
  for (const leg of call.legs || [])
    for (const transport of leg.transports)
      for (const stream of transport.streams) yield* [stream.received, stream.sent];
}

// The worst opinion score of a call, null before anything was measured.
export function worst(call) {
  let found = null;
  for (const one of directions(call)) if (one.mos !== null && (found === null || one.mos < found)) found = one.mos;
  return found;
}

const HEARD_AFTER_S = 5; // before that nobody is called mute

// The sides of a call that stands, or stood until then, which should be heard and are not.
export function mute(call, now) {
  const sides = new Set();
  if (!call.answered_at || now - call.answered_at < HEARD_AFTER_S) return sides;
  for (const leg of call.legs || [])
    for (const transport of leg.transports)
      for (const stream of transport.streams)
        if (stream.kind === "audio" && /^send(recv|only)$/.test(stream.direction) && (!stream.received.packets || stream.silent_since !== null))
          sides.add(leg.name === "a" ? "caller" : "called");
  return sides;
}

export const muteWords = (sides) => (sides.size > 1 ? "nobody is heard" : `${[...sides][0]} side not heard`);

const plain = (uri) => uri.replace(/^sips?:/, "");

export function make(call) {
  const toggle = el("button", "head");
  toggle.type = "button";
  const parties = el("span", "parties", el("span", "party caller"), el("span", "arrow", "→"), el("span", "party called"));
  parties.children[1].setAttribute("aria-label", "calls");
  toggle.append(el("span", "chip state"), parties, el("span", "chip mos"), el("span", "time"));
  const more = el("a", "", "The page of this call");
  more.href = `/calls/${encodeURIComponent(call.serial)}`;
  const detail = el("div", "detail", el("p", "route"), el("div", "legs"), el("p", "more", more));
  detail.id = `call-${call.serial}`;
  toggle.setAttribute("aria-controls", detail.id);
  toggle.addEventListener("click", () => {
    const open = toggle.getAttribute("aria-expanded") !== "true";
    opened.set(call.serial, open);
    mark(toggle, "aria-expanded", open);
    detail.hidden = !open;
  });
  return el("article", "card call", toggle, detail);
}

export function change(card, call, crowd, now) {
  const [toggle, detail] = card.children;
  const [state, parties, mos, time] = toggle.children;
  mark(card, "data-state", call.state);
  put(state, STATES[call.state] || call.state);
  put(parties.children[0], plain(call.caller), call.caller);
  const callee = call.callee && call.callee !== call.called ? `${call.called} (${call.callee})` : call.called;
  put(parties.children[2], plain(call.called), callee);
  const score = worst(call);
  const quiet = mute(call, now);
  mos.hidden = score === null && !quiet.size;
  if (quiet.size) put(mos, muteWords(quiet), "Its page says since when, and what to do");
  else if (score !== null) put(mos, `MOS ${score.toFixed(1)}`, `The worst direction of this call sounds ${gradeName(score)}`);
  mark(mos, "data-tone", quiet.size ? "bad" : grade(score));
  mark(time, "data-since", call.answered_at ?? call.started_at);
  time.title = call.answered_at ? "Since it was answered" : "Since it was dialled";
  const open = opened.get(call.serial) ?? crowd <= 3;
  mark(toggle, "aria-expanded", open);
  detail.hidden = !open;
  if (!open) return;
  const line = /^line /.test(call.callee);
  const how = [call.route, call.callee && !line && `to ${plain(call.callee)}`, call.trunk && `by trunk ${call.trunk}`];
  put(detail.children[0], how.filter(Boolean).join(" · "));
  const legs = (call.legs || []).filter((leg) => leg.transports.length);
  if (line && legs.length) legs.push({ name: "line", line: call.callee, transports: [] });
  keyed(detail.children[1], legs, (leg) => leg.name, makeLeg, (box, leg) => changeLeg(box, leg, legs));
  detail.classList.toggle("bare", legs.length === 0);
  if (legs.length === 0) put(detail.children[1], call.state === "answered" ? "Its media goes past this box." : "No media yet.");
}

export function forget(calls) {
  const living = new Set(calls.map((call) => call.serial));
  for (const serial of opened.keys()) if (!living.has(serial)) opened.delete(serial);
}

function makeLeg() {
  return el("section", "leg", el("h3"), el("div", "transports"), el("p", "aside"));
}

function changeLeg(box, leg, legs) {
  const called = legs.filter((one) => one.name !== "a");
  const branch = called.length > 1 ? ` ${leg.name}` : "";
  const side = leg.name === "a" ? "Caller" : `Called${branch}`;
  put(box.children[0], side);
  box.children[2].hidden = !leg.line;
  put(box.children[2], leg.line ? `The test ${leg.line}, inside this box.` : "");
  keyed(box.children[1], leg.transports, (one) => one.streams.map((stream) => stream.index).join(), makeTransport, (part, one) =>
    changeTransport(part, one, leg.name === "a" ? "caller" : "called"),
  );
}

function makeTransport() {
  return el("div", "transport", el("p", "chips"), el("div", "streams"));
}

function changeTransport(part, transport, who) {
  const chips = [{ text: KINDS[transport.kind] || transport.kind }];
  const steps = transport.steps.join("\n");
  if (transport.ice !== "none") chips.push({ text: `ICE ${transport.ice}`, tone: tone(transport.ice), title: steps });
  if (transport.dtls !== "none") chips.push({ text: `DTLS ${transport.dtls}`, tone: tone(transport.dtls), title: steps });
  if (transport.suite) chips.push({ text: transport.suite.replaceAll("_", " ").toLowerCase().replace("aes cm 128 hmac sha1 80", "AES-CM-128").replace("aead aes 128 gcm", "AES-GCM-128"), title: transport.suite });
  if (transport.remote) chips.push({ text: address(transport.remote), title: "Where media is sent", plain: true });
  const drops = Object.entries(transport.drops).filter(([, number]) => number);
  if (drops.length) {
    const sum = drops.reduce((total, [, number]) => total + number, 0);
    const causes = drops.map(([cause, number]) => `${cause}: ${count(number)}`).join("\n");
    chips.push({ text: `${count(sum)} dropped`, tone: "fair", title: `Packets dropped, by cause\n${causes}` });
  }
  keyed(part.children[0], chips.map((chip, at) => ({ ...chip, at })), (chip) => chip.at, () => el("span", "chip"), (node, chip) => {
    put(node, chip.text, chip.title || "");
    mark(node, "data-tone", chip.tone);
    node.classList.toggle("plain", Boolean(chip.plain));
  });
  keyed(part.children[1], transport.streams, (stream) => stream.index, makeStream, (node, stream) => changeStream(node, stream, who));
}

const tone = (state) => ({ connected: "good", waiting: "fair", handshaking: "fair", lost: "bad", failed: "bad" })[state];
const address = ([host, port]) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

const FIGURES = [
  ["Packets", (one) => count(one.packets), () => ""],
  ["Loss", (one) => (one.loss_percent === null ? "–" : `${one.loss_percent.toFixed(1)} %`), (one) => (one.loss_percent > 3 ? "bad" : one.loss_percent > 1 ? "fair" : "")],
  ["Jitter", (one) => (one.jitter_ms === null ? "–" : `${one.jitter_ms.toFixed(1)} ms`), (one) => (one.jitter_ms > 50 ? "bad" : one.jitter_ms > 30 ? "fair" : "")],
  ["Round trip", (one) => (one.rtt_ms === null ? "–" : `${one.rtt_ms.toFixed(0)} ms`), (one) => (one.rtt_ms > 400 ? "bad" : one.rtt_ms > 250 ? "fair" : "")],
  ["MOS", (one) => (one.mos === null ? "–" : one.mos.toFixed(1)), (one) => grade(one.mos)],
];

function makeStream() {
  const head = el("tr", "", el("td"));
  for (const [label] of FIGURES) {
    const cell = el("th", "", label);
    cell.scope = "col";
    head.append(cell);
  }
  const body = el("tbody");
  for (let line = 0; line < 2; line += 1) {
    const name = el("th");
    name.scope = "row";
    const row = el("tr", "", name);
    for (let at = 0; at < FIGURES.length; at += 1) row.append(el("td"));
    body.append(row);
  }
  return el("div", "stream", el("p", "codec"), el("table", "figures", el("thead", "", head), body));
}

function changeStream(node, stream, who) {
  const held = { sendonly: "on hold", inactive: "inactive", recvonly: "receives only" }[stream.direction];
  const silent = stream.silent_since === null ? null : `nothing heard from the ${who} side`;
  put(node.children[0], [stream.kind, stream.codec || "no media yet", held, silent].filter(Boolean).join(" · "));
  mark(node.children[0], "data-tone", silent ? "bad" : "");
  const rows = node.children[1].tBodies[0].rows;
  [[`from ${who}`, stream.received], [`to ${who}`, stream.sent]].forEach(([label, one], line) => {
    const cells = rows[line].children;
    put(cells[0], label, one.source ? `measured ${one.source === "rtcp" ? "by the far end (RTCP)" : "by this box"}` : "");
    FIGURES.forEach(([, text, judge], at) => {
      put(cells[at + 1], text(one));
      mark(cells[at + 1], "data-tone", judge(one));
    });
  });
}
