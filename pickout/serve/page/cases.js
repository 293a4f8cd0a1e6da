// Cases: what was marked and why, second opinions, what is blurred, and what is handed over.

import { ask, keep, of, session } from "./api.js";
import { withPurpose } from "./app.js";
import { clock, count, day, dialog, fill, form, h, plural, sheet } from "./dom.js";
import { evidenceList } from "./evidence.js";
import { handOver } from "./handover.js";
import { WORDS, marks, openCase } from "./marks.js";
import { secondOpinion } from "./opinion.js";
import { chips } from "./query.js";

const JUDGED = { differ: ["≠", "judged differently"], ...WORDS }; // each candidate counts once
let second = null;
let me = null;

export async function show(main, [id, what], known) {
  second = null;
  me = known.me.user;
  if (!id) return list(main);
  const found = await ask(of("cases", id));
  if (what === "second") {
    second = secondOpinion(main, found, me);
    return;
  }
  return one(main, found);
}

export function leave() {
  second = null;
}
export const press = (event) => second?.press(event) ?? false;

async function list(main) {
  const { cases } = await ask(of("cases"));
  const make = async () => {
    const told = await form(
      "A new case",
      h(
        "label",
        {},
        "Name",
        h("input", { name: "name", required: true, maxlength: "200", autofocus: true, autocomplete: "off" }),
      ),
      h("label", {}, "What it is about", h("textarea", { name: "about", rows: "3", maxlength: "10000" })),
      h("button", { class: "main" }, "Open"),
    );
    if (!told || !(await withPurpose())) return;
    const made = await ask(of("cases"), { json: told });
    keep({ case: made.id });
    await openCase(made.id);
    location.hash = `#/cases/${made.id}`;
  };
  fill(
    main,
    sheet(
      "Cases",
      h("button", { class: "main", onclick: make }, "New case"),
      cases.length
        ? h(
            "ul",
            { class: "list" },
            cases.map((each) =>
              h(
                "li",
                {},
                h(
                  "a",
                  { href: `#/cases/${each.id}` },
                  h("b", {}, each.name),
                  each.id === session.case && h("span", { class: "tag" }, "open"),
                  h("span", { class: "note" }, `${day(each.made)} · ${each.by}`),
                  tally(each.marks),
                ),
              ),
            ),
          )
        : h(
            "div",
            { class: "state" },
            h("h2", {}, "No case yet"),
            h(
              "p",
              {},
              "A case holds what you marked and why, notes, and the searches that led there. The first mark opens one.",
            ),
            h("a", { class: "button", href: "#/search" }, "Search"),
          ),
    ),
  );
}

const tally = (numbers) =>
  h(
    "span",
    { class: "tally" },
    Object.entries(JUDGED).map(
      ([verdict, [sign, word]]) =>
        (numbers[verdict] || verdict in WORDS) &&
        h("span", { class: `said ${verdict}` }, `${sign} ${count(numbers[verdict] ?? 0)} ${word}`),
    ),
  );

