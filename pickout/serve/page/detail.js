// One candidate looked at closely: facts, why it is there, where else that person may have been seen, marks.

import { ask, cropImage, of, picture } from "./api.js";
import { withPurpose } from "./app.js";
import { WORDS, marks, others, askReason } from "./marks.js";
import { percent } from "./grid.js";
import { announce, clock, day, fill, h, key, moment } from "./dom.js";

const WHAT = { patches: "where on the crop", words: "which words", word_patches: "where each word lies" };
const MINUTES = [5, 15, 60, 240];

export class Detail {
  // options: sentence(), like(kind, ids), judge(verdict, item), closed()
  constructor(options) {
    this.options = options;
    this.item = null;
    this.minutes = 15;
    this.node = h("aside", { class: "detail", "aria-label": "The candidate" });
    document.addEventListener("marks", () => this.item && this.showMarks());
    this.reset();
  }

  reset() {
    this.item = null;
    this.node.classList.remove("open");
    fill(
      this.node,
      h(
        "div",
        { class: "state small" },
        h("p", {}, "Choose a candidate to look closer: ", key("Enter"), " or a click."),
      ),
    );
  }

  // On a wide page the panel follows the candidate that is turned to.
  follow(item) {
    if (this.item && item && this.item.id !== item.id && this.node.classList.contains("open")) this.open(item, {});
  }

  open(item, { focus = false, why = false, where = false } = {}) {
    this.item = item;
    this.parts = {
      mark: h("div", { class: "marks" }),
      why: h("div", { class: "why" }),
      where: h("div", { class: "where" }),
      frame: h(
        "div",
        { class: "portrait" },
        cropImage(item.id, { alt: "the candidate" }),
        h("canvas", { class: "heat", hidden: true }),
      ),
    };
    const fact = (name, value) =>
      value !== null && value !== undefined && value !== "" && [h("dt", {}, name), h("dd", {}, String(value))];
    const title = h("h2", { tabindex: "-1" }, clock(item.time), h("span", {}, ` ${day(item.time)}`));
    fill(
      this.node,
      h(
        "div",
        { class: "detail-head" },
        title,
        h("button", { class: "icon", "aria-label": "Close", onclick: () => this.close() }, "✕"),
      ),
      h("p", { class: "caution" }, "A candidate, not an identification."),
      this.parts.frame,
      this.parts.mark,
      h(
        "div",
        { class: "actions" },
        h("button", { onclick: () => this.why() }, "Why ", key("W")),
        h("button", { onclick: () => this.whereElse() }, "Where else ", key("E")),
        h("button", { onclick: () => this.options.like("more", [item.id]) }, "More like this"),
        h("button", { onclick: () => this.options.like("less", [item.id]) }, "Less like this"),
        h("button", { onclick: () => this.original() }, "Original"),
      ),
      this.parts.why,
      this.parts.where,
      h(
        "dl",
        { class: "facts" },
        fact("Camera", item.camera ?? "unknown"),
        fact("Time", moment(item.time)),
        fact("Probability", percent(item.probability)),
        fact("Track", item.track),
        fact("Video", item.video),
        fact("Frame", item.frame),
        fact("Box", item.box?.join(", ")),
        Object.entries(item.labels ?? {}).map(([name, value]) => fact(name, value)),
        fact("Size", item.width && `${item.width} × ${item.height} pixels`),
      ),
    );
    this.node.classList.add("open");
    this.showMarks();
    if (focus) title.focus({ preventScroll: true });
    if (why) this.why();
    if (where) this.whereElse();
  }

  close() {
    this.reset();
    this.options.closed();
  }

  press(event) {
    if (!this.item) return false;
    if (event.key === "Escape") {
      this.close();
      return true;
    }
    if (!this.node.contains(document.activeElement)) return false;
    const letter = event.key.toLowerCase();
    if (letter === "w") {
      this.why();
      return true;
    }
    if (letter === "e") {
      this.whereElse();
      return true;
    }
    return false;
  }

  showMarks() {
    const mine = marks.get(this.item.id);
    const theirs = others.get(this.item.id) ?? [];
    fill(
      this.parts.mark,
      Object.entries(WORDS).map(([verdict, [sign, word]]) =>
        h(
          "button",
          {
            class: `judge ${verdict}`,
            "aria-pressed": String(mine?.verdict === verdict),
            onclick: () => this.options.judge(verdict, this.item),
          },
          `${sign} ${word} `,
          key(word[0].toUpperCase()),
        ),
      ),
      h(
        "p",
        {},
        mine
          ? [
              mine.reason ? `Your reason: ${mine.reason} ` : "",
              h(
                "button",
                { class: "link", onclick: () => askReason(this.item.id, this.options.sentence()) },
                mine.reason ? "change" : "give a reason",
              ),
            ]
          : " ",
        theirs.map((each) =>
          h(
            "span",
            { class: "other" },
            ` ${each.by}: ${WORDS[each.verdict][1]}${each.reason ? ` (${each.reason})` : ""}.`,
          ),
        ),
      ),
    );
  }

