// A strip of scenes under the player, from the WebVTT file whose cues name tiles of a sprite sheet.
"use strict";

const SCENES_MAX = 16;

function seconds(stamp) {
  return stamp.trim().split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** Cues of a thumbnail track: [{ start, sheet, x, y, w, h }]. */
function scenes(text, base) {
  const found = [];
  for (const block of text.split(/\r?\n\r?\n/)) {
    const lines = block.split(/\r?\n/);
    const at = lines.findIndex((line) => line.includes("-->"));
    const match = at >= 0 && /^(.+)#xywh=(\d+),(\d+),(\d+),(\d+)$/.exec((lines[at + 1] || "").trim());
    if (!match) continue;
    const [x, y, w, h] = match.slice(2).map(Number);
    found.push({ start: seconds(lines[at].split("-->")[0]), sheet: new URL(match[1], base).pathname, x, y, w, h });
  }
  return found;
}

async function showStoryboard(address, strip, jump) {
  const response = await fetch(address);
  if (!response.ok) return;
  const all = scenes(await response.text(), new URL(address, location));
  const step = Math.max(1, Math.ceil(all.length / SCENES_MAX));
  for (const scene of all.filter((_, i) => i % step === 0)) {
    const button = make("button", { type: "button" }, make("span", { textContent: clock(scene.start) }));
    button.setAttribute("aria-label", `Jump to ${clock(scene.start)}`);
    Object.assign(button.style, {
      width: `${scene.w}px`, height: `${scene.h}px`,
      backgroundImage: `url("${scene.sheet}")`, backgroundPosition: `-${scene.x}px -${scene.y}px`,
    });
    button.addEventListener("click", () => jump(scene.start));
    strip.append(button);
  }
  strip.hidden = all.length < 2;
}
