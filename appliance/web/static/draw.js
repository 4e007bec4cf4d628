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

// A table that becomes cards on narrow screens. A column: { label, value(row), kind, order(row) }; a value is a text, or
// { text, title, tone, since, sub, href, badge, share, buttons }. A heading with an order sorts when it is pressed.
export class Table {
  constructor(mount, caption, columns, key, empty, search = null) {
    this.columns = columns;
    this.key = key;
    this.rows = [];
    this.by = null;
    this.down = false;
    this.needle = "";
    this.body = el("tbody");
    const head = el("tr");
    this.heads = columns.map((column) => {
      const cell = el("th", column.kind || "");
      cell.scope = "col";
      if (column.order) {
        const button = el("button", "sort", column.label);
        button.type = "button";
        button.addEventListener("click", () => this.sort(column));
        cell.append(button);
      } else cell.append(column.label);
      head.append(cell);
      return cell;
    });
    this.frame = el("div", "card sheet", el("table", "", el("caption", "", caption), el("thead", "", head), this.body));
    this.nothing = el("p", "card empty", "Nothing fits the search.");
    this.empty = empty;
    this.frame.hidden = this.nothing.hidden = true;
    mount.append(this.frame, this.nothing, empty);
    if (search)
      search.addEventListener("input", () => {
        this.needle = search.value.trim().toLowerCase();
        this.draw();
      });
  }

  sort(column) {
    this.down = this.by === column && !this.down;
    this.by = column;
    this.columns.forEach((one, number) => mark(this.heads[number], "aria-sort", one === column ? (this.down ? "descending" : "ascending") : ""));
    this.draw();
  }

  show(rows, searched = false) {
    this.rows = rows;
    this.searched = searched;
    this.draw();
  }

  // How many of the rows are to be seen.
  draw() {
    let rows = this.rows;
    if (this.needle && !this.searched) rows = rows.filter((row) => this.words(row).includes(this.needle));
    if (this.by) {
      const order = this.by.order;
      const sign = this.down ? -1 : 1;
      rows = [...rows].sort((a, b) => sign * compare(order(a), order(b)));
    }
    this.frame.hidden = rows.length === 0;
    this.nothing.hidden = rows.length !== 0 || !this.needle;
    this.empty.hidden = rows.length !== 0 || Boolean(this.needle);
    keyed(this.body, rows, this.key, () => this.make(), (line, row) => this.change(line, row));
  }

  words(row) {
    return this.columns.map((column) => { const value = column.value(row); return typeof value === "object" ? `${value.text} ${value.sub || ""} ${value.title || ""}` : value; }).join("\n").toLowerCase();
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
    line.row = row;
    this.columns.forEach((column, number) => {
      const value = column.value(row);
      const shown = typeof value === "object" ? value : { text: value };
      const cell = line.children[number];
      if (shown.buttons) {
        this.buttons(line, cell, shown.buttons);
        return;
      }
      let text = cell.firstChild;
      if (Boolean(shown.href) !== (text.tagName === "A")) {
        const other = el(shown.href ? "a" : "span", "text");
        text.replaceWith(other);
        text = other;
      }
      if (shown.href && text.getAttribute("href") !== shown.href) text.setAttribute("href", shown.href);
      mark(text, "data-since", shown.since);
      if (shown.since === undefined) put(text, shown.text, shown.title ?? String(shown.text));
      mark(text, "data-tone", shown.tone);
      text.classList.toggle("badge", Boolean(shown.badge));
      let sub = text.nextElementSibling;
      if (shown.share !== undefined) {
        if (!sub) cell.append((sub = el("progress", "share")));
        sub.max = 1;
        sub.value = Math.min(1, shown.share);
        mark(sub, "data-tone", shown.tone);
      } else if (shown.sub) {
        if (!sub) cell.append((sub = el("span", "sub")));
        put(sub, shown.sub, shown.sub);
      } else if (sub) sub.remove();
      cell.classList.toggle("void", (shown.text === "" || shown.text === "–") && shown.since === undefined && !shown.sub);
    });
  }

  // Buttons are kept while they stay the same, so that none changes under the pointer.
  buttons(line, cell, buttons) {
    const names = buttons.map((one) => one.label).join();
    if (cell.dataset.names === names) return;
    cell.dataset.names = names;
    cell.replaceChildren(
      ...buttons.map((one) => {
        const button = el("button", "small", one.label);
        button.type = "button";
        button.addEventListener("click", async () => {
          button.disabled = true;
          try {
            await one.run(line.row);
          } finally {
            button.disabled = false;
          }
        });
        return button;
      }),
    );
  }
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

// A list that the box searches: asks when the words change and every few seconds, shows rows and how many there are.
export function finder(path, search, table, counted) {
  let asked = 0;
  async function ask() {
    const turn = (asked += 1);
    try {
      const answer = await fetch(`${path}?${new URLSearchParams({ q: search.value.trim() })}`, { signal: AbortSignal.timeout(8000) });
      if (!answer.ok || turn !== asked) return;
      const found = await answer.json();
      if (turn !== asked) return;
      table.needle = search.value.trim();
      table.show(found.rows, true);
      put(counted, found.rows.length < found.all ? `${count(found.rows.length)} of ${count(found.all)} shown` : found.all ? count(found.all) : "");
    } catch {
      // the page says that the box is gone
    }
  }
  let soon = 0;
  search.addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(ask, 150);
  });
  setInterval(() => document.hidden || ask(), 3000);
  ask();
  return ask;
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
