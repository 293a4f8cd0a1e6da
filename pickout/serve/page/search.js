// The search view: the query with its parts and filters, the candidates, and one of them looked at closely.

import { ask, keep, of, session } from "./api.js";
import { judgement, noGoodMatch, notSearched, nothingPasses, pager } from "./answer.js";
import { withPurpose } from "./app.js";
import { compare } from "./compare.js";
import { Detail } from "./detail.js";
import { announce, byId, fill, h, plural, toast } from "./dom.js";
import { filterPanel } from "./filters.js";
import { firstRun } from "./first.js";
import { Grid, VERDICTS } from "./grid.js";
import { layout } from "./layout.js";
import { mark, marks, openCase, saved } from "./marks.js";
import { PAGE, body, chips, empty, fromAddress, isEmpty, toAddress } from "./query.js";
import { QueryBox } from "./querybox.js";
import { saveSearch, savedSearches } from "./saved.js";
import { invitation, toSearch } from "./start.js";
import { timeline } from "./timeline.js";
import { selection, toolbar } from "./toolbar.js";

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
  const act = {
    "]": answer.more && (() => turn(1)),
    "[": query.page > 1 && (() => turn(-1)),
    w: () => detail.open(current, { focus: true, why: true }),
    e: () => detail.open(current, { focus: true, where: true }),
    "+": () => like("more", grid.chosen),
    "=": () => like("more", grid.chosen),
    "-": () => like("less", grid.chosen),
    c: compareChosen,
  }[letter];
  if (act) {
    act();
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

function build() {
  grid = new Grid({
    label: "Candidates",
    sentence,
    changed: showTally,
    turned: (item) => detail.follow(item),
    open: (item, options) => detail.open(item, options),
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
  const view = layout({ box, grid, detail, timesOpened: showTimes });
  built = { view, gallery: session.gallery, address: null };
  document.addEventListener("marks", showCase);
}

function start() {
  answer = null;
  built.address = toAddress(query);
  showFilters();
  showCase();
  fill(byId("toolbar"), toSearch(known.gallery));
  fill(byId("told"));
  fill(byId("pager"));
  grid.say(...invitation(known.gallery, (sentence) => box.say(sentence)));
  savedSearches(grid.state.querySelector(".examples"), (saved) => {
    query = saved;
    box.show(query);
    go();
  });
  box.focus();
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
  grid.say(...notSearched(told, () => run({ focus: false })));
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
  if (bad)
    grid.say(
      ...noGoodMatch(answer, () => {
        insisted = true;
        showAnswer({ focus: true });
      }),
    );
  else if (!answer.candidates.length)
    grid.say(
      ...nothingPasses(() => {
        query.where = {};
        if (query.parsed) query.parsed.where = {};
        go();
      }),
    );
  box.showNotes(answer.notes, query);
  detail.reset();
  showToolbar();
  fill(byId("told"), judgement(answer, bad));
  showTimes();
  showPager();
  showCase();
  announce(bad ? "No good match" : `${answer.candidates.length} candidates`);
}

function showToolbar() {
  const best = query.order === "relevance" ? "" : `, the ${answer.candidates.length} best of them by ${query.order}`;
  const change = (name, value) => {
    query[name] = value;
    if (name === "order") {
      built.address = toAddress(query);
      history.replaceState(null, "", built.address);
      grid.show(ordered(), {});
      showToolbar();
    } else {
      query.page = 1;
      go();
    }
  };
  fill(
    byId("toolbar"),
    toolbar(`${plural(answer.passed, "crop")} searched${best}`, query, {
      change,
      filters: () => byId("filters").classList.toggle("open"),
      save: () => saveSearch(query),
    }),
  );
  showTally();
}

function showTally() {
  const bulk = built && built.view.querySelector("#bulk");
  if (!bulk) return;
  bulk.hidden = !grid.selected.size;
  if (!bulk.hidden) fill(bulk, selection(grid, { compare: compareChosen, like }));
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
      detail.open(grid.items[place], {});
    }
  });
}

function showPager() {
  fill(byId("pager"), grid.items.length > 0 && pager(query.page, PAGE, answer.candidates.length, answer.more, turn));
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
