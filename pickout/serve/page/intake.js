// Files that come in: pictures of people in parts, recordings whole, each with how far it is.

import { Failure, follow, of, send } from "./api.js";
import { count, plural } from "./dom.js";

const TOGETHER = 100;
const PICTURES = /\.(jpe?g|png|webp|bmp|gif|tiff?|avif)$/i;
const RECORDINGS = /\.(mp4|m4v|mov|mkv|avi|webm|ts|mts|m2ts|h264|264|mjpe?g)$/i;

export function sorted(files) {
  const pictures = files.filter((each) => PICTURES.test(each.name));
  const recordings = files.filter((each) => RECORDINGS.test(each.name));
  return {
    pictures,
    recordings,
    others: files.filter((each) => !pictures.includes(each) && !recordings.includes(each)),
  };
}

// What was dropped, with every file of its folders; a picture's camera is its folder.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((each) => each.webkitGetAsEntry?.()).filter(Boolean);
  return entries.length ? (await Promise.all(entries.map((each) => walked(each)))).flat() : [...transfer.files];
}

async function walked(entry, camera = null) {
  if (entry.isFile) return [Object.assign(await new Promise((done, fail) => entry.file(done, fail)), { camera })];
  const reader = entry.createReader();
  const found = [];
  for (let some; (some = await new Promise((done, fail) => reader.readEntries(done, fail))).length;)
    found.push(...some);
  return (await Promise.all(found.map((each) => walked(each, entry.name)))).flat();
}

// say(words, share): how far it is
export async function sendPictures(pictures, say) {
  for (let done = 0; done < pictures.length; done += TOGETHER) {
    const some = pictures.slice(done, done + TOGETHER);
    say(`${count(done)} of ${plural(pictures.length, "picture")} …`, done / pictures.length);
    const form = new FormData();
    for (const file of some) form.append("files", file);
    form.append("metadata", JSON.stringify(some.map((each) => (each.camera ? { camera: each.camera } : {}))));
    await follow(of("crops"), { form }, () => {});
  }
}

export async function sendRecording(file, say) {
  say(`${file.name} is sent …`, 0);
  const { recording } = await send(`${of("recordings")}?${new URLSearchParams({ name: file.name })}`, file, (share) =>
    say(`${file.name} is sent …`, share),
  );
  const found = await follow(of("video"), { json: { recording } }, ({ doing, done, total }) =>
    say(
      doing === "looking"
        ? `People are looked for in ${file.name} …`
        : `${file.name}: ${doing ?? "people are indexed"} …`,
      total ? done / total : undefined,
    ),
  );
  if (!found.crops) throw new Failure("wrong", `${file.name}: nobody was found in it.`);
}
