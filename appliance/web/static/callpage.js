// Lists of what was, and a call's page: its sections come ready made from the box; this puts them in their place while
// the call goes on.

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const short = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });
const today = new Date().toDateString();
const FORMS = { moment: () => moment, clock: () => clock, near: (at) => (new Date(at).toDateString() === today ? clock : short) };
const AGAIN_MS = 3000;

function times(root) {
  for (const node of root.querySelectorAll("time[data-at]")) {
    const at = Number(node.dataset.at) * 1000;
    node.dateTime = new Date(at).toISOString();
    node.textContent = (FORMS[node.dataset.as] || FORMS.clock)(at).format(at);
    node.title = moment.format(at);
  }
}

function place(name, html) {
  const section = document.getElementById(`s-${name}`);
  if (!section) return;
  const open = [...section.querySelectorAll("details[open]")].map((one) => one.id);
  const scrolled = section.querySelector(".ladder")?.scrollLeft;
  const made = document.createElement("template");
  made.innerHTML = html; // escaped where it was made
  section.replaceChildren(made.content);
  for (const one of open) document.getElementById(one)?.setAttribute("open", "");
  if (scrolled) section.querySelector(".ladder").scrollLeft = scrolled;
  times(section);
}

const page = document.getElementById("call");
const lost = document.getElementById("lost");
let source = null;

function listen() {
  source = new EventSource(`/calls/${encodeURIComponent(page.dataset.serial)}/events`);
  source.addEventListener("message", (event) => {
    const told = JSON.parse(event.data);
    lost.hidden = true;
    for (const [name, html] of Object.entries(told.sections)) place(name, html);
    if (told.state === "ended") document.getElementById("hang-up")?.remove();
  });
  source.addEventListener("over", () => {
    source.close();
    source = null;
    delete page.dataset.live;
  });
  source.addEventListener("error", () => {
    source?.close();
    source = null;
    lost.textContent = "Connection lost, trying again …";
    lost.hidden = false;
    setTimeout(() => {
      if ("live" in page.dataset && !document.hidden && !source) listen();
    }, AGAIN_MS);
  });
}

times(document);
if (page && "live" in page.dataset) {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if ("live" in page.dataset && !source) listen();
  });
  if (!document.hidden) listen();
}

// Arrows open their message.
const dialog = document.getElementById("message");
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-message]");
  if (!link || !dialog) return;
  const text = document.getElementById(`m${link.dataset.message}`);
  if (!text) return;
  event.preventDefault();
  dialog.querySelector("h2").textContent = text.querySelector("summary").textContent;
  dialog.querySelector("pre").textContent = text.querySelector("pre").textContent;
  dialog.showModal();
});
dialog?.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

// A form tells how far its times are ahead of UTC.
for (const form of document.querySelectorAll("form.filter"))
  form.addEventListener("submit", () => {
    const { from, to, zone } = form.elements;
    const at = from?.value || to?.value;
    if (zone) zone.value = -(at ? new Date(at) : new Date()).getTimezoneOffset();
  });
