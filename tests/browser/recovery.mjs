// The player's recovery where the browser cannot decode a stream.

import { newPage } from "./chromium.mjs";
import { job } from "./node.mjs";
import { playerShown } from "./page.mjs";
import { check, until } from "./tap.mjs";

/** The order of steps, and when it starts anew. */
export async function mediaErrorsAreCounted(browser, base, address) {
  const { page } = await newPage(browser, base);
  await page.goto(base + (await job(address)).player);
  const steps = await page.evaluate(() => {
    const errors = new MediaErrors();
    return [0, 1000, 2000, 3000, 34000, 35000].map((now) => errors.next(now));
  });
  check(steps.join() === "recover,swap,stop,stop,recover,swap", `media errors are answered by ${steps.join(", ")}`);
  await page.close();
}

/** Spoils the samples of a fragment and leaves its boxes. */
function spoiled(body) {
  const bytes = Buffer.from(body);
  const samples = bytes.indexOf("mdat");
  return samples < 0 ? bytes : bytes.fill(0xff, samples + 4);
}

/** Every fragment is spoiled on its way: the player tries what the documentation says, and then says what happened. */
export async function aBrokenStreamIsGivenUp(browser, base, address) {
  const { page, noted } = await newPage(browser, base);
  await page.addInitScript(() => {
    window.tried = [];
    addEventListener("DOMContentLoaded", () => {
      for (const name of ["recoverMediaError", "swapAudioCodec", "destroy"]) {
        const own = Hls.prototype[name];
        Hls.prototype[name] = function (...args) {
          window.tried.push(name);
          return own.apply(this, args);
        };
      }
    });
  });
  let asked = 0;
  await page.route("**/v/*/o/**", async (route) => {
    asked++;
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: spoiled(await answer.body()) });
  });
  await page.goto(base + (await job(address)).player);
  await playerShown(page, 30);
  const stopped = page.locator("#stopped");
  await until("the player gives up", 120, () => stopped.isVisible());
  const tried = await page.evaluate(() => window.tried.join());
  // hls.js itself recovers before the error is fatal, once for each tier.
  const steps = /^(recoverMediaError,)+swapAudioCodec,recoverMediaError,destroy$/;
  check(asked > 0 && steps.test(tried), `a broken stream is given up after ${tried}`);
  const text = await stopped.textContent();
  check(/^Playing stopped: .+ \(\w+: .+\)\. Reload /.test(text), text);
  const before = asked;
  await page.waitForTimeout(3000);
  check(asked === before, "then nothing more is loaded");
  check(noted.errors.length === 0, `no script error ${noted.errors.join(", ")}`);
  await page.close();
}
