// The warnings on the page of a video; their text may quote the source.

import { execFileSync } from "node:child_process";

import { newPage } from "./chromium.mjs";
import { hasEnded, job, submit } from "./node.mjs";
import { check, until } from "./tap.mjs";

const HOSTILE = "the track <img src=x onerror=\"document.title='hit'\"> was left out";

/** A silent clip: its warning is there, as a sentence, and markup stays text. */
export async function warningsAreShown(browser, base, folder) {
  const clip = `${folder}/silent.mp4`;
  execFileSync("ffmpeg", ["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=1",
    "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", clip]);
  const address = await submit(base, clip, "Silent");
  await until("the silent clip ends", 60, async () => hasEnded(await job(address)));
  const { page, noted } = await newPage(browser, base);
  await page.route("**/v1/jobs/*", async (route) => {
    const answer = await route.fetch();
    const document = await answer.json();
    await route.fulfill({ response: answer, json: { ...document, warnings: [...document.warnings, HOSTILE] } });
  });
  await page.goto(base + (await job(address)).player);
  const items = page.locator("#warnings li");
  await until("warnings are shown", 10, async () => (await items.count()) > 1);
  const texts = await items.allTextContents();
  check(texts.some((text) => /^[A-Z].*no sound.*\.$/.test(text)), `a warning is a sentence: ${texts[0]}`);
  check(texts.at(-1) === `T${HOSTILE.slice(1)}.`, "markup in a warning stays text");
  check((await page.locator("#warnings img").count()) === 0 && noted.violations.length === 0, "and makes no element");
  await page.close();
}
