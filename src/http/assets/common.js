// What both pages need. Text from users only ever becomes text, never markup.
"use strict";

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Announces a change to screen readers, once. */
function say(text) {
  setText(byId("said"), text);
}

function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1000;
  return `${bytes.toFixed(unit && bytes < 10 ? 1 : 0)} ${units[unit]}`;
}

function clock(seconds) {
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const WORDS = {
  RECEIVING: "Uploading", QUEUED: "Waiting", INGESTING: "Being examined", ENCODING: "Being encoded",
  PUBLISHING: "Being published", COMPLETED: "Ready", FAILED: "Failed", CANCELLED: "Cancelled",
};
const ended = (job) => ["COMPLETED", "FAILED", "CANCELLED"].includes(job.status);
const word = (job) => WORDS[job.status] || job.status;

function showStatus(badge, job) {
  setText(badge, word(job));
  badge.className = `badge ${job.status}`;
}

/** JSON of an address; an error carries the sentence of the problem document. */
async function fetchJson(address, options = {}) {
  const response = await fetch(address, { headers: { accept: "application/json" }, ...options });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw Object.assign(new Error(body.detail || `The server answered ${response.status}.`), { status: response.status });
  }
  return body;
}
