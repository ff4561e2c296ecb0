// The player page in a real browser, watched and heard. Needs ffmpeg, Chromium and playwright-core (`.ci/setup browser`).
//
// usage: node tests/browser/main.mjs BINARY PICTURE [SCREENSHOT]
//
// PICTURE is a video; it is looped and made to flash, and beeps take the place of its sound.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { benchIsHeard } from "./bench.mjs";
import { launch } from "./chromium.mjs";
import { makeClip } from "./clips.mjs";
import { startNode, submit } from "./node.mjs";
import { tell } from "./page.mjs";
import { finishedVideo } from "./play.mjs";
import { aBrokenStreamIsGivenUp, mediaErrorsAreCounted } from "./recovery.mjs";
import { aBadAddressIsAPage, aFailedJobSaysWhy, anotherSiteCannotUpload } from "./refusals.mjs";
import { SECONDS, TRACKS, everyTrack, fromTheFirstSecond, measureItself, withoutHlsJs } from "./sound.mjs";
import { check, finish } from "./tap.mjs";
import { warningsAreShown } from "./warnings.mjs";

const [binary, picture, screenshot] = process.argv.slice(2);
if (!binary || !picture) {
  console.error("usage: node tests/browser/main.mjs BINARY PICTURE [SCREENSHOT]");
  process.exit(64);
}

const folder = mkdtempSync(join(tmpdir(), "jetreel-browser-"));
let node;
const browsers = [];
try {
  const browser = await launch();
  browsers.push(browser);
  await measureItself(browser, folder);
  const clip = makeClip(join(folder, "clip.mp4"),
    { seconds: SECONDS, height: 1080, tracks: TRACKS, picture: ["-stream_loop", "-1", "-i", picture] });
  node = await startNode(binary, folder);
  const address = await submit(node.base, clip, "Big Buck Bunny");
  await fromTheFirstSecond(browser, node.base, address);
  await finishedVideo(browser, node.base, address, screenshot);
  await everyTrack(browser, node.base, address);
  // Safari tells the sound tracks of media by default, Chromium behind a switch.
  const telling = await launch(["--enable-blink-features=AudioVideoTracks"]);
  browsers.push(telling);
  await withoutHlsJs(telling, node.base, address);
  await warningsAreShown(browser, node.base, folder);
  await aFailedJobSaysWhy(browser, node.base, folder);
  await aBadAddressIsAPage(browser, node.base);
  await anotherSiteCannotUpload(browser, node.base, folder);
  await benchIsHeard(browser, node.base, folder);
  await mediaErrorsAreCounted(browser, node.base, address);
  await aBrokenStreamIsGivenUp(browser, node.base, address);
} catch (error) {
  check(false, String(error?.stack ?? error));
  for (const page of browsers.flatMap((browser) => browser.contexts()).flatMap((context) => context.pages())) {
    console.log(page.url(), JSON.stringify(await tell(page).catch(String)));
  }
  if (node) console.log(node.log());
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
  await node?.stop();
  rmSync(folder, { recursive: true, force: true });
}
finish();
