// Headless Chromium with sound, and pages that note what must not happen. Needs Chromium and playwright-core
// (`.ci/setup browser`).

import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const { chromium } = createRequire(join(root, ".tools/here.js"))("playwright-core");

// Playwright mutes the browser by default; it is started without this argument, so that the tests hear.
const SILENCING = ["--mute-audio"];
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"];

/** Starts the browser. `more` are further arguments. */
export const launch = (more = []) => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: [...ARGS, ...more],
  ignoreDefaultArgs: SILENCING,
});

/** A new page that notes foreign requests, violations of the content policy and script errors. */
export async function newPage(browser, base, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
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
  return { page, noted };
}
