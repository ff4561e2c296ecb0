// A sample of the bench of tests/it/sync in the browser: clips that players stumble over, each from 0 to its end on the page.
//
// A beep must be 20 ms from its flash at most. requestVideoFrameCallback is as exact as a frame on a busy machine:
// - Where it skips the first frame of a flash, the flash seems late: `listen` says that it is not exact, and offsets leave it out.
// - Where it skips all frames of a flash, there is none. That is excused if no frame was shown in between.
// - Where it runs when the next frame is drawn already, the flash seems a frame early, and nothing tells.
// So some flashes must be exact, three quarters of those within 20 ms, and none further than a frame more.

import { readFileSync, writeFileSync } from "node:fs";

import { BURST, instants, makeClip } from "./clips.mjs";
import { listen, offsets } from "./listen.mjs";
import { hasEnded, job, submit } from "./node.mjs";
import { OFFSET_MAX, PITCH_MAX, furthest, milliseconds } from "./sound.mjs";
import { check, until } from "./tap.mjs";

const HEIGHT = 180;
const HERTZ = 1000;
const FRAME = 0.04;
/** Seconds that all of a clip may be off its place: streams start with whole frames of sound and picture. */
const SLACK = 0.06;
/** Seconds after the start of a stream that are not tested. */
const MARGIN = 0.3;
/**
 * The same for a picture that stood still before: Chromium takes the distance of frames from the last 32, and shows only some of
 * the frames that follow long ones.
 */
const SETTLING = 1.5;
/** Exact flashes that a clip must have, even on a machine that skips most first frames. */
const EXACT_MIN = 2;
/** Pages that play at the same time. */
const TOGETHER = 3;

/** A still is one frame for the whole clip. */
const STILL = (seconds) => ["-f", "lavfi", "-i", `testsrc2=size=320x180:rate=1/${seconds}:duration=${seconds}`];
const LANGUAGES = [{ hertz: 400, language: "eng" }, { hertz: 700, language: "fra" }, { hertz: 1600, language: "deu" }];

/**
 * `from` says where picture and sound start, `parts` are the lengths of recordings that are joined byte by byte: the clock of
 * each starts anew.
 */
const CASES = [
  { name: "ts joined, 40 s", suffix: "ts", seconds: 40, parts: [17, 23] },
  { name: "mp4 picture 10 s late", suffix: "mp4", seconds: 20, from: { picture: 10 } },
  { name: "mp4 one picture of 20 s", suffix: "mp4", seconds: 20, still: true },
  { name: "mp4 sound 3 s late", suffix: "mp4", seconds: 12, from: { sound: 3 } },
  { name: "mkv three languages", suffix: "mkv", seconds: 8, tracks: LANGUAGES },
];

/** Where flashes and beeps of a case are due. */
function plan({ seconds, parts = [seconds], from = {}, still = false }) {
  const { picture, sound } = { picture: 0, sound: 0, ...from };
  const clear = (edge, after) => (at) => at + BURST + FRAME < edge || at > edge + after;
  let end = 0;
  const joints = parts.map((part) => clear(end += part, MARGIN));
  const edges = [...joints, clear(sound, MARGIN), clear(picture, picture ? SETTLING : MARGIN)];
  const all = instants(seconds).filter((at) => edges.every((isClear) => isClear(at)));
  const after = (start) => all.filter((at) => at > start);
  return { all, flashes: still ? [] : after(picture), beeps: after(sound) };
}

function make(folder, number, { suffix, seconds, parts = [seconds], from, still, tracks = [{ hertz: HERTZ }] }, all) {
  const place = (name) => `${folder}/bench-${number}-${name}.${suffix}`;
  let end = 0;
  const pieces = parts.map((part, index) => {
    const begin = end;
    end += part;
    const list = all.filter((at) => at >= begin && at < end).map((at) => at - begin);
    const more = still ? { rate: `1/${part}`, picture: STILL(part) } : {};
    return makeClip(place(index), { seconds: part, list, height: HEIGHT, from, tracks, ...more });
  });
  if (pieces.length === 1) return pieces[0];
  writeFileSync(place("joined"), Buffer.concat(pieces.map((piece) => readFileSync(piece))));
  return place("joined");
}

