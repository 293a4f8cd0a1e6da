// Candidates side by side.

import { cropImage } from "./api.js";
import { WORDS, marks } from "./marks.js";
import { percent } from "./grid.js";
import { clock, day, dialog, h } from "./dom.js";

const MOST = 6;

export function compare(items, sentence) {
  const shown = items.filter(Boolean).slice(0, MOST);
  return dialog(
    "Compare",
    () =>
      h(
        "div",
        { class: "stack" },
        h(
          "p",
          { class: "caution" },
          h("b", {}, "Candidates, not identifications."),
          sentence ? ` Searched for: ${sentence}` : "",
        ),
        h(
          "div",
          { class: "compare" },
          shown.map((item) =>
            h(
              "figure",
              {},
              h("div", { class: "frame" }, cropImage(item.id, { alt: "candidate" })),
              h(
                "figcaption",
                {},
                h("b", {}, clock(item.time)),
                h("span", {}, day(item.time)),
                h("span", {}, item.camera ?? "no camera"),
                item.track && h("span", {}, `track ${item.track}`),
                percent(item.probability) && h("span", {}, percent(item.probability)),
                marks.has(item.id) && h("span", { class: "said" }, WORDS[marks.get(item.id).verdict].join(" ")),
              ),
            ),
          ),
        ),
      ),
    { wide: true },
  );
}
