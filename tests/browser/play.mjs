// The player page in a real browser: plays while the encode is still running, switches tiers without a stall, asks nobody
// else for anything. Needs Chromium and playwright-core (`.ci/setup browser`).
//
// usage: node tests/browser/play.mjs BINARY CLIP [SCREENSHOT]

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { openAsBlob, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const root = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../..");
const { chromium } = createRequire(join(root, ".tools/here.js"))("playwright-core");

const [binary, clip, screenshot] = process.argv.slice(2);
if (!binary || !clip) {
  console.error("usage: node tests/browser/play.mjs BINARY CLIP [SCREENSHOT]");
  process.exit(64);
}

const LOOK_MS = 200;
const ENDED = ["COMPLETED", "FAILED", "CANCELLED"];
const results = [];

function check(good, text) {
  results.push(good);
  console.log(`${good ? "ok" : "not ok"} ${results.length} - ${text}`);
  return good;
}

async function until(what, seconds, look) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await pause(LOOK_MS);
  }
}

async function startNode(folder) {
  const log = openSync(join(folder, "node.log"), "w");
  // Any free port: the node says which it got, on its first line.
  const env = { ...process.env, JETREEL__HTTP__LISTEN: "127.0.0.1:0", PATH: `${root}/.tools/bin:${process.env.PATH}` };
  const child = spawn(resolve(binary), ["dev"], { cwd: folder, env, stdio: ["ignore", "pipe", log] });
  const gone = once(child, "exit");
  const [line] = await Promise.race([once(createInterface({ input: child.stdout }), "line"), gone.then(() => [])]);
  if (typeof line !== "string") throw new Error("the node ended at once");
  return { base: line.replace(/\/$/, ""), stop: async () => { child.kill("SIGTERM"); await gone; } };
}

async function submit(base) {
  const body = await openAsBlob(clip);
  const address = `${base}/v1/videos?title=${encodeURIComponent("Big Buck Bunny")}`;
  const headers = { "content-type": "application/octet-stream" };
  const answer = await fetch(address, { method: "POST", body, headers });
  check(answer.status === 202, `the upload is taken: ${answer.status}`);
  return base + answer.headers.get("location");
}

const job = (address) => fetch(address).then((answer) => answer.json());

/** A page that notes what must not happen. */
async function openPage(browser, base, player) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const noted = { foreign: [], violations: [], errors: [] };
  page.on("request", (request) => {
    const local = [base, "blob:", "data:"].some((start) => request.url().startsWith(start));
    if (!local) noted.foreign.push(request.url());
  });
  page.on("pageerror", (error) => noted.errors.push(String(error)));
  await page.exposeFunction("noteViolation", (text) => noted.violations.push(text));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      window.noteViolation(`${event.violatedDirective} ${event.blockedURI}`));
  });
  await page.goto(base + player);
  return { page, noted };
}

const state = (page) => page.evaluate(() => {
  const video = document.querySelector("video");
  const hls = window.jetreelPlayer;
  const quality = video?.getVideoPlaybackQuality();
  return {
    time: video?.currentTime ?? 0, frames: quality?.totalVideoFrames ?? 0, height: video?.videoHeight ?? 0,
    levels: hls?.levels?.length ?? 0, level: hls?.currentLevel ?? -1, stalled: window.stalled ?? 0,
  };
});

async function press(page) {
  await until("the player is shown", 120, () => page.evaluate(() => !!window.jetreelPlayer));
  await page.evaluate(() => {
    const video = document.querySelector("video");
    video.muted = true;
    let since = 0;
    window.stalled = 0;
    video.addEventListener("waiting", () => { since = performance.now(); });
    video.addEventListener("playing", () => {
      if (since) window.stalled += performance.now() - since;
      since = 0;
    });
    return video.play();
  });
}

async function playsWhileEncoding(page, address) {
  const seen = await until("pictures move", 60, async () => {
    const now = await state(page);
    return now.time > 1 && now.frames > 0 && now;
  });
  const { status, progress } = await job(address);
  check(!ENDED.includes(status), `plays at ${seen.time.toFixed(1)} s, ${seen.frames} frames, while the job is ${status} (${progress} %)`);
}

/** Switches to a level while playing; what a viewer sees as a stall is a wait of more than a quarter of a second. */
async function switchTo(page, level) {
  const before = await state(page);
  await page.evaluate((index) => { window.stalled = 0; window.jetreelPlayer.nextLevel = index; }, level);
  const after = await until(`level ${level} is shown`, 30, async () => {
    const now = await state(page);
    return now.level === level && now.time > before.time + 3 && now.frames > before.frames && now;
  });
  const way = `${before.time.toFixed(1)} → ${after.time.toFixed(1)} s, waited ${after.stalled.toFixed(0)} ms`;
  check(after.stalled < 250, `switches to ${after.height} lines without a stall (${way})`);
}

async function run(browser, base) {
  const address = await submit(base);
  const { player } = await until("the job is known", 10, () => job(address));
  const { page, noted } = await openPage(browser, base, player);
  await press(page);
  await playsWhileEncoding(page, address);
  const end = await until("the job ends", 600, async () => {
    const now = await job(address);
    return ENDED.includes(now.status) && now;
  });
  check(end.status === "COMPLETED", `the job ends: ${end.status}`);
  await page.reload();
  await press(page);
  const { levels } = await until("levels are known", 30, async () => {
    const now = await state(page);
    return now.levels > 0 && now.time > 3 && now;
  });
  check(levels > 1, `${levels} tiers are offered`);
  await switchTo(page, 0);
  await switchTo(page, levels - 1);
  if (screenshot) await page.screenshot({ path: screenshot });
  check(noted.violations.length === 0, `no policy violation ${noted.violations.join(", ")}`);
  check(noted.foreign.length === 0, `no foreign request ${noted.foreign.join(", ")}`);
  check(noted.errors.length === 0, `no script error ${noted.errors.join(", ")}`);
}

const folder = mkdtempSync(join(tmpdir(), "jetreel-browser-"));
const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"];
let node, browser;
try {
  node = await startNode(folder);
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, headless: true, args });
  await run(browser, node.base);
} catch (error) {
  check(false, String(error?.stack ?? error));
  console.log(readFileSync(join(folder, "node.log"), "utf8").split("\n").slice(-20).join("\n"));
} finally {
  await browser?.close();
  await node?.stop();
  rmSync(folder, { recursive: true, force: true });
}
const failed = results.filter((good) => !good).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed || !results.length ? 1 : 0;
