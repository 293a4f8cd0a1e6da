// Small helpers: elements, dialogs, words. Text goes in as text nodes only, so no name can become markup.

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name in node && name !== "list" && name !== "form" && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(9).filter((each) => each !== null && each !== undefined && each !== false));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat(9).filter((each) => each !== null && each !== undefined && each !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

export function announce(text) {
  byId("announce").textContent = text;
}

let gone;
export function toast(text, action) {
  const box = fill(byId("toast"), h("span", {}, text), action && h("button", { onclick: action.run }, action.name));
  box.hidden = false;
  clearTimeout(gone);
  gone = setTimeout(() => (box.hidden = true), 6000);
}

// A modal dialog; resolves with what `close(value)` was called with, null where it was dismissed.
export function dialog(title, build, { wide = false } = {}) {
  return new Promise((resolve) => {
    let value = null;
    const close = (found) => {
      value = found ?? null;
      box.close();
    };
    const head = h("h2", { id: "dialog-title", tabindex: "-1" }, title);
    const shut = h("button", { class: "icon", "aria-label": "Close", onclick: () => close() }, "✕");
    const box = h(
      "dialog",
      { class: wide ? "wide" : "", "aria-labelledby": "dialog-title" },
      h("div", { class: "dialog-head" }, head, shut),
      build(close),
    );
    box.addEventListener("close", () => {
      box.remove();
      resolve(value);
    });
    box.addEventListener("keydown", (event) => event.stopPropagation());
    document.body.append(box);
    box.showModal();
    (box.querySelector("[autofocus]") ?? head).focus();
  });
}

// A dialog with a form; what its fields hold, by their names, or null where it was closed.
export const form = (title, ...children) =>
  dialog(title, (close) =>
    h(
      "form",
      {
        class: "stack",
        onsubmit: (event) => {
          event.preventDefault();
          close(Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()])));
        },
      },
      ...children,
    ),
  );

// A view of its own: what it is, what can be done there, what stands in it.
export const sheet = (title, actions, ...children) =>
  h("div", { class: "sheet" }, h("div", { class: "sheet-head" }, h("h1", {}, title), actions), children);

export const isTyping = (target) => target.closest("input, textarea, select, dialog, [contenteditable]") !== null;

const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const YEAR = new Intl.DateTimeFormat(undefined, { year: "numeric", timeZone: "UTC" });

// Times of a gallery have no zone: they are shown as they stand.
export function clock(iso) {
  return iso ? iso.slice(11, 19) || "00:00:00" : "no time";
}

export function day(iso) {
  return iso ? DAY.format(new Date(`${iso.slice(0, 10)}T00:00:00Z`)) : "";
}

export function date(iso) {
  return iso ? DATE.format(new Date(`${iso.slice(0, 10)}T00:00:00Z`)) : "";
}

export function moment(iso) {
  return iso ? `${day(iso)} ${YEAR.format(new Date(`${iso.slice(0, 10)}T00:00:00Z`))}, ${clock(iso)}` : "time unknown";
}

export const localNow = () => new Date(Date.now() - 60_000 * new Date().getTimezoneOffset()).toISOString().slice(0, 19);

export const count = (number) => number.toLocaleString();
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
export const shorter = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

export function key(name) {
  return h("kbd", {}, name);
}