  async original() {
    if (!(await withPurpose())) return;
    const image = this.parts.frame.querySelector("img");
    try {
      image.src = await picture(this.item.id, "original");
      announce("The original; that you looked at it is recorded.");
    } catch (error) {
      announce(error.message);
      this.parts.frame.append(h("p", { class: "bad" }, error.message));
    }
  }

  async why() {
    const { why, frame } = this.parts;
    const said = this.options.sentence();
    if (!said)
      return fill(
        why,
        h("h3", {}, "Why"),
        h("p", {}, "There is no sentence to explain: this was searched for by a picture."),
      );
    if (!(await withPurpose())) return;
    fill(
      why,
      h("h3", {}, "Why"),
      h("p", { class: "waiting" }, "The model is asked what its score rests on. That may take a minute …"),
    );
    let told;
    try {
      told = await ask(of("crops", this.item.id, "explain"), { json: { sentence: said } });
    } catch (error) {
      return fill(why, h("h3", {}, "Why"), h("p", { class: "bad" }, error.message));
    }
    if (why !== this.parts.why) return; // another candidate was opened meanwhile
    const weights = told.words.map((each) => each.weight ?? 0);
    const most = Math.max(...weights.map(Math.abs), 1e-9);
    const heat = (patches, name) => {
      drawHeat(frame, patches);
      announce(patches ? `heat of ${name}` : `no heat of ${name}`);
    };
    const buttons = told.words.map((word, place) => {
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
    const verdicts = Object.entries(told.shown);
    const hidden = verdicts
      .filter(([, verdict]) => !verdict.way)
      .map(([what, verdict]) => h("p", { class: "note" }, `Not shown: ${WHAT[what] ?? what}. ${verdict.note}`));
    if (verdicts.some(([, verdict]) => verdict.way && !verdict.measured))
      hidden.push(
        h("p", { class: "note bad" }, "Not measured for this model: whether it is true of the model is not known."),
      );
    const lead =
      weights.some(Boolean) &&
      h(
        "p",
        { class: "legend" },
        h("span", { class: "word for4" }, "speaks for it"),
        h("span", { class: "word against4" }, "speaks against it"),
      );
    fill(
      why,
      h("h3", {}, "Why"),
      h("p", { class: "words" }, buttons),
      lead,
      told.patches &&
        h("button", { class: "link", onclick: () => heat(told.patches, "the whole sentence") }, "where on the crop"),
      hidden,
      h("p", { class: "note" }, told.meaning),
    );
    if (told.patches) drawHeat(frame, told.patches);
  }

  async whereElse() {
    if (!(await withPurpose())) return;
    const { where } = this.parts;
    const { item } = this;
    fill(where, h("h3", {}, "Where else"), h("p", { class: "waiting" }, "Looking …"));
    const search = (filters) =>
      ask(of("search"), { json: { more_like: [item.id], where: filters, top: 40, parse: false } }).then(
        (found) => found.candidates,
      );
    const track = item.track
      ? search({
          tracks: [item.track],
          ...(item.camera ? { cameras: [item.camera] } : {}),
          ...(item.video ? { videos: [item.video] } : {}),
        })
      : Promise.resolve([]);
    const away =
      item.time && item.camera
        ? search({
            not_cameras: [item.camera],
            after: shifted(item.time, -this.minutes),
            before: shifted(item.time, this.minutes),
          })
        : Promise.resolve([]);
    try {
      const [same, elsewhere] = await Promise.all([track, away]);
      same.sort((a, b) => (a.time ?? "").localeCompare(b.time ?? "") || (a.frame ?? 0) - (b.frame ?? 0));
      const choice = h(
        "select",
        {
          "aria-label": "Minutes before and after",
          onchange: (event) => {
            this.minutes = Number(event.target.value);
            this.whereElse();
          },
        },
        MINUTES.map((each) => h("option", { value: String(each), selected: each === this.minutes }, `${each} minutes`)),
      );
      fill(
        where,
        h("h3", {}, "Where else"),
        h("h4", {}, "In the same track, before and after"),
        this.row(same, "This crop has no track, or is alone in it."),
        h("h4", {}, "The same clothes on other cameras within ", choice),
        this.row(
          elsewhere.slice(0, 12),
          item.time && item.camera ? "Nobody alike there and then." : "This crop has no time or no camera.",
        ),
      );
    } catch (error) {
      fill(where, h("h3", {}, "Where else"), h("p", { class: "bad" }, error.message));
    }
  }

  row(items, none) {
    if (!items.length) return h("p", { class: "note" }, none);
    return h(
      "ol",
      { class: "row" },
      items.map((each) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              class: each.id === this.item.id ? "mini this" : "mini",
              "aria-label": `${moment(each.time)}, ${each.camera ?? "no camera"}`,
              onclick: () => this.open(each, { focus: true }),
            },
            cropImage(each.id),
            h("span", {}, clock(each.time)),
            h("span", {}, each.camera ?? ""),
          ),
        ),
      ),
    );
  }
}

function shifted(iso, minutes) {
  return new Date(Date.parse(`${iso.slice(0, 19)}Z`) + 60_000 * minutes).toISOString().slice(0, 19);
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
