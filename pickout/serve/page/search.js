// The search view: the query with its parts and filters, the candidates, and one of them looked at closely.

import { ask, of, session } from "./api.js";
import { judgement, noGoodMatch, notSearched, nothingPasses } from "./answer.js";
import { withPurpose } from "./app.js";
import { find } from "./candidates.js";
import { compare } from "./compare.js";
import { Detail } from "./detail.js";
import { announce, byId, fill, localNow, toast } from "./dom.js";
import { filterPanel } from "./filters.js";
import { firstRun } from "./first.js";
import { Grid, VERDICTS } from "./grid.js";
import { layout } from "./layout.js";
import { NO_CASE, mark, openCase } from "./marks.js";
import { PAGE, alike, chips, empty, fromAddress, isEmpty, toAddress, where } from "./query.js";
import { QueryBox } from "./querybox.js";
import { saveSearch, savedSearches } from "./saved.js";
import { invitation, toSearch } from "./start.js";
import { timeline } from "./timeline.js";
import { Around } from "./toolbar.js";

let query = empty();
let known = null;
let answer = null;
let grid, box, detail, around, built, going, running, insisted;

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
  going = null;
  running?.abort();
}

export function press(event) {
  if (!built || !built.view.isConnected) return false;
  if (event.key === "/") {
    box.focus();
    return true;
  }
  if (event.key === "Escape" && grid.selected.size) return grid.press(event);
  if (detail.press(event)) return true;
  const [current, letter] = [grid.current, event.key.toLowerCase()];
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
    changed: () => around.tally(),
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
    ask: (next) => {
      query = next;
      changed({ parse: true });
    },
    change: (next) => {
      query = next;
      if (!isEmpty(query)) changed();
    },
    known,
  });
  around = new Around(grid, {
    change: (name, value) => {
      query[name] = value;
      changed();
    },
    save: () => saveSearch(query),
    compare: compareChosen,
    like,
    turn,
  });
  const view = layout({ box, grid, detail, timesOpened: showTimes });
  around.view = view;
  built = { view, gallery: session.gallery, address: null };
  document.addEventListener("marks", () => around.case());
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
  around.case();
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

// Another query: from its first page on.
function changed(how) {
  query.page = 1;
  isEmpty(query) && !how ? showFilters() : go(how);
}

// A change of the query goes into the address, so that the back button undoes it.
async function go({ parse = false, focus = false } = {}) {
  if (isEmpty(query)) {
    toast("Write what you look for, or give a picture.");
    return box.focus();
  }
  if (!(await withPurpose())) return;
  const mine = (going = {});
  wait();
  if (parse) {
    query.parsed = null;
    const sentence = query.texts[0].value.trim();
    try {
      const parsed = sentence ? await ask(of("parse"), { json: { sentence, now: localNow() } }) : null;
      if (mine !== going) return; // something else was asked meanwhile
      query.parsed = parsed;
    } catch (error) {
      if (mine === going) failed(error, () => go({ parse, focus }));
      return;
    }
  }
  insisted = false;
  built.address = toAddress(query);
  if (location.hash !== built.address) history.pushState(null, "", built.address);
  await run({ focus });
}

// What stands there is of another query: that is seen from when it is asked until the answer comes.
function wait() {
  built.view.classList.remove("fresh", "nothing");
  grid.wait(24);
  byId("told").classList.add("waiting");
}

async function run({ focus }) {
  if (!(await withPurpose())) return;
  running?.abort();
  const mine = (running = new AbortController());
  built.address = toAddress(query);
  wait();
  showFilters();
  try {
    const sentence = query.parsed?.description ?? query.texts[0].value.trim();
    answer = { ...(await find(query, mine.signal)), sentence };
  } catch (error) {
    if (error.name === "AbortError") return;
    return failed(error, () => run({ focus }));
  } finally {
    byId("told").classList.remove("waiting");
  }
  showAnswer({ focus });
}

// again(): makes the search once more, by itself where the server comes back before something else is searched for
function failed(error, again) {
  if (error.message === NO_CASE && session.case) {
    openCase("");
    return again();
  }
  answer = null;
  const away = error.kind === "offline";
  const told = away ? "The server does not answer. The search is made when it is back." : error.message;
  built.view.classList.add("nothing");
  grid.say(...notSearched(told, again));
  announce(told);
  const [mine, asked] = [going, running];
  if (away)
    document.addEventListener("online-again", () => mine === going && asked === running && again(), { once: true });
}

function showAnswer({ focus }) {
  if (!answer.candidates.length && query.page > 1) return changed(); // there are fewer pages than there were
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
        changed();
      }),
    );
  built.view.classList.toggle("nothing", !grid.items.length);
  box.showNotes(answer, query);
  showFilters();
  detail.preview(grid.items[0]);
  around.show(answer, query);
  fill(byId("told"), judgement(answer, bad));
  showTimes();
  announce(bad ? "No good match" : `${answer.candidates.length} candidates`);
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

async function turn(step, { focus = true } = {}) {
  query.page = Math.max(1, query.page + step);
  window.scrollTo({ top: 0 });
  await go({ focus });
  return true;
}

function showFilters() {
  fill(byId("filters"), filterPanel(query, known.gallery, changed));
  const days = new Set((answer?.all ?? []).map((each) => each.time?.slice(0, 10)).filter(Boolean));
  box.showChips(chips(query), changed, query.parsed?.open, [...days].sort().slice(0, 30));
}

function like(kind, ids) {
  alike(query, kind, ids);
  box.show(query);
  changed({ focus: true });
}
