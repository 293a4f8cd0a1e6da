// The record: who searched, looked and changed what, and what for, newest first; for those who may read it.

import { ask, of } from "./api.js";
import { clock, count, day, fill, h, plural, sheet } from "./dom.js";

const AT_ONCE = 200;
const TOLD = ["time", "user", "via", "purpose", "sentence", "event", "change", "results", "rows", "number"];
const HIDDEN = ["nonce", "shown", "query", "model", "top", "page"]; // of no use to a reader

export async function show(main) {
  const state = await ask(of("audit", "verify"), { json: { heads: [] } });
  const list = h("ol", { class: "list record", reversed: true, start: state.entries });
  let next = state.entries;
  const more = h("button", { onclick: older }, "Older");
  async function older() {
    const first = Math.max(1, next - AT_ONCE + 1);
    const lines = await ask(`${of("audit")}?start=${first}&count=${next - first + 1}`, { as: "text" });
    const entries = lines.split("\n").filter(Boolean).map(JSON.parse);
    list.append(...entries.reverse().map(one));
    next = first - 1;
    more.hidden = next < 1;
  }
  if (next) await older();
  fill(
    main,
    sheet(
      "Record",
      h(
        "div",
        { class: "line" },
        h("button", { onclick: () => save("audit?form=csv", "audit.csv") }, "As a table"),
        h("button", { class: "main", onclick: () => save("audit/head", "audit-head.txt") }, "Signed head"),
      ),
      h(
        "p",
        { class: "note" },
        `${plural(state.entries, "entry", "entries")}, each search and change with its purpose. A signed head, kept elsewhere, proves later that nothing was changed or cut off.`,
      ),
      state.faults.length
        ? h(
            "div",
            { class: "state", role: "alert" },
            h("h2", {}, "The record was changed"),
            state.faults.map((each) => h("p", {}, each)),
          )
        : h(
            "p",
            { class: "note" },
            `Checked just now: whole by itself${state.heads ? `, and against ${plural(state.heads, "head")}` : ""}.`,
          ),
      state.entries ? list : h("div", { class: "state" }, h("h2", {}, "Nothing was asked yet")),
      more,
    ),
  );
}

function one(entry) {
  const rest = Object.entries(entry).filter(([name, value]) => ![...TOLD, ...HIDDEN].includes(name) && !empty(value));
  const found = entry.results ?? entry.rows;
  return h(
    "li",
    { value: entry.number },
    h("span", { class: "when" }, `${day(entry.time)}, ${clock(entry.time)} UTC`),
    h("strong", {}, entry.user ?? "unknown"),
    h(
      "span",
      { class: "what" },
      entry.sentence ? `searched “${entry.sentence}”` : (entry.event ?? entry.change ?? "searched"),
    ),
    found !== undefined &&
      h("span", { class: "note" }, `${count(found)} ${entry.results === undefined ? "crops" : "shown"}`),
    entry.purpose && h("span", { class: "note" }, `for: ${entry.purpose}`),
    rest.length > 0 &&
      h(
        "span",
        { class: "note" },
        rest.map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · "),
      ),
  );
}

const empty = (value) => value === null || value === "" || (typeof value === "object" && !Object.keys(value).length);

async function save(path, name) {
  const blob = await ask(`${of()}/${path}`, { as: "blob" });
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}
