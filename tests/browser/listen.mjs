// What a page plays, as a viewer sees and hears it: instants of flashes and beeps on the media's own clock, peak and pitch.
//
// Sound: an AudioWorklet takes every sample that the element plays, with its number on the clock of the AudioContext. That
// clock and `currentTime` are read together every few milliseconds; the median difference around a beep maps its first sample
// onto the media's clock. Picture: requestVideoFrameCallback gives each shown frame with its exact media time.
//
// Resolution: a flash is exact where the frame before it was shown too; else, as on a machine that is too busy to show every
// frame, it is marked as not exact. A beep is exact to about a millisecond where the two clocks ran evenly around it. `make
// browser` measures that with a clip whose sound has no encoder delay (FLAC): beeps and flashes were 0.1 ms apart at most, and
// 0.7 ms on a busy machine.
// What happens behind the browser (buffers of the sound card, the screen) cannot be seen here.
//
// A content policy that allows no script from `blob:` forbids the worklet: open such a page with `bypassCSP`, as `listen` does.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { until } from "./tap.mjs";

const root = resolve(import.meta.dirname, "../..");
const ROUTE = "/__listen/";
const HLS = join(root, "src/http/assets/vendor/hls.min.js");

const RECORDER = `registerProcessor("recorder", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.begin();
    // Whoever asks has everything up to now when the answer comes.
    this.port.onmessage = () => {
      this.send(currentFrame);
      this.port.postMessage("all");
    };
  }
  begin() {
    this.batch = new Float32Array(2048);
    this.filled = 0;
  }
  send(end) {
    this.port.postMessage({ frame: end - this.filled, samples: this.batch.subarray(0, this.filled) });
    this.begin();
  }
  process([input]) {
    const [left, right] = input;
    for (let i = 0; i < 128; i++) {
      const sample = left ? (right ? (left[i] + right[i]) / 2 : left[i]) : 0;
      this.batch[this.filled + i] = sample;
    }
    this.filled += 128;
    if (this.filled === this.batch.length) this.send(currentFrame + 128);
    return true;
  }
});`;

const BARE = `<!doctype html><title>listen</title><video id="player" width="640" height="360" controls></video>
<script src="${ROUTE}hls.js"></script>`;

