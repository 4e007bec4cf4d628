// Registered phones: searched by the box, for there may be many; an operator may take a binding away.

import { act, sure } from "./act.js";
import { plain, withActions } from "./columns.js";
import { Table, el, finder, hint, put, span } from "./draw.js";
import { live } from "./live.js";

const id = (name) => document.getElementById(name);
const phoneHint = el("code");

const remove = {
  label: "Remove",
  run: async (one) => {
    const why = `${one.source} is not called any more until it registers again, which most phones do within minutes.`;
    if (!(await sure(`Remove the phone of ${one.user}?`, why, "Remove"))) return;
    if (await act("unregister", { id: one.id, user: one.user, contact: one.contact }, `The phone of ${one.user} is removed.`)) again();
  },
};

const table = new Table(
  id("registrations"),
  "Registered phones",
  withActions(
    [
      { label: "User", kind: "party", order: (one) => one.user, value: (one) => ({ text: one.user, sub: one.display_name }) },
      { label: "Transport", kind: "short", order: (one) => one.transport, value: (one) => one.transport },
      { label: "From", kind: "party", order: (one) => one.source, value: (one) => one.source },
      { label: "Phone", kind: "wide", order: (one) => one.user_agent, value: (one) => one.user_agent || "–" },
      { label: "Contact", kind: "wide", order: (one) => one.contact, value: (one) => ({ text: plain(one.contact), title: one.contact }) },
      { label: "Expires in", kind: "num", order: (one) => one.expires_in_s, value: (one) => span(one.expires_in_s) },
    ],
    { label: "", kind: "do one", value: () => ({ text: "", buttons: [remove] }) },
  ),
  (one) => one.id,
  hint("No phone is registered yet", "Point one at this box, with its user's name and password (those made at the first start were shown then):", phoneHint),
);
const again = finder("/find/registrations", id("q-registrations"), table, id("n-registrations"));

live((box) => put(phoneHint, `server ${location.hostname.replace(/^\[|\]$/g, "")}, user ${box.first_user || "…"}`));
