// A case leaves the house as one signed file.

import { ask, of } from "./api.js";
import { withPurpose } from "./app.js";
import { form, h, toast } from "./dom.js";

export async function handOver(found) {
  const told = await form(
    "Hand over this case",
    h(
      "p",
      {},
      "One signed file: pictures of what fits or may fit, every mark with its reason, notes, searches, and the SHA-256 of each original. Whoever gets it checks it with ",
      h("code", {}, "pickout case verify"),
      " and this gallery’s public key, which you tell by another way.",
    ),
    h("p", {}, "Faces are blurred unless a reason to show one stands in the case."),
    h(
      "label",
      { class: "check" },
      h("input", {
        type: "checkbox",
        name: "originals",
        onchange: (event) => {
          const field = event.target.form.elements.reason;
          field.required = event.target.checked;
        },
      }),
      "with the original pictures, not blurred",
    ),
    h("label", {}, "For whom, and why", h("input", { name: "reason", maxlength: "1000", autofocus: true })),
    h("button", { class: "main" }, "Make the file"),
  );
  if (!told || !(await withPurpose())) return;
  const answer = await ask(of("cases", found.id, "archive"), {
    json: { ...told, originals: "originals" in told },
    as: "response",
  });
  const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: `case-${found.id}.zip` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  toast(`The file is made. SHA-256 ${answer.headers.get("Pickout-SHA-256").slice(0, 16)}…`);
}
