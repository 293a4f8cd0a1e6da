// The page's frame: who asks and what for, which view is shown, keys that work everywhere.

import { Failure, ask, keep, of, session } from "./api.js";
import { announce, byId, dialog, fill, form, h, isTyping, key, toast } from "./dom.js";
import { flush } from "./marks.js";
import * as cases from "./cases.js";
import * as record from "./record.js";
import * as search from "./search.js";
import * as site from "./site.js";
import * as watches from "./watches.js";

const VIEWS = { search, cases, watches, site, record };
const TITLES = { search: "Search", cases: "Cases", watches: "Watches", site: "Site", record: "Record" };
export const known = { galleries: [], gallery: null, me: null };
let shown = null;
let routed = null;

// Who may only read the record sees nothing else, and the record is for those alone who may read it.
function visible() {
  const roles = known.me?.roles ?? ["search"];
  return Object.keys(VIEWS).filter((view) => roles.some((role) => (role === "audit") === (view === "record")));
}

function frame() {
  const [, name] = location.hash.split(/[/?]/);
  const views = visible();
  const here = views.includes(name) ? name : views[0];
  fill(
    byId("nav"),
    views.map((view) => h("a", { href: `#/${view}`, "aria-current": view === here ? "page" : null }, TITLES[view])),
  );
  const pick =
    known.galleries.length > 1 &&
    h(
      "select",
      {
        "aria-label": "Gallery",
        onchange: (event) => {
          keep({ gallery: event.target.value, case: "" });
          start();
        },
      },
      known.galleries.map((each) => h("option", { value: each, selected: each === session.gallery }, each)),
    );
  fill(
    byId("session"),
    pick,
    h(
      "button",
      { class: "quiet purpose", onclick: askPurpose, title: "What these searches are for; it is recorded" },
      h("span", { class: "label" }, "Purpose"),
      session.purpose || "none given",
    ),
    h("button", { class: "icon", onclick: help, "aria-label": "Keys", title: "Keys (?)" }, "?"),
  );
}

async function route() {
  const [, name, ...rest] = location.hash.split(/[/?]/);
  const view = visible().includes(name) ? name : visible()[0];
  frame();
  document.title = `${TITLES[view]} · Pickout`;
  if (shown && shown !== view) VIEWS[shown].leave?.();
  shown = view;
  // A view that is slow to come must not take the place of one that was asked for after it.
  const mine = (routed = {});
  const current = () => mine === routed;
  const place = view === "search" ? byId("main") : h("div");
  try {
    await VIEWS[view].show(place, rest, known, current);
    if (current() && view !== "search") fill(byId("main"), place);
  } catch (error) {
    if (current()) broken(error);
  }
}

export function broken(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Failure)) throw error;
  const told = {
    offline: ["The server does not answer", "This page goes on by itself when it does."],
    expired: session.token
      ? ["Your token is not valid any more", "Ask for another one and give it here. What you see stays where it is."]
      : ["This server asks for a token", "Its owner gives you one; give it here."],
    denied: ["This is not for your token", error.message],
    gone: ["This is not there", `${error.message}. It may have been erased, or is not for your token.`],
    busy: ["The server has much to do", "Try again in a moment."],
  }[error.kind] ?? ["That did not work", error.message];
  const again =
    error.kind === "expired"
      ? h("button", { class: "main", onclick: askToken }, "Give a token")
      : h("button", { class: "main", onclick: start }, "Try again");
  fill(byId("main"), h("section", { class: "state", role: "alert" }, h("h1", {}, told[0]), h("p", {}, told[1]), again));
  document.addEventListener("online-again", start, { once: true });
}

async function askToken() {
  const given = await form(
    "A token is needed",
    h(
      "p",
      {},
      "It looks like ",
      h("code", {}, "pickout_…"),
      ". Whoever runs the server makes one with ",
      h("code", {}, "pickout token create"),
      ".",
    ),
    h(
      "label",
      {},
      "Token",
      h("input", { name: "token", type: "password", autocomplete: "off", required: true, autofocus: true }),
    ),
    h("button", { class: "main" }, "Go on"),
  );
  if (given?.token) {
    keep(given);
    await start();
  }
}

export async function askPurpose() {
  const allowed = known.gallery?.purposes ?? [];
  const free = allowed.includes("*") || !allowed.length;
  const given = await form(
    "What is this for?",
    h("p", {}, "Asked once a session. It stands in the record beside each search, where an auditor reads it."),
    free
      ? h(
          "label",
          {},
          "Purpose",
          h("input", { name: "purpose", value: session.purpose, required: true, maxlength: "200", autofocus: true }),
        )
      : h(
          "fieldset",
          { class: "choices" },
          h("legend", { class: "hidden" }, "Purpose"),
          allowed.map((each, place) =>
            h(
              "label",
              {},
              h("input", {
                type: "radio",
                name: "purpose",
                value: each,
                required: true,
                autofocus: place === 0,
                checked: each === session.purpose,
              }),
              each,
            ),
          ),
        ),
    h("button", { class: "main" }, "Go on"),
  );
  if (given !== null) {
    keep(given);
    frame();
  }
  return given?.purpose ?? null;
}

// Whoever asks for something that shows people, or changes something, says first what for.
let asking = null;
export async function withPurpose() {
  if (session.purpose || !known.gallery?.purposes.length) return true;
  asking ??= askPurpose().finally(() => (asking = null));
  return (await asking) !== null;
}

const KEYS = [
  ["/", "write what you look for"],
  ["← → ↑ ↓", "go from candidate to candidate"],
  ["F M N", "fits, maybe, no: mark and go on"],
  ["U", "take the last mark back"],
  ["R", "give a reason for the last mark"],
  ["X", "select; with Shift and arrows: several"],
  ["Enter", "look closer"],
  ["W", "why it is there"],
  ["E", "where else"],
  ["V", "in the recording, where it is at hand"],
  ["+ −", "more, or less, like this"],
  ["C", "compare those that are selected"],
  ["[ ]", "page before, page after"],
  ["Esc", "close"],
  ["?", "this list"],
];

function help() {
  dialog("Keys", () =>
    h(
      "dl",
      { class: "keys" },
      KEYS.map(([name, what]) => [h("dt", {}, name.split(" ").map(key)), h("dd", {}, what)]),
    ),
  );
}

export async function start() {
  try {
    [known.me, { galleries: known.galleries }] = await Promise.all([ask("/me"), ask("/galleries")]);
    if (!known.galleries.includes(session.gallery)) keep({ gallery: known.galleries[0] ?? "", case: "" });
    if (!session.gallery) throw new Failure("gone", "This token sees no gallery");
    known.gallery = visible().includes("search") ? await ask(of()) : null;
    await flush();
  } catch (error) {
    frame();
    return broken(error);
  }
  await route();
}

document.addEventListener("expired", () => {
  if (document.querySelector("dialog")) return;
  announce(session.token ? "Your token is not valid any more" : "This server asks for a token");
  if (known.gallery) askToken();
});
document.addEventListener("online-again", () => flush());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "?") {
    event.preventDefault();
    help();
    return;
  }
  if (shown && VIEWS[shown].press?.(event)) event.preventDefault();
});
window.addEventListener("hashchange", route);
window.addEventListener("unhandledrejection", (event) => {
  if (event.reason instanceof Failure) {
    event.preventDefault();
    toast(event.reason.message);
  }
});
start();
