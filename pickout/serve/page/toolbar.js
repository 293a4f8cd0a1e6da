// Above the candidates: how many, in what order, how grouped. Below them: what can be done with those selected.

import { h, plural } from "./dom.js";
import { WORDS } from "./marks.js";

const ORDERS = { relevance: "by relevance", time: "by time", camera: "by camera" };
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

// change(name, value): another order or group; filters(), save(): what their buttons do
export function toolbar(said, query, { change, filters, save }) {
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
export const caseLine = (open, waiting, number) => [
  waiting && h("span", { class: "bad" }, waiting),
  open
    ? h("a", { href: `#/cases/${open}` }, `Case: ${plural(number, "mark")} of yours`)
    : h("span", {}, "The first mark opens a case."),
];

export function selection(grid, { compare, like }) {
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