/** Instants that have something at their place. */
const placed = (due, found, slack) => due.filter((at) => found.some((other) => Math.abs(other.at - at) <= slack));

/** From 0 to the end, without a stop: `due` are the instants, `tape` is what was seen and heard. */
function judge(what, { seconds, parts = [seconds] }, due, tape, hertz) {
  const slack = SLACK * parts.length;
  const stops = tape.events.filter((event) => !/^(ended|starving) /.test(event));
  check(tape.began < 0.1 && tape.ended && stops.length === 0,
    `${what}: plays from ${tape.began?.toFixed(2)} to ${tape.time.toFixed(2)} s ${stops.join(", ")}`);
  check(Math.abs(tape.duration - seconds) <= slack + FRAME, `${what}: ${tape.duration.toFixed(2)} of ${seconds} s`);
  const beeps = placed(due.beeps, tape.beeps, slack);
  // A beep that is torn by a busy machine counts twice.
  const within = (beep) => due.beeps.some((at) => beep.at > at - slack && beep.at < at + BURST + slack);
  const strays = tape.beeps.filter((beep) => beep.exact && !within(beep)).map((beep) => beep.at.toFixed(2));
  check(beeps.length === due.beeps.length && strays.length === 0 && Math.abs(tape.hertz - hertz) <= PITCH_MAX,
    `${what}: ${beeps.length} of ${due.beeps.length} beeps, strays at ${strays.join(", ") || "none"}, ${tape.hertz} Hz of ${hertz}`);
  check(tape.frame > 0, `${what}: frames are shown`);
  if (due.flashes.length === 0) return;
  const skipped = (at) => tape.gaps.some(([from, to]) => from < at && to >= at + BURST - FRAME / 2);
  const flashes = placed(due.flashes, tape.flashes, slack + FRAME);
  const missed = due.flashes.filter((at) => !flashes.includes(at) && !skipped(at));
  const exact = tape.flashes.filter((flash) => flash.exact).length;
  const apart = offsets(tape);
  check(missed.length === 0 && tape.flashes.length === flashes.length,
    `${what}: ${flashes.length} of ${due.flashes.length} flashes, ${exact} exact, missed at ${missed.join(", ") || "none"}`);
  const close = apart.filter((offset) => Math.abs(offset) <= OFFSET_MAX);
  check(apart.length >= EXACT_MIN && close.length * 4 >= apart.length * 3 && furthest(apart) <= OFFSET_MAX + FRAME,
    `${what}: ${close.length} of ${apart.length} exact flashes have their beeps within 20 ms, all of them within `
    + milliseconds(furthest(apart)));
}

/** All cases: they are encoded together, then played on the product's page, some pages at a time. */
export async function benchIsHeard(browser, base, folder) {
  const work = await Promise.all(CASES.map(async (one, number) => {
    const due = plan(one);
    return { one, due, address: await submit(base, make(folder, number, one, due.all), one.name) };
  }));
  const plays = [];
  for (const { one, due, address } of work) {
    await until(`${one.name} is encoded`, 120, async () => hasEnded(await job(address)));
    const { status, player } = await job(address);
    if (!check(status === "COMPLETED", `${one.name}: ${status}`)) continue;
    for (const [track, { hertz, language }] of (one.tracks ?? [{ hertz: HERTZ }]).entries()) {
      const what = language ? `${one.name}, ${language}` : one.name;
      const options = { seconds: one.seconds + 1, track: language && track };
      plays.push(async () => judge(what, one, due, await listen(browser, base + player, options), hertz));
    }
  }
  const lane = async () => {
    for (let play = plays.shift(); play; play = plays.shift()) await play();
  };
  await Promise.all(Array.from({ length: TOGETHER }, lane));
}
