// The candidates of a query, a page at a time. By relevance each page is asked for; by time or camera the best few
// hundred are asked for once and every page is cut from them, so that turning pages moves nothing.

import { ask, given, of, session } from "./api.js";
import { PAGE, body } from "./query.js";

const BEST = 600;
const NONE = "\u{10ffff}"; // sorts behind every name

const time = (a, b) => (a.time ?? NONE).localeCompare(b.time ?? NONE) || (a.frame ?? 0) - (b.frame ?? 0);
const ORDERS = { time, camera: (a, b) => (a.camera ?? NONE).localeCompare(b.camera ?? NONE) || time(a, b) };

let kept = null;

// The answer with the candidates of the query's page; `all`: those that the pages are cut from.
export async function find(query, signal) {
  const order = ORDERS[query.order];
  const json = { ...body(query, order ? BEST : PAGE), ...(session.case ? { case: session.case } : {}) };
  if (!order) {
    const answer = await ask(of("search"), { json: { ...json, thumbnails: true }, signal });
    for (const { id, thumbnail } of answer.candidates) given(id, thumbnail);
    return { ...answer, all: answer.candidates };
  }
  json.page = 1;
  const name = JSON.stringify([session.gallery, query.order, { ...json, case: null }]);
  if (kept?.name !== name || query.page === 1) {
    const answer = await ask(of("search"), { json, signal });
    kept = { name, answer: { ...answer, all: answer.candidates.toSorted(order) } };
  }
  const { answer } = kept;
  const end = PAGE * query.page;
  return { ...answer, candidates: answer.all.slice(end - PAGE, end), more: end < answer.all.length };
}
