// Before the first search: how many crops there are, what can be asked, and what was saved.

import { h, plural } from "./dom.js";

export const toSearch = ({ crops, values }) =>
  h(
    "p",
    { class: "count" },
    `${plural(crops, "crop")} of ${plural(Object.keys(values.camera ?? {}).length, "camera")} to search.`,
  );

export function invitation({ values }, say) {
  const [camera] = Object.keys(values.camera ?? {});
  const examples = [
    "a woman in a red coat with a handbag",
    "a man in a blue shirt and grey trousers with a backpack",
    `somebody in a yellow top${camera ? ` at camera ${camera}` : ""}`,
  ];
  return [
    h("h2", {}, "Say what the witness said"),
    h("p", {}, "Clothes, colours, bags, hair, what somebody carries. Where and when may stand in the same sentence."),
    h(
      "div",
      { class: "examples" },
      examples.map((each) => h("button", { class: "quiet", onclick: () => say(each) }, each)),
    ),
  ];
}