/** Starts recording what the page's video shows and plays. Runs in the page. */
async function record(recorderCode) {
  const video = document.querySelector("video");
  const tape = { began: video.currentTime, sound: [], clocks: [], pictures: [], events: [] };
  window.jetreelTape = tape;
  const context = new AudioContext({ sampleRate: 48000 });
  const module = URL.createObjectURL(new Blob([recorderCode], { type: "text/javascript" }));
  await context.audioWorklet.addModule(module);
  const recorder = new AudioWorkletNode(context, "recorder", { numberOfInputs: 1, numberOfOutputs: 0 });
  let answered = () => {};
  recorder.port.onmessage = ({ data }) => (data === "all" ? answered() : tape.sound.push(data));
  tape.flush = () => new Promise((resolve) => {
    answered = resolve;
    recorder.port.postMessage("flush");
  });
  const source = context.createMediaElementSource(video);
  source.connect(recorder);
  source.connect(context.destination);
  await context.resume();
  setInterval(() => {
    if (!video.paused && !video.seeking) tape.clocks.push([context.currentTime, video.currentTime]);
  }, 5);
  /** Whether half a second is loaded, or all there is: then a player that waits does so for its decoders, on a busy machine. */
  const isLoaded = () => {
    const { buffered, currentTime, duration } = video;
    const ranges = [...Array(buffered.length).keys()].map((i) => [buffered.start(i), buffered.end(i)]);
    const wanted = Math.min(currentTime + 0.5, duration - 0.1);
    return ranges.some(([from, to]) => from <= currentTime && to >= wanted);
  };
  for (const kind of ["waiting", "seeking", "error", "ended"]) {
    video.addEventListener(kind, () => {
      const name = kind === "waiting" && isLoaded() ? "starving" : kind;
      tape.events.push(`${name} at ${video.currentTime.toFixed(2)}`);
    });
  }
  const canvas = Object.assign(document.createElement("canvas"), { width: 16, height: 9 });
  const drawing = canvas.getContext("2d", { willReadFrequently: true });
  const look = (_, frame) => {
    drawing.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = drawing.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += data[i];
    tape.pictures.push([frame.mediaTime, sum / (data.length / 4)]);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}

/** What was recorded since the last call. Runs in the page. */
async function evaluate() {
  const RATE = 48000;
  const QUIET = 0.1;
  const NEAR = 1.5;
  const READINGS = 20;
  const FRAMES_MISSED = 1.5;
  const WINDOW = 2048;
  const video = document.querySelector("video");
  const [time, ended] = [video.currentTime, video.ended];
  await window.jetreelTape.flush();
  const { began, sound, clocks, pictures, events } = window.jetreelTape;
  Object.assign(window.jetreelTape, { sound: [], clocks: [], pictures: [], events: [] });
  const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

  const first = sound[0]?.frame ?? 0;
  const samples = new Float32Array(sound.reduce((sum, part) => sum + part.samples.length, 0));
  sound.forEach((part) => samples.set(part.samples, part.frame - first));
  const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);

  /** The strongest frequency of a stretch of sound, by a discrete Fourier transform in steps of 10 Hz. */
  const hertzAt = (start) => {
    let best = [0, 0];
    const end = Math.min(start + WINDOW, samples.length);
    for (let hertz = 50; hertz <= 4000; hertz += 10) {
      const [cos, sin] = [Math.cos((2 * Math.PI * hertz) / RATE), Math.sin((2 * Math.PI * hertz) / RATE)];
      let [x, y, re, im] = [1, 0, 0, 0];
      for (let i = start; i < end; i++) {
        const weight = samples[i] * (0.5 - 0.5 * Math.cos((2 * Math.PI * (i - start)) / WINDOW));
        [re, im] = [re + weight * x, im + weight * y];
        [x, y] = [x * cos - y * sin, x * sin + y * cos];
      }
      const power = re * re + im * im;
      if (power > best[1]) best = [hertz, power];
    }
    return best[0];
  };

  /** Media time of a sample; exact where the two clocks ran together around it. */
  const mediaTime = (frame) => {
    const at = frame / RATE;
    const distance = ([context]) => Math.abs(context - at);
    const readings = clocks.filter((reading) => distance(reading) < NEAR).sort((a, b) => distance(a) - distance(b));
    const near = readings.slice(0, READINGS).map(([context, media]) => media - context);
    if (near.length < READINGS / 4) return { at: undefined, exact: false };
    const middle = median(near);
    const spread = median(near.map((difference) => Math.abs(difference - middle)));
    return { at: at + middle, exact: spread < 0.01 };
  };

  const beeps = [];
  for (let i = 0, quiet = Infinity; i < samples.length; i++, quiet++) {
    if (Math.abs(samples[i]) < peak / 4 || peak < 0.01) continue;
    if (quiet > QUIET * RATE) beeps.push({ ...mediaTime(first + i), hertz: hertzAt(i) });
    quiet = 0;
  }

  const lumas = pictures.map(([, luma]) => luma);
  // Above everything but white.
  const bright = Math.max(...lumas) - (Math.max(...lumas) - Math.min(...lumas)) / 4;
  const steps = pictures.slice(1).map(([at], index) => at - pictures[index][0]).filter((step) => step > 0);
  const frame = steps.length ? median(steps) : 0;
  const gaps = pictures.slice(1).map(([at], index) => [pictures[index][0], at])
    .filter(([from, to]) => to - from > FRAMES_MISSED * frame);
  const flashes = [];
  pictures.forEach(([at, luma], index) => {
    if (luma <= bright || index === 0 || pictures[index - 1][1] > bright) return;
    const step = at - pictures[index - 1][0];
    flashes.push({ at, exact: step > 0 && step < FRAMES_MISSED * frame });
  });

  const loudest = samples.reduce((best, sample, i) => (Math.abs(sample) > Math.abs(samples[best]) ? i : best), 0);
  return {
    peak, hertz: peak < 0.01 ? 0 : median(beeps.map((beep) => beep.hertz)) ?? hertzAt(loudest),
    beeps, flashes, gaps, frame, events, time, duration: video.duration, ended, began,
  };
}

