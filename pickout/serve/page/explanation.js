// Why a candidate is there: words coloured by weight, heat on the crop; what failed its measurement stays hidden.

import { ask, of } from "./api.js";
import { announce, fill, h } from "./dom.js";

const WHAT = { patches: "where on the crop", words: "which words", word_patches: "where each word lies" };
let usual = 0; // seconds that the last one took

// place: where the words go; frame: the crop's, which the heat is laid over; current(): whether it is still wanted
export async function showWhy(place, frame, crop, sentence, current) {
  const said = (...children) => fill(place, h("h3", {}, "Why"), children);
  if (!sentence) return said(h("p", {}, "There is no sentence to explain: this was searched for by a picture."));
  const bar = h("progress", { max: 1, "aria-label": "How far the explanation is, as the last one took" });
  const wait = usual > 2 ? ` About ${Math.round(usual)} seconds, as the last time.` : "";
  said(h("p", { class: "waiting" }, `The model is asked what its score rests on.${wait}`), bar);
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const moving = usual && setInterval(() => (bar.value = Math.min(0.97, seconds() / usual)), 200);
  let told;
  try {
    told = await ask(of("crops", crop, "explain"), { json: { sentence } });
  } catch (error) {
    if (current()) said(h("p", { class: "bad" }, error.message));
    return;
  } finally {
    clearInterval(moving);
  }
  if (seconds() > 0.5) usual = seconds(); // not one that the server still had
  if (!current()) return;
  const heat = (patches, name) => {
    drawHeat(frame, patches);
    announce(patches ? `heat of ${name}` : `no heat of ${name}`);
  };
  const weights = told.words.map((each) => each.weight ?? 0);
  said(
    h("p", { class: "words" }, words(told.words, weights, heat)),
    weights.some(Boolean) &&
      h(
        "p",
        { class: "legend" },
        h("span", { class: "word for4" }, "speaks for it"),
        h("span", { class: "word against4" }, "speaks against it"),
      ),
    told.patches &&
      h("button", { class: "link", onclick: () => heat(told.patches, "the whole sentence") }, "where on the crop"),
    doubts(told.shown),
    h("p", { class: "note" }, told.meaning),
  );
  if (told.patches) drawHeat(frame, told.patches);
}

function words(all, weights, heat) {
  const most = Math.max(...weights.map(Math.abs), 1e-9);
  return all.map((word, place) => {
    if (word.weight === null) return h("span", { class: `word ${word.state}` }, word.text, " ");
    const strength = Math.min(4, Math.ceil((4 * Math.abs(weights[place])) / most));
    return h(
      "button",
      {
        class: `word ${weights[place] < 0 ? "against" : "for"}${strength}`,
        title: `${weights[place] < 0 ? "speaks against" : "speaks for"} it: ${weights[place].toFixed(3)}`,
        disabled: !word.patches,
        onclick: () => heat(word.patches, word.text),
      },
      word.text,
    );
  });
}

function doubts(shown) {
  const verdicts = Object.entries(shown);
  return [
    ...verdicts
      .filter(([, verdict]) => !verdict.way)
      .map(([what, verdict]) => h("p", { class: "note" }, `Not shown: ${WHAT[what] ?? what}. ${verdict.note}`)),
    verdicts.some(([, verdict]) => verdict.way && !verdict.measured) &&
      h("p", { class: "note bad" }, "Not measured for this model: whether it is true of the model is not known."),
  ];
}

// Heat of the sentence or of a word over the crop; drawn, so that no style needs to stand in the page.
function drawHeat(frame, patches) {
  const canvas = frame.querySelector("canvas");
  const image = frame.querySelector("img");
  canvas.hidden = !patches;
  if (!patches) return;
  const rows = patches.length,
    columns = patches[0].length;
  const values = patches.flat();
  const most = Math.max(...values.map(Math.abs), 1e-9);
  const small = new OffscreenCanvas(columns, rows);
  const pen = small.getContext("2d");
  const pixels = pen.createImageData(columns, rows);
  values.forEach((value, place) =>
    pixels.data.set(
      [
        value < 0 ? 40 : 255,
        value < 0 ? 110 : 120,
        value < 0 ? 255 : 0,
        Math.round(190 * Math.min(1, Math.abs(value) / most)),
      ],
      4 * place,
    ),
  );
  pen.putImageData(pixels, 0, 0);
  const box = image.getBoundingClientRect();
  const ratio = (image.naturalWidth || 1) / (image.naturalHeight || 2);
  const width = Math.min(box.width, box.height * ratio),
    height = Math.min(box.height, box.width / ratio);
  canvas.width = Math.round(box.width);
  canvas.height = Math.round(box.height);
  const to = canvas.getContext("2d");
  to.imageSmoothingEnabled = true;
  to.imageSmoothingQuality = "high";
  to.drawImage(small, (box.width - width) / 2, (box.height - height) / 2, width, height);
}
