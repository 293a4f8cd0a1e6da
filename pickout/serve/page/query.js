// What is searched for: its parts, its filters, and how they stand in the page's address.

import { moment, shorter } from "./dom.js";

export const PAGE = 60;
export const MOST_WEIGHT = 3;
const MOST_ALIKE = 8;
const EMPTY = {
  texts: [{ value: "", weight: 1 }],
  pictures: [],
  without: [],
  more: [],
  less: [],
  where: {},
  parsed: null,
  order: "relevance",
  best: 200, // that another order is of
  group: "track",
  page: 1,
};

export const empty = () => structuredClone(EMPTY);

export function fromAddress() {
  const kept = new URLSearchParams(location.hash.split("?")[1] ?? "").get("q");
  try {
    const query = kept ? { ...empty(), ...JSON.parse(kept) } : empty();
    body(query, PAGE) && chips(query); // an address may be cut or changed
    return query.texts.length ? query : empty();
  } catch {
    return empty();
  }
}

export function toAddress(query) {
  const { parsed, ...rest } = query;
  return `#/search?${new URLSearchParams({ q: JSON.stringify({ ...rest, parsed: parsed ?? null }) })}`;
}

export const isEmpty = (query) =>
  !query.texts.some((each) => each.value.trim()) && !query.pictures.length && !query.more.length;

const repeated = (parts, value) => parts.flatMap((each) => Array(each.weight ?? 1).fill(each[value]));

// A part that weighs double is given twice: the parts of a query are averaged.
export function body(query, top) {
  const { parsed } = query; // of the first sentence, whatever else another witness said
  const texts = query.texts
    .filter((each) => each.value.trim())
    .map((each) => (parsed && each === query.texts[0] ? { ...each, value: parsed.description } : each));
  const { more, less } = query;
  return {
    sentences: repeated(texts, "value"),
    pictures: repeated(query.pictures, "id"),
    without: query.without.map((each) => each.value),
    more_like: repeated(more, "id"),
    less_like: less.map((each) => each.id),
    where: wire(where(query)),
    group: query.group,
    page: query.page,
    top,
    parse: false,
  };
}

const LISTS = ["cameras", "not_cameras", "tracks", "not_tracks", "videos", "not_videos"];

export function where(query) {
  const read = query.parsed?.where ?? {};
  const all = { ...read, ...query.where };
  for (const name of LISTS) {
    const both = [...new Set([...(read[name] ?? []), ...(query.where[name] ?? [])])];
    if (both.length) all[name] = both;
  }
  return all;
}

// The server tells ranges as start/stop and takes pairs.
function wire(filters) {
  const { during, ...rest } = filters;
  return during ? { ...rest, during: during.map((each) => (typeof each === "string" ? each.split("/") : each)) } : rest;
}

const NAMES = { cameras: "camera", tracks: "track", videos: "video" };

// Each filter as a chip: what it says, and what throws it out.
export function chips(query) {
  const found = [];
  for (const [source, filters] of [
    ["parsed", query.parsed?.where ?? {}],
    ["where", query.where],
  ]) {
    const add = (name, text, without) =>
      found.push({
        text,
        name,
        read: source === "parsed",
        drop: () => {
          const rest = { ...filters, [name]: without };
          if (without === undefined || (Array.isArray(without) && !without.length)) delete rest[name];
          if (source === "parsed") query.parsed = { ...query.parsed, where: rest };
          else query.where = rest;
        },
      });
    for (const [name, value] of Object.entries(filters)) {
      const no = name.startsWith("not_");
      const plain = name.replace("not_", "");
      if (NAMES[plain])
        for (const each of value)
          add(
            name,
            `${no ? "not " : ""}${NAMES[plain]} ${each}`,
            value.filter((one) => one !== each),
          );
      else if (plain === "labels")
        for (const [label, values] of Object.entries(value))
          for (const each of values) {
            const left = { ...value, [label]: values.filter((one) => one !== each) };
            if (!left[label].length) delete left[label];
            add(name, `${no ? "not " : ""}${label} ${each}`, Object.keys(left).length ? left : undefined);
          }
      else if (name === "during")
        for (const each of value) {
          const [from, to] = typeof each === "string" ? each.split("/") : each;
          add(
            name,
            `${moment(from)} to ${moment(to)}`,
            value.filter((one) => one !== each),
          );
        }
      else add(name, `${name} ${moment(value)}`, undefined);
    }
  }
  return found;
}

// A value of a facet is asked for, ruled out, or neither.
export function facetState(query, facet, value) {
  const [yes, no] = facetLists(where(query), facet);
  return yes.includes(value) ? "yes" : no.includes(value) ? "no" : "";
}

function facetLists(filters, facet) {
  if (!facet.startsWith("label:")) return [filters[`${facet}s`] ?? [], filters[`not_${facet}s`] ?? []];
  const label = facet.slice(6);
  return [filters.labels?.[label] ?? [], filters.not_labels?.[label] ?? []];
}

export function setFacet(query, facet, value, state) {
  const change = (filters) => {
    const rest = structuredClone(filters);
    for (const [side, wanted] of [
      ["", state === "yes"],
      ["not_", state === "no"],
    ]) {
      const label = facet.startsWith("label:") ? facet.slice(6) : null;
      const name = label ? `${side}labels` : `${side}${facet}s`;
      const list = (label ? rest[name]?.[label] : rest[name]) ?? [];
      const next = [...list.filter((each) => each !== value), ...(wanted && filters === query.where ? [value] : [])];
      if (label) {
        rest[name] = { ...rest[name], [label]: next };
        if (!next.length) delete rest[name][label];
        if (!Object.keys(rest[name]).length) delete rest[name];
      } else if (next.length) rest[name] = next;
      else delete rest[name];
    }
    return rest;
  };
  if (query.parsed) query.parsed = { ...query.parsed, where: change(query.parsed.where) };
  query.where = change(query.where);
}

// More, or less, like these crops; a crop is either.
export function alike(query, kind, ids) {
  const other = kind === "more" ? "less" : "more";
  query[other] = query[other].filter((each) => !ids.includes(each.id));
  const rest = query[kind].filter((each) => !ids.includes(each.id));
  query[kind] = [...rest, ...ids.map((id) => ({ id, weight: 1 }))].slice(-MOST_ALIKE);
}

export const words = (query) => {
  const said = query.texts
    .map((each) => each.value.trim())
    .filter(Boolean)
    .join(" + ");
  const parts = [
    said,
    query.pictures.length && "a picture",
    query.more.length && "more like a crop",
    ...query.without.map((each) => `without ${each.value}`),
  ];
  return shorter(parts.filter(Boolean).join(", "), 200);
};
