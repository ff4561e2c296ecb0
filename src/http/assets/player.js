// Plays the HLS of a video, with menus of its sound tracks and tiers. hls.js does it where the browser has Media Source
// Extensions; elsewhere the browser plays HLS by itself.
"use strict";

const RELOAD_MS = 2000;
/** After this time without a media error, the next one is a first one. */
const MEDIA_ERROR_MEMORY_MS = 30000;
const AUTO = "-1";
const languages = new Intl.DisplayNames(["en"], { type: "language" });

/** Name of a BCP 47 tag, such as "German"; undefined where there is none. */
function languageName(tag) {
  try {
    return tag && tag !== "und" ? languages.of(tag) : undefined;
  } catch {
    return undefined;
  }
}

/** A menu is shown where there is something to choose. */
function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, textContent]) => make("option", { value, textContent })));
  select.value = chosen;
  select.closest("label").hidden = options.filter(([value]) => value !== AUTO).length < 2;
}

/** The menu of sound tracks, and the hint that goes with several. */
function fillSound(select, options, chosen) {
  fill(select, options, chosen);
  byId("mp4").hidden = select.closest("label").hidden;
}

function offerQualities(hls, select) {
  hls.on(Hls.Events.MANIFEST_PARSED, () => {
    const tiers = hls.levels.map((level, index) => [String(index), `${Math.min(level.width, level.height)}p`]);
    fill(select, [[AUTO, "Auto"], ...tiers], AUTO);
  });
  select.addEventListener("change", () => { hls.nextLevel = Number(select.value); });
}

function offerSound(hls, select) {
  hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, (_, { audioTracks }) => {
    fillSound(select, audioTracks.map((track, index) => [String(index), track.name]), String(hls.audioTrack));
  });
  hls.on(Hls.Events.AUDIO_TRACK_SWITCHING, (_, { id }) => { select.value = String(id); });
  select.addEventListener("change", () => { hls.audioTrack = Number(select.value); });
}

/** The sound tracks of a browser that plays HLS by itself, where it tells them. */
function offerNativeSound(video, select) {
  const tracks = video.audioTracks;
  if (!tracks) return;
  const update = () => {
    const list = [...tracks];
    const labels = list.map((track, index) => (
      [String(index), track.label || languageName(track.language) || `Track ${index + 1}`]
    ));
    fillSound(select, labels, String(list.findIndex((track) => track.enabled)));
  };
  for (const kind of ["addtrack", "removetrack", "change"]) tracks.addEventListener(kind, update);
  select.addEventListener("change", () => {
    [...tracks].forEach((track, index) => { track.enabled = index === Number(select.value); });
  });
}

/** What to do about fatal media errors: the steps of hls.js's documentation in their order, each once. */
class MediaErrors {
  #steps = ["recover", "swap", "stop"];
  #taken = 0;
  #last = -Infinity;

  /** The step for an error at `now` (milliseconds). */
  next(now) {
    if (now - this.#last > MEDIA_ERROR_MEMORY_MS) this.#taken = 0;
    this.#last = now;
    this.#taken = Math.min(this.#taken + 1, this.#steps.length);
    return this.#steps[this.#taken - 1];
  }
}

/** Why playing stopped, from the data of hls.js's error and the error of the video element. */
function stoppedBy(data, media) {
  const cause = [data.details, media?.error?.message || data.error?.message].filter(Boolean).join(": ");
  return `Playing stopped: the browser cannot decode this video (${cause}). `
    + "Reload the page to try again, or download an MP4 file below.";
}

/**
 * Goes on after an error that hls.js does not get over by itself: the server restarts, a sound track is not made yet, or the
 * browser's decoder fails. `stopped` is called with the reason where that does not help.
 */
function recover(hls, address, stopped) {
  const mediaErrors = new MediaErrors();
  let alive = true;
  const mediaError = (data) => {
    const step = mediaErrors.next(performance.now());
    if (step === "stop") {
      alive = false;
      stopped(stoppedBy(data, hls.media));
      return hls.destroy();
    }
    if (step === "swap") hls.swapAudioCodec();
    hls.recoverMediaError();
  };
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (!data.fatal || !alive) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR) return mediaError(data);
    setTimeout(() => alive && (hls.levels.length ? hls.startLoad() : hls.loadSource(address)), RELOAD_MS);
  });
}

/**
 * A player of a playlist that grows from its start (EVENT). hls.js takes it for a live one: where playing reaches the end of
 * what is encoded, it would seek back to the live sync position. Here there is none, and playing waits for more.
 */
function eventPlayer(options) {
  return new (class extends Hls {
    get liveSyncPosition() { return null; }
  })(options);
}

/**
 * Starts loading `address` into `video`; `menus` are the selects of sound tracks and tiers. `stopped` is called with a sentence
 * where playing ends for good before the video does.
 */
function attachPlayer(video, address, menus, stopped) {
  if (window.Hls && Hls.isSupported()) {
    // From the start, although the playlist still grows; the worker would need a looser content policy for little gain.
    const hls = eventPlayer({ startPosition: 0, enableWorker: false });
    offerQualities(hls, menus.quality);
    offerSound(hls, menus.sound);
    recover(hls, address, stopped);
    hls.loadSource(address);
    hls.attachMedia(video);
    window.jetreelPlayer = hls;
    return;
  }
  offerNativeSound(video, menus.sound);
  // A growing playlist would start at its end.
  video.addEventListener("loadedmetadata", () => { video.currentTime = 0; }, { once: true });
  video.src = address;
}
