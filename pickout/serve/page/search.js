// The search view: the query with its parts and filters, the candidates, and one of them looked at closely.

import { ask, keep, of, session } from "./api.js";
import { withPurpose } from "./app.js";
import { compare } from "./compare.js";
import { Detail } from "./detail.js";
import { announce, byId, count, fill, form, h, key, plural, toast } from "./dom.js";
import { filterPanel } from "./filters.js";
import { firstRun } from "./first.js";
import { Grid, VERDICTS } from "./grid.js";
import { WORDS, mark, marks, openCase, saved } from "./marks.js";
import { PAGE, body, chips, empty, fromAddress, isEmpty, toAddress, words } from "./query.js";
import { QueryBox } from "./querybox.js";
import { timeline } from "./timeline.js";

let query = empty();
let known = null;
let answer = null;
let grid, box, detail, built, running, insisted;

export async function show(main, _, found) {
  known = found;
  if (!known.gallery.crops) return firstRun(main, known);
  if (!built || built.gallery !== session.gallery) {
    build();
    await openCase(session.case);
  }
  if (built.view.parentNode !== main) fill(main, built.view);
  const asked = fromAddress();
  if (answer && toAddress(asked) === built.address) return;
  query = asked;
  box.show(query);
  if (isEmpty(query)) start();
  else await run({ focus: false });
}

export function leave() {
  running?.abort();
}

export function press(event) {
  if (!built || !built.view.isConnected) return false;
  if (event.key === "/") {
    box.focus();
    return true;
  }
  if (detail.press(event)) return true;
  const current = grid.current;
  const letter = event.key.toLowerCase();
  if (!current) return false;
  if (event.key === "]" && answer.more) {
    turn(1);
    return true;
  }
  if (event.key === "[" && query.page > 1) {
    turn(-1);
    return true;
  }
  if (letter === "w" || letter === "e") {
    openDetail(current, { focus: true, why: letter === "w", where: letter === "e" });
    return true;
  }
  if (letter === "+" || letter === "=") {
    like("more", grid.chosen);
    return true;
  }
  if (letter === "-") {
    like("less", grid.chosen);
    return true;
  }
  if (letter === "c") {
    compareChosen();
    return true;
  }
  const verdict = VERDICTS[letter];
  if (verdict && detail.item && detail.item.id !== current.id) {
    judgeOne(verdict, detail.item); // one that was come to by "where else"
    return true;
  }
  return grid.press(event);
}

function judgeOne(verdict, item) {
  if (item.id === grid.current?.id && !grid.selected.size) return grid.judge(verdict);
  mark([item.id], verdict, { sentence: sentence() });
  grid.showMarks();
}

const compareChosen = () => {
  const crops = grid.selected.size > 1 ? grid.chosen : grid.items.slice(grid.at, grid.at + 2).map((each) => each.id);
  return compare(
    crops.map((id) => grid.items.find((each) => each.id === id)),
    sentence(),
  );
};
const sentence = () => query.parsed?.description ?? query.texts[0].value.trim();
const openDetail = (item, options) => detail.open(item, options);

function build() {
  grid = new Grid({
    label: "Candidates",
    sentence,
    changed: showTally,
    turned: (item) => detail.follow(item),
    open: (item, options) => openDetail(item, options),
    more: async () => answer.more && (await turn(1, { focus: true })),
  });
  detail = new Detail({
    sentence,
    like: (kind, ids) => like(kind, ids),
    judge: judgeOne,
    closed: () => grid.go(grid.at),
  });
  box = new QueryBox({
    ask: (changed) => {
      query = changed;
      query.page = 1;
      go({ parse: true });
    },
    change: (changed) => {
      query = changed;
      query.page = 1;
      if (!isEmpty(query)) go();
    },
    known,
  });
  const view = h(
    "div",
    { class: "search" },
    box.node,
    h("aside", { class: "filters", id: "filters", "aria-label": "Filters" }),
    h(
      "section",
      { class: "results", "aria-label": "Results" },
      h(
        "div",
        { class: "notice" },
        h("p", {}, h("b", {}, "Candidates, not identifications."), " A person judges each one."),
        h("div", { id: "case-bar", class: "case-bar" }),
      ),
      h("div", { class: "toolbar", id: "toolbar" }),
      h(
        "div",
        { class: "said-of", tabindex: "0", role: "group", "aria-label": "About this answer" },
        h("div", { class: "told", id: "told" }),
        box.notes,
      ),
      h(
        "details",
        { class: "times", id: "times" },
        h("summary", {}, "Over time, camera by camera"),
        h("div", { class: "strips", id: "strips", tabindex: "0", role: "group", "aria-label": "Candidates over time" }),
      ),
      grid.node,
      h("div", { class: "pager", id: "pager" }),
    ),
    detail.node,
    h("div", { class: "bulk", id: "bulk", hidden: true }),
  );
  built = { view, gallery: session.gallery, address: null };
  document.addEventListener("marks", showCase);
  view.querySelector("#times").addEventListener("toggle", showTimes);
}

