// Trunks and their gateways: how they do, and the operator's hand on them.

import { gatewayActions, gatewayColumns, either, whyColumn, withActions } from "./columns.js";
import { Table, count, hint, put, span } from "./draw.js";
import { live } from "./live.js";

const id = (name) => document.getElementById(name);

const gateways = new Table(
  id("gateways"),
  "Gateways of trunks",
  withActions([...gatewayColumns, whyColumn], gatewayActions),
  (one) => `${one.trunk} ${one.gateway}`,
  hint("No gateway is configured", "A file in conf.d/ with a section such as this one connects a carrier or a PBX:", "[trunk carrier-a]", "gateways = 192.0.2.10"),
  id("q-gateways"),
);

function registered(one) {
  if (!one.account) return one.reason ? { text: "password refused", tone: "bad", badge: true, title: one.reason, sub: one.reason } : "–";
  const good = one.registration === "registered";
  const tone = good ? "good" : one.registration === "registering" ? "fair" : "bad";
  const sub = good ? `${one.registrar}, ${span(one.registered_for_s)} more` : one.reason;
  return { text: one.registration, tone, badge: true, title: one.reason || one.account, sub };
}

const trunks = new Table(
  id("trunks"),
  "Trunks",
  [
    { label: "Trunk", kind: "wide", order: (one) => one.name, value: (one) => one.name },
    { label: "Calls", kind: "num", order: (one) => one.calls, value: (one) => count(one.calls) },
    { label: "Gateways", kind: "num", order: (one) => one.gateways.length, value: (one) => (one.gateways.length ? `${one.gateways.filter((gateway) => gateway.usable).length} of ${one.gateways.length}` : "–") },
    { label: "Registered there", kind: "wide", order: (one) => one.registration, value: registered },
    { label: "Trusted", kind: "wide", value: (one) => either(one.trusted, "nobody") },
  ],
  (one) => one.name,
  hint("No trunk is configured", "Calls go between the phones of this box only."),
  id("q-gateways"),
);

live((box) => {
  const rows = box.trunks.flatMap((one) => one.gateways);
  gateways.show(rows);
  trunks.show(box.trunks);
  put(id("n-gateways"), rows.length ? `${rows.filter((one) => one.usable).length} of ${rows.length} take calls` : "");
  put(id("n-trunks"), box.trunks.length ? count(box.trunks.length) : "");
});
