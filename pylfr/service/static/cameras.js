// @ts-check
// Cameras: what each does, kept up to date; a preview in which every face is filled; taking one out of the run or in.
import { call } from "./api.js";
import { askWhy, element, tell, tellError } from "./page.js";
import { filled, localTime, text } from "./texts.js";
import { editZone, stopEditing } from "./zone.js";

/**
 * @typedef {{ name: string, state: string, since: string | null, details: string, frames: number | null,
 *   frames_hz: number | null, latency_p50_ms: number | null, latency_p99_ms: number | null,
 *   dropped: Record<string, number> }} Camera
 */

const EVERY_MS = 2_000;
const PICTURE_EVERY_MS = 700;
const dialog = /** @type {HTMLDialogElement} */ (element("preview"));
const picture = /** @type {HTMLImageElement} */ (element("picture"));

/** @param {string} camera @returns {HTMLElement | null} */
const rowOf = (camera) => document.querySelector(`[data-camera="${CSS.escape(camera)}"]`);

/** @param {Camera} camera */
function draw(camera) {
  const row = rowOf(camera.name);
  if (!row) return;
  /** @param {string} name @param {string} words */
  const put = (name, words) => {
    const cell = row.querySelector(`[data-cell="${name}"]`);
    if (cell && cell.textContent !== words) cell.textContent = words;
  };
  const state = /** @type {HTMLElement} */ (row.querySelector(".pill"));
  const words = text(`camera ${camera.state}`) ?? camera.state;
  if (state.textContent !== words) state.textContent = words;
  state.dataset.state = camera.state;
  put("since", camera.since ? localTime(camera.since) : "–");
  put("rate", camera.frames_hz === null ? "–" : filled("hz", { count: camera.frames_hz.toFixed(1) }));
  put("latency", latency(camera));
  put("dropped", Object.entries(camera.dropped).map(([cause, count]) => `${cause.replaceAll("_", " ")} ${count}`).join(", ") || "–");
  put("details", camera.details);
  const isOut = ["taken-out", "not started"].includes(camera.state);
  for (const [name, hidden] of /** @type {[string, boolean][]} */ ([["out", isOut], ["in", !isOut], ["look", isOut]])) {
    const button = /** @type {HTMLElement | null} */ (row.querySelector(`[data-act="${name}"]`));
    if (button) button.hidden = hidden;
  }
}

/** @param {Camera} camera */
function latency(camera) {
  if (camera.latency_p50_ms === null || camera.latency_p99_ms === null) return "–";
  return filled("ms", { p50: camera.latency_p50_ms.toFixed(0), p99: camera.latency_p99_ms.toFixed(0) });
}

async function refresh() {
  /** @type {Camera[]} */
  const cameras = await call("GET", "/v1/cameras");
  cameras.forEach(draw);
  // One that was taken in since gets its card.
  if (!looking && cameras.some((camera) => !rowOf(camera.name))) location.reload();
}

/** @param {string} name */
const path = (name) => `/v1/cameras/${encodeURIComponent(name)}`;

let looking = "";
/** @type {number | undefined} */
let next;

/** Open a preview; that somebody looks is recorded. @param {HTMLElement} row */
async function look(row) {
  const name = row.dataset.camera ?? "";
  await call("POST", `${path(name)}/preview`);
  looking = name;
  element("preview-title").textContent = filled("preview-of", { camera: name });
  element("preview-said").textContent = text("no-picture-yet") ?? "";
  picture.hidden = true;
  dialog.showModal();
  editZone(name, (row.dataset.viewport ?? "0,0,1,1").split(",").map(Number));
  showNext();
}

function showNext() {
  if (looking) picture.src = `${path(looking)}/preview?at=${Date.now()}`;
}

function showNextLater() {
  clearTimeout(next);
  next = setTimeout(showNext, PICTURE_EVERY_MS);
}

picture.addEventListener("load", () => {
  picture.hidden = false;
  element("preview-said").textContent = "";
  showNextLater();
});
picture.addEventListener("error", () => {
  if (!looking) return;
  element("preview-said").textContent = text("no-picture-yet") ?? "";
  showNextLater();
});
dialog.addEventListener("close", () => {
  const was = looking;
  looking = "";
  clearTimeout(next);
  picture.removeAttribute("src");
  stopEditing();
  if (was) call("DELETE", `${path(was)}/preview`).catch(() => null);
});

/** @type {Record<string, (row: HTMLElement) => Promise<void>>} */
const ACTS = {
  look,
  out: async (row) => change("DELETE", row.dataset.camera ?? "", "reason-camera-out"),
  in: async (row) => change("PUT", row.dataset.camera ?? "", "reason-camera-in"),
};

/** @param {string} method @param {string} name @param {string} question */
async function change(method, name, question) {
  const because = await askWhy(filled(question, { camera: name }));
  if (because === null) return;
  await call(method, path(name), { because });
  tell("");
  await refresh();
}

for (const button of document.querySelectorAll("[data-act]")) {
  button.addEventListener("click", () => {
    const row = /** @type {HTMLElement} */ (button.closest("[data-camera]"));
    ACTS[/** @type {HTMLElement} */ (button).dataset.act ?? ""](row).catch(tellError);
  });
}
document.getElementById("add-camera")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = /** @type {HTMLInputElement} */ (element("camera-name")).value.trim();
  change("PUT", name, "reason-camera-in").catch(tellError);
});
refresh().catch(tellError);
setInterval(() => refresh().catch(() => null), EVERY_MS);
