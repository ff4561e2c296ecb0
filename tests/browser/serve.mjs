// A folder over HTTP on loopback, with byte ranges, as players ask for them.

import { createReadStream, statSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/mp4", ".html": "text/html",
  ".mpd": "application/dash+xml", ".vtt": "text/vtt", ".jpg": "image/jpeg",
};

function answer(folder, request, response) {
  const file = join(folder, normalize(new URL(request.url, "http://x").pathname));
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) return response.writeHead(404).end();
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const start = Number(from ?? 0);
  const end = Math.min(to ? Number(to) : size - 1, size - 1);
  const headers = { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "accept-ranges": "bytes",
    "content-length": end - start + 1 };
  if (from) headers["content-range"] = `bytes ${start}-${end}/${size}`;
  response.writeHead(from ? 206 : 200, headers);
  createReadStream(file, { start, end }).pipe(response);
}

/** Serves `folder` on a free port; gives its address. */
export async function serveFolder(folder) {
  const server = createServer((request, response) => answer(folder, request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { base: `http://127.0.0.1:${server.address().port}`, stop };
}
