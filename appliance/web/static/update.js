// The update: sends a bundle, has it installed, and shows how both slots stand.

import { act, say, sure } from "./act.js";
import { put } from "./draw.js";
import { live } from "./live.js";

const id = (name) => document.getElementById(name);
const PAUSE_MS = 2000;
let busy = false;
let refused = null;

function cell(row, text) {
  const made = document.createElement("td");
  put(made, text);
  row.append(made);
}

function sentence(words) {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

function finding(tone, head, text) {
  const card = document.createElement("div");
  card.className = "card finding";
  card.dataset.tone = tone;
  const title = document.createElement("h2");
  put(title, head);
  const more = document.createElement("p");
  put(more, text);
  card.append(title, more);
  return card;
}

function show(status) {
  id("slots").replaceChildren(
    ...status.slots.map((one) => {
      const row = document.createElement("tr");
      cell(row, one.slot);
      cell(row, one.version || "–");
      cell(row, [one.runs ? "runs" : "", one.state, one.next ? "starts next" : ""].filter(Boolean).join(", "));
      cell(row, one.installed_at ? new Date(one.installed_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "");
      return row;
    }),
  );
  put(id("hardware"), `This box is ${status.hardware}; bundles older than ${status.oldest} are refused.`);
  const said = [];
  if (status.restart) said.push(finding("fair", "The other slot starts at the next restart", "Calls in progress end when the box restarts."));
  if (status.trial && !status.restart) said.push(finding("fair", `Version ${status.trial.version} is on trial`, `Start ${status.trial.starts} of 3. Once its health check has passed it stays.`));
  if (status.fallen) said.push(finding("bad", `Version ${status.fallen.version} was given up`, `${sentence(status.fallen.reason)} The version before it runs again.`));
  const failed = status.progress && status.progress.state === "failed" ? status.progress : null;
  if (failed) said.push(finding("bad", "Nothing was installed", sentence(failed.error)));
  id("say").replaceChildren(...said);
  id("restart").hidden = !status.restart;
  id("anyway").hidden = !(failed && failed.unwell);
  refused = failed;
  id("previous").hidden = !status.previous || status.restart;
  id("give-up").hidden = !(status.restart && status.trial);
  put(id("way-back"), status.previous ? `The previous version is ${status.previous}.` : sentence(status.previous_refused));
  id("progress").hidden = !status.installing && !busy;
  if (status.installing) {
    id("progress").value = status.progress.percent ?? 0;
    put(id("step"), status.progress.state === "checking" ? "The bundle is being checked." : `${status.progress.percent ?? 0} % ${status.progress.step}`);
  } else if (!busy) put(id("step"), "");
  id("send").disabled = busy || status.installing || !id("file").files.length;
}

async function look() {
  try {
    const reply = await fetch("/update/status", { signal: AbortSignal.timeout(60_000) });
    if (reply.status === 401) return location.assign("/sign-in");
    const status = await reply.json();
    if (status.ok) show(status);
    else id("say").replaceChildren(finding("bad", "The slots cannot be read", status.error));
  } catch {
    // it restarts, or is slow: the dot above says so
  }
}

function send(file) {
  const name = file.name.replace(/[^A-Za-z0-9._+~-]/g, "_");
  return new Promise((settle) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `/update/bundle?name=${encodeURIComponent(name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => {
      id("progress").value = (100 * event.loaded) / event.total;
      put(id("step"), event.loaded < event.total ? `${Math.floor((100 * event.loaded) / event.total)} % sent` : "The bundle is being checked.");
    };
    request.onloadend = () => {
      try {
        settle({ name, ...JSON.parse(request.responseText) });
      } catch {
        settle({ ok: false, error: "The box did not take it." });
      }
    };
    request.send(file);
  });
}

id("file").addEventListener("change", look);
id("send").addEventListener("click", async () => {
  const [file] = id("file").files;
  busy = true;
  id("send").disabled = true;
  id("progress").hidden = false;
  const answer = await send(file);
  busy = false;
  if (!answer.ok) say(answer.error, "bad");
  else await act("update", { action: "install", file: answer.name }, `Version ${answer.version} is being installed.`);
  await look();
});
id("anyway").addEventListener("click", async () => {
  const { bundle: file, stick } = refused;
  if (!(await sure(`Install ${file} anyway?`, "No call of the self-test decides whether the new version stays: only whether it starts and answers.", "Install it anyway"))) return;
  await act("update", { action: stick ? "stick" : "install", file, anyway: "yes" }, `${file} is being installed.`);
  await look();
});
id("stick").addEventListener("click", async () => {
  const reply = await fetch("/update/stick");
  const answer = await reply.json();
  if (!answer.ok) return say(answer.error, "bad");
  if (!answer.bundles.length) return say("No bundle lies on the stick.");
  id("found").replaceChildren(
    ...answer.bundles.map((one) => {
      const button = document.createElement("button");
      button.type = "button";
      put(button, `Install ${one.file}`);
      button.addEventListener("click", async () => {
        await act("update", { action: "stick", file: one.file }, `${one.file} is being installed.`);
        await look();
      });
      return button;
    }),
  );
});
for (const [button, what, why, verb] of [
  ["restart", "Restart the box?", "Calls in progress end. The box is back in about a minute.", "Restart"],
  ["previous", "Start the previous version next?", "It starts at the next restart.", "Start it next"],
  ["give-up", "Do not start what was installed?", "The version of now stays.", "Give it up"],
])
  id(button).addEventListener("click", async () => {
    if (!(await sure(what, why, verb))) return;
    await act("update", { action: button, file: "" }, "Done.");
    await look();
  });

(async () => {
  for (;;) {
    await look();
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
})();
live(() => {});
