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

// The sentences with the words that the model never learnt underlined, each beside what it may be meant for.
// unknown: those words with what they may be meant for; again(): searches once a word was changed
export function unknownWords(unknown, query, again) {
  const parts = [...query.texts, ...query.without];
  const known = (word) => !Object.hasOwn(unknown, word);
  const right = (word) => () => {
    for (const each of parts)
      each.value = each.value
        .split(WORD)
        .map((one) => (one === word ? unknown[word] : one))
        .join("");
    again();
  };
  const shown = (word) =>
    known(word)
      ? word
      : [
          h("u", { class: "unknown" }, word),
          unknown[word] && [
            " (",
            h("button", { type: "button", class: "link", onclick: right(word) }, `did you mean ${unknown[word]}?`),
            ")",
          ],
        ];
  const said = parts.map((each, place) => (place === 0 && query.parsed ? query.parsed.description : each.value));
  const marked = said.map((each) => each.split(WORD)).filter((words) => !words.every(known));
  return (
    marked.length > 0 &&
    h(
      "p",
      {},
      h("b", {}, "Never learnt, so the model may guess: "),
      marked.map((words) => [words.map(shown), ". "]),
      KNOWN,
    )
  );
}

// Notes that say nothing of words, each once.
export const otherNotes = (notes) =>
  [...new Set(notes.map((note) => note.replace(/The model never learnt .*?; it may guess\.\s*/, "")))]
    .filter((note) => note && !note.includes("is no filter yet"))
    .map((note) => h("p", {}, note));
