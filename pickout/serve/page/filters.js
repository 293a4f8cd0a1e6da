// Filters with the number of crops behind each value before it is chosen: asked for, or ruled out.

import { count, h } from "./dom.js";
import { facetState, setFacet, where } from "./query.js";

const SHOWN = 8;
const TITLES = { camera: "Camera", track: "Track", video: "Video" };
const open = new Set(["camera"]);
const more = new Set();
const sought = new Map();

export function filterPanel(query, gallery, changed) {
  const facets = Object.entries(gallery.values).filter(([, values]) => Object.keys(values).length);
  const rank = ([name]) => ["camera", "video", "track"].indexOf(name);
  facets.sort((a, b) => (rank(a) < 0 ? 1 : rank(a)) - (rank(b) < 0 ? 1 : rank(b)));
  return [
    h(
      "div",
      { class: "detail-head" },
      h("h2", {}, "Filters"),
      h(
        "button",
        {
          type: "button",
          class: "icon only-narrow",
          "aria-label": "Close the filters",
          onclick: (event) => event.target.closest(".filters").classList.remove("open"),
        },
        "✕",
      ),
    ),
    time(query, changed),
    facets.map(([name, values]) => facet(query, name, values, changed)),
  ];
}

function time(query, changed) {
  const now = where(query);
  const field = (name, label) =>
    h(
      "label",
      {},
      label,
      h("input", {
        type: "datetime-local",
        step: "1",
        value: now[name] ? now[name].slice(0, 19) : "",
        onchange: (event) => {
          const { [name]: _, ...rest } = query.where;
          query.where = event.target.value ? { ...rest, [name]: event.target.value } : rest;
          if (query.parsed?.where[name]) delete query.parsed.where[name];
          changed();
        },
      }),
    );
  return h("fieldset", { class: "facet" }, h("legend", {}, "Time"), field("after", "From"), field("before", "Until"));
}

function facet(query, name, values, changed) {
  const title = TITLES[name] ?? name.replace("label:", "");
  const all = Object.entries(values);
  const body = h("div", { class: "values" });
  const draw = () => {
    const text = (sought.get(name) ?? "").toLowerCase();
    const found = all.filter(([value]) => value.toLowerCase().includes(text) || facetState(query, name, value));
    const most = more.has(name) ? 200 : SHOWN;
    body.replaceChildren(
      ...found.slice(0, most).map(([value, number]) => row(query, name, value, number, changed)),
      ...(found.length > SHOWN
        ? [
            h(
              "button",
              {
                type: "button",
                class: "link",
                onclick: () => {
                  more.has(name) ? more.delete(name) : more.add(name);
                  draw();
                },
              },
              more.has(name) ? "fewer" : `${count(found.length - SHOWN)} more`,
            ),
          ]
        : []),
    );
  };
  draw();
  return h(
    "details",
    {
      class: "facet",
      open: open.has(name),
      ontoggle: (event) => (event.target.open ? open.add(name) : open.delete(name)),
    },
    h("summary", {}, title, h("span", { class: "number" }, count(all.length))),
    all.length > SHOWN &&
      h("input", {
        type: "search",
        "aria-label": `Find a ${title}`,
        placeholder: "find",
        value: sought.get(name) ?? "",
        oninput: (event) => {
          sought.set(name, event.target.value);
          draw();
        },
      }),
    body,
  );
}

function row(query, name, value, number, changed) {
  const state = facetState(query, name, value);
  const button = (to, sign, words) =>
    h(
      "button",
      {
        type: "button",
        class: `pick ${to}`,
        "aria-pressed": String(state === to),
        "aria-label": `${words} ${value}`,
        title: `${words} ${value}`,
        onclick: () => {
          setFacet(query, name, value, state === to ? "" : to);
          changed();
        },
      },
      sign,
    );
  return h(
    "div",
    { class: `value ${state}` },
    button("yes", "＋", "only"),
    button("no", "−", "not"),
    h("span", { class: "name", title: value }, value),
    h("span", { class: "number" }, count(number)),
  );
}
