// The start page: uploads, and the newest videos.
"use strict";

const REFRESH_MS = 2000;
const PAGE = 48;
const cards = new Map();
/** Links to the videos that were uploaded here. */
const uploaded = new Map();
/** Pages that are shown. */
let pages = 1;

function upload(file) {
  const bar = make("progress", { max: 100, value: 0 });
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  const note = make("span", { textContent: size(file.size) });
  const row = make("li", {}, make("b", { textContent: file.name }), bar, note);
  byId("uploads").prepend(row);

  const request = new XMLHttpRequest();
  const failed = (text) => {
    setText(note, text);
    note.className = "error";
    say(`Upload of ${file.name} failed: ${text}`);
  };
  request.upload.onprogress = (event) => {
    bar.value = event.total ? (100 * event.loaded) / event.total : 0;
    setText(note, `${size(event.loaded)} of ${size(event.total)}`);
  };
  request.onerror = () => failed("The connection was lost. Choose the file again.");
  request.onload = () => {
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { /* the status says enough */ }
    if (request.status !== 202) return failed(answer.detail || `The server answered ${request.status}.`);
    bar.value = 100;
    const link = make("a", { href: answer.player, textContent: "Watch" });
    uploaded.set(answer.video, link);
    note.replaceChildren(link);
    say(`${file.name} is uploaded.`);
    refresh();
  };
  if (!file.size) return failed("The file is empty.");
  request.open("POST", `/v1/videos?title=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("content-type", file.type || "application/octet-stream");
  request.send(file);
}

function card(job) {
  const parts = {
    picture: make("div", { className: "picture" }),
    title: make("b"),
    badge: make("span", { className: "badge" }),
    bar: make("progress", { max: 100 }),
    note: make("span", { className: "quiet" }),
  };
  parts.bar.setAttribute("aria-label", "Progress");
  const about = make("div", { className: "about" }, parts.title, parts.badge, parts.bar, parts.note);
  const link = make("a", { className: "card", href: job.player || `/watch/${job.video}` }, parts.picture, about);
  return { ...parts, item: make("li", {}, link) };
}

function show(job) {
  if (!cards.has(job.video)) cards.set(job.video, card(job));
  const { picture, title, badge, bar, note, item } = cards.get(job.video);
  setText(title, job.title || job.video);
  badge.hidden = !job.status;
  if (!job.status) {
    // Its state cannot be read; the other videos can.
    bar.hidden = true;
    setText(note, job.unreadable.message);
    return item;
  }
  showStatus(badge, job);
  // A refused video cannot be watched.
  if (uploaded.has(job.video) && ended(job) && !job.playable) setText(uploaded.get(job.video), "See why");
  bar.value = job.progress;
  bar.hidden = ended(job);
  const when = new Date(job.created).toLocaleString();
  const trouble = job.error || job.unreadable;
  setText(note, trouble ? trouble.message : `${size(job.source_bytes)} · ${when}`);
  if (job.poster && !picture.firstChild) {
    const image = make("img", { src: job.poster, alt: "", loading: "lazy" });
    image.onerror = () => { image.hidden = true; };
    picture.append(image);
  }
  return item;
}

/** The jobs of all pages that are shown, and the address of the next one. */
async function shownJobs() {
  const shown = [];
  let next = `/v1/jobs?limit=${PAGE}`;
  for (let page = 0; page < pages && next; page++) {
    const answer = await fetchJson(next);
    shown.push(...answer.jobs);
    next = answer.next;
  }
  return { jobs: shown, next };
}

let refreshing = false;

async function refresh() {
  const trouble = byId("trouble");
  // A broker that is away answers late: one question at a time.
  if (refreshing) return;
  refreshing = true;
  try {
    const { jobs, next } = await shownJobs();
    const items = jobs.map(show);
    const list = byId("jobs");
    // Moving what is in place would take the focus away.
    if (items.length !== list.children.length || items.some((item, i) => list.children[i] !== item)) {
      list.replaceChildren(...items);
    }
    byId("more").hidden = !next;
    byId("empty").hidden = jobs.length > 0;
    trouble.hidden = true;
  } catch (error) {
    setText(trouble, `The list cannot be loaded: ${error.message}`);
    trouble.hidden = false;
  } finally {
    refreshing = false;
  }
}

byId("more").addEventListener("click", () => { pages += 1; refresh(); });

const drop = byId("drop");
byId("file").addEventListener("change", (event) => {
  [...event.target.files].forEach(upload);
  event.target.value = "";
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") [...event.dataTransfer.files].forEach(upload);
  });
}

refresh();
setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
