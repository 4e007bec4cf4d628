// Calls over time: what was answered, not answered and refused, stacked by step, and the most at a time as a line.
// Drawn by ourselves: some sixty bars in the page's own colours need no library. A pointer, a finger or the arrow keys
// tell the figures of one bar below the picture; a click or Enter leads to its calls.

import { count, el, mark, put } from "./draw.js";

const NS = "http://www.w3.org/2000/svg";
const HEIGHT = 180;
const LEFT = 40;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 22;
const PARTS = [
  ["answered", "Answered"],
  ["lost", "Not answered"],
  ["refused", "Refused"],
];
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });

function svg(tag, facts = {}) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(facts)) node.setAttribute(name, value);
  return node;
}

// A round number not below the most, that is easy to divide by four.
function ceiling(most) {
  if (most <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 8, 10].map((factor) => factor * power).find((one) => one >= most);
}

export class Plot {
  constructor(mount) {
    this.picture = svg("svg", { role: "img", tabindex: 0 });
    const legend = el("ul", "legend");
    for (const [name, label] of [...PARTS, ["most", "Most at a time"]]) legend.append(el("li", "", el("i", `key ${name}`), label));
    this.told = el("p", "told");
    mount.append(legend, this.picture, this.told);
    this.mount = mount;
    this.data = null;
    this.pointed = null; // the time of the bar that is pointed at
    const at = (event) => event.target.dataset?.at ?? null;
    this.picture.addEventListener("pointermove", (event) => this.point(at(event)));
    this.picture.addEventListener("pointerdown", (event) => this.point(at(event)));
    this.picture.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.point(null));
    this.picture.addEventListener("blur", () => this.point(null));
    this.picture.addEventListener("click", (event) => event.pointerType === "mouse" && this.open(at(event)));
    this.picture.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Enter") this.open(this.pointed);
      else if (way) this.step(way);
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => this.data && this.draw()).observe(mount);
  }

  show(data) {
    this.data = data;
    this.draw();
  }

  // The figures of one bar, or of all.
  point(at) {
    this.pointed = at;
    const hits = [...this.picture.querySelectorAll(".hit")];
    const found = hits.find((hit) => hit.dataset.at === at);
    for (const hit of hits) hit.classList.toggle("pointed", hit === found);
    put(this.told, found ? found.dataset.told : this.summary);
  }

  step(way) {
    const all = [...this.picture.querySelectorAll(".hit")].map((hit) => hit.dataset.at);
    const now = all.indexOf(this.pointed);
    this.point(all[now < 0 ? all.length - 1 : Math.min(Math.max(now + way, 0), all.length - 1)] ?? null);
  }

  open(at) {
    if (at === null || !this.data) return;
    const zone = -new Date(1000 * at).getTimezoneOffset();
    const written = (seconds) => new Date(1000 * seconds + 60_000 * zone).toISOString().slice(0, 16);
    const last = Number(at) + Math.max(0, this.data.step_s - 60);
    location.assign(`/calls?${new URLSearchParams({ from: written(at), to: written(last), zone })}`);
  }

  draw() {
    const { data } = this;
    const width = Math.max(240, this.picture.clientWidth || this.mount.clientWidth - 32);
    const number = data.calls.length;
    const high = ceiling(Math.max(...data.calls.map((one) => one ?? 0), ...data.most_calls.map((one) => one ?? 0)));
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / high);
    const step = (width - LEFT - RIGHT) / number;
    const x = (at) => LEFT + at * step;
    const picture = this.picture;
    mark(picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    const nodes = [];
    for (let line = 0; line <= 4; line += 1) {
      const value = (high * line) / 4;
      nodes.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
      const text = svg("text", { class: "axis", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" });
      text.textContent = count(value);
      nodes.push(text);
    }
    const every = Math.ceil(70 / step);
    for (let at = number - 1; at >= 0; at -= every) {
      const text = svg("text", { class: "axis", x: x(at) + step / 2, y: HEIGHT - 5, "text-anchor": at === number - 1 ? "end" : "middle" });
      if (at === number - 1) text.setAttribute("x", width - RIGHT);
      text.textContent = clock.format(1000 * (data.first + at * data.step_s));
      if (x(at) > LEFT + 10 && (at === number - 1 || x(at) < width - RIGHT - 90)) nodes.push(text);
    }
    const path = [];
    for (let at = 0; at < number; at += 1) {
      if (data.calls[at] === null) continue;
      const parts = { answered: data.answered[at], refused: data.refused[at] };
      // what was answered in a step may have been dialled in the one before
      parts.lost = Math.max(0, data.calls[at] - parts.answered - parts.refused);
      let base = 0;
      for (const [name] of PARTS) {
        if (!parts[name]) continue;
        nodes.push(svg("rect", { class: name, x: x(at) + step * 0.12, width: step * 0.76, y: y(base + parts[name]), height: Math.max(1, y(base) - y(base + parts[name])) }));
        base += parts[name];
      }
      const middle = x(at) + step / 2;
      path.push(`${path.length && data.calls[at - 1] !== null ? "L" : "M"}${middle.toFixed(1)} ${y(data.most_calls[at]).toFixed(1)}`);
      const hit = svg("rect", { class: "hit", x: x(at), width: step, y: TOP, height: HEIGHT - TOP - BOTTOM });
      const begin = data.first + at * data.step_s;
      hit.dataset.at = begin;
      hit.dataset.told = `${day.format(1000 * begin)}: ${count(data.calls[at])} calls, ${count(parts.answered)} answered, ${count(parts.lost)} not answered, ${count(parts.refused)} refused; at most ${count(data.most_calls[at])} at a time; ${count(data.registrations[at])} registered phones`;
      nodes.push(hit);
    }
    const hits = nodes.filter((node) => node.getAttribute("class") === "hit");
    picture.replaceChildren(...nodes.filter((node) => !hits.includes(node)), svg("path", { class: "most", d: path.join("") }), ...hits);
    const sum = (column) => column.reduce((total, one) => total + (one ?? 0), 0);
    const all = sum(data.calls);
    const told = all ? `${count(all)} calls, ${count(sum(data.answered))} answered, ${count(sum(data.refused))} refused; at most ${count(Math.max(...data.most_calls.map((one) => one ?? 0)))} at a time.` : "No call in this time.";
    const ran = data.calls.filter((one) => one !== null).length;
    this.summary = ran < number ? `${told} The box counts since its start.` : told;
    mark(picture, "aria-label", told);
    this.point(this.pointed);
  }
}
