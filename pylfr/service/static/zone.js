// @ts-check
// A zone of recognition, drawn on a preview or typed: it becomes lines of TOML for the next authorisation.
import { element } from "./page.js";
import { text } from "./texts.js";

/** @typedef {[number, number]} Corner a share of width and height, of the whole picture */

const SVG = "http://www.w3.org/2000/svg";
const drawing = /** @type {SVGSVGElement & HTMLElement} */ (/** @type {unknown} */ (document.getElementById("zone")));
const toml = /** @type {HTMLTextAreaElement} */ (document.getElementById("toml"));
const across = /** @type {HTMLInputElement} */ (document.getElementById("across"));
const down = /** @type {HTMLInputElement} */ (document.getElementById("down"));

let camera = "";
/** Where the preview lies in the whole picture: left, top, right, bottom. */
let viewport = [0, 0, 1, 1];
/** The polygon that is watched, and those that are not; the last of all is being drawn. @type {{ watch: Corner[], ignore: Corner[][] }} */
let zone = { watch: [], ignore: [] };
let isWatch = true;

/** Begin a zone of a camera. @param {string} name @param {number[]} previewed */
export function editZone(name, previewed) {
  camera = name;
  viewport = previewed;
  clear();
}

export function stopEditing() {
  camera = "";
}

function clear() {
  zone = { watch: [], ignore: [] };
  isWatch = true;
  draw();
}

/** The polygon that is being drawn. */
function current() {
  if (isWatch) return zone.watch;
  if (!zone.ignore.length) zone.ignore.push([]);
  return zone.ignore[zone.ignore.length - 1];
}

/** @param {Corner} corner */
function add(corner) {
  current().push(/** @type {Corner} */ (corner.map((share) => Math.round(Math.min(1, Math.max(0, share)) * 1000) / 1000)));
  draw();
}

/** @param {Corner[]} polygon */
const inPreview = (polygon) =>
  polygon
    .map(([x, y]) => [
      ((x - viewport[0]) / (viewport[2] - viewport[0])) * 100,
      ((y - viewport[1]) / (viewport[3] - viewport[1])) * 100,
    ])
    .map((corner) => corner.join(","))
    .join(" ");

/** @param {Corner[]} polygon @param {string} kind */
function shape(polygon, kind) {
  const made = document.createElementNS(SVG, "polygon");
  made.setAttribute("points", inPreview(polygon));
  made.setAttribute("class", kind);
  return made;
}

/** @param {Corner} corner */
function dot(corner) {
  const made = document.createElementNS(SVG, "polygon");
  const [x, y] = inPreview([corner]).split(",").map(Number);
  made.setAttribute("points", `${x - 0.8},${y} ${x},${y - 1.4} ${x + 0.8},${y} ${x},${y + 1.4}`);
  made.setAttribute("class", "corner");
  return made;
}

/** @param {Corner[]} polygon */
const corners = (polygon) => `[${polygon.map(([x, y]) => `[${x}, ${y}]`).join(", ")}]`;

function draw() {
  const ignored = zone.ignore.filter((polygon) => polygon.length);
  drawing.replaceChildren(
    ...(zone.watch.length ? [shape(zone.watch, "watch")] : []),
    ...ignored.map((polygon) => shape(polygon, "ignore")),
    ...current().map(dot),
  );
  const lines = [];
  if (zone.watch.length > 2) lines.push(`watch = ${corners(zone.watch)}`);
  const whole = ignored.filter((polygon) => polygon.length > 2);
  if (whole.length) lines.push(`ignore = [${whole.map(corners).join(", ")}]`);
  toml.value = lines.length ? `# camera ${JSON.stringify(camera)}\n[cameras.zone]\n${lines.join("\n")}\n` : "";
  for (const button of document.querySelectorAll("[data-zone]")) {
    const kind = /** @type {HTMLElement} */ (button).dataset.zone;
    button.setAttribute("aria-pressed", String((kind === "watch") === isWatch));
  }
}

drawing?.addEventListener("click", (event) => {
  const box = drawing.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width;
  const y = (event.clientY - box.top) / box.height;
  add([viewport[0] + x * (viewport[2] - viewport[0]), viewport[1] + y * (viewport[3] - viewport[1])]);
});
document.getElementById("add-corner")?.addEventListener("click", () => {
  if (across.value && down.value) add([Number(across.value) / 100, Number(down.value) / 100]);
});
for (const button of document.querySelectorAll("[data-zone]")) {
  button.addEventListener("click", () => {
    isWatch = /** @type {HTMLElement} */ (button).dataset.zone === "watch";
    // Another area to leave out begins where the one before is closed.
    if (!isWatch && current().length > 2) zone.ignore.push([]);
    draw();
  });
}
document.getElementById("undo-corner")?.addEventListener("click", () => {
  current().pop();
  draw();
});
document.getElementById("clear-zone")?.addEventListener("click", clear);
document.getElementById("copy-zone")?.addEventListener("click", async () => {
  await navigator.clipboard.writeText(toml.value);
  element("preview-said").textContent = text("copied") ?? "";
});
