// @ts-check
// The alert desk: a queue by age, one alert beside it, what is recorded as it is recorded.
import { away, clearAlert, drawAlert, drawSeen, nameOf, stateText } from "./alert-view.js";
import { alerts, forgetOver, load, QUEUES, refresh, waiting } from "./alerts.js";
import { ring } from "./bell.js";
import { chooseByKey, drawDecisions, letDecide, undo } from "./decide.js";
import { follow } from "./feed.js";
import { letHandOver } from "./hand-over.js";
import { element, tell, tellError } from "./page.js";
import { filled, text } from "./texts.js";

/** @typedef {import("./alerts.js").Alert} Alert */

const WINDOW_ENDS = document.body.dataset.endsAt ?? "";
const SESSION_ENDS = document.body.dataset.sessionEnds ?? "";
const MOST_ROWS = 200;

let queue = document.body.dataset.queue ?? "first";
let shown = location.hash.slice(1);
let isDrawing = false;

/** Draw once for whatever comes within a moment. */
function drawSoon() {
  if (isDrawing) return;
  isDrawing = true;
  setTimeout(() => {
    isDrawing = false;
    draw();
  }, 30);
}

function draw() {
  for (const tab of document.querySelectorAll("[data-tab]")) {
    const name = /** @type {HTMLElement} */ (tab).dataset.tab ?? "";
    tab.setAttribute("aria-selected", String(name === queue));
    const count = tab.querySelector(".count");
    if (count) count.textContent = String([...alerts.values()].filter(QUEUES[name]).length);
  }
  const list = waiting(queue);
  if (!alerts.has(shown)) shown = "";
  if (!shown && list.length) shown = list[0].id;
  element("queue").replaceChildren(...list.slice(0, MOST_ROWS).map(row));
  element("nothing").hidden = list.length > 0;
  const alert = alerts.get(shown);
  element("alert").hidden = !alert;
  element("no-alert").hidden = Boolean(alert);
  if (!alert) {
    clearAlert();
    return;
  }
  drawAlert(alert);
  drawDecisions(alert);
}

/** @param {Alert} alert */
function row(alert) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `#${alert.id}`;
  if (alert.id === shown) link.setAttribute("aria-current", "true");
  const name = document.createElement("strong");
  name.textContent = nameOf(alert);
  const facts = document.createElement("span");
  facts.textContent = `${alert.camera} · ${stateText(alert.state)}`;
  const age = document.createElement("time");
  age.dateTime = alert.captured_at;
  age.textContent = away(alert.captured_at);
  link.append(name, age, facts);
  item.append(link);
  return item;
}

/** @param {string} id */
function show(id) {
  shown = id;
  history.replaceState(null, "", `#${id}`);
  draw();
}

/** @param {number} step */
function move(step) {
  const list = waiting(queue);
  const place = list.findIndex((alert) => alert.id === shown);
  const next = list[Math.min(list.length - 1, Math.max(0, place + step))];
  if (next) show(next.id);
}

/** @param {string} id */
function fetchSoon(id) {
  refresh(id, drawSoon, () => connection("reconnecting"));
}

function loadAll() {
  load().then(draw, tellError);
}

/** @param {"connected" | "reconnecting"} state */
function connection(state) {
  const said = element("connection");
  said.textContent = text(state) ?? "";
  said.dataset.state = state;
}

function tick() {
  for (const time of document.querySelectorAll("#queue time")) {
    time.textContent = away(/** @type {HTMLTimeElement} */ (time).dateTime);
  }
  if (forgetOver()) draw();
  const alert = alerts.get(shown);
  if (alert) drawSeen(alert);
  const left = (Date.parse(WINDOW_ENDS) - Date.now()) / 1000;
  const ends = element("window");
  ends.textContent = left > 0 ? filled("window-ends", { when: away(WINDOW_ENDS) }) : (text("window-ended") ?? "");
  ends.dataset.over = String(left <= 0);
  // Whoever is no longer signed in sees nothing, connected or not.
  if (SESSION_ENDS && Date.now() > Date.parse(SESSION_ENDS)) {
    alerts.clear();
    draw();
    location.assign("/sign-in");
  }
}

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.closest("dialog")) return;
  if (event.key === "Escape" && undo()) return;
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, textarea, select")) return;
  if (event.key === "j") move(1);
  if (event.key === "k") move(-1);
  chooseByKey(event.key);
});
element("zoom").addEventListener("input", (event) => {
  const factor = /** @type {HTMLInputElement} */ (event.target).value;
  document.documentElement.style.setProperty("--zoom", factor);
});
window.addEventListener("hashchange", () => {
  shown = location.hash.slice(1);
  draw();
});
for (const tab of document.querySelectorAll("[data-tab]")) {
  tab.addEventListener("click", () => {
    queue = /** @type {HTMLElement} */ (tab).dataset.tab ?? queue;
    shown = "";
    draw();
  });
}

letDecide((now, kind) => {
  alerts.set(now.id, now);
  const next = waiting(queue)[0];
  if (kind === "adjudication" && next) show(next.id);
  else draw();
});
letHandOver();
loadAll();
follow(
  {
    alert: (told) => {
      // As whoever has not decided sees it: complete while nobody has.
      if (told.state === "open") alerts.set(told.id, told);
      else fetchSoon(told.id);
      drawSoon();
      tell(filled("new-alert", { camera: told.camera }));
      ring();
    },
    decided: (told) => fetchSoon(told.alert),
    reload: loadAll,
    "run-ended": loadAll,
    erased: loadAll,
  },
  connection,
);
tick();
setInterval(tick, 1000);
