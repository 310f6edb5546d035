// @ts-check
// One alert on the page: two pictures of equal size, the facts, and what people have decided.
import { element } from "./page.js";
import { filled, localTime, relative, text, utcTime } from "./texts.js";

/** @typedef {import("./alerts.js").Alert} Alert */
/** @typedef {import("./alerts.js").Decision} Decision */

const PLACE = document.body.dataset.place ?? "";
const RETRY_MS = 2_000;

/** @param {string} state */
export const stateText = (state) => text(`state ${state}`) ?? state;

/** @param {string} what */
export const decisionWord = (what) => text(`decision ${what}`) ?? what;

/** Who may have been seen, or that this was erased. @param {Alert} alert */
export const nameOf = (alert) => alert.possible_match ?? text("erased") ?? "";

/** How long ago, or until when. @param {string} time */
export const away = (time) => relative((Date.parse(time) - Date.now()) / 1000);

/** @param {Alert} alert */
export function drawAlert(alert) {
  element("name").textContent = nameOf(alert);
  element("state").textContent = stateText(alert.state);
  element("state").dataset.state = alert.state;
  drawSeen(alert);
  for (const part of ["probe", "reference", "scene"]) drawPicture(alert, part);
  drawFacts(alert);
  const differs = element("differences");
  differs.hidden = alert.differences.length === 0;
  differs.textContent = alert.differences.join("; ");
}

/** Nobody is shown, and nothing of whom was shown before stays on the page. */
export function clearAlert() {
  for (const id of ["name", "seen", "state", "differences"]) element(id).textContent = "";
  element("facts").replaceChildren();
  for (const part of ["probe", "reference", "scene"]) show(part, "");
}

/** Where and how long ago, in one line. @param {Alert} alert */
export function drawSeen(alert) {
  element("seen").textContent = filled("seen", { place: PLACE, camera: alert.camera, when: away(alert.captured_at) });
}

/** @param {Alert} alert @param {string} part */
function drawPicture(alert, part) {
  show(part, alert.pictures.includes(part) ? `/v1/alerts/${encodeURIComponent(alert.id)}/pictures/${part}` : "");
}

/** @param {string} part @param {string} wanted where its picture is; "" for none */
function show(part, wanted) {
  const image = /** @type {HTMLImageElement} */ (element(part));
  const figure = /** @type {HTMLElement} */ (image.closest("figure"));
  figure.classList.toggle("gone", !wanted);
  if (image.dataset.shows === wanted) return;
  image.dataset.shows = wanted;
  if (wanted) image.src = wanted;
  else image.removeAttribute("src");
}

for (const part of ["probe", "reference", "scene"]) {
  const image = document.getElementById(part);
  // Over a weak link a picture may not come at the first try.
  image?.addEventListener("error", () => {
    const shown = /** @type {HTMLImageElement} */ (image);
    const wanted = shown.dataset.shows;
    setTimeout(() => {
      if (wanted && shown.dataset.shows === wanted) shown.src = wanted;
    }, RETRY_MS);
  });
}

/** @param {Alert} alert */
function drawFacts(alert) {
  /** @type {[string, string][]} */
  const facts = [
    [text("captured") ?? "", `${localTime(alert.captured_at)} (${utcTime(alert.captured_at)})`],
    [text("verdicts") ?? "", filled("of", { count: alert.verdicts_in, needed: alert.verdicts_needed })],
    [
      text("score") ?? "",
      alert.score === null
        ? (text("hidden") ?? "")
        : filled("score-is", { score: alert.score.toFixed(3), threshold: (alert.threshold ?? 0).toFixed(3) }),
    ],
  ];
  if (alert.category) facts.unshift([text("category") ?? "", alert.category]);
  if (alert.erase_at) facts.push([text("erased-in") ?? "", away(alert.erase_at)]);
  for (const [name, decision] of decisions(alert)) {
    facts.push([name, `${decisionWord(decision.what)} · ${decision.by} · ${localTime(decision.at)}${decision.reason && ` · ${decision.reason}`}`]);
  }
  element("facts").replaceChildren(
    ...facts.flatMap(([name, value]) => {
      const term = document.createElement("dt");
      term.textContent = name;
      const description = document.createElement("dd");
      description.textContent = value;
      return [term, description];
    }),
  );
}

/** @param {Alert} alert @returns {[string, Decision][]} */
function decisions(alert) {
  /** @type {[string, Decision][]} */
  const found = [];
  if (alert.verdicts) for (const each of alert.verdicts) found.push([text("verdict") ?? "", each]);
  else if (alert.mine) found.push([text("my-verdict") ?? "", alert.mine]);
  if (alert.engagement) found.push([text("engagement") ?? "", alert.engagement]);
  if (alert.outcome) found.push([text("outcome") ?? "", alert.outcome]);
  return found;
}
