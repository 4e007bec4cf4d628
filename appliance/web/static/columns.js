// Columns that several pages show: gateways, trunks, alarms, calls that were refused.

import { mayOperate, act, sure } from "./act.js";
import { count, dateAndTime, roughly, span, timeOfDay } from "./draw.js";

export const plain = (uri) => uri.replace(/^sips?:/, "");
export const either = (list, none) => (list.length ? list.join(", ") : none);
const hasCalls = Boolean(document.querySelector('nav a[href="/calls"]'));
export const pageOf = (key) => (hasCalls && key ? `/calls/${encodeURIComponent(key)}` : undefined);
export const when = (wall) => ({ text: timeOfDay(wall), title: dateAndTime(wall) });

export const SEVERITIES = { critical: "bad", major: "bad", minor: "fair", warning: "fair" };
const RANKS = { critical: 0, major: 1, minor: 2, warning: 3 };

export const alarmColumns = [
  { label: "Severity", order: (one) => RANKS[one.severity], value: (one) => ({ text: one.severity, tone: SEVERITIES[one.severity] || "", badge: true }) },
  { label: "Alarm", kind: "party", order: (one) => one.kind, value: (one) => ({ text: one.kind.replaceAll("-", " "), sub: one.subject, title: one.subject }) },
  { label: "What is wrong", kind: "wide", value: (one) => ({ text: one.sentence, sub: one.remedy }) },
  { label: "Since", kind: "when", order: (one) => one.since, value: (one) => ({ ...when(one.since), sub: one.count > 1 ? `${count(one.count)} times` : one.until ? `for ${roughly(one.until - one.since)}` : "" }) },
];

export function stateOf(one) {
  const good = one.state === "in service";
  const held = one.state === "drained" || one.state === "blocked" || one.state === "draining";
  const tone = good ? "good" : !one.usable ? (held ? "fair" : "bad") : one.state === "not watched" ? "none" : "fair";
  return { text: one.state, tone, badge: true, title: one.why || one.state };
}

const failing = (one) => (one.attempts ? one.failed / one.attempts : 0);
const measured = (number, text) => (number === null || number === undefined ? "–" : text(number));

export const gatewayColumns = [
  { label: "Gateway", kind: "wide", order: (one) => `${one.trunk} ${one.gateway}`, value: (one) => ({ text: one.gateway, sub: one.trunk, title: `trunk ${one.trunk}, ${one.gateway}` }) },
  { label: "State", kind: "state", order: (one) => `${one.usable} ${one.state}`, value: stateOf },
  { label: "Calls", kind: "num", order: (one) => one.calls, value: (one) => count(one.calls) },
  { label: "Failed", kind: "num", order: failing, value: (one) => (one.attempts ? { text: `${Math.round(100 * failing(one))} %`, title: `${count(one.failed)} of ${count(one.attempts)} attempts since the start`, tone: failing(one) > 0.5 ? "bad" : failing(one) > 0.2 ? "fair" : "" } : "–") },
  { label: "Delay", kind: "num", order: (one) => one.latency_ms ?? -1, value: (one) => measured(one.latency_ms, (ms) => `${count(ms)} ms`) },
];

export const whyColumn = { label: "Why, and quality", kind: "wide", value: (one) => ({ text: one.why || one.quality || "–", sub: one.why ? one.quality : "" }) };

// What an operator may do with a gateway just now.
export const gatewayActions = {
  label: "",
  kind: "do",
  value: (one) => ({ text: "", buttons: held(one) ? [button("unblock", "Unblock")] : [button("drain", "Drain"), button("block", "Block")] }),
};
const held = (one) => /drain|block/.test(one.state);
const DONE = { drain: "is being drained", block: "is blocked", unblock: "is let in again" };
const WHY = { drain: "No new calls go there. Calls in progress go on.", block: "No new calls go there, and it is not pinged. Calls in progress go on." };

function button(action, label) {
  return {
    label,
    run: async (one) => {
      if (WHY[action] && !(await sure(`${label} ${one.gateway} of ${one.trunk}?`, WHY[action], label))) return;
      await act("gateway", { action, trunk: one.trunk, gateway: one.gateway }, `${one.gateway} of ${one.trunk} ${DONE[action]}.`);
    },
  };
}

export const withActions = (columns, actions) => (mayOperate ? [...columns, actions] : columns);

export const refusedColumns = [
  { label: "When", kind: "when", order: (one) => one.at, value: (one) => when(one.at) },
  { label: "Caller", kind: "party", order: (one) => one.caller, value: (one) => ({ text: one.caller || "–", sub: one.source && `from ${one.source}`, title: `${one.caller} (as they say) from ${one.source}` }) },
  { label: "Called", kind: "party", order: (one) => one.called, value: (one) => one.called },
  { label: "Answer", kind: "num", order: (one) => one.status, value: (one) => String(one.status) },
  { label: "Why", kind: "wide", value: (one) => ({ text: one.cause, href: pageOf(one.key) }) },
];

export function banEnds(one) {
  return one.left_s === null ? "never" : `in ${span(one.left_s)}`;
}
