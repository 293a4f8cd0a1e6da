// What is said about an answer: that nothing fits well, that nothing passes, how sure it is, which page this is.

import { count, h, key } from "./dom.js";

const percent = (p) => `${Math.round(100 * p)} %`;

export function noGoodMatch(answer, insist) {
  return [
    h("h2", {}, "No good match"),
    h(
      "p",
      {},
      `The best candidate has a probability of ${percent(answer.best_probability)}. Only ${percent(answer.error)} of searches for people who are not here reach ${percent(answer.threshold)}.`,
    ),
    h(
      "p",
      {},
      "This person is not among these crops, or several fit about equally well, or the description misses what the cameras saw. One more detail may help.",
    ),
    h("button", { onclick: insist }, "Show the best of a bad lot"),
  ];
}

export function nothingPasses(drop) {
  return [
    h("h2", {}, "No crop passes the filters"),
    h("p", {}, "Drop one of them, or widen the time."),
    h("button", { onclick: drop }, "Drop all filters"),
  ];
}

export function notSearched(told, again) {
  return [h("h2", {}, "Not searched"), h("p", {}, told), h("button", { class: "main", onclick: again }, "Try again")];
}

// How good the best is, in words; `hidden` where the candidates themselves are not shown.
export function judgement(answer, hidden) {
  const faults = answer.faults.map((each) => h("p", { class: "bad" }, each));
  if (answer.no_good_match === false)
    return [
      h(
        "p",
        { class: "good" },
        `The best candidate stands out: ${percent(answer.error)} of searches for people who are not here do so, too.`,
      ),
      faults,
    ];
  if (answer.no_good_match && !hidden)
    return [h("p", { class: "bad" }, h("b", {}, "No good match."), " This is the best of a bad lot."), faults];
  // Where a gallery is calibrated, but not for such a query, a note of the server says so.
  const told = answer.notes.some((note) => note.startsWith("Probabilities are only told"));
  if (answer.no_good_match === null && answer.candidates.length && !told)
    return [h("p", {}, "How probable each candidate is cannot be told: this gallery is not calibrated."), faults];
  return faults;
}

export function pager(page, size, shown, more, turn) {
  const first = (page - 1) * size + 1;
  return [
    h("button", { disabled: page === 1, onclick: () => turn(-1) }, "Page before ", key("[")),
    h("span", {}, `${count(first)} to ${count(first + shown - 1)}`),
    h("button", { disabled: !more, onclick: () => turn(1) }, "Page after ", key("]")),
  ];
}
