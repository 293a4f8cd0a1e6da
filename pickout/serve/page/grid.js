// A grid of candidates that is worked through with the keyboard. Used by the search and by second opinions.

import { cropImage } from "./api.js";
import { WORDS, askReason, mark, marks, others, undo } from "./marks.js";
import { announce, clock, date, day, fill, h, toast } from "./dom.js";

export const percent = (p) => (p === null || p === undefined ? null : `${Math.round(100 * p)} %`);

export const VERDICTS = { f: "fits", m: "maybe", n: "no" };

export class Grid {
  // options: label, open(candidate), more(): Promise of whether a next page came, sentence(), blind: hide others' marks
  constructor(options) {
    this.options = options;
    this.items = [];
    this.selected = new Set();
    this.at = 0;
    this.from = 0; // where one was before a click: the click's focus has moved `at` already
    this.list = h("ul", {
      class: "grid",
      role: "listbox",
      "aria-multiselectable": "true",
      "aria-label": options.label,
      tabindex: "-1",
    });
    this.state = h("div", { hidden: true });
    this.node = h("div", {}, this.state, this.list);
    this.list.addEventListener("click", (event) => this.clicked(event));
    this.list.addEventListener("focusin", (event) => {
      const card = event.target.closest("[role=option]");
      if (card) this.turnTo(Number(card.dataset.place));
    });
    document.addEventListener("marks", () => this.showMarks());
  }

  get current() {
    return this.items[this.at] ?? null;
  }
  get busy() {
    return this.list.hasAttribute("aria-busy");
  }
  get chosen() {
    return this.selected.size ? [...this.selected] : this.current ? [this.current.id] : [];
  }

  // What stands in place of candidates.
  say(...children) {
    this.show([]);
    fill(this.state, h("div", { class: "state" }, children));
    this.state.hidden = false;
    this.list.hidden = true;
  }

  wait(number) {
    this.state.hidden = true;
    this.list.hidden = false;
    this.list.setAttribute("aria-busy", "true");
    if (!this.items.length)
      fill(
        this.list,
        Array.from({ length: number }, () =>
          h(
            "li",
            { class: "card ghost", role: "presentation" },
            h("div", { class: "frame" }),
            h("p", {}, " "),
            h("p", {}, " "),
          ),
        ),
      );
  }

  show(items, { focus = false } = {}) {
    this.items = items;
    this.selected.clear();
    this.at = this.from = 0;
    this.state.hidden = true;
    this.list.hidden = !items.length;
    this.list.classList.toggle("one-day", new Set(items.map((each) => day(each.time))).size === 1);
    fill(
      this.list,
      items.map((item, place) => this.card(item, place)),
    );
    this.list.removeAttribute("aria-busy");
    this.showMarks();
    if (focus) this.go(0);
  }

  card(item, place) {
    const same = item.others?.length
      ? h("span", { class: "same", title: "more crops of the same track" }, `+${item.others.length}`)
      : null;
    const sure = percent(item.probability);
    return h(
      "li",
      {
        class: "card",
        role: "option",
        id: `crop-${item.id}`,
        tabindex: place ? "-1" : "0",
        "aria-selected": "false",
        data: { place },
      },
      h(
        "div",
        { class: "frame" },
        cropImage(item.id),
        sure && h("span", { class: "sure", title: "probability that it shows the person described" }, sure),
        same,
        h("span", { class: "verdict" }),
      ),
      h("p", { class: "time" }, h("b", {}, clock(item.time))),
      h(
        "p",
        { class: "place", title: item.camera ?? "no camera" },
        h("span", { class: "camera" }, item.camera ?? "no camera"),
        h("span", { class: "date" }, date(item.time)),
      ),
    );
  }

  cards() {
    return this.list.children;
  }

  showMarks() {
    this.items.forEach((item, place) => {
      const card = this.cards()[place];
      if (!card) return;
      const mine = marks.get(item.id);
      const theirs = this.options.blind ? [] : (others.get(item.id) ?? []);
      card.dataset.mark = mine?.verdict ?? "";
      card.setAttribute("aria-selected", String(this.selected.has(item.id)));
      const shown = mine ?? theirs[0];
      fill(
        card.querySelector(".verdict"),
        shown && [
          h("b", { "aria-hidden": "true" }, WORDS[shown.verdict][0]),
          ` ${WORDS[shown.verdict][1]}`,
          mine && theirs.length
            ? theirs.every((each) => each.verdict === mine.verdict)
              ? " · agreed"
              : " · differs"
            : mine
              ? ""
              : " (another)",
        ],
      );
    });
    this.options.changed?.();
  }

