// What the pages say where something fails, and what a page of another site cannot do.

import { mkdirSync, writeFileSync } from "node:fs";

import { newPage } from "./chromium.mjs";
import { hasEnded, job, submit } from "./node.mjs";
import { serveFolder } from "./serve.mjs";
import { check, until } from "./tap.mjs";

/** A file that is no video: its page says why, in whole sentences, and shows no empty player. */
export async function aFailedJobSaysWhy(browser, base, folder) {
  const junk = `${folder}/junk.mp4`;
  writeFileSync(junk, "this is no video\n".repeat(100));
  const address = await submit(base, junk, "Junk");
  await until("the junk is refused", 60, async () => hasEnded(await job(address)));
  const { page, noted } = await newPage(browser, base);
  await page.goto(base + (await job(address)).player);
  await page.locator("#error").waitFor();
  const text = await page.locator("#error").textContent();
  check(/^[A-Z].*[^.]\. Trying the same file again will not help\.$/.test(text) && !text.includes(".."), `why: ${text}`);
  check(await page.locator("#stage").isHidden(), "no empty player");
  check(noted.errors.length === 0, "no script error");
  await page.close();
}

/** Addresses at which there is nothing. */
export async function aBadAddressIsAPage(browser, base) {
  const { page, noted } = await newPage(browser, base);
  for (const path of ["/nowhere", "/watch/x", "/v/x/master.m3u8"]) {
    const answer = await page.goto(base + path);
    const heading = await page.locator("h1").textContent();
    check(answer.status() === 404 && heading === "Not Found", `${path} is a page: ${heading}`);
    check(await page.locator("a[href='/']").last().isVisible(), `${path} leads back`);
  }
  check(noted.violations.length === 0, "within the content policy");
  await page.close();
}

/** A page elsewhere sends what a browser sends without asking first. */
export async function anotherSiteCannotUpload(browser, base, folder) {
  const site = `${folder}/site`;
  mkdirSync(site);
  writeFileSync(`${site}/index.html`, "<!doctype html><title>elsewhere</title>");
  const server = await serveFolder(site);
  const count = async () => (await job(`${base}/v1/jobs?limit=100`)).jobs.length;
  const before = await count();
  const page = await browser.newPage();
  await page.goto(`${server.base}/index.html`);
  const answered = page.waitForResponse(`${base}/v1/videos`);
  await page.evaluate((address) => {
    fetch(address, { method: "POST", mode: "no-cors", body: "x" });
  }, `${base}/v1/videos`);
  const status = (await answered).status();
  check(status === 403, `an upload of another site is answered ${status}`);
  check((await count()) === before, "and makes no job");
  await page.close();
  server.stop();
}