function one(main, found) {
  const work = async () => {
    await openCase(found.id);
    one(main, await ask(of("cases", found.id)));
  };
  const by = Object.groupBy(found.crops, ({ marks: [first, ...rest] }) =>
    rest.every((each) => each.verdict === first.verdict) ? first.verdict : "differ",
  );
  const numbers = Object.fromEntries(Object.entries(by).map(([verdict, crops]) => [verdict, crops.length]));
  const here = session.case === found.id;
  const wanted = found.crops.filter((crop) => crop.marks.every((each) => each.by !== me));
  fill(
    main,
    sheet(
      found.name,
      h(
        "div",
        { class: "actions" },
        here
          ? h("span", { class: "tag" }, "marks go here")
          : h("button", { class: "main", onclick: work }, "Work on this case"),
        h("button", { onclick: () => handOver(found) }, "Hand over"),
        h("button", { class: "quiet", onclick: () => forget(found) }, "Delete"),
      ),
      h("p", { class: "note" }, `Opened ${day(found.made)} by ${found.by}. `, tally(numbers)),
      found.about && h("p", { class: "about" }, found.about),
      h(
        "p",
        { class: "caution" },
        h("b", {}, "Candidates, not identifications."),
        " Each was found by a description and judged by a person.",
      ),
      wanted.length > 0 &&
        h(
          "p",
          { class: "ask-second" },
          h(
            "a",
            { class: "button", href: `#/cases/${found.id}/second` },
            `Give a second opinion on ${plural(wanted.length, "candidate")}`,
          ),
        ),
      found.crops.length
        ? Object.entries(JUDGED)
            .filter(([verdict]) => by[verdict])
            .map(([verdict, words]) =>
              h(
                "section",
                {},
                h("h2", {}, `${words.join(" ")} · ${count(by[verdict].length)}`),
                evidenceList(found, by[verdict]),
              ),
            )
        : h("p", { class: "state small" }, "Nothing is marked yet. Search, and press F, M or N on a candidate."),
      notes(found),
      h(
        "section",
        {},
        h("h2", {}, `Searches · ${found.queries.length}`),
        h(
          "ol",
          { class: "log" },
          found.queries
            .slice(-200)
            .reverse()
            .map((each) =>
              h(
                "li",
                {},
                h("span", { class: "note" }, `${day(each.at)} ${clock(each.at)} UTC · ${each.by}`),
                h("span", {}, asked(each.told)),
              ),
            ),
        ),
      ),
    ),
  );
}

const asked = (told) =>
  [
    ...(told.query.texts ?? []),
    ...(told.query.more_like ? ["more like a crop"] : []),
    ...(told.query.images ? ["a picture"] : []),
    ...(told.query.without ?? []).map((each) => `without ${each}`),
  ].join(", ") +
  chips({ where: told.where })
    .map((each) => ` · ${each.text}`)
    .join("") +
  ` · ${told.shown} shown${told.no_good_match ? ", no good match" : ""}`;

function notes(found) {
  const section = h(
    "section",
    {},
    h("h2", {}, "Notes"),
    h(
      "ul",
      { class: "log" },
      found.notes.map((each) =>
        h(
          "li",
          {},
          h("span", { class: "note" }, `${day(each.at)} ${clock(each.at)} UTC · ${each.by}`),
          h("span", {}, each.text),
        ),
      ),
    ),
    h(
      "form",
      {
        class: "line",
        onsubmit: async (event) => {
          event.preventDefault();
          const button = event.target.querySelector("button");
          if (button.disabled) return;
          button.disabled = true;
          const text = new FormData(event.target).get("text");
          const note = await ask(of("cases", found.id, "notes"), { json: { text } }).finally(
            () => (button.disabled = false),
          );
          const fresh = notes({ ...found, notes: [...found.notes, note] });
          section.replaceWith(fresh);
          fresh.querySelector("input").focus();
        },
      },
      h("input", {
        name: "text",
        "aria-label": "A note",
        placeholder: "Notes stay as they were written",
        required: true,
        maxlength: "10000",
        autocomplete: "off",
      }),
      h("button", {}, "Note"),
    ),
  );
  return section;
}

async function forget(found) {
  const sure = await dialog("Delete this case?", (close) =>
    h(
      "div",
      { class: "stack" },
      h(
        "p",
        {},
        `${found.name}: ${plural(found.crops.length, "marked candidate")} and ${plural(found.notes.length, "note")} are forgotten. That it was deleted stays in the record.`,
      ),
      h(
        "div",
        { class: "actions" },
        h("button", { class: "danger", onclick: () => close(true) }, "Delete"),
        h("button", { autofocus: true, onclick: () => close() }, "Keep"),
      ),
    ),
  );
  if (!sure) return;
  await ask(of("cases", found.id), { method: "DELETE" });
  if (session.case === found.id) {
    keep({ case: "" });
    marks.clear();
  }
  location.hash = "#/cases";
}
