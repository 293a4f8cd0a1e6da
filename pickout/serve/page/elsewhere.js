// Where else a person may have been seen: the same track before and after, the same clothes on other cameras.

import { ask, cropImage, of } from "./api.js";
import { clock, fill, h, moment } from "./dom.js";

const MINUTES = [5, 15, 60, 240];
const MOST = 12;
let minutes = 15;

// open(candidate): what a click on one does
export async function showElsewhere(place, item, open) {
  const said = (...children) => fill(place, h("h3", {}, "Where else"), children);
  said(h("p", { class: "waiting" }, "Looking …"));
  let found;
  try {
    found = await Promise.all([sameTrack(item), otherCameras(item)]);
  } catch (error) {
    return said(h("p", { class: "bad" }, error.message));
  }
  const [same, away] = found;
  same.sort((a, b) => (a.time ?? "").localeCompare(b.time ?? "") || (a.frame ?? 0) - (b.frame ?? 0));
  const choice = h(
    "select",
    {
      "aria-label": "Minutes before and after",
      onchange: (event) => {
        minutes = Number(event.target.value);
        showElsewhere(place, item, open);
      },
    },
    MINUTES.map((each) => h("option", { value: String(each), selected: each === minutes }, `${each} minutes`)),
  );
  said(
    h("h4", {}, "In the same track, before and after"),
    row(same, item, open, "This crop has no track, or is alone in it."),
    h("h4", {}, "The same clothes on other cameras within ", choice),
    row(
      away.slice(0, MOST),
      item,
      open,
      item.time && item.camera ? "Nobody alike there and then." : "This crop has no time or no camera.",
    ),
  );
}

async function alike(item, where) {
  const { candidates } = await ask(of("search"), { json: { more_like: [item.id], where, top: 40, parse: false } });
  return candidates;
}

async function sameTrack(item) {
  if (!item.track) return [];
  const where = { tracks: [item.track] };
  if (item.camera) where.cameras = [item.camera];
  if (item.video) where.videos = [item.video];
  return alike(item, where);
}

async function otherCameras(item) {
  if (!item.time || !item.camera) return [];
  return alike(item, {
    not_cameras: [item.camera],
    after: shifted(item.time, -minutes),
    before: shifted(item.time, minutes),
  });
}

function row(items, item, open, none) {
  if (!items.length) return h("p", { class: "note" }, none);
  const mini = (each) =>
    h(
      "button",
      {
        class: each.id === item.id ? "mini this" : "mini",
        "aria-label": `${moment(each.time)}, ${each.camera ?? "no camera"}`,
        onclick: () => open(each),
      },
      cropImage(each.id),
      h("span", {}, clock(each.time)),
      h("span", {}, each.camera ?? ""),
    );
  return h(
    "ol",
    { class: "row" },
    items.map((each) => h("li", {}, mini(each))),
  );
}

function shifted(iso, by) {
  return new Date(Date.parse(`${iso.slice(0, 19)}Z`) + 60_000 * by).toISOString().slice(0, 19);
}
