// The page of one video: plays it while it is still being encoded, and shows how far each rendition is.
"use strict";

const POLL_MS = 1000;
const TROUBLE_POLL_MS = 4000;
const REVIVAL_POLLS = 60;
const video = byId("player");
const id = location.pathname.split("/").pop();
let playing = false;
let storyboard = false;
let lastStatus = "";

function play(job) {
  playing = true;
  byId("stage").hidden = false;
  byId("waiting").hidden = true;
  video.hidden = false;
  attachPlayer(video, job.playback, { quality: byId("quality"), sound: byId("sound") }, showStopped);
}

function showStopped(reason) {
  setText(byId("stopped"), reason);
  byId("stopped").hidden = false;
}

function jump(to) {
  video.currentTime = to;
  video.focus();
}

/** Name of a file to keep: the title without the ending of a video file, and the rendition. */
function fileName(job, tier) {
  const title = (job.title || job.video).replace(/\.(mp4|m4v|mov|mkv|webm|avi|ts|mts|wmv|flv|mpe?g|3gp|ogv)$/i, "");
  return `${title}-${tier.name}.mp4`;
}

function downloadLink(job, tier) {
  const name = fileName(job, tier);
  const href = `${tier.download}?download=${encodeURIComponent(name)}`;
  return make("a", { href, download: name, textContent: "MP4" });
}

function tierRow(job, tier) {
  const bar = make("progress", { max: 100, value: tier.progress });
  bar.setAttribute("aria-label", `Progress of ${tier.name}`);
  const note = make("span");
  if (tier.download) note.append(downloadLink(job, tier));
  else note.textContent = tier.ready ? "Ready" : `${tier.progress} %`;
  const name = make("span", {}, make("b", { textContent: tier.name }), ` ${tier.width}×${tier.height}`);
  return make("li", {}, name, bar, note);
}

function fact(name, value) {
  return [make("dt", { textContent: name }), make("dd", {}, value)];
}

/** The lane of a job and its place in line. */
function lane(job) {
  if (job.place === null) return job.lane;
  const what = job.waits_for === "first-seconds" ? "first seconds" : "bulk";
  const before = job.place === 1 ? "1 job is" : `${job.place} jobs are`;
  return `${job.lane}, ${before} before it in line for the ${what}`;
}

function facts(job) {
  const rows = [["Job", make("code", { textContent: job.id })], ["Uploaded", new Date(job.created).toLocaleString()]];
  if (job.ended) rows.push(["Ended", new Date(job.ended).toLocaleString()]);
  if (!ended(job)) rows.push(["Lane", make("span", { id: "lane", textContent: lane(job) })]);
  rows.push(["Original", size(job.source_bytes)]);
  if (job.source) {
    const { width, height, frame_rate, codec, duration_seconds } = job.source;
    rows.push(["Picture", `${width}×${height}, ${Number(frame_rate.toFixed(2))} frames/s, ${codec}`]);
    rows.push(["Length", clock(duration_seconds)]);
  }
  if (job.playback) rows.push(["HLS", make("a", { href: job.playback, textContent: job.playback })]);
  if (job.manifest) rows.push(["Manifest", make("a", { href: job.manifest, textContent: "manifest.json" })]);
  return rows.flatMap(([name, value]) => fact(name, value));
}

function announce(job) {
  if (job.status === lastStatus) return;
  lastStatus = job.status;
  say(`${word(job)}. ${job.progress} percent.`);
  byId("facts").replaceChildren(...facts(job));
}

/** Begins with a capital and ends with a full stop. */
function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

function showWarnings(warnings) {
  const list = byId("warnings");
  const sentences = warnings.map(sentence);
  const shown = [...list.children].map((item) => item.textContent);
  // Replacing what is unchanged would take a selection away.
  if (sentences.join("\n") === shown.join("\n")) return;
  list.replaceChildren(...sentences.map((textContent) => make("li", { textContent })));
  list.hidden = sentences.length === 0;
}

function show(job) {
  const title = job.title || job.video;
  setText(byId("title"), title);
  document.title = `${title} · Jetreel`;
  showStatus(byId("status"), job);
  byId("progress").value = job.progress;
  setText(byId("percent"), `${job.progress} %`);
  byId("tiers").replaceChildren(...job.tiers.map((tier) => tierRow(job, tier)));
  showWarnings(job.warnings);
  announce(job);
  if (byId("lane")) setText(byId("lane"), lane(job));
  if (job.poster && !video.poster) video.poster = job.poster;
  if (job.playable && !playing) { play(job); byId("facts").replaceChildren(...facts(job)); }
  if (job.thumbnails && !storyboard) {
    storyboard = true;
    showStoryboard(job.thumbnails, byId("storyboard"), jump).catch(() => {});
  }
  // Nothing plays any more, and nothing will: no empty player.
  byId("stage").hidden = ended(job) && !job.playable && !playing;
  const error = byId("error");
  error.hidden = !job.error;
  if (job.error) {
    const advice = job.error.permanent ? " Trying the same file again will not help." : "";
    setText(error, `${sentence(job.error.message)}${advice}`);
  }
  if (job.status === "CANCELLED") {
    error.hidden = false;
    setText(error, "The video was cancelled. What was made of it is deleted.");
  }
  byId("retry").hidden = !job.retry_available;
}

async function retry() {
  const button = byId("retry");
  button.disabled = true;
  try {
    await fetchJson(`/v1/jobs/${encodeURIComponent(id)}/retry`, { method: "POST" });
    button.hidden = true;
    awaitRevival(REVIVAL_POLLS);
  } catch (error) {
    setText(byId("error"), error.message);
  }
  button.disabled = false;
}

/** A job that was retried is FAILED until a worker takes it up. */
async function awaitRevival(polls) {
  const job = await fetchJson(`/v1/jobs/${encodeURIComponent(id)}`).catch(() => null);
  if (job && !ended(job)) return poll();
  if (polls > 0) return setTimeout(awaitRevival, POLL_MS, polls - 1);
  poll();
}

/** A finished video plays although its job cannot be looked up. */
async function playFinished() {
  const playback = `/v/${encodeURIComponent(id)}/master.m3u8`;
  const there = await fetch(playback, { method: "HEAD" }).catch(() => null);
  if (there && there.ok && !playing) play({ playback });
}

async function poll() {
  try {
    const job = await fetchJson(`/v1/jobs/${encodeURIComponent(id)}`);
    show(job);
    if (!ended(job)) setTimeout(poll, POLL_MS);
  } catch (error) {
    setText(byId("error"), error.message);
    byId("error").hidden = false;
    if (error.status !== 404) {
      await playFinished();
      return setTimeout(poll, TROUBLE_POLL_MS);
    }
    byId("stage").hidden = true;
  }
}

byId("retry").addEventListener("click", retry);
poll();
