// Plays the HLS of a video, with menus of its sound tracks and tiers. hls.js does it where the browser has Media Source
// Extensions; elsewhere the browser plays HLS by itself.
"use strict";

const RELOAD_MS = 2000;
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

/** Labels of sound tracks by their languages: the number is named where the language alone does not tell tracks apart. */
function soundLabels(tags) {
  const names = tags.map(languageName);
  return names.map((name, index) => {
    if (!name) return `Track ${index + 1}`;
    return names.indexOf(name) === names.lastIndexOf(name) ? name : `${name}, track ${index + 1}`;
  });
}

/** A menu is shown where there is something to choose. */
function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, textContent]) => make("option", { value, textContent })));
  select.value = chosen;
  select.closest("label").hidden = options.filter(([value]) => value !== AUTO).length < 2;
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
    const labels = soundLabels(audioTracks.map((track) => track.lang));
    fill(select, labels.map((label, index) => [String(index), label]), String(hls.audioTrack));
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
    const labels = soundLabels(list.map((track) => track.language));
    fill(select, labels.map((label, index) => [String(index), label]), String(list.findIndex((track) => track.enabled)));
  };
  for (const kind of ["addtrack", "removetrack", "change"]) tracks.addEventListener(kind, update);
  select.addEventListener("change", () => {
    [...tracks].forEach((track, index) => { track.enabled = index === Number(select.value); });
  });
}

/** Goes on after an error that hls.js does not get over by itself: the server restarts, or a sound track is not made yet. */
function recover(hls, address) {
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR) return hls.recoverMediaError();
    setTimeout(() => (hls.levels.length ? hls.startLoad() : hls.loadSource(address)), RELOAD_MS);
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

/** Starts loading `address` into `video`; `menus` are the selects of sound tracks and tiers. */
function attachPlayer(video, address, menus) {
  if (window.Hls && Hls.isSupported()) {
    // From the start, although the playlist still grows; the worker would need a looser content policy for little gain.
    const hls = eventPlayer({ startPosition: 0, enableWorker: false });
    offerQualities(hls, menus.quality);
    offerSound(hls, menus.sound);
    recover(hls, address);
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
