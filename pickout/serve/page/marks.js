// What was judged: kept here until the server has it, so that nothing is lost when the server or the token goes.

import { Failure, ask, keep, of, session } from "./api.js";
import { dialog, h, key, plural, toast } from "./dom.js";

export const WORDS = { fits: ["✓", "fits"], maybe: ["?", "maybe"], no: ["✕", "no"] };
const FOR = ["clothes match", "bag matches", "hair and build match", "too unclear to say"];
const AGAINST = ["other clothes", "other bag", "other hair or build", "too unclear to say"];
const WAITING = "pickout.marks";
export const NO_CASE = "no case of this id"; // as the server says it

export const marks = new Map(); // crop to my verdict and reason, in the case that is open
export const others = new Map(); // crop to what others judged
let waiting = JSON.parse(sessionStorage.getItem(WAITING) ?? "[]");
let sending = null;
export const history = [];

export const unsaved = () => waiting.length;

function changed() {
  sessionStorage.setItem(WAITING, JSON.stringify(waiting));
  document.dispatchEvent(new Event("marks"));
}

// The case that marks go into; the first mark opens one where none is open.
let opening = null;
async function ensureCase() {
  if (session.case) return session.case;
  opening ??= ask(of("cases"), {
    json: { name: `Case of ${new Date().toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}` },
  })
    .then((made) => {
      keep({ case: made.id });
      document.dispatchEvent(new Event("case-opened"));
      return made.id;
    })
    .finally(() => (opening = null));
  return opening;
}

export function mark(crops, verdict, { sentence = "", reason = "" } = {}) {
  const before = crops.map((crop) => [crop, marks.get(crop)]);
  for (const crop of crops) verdict ? marks.set(crop, { verdict, reason }) : marks.delete(crop);
  history.push({ crops, before });
  waiting.push({ gallery: session.gallery, case: session.case, body: { crops, verdict, reason, sentence } });
  changed();
  flush();
}

export function undo() {
  const last = history.pop();
  if (!last) return null;
  for (const [crop, was] of last.before) {
    mark([crop], was?.verdict ?? null, { reason: was?.reason });
    history.pop();
  }
  return last.crops;
}

// One after the other, in the order in which they were made.
export function flush() {
  sending ??= send().finally(() => (sending = null));
  return sending;
}

async function send() {
  while (waiting.length) {
    const next = waiting[0];
    try {
      next.case ||= await ensureCase();
      const path = `/galleries/${encodeURIComponent(next.gallery)}/cases/${next.case}/marks`;
      await ask(path, { json: next.body });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (["offline", "expired", "busy", "broken"].includes(error.kind)) return; // goes on when the server is back
      if (error.message === NO_CASE) {
        waiting = waiting.filter((each) => each.case !== next.case);
        if (session.case === next.case) openCase("");
        toast("Not marked: this case was deleted. The next mark opens another.");
        continue;
      }
      toast(`Not marked: ${error.message}`);
      for (const crop of next.body.crops) marks.delete(crop);
    }
    waiting.shift();
    changed();
  }
}

export async function openCase(id) {
  if (id !== session.case) keep({ case: id });
  marks.clear();
  others.clear();
  history.length = 0;
  if (!id) return changed();
  try {
    const [found, me] = await Promise.all([ask(of("cases", id)), ask("/me")]);
    for (const crop of found.crops) {
      for (const each of crop.marks) {
        if (each.by === me.user) marks.set(crop.id, each);
        else others.set(crop.id, [...(others.get(crop.id) ?? []), each]);
      }
    }
  } catch (error) {
    if (error.kind !== "gone") throw error;
    keep({ case: "" });
  }
  changed();
}

// A reason for what was marked last: a number, or words.
export async function askReason(crop, sentence) {
  const now = marks.get(crop);
  if (!now) return;
  const reasons = now.verdict === "no" ? AGAINST : FOR;
  const reason = await dialog(`Why “${WORDS[now.verdict][1]}”?`, (close) =>
    h(
      "form",
      {
        class: "stack",
        onsubmit: (event) => {
          event.preventDefault();
          close(new FormData(event.target).get("reason").trim());
        },
        onkeydown: (event) => {
          const chosen = reasons[Number(event.key) - 1];
          if (chosen && !event.target.value) {
            event.preventDefault();
            close(chosen);
          }
        },
      },
      h(
        "label",
        {},
        "Reason",
        h("input", {
          name: "reason",
          value: now.reason ?? "",
          maxlength: "1000",
          autofocus: true,
          autocomplete: "off",
        }),
      ),
      h(
        "div",
        { class: "reasons" },
        reasons.map((each, place) =>
          h("button", { type: "button", class: "quiet", onclick: () => close(each) }, key(String(place + 1)), each),
        ),
      ),
      h("button", { class: "main" }, "Keep"),
    ),
  );
  if (reason !== null) mark([crop], now.verdict, { sentence, reason });
}

export function saved() {
  return waiting.length ? `${plural(waiting.length, "mark")} not saved yet` : "";
}
