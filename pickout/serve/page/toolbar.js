// Above the candidates: how many, in what order, how grouped. Below them: what can be done with those selected.

import { session } from "./api.js";
import { pager } from "./answer.js";
import { byId, count, day, fill, h, plural } from "./dom.js";
import { WORDS, marks, saved } from "./marks.js";
import { PAGE } from "./query.js";

const ORDERS = { relevance: "best first", time: "by time", camera: "by camera" };
const BEST = { 60: "of the best 60", 200: "of the best 200", 600: "of the best 600" };
const GROUPS = { track: "one a track", duplicate: "no duplicates", none: "every crop" };

const choice = (label, options, now, change) =>
  h(
    "label",
    { class: "choose" },
    h("span", { class: "hidden" }, label),
    h(
      "select",
      { onchange: (event) => change(event.target.value) },
      Object.entries(options).map(([value, text]) => h("option", { value, selected: now === value }, text)),
    ),
  );

// What stands around the candidates of `grid`. does: change(name, value): another order or group; save(), compare(),
// like(kind, ids), turn(step): what buttons do
export class Around {
  constructor(grid, does) {
    this.grid = grid;
    this.does = does;
  }

  // Another view may be shown meanwhile.
  find(id) {
    return this.view?.querySelector(`#${id}`);
  }

  show(answer, query) {
    const best = query.order === "relevance" ? " searched" : `, best ${count(answer.all.length)} by ${query.order}`;
    const days = new Set(answer.candidates.map((each) => day(each.time)));
    const one = days.size === 1 && !days.has("") ? ` · ${[...days][0]}` : "";
    fill(byId("toolbar"), toolbar(`${plural(answer.passed, "crop")}${best}${one}`, query, this.does));
    this.tally();
    this.case();
    const { turn } = this.does;
    const shown = this.grid.items.length > 0;
    fill(byId("pager"), shown && pager(query.page, PAGE, answer.candidates.length, answer.more, turn));
  }

  // How many are judged, and what can be done with those that are selected.
  tally() {
    const [bulk, tally] = [this.find("bulk"), this.find("tally")];
    const { items, selected } = this.grid;
    if (!bulk) return; // before the view is made
    bulk.hidden = !selected.size;
    if (selected.size) fill(bulk, selection(this.grid, this.does));
    const judged = items.filter((each) => marks.has(each.id)).length;
    if (tally) fill(tally, items.length > 0 && `${judged} of ${items.length} judged`);
  }

  case() {
    const bar = this.find("case-bar");
    if (bar) fill(bar, caseLine(session.case, saved(), marks.size));
  }
}

function toolbar(said, query, { change, save }) {
  const filters = () => byId("filters").classList.toggle("open");
  return [
    h(
      "div",
      { class: "counts" },
      h("p", { class: "count", id: "count", title: said }, said),
      h("p", { class: "count", id: "tally" }),
    ),
    choice("Order", ORDERS, query.order, (value) => change("order", value)),
    query.order !== "relevance" &&
      choice("Of how many", BEST, String(query.best), (value) => change("best", Number(value))),
    choice("Show", GROUPS, query.group, (value) => change("group", value)),
    h("button", { class: "quiet only-narrow", onclick: filters }, "Filters"),
    h("button", { class: "quiet", onclick: save }, "Save"),
  ];
}

// Where the marks go, and how many of them the server does not have yet.
const caseLine = (open, waiting, number) => [
  waiting && h("span", { class: "bad" }, waiting),
  open
    ? h("a", { href: `#/cases/${open}` }, `Case: ${plural(number, "mark")} of yours`)
    : h("span", {}, "The first mark opens a case."),
];

function selection(grid, { compare, like }) {
  const number = grid.selected.size;
  return [
    h("b", {}, plural(number, "candidate")),
    Object.entries(WORDS).map(([verdict, [sign, word]]) =>
      h("button", { onclick: () => grid.judge(verdict) }, `${sign} ${word}`),
    ),
    h("button", { onclick: compare, disabled: number < 2 }, "Compare"),
    h("button", { onclick: () => like("more", grid.chosen) }, "More like these"),
    h(
      "button",
      {
        class: "icon",
        "aria-label": "Select none",
        onclick: () => {
          grid.selected.clear();
          grid.showMarks();
        },
      },
      "✕",
    ),
  ];
}
