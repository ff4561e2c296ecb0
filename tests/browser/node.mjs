// A Jetreel node of the test's own, and its HTTP interface.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { openAsBlob, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const root = resolve(import.meta.dirname, "../..");
const ENDED = ["COMPLETED", "FAILED", "CANCELLED"];
const LOG_LINES = 20;

/** Starts `jetreel dev` in `folder` on a free port, which it says on its first line. */
export async function startNode(binary, folder) {
  const logFile = join(folder, "node.log");
  const env = { ...process.env, JETREEL__HTTP__LISTEN: "127.0.0.1:0", PATH: `${root}/.tools/bin:${process.env.PATH}` };
  const stdio = ["ignore", "pipe", openSync(logFile, "w")];
  const child = spawn(resolve(binary), ["dev"], { cwd: folder, env, stdio });
  const gone = once(child, "exit");
  const [line] = await Promise.race([once(createInterface({ input: child.stdout }), "line"), gone.then(() => [])]);
  const log = () => readFileSync(logFile, "utf8").split("\n").slice(-LOG_LINES).join("\n");
  if (typeof line !== "string") throw new Error(`the node ended at once\n${log()}`);
  const stop = async () => {
    child.kill("SIGTERM");
    await gone;
  };
  return { base: line.replace(/\/$/, ""), log, stop };
}

/** Uploads a file; gives the status, and the address of its job. */
export async function submit(base, file, title) {
  const address = `${base}/v1/videos?title=${encodeURIComponent(title)}`;
  const headers = { "content-type": "application/octet-stream" };
  const answer = await fetch(address, { method: "POST", body: await openAsBlob(file), headers });
  if (answer.status !== 202) throw new Error(`the upload of ${file} is answered ${answer.status}: ${await answer.text()}`);
  return base + answer.headers.get("location");
}

export const job = (address) => fetch(address).then((answer) => answer.json());

export const hasEnded = ({ status }) => ENDED.includes(status);
