// Building and changing what is shown. Texts come from the net: they only ever become text nodes and titles.

const whole = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function el(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function put(node, text, title) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
  if (title !== undefined && node.title !== title) node.title = title;
  return node;
}

export function mark(node, name, value) {
  if (value === undefined || value === null || value === "") node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// Children of parent, one for each row, kept by key: what stands is changed, not made anew.
export function keyed(parent, rows, key, make, change) {
  const kept = new Map();
  for (const child of parent.children) kept.set(child.dataset.key, child);
  let before = null;
  for (const row of rows) {
    const name = String(key(row));
    let child = kept.get(name);
    if (child) kept.delete(name);
    else {
      child = make(row);
      child.dataset.key = name;
    }
    change(child, row);
    const place = before ? before.nextSibling : parent.firstChild;
    if (child !== place) parent.insertBefore(child, place);
    before = child;
  }
  for (const child of kept.values()) child.remove();
}

// A table that becomes cards on narrow screens. A column: { label, value(row), kind }; a value is a text, or
// { text, title, tone, since, sub }.
export class Table {
  constructor(mount, caption, columns, key, empty) {
    this.columns = columns;
    this.key = key;
    this.body = el("tbody");
    const head = el("tr");
    for (const column of columns) {
      const cell = el("th", column.kind || "", column.label);
      cell.scope = "col";
      head.append(cell);
    }
    this.frame = el("div", "card sheet", el("table", "", el("caption", "", caption), el("thead", "", head), this.body));
    this.empty = empty;
    this.frame.hidden = true;
    mount.append(this.frame, empty);
  }

  show(rows) {
    this.frame.hidden = rows.length === 0;
    this.empty.hidden = rows.length !== 0;
    keyed(this.body, rows, this.key, () => this.make(), (line, row) => this.change(line, row));
  }

  make() {
    const line = el("tr");
    for (const column of this.columns) {
      const cell = el("td", column.kind || "", el("span", "text"));
      cell.dataset.label = column.label;
      line.append(cell);
    }
    return line;
  }

  change(line, row) {
    this.columns.forEach((column, number) => {
      const value = column.value(row);
      const shown = typeof value === "object" ? value : { text: value };
      const cell = line.children[number];
      const text = cell.firstChild;
      mark(text, "data-since", shown.since);
      if (shown.since === undefined) put(text, shown.text, shown.title ?? String(shown.text));
      mark(text, "data-tone", shown.tone);
      let sub = text.nextSibling;
      if (shown.sub) {
        if (!sub) cell.append((sub = el("span", "sub")));
        put(sub, shown.sub, shown.sub);
      } else if (sub) sub.remove();
      cell.classList.toggle("void", shown.text === "" && shown.since === undefined);
    });
  }
}

export function hint(title, text, ...code) {
  const box = el("div", "card empty", el("p", "lead", title), el("p", "", text));
  for (const line of code) box.append(typeof line === "string" ? el("code", "", line) : line);
  return box;
}

export const count = (number) => whole.format(number);

export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const pad = (number) => String(number).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)}:${pad(s % 60)}`;
  return `${Math.floor(s / 3600)}:${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}`;
}

export function roughly(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const days = Math.floor(s / 86400);
  const hours = Math.floor(s / 3600) % 24;
  const minutes = Math.floor(s / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min`;
  return `${s} s`;
}

export const timeOfDay = (wall) => clock.format(wall * 1000);
export const dateAndTime = (wall) => moment.format(wall * 1000);

// A curve of the last minutes, as wide as its place.
export function curve() {
  const name = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(name, "svg");
  svg.setAttribute("class", "curve");
  svg.setAttribute("viewBox", "0 0 120 32");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const area = document.createElementNS(name, "path");
  area.setAttribute("class", "area");
  const line = document.createElementNS(name, "path");
  line.setAttribute("class", "line");
  svg.append(area, line);
  svg.draw = (values) => {
    if (values.length < 2) return;
    const most = Math.max(1, ...values);
    const step = 120 / (values.length - 1);
    const points = values.map((value, at) => `${(at * step).toFixed(1)} ${(30 - (value / most) * 27).toFixed(1)}`);
    line.setAttribute("d", `M${points.join("L")}`);
    area.setAttribute("d", `M0 32L${points.join("L")}L120 32Z`);
  };
  return svg;
}
