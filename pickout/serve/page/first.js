// An empty gallery: what to do, a place to drop pictures or recordings on, and drawn people to try it with at once.

import { Failure, follow, of, session } from "./api.js";
import { start, withPurpose } from "./app.js";
import { announce, count, fill, h } from "./dom.js";
import { dropped, sendPictures, sendRecording, sorted } from "./intake.js";

const MAY_ADD = ["index", "admin"];

export function firstRun(main, known) {
  if (!known.me.roles.some((role) => MAY_ADD.includes(role)))
    return fill(
      main,
      h(
        "section",
        { class: "state" },
        h("h1", {}, "This gallery is empty"),
        h(
          "p",
          {},
          "Your token may look, but not add crops. Ask whoever runs the server for one with the role “index”.",
        ),
        h("button", { onclick: start }, "Look again"),
      ),
    );
  const bar = h("progress", { max: 1, "aria-label": "Progress", hidden: true });
  const told = h("p", { role: "status", class: "step" });
  const input = h("input", {
    type: "file",
    multiple: true,
    accept: "image/*,video/*,.mkv,.h264,.ts",
    class: "hidden",
    tabindex: "-1",
    "aria-hidden": "true",
    onchange: () => take([...input.files]),
  });
  const choose = h("button", { class: "main", onclick: () => input.click() }, "Choose files");
  const sample = h("button", { onclick: () => work(drawn) }, "Try it on drawn people");

  const say = (words, share) => {
    told.textContent = words;
    told.classList.remove("bad");
    bar.hidden = false;
    if (share === undefined) bar.removeAttribute("value");
    else bar.value = share;
  };
  // One thing at a time; what goes wrong is said, and what is in already is shown.
  const work = async (what) => {
    if (choose.disabled || !(await withPurpose())) return;
    choose.disabled = sample.disabled = true;
    try {
      await what();
      await start();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      told.textContent = error.message;
      told.classList.add("bad");
      announce(error.message);
    } finally {
      bar.hidden = true;
      choose.disabled = sample.disabled = false;
    }
  };
  const take = (files) => {
    const { pictures, recordings, others } = sorted(files);
    if (!pictures.length && !recordings.length) {
      told.textContent = others.length ? `No pictures and no recordings among ${count(others.length)} files.` : "";
      return;
    }
    return work(async () => {
      if (pictures.length) await sendPictures(pictures, say);
      for (const each of recordings) await sendRecording(each, say);
    });
  };
  const drawn = () =>
    follow(of("sample"), {}, ({ doing, done, total }) =>
      say(`${doing ?? "waiting"} …`, total ? done / total : undefined),
    );

  const zone = h(
    "section",
    { class: "drop-zone", "aria-labelledby": "first-title" },
    h("h1", { id: "first-title" }, "This gallery is empty"),
    h(
      "p",
      {},
      "Drop a folder of pictures here, each of one person: their folder’s name becomes the camera. Or drop a recording: people in it are found and cut out.",
    ),
    h("div", { class: "examples" }, choose, sample),
    input,
    bar,
    told,
    h(
      "p",
      { class: "note" },
      "Large recordings are better looked through where they lie: ",
      h("code", {}, `pickout video RECORDINGS --out crops --gallery ${session.gallery}.gallery`),
    ),
  );
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(await dropped(event.dataTransfer));
  });
  fill(main, zone);
}
