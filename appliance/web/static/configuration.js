// The configuration and the audit log: text that is there already, searched; and the button that reloads.

import { act, sure } from "./act.js";
import { live } from "./live.js";

const id = (name) => document.getElementById(name);

const search = id("q-settings");
search.addEventListener("input", () => {
  const needle = search.value.trim().toLowerCase();
  for (const one of id("settings").children) one.hidden = !one.textContent.toLowerCase().includes(needle);
});

const reload = id("reload");
if (reload)
  reload.addEventListener("click", async () => {
    if (!(await sure("Reload the configuration?", "Calls and registrations go on. If there is a mistake, everything stays as it is.", "Reload"))) return;
    reload.disabled = true;
    if (await act("reload", {})) location.reload();
    else reload.disabled = false;
  });

live(() => {});