function start() {
  answer = null;
  built.address = toAddress(query);
  showFilters();
  showCase();
  fill(
    byId("toolbar"),
    h(
      "p",
      { class: "count" },
      `${plural(known.gallery.crops, "crop")} of ${plural(Object.keys(known.gallery.values.camera ?? {}).length, "camera")} to search.`,
    ),
  );
  fill(byId("told"));
  fill(byId("pager"));
  grid.say(
    h("h2", {}, "Say what the witness said"),
    h("p", {}, "Clothes, colours, bags, hair, what somebody carries. Where and when may stand in the same sentence."),
    h(
      "div",
      { class: "examples" },
      examples().map((each) => h("button", { class: "quiet", onclick: () => box.say(each) }, each)),
    ),
  );
  savedSearches();
  box.focus();
}

const examples = () => {
  const [camera] = Object.keys(known.gallery.values.camera ?? {});
  return [
    "a woman in a red coat with a handbag",
    "a man in a blue shirt and grey trousers with a backpack",
    `somebody in a yellow top${camera ? ` at camera ${camera}` : ""}`,
  ];
};

async function savedSearches() {
  const { saved: kept } = await ask(of("saved"));
  const place = grid.state.querySelector(".examples");
  if (!kept.length || !place) return;
  const items = () => kept.filter((each) => each.name.toLowerCase().includes(filter.value.toLowerCase())).slice(0, 20);
  const list = h("div", { class: "examples" });
  const filter = h("input", {
    type: "search",
    placeholder: `find among ${count(kept.length)}`,
    "aria-label": "Find a saved search",
    hidden: kept.length <= 20,
    oninput: () => draw(),
  });
  const draw = () =>
    fill(
      list,
      items().map((each) => h("button", { class: "quiet", onclick: () => runSaved(each) }, each.name)),
    );
  draw();
  place.after(h("h3", {}, "Saved searches"), filter, list);
}

export function runSaved(kept) {
  const { query: parts, where } = kept;
  query = {
    ...empty(),
    texts: (parts.texts ?? [""]).map((value) => ({ value, weight: 1 })),
    without: (parts.without ?? []).map((value) => ({ value })),
    more: (parts.more_like ?? []).map((id) => ({ id, weight: 1 })),
    less: (parts.less_like ?? []).map((id) => ({ id })),
    where,
    group: kept.group,
  };
  box.show(query);
  go();
}

// A change of the query goes into the address, so that the back button undoes it.
async function go({ parse = false, focus = false } = {}) {
  if (isEmpty(query)) {
    toast("Write what you look for, or give a picture.");
    return box.focus();
  }
  if (!(await withPurpose())) return;
  if (parse) {
    query.parsed = null;
    const said = query.texts.filter((each) => each.value.trim());
    if (said.length === 1)
      query.parsed = await ask(of("parse"), { json: { sentence: said[0].value, now: localNow() } });
  }
  insisted = false;
  built.address = toAddress(query);
  if (location.hash !== built.address) history.pushState(null, "", built.address);
  await run({ focus });
}

const localNow = () => new Date(Date.now() - 60_000 * new Date().getTimezoneOffset()).toISOString().slice(0, 19);

async function run({ focus }) {
  if (!(await withPurpose())) return;
  running?.abort();
  const mine = (running = new AbortController());
  built.address = toAddress(query);
  box.showChips(chips(query));
  showFilters();
  grid.wait(24);
  byId("told").classList.add("waiting");
  try {
    answer = await ask(of("search"), {
      json: { ...body(query, PAGE), ...(session.case ? { case: session.case } : {}) },
      signal: mine.signal,
    });
  } catch (error) {
    if (error.name === "AbortError") return;
    return failed(error);
  } finally {
    byId("told").classList.remove("waiting");
  }
  showAnswer({ focus });
}

