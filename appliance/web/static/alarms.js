// What is wrong, the worst first, each with what to do; and what was.

import { alarmColumns } from "./columns.js";
import { Table, count, hint, put } from "./draw.js";
import { live } from "./live.js";

const id = (name) => document.getElementById(name);

const active = new Table(id("alarms"), "Alarms, the worst first", alarmColumns, (one) => one.number, hint("Nothing is wrong", "Trunks, limits, certificates, disk, clock and services are watched."));
const past = new Table(id("past"), "Alarms that are over, the latest first", alarmColumns, (one) => one.number, hint("None has ended since the start", ""));

async function ask() {
  try {
    const answer = await fetch("/find/alarms", { signal: AbortSignal.timeout(8000) });
    if (!answer.ok) return;
    const { rows } = await answer.json();
    past.show(rows);
    put(id("n-past"), rows.length ? count(rows.length) : "");
  } catch {
    // the page says that the box is gone
  }
}
ask();

let known = "";
live((box) => {
  active.show(box.alarms);
  put(id("n-alarms"), box.alarms.length ? count(box.alarms.length) : "");
  const now = box.alarms.map((one) => one.number).join();
  if (known && now !== known) ask();
  known = now || "none";
});
