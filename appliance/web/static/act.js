// Doing something: asks first where it matters, sends the form with the page's token, and says what came of it.

import { put } from "./draw.js";
import { leave } from "./live.js";

const id = (name) => document.getElementById(name);
const token = document.querySelector('meta[name="form-token"]').content;
export const mayOperate = document.body.hasAttribute("data-operate");
export const mayRule = document.body.hasAttribute("data-rule");

let fading = 0;

export function say(text, tone = "") {
  const said = id("said");
  put(said, text);
  said.dataset.tone = tone;
  said.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (said.hidden = true), tone === "bad" ? 12_000 : 5000);
}

// Whether the viewer says yes; `verb` stands on the button.
export function sure(what, why, verb) {
  const ask = id("ask");
  put(id("ask-what"), what);
  put(id("ask-why"), why);
  put(id("ask-yes"), verb);
  ask.returnValue = "";
  ask.showModal();
  return new Promise((settle) => ask.addEventListener("close", () => settle(ask.returnValue === "yes"), { once: true }));
}

// POST /do/NAME; the answer, or null where it failed, which has been said then.
export async function act(name, fields, done) {
  let answer;
  try {
    const reply = await fetch(`/do/${name}`, { method: "POST", body: new URLSearchParams({ ...fields, token }), signal: AbortSignal.timeout(60_000) });
    answer = await reply.json();
    if (reply.status === 401) leave();
  } catch {
    answer = { ok: false, error: "The box gave no answer. Look whether it happened before you try again." };
  }
  if (!answer.ok) {
    say(answer.error, "bad");
    return null;
  }
  if (done) say(done, "good");
  return answer;
}