function failed(error) {
  if (error.message === "no case of this id" && session.case) {
    keep({ case: "" });
    return run({ focus: false });
  }
  answer = null;
  const told =
    error.kind === "offline" ? "The server does not answer. The search is made when it is back." : error.message;
  grid.say(
    h("h2", {}, "Not searched"),
    h("p", {}, told),
    h("button", { class: "main", onclick: () => run({ focus: false }) }, "Try again"),
  );
  announce(told);
  if (error.kind === "offline") document.addEventListener("online-again", () => run({ focus: false }), { once: true });
}

function ordered() {
  const items = [...answer.candidates];
  const time = (a, b) => (a.time ?? "9").localeCompare(b.time ?? "9");
  if (query.order === "time") items.sort(time);
  if (query.order === "camera") items.sort((a, b) => (a.camera ?? "￿").localeCompare(b.camera ?? "￿") || time(a, b));
  return items;
}

function showAnswer({ focus }) {
  const bad = answer.no_good_match && !insisted && query.page === 1;
  grid.show(bad ? [] : ordered(), { focus });
  if (bad) {
    grid.say(
      h("h2", {}, "No good match"),
      h(
        "p",
        {},
        `The best candidate has a probability of ${Math.round(100 * answer.best_probability)} %. Only ${Math.round(100 * answer.error)} % of searches for people who are not here reach ${Math.round(100 * answer.threshold)} %.`,
      ),
      h("p", {}, "Most likely this person is not among these crops, or the description misses what the cameras saw."),
      h(
        "button",
        {
          onclick: () => {
            insisted = true;
            showAnswer({ focus: true });
          },
        },
        "Show the best of a bad lot",
      ),
    );
  } else if (!answer.candidates.length) {
    grid.say(
      h("h2", {}, "No crop passes the filters"),
      h("p", {}, "Drop one of them, or widen the time."),
      h(
        "button",
        {
          onclick: () => {
            query.where = {};
            if (query.parsed) query.parsed.where = {};
            go();
          },
        },
        "Drop all filters",
      ),
    );
  }
  box.showNotes(answer.notes, query);
  detail.reset();
  showToolbar();
  showTold(bad);
  showTimes();
  showPager();
  showCase();
  announce(bad ? "No good match" : `${answer.candidates.length} candidates`);
}

function showTold(bad) {
  const parts = [];
  if (answer.no_good_match === false)
    parts.push(
      h(
        "p",
        { class: "good" },
        `The best candidate passes what ${Math.round(100 * answer.error)} % of searches for absent people pass.`,
      ),
    );
  else if (answer.no_good_match && !bad)
    parts.push(h("p", { class: "bad" }, h("b", {}, "No good match."), " This is the best of a bad lot."));
  else if (answer.no_good_match === null && answer.candidates.length)
    parts.push(
      h(
        "p",
        {},
        "This gallery is not calibrated for such a query: the order means something, how good the best is cannot be told.",
      ),
    );
  fill(
    byId("told"),
    parts,
    answer.faults.map((each) => h("p", { class: "bad" }, each)),
  );
}

function showToolbar() {
  const choose = (name, options, label) =>
    h(
      "label",
      { class: "choose" },
      h("span", {}, label),
      h(
        "select",
        {
          onchange: (event) => {
            query[name] = event.target.value;
            if (name === "order") {
              built.address = toAddress(query);
              history.replaceState(null, "", built.address);
              grid.show(ordered(), {});
              showToolbar();
            } else {
              query.page = 1;
              go();
            }
          },
        },
        Object.entries(options).map(([value, text]) => h("option", { value, selected: query[name] === value }, text)),
      ),
    );
  const best = query.order === "relevance" ? "" : `, the ${answer.candidates.length} best of them by ${query.order}`;
  fill(
    byId("toolbar"),
    h("p", { class: "count", id: "count" }, `${plural(answer.passed, "crop")} searched${best}`),
    h("p", { class: "count", id: "tally" }),
    choose("order", { relevance: "relevance", time: "time", camera: "camera" }, "Order"),
    choose("group", { track: "by track", duplicate: "without duplicates", none: "every crop" }, "Show"),
    h("button", { class: "quiet only-narrow", onclick: () => byId("filters").classList.toggle("open") }, "Filters"),
    h("button", { class: "quiet", onclick: saveSearch }, "Save"),
  );
  showTally();
}

