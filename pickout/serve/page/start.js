// Before the first search: how many crops there are, what can be asked, and what was saved.

import { h, plural } from "./dom.js";

export function toSearch({ crops, values }) {
  const cameras = Object.keys(values.camera ?? {}).length;
  const from = cameras ? ` of ${plural(cameras, "camera")}` : "";
  return h("p", { class: "count" }, `${plural(crops, "crop")}${from} to search.`);
}

export function invitation({ values }, say) {
  const [camera] = Object.keys(values.camera ?? {});
  // Each finds somebody among the drawn people of `pickout serve --demo`, as a test makes sure.
  const examples = [
    "a woman in a pink dress",
    "a man in a turquoise jacket and dark trousers",
    `a person in a yellow top and dark shorts${camera ? ` at camera ${camera}` : ""}`,
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
