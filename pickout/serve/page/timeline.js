// A strip for each camera with the candidates on it: where along it, when; how high, how probable.

import { clock, day, fill, h, plural } from "./dom.js";

const MOST = 12; // cameras that are drawn
const IN_SIGHT = 6; // the rest is scrolled to
const ROW = 33; // as the style sheet says, in pixels
const ENDS = 58;

const at = (each) => Date.parse(`${each.time.slice(0, 19)}Z`);
const named = (each) => each.camera ?? "no camera";

// candidates: null while they are waited for; cameras: those that the filters leave
export function timeline(place, candidates, cameras, choose) {
  const timed = (candidates ?? []).filter((each) => each.time);
  const found = new Map(cameras.map((name) => [name, []]));
  for (const each of timed) found.set(named(each), [...(found.get(named(each)) ?? []), each]);
  // In one order whatever is found, unless there are too many cameras to draw each.
  const rows = [...found];
  if (rows.length > MOST) rows.sort((a, b) => b[1].length - a[1].length);
  const shown = rows.slice(0, MOST);
  place.style.height = `${ROW * Math.min(Math.max(shown.length, 1), IN_SIGHT) + ENDS}px`;
  if (!candidates)
    return fill(
      place,
      shown.map(([camera]) => row(camera, [], null)),
    );
  if (!timed.length) return fill(place, h("p", { class: "note" }, "These candidates have no time."));
  const times = timed.map(at);
  const scores = timed.map((each) => each.score);
  const scale = {
    first: Math.min(...times),
    last: Math.max(...times),
    low: Math.min(...scores),
    high: Math.max(...scores),
    choose,
  };
  const [from, to] = [scale.first, scale.last].map((each) => new Date(each).toISOString());
  const until = day(from) === day(to) ? clock(to) : `${day(to)} ${clock(to)}`;
  const probable = timed[0].probability !== null && timed[0].probability !== undefined;
  const rest = rows.length - shown.length;
  fill(
    place,
    shown.map(([camera, items]) => row(camera, items, scale)),
    h("div", { class: "strip-ends" }, h("span", {}, `${day(from)} ${clock(from)}`), h("span", {}, until)),
    h(
      "p",
      { class: "note" },
      `${plural(timed.length, "candidate")}; higher is ${probable ? "more probable" : "a better score"}.`,
      rest > 0 && ` ${plural(rest, "more camera")} not drawn.`,
    ),
  );
}

function row(camera, items, scale) {
  return h(
    "div",
    { class: items.length ? "strip-row" : "strip-row none" },
    h(
      "span",
      { class: "strip-name", title: camera },
      h("span", { class: "camera" }, camera),
      h("span", { class: "number" }, scale ? String(items.length) : ""),
    ),
    h(
      "div",
      { class: "strip-line" },
      items.map((each) => dot(camera, each, scale)),
    ),
  );
}

function dot(camera, each, { first, last, low, high, choose }) {
  const when = `${day(each.time)} ${clock(each.time)}`;
  const node = h("button", {
    class: "dot",
    tabindex: "-1",
    title: when,
    "aria-label": `${camera}, ${when}`,
    onclick: () => choose(each.id),
  });
  const strength = each.probability ?? (high > low ? (each.score - low) / (high - low) : 1);
  node.style.left = `${(100 * (at(each) - first)) / Math.max(last - first, 1)}%`;
  node.style.height = `${Math.round(6 + 22 * strength)}px`;
  return node;
}
