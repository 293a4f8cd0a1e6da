// A second opinion: what others marked is hidden until one has judged oneself.

import { fill, h, sheet } from "./dom.js";
import { Grid } from "./grid.js";
import { marks, openCase } from "./marks.js";

const TOGETHER = 200; // more candidates at once would make the keys slow

// Gives the grid that takes the keys. `me`: whose marks count as one's own.
export function secondOpinion(main, found, me) {
  const open = found.crops.filter((crop) => crop.marks.every((each) => each.by !== me));
  const next = () => {
    const left = open.filter((each) => !marks.has(each.id)).slice(0, TOGETHER);
    if (left.length || !grid.items.length) grid.show(left, { focus: true });
    return left.length > 0;
  };
  const grid = new Grid({
    label: "Candidates for a second opinion",
    blind: true,
    sentence: () => found.crops.find((each) => each.id === grid.current?.id)?.marks[0]?.sentence ?? "",
    more: next,
    changed: () => {
      if (left.isConnected)
        left.textContent = `${open.filter((each) => marks.has(each.id)).length} of ${open.length} judged`;
    },
  });
  const left = h("p", { class: "count" });
  fill(
    main,
    sheet(
      "Second opinion",
      h("a", { class: "button", href: `#/cases/${found.id}` }, "Back to the case"),
      h(
        "p",
        { class: "caution" },
        h("b", {}, "Candidates, not identifications."),
        ` What others said is hidden until you have judged. Searched for: ${open[0]?.marks[0]?.sentence || "not told"}`,
      ),
      left,
      grid.node,
    ),
  );
  openCase(found.id).then(next);
  return grid;
}