function showTally() {
  const bulk = built && built.view.querySelector("#bulk");
  if (!bulk) return;
  const number = grid.selected.size;
  bulk.hidden = !number;
  if (number)
    fill(
      bulk,
      h("b", {}, plural(number, "candidate")),
      Object.entries(WORDS).map(([verdict, [sign, word]]) =>
        h("button", { onclick: () => grid.judge(verdict) }, `${sign} ${word}`),
      ),
      h("button", { onclick: compareChosen, disabled: number < 2 }, "Compare"),
      h("button", { onclick: () => like("more", grid.chosen) }, "More like these"),
      h(
        "button",
        {
          class: "icon",
          "aria-label": "Select none",
          onclick: () => {
            grid.selected.clear();
            grid.showMarks();
          },
        },
        "✕",
      ),
    );
  const tally = byId("tally");
  if (tally && answer)
    fill(
      tally,
      grid.items.length > 0 &&
        `${grid.items.filter((each) => marks.has(each.id)).length} of ${grid.items.length} judged`,
    );
}

async function showCase() {
  const bar = built?.view.querySelector("#case-bar");
  if (!bar) return;
  const open = session.case;
  const wait = saved();
  fill(
    bar,
    wait && h("span", { class: "bad" }, wait),
    open
      ? h("a", { href: `#/cases/${open}` }, `Case: ${plural(marks.size, "mark")} of yours`)
      : h("span", {}, "The first mark opens a case."),
  );
}

function showTimes() {
  const times = byId("times");
  if (!times?.open || !answer) return;
  timeline(byId("strips"), answer.candidates, Object.keys(known.gallery.values.camera ?? {}), (id) => {
    const place = grid.items.findIndex((each) => each.id === id);
    if (place >= 0) {
      grid.go(place);
      openDetail(grid.items[place], {});
    }
  });
}

function showPager() {
  const first = (query.page - 1) * PAGE + 1;
  fill(
    byId("pager"),
    grid.items.length > 0 && [
      h("button", { disabled: query.page === 1, onclick: () => turn(-1) }, "Page before ", key("[")),
      h("span", {}, `${count(first)} to ${count(first + answer.candidates.length - 1)}`),
      h("button", { disabled: !answer.more, onclick: () => turn(1) }, "Page after ", key("]")),
    ],
  );
}

async function turn(step, { focus = true } = {}) {
  query.page = Math.max(1, query.page + step);
  window.scrollTo({ top: 0 });
  await go({ focus });
  return true;
}

function showFilters() {
  fill(
    byId("filters"),
    filterPanel(query, known.gallery, () => {
      query.page = 1;
      isEmpty(query) ? showFilters() : go();
    }),
  );
  box.showChips(chips(query), () => {
    query.page = 1;
    isEmpty(query) ? showFilters() : go();
  });
}

function like(kind, ids) {
  const other = kind === "more" ? "less" : "more";
  query[other] = query[other].filter((each) => !ids.includes(each.id));
  query[kind] = [
    ...query[kind].filter((each) => !ids.includes(each.id)),
    ...ids.map((id) => ({ id, weight: 1 })),
  ].slice(-8);
  query.page = 1;
  box.show(query);
  go({ focus: true });
}

async function saveSearch() {
  if (query.pictures.length) return toast("A search with an uploaded picture cannot be saved.");
  const told = await form(
    "Save this search",
    h("p", {}, "A saved search can be run again, and watched: see Watches."),
    h(
      "label",
      {},
      "Name",
      h("input", {
        name: "name",
        required: true,
        maxlength: "100",
        autofocus: true,
        value: words(query).slice(0, 60),
      }),
    ),
    h("button", { class: "main" }, "Save"),
  );
  if (!told) return;
  const { name } = told;
  const { top: _, parse: __, page: ___, ...kept } = body(query, PAGE);
  await ask(of("saved"), { json: { ...kept, name } });
  toast(`Saved as “${name}”.`);
}
