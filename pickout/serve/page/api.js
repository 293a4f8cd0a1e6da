// The server: requests with token and purpose, pictures, and what went wrong in words.

import { withPurpose } from "./app.js";
import { byId, fill, h } from "./dom.js";

const KEPT = "pickout";
export const session = {
  token: "",
  purpose: "",
  gallery: "",
  case: "",
  ...JSON.parse(sessionStorage.getItem(KEPT) ?? "{}"),
};

export function keep(values) {
  Object.assign(session, values);
  sessionStorage.setItem(KEPT, JSON.stringify(session));
  document.dispatchEvent(new Event("session"));
}

// kind: offline, expired, denied, gone, busy, wrong or broken.
export class Failure extends Error {
  constructor(kind, words, status = 0) {
    super(words);
    this.kind = kind;
    this.status = status;
  }
}

const KINDS = { 401: "expired", 403: "denied", 404: "gone", 429: "busy", 503: "busy" };
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// A token that is not valid is not sent again: wrong tokens are counted, and then an address has to wait.
let ended = null;

// Where a request goes and with what: who asks, and what for.
function addressed(path) {
  if (ended !== null && ended === session.token) throw new Failure("expired", "Your token is not valid any more.", 401);
  const headers = {};
  if (session.token) headers.Authorization = `Bearer ${session.token}`;
  const url = new URL(`/v1${path}`, location.origin);
  if (session.purpose) {
    if (/^[\x20-\x7e]*$/.test(session.purpose)) headers["Pickout-Purpose"] = session.purpose;
    else url.searchParams.set("purpose", session.purpose);
  }
  return { url, headers };
}

export async function ask(path, { method, json, form, signal, priority = "high", as = "json", tries = 3 } = {}) {
  const { url, headers } = addressed(path);
  const { purpose } = session;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    const body = form ?? (json === undefined ? undefined : JSON.stringify(json));
    answer = await fetch(url, { method: method ?? (body ? "POST" : "GET"), headers, body, signal, priority });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    offline(true);
    throw new Failure("offline", "The server does not answer.");
  }
  offline(false);
  if (answer.ok) return as === "response" ? answer : answer.status === 204 ? null : answer[as]();
  const told = await answer.json().catch(() => ({ error: answer.statusText }));
  if (answer.status === 503 && tries > 1) {
    await pause(Math.min(Number(answer.headers.get("Retry-After")) || 1, 5));
    return ask(path, { method, json, form, signal, priority, as, tries: tries - 1 });
  }
  if (tries > 1 && told.error?.startsWith("a purpose is needed")) {
    if (session.purpose === purpose) keep({ purpose: "" }); // none, or one that the server does not know any more
    if (await withPurpose()) return ask(path, { method, json, form, signal, priority, as, tries: tries - 1 });
    throw new Failure("denied", "no purpose was given");
  }
  throw failure(answer.status, told.error, headers);
}

function failure(status, words, headers) {
  const kind = KINDS[status] ?? (status >= 500 ? "broken" : "wrong");
  if (kind === "expired") {
    ended = headers.Authorization?.slice(7) ?? "";
    document.dispatchEvent(new Event("expired"));
  }
  return new Failure(kind, words ?? "unknown", status);
}

// Long work, followed line by line; what it ended with.
export async function follow(path, options, progress) {
  const answer = await ask(path, { method: "POST", ...options, as: "response" });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let piece; !(piece = await reader.read()).done;) {
      const lines = (rest + piece.value).split("\n");
      rest = lines.pop();
      for (const line of lines.filter(Boolean)) {
        const told = JSON.parse(line);
        if (told.progress) progress(told.progress);
        if (told.error) throw new Failure("wrong", told.error);
        if (told.result) return told.result;
      }
    }
  } catch (error) {
    if (error instanceof Failure) throw error;
  }
  throw new Failure("offline", "The server went away before this was done. It goes on there if it can; look again.");
}

// A large file as a request's body. `fetch` does not tell how far it is.
export function send(path, file, progress) {
  const { url, headers } = addressed(path);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded / event.total);
    request.onerror = () =>
      reject(new Failure("offline", "The server does not answer, or refuses a file of this size."));
    request.onload = () => {
      if (request.status < 300) resolve(request.response);
      else reject(failure(request.status, request.response?.error, headers));
    };
    request.send(file);
  });
}

export const of = (...parts) => `/galleries/${[session.gallery, ...parts].map(encodeURIComponent).join("/")}`;

// Whether the server answers is looked at until it does; then whoever waits is told.
let waiting = null;
function offline(is) {
  if (is === (waiting !== null)) return;
  const strip = byId("offline");
  if (is) {
    fill(strip, "The server does not answer. What you mark is kept here and sent when it is back.");
    waiting = setInterval(async () => {
      const back = await fetch("/v1/health").then(
        (answer) => answer.ok,
        () => false,
      );
      if (back) offline(false);
    }, 2000);
  } else {
    clearInterval(waiting);
    waiting = null;
    document.dispatchEvent(new Event("online-again"));
  }
  strip.hidden = !is;
}

// Pictures need the token, so they are fetched, behind all else; the newest thousand are kept.
const pictures = new Map();
export function picture(id, what = "thumbnail") {
  const name = `${session.gallery}/${id}/${what}`;
  let found = pictures.get(name);
  pictures.delete(name);
  found ??= ask(of("crops", id, what), { as: "blob", priority: "low" }).then(URL.createObjectURL);
  found.catch(() => pictures.delete(name));
  pictures.set(name, found);
  if (pictures.size > 1000) {
    const [oldest, url] = pictures.entries().next().value;
    pictures.delete(oldest);
    url.then(URL.revokeObjectURL, () => {});
  }
  return found;
}

// A picture that came with an answer.
export function given(id, base64) {
  const name = `${session.gallery}/${id}/thumbnail`;
  if (pictures.has(name)) return;
  const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  pictures.set(name, Promise.resolve(URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }))));
}

// What one scrolls past is not fetched: a picture is asked for once it has been near for a moment.
const PAST = 120;
const waits = new WeakMap();
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      clearTimeout(waits.get(target));
      if (!isIntersecting) continue;
      if (pictures.has(`${session.gallery}/${target.dataset.crop}/${target.dataset.what}`)) load(target);
      else waits.set(target, setTimeout(load, PAST, target));
    }
  },
  { rootMargin: "600px" },
);

function load(image) {
  near.unobserve(image);
  picture(image.dataset.crop, image.dataset.what).then(
    (url) => (image.src = url),
    () => {
      image.alt = "picture not there";
      image.classList.add("lost");
    },
  );
}

// With another token, or a server that is back, pictures that were not given are asked for again.
for (const again of ["session", "online-again"]) {
  document.addEventListener(again, () => {
    for (const image of document.querySelectorAll("img.crop.lost")) {
      image.classList.remove("lost");
      near.observe(image);
    }
  });
}

// An image of a crop that loads when it comes near. Its box is set by the style sheet, so nothing moves.
export function cropImage(crop, { alt = "", what = "thumbnail" } = {}) {
  const image = h("img", { alt, data: { crop, what }, class: "crop", draggable: false });
  near.observe(image);
  return image;
}
