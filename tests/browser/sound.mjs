// The page as it is heard: while the video is encoded, after it, every sound track, and without hls.js.

import { BURST, instants, makeClip } from "./clips.mjs";
import { newPage } from "./chromium.mjs";
import { attach, heard, listen, offsets } from "./listen.mjs";
import { hasEnded, job } from "./node.mjs";
import { nextSound, playOn, playerShown, pressPlay, soundMenu, state } from "./page.mjs";
import { serveFolder } from "./serve.mjs";
import { check, until } from "./tap.mjs";

/** Length of the clip in seconds: two cores encode it for twice as long as it is played meanwhile. */
export const SECONDS = 60;
/** Tones of the sound tracks of the clip. */
export const TRACKS = [{ hertz: 440, language: "eng" }, { hertz: 1200, language: "deu" }];
const LABELS = ["English", "German"];
export const OFFSET_MAX = 0.02;
const INSTRUMENT_MAX = 0.002;
export const PITCH_MAX = 10;
const PEAK_MIN = 0.3;
/** An instant that no player has loaded when it played the first seconds. */
const UNLOADED = 52;

export const milliseconds = (seconds) => `${(seconds * 1000).toFixed(1)} ms`;
export const furthest = (list) => list.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Checks that what was played between two instants was seen and heard, in step, and in the pitch of the track. */
function checkHeard(what, tape, from, to, { hertz }) {
  const due = instants(SECONDS).filter((at) => at > from + 0.1 && at < to - BURST - 0.2);
  const found = due.filter((at) => tape.beeps.some((beep) => Math.abs(beep.at - at) <= OFFSET_MAX));
  const apart = offsets(tape);
  check(due.length > 1 && found.length === due.length,
    `${what}: ${found.length} of ${due.length} beeps between ${from.toFixed(1)} and ${to.toFixed(1)} s`);
  check(apart.length > 0 && furthest(apart) <= OFFSET_MAX,
    `${what}: ${apart.length} flashes and beeps are ${milliseconds(furthest(apart))} apart at most`);
  check(tape.peak > PEAK_MIN && Math.abs(tape.hertz - hertz) <= PITCH_MAX,
    `${what}: peak ${tape.peak.toFixed(2)}, ${tape.hertz} Hz of ${hertz}`);
}

/** How exact the measuring is: sound without encoder delay, played by the browser itself. */
export async function measureItself(browser, folder) {
  const codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac", "-strict", "-2"];
  makeClip(`${folder}/reference.mp4`, { seconds: 5, height: 360, codecs });
  const server = await serveFolder(folder);
  try {
    const apart = offsets(await listen(browser, `${server.base}/reference.mp4`, { seconds: 4.5 }));
    check(apart.length > 1 && furthest(apart) <= INSTRUMENT_MAX,
      `the measuring itself is off by ${milliseconds(furthest(apart))} at most`);
  } finally {
    server.stop();
  }
}

/** From a page that was opened before there was anything to play, to the end of the film, on one page. */
export async function fromTheFirstSecond(browser, base, address) {
  const { player } = await job(address);
  const { page, noted } = await newPage(browser, base, { bypassCSP: true });
  await page.goto(base + player);
  const early = await job(address);
  check(!early.playable && !(await page.locator("#player").isVisible()), `a page is open before anything can be played`);
  await playerShown(page, 120);
  await attach(page);
  await pressPlay(page);
  await whileEncoding(page, address);
  await until("the job ends", 600, async () => hasEnded(await job(address)));
  await toTheEnd(page);
  check(noted.errors.length === 0, `no script error ${noted.errors.join(", ")}`);
  await page.close();
}

async function whileEncoding(page, address) {
  const first = await playOn(page, 6);
  const tape = await heard(page);
  const then = await job(address);
  check(!first.muted, "the player is not muted");
  check(!hasEnded(then), `${first.time.toFixed(1)} s and ${first.frames} frames are played while the job is ${then.status} (${then.progress} %)`);
  checkHeard("while it is encoded", tape, 0, first.time, TRACKS[0]);
  check((await soundMenu(page)).join() === LABELS.join(), `the sound menu offers ${(await soundMenu(page)).join(", ")}`);
  await nextSound(page);
  const switched = await playOn(page, 1);
  await heard(page);
  const later = await playOn(page, 4);
  checkHeard("the other track, while it is encoded", await heard(page), switched.time, later.time, TRACKS[1]);
  check(!hasEnded(await job(address)), "the job still runs");
}

/** The list that grew becomes a complete one, and the film ends where it should. */
async function toTheEnd(page) {
  await until("the playlist is complete", 30, async () => (await state(page)).grows === false);
  const from = SECONDS - 5;
  await heard(page);
  await page.evaluate((at) => {
    const video = document.querySelector("video");
    video.currentTime = at;
    // It may have come to its end already.
    return video.play();
  }, from);
  const end = await until("the film ends", 120, async () => {
    const now = await state(page);
    return now.ended && now;
  });
  checkHeard("on the same page to the end", await heard(page), from, end.time, TRACKS[1]);
  check(Math.abs(end.time - SECONDS) < 0.1, `it ends at ${end.time.toFixed(2)} of ${SECONDS} s`);
}

/** Each sound track of a finished video. */
export async function everyTrack(browser, base, address) {
  const { player } = await job(address);
  for (const [index, track] of TRACKS.entries()) {
    const tape = await listen(browser, base + player, { seconds: 5, track: index });
    checkHeard(`track ${LABELS[index]}`, tape, index ? 1 : 0, tape.time, track);
  }
}

/** Where hls.js is not to be had the browser plays HLS by itself, as Safari does. `browser` tells sound tracks of media. */
export async function withoutHlsJs(browser, base, address) {
  const { player } = await job(address);
  for (const [index, track] of TRACKS.entries()) {
    const { page } = await newPage(browser, base, { bypassCSP: true });
    await page.route("**/hls.min.js", (route) => route.abort());
    await page.goto(base + player);
    await until("the sound tracks are known", 30, async () => (await soundMenu(page)).length > 1);
    check((await soundMenu(page)).join() === LABELS.join(), `without hls.js the menu offers ${(await soundMenu(page)).join(", ")}`);
    await attach(page);
    // What is loaded already keeps its sound.
    for (let step = 1; step <= index; step++) {
      // Until the browser turns to the track it may load the old one, also at another instant.
      const turned = page.waitForRequest((request) => request.url().endsWith(`/audio-${step}.m3u8`), { timeout: 30_000 });
      await nextSound(page);
      await turned;
    }
    await page.evaluate((at) => { document.querySelector("video").currentTime = at; }, UNLOADED * index);
    await pressPlay(page);
    const from = await playOn(page, 0.3);
    const to = await playOn(page, 4);
    checkHeard(`track ${LABELS[index]}, without hls.js`, await heard(page), from.time, to.time, track);
    await page.close();
  }
}
