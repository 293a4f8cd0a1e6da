// Where the parts of the search view stand.

import { h } from "./dom.js";

export const layout = ({ box, grid, detail, timesOpened }) =>
  h(
    "div",
    { class: "search" },
    h("h1", { class: "hidden" }, "Search"),
    box.node,
    h("aside", { class: "filters", id: "filters", "aria-label": "Filters" }),
    h(
      "section",
      { class: "results", "aria-label": "Results" },
      h(
        "div",
        { class: "notice" },
        h("p", {}, h("b", {}, "Candidates, not identifications."), h("span", {}, " A person judges each one.")),
        h("div", { id: "case-bar", class: "case-bar" }),
      ),
      h("div", { class: "toolbar", id: "toolbar" }),
      h(
        "div",
        { class: "said-of", tabindex: "0", role: "group", "aria-label": "About this answer" },
        box.notes,
        h("div", { class: "told", id: "told" }),
      ),
      h(
        "details",
        { class: "times", id: "times", ontoggle: timesOpened },
        h("summary", {}, "Over time, camera by camera"),
        h("div", { class: "strips", id: "strips", tabindex: "0", role: "group", "aria-label": "Candidates over time" }),
      ),
      grid.node,
      h("div", { class: "pager", id: "pager" }),
    ),
    detail.node,
    h("div", { class: "bulk", id: "bulk", hidden: true }),
  );
