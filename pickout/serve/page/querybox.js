// The box that a query is written in, with its other parts and the chips of what was read from it.

import { ask, cropImage, of } from "./api.js";
import { fill, form, h, toast } from "./dom.js";
import { openTime, otherNotes, unknownWords } from "./doubts.js";
import { MOST_WEIGHT } from "./query.js";

export class QueryBox {
  // options: ask(query): a new sentence; change(query): another part; known
  constructor(options) {
    this.options = options;
    this.sentence = h("textarea", {
      class: "sentence",
      rows: "1",
      "aria-label": "Describe the person",
      placeholder: "Clothes, colours, bag, hair; where and when",
      maxlength: "10000",
      autocomplete: "off",
      spellcheck: true,
      enterkeyhint: "search",
    });
    this.more = h("div", { class: "parts", role: "group", "aria-label": "Other parts" });
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Filters that hold" });
    this.pictures = new Map(); // what was uploaded from this page, to be seen in its part
    this.notes = h("div", { class: "notes", id: "notes" });
    const picture = h("input", {
      type: "file",
      accept: "image/*",
      class: "hidden",
      tabindex: "-1",
      "aria-hidden": "true",
      onchange: () => this.addPicture(picture.files[0]),
    });
    const add = h(
      "select",
      {
        class: "add",
        "aria-label": "Add to the query",
        onchange: (event) => {
          const what = event.target.value;
          event.target.value = "";
          this.add(what, picture);
        },
      },
      h("option", { value: "" }, "＋ Add"),
      h("option", { value: "witness" }, "another witness"),
      h("option", { value: "picture" }, "a picture"),
      h("option", { value: "without" }, "without …"),
    );
    this.node = h(
      "form",
      {
        class: "ask",
        role: "search",
        onsubmit: (event) => {
          event.preventDefault();
          this.submit();
        },
      },
      h("div", { class: "line" }, this.sentence, add, h("button", { class: "main" }, "Search")),
      picture,
      h("div", { class: "band" }, this.more, this.chips),
    );
    this.node.addEventListener("dragover", (event) => event.preventDefault());
    this.node.addEventListener("drop", (event) => {
      event.preventDefault();
      this.addPicture(event.dataTransfer.files[0]);
    });
    this.sentence.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.sentence.blur();
      if (event.key === "Enter") {
        event.preventDefault();
        this.submit();
      }
    });
  }

  focus() {
    this.sentence.focus();
    this.sentence.select();
  }

  say(text) {
    this.sentence.value = text;
    this.submit();
  }

  submit() {
    this.query.texts[0].value = this.sentence.value.trim();
    this.show(this.query); // the sentence may stand among the parts, too
    this.sentence.blur();
    this.options.ask(this.query);
  }

  show(query) {
    this.query = query;
    this.sentence.value = query.texts[0].value;
    const part = (kind, shown, list, each, weighed) =>
      h(
        "span",
        { class: `part ${kind}` },
        shown,
        weighed &&
          h(
            "button",
            {
              type: "button",
              class: "weight",
              title: "How much this part counts",
              "aria-label": `counts ${each.weight ?? 1} times; change`,
              onclick: () => {
                each.weight = ((each.weight ?? 1) % MOST_WEIGHT) + 1;
                this.changed();
              },
            },
            `×${each.weight ?? 1}`,
          ),
        h(
          "button",
          {
            type: "button",
            class: "drop",
            "aria-label": "Take this part out",
            onclick: () => {
              list.splice(list.indexOf(each), 1);
              this.changed();
            },
          },
          "✕",
        ),
      );
    const weighed = query.texts.length + query.pictures.length + query.more.length > 1;
    const first =
      weighed &&
      query.texts[0].value &&
      h(
        "span",
        { class: "part" },
        `“${query.texts[0].value}”`,
        h(
          "button",
          {
            type: "button",
            class: "weight",
            title: "How much this part counts",
            onclick: () => {
              query.texts[0].weight = (query.texts[0].weight % MOST_WEIGHT) + 1;
              this.changed();
            },
          },
          `×${query.texts[0].weight}`,
        ),
      );
    fill(
      this.more,
      first,
      query.texts.slice(1).map((each) => part("text", `“${each.value}”`, query.texts, each, true)),
      query.pictures.map((each) => {
        const url = this.pictures.get(each.id);
        return part(
          "image",
          [url && h("img", { src: url, alt: "" }), each.name ?? "picture"],
          query.pictures,
          each,
          true,
        );
      }),
      query.more.map((each) =>
        part("image", ["more like ", cropImage(each.id, { alt: "this crop" })], query.more, each, true),
      ),
      query.less.map((each) =>
        part("image no", ["less like ", cropImage(each.id, { alt: "this crop" })], query.less, each, false),
      ),
      query.without.map((each) => part("no", `without ${each.value}`, query.without, each, false)),
    );
    this.more.hidden = !this.more.childElementCount;
  }

  changed() {
    this.show(this.query);
    this.options.change(this.query);
  }

  // chips: the filters that hold; open: times that are no filter yet; days: those that candidates were seen on
  showChips(chips, changed, open = [], days = []) {
    if (changed) this.dropped = changed;
    const plain = !chips.length && !open.length && this.more.hidden;
    fill(
      this.chips,
      plain &&
        h("span", { class: "note wide" }, "Where and when may stand in the sentence, with a camera’s name and a day."),
      open.map((each) =>
        openTime(each, days, (value) => this.say(this.query.texts[0].value.replace(each.text, value))),
      ),
      chips.map((chip) =>
        h(
          "span",
          { class: chip.read ? "chip read" : "chip", title: chip.read ? "read from your words" : "chosen by you" },
          chip.text,
          h(
            "button",
            {
              type: "button",
              class: "drop",
              "aria-label": `Throw out: ${chip.text}`,
              onclick: () => {
                chip.drop();
                this.dropped();
              },
            },
            "✕",
          ),
        ),
      ),
      (chips.some((chip) => chip.read) || open.length > 0) &&
        h(
          "button",
          {
            type: "button",
            class: "link",
            onclick: () => {
              this.query.parsed = null;
              this.options.change(this.query);
            },
          },
          "search every word",
        ),
    );
  }

  // What the answer tells of the words.
  showNotes(answer, query) {
    const again = () => {
      this.show(query);
      this.options.ask(query);
    };
    this.notes.parentNode?.scrollTo(0, 0);
    fill(this.notes, unknownWords(answer.unknown, query, again), otherNotes(answer.notes));
  }

  async add(what, picture) {
    if (what === "picture") return picture.click();
    if (!what) return;
    const title = what === "witness" ? "What another witness said" : "What the person does not wear or carry";
    const told = await form(
      title,
      h(
        "label",
        {},
        what === "witness" ? "Description of the same person" : "For example: a backpack",
        h("input", { name: "value", required: true, maxlength: "10000", autofocus: true, autocomplete: "off" }),
      ),
      h("button", { class: "main" }, "Add"),
    );
    if (!told?.value) return;
    const { value } = told;
    this.query.texts[0].value = this.sentence.value.trim() || this.query.texts[0].value;
    if (what === "witness") this.query.texts.push({ value, weight: 1 });
    else this.query.without.push({ value });
    this.changed();
  }

  async addPicture(file) {
    if (!file) return;
    const form = new FormData();
    form.append("file", file);
    try {
      const { picture } = await ask(of("pictures"), { form });
      this.pictures.set(picture, URL.createObjectURL(file));
      this.query.pictures.push({ id: picture, name: file.name, weight: 1 });
      this.changed();
    } catch (error) {
      toast(error.message);
    }
  }
}
