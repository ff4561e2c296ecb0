// Clips whose picture flashes white and whose sound beeps at the same instants.

import { execFileSync } from "node:child_process";

/** Seconds of a flash and of a beep. */
export const BURST = 0.12;

/**
 * Instants of the flashes in a clip: irregular, so that no shift of the sound maps them onto each other; in a clip of up to a
 * minute none covers a multiple of five seconds, where thumbnails are taken.
 */
export function instants(seconds) {
  const found = [];
  for (let at = 0.6, step = 0; at + 0.5 < seconds; step++) {
    found.push(Number(at.toFixed(3)));
    at += [1.12, 0.88, 1.4, 1.56][step % 4];
  }
  return found;
}

/** True from each instant on for a burst; `early` seconds of tolerance for times that are not exact. */
const bursts = (list, early) =>
  list.map((at) => `between(t,${(at - early).toFixed(5)},${(at + BURST - early).toFixed(5)})`).join("+");

const TEST_PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25"];
const CODECS = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac"];

/**
 * Makes a clip with ffmpeg, of 25 frames a second; every instant is a multiple of 40 ms, so that a picture starts at each.
 * `tracks` are the tones of its sound tracks, [{ hertz, language }]; `picture` is what flashes, as ffmpeg's input arguments;
 * `from` says where picture and sound start, seconds; `list` are the instants, `rate` is another number of frames a second.
 */
export function makeClip(file, {
  seconds, list = instants(seconds), height = 720, rate = "25", from = {}, tracks = [{ hertz: 1000 }], picture = TEST_PICTURE,
  codecs = CODECS,
}) {
  const starts = { picture: 0, sound: 0, ...from };
  const offset = (at) => ["-itsoffset", String(at)];
  // The filters of the picture see the clip's time, a source of sound counts from its own start.
  const flashes = `scale=-2:${height},fps=${rate},drawbox=c=white:t=fill:enable='${bursts(list, 0.001)}'`;
  const heard = bursts(list, starts.sound + 0.00001);
  const tone = ({ hertz }) => `aevalsrc='0.5*sin(2*PI*${hertz}*t)*(${heard})':s=48000`;
  const tones = tracks.flatMap((track) => [...offset(starts.sound), "-f", "lavfi", "-i", tone(track)]);
  const maps = tracks.flatMap((_, index) => ["-map", String(index + 1)]);
  const named = tracks.flatMap(({ language }, index) =>
    language ? [`-metadata:s:a:${index}`, `language=${language}`] : []);
  execFileSync("ffmpeg", ["-nostdin", "-v", "error", "-y", ...offset(starts.picture), ...picture, ...tones, "-map", "0:v",
    ...maps, ...named, "-vf", flashes, "-fps_mode", "passthrough", ...codecs, "-pix_fmt", "yuv420p", "-t", String(seconds), file]);
  return file;
}
