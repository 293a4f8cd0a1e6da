// Saved searches: kept under a name, found again among many, run again.

import { ask, of } from "./api.js";
import { count, fill, form, h, toast } from "./dom.js";
import { PAGE, body, empty, words } from "./query.js";

const SHOWN = 20;

// A saved search as the query that it was.
export function savedQuery({ query, where, group }) {
  return {
    ...empty(),
    texts: (query.texts ?? [""]).map((value) => ({ value, weight: 1 })),
    without: (query.without ?? []).map((value) => ({ value })),
    more: (query.more_like ?? []).map((id) => ({ id, weight: 1 })),
    less: (query.less_like ?? []).map((id) => ({ id })),
    where,
    group,
  };
}

export async function savedSearches(place, choose) {
  const { saved: kept } = await ask(of("saved"));
  if (!kept.length || !place?.isConnected) return;
  const list = h("div", { class: "examples" });
  const draw = () => {
    const found = kept.filter((each) => each.name.toLowerCase().includes(filter.value.toLowerCase()));
    fill(
      list,
      found
        .slice(0, SHOWN)
        .map((each) => h("button", { class: "quiet", onclick: () => choose(savedQuery(each)) }, each.name)),
      found.length > SHOWN && h("span", { class: "note" }, `and ${count(found.length - SHOWN)} more`),
      !found.length && h("span", { class: "note" }, "none of this name"),
    );
  };
  const filter = h("input", {
    type: "search",
    placeholder: `find among ${count(kept.length)}`,
    "aria-label": "Find a saved search",
    hidden: kept.length <= SHOWN,
    oninput: draw,
  });
  draw();
  place.after(h("h3", {}, "Saved searches"), filter, list);
}

export async function saveSearch(query) {
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
  const { top: _, parse: __, page: ___, ...kept } = body(query, PAGE);
  await ask(of("saved"), { json: { ...kept, name: told.name } });
  toast(`Saved as “${told.name}”.`);
}
