// An empty gallery: what to do, a place to drop pictures, and how to try it at once.

import { Failure, ask, of, session } from "./api.js";
import { start, withPurpose } from "./app.js";
import { count, fill, h, plural, toast } from "./dom.js";

const BATCH = 100;

export function firstRun(main) {
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Progress" });
  const told = h("p", { role: "status" });
  const input = h("input", {
    type: "file",
    multiple: true,
    accept: "image/*",
    class: "hidden",
    tabindex: "-1",
    "aria-hidden": "true",
    onchange: () => take([...input.files]),
  });
  const take = async (files) => {
    const pictures = files.filter((each) => /\.(jpe?g|png|webp|bmp|gif|tiff?|avif)$/i.test(each.name));
    const videos = files.filter((each) => /\.(mp4|mkv|avi|webm|mov|h264)$/i.test(each.name));
    if (videos.length)
      return fill(
        told,
        "People are cut out of a recording where it lies: ",
        h(
          "code",
          {},
          `pickout video ${videos[0].name} --detector DETECTOR.onnx --out crops --gallery ${session.gallery}.gallery`,
        ),
        ". This page shows them as soon as they are in.",
      );
    if (!pictures.length) return toast("No pictures among these.");
    if (!(await withPurpose())) return;
    bar.hidden = false;
    try {
      for (let done = 0; done < pictures.length; done += BATCH) {
        await upload(pictures.slice(done, done + BATCH));
        bar.value = Math.min(1, (done + BATCH) / pictures.length);
        told.textContent = `${count(Math.min(done + BATCH, pictures.length))} of ${plural(pictures.length, "picture")}`;
      }
      await start();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      told.textContent = error.message;
    }
  };
  const zone = h(
    "section",
    { class: "drop-zone", "aria-labelledby": "first-title" },
    h("h1", { id: "first-title" }, "This gallery is empty"),
    h("p", {}, "Drop a folder of pictures here, each of one person. Their folder's name becomes the camera."),
    h("button", { class: "main", onclick: () => input.click() }, "Choose pictures"),
    input,
    bar,
    told,
    h(
      "p",
      { class: "note" },
      "From a recording: ",
      h(
        "code",
        {},
        `pickout video RECORDING --detector DETECTOR.onnx --out crops --gallery ${session.gallery}.gallery`,
      ),
    ),
    h("p", { class: "note" }, "To try it on drawn people: ", h("code", {}, "pickout serve --demo")),
  );
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((each) => each.webkitGetAsEntry?.()).filter(Boolean);
    take(
      entries.length ? (await Promise.all(entries.map((each) => walked(each)))).flat() : [...event.dataTransfer.files],
    );
  });
  fill(main, zone);
}

async function walked(entry, camera = null) {
  if (entry.isFile) return [Object.assign(await new Promise((done, fail) => entry.file(done, fail)), { camera })];
  const reader = entry.createReader();
  const found = [];
  for (let some; (some = await new Promise((done, fail) => reader.readEntries(done, fail))).length;)
    found.push(...some);
  return (await Promise.all(found.map((each) => walked(each, entry.name)))).flat();
}

async function upload(files) {
  const form = new FormData();
  for (const file of files) form.append("files", file);
  form.append("metadata", JSON.stringify(files.map((each) => (each.camera ? { camera: each.camera } : {}))));
  const answer = await ask(of("crops"), { form, as: "text" });
  const last = JSON.parse(answer.trim().split("\n").at(-1));
  if (last.error) throw new Failure("wrong", last.error);
}
