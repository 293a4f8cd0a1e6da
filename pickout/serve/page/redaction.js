// What is blurred of a crop when it leaves: the head by default, and boxes that are drawn over other people.

import { ask, of, picture } from "./api.js";
import { withPurpose } from "./app.js";
import { dialog, fill, h, toast } from "./dom.js";

const HEAD = 0.24; // as the server blurs it
const HALVES = [
  ["left half", [0, 0, 0.5, 1]],
  ["right half", [0.5, 0, 0.5, 1]],
  ["lower half", [0, 0.5, 1, 0.5]],
];

export async function redact(id, crop, before) {
  const boxes = [...(before?.boxes ?? [])];
  let head = before?.head ?? true;
  const image = new Image();
  image.src = await picture(crop.id);
  await image.decode().catch(() => {});
  const scale = Math.min(320 / image.naturalHeight, 4);
  const canvas = h("canvas", {
    class: "redaction",
    width: Math.round(image.naturalWidth * scale),
    height: Math.round(image.naturalHeight * scale),
    "aria-label": "The crop as it leaves; draw a box over whoever else is in it",
    role: "img",
  });
  const pen = canvas.getContext("2d");
  const list = h("div", { class: "parts" });
  const draw = (open) => {
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    pen.fillStyle = "#6b7280";
    if (head) pen.fillRect(0, 0, canvas.width, HEAD * canvas.height);
    for (const [x, y, w, t] of [...boxes, ...(open ? [open] : [])])
      pen.fillRect(x * canvas.width, y * canvas.height, w * canvas.width, t * canvas.height);
    fill(
      list,
      boxes.map((box, place) =>
        h(
          "span",
          { class: "part" },
          `box ${place + 1}`,
          h(
            "button",
            {
              type: "button",
              class: "drop",
              "aria-label": `Remove box ${place + 1}`,
              onclick: () => {
                boxes.splice(place, 1);
                draw();
              },
            },
            "✕",
          ),
        ),
      ),
    );
  };
  let from = null;
  const at = (event) => [
    Math.min(1, Math.max(0, event.offsetX / canvas.clientWidth)),
    Math.min(1, Math.max(0, event.offsetY / canvas.clientHeight)),
  ];
  const box = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];
  canvas.addEventListener("pointerdown", (event) => {
    from = at(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => from && draw(box(from, at(event))));
  canvas.addEventListener("pointerup", (event) => {
    const made = box(from, at(event));
    from = null;
    if (made[2] > 0.02 && made[3] > 0.02) boxes.push(made);
    draw();
  });
  draw();
  const reason = h("input", { name: "reason", value: before?.reason ?? "", maxlength: "1000" });
  const told = await dialog("When this picture leaves", (close) =>
    h(
      "form",
      {
        class: "stack split",
        onsubmit: (event) => {
          event.preventDefault();
          close(true);
        },
      },
      canvas,
      h(
        "div",
        { class: "stack" },
        h(
          "label",
          { class: "check" },
          h("input", {
            type: "checkbox",
            checked: head,
            onchange: (event) => {
              head = event.target.checked;
              reason.required = !head;
              draw();
            },
          }),
          "blur the head",
        ),
        h(
          "p",
          { class: "note" },
          "The head of a standing person lies in the top quarter. Draw boxes over other people with the mouse, or:",
        ),
        h(
          "div",
          { class: "actions" },
          HALVES.map(([name, half]) =>
            h(
              "button",
              {
                type: "button",
                class: "quiet",
                onclick: () => {
                  boxes.push(half);
                  draw();
                },
              },
              `cover the ${name}`,
            ),
          ),
        ),
        list,
        h("label", {}, "Reason; needed where the face is shown", reason),
        h("button", { class: "main" }, "Keep"),
      ),
    ),
  );
  if (!told || !(await withPurpose())) return false;
  try {
    await ask(of("cases", id, "redactions"), { json: { crops: [crop.id], head, boxes, reason: reason.value.trim() } });
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  }
}
