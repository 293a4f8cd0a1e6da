// Watches: saved searches that are asked of each new crop, at the rate of false alarms that their owner states.

import { ask, cropImage, of } from "./api.js";
import { withPurpose } from "./app.js";
import { clock, count, day, fill, form, h, plural, sheet, toast } from "./dom.js";

export async function show(main) {
  const [{ watches }, { saved }] = await Promise.all([ask(of("watches")), ask(of("saved"))]);
  const again = () => show(main);
  fill(
    main,
    sheet(
      "Watches",
      h("button", { class: "main", disabled: !saved.length, onclick: () => make(saved, again) }, "New watch"),
      h(
        "p",
        { class: "note" },
        saved.length
          ? "A watch asks a saved search of each new crop."
          : "A watch asks a saved search of each new crop. Save a search first.",
      ),
      watches.length
        ? h(
            "ul",
            { class: "list" },
            watches.map((each) => h("li", { class: "watch" }, one(each, again))),
          )
        : h(
            "div",
            { class: "state" },
            h("h2", {}, "Nothing is watched"),
            h(
              "p",
              {},
              "A watch fires at the rate of false alarms that you accept, and says so when it cannot promise one.",
            ),
          ),
    ),
  );
}

const short = (number) => Number(number.toPrecision(3));
const rate = (number) =>
  number > 0.5 ? `${plural(short(number), "false alarm")} a day` : `1 false alarm in ${count(short(1 / number))} days`;

function one(watch, again) {
  const found = h("div", { class: "alarms" });
  ask(of("watches", watch.name, "alarms")).then(({ alarms }) =>
    fill(
      found,
      h("h3", {}, `Alarms · ${alarms.length}`),
      h("p", { class: "caution" }, "Candidates, not identifications."),
      alarms.length
        ? h(
            "ol",
            { class: "row" },
            alarms
              .slice(-40)
              .reverse()
              .map((each) =>
                h(
                  "li",
                  {},
                  h(
                    "div",
                    { class: "mini" },
                    cropImage(each.crop.id, { alt: "candidate" }),
                    h("span", {}, clock(each.crop.time)),
                    h("span", {}, each.crop.camera ?? ""),
                  ),
                ),
              ),
          )
        : h("p", { class: "note" }, "None yet."),
    ),
  );
  return [
    h(
      "div",
      { class: "sheet-head" },
      h("h2", {}, watch.name),
      h(
        "button",
        {
          class: "quiet",
          onclick: async () => {
            await ask(of("watches", watch.name), { method: "DELETE" });
            again();
          },
        },
        "Stop",
      ),
    ),
    h(
      "p",
      {},
      `Search “${watch.search}”, since ${day(watch.made)}. `,
      watch.stopped
        ? h("b", { class: "bad" }, `Stopped: ${watch.why_stopped}.`)
        : watch.promised
          ? h("b", { class: "good" }, `At most ${rate(watch.false_alarms_a_day)} on average.`)
          : h("b", { class: "bad" }, `Nothing can be promised: ${watch.note}.`),
    ),
    h(
      "p",
      { class: "note" },
      `${plural(Math.round(watch.crops_a_day), "new crop")} a day reckoned with; fewer than ${rate(watch.least_false_alarms_a_day)} cannot be promised.`,
    ),
    found,
  ];
}

// before: what was given and refused, to be put right
async function make(saved, again, before = {}) {
  const told = await form(
    "A new watch",
    h(
      "label",
      {},
      "Saved search",
      h(
        "select",
        { name: "search", autofocus: true },
        saved.map((each) => h("option", { selected: each.name === before.search }, each.name)),
      ),
    ),
    h(
      "label",
      {},
      "Name of the watch",
      h("input", { name: "name", value: before.name, required: true, maxlength: "200", autocomplete: "off" }),
    ),
    h(
      "label",
      {},
      "False alarms a day that you accept",
      h("input", {
        name: "false_alarms_a_day",
        type: "number",
        min: "0.01",
        max: "10000",
        step: "any",
        value: before.false_alarms_a_day ?? "1",
        required: true,
      }),
    ),
    h(
      "label",
      {},
      "New crops a day; empty: as in the past",
      h("input", { name: "crops_a_day", value: before.crops_a_day, type: "number", min: "1", step: "any" }),
    ),
    before.why && h("p", { class: "bad", role: "alert" }, before.why),
    h("button", { class: "main" }, "Watch"),
  );
  if (!told || !(await withPurpose())) return;
  const body = {
    search: told.search,
    name: told.name,
    false_alarms_a_day: Number(told.false_alarms_a_day),
    ...(told.crops_a_day ? { crops_a_day: Number(told.crops_a_day) } : {}),
  };
  try {
    const made = await ask(of("watches"), { json: body });
    toast(made.promised ? "Watching." : `Watching, but ${made.note}.`);
  } catch (error) {
    if (error.kind === "wrong") return make(saved, again, { ...told, why: error.message });
    toast(error.message);
  }
  again();
}