  turnTo(place) {
    const cards = this.cards();
    if (cards[this.at]) cards[this.at].tabIndex = -1;
    this.at = Math.max(0, Math.min(place, this.items.length - 1));
    if (cards[this.at]) cards[this.at].tabIndex = 0;
  }

  go(place, { extend = false } = {}) {
    if (!this.items.length) return;
    if (extend) this.selected.add(this.current.id);
    this.turnTo(place);
    this.from = this.at;
    if (extend) this.selected.add(this.current.id);
    const card = this.cards()[this.at];
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
    if (extend) this.showMarks();
    this.options.turned?.(this.current);
  }

  get columns() {
    const cards = [...this.cards()];
    const next = cards.findIndex((card) => card.offsetTop > cards[0].offsetTop);
    return next < 0 ? cards.length || 1 : next;
  }

  clicked(event) {
    const card = event.target.closest("[role=option]");
    if (!card) return;
    const place = Number(card.dataset.place);
    if (event.shiftKey) {
      const [low, high] = [Math.min(place, this.from), Math.max(place, this.from)];
      for (const item of this.items.slice(low, high + 1)) this.selected.add(item.id);
    } else if (event.ctrlKey || event.metaKey) this.toggle(this.items[place].id);
    else this.options.open?.(this.items[place]);
    this.go(place);
    this.showMarks();
  }

  toggle(id) {
    if (!this.selected.delete(id)) this.selected.add(id);
    this.showMarks();
  }

  judge(verdict) {
    const crops = this.chosen;
    if (!crops.length || this.busy) return; // what stands there is about to go
    mark(crops, verdict, { sentence: this.options.sentence?.() ?? "" });
    announce(
      `${crops.length > 1 ? `${crops.length} candidates` : `candidate ${this.at + 1}`} marked ${WORDS[verdict][1]}`,
    );
    const many = this.selected.size > 0;
    this.selected.clear();
    this.showMarks();
    if (!many) this.next();
  }

  async next() {
    const place = this.items.findIndex((item, at) => at > this.at && !marks.has(item.id));
    if (place >= 0) return this.go(place);
    const here = document.activeElement;
    if (this.items.every((item) => marks.has(item.id)) && this.options.more && (await this.options.more())) return;
    if (here?.isConnected) here.focus();
    const left = this.items.findIndex((item) => !marks.has(item.id));
    if (left >= 0) this.go(left);
    else toast("Every candidate here is marked.");
  }

  // Whether the key was for the grid.
  press(event) {
    if (!this.items.length) return false;
    const step = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.columns,
      ArrowUp: -this.columns,
      l: 1,
      h: -1,
      j: this.columns,
      k: -this.columns,
    }[event.key];
    const inside =
      this.list.contains(document.activeElement) ||
      document.activeElement === document.body ||
      document.activeElement.id === "main";
    if (step !== undefined) {
      if (!inside && event.key.startsWith("Arrow")) return false;
      this.go(
        this.list.contains(document.activeElement)
          ? Math.max(0, Math.min(this.at + step, this.items.length - 1))
          : this.at,
        { extend: event.shiftKey },
      );
      return true;
    }
    const letter = event.key.toLowerCase();
    if (event.key === "Enter" && this.list.contains(document.activeElement)) {
      this.options.open?.(this.current, { focus: true });
      return true;
    }
    if (event.key === " " && this.list.contains(document.activeElement)) {
      this.toggle(this.current.id);
      return true;
    }
    const verdict = VERDICTS[letter];
    if (verdict) {
      if (!event.repeat) this.judge(verdict);
      return true;
    }
    if (letter === "x") {
      this.toggle(this.current.id);
      return true;
    }
    if (letter === "u") {
      const crops = undo();
      const place = crops ? this.items.findIndex((item) => item.id === crops[0]) : -1;
      if (place >= 0) this.go(place);
      return true;
    }
    if (letter === "r") {
      askReason(this.lastMarked() ?? this.current.id, this.options.sentence?.() ?? "").then(() => this.go(this.at));
      return true;
    }
    if (event.key === "Escape" && this.selected.size) {
      this.selected.clear();
      this.showMarks();
      return true;
    }
    return false;
  }

  // Marking goes on to the next, so the reason is for the one that was marked, unless one turned back to a marked one.
  lastMarked() {
    if (marks.has(this.current.id)) return this.current.id;
    return [...marks.keys()].at(-1);
  }
}
