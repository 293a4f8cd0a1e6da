// A marked candidate of a case: who said what, whether a second opinion is wanted, what is blurred when it leaves.

import { ask, cropImage, of } from "./api.js";
import { clock, day, h } from "./dom.js";
import { WORDS } from "./marks.js";
import { redact } from "./redaction.js";

function standing(crop) {
  const people = new Set(crop.marks.map((each) => each.by));
  if (people.size < 2) return ["wanted", "second opinion wanted"];
  return new Set(crop.marks.map((each) => each.verdict)).size === 1
    ? ["agreed", `agreed by ${people.size}`]
    : ["differs", "opinions differ"];
}

function evidence(found, crop) {
  const [state, words] = standing(crop);
  const redaction = found.redactions[crop.id];
  const item = h(
    "li",
    {},
    h("div", { class: "frame" }, cropImage(crop.id, { alt: "candidate" })),
    h(
      "div",
      {},
      h("p", { class: "time" }, h("b", {}, clock(crop.time)), ` ${day(crop.time)}`),
      h("p", { class: "place" }, crop.camera ?? "no camera", crop.track && ` · track ${crop.track}`),
      crop.marks.map((each) =>
        h(
          "p",
          { class: "opinion" },
          h("b", {}, WORDS[each.verdict].join(" ")),
          ` ${each.by}`,
          each.reason && `: ${each.reason}`,
        ),
      ),
      h("p", { class: `standing ${state}` }, words),
      h(
        "button",
        {
          class: "link",
          onclick: async () => {
            if (!(await redact(found.id, crop, redaction))) return;
            const { redactions } = await ask(of("cases", found.id));
            item.replaceWith(evidence({ ...found, redactions }, crop));
          },
        },
        redaction
          ? redaction.head
            ? "blurred as drawn"
            : `face shown: ${redaction.reason}`
          : "face blurred when it leaves",
      ),
    ),
  );
  return item;
}

const TOGETHER = 120; // fills rows of one to five

// Drawn in parts as one scrolls there, each a list that is laid out only while it is near: a case may hold thousands.
export function evidenceList(found, crops) {
  const whole = h("div", { class: "parts-of-evidence" });
  let drawn = 0;
  const near = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && draw(), {
    rootMargin: "2000px",
  });
  const draw = () => {
    near.disconnect();
    const some = crops.slice(drawn, drawn + TOGETHER).map((crop) => evidence(found, crop));
    const list = h("ul", { class: "evidence" }, some);
    whole.append(list);
    drawn += TOGETHER;
    if (drawn < crops.length) near.observe(list.lastElementChild);
  };
  draw();
  return whole;
}
