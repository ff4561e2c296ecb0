// The page of a video, used as a person does: keys, menus, and the state of the player.

import { until } from "./tap.mjs";

/** Seconds to wait for what is still being encoded, on a machine that does other things too. */
const PATIENCE = 300;

/** Waits until the page offers the player; `seconds` at most. */
export const playerShown = (page, seconds) =>
  until("the player is shown", seconds, () => page.locator("#player").isVisible());

/** Starts playing by the keyboard. */
export async function pressPlay(page) {
  await page.locator("#player").focus();
  await page.keyboard.press("Space");
  await until("it plays", 30, () => page.evaluate(() => !document.querySelector("video").paused));
}

/** Where the player is. */
export const state = (page) => page.evaluate(() => {
  const video = document.querySelector("video");
  const hls = window.jetreelPlayer;
  return {
    time: video.currentTime, duration: video.duration, ended: video.ended, muted: video.muted || video.volume < 1,
    frames: video.getVideoPlaybackQuality().totalVideoFrames, height: video.videoHeight,
    soundBytes: video.webkitAudioDecodedByteCount,
    levels: hls?.levels.length ?? 0, level: hls?.currentLevel ?? -1,
    grows: hls?.latestLevelDetails?.live, stalled: window.stalled ?? 0,
  };
});

/** Waits until `seconds` more of the media are played. */
export async function playOn(page, seconds) {
  const { time } = await state(page);
  return until(`${seconds} s more are played`, PATIENCE, async () => {
    const now = await state(page);
    return (now.ended || now.time >= time + seconds) && now;
  });
}

/** Counts the milliseconds for which the picture stands still, in `window.stalled`. */
export const countStalls = (page) => page.evaluate(() => {
  const video = document.querySelector("video");
  let since = 0;
  window.stalled = 0;
  video.addEventListener("waiting", () => { since = performance.now(); });
  video.addEventListener("playing", () => {
    if (since) window.stalled += performance.now() - since;
    since = 0;
  });
});

/** What the menu of sound tracks offers; empty where it is not shown. */
export async function soundMenu(page) {
  if (!(await page.locator("#sound").isVisible())) return [];
  return page.locator("#sound option").allTextContents();
}

/** Chooses the next sound track by the keyboard, coming from the video by Tab. */
export async function nextSound(page) {
  await page.locator("#player").focus();
  const focused = () => page.evaluate(() => document.activeElement?.id);
  for (let presses = 0; (await focused()) !== "sound"; presses++) {
    // The video's own controls are steps of their own.
    if (presses > 20) throw new Error("Tab does not lead to the menu of sound tracks");
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("ArrowDown");
}

/** All that helps to find out why a test waited in vain. */
export const tell = (page) => page.evaluate(() => {
  const video = document.querySelector("video");
  const hls = window.jetreelPlayer;
  const ranges = [...Array(video.buffered.length).keys()].map((i) => [video.buffered.start(i), video.buffered.end(i)]);
  return {
    time: video.currentTime, duration: video.duration, paused: video.paused, ready: video.readyState, ranges,
    error: video.error?.message, events: window.jetreelTape?.events, level: hls?.currentLevel, sound: hls?.audioTrack,
    states: [hls?.streamController?.state, hls?.audioStreamController?.state],
  };
});
