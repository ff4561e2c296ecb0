// Results of a test program, one line each, and waiting for what must come.

import { setTimeout as pause } from "node:timers/promises";

const LOOK_MS = 100;
const results = [];

export function check(good, text) {
  results.push(Boolean(good));
  console.log(`${good ? "ok" : "not ok"} ${results.length} - ${text}`);
  return good;
}

/** The first truthy answer of `look`; an error where none comes within `seconds`. */
export async function until(what, seconds, look) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await pause(LOOK_MS);
  }
}

/** The closing line; sets the exit code. */
export function finish() {
  const failed = results.filter((good) => !good).length;
  console.log(`${results.length - failed} passed, ${failed} failed`);
  process.exitCode = failed || !results.length ? 1 : 0;
}
