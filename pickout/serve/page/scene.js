// The frame of the recording that a candidate was cut from, with its box; in words where the recording is not at hand.

import { picture } from "./api.js";
import { announce, dialog, fill, h, moment } from "./dom.js";

export const hasScene = (item) => Boolean(item.video && item.box) && item.frame !== null && item.frame !== undefined;

export async function showScene(place, item, current) {
  const said = (...children) => fill(place, h("h3", {}, "In the recording"), children);
  said(h("p", { class: "waiting" }, "The frame is looked for …"));
  let url;
  try {
    url = await picture(item.id, "frame");
  } catch (error) {
    if (current()) said(h("p", { class: "bad" }, error.message));
    return;
  }
  const words = `frame ${item.frame}, ${moment(item.time)}, ${item.camera ?? "no camera"}`;
  const image = () => h("img", { src: url, alt: `The whole picture with a box around the candidate: ${words}` });
  const larger = () => dialog("In the recording", () => h("div", { class: "scene" }, image()), { wide: true });
  const whole = image();
  await whole.decode().catch(() => {}); // so that it has its height when it is scrolled to
  if (!current()) return;
  said(
    h("button", { class: "scene", title: "larger", onclick: larger }, whole),
    h("p", { class: "note" }, `${words}. That you looked at it is recorded.`),
  );
  announce("The frame with the box is shown.");
}
