// The machine: a backup is sent and taken back; on our image, addresses on trial are kept or given up.

import { act, say, sure } from "./act.js";
import { put } from "./draw.js";
import { live } from "./live.js";

const id = (name) => document.getElementById(name);
const LOOK_MS = 3000;

function send(file) {
  return new Promise((settle) => {
    const request = new XMLHttpRequest();
    request.open("PUT", "/machine/backup");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => (id("progress").value = (100 * event.loaded) / event.total);
    request.onloadend = () => {
      try {
        settle(JSON.parse(request.responseText));
      } catch {
        settle({ ok: false, error: "The box did not take the file." });
      }
    };
    request.send(file);
  });
}

id("file").addEventListener("change", () => (id("restore").disabled = !id("file").files.length));
id("restore").addEventListener("click", async () => {
  const [file] = id("file").files;
  if (!(await sure(`Take back ${file.name}?`, "Configuration, passwords and data become those of the backup. What is here now is put aside.", "Take it back"))) return;
  id("restore").disabled = true;
  id("progress").hidden = false;
  const sent = await send(file);
  const answer = sent.ok ? await act("restore", { passphrase: id("key").value }) : (say(sent.error, "bad"), null);
  id("progress").hidden = true;
  id("restore").disabled = false;
  if (answer)
    id("came").replaceChildren(
      ...answer.changes.map((text) => {
        const line = document.createElement("li");
        put(line, text);
        return line;
      }),
    );
});

function row(card) {
  const made = document.createElement("tr");
  for (const text of [card.name, card.state, card.addresses.join(", ") || "none", card.mac]) {
    const cell = document.createElement("td");
    put(cell, text);
    made.append(cell);
  }
  return made;
}

async function look() {
  try {
    const reply = await fetch("/machine/network", { signal: AbortSignal.timeout(20_000) });
    const now = await reply.json();
    if (!now.ok) return put(id("trial"), now.error);
    id("cards").replaceChildren(...now.cards.map(row));
    const trial = now.confirm_within_s !== null;
    id("apply").hidden = trial || !now.differs;
    id("confirm").hidden = id("revert").hidden = !trial;
    put(id("trial"), trial ? `On trial: the old addresses return in ${now.confirm_within_s} s.` : now.differs ? "The configuration says otherwise." : "");
  } catch {
    // the address of this page may just have changed
  }
}

if (id("network")) {
  for (const [button, what, why, verb] of [
    ["apply", "Try the addresses of the configuration?", "They return to those of now in two minutes, unless somebody keeps them, here or on the console.", "Try them"],
    ["confirm"],
    ["revert"],
    ["reboot", "Restart the machine?", "Calls in progress end. The box is back in about a minute.", "Restart"],
    ["poweroff", "Switch the machine off?", "Calls in progress end, and somebody has to switch it on by hand.", "Switch off"],
  ])
    id(button).addEventListener("click", async () => {
      if (what && !(await sure(what, why, verb))) return;
      await act("machine", { action: button }, "Done.");
      await look();
    });
  (async () => {
    for (;;) {
      await look();
      await new Promise((done) => setTimeout(done, LOOK_MS));
    }
  })();
}
live(() => {});
