// Who is kept out: bans, which an operator may lift and add, and the calls that were refused.

import { act, mayOperate, sure } from "./act.js";
import { banEnds, refusedColumns, withActions } from "./columns.js";
import { Table, count, finder, hint, put } from "./draw.js";
import { live } from "./live.js";

const id = (name) => document.getElementById(name);

const lift = {
  label: "Unban",
  run: async (one) => {
    if (!(await sure(`Unban ${one.source}?`, "It is heard again at once, and its offences are forgotten.", "Unban"))) return;
    if (await act("ban", { action: "remove", source: one.source, length: "" }, `${one.source} is heard again.`)) again();
  },
};

const bans = new Table(
  id("bans"),
  "Banned addresses, those by hand first",
  withActions(
    [
      { label: "Address", kind: "party", order: (one) => one.source, value: (one) => one.source },
      { label: "What happens", kind: "state", order: (one) => one.grade, value: (one) => (one.grade === "drop" ? { text: "not heard", tone: "bad", badge: true } : { text: "answered late", tone: "fair", badge: true }) },
      { label: "Ends", kind: "num", order: (one) => one.left_s ?? Infinity, value: banEnds },
      { label: "Why", kind: "wide", order: (one) => one.cause, value: (one) => one.cause },
    ],
    { label: "", kind: "do one", value: () => ({ text: "", buttons: [lift] }) },
  ),
  (one) => one.source,
  hint("Nobody is banned", "Sources that guess passwords or scan are banned by themselves, as [security] says."),
);
const again = finder("/find/bans", id("q-bans"), bans, id("n-bans"));

if (mayOperate)
  id("ban").addEventListener("submit", async (event) => {
    event.preventDefault();
    const source = id("ban-source").value.trim();
    const why = "Nothing from there is heard any more: no calls, no registrations. Calls in progress go on.";
    if (!(await sure(`Ban ${source}?`, why, "Ban"))) return;
    if (await act("ban", { action: "add", source, length: id("ban-length").value }, `${source} is banned.`)) {
      id("ban-source").value = "";
      again();
    }
  });

const refused = new Table(
  id("refused"),
  "Calls that were refused, the latest first",
  refusedColumns,
  (one) => `${one.call_id} ${one.at}`,
  hint("No call was refused", "Here stands, for each of the last ones, who wanted what and why it was not done."),
);

live((box) => {
  refused.show(box.refused.map((one) => ({ ...one, key: one.serial })));
  put(id("n-refused"), box.refused.length ? `the latest ${count(box.refused.length)}` : "");
});
