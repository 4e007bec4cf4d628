// What the box finds out about itself: the self-test, its steps as they come, and the doctor's findings.

import { act } from "./act.js";
import { Table, count, dateAndTime, hint, mark, put } from "./draw.js";
import { live } from "./live.js";

const id = (name) => document.getElementById(name);
const test = id("test");
const examine = id("examine");

const VERDICTS = { ok: "good", failed: "bad", skipped: "none" };
const figure = (name, unit, digits) => (one) => (one.figures[name] === undefined ? "–" : `${one.figures[name].toFixed(digits)}${unit}`);
const sounds = (mos) => (mos >= 4 ? "good" : mos >= 3.6 ? "fair" : "bad");

const steps = new Table(
  id("steps"),
  "Steps of the self-test",
  [
    { label: "Step", kind: "party", value: (one) => one.name },
    { label: "Verdict", kind: "state", value: (one) => ({ text: one.verdict, tone: VERDICTS[one.verdict], badge: true }) },
    { label: "Setup", kind: "num", value: figure("setup_ms", " ms", 0) },
    { label: "Round trip", kind: "num", value: figure("round_trip_ms", " ms", 1) },
    { label: "MOS", kind: "num", value: (one) => (one.figures.mos === undefined ? "–" : { text: one.figures.mos.toFixed(2), tone: sounds(one.figures.mos) }) },
    { label: "What was found", kind: "wide", value: (one) => ({ text: one.sentence, sub: one.remedy, title: one.sentence }) },
  ],
  (one) => one.name,
  hint("No self-test was made since the start", test ? "Press Test now: it takes about four seconds and disturbs no call." : "An operator can make one here."),
);

function showTest(made) {
  steps.show(made.steps);
  if (test) test.disabled = made.running;
  const verdict = id("test-verdict");
  verdict.hidden = !made.running && made.passed === null;
  mark(verdict, "data-tone", made.running ? "none" : made.passed ? "good" : "bad");
  put(verdict.children[0], made.running ? "Testing …" : made.passed ? "The last self-test passed" : "The last self-test failed");
  put(verdict.children[1], made.running ? "" : `${dateAndTime(made.at)}: ${made.sentence}`);
}

if (test)
  test.addEventListener("click", async () => {
    test.disabled = true;
    if (!(await act("selftest", {}))) test.disabled = false;
  });

const GRADES = { fault: "bad", warning: "fair", note: "none", ok: "good" };
const RANKS = { fault: 0, warning: 1, note: 2, ok: 3 };

const doctor = new Table(
  id("doctor"),
  "What the doctor found, the worst first",
  [
    { label: "Grade", order: (one) => RANKS[one.grade], value: (one) => ({ text: one.grade, tone: GRADES[one.grade], badge: true }) },
    { label: "Looked at", kind: "party", order: (one) => `${one.subject} ${one.about}`, value: (one) => ({ text: one.subject, sub: one.about }) },
    { label: "What was found", kind: "wide", value: (one) => ({ text: one.sentence, sub: one.remedy, title: one.sentence }) },
  ],
  (one) => one.at,
  hint("Nobody has asked the doctor yet", examine ? "Press Examine: it takes some seconds and changes nothing." : "An operator can ask it here; jackfield doctor does so on the console."),
);

if (examine)
  examine.addEventListener("click", async () => {
    examine.disabled = true;
    put(id("n-doctor"), "looking …");
    const answer = await act("doctor", {});
    examine.disabled = false;
    if (!answer) {
      put(id("n-doctor"), "");
      return;
    }
    const rows = answer.findings.map((one, at) => ({ ...one, at })).sort((a, b) => RANKS[a.grade] - RANKS[b.grade]);
    doctor.show(rows);
    const troubles = rows.filter((one) => RANKS[one.grade] < 2).length;
    put(id("n-doctor"), `${count(rows.length)} looked at, ${troubles ? `${count(troubles)} to mend` : "all well"}`);
  });

live((box) => showTest(box.test));
