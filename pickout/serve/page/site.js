// An image of the site with its cameras on it. Nothing is loaded from elsewhere.

import { Failure, ask, of, session } from "./api.js";
import { count, fill, form, h, sheet, toast } from "./dom.js";

export async function show(main, _, known) {
  const { cameras, image } = await ask(of("site"));
  const numbers = known.gallery.values.camera ?? {};
  const names = Object.keys(numbers);
  const may = known.me.roles.includes("admin") && !known.me.cameras;
  const again = () => show(main, _, known);
  const file = h("input", {
    type: "file",
    accept: "image/*",
    class: "hidden",
    tabindex: "-1",
    "aria-hidden": "true",
    onchange: async () => {
      const form = new FormData();
      form.append("file", file.files[0]);
      try {
        await ask(of("site", "image"), { form, method: "PUT" });
        again();
      } catch (error) {
        toast(error.message);
      }
    },
  });
  const plan = h("div", { class: "plan" });
  const view = (...children) => {
    const words = image ? "Another plan" : "Add a plan";
    const add = may && h("button", { class: image ? "" : "main", onclick: () => file.click() }, words);
    return fill(main, sheet("Site", [add, file], children));
  };
  if (!image) {
    return view(
      h(
        "div",
        { class: "state" },
        h("h2", {}, "No plan of the site"),
        h("p", {}, "A floor plan or an aerial picture, with the cameras on it. A click on a camera searches there."),
      ),
    );
  }
  const blob = await ask(of("site", "image"), { as: "blob" });
  const picture = h("img", { alt: "Plan of the site", src: URL.createObjectURL(blob) });
  const save = async (next) => {
    await ask(of("site"), { method: "PUT", json: { cameras: next } });
    again();
  };
  const pins = Object.entries(cameras).map(([name, [x, y]]) => {
    const pin = h(
      "a",
      {
        class: "pin",
        href: `#/search?${new URLSearchParams({ q: JSON.stringify({ where: { cameras: [name] } }) })}`,
        title: `Search at ${name}`,
      },
      h("b", {}, name),
      h("span", {}, count(numbers[name] ?? 0)),
    );
    pin.style.left = `${100 * x}%`;
    pin.style.top = `${100 * y}%`;
    return pin;
  });
  const left = names.filter((name) => !(name in cameras));
  picture.addEventListener("click", async (event) => {
    if (!may || !names.length) return;
    const at = [event.offsetX / picture.clientWidth, event.offsetY / picture.clientHeight];
    const told = await form(
      "Which camera stands here?",
      h(
        "label",
        {},
        "Camera",
        h(
          "select",
          { name: "name", autofocus: true },
          [...left, ...names.filter((each) => each in cameras)].map((each) => h("option", {}, each)),
        ),
      ),
      h("button", { class: "main" }, "Place"),
    );
    if (told) save({ ...cameras, [told.name]: at });
  });
  fill(plan, picture, pins);
  view(
    may &&
      h(
        "p",
        { class: "note" },
        left.length
          ? `Click where a camera stands. Not placed yet: ${left.join(", ")}.`
          : names.length
            ? "Click on the plan to move a camera."
            : "No crop of this gallery tells its camera, so there is none to place.",
      ),
    plan,
  );
}
