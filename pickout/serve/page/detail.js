// One candidate looked at closely: facts, why it is there, where else that person may have been seen, marks.

import { cropImage, picture } from "./api.js";
import { withPurpose } from "./app.js";
import { WORDS, marks, others, askReason } from "./marks.js";
import { showElsewhere } from "./elsewhere.js";
import { showWhy } from "./explanation.js";
import { percent } from "./grid.js";
import { hasScene, showScene } from "./scene.js";
import { announce, byId, clock, day, fill, h, key, moment } from "./dom.js";

const ROOM = matchMedia("(min-width: 80.01rem)"); // as the style sheet has it: the panel stands beside the candidates
const TWICE = 400; // milliseconds within which two clicks are one: the panel goes on to the next candidate in between

export class Detail {
  // options: sentence(), like(kind, ids), judge(verdict, item), closed()
  constructor(options) {
    this.options = options;
    this.item = null;
    this.judged = -TWICE;
    this.node = h("aside", { class: "detail", "aria-label": "The candidate" });
    document.addEventListener("marks", () => this.item && this.showMarks());
    this.reset();
  }

  reset() {
    this.item = null;
    this.node.classList.remove("open");
    this.point();
    fill(this.node, h("p", { class: "note" }, "Look closer: ", key("Enter"), " or a click."));
  }

  // Which card it is that is looked at; none where one came to another crop by "where else".
  point() {
    for (const card of document.querySelectorAll(".card[aria-current]")) card.removeAttribute("aria-current");
    if (this.item) byId(`crop-${this.item.id}`)?.setAttribute("aria-current", "true");
  }

  // The best candidate is looked at from the start where there is room beside the others, unless one closed that.
  preview(item) {
    this.reset();
    if (item && !this.closed && ROOM.matches) this.open(item);
  }

  // On a wide page the panel follows the candidate that is turned to.
  follow(item) {
    if (this.item && item && this.item.id !== item.id && this.node.classList.contains("open")) this.open(item, {});
  }

  open(item, { focus = false, why = false, where = false, scene = false } = {}) {
    this.item = item;
    this.closed = false;
    this.parts = {
      mark: h("div", { class: "marks" }),
      why: h("div", { class: "why" }),
      where: h("div", { class: "where" }),
      scene: h("div", { class: "where" }),
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
      h(
        "div",
        { class: "look" },
        this.parts.frame,
        h(
          "dl",
          { class: "facts" },
          fact("Camera", item.camera ?? "unknown"),
          fact("Time", moment(item.time)),
          fact("Probability", percent(item.probability)),
          fact("Track", item.track),
          Object.entries(item.labels ?? {}).map(([name, value]) => fact(name, value)),
          fact("Video", item.video?.split(/[\\/]/).at(-1)),
          fact("Frame", item.frame),
          fact("Box", item.box?.join(", ")),
          fact("Size", item.width && `${item.width} × ${item.height} pixels`),
        ),
      ),
      this.parts.mark,
      h(
        "div",
        { class: "actions" },
        h("button", { onclick: () => this.why() }, "Why ", key("W")),
        h("button", { onclick: () => this.whereElse() }, "Where else ", key("E")),
        hasScene(item) && h("button", { onclick: () => this.scene() }, "In the recording ", key("V")),
        h("button", { onclick: () => this.options.like("more", [item.id]) }, "More like this"),
        h("button", { onclick: () => this.options.like("less", [item.id]) }, "Less like this"),
        h("button", { onclick: () => this.original() }, "Original"),
      ),
      this.parts.scene,
      this.parts.why,
      this.parts.where,
    );
    this.node.classList.add("open");
    this.point();
    this.showMarks();
    if (focus) title.focus({ preventScroll: true });
    if (why) this.why();
    if (where) this.whereElse();
    if (scene && hasScene(item)) this.scene();
  }

  close() {
    this.closed = true;
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
    if (letter === "v" && hasScene(this.item)) {
      this.scene();
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
            onclick: (event) => {
              if (event.timeStamp - this.judged < TWICE) return;
              this.judged = event.timeStamp;
              this.options.judge(verdict, this.item);
            },
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
    if (!(await withPurpose())) return;
    const { why, frame } = this.parts;
    const told = showWhy(why, frame, this.item.id, this.options.sentence(), () => why === this.parts.why);
    await this.shown(why, told);
  }

  async scene() {
    if (!(await withPurpose())) return;
    const { scene } = this.parts;
    await this.shown(
      scene,
      showScene(scene, this.item, () => scene === this.parts.scene),
    );
  }

  async whereElse() {
    if (!(await withPurpose())) return;
    const { where } = this.parts;
    await this.shown(
      where,
      showElsewhere(where, this.item, (each) => this.open(each, { focus: true })),
    );
  }

  // What was asked for is scrolled to, when it begins and when it is there.
  async shown(part, coming) {
    part.scrollIntoView({ block: "nearest" });
    await coming;
    part.scrollIntoView({ block: "nearest" });
  }
}
