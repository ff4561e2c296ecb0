// The page of a finished video: tiers switch without a stall, sound is decoded under the page's own content policy, and no other host
// gets a request.

import { newPage } from "./chromium.mjs";
import { job } from "./node.mjs";
import { countStalls, playerShown, pressPlay, state } from "./page.mjs";
import { check, until } from "./tap.mjs";

/** Milliseconds that a viewer does not see as a stall. */
const STALL_MAX = 250;

/** Switches to a level while playing. */
async function switchTo(page, level) {
  const before = await state(page);
  await page.evaluate((index) => { window.stalled = 0; window.jetreelPlayer.nextLevel = index; }, level);
  const after = await until(`level ${level} is shown`, 30, async () => {
    const now = await state(page);
    return now.level === level && now.time > before.time + 3 && now.frames > before.frames && now;
  });
  const way = `${before.time.toFixed(1)} → ${after.time.toFixed(1)} s, waited ${after.stalled.toFixed(0)} ms`;
  check(after.stalled < STALL_MAX, `switches to ${after.height} lines without a stall (${way})`);
}

/** Between two flashes. */
async function takePicture(page, path) {
  await page.evaluate((at) => {
    const video = document.querySelector("video");
    video.pause();
    video.currentTime = at;
    return new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
  }, 3.2);
  await page.screenshot({ path });
}

export async function finishedVideo(browser, base, address, screenshot) {
  const { player } = await job(address);
  const { page, noted } = await newPage(browser, base);
  await page.goto(base + player);
  await playerShown(page, 30);
  await countStalls(page);
  await pressPlay(page);
  const { levels, soundBytes } = await until("levels are known", 30, async () => {
    const now = await state(page);
    return now.levels > 0 && now.time > 3 && now;
  });
  check(levels > 1, `${levels} tiers are offered`);
  check(soundBytes > 0, `${soundBytes} bytes of sound are decoded`);
  await switchTo(page, 0);
  await switchTo(page, levels - 1);
  if (screenshot) await takePicture(page, screenshot);
  check(noted.violations.length === 0, `no policy violation ${noted.violations.join(", ")}`);
  check(noted.foreign.length === 0, `no foreign request ${noted.foreign.join(", ")}`);
  check(noted.errors.length === 0, `no script error ${noted.errors.join(", ")}`);
  await page.close();
}
