// The search view: the query with its parts and filters, the candidates, and one of them looked at closely.

import { ask, keep, of, session } from "./api.js";
import { judgement, noGoodMatch, notSearched, nothingPasses, pager } from "./answer.js";
import { withPurpose } from "./app.js";
import { find } from "./candidates.js";
import { compare } from "./compare.js";
import { Detail } from "./detail.js";
import { announce, byId, count, day, fill, h, plural, toast } from "./dom.js";
import { filterPanel } from "./filters.js";
import { firstRun } from "./first.js";
import { Grid, VERDICTS } from "./grid.js";
import { layout } from "./layout.js";
import { mark, marks, openCase, saved } from "./marks.js";
import { PAGE, alike, chips, empty, fromAddress, isEmpty, toAddress, where } from "./query.js";
import { QueryBox } from "./querybox.js";
import { saveSearch, savedSearches } from "./saved.js";
import { invitation, toSearch } from "./start.js";
import { timeline } from "./timeline.js";
import { caseLine, selection, toolbar } from "./toolbar.js";

let query = empty();
let known = null;
let answer = null;
let grid, box, detail, built, going, running, insisted;

export async function show(main, _, found, current) {
  known = found;
  if (!known.gallery.crops) return firstRun(main, known);
  if (!built || built.gallery !== session.gallery) {
    build();
    await openCase(session.case);
    if (!current()) return;
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
  if (grid?.busy) built.address = null; // asked again when one comes back
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
    v: () => detail.open(current, { focus: true, scene: true }),
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
const sentence = () => answer?.sentence ?? "";

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
  document.addEventListener("case-opened", searchForCase);
}

// The search that led to a case was made before there was one: made again, it stands in the case's record.
function searchForCase() {
  if (answer) find({ ...query, page: 1 }).catch(() => {});
}

function start() {
  running?.abort();
  built.view.classList.add("fresh");
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
  const mine = (going = {});
  if (parse) {
    query.parsed = null;
    const said = query.texts.filter((each) => each.value.trim());
    const parsed =
      said.length === 1 ? await ask(of("parse"), { json: { sentence: said[0].value, now: localNow() } }) : null;
    if (mine !== going) return; // something else was asked meanwhile
    query.parsed = parsed;
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
  built.view.classList.remove("fresh");
  box.showChips(chips(query));
  showFilters();
  grid.wait(24);
  byId("told").classList.add("waiting");
  try {
    const sentence = query.parsed?.description ?? query.texts[0].value.trim();
    answer = { ...(await find(query, mine.signal)), sentence };
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

function showAnswer({ focus }) {
  const bad = answer.no_good_match && !insisted && query.page === 1;
  grid.show(bad ? [] : answer.candidates, { focus });
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
  const best = query.order === "relevance" ? "" : `, the ${count(answer.all.length)} best of them by ${query.order}`;
  const days = new Set(answer.candidates.map((each) => day(each.time)));
  const one = days.size === 1 && !days.has("") ? ` · ${[...days][0]}` : "";
  const change = (name, value) => {
    query[name] = value;
    query.page = 1;
    go();
  };
  fill(
    byId("toolbar"),
    toolbar(`${plural(answer.passed, "crop")} searched${best}${one}`, query, {
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

function showCase() {
  const bar = built?.view.querySelector("#case-bar");
  if (bar) fill(bar, caseLine(session.case, saved(), marks.size));
}

// As high as the cameras that may be seen need, before the answer comes, so that nothing moves when it does.
function showTimes() {
  if (!byId("times")?.open) return;
  const wanted = where(query);
  const cameras = Object.keys(known.gallery.values.camera ?? {}).filter(
    (name) => (!wanted.cameras?.length || wanted.cameras.includes(name)) && !wanted.not_cameras?.includes(name),
  );
  timeline(byId("strips"), answer?.all ?? null, cameras, seeOne);
}

async function seeOne(id) {
  const place = answer.all.findIndex((each) => each.id === id);
  const page = 1 + Math.floor(place / PAGE);
  if (!grid.items.some((each) => each.id === id) && query.order !== "relevance") await turn(page - query.page);
  const here = grid.items.findIndex((each) => each.id === id);
  if (here < 0) return;
  grid.go(here);
  detail.open(grid.items[here], { scene: true });
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
  alike(query, kind, ids);
  query.page = 1;
  box.show(query);
  go({ focus: true });
}