/** Serves hls.js and a bare page beside what the server of the media serves, so that they are of one origin. */
async function prepare(page) {
  const files = {
    "hls.js": ["text/javascript", readFileSync(HLS)],
    "page.html": ["text/html", BARE],
  };
  await page.route(`**${ROUTE}*`, (route) => {
    const [contentType, body] = files[route.request().url().split(ROUTE)[1]] ?? [];
    return body ? route.fulfill({ contentType, body }) : route.abort();
  });
}

/** Records the page's video from now on. */
export const attach = (page) => page.evaluate(record, RECORDER);

/** What was heard and seen since the last call, or since `attach`. */
export const heard = (page) => page.evaluate(evaluate);

/**
 * Opens `address` (a page with a player, an HLS playlist, or a media file), plays `seconds` of it from its start and tells
 * what was seen and heard: { peak, hertz, beeps: [{ at, exact, hertz }], flashes: [{ at, exact }], gaps: [[from, to]], frame,
 * events, time, duration, ended, began }. Times are seconds on the media's clock, gaps lie between frames that were shown, and
 * recording began at `began`; `track` is the number of the sound track.
 */
export async function listen(browser, address, { seconds, track } = {}) {
  const page = await browser.newPage({ bypassCSP: true });
  try {
    await prepare(page);
    const isPage = !/\.\w+$/.test(new URL(address).pathname);
    await page.goto(isPage ? address : new URL(`${ROUTE}page.html`, address).href);
    if (!isPage) await page.evaluate(load, address);
    await page.waitForFunction(() => document.querySelector("video")?.readyState >= 2, null, { timeout: 60_000 });
    await attach(page);
    if (track !== undefined) await choose(page, track);
    await page.evaluate(() => document.querySelector("video").play());
    await until(`${seconds} s are played`, seconds * 3 + 30, () => page.evaluate((end) => {
      const video = document.querySelector("video");
      return video.ended || video.currentTime >= end;
    }, seconds ?? Infinity));
    return await heard(page);
  } finally {
    await page.close();
  }
}

/** Chooses a sound track, and waits until what is loaded is of it. */
async function choose(page, track) {
  await page.evaluate((index) => {
    const hls = window.jetreelPlayer;
    window.switched = hls.audioTrack === index;
    hls.once("hlsAudioTrackSwitched", () => { window.switched = true; });
    hls.audioTrack = index;
  }, track);
  await until(`track ${track} is loaded`, 30, () => page.evaluate(() => window.switched));
}

/** Loads media into the bare page. Runs in the page. */
function load(address) {
  const video = document.querySelector("video");
  if (!new URL(address).pathname.endsWith(".m3u8")) {
    video.src = address;
    return;
  }
  const hls = new window.Hls({ startPosition: 0, enableWorker: false });
  window.jetreelPlayer = hls;
  hls.loadSource(address);
  hls.attachMedia(video);
}

/** Offsets of beeps from the flashes they belong to, in seconds, where both are exact; late sound is positive. */
export function offsets({ flashes, beeps }) {
  const exact = beeps.filter((beep) => beep.exact);
  return flashes.filter((flash) => flash.exact).flatMap(({ at }) => {
    const near = exact.map((beep) => beep.at - at).filter((offset) => Math.abs(offset) < 0.4);
    return near.length ? [near.reduce((a, b) => (Math.abs(a) < Math.abs(b) ? a : b))] : [];
  });
}
