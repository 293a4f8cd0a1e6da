// What is doubtful in a query: times that are no filter yet, words that the model never learnt.

import { day, h } from "./dom.js";

const KNOWN = "It knows clothes, colours, bags, hair and things carried: say it in those.";

// A time as a chip that asks for its day. days: those that candidates were seen on; say(words): puts the time right
export function openTime({ text, complete }, days, say) {
  if (!complete) return h("span", { class: "chip open" }, `${text}: from when until when? See Filters.`);
  const take = (value) => value && say(complete.replace("{day}", value));
  const label = `${text}, of which day`;
  const other = h("input", {
    type: "date",
    "aria-label": label,
    hidden: days.length > 0,
    onchange: () => take(other.value),
  });
  const choice = h(
    "select",
    {
      "aria-label": label,
      onchange: () => {
        if (choice.value !== "other") return take(choice.value);
        choice.hidden = true;
        other.hidden = false;
        other.focus();
      },
    },
    h("option", { value: "" }, "which day?"),
    days.map((each) => h("option", { value: each }, day(each))),
    h("option", { value: "other" }, "another day …"),
  );
  return h("span", { class: "chip open" }, `${text}: `, days.length > 0 && choice, other);
}

const WORD = /([\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*)/u;

// The words that the model never learnt, underlined, each beside what it may be meant for.
// unknown: those words with what they may be meant for; again(): searches once a word was changed
export function unknownWords(unknown, query, again) {
  const right = (word, meant) => () => {
    for (const each of [...query.texts, ...query.without])
      each.value = each.value
        .split(WORD)
        .map((one) => (one === word ? meant : one))
        .join("");
    again();
  };
  const words = Object.entries(unknown).map(([word, meant], place) => [
    place > 0 && ", ",
    h("u", { class: "unknown" }, word),
    meant && [
      " (",
      h("button", { type: "button", class: "link", onclick: right(word, meant) }, `did you mean ${meant}?`),
      ")",
    ],
  ]);
  return (
    words.length > 0 &&
    h("p", {}, h("b", {}, "Never learnt, so the model may guess: "), words, ". ", h("span", { class: "wide" }, KNOWN))
  );
}

// Notes that say nothing of words, each once.
export const otherNotes = (notes) =>
  [...new Set(notes.map((note) => note.replace(/The model never learnt .*?; it may guess\.\s*/, "")))]
    .filter((note) => note && !note.includes("is no filter yet"))
    .map((note) => h("p", {}, note));
