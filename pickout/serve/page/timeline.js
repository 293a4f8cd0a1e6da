// A strip for each camera with the candidates on it: where along it, when; how high, how probable.

import { clock, day, fill, h, plural } from "./dom.js";

const MOST_CAMERAS = 12;

export function timeline(place, candidates, known, choose) {
  const timed = candidates.filter((each) => each.time);
  if (!timed.length) return fill(place, h("p", { class: "note" }, "These candidates have no time."));
  const at = (each) => Date.parse(`${each.time.slice(0, 19)}Z`);
  const first = Math.min(...timed.map(at)),
    last = Math.max(...timed.map(at));
  const span = Math.max(last - first, 1);
  const cameras = Map.groupBy ? Map.groupBy(timed, (each) => each.camera ?? "no camera") : grouped(timed);
  const scores = timed.map((each) => each.probability ?? each.score);
  const low = Math.min(...scores),
    high = Math.max(...scores);
  for (const name of known) if (!cameras.has(name)) cameras.set(name, []);
  const rows = [...cameras]
    .sort((a, b) => b[1].length - a[1].length)
    .slice(0, MOST_CAMERAS)
    .map(([camera, items]) => {
      const bar = h(
        "div",
        { class: "strip-line" },
        items.map((each) => {
          const dot = h("button", {
            class: "dot",
            tabindex: "-1",
            title: `${day(each.time)} ${clock(each.time)}`,
            "aria-label": `${camera}, ${day(each.time)} ${clock(each.time)}`,
            onclick: () => choose(each.id),
          });
          dot.style.left = `${(100 * (at(each) - first)) / span}%`;
          const strength = each.probability ?? (high > low ? (each.score - low) / (high - low) : 1);
          dot.style.height = `${Math.round(6 + 22 * strength)}px`;
          return dot;
        }),
      );
      return h(
        "div",
        { class: items.length ? "strip-row" : "strip-row none" },
        h("span", { class: "strip-name" }, camera, h("span", { class: "number" }, String(items.length))),
        bar,
      );
    });
  place.style.height = `${32 * Math.min(Math.max(known.length, 1), 6) + 64}px`; // as many cameras as there are, so that it keeps its height
  const rest = cameras.size - rows.length;
  fill(
    place,
    rows,
    h(
      "div",
      { class: "strip-ends" },
      h("span", {}, `${day(timed.find((each) => at(each) === first).time)} ${clock(new Date(first).toISOString())}`),
      h("span", {}, `${day(new Date(last).toISOString())} ${clock(new Date(last).toISOString())}`),
    ),
    h(
      "p",
      { class: "note" },
      `The candidates on this page; higher is ${timed[0].probability === null ? "a better score" : "more probable"}.${rest > 0 ? ` ${plural(rest, "more camera")} not drawn.` : ""}`,
    ),
  );
}

function grouped(items) {
  const found = new Map();
  for (const each of items)
    found.set(each.camera ?? "no camera", [...(found.get(each.camera ?? "no camera") ?? []), each]);
  return found;
}
