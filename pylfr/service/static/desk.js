// @ts-check
// The alert desk: a queue by age, two pictures of equal size, a verdict that its author signs.
import { call, decisionText, Problem } from "./api.js";
import { sign, storedKey } from "./keys.js";
import { filled, localTime, relative, text, utcTime } from "./texts.js";

/** @typedef {{ by: string, what: string, at: string, reason: string }} Decision */
/**
 * @typedef {{ id: string, camera: string, captured_at: string, possible_match: string | null, state: string,
 *   verdicts_in: number, verdicts_needed: number, mine: Decision | null, verdicts: Decision[] | null,
 *   score: number | null, threshold: number | null, engagement: Decision | null, outcome: Decision | null,
 *   erase_at: string | null, pictures: string[], differences: string[] }} Alert
 */

const WINDOW_ENDS = document.body.dataset.endsAt ?? "";
const ME = document.body.dataset.name ?? "";
const ROLES = (document.body.dataset.roles ?? "").split(",");

/** @type {Map<string, Alert>} */
const alerts = new Map();
let queue = document.body.dataset.queue ?? "first";
let shown = location.hash.slice(1);
/** @type {{ kind: string, what: string } | null} */
let pending = null;
const SILENT_MS = 15_000;

/** @param {string} id @returns {HTMLElement} */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const reason = /** @type {HTMLInputElement} */ (element("reason"));
const sound = /** @type {HTMLInputElement} */ (element("sound"));

/** What belongs into each queue. @type {Record<string, (alert: Alert) => boolean>} */
const QUEUES = {
  first: (alert) => alert.state === "open",
  second: (alert) => alert.state === "partly adjudicated" && !alert.mine,
  confirmed: (alert) => alert.state === "confirmed" || alert.state === "engaged",
  all: () => true,
};

// Alerts that have changed and are yet to be fetched; none is taken off before it is here.
/** @type {Set<string>} */
const changed = new Set();
let isFetching = false;
// From so many on, one list is cheaper than each by itself.
const MANY = 5;
const RETRY_MS = 1_000;

async function load() {
  /** @type {Map<string, Alert>} */
  const found = new Map();
  let cursor = "";
  do {
    const page = await call("GET", `/v1/alerts?limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    for (const alert of page.alerts) found.set(alert.id, alert);
    cursor = page.next ?? "";
  } while (cursor);
  alerts.clear();
  for (const [id, alert] of found) alerts.set(id, alert);
  draw();
}

/** Fetch an alert soon, and again where that fails. @param {string} id */
function refresh(id) {
  changed.add(id);
  fetchChanged();
}

async function fetchChanged() {
  if (isFetching) return;
  isFetching = true;
  try {
    while (changed.size) {
      const ids = [...changed];
      changed.clear();
      try {
        if (ids.length > MANY) await load();
        else for (const id of ids) alerts.set(id, await call("GET", `/v1/alerts/${encodeURIComponent(id)}`));
      } catch (error) {
        for (const id of ids) changed.add(id);
        throw error;
      }
      draw();
    }
  } catch {
    connection("reconnecting");
    setTimeout(fetchChanged, RETRY_MS);
  } finally {
    isFetching = false;
  }
}

function waiting() {
  return [...alerts.values()].filter(QUEUES[queue]).sort((a, b) => a.captured_at.localeCompare(b.captured_at));
}

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
  const list = waiting();
  if (!alerts.has(shown)) shown = "";
  if (!shown && list.length) shown = list[0].id;
  element("queue").replaceChildren(...list.map(row));
  element("nothing").hidden = list.length > 0;
  drawAlert();
}

/** @param {Alert} alert */
function row(alert) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `#${alert.id}`;
  if (alert.id === shown) link.setAttribute("aria-current", "true");
  const name = document.createElement("strong");
  name.textContent = alert.possible_match ?? text("erased") ?? "";
  const facts = document.createElement("span");
  facts.textContent = `${alert.camera} · ${stateText(alert.state)}`;
  const age = document.createElement("time");
  age.dateTime = alert.captured_at;
  age.textContent = relative((Date.parse(alert.captured_at) - Date.now()) / 1000);
  link.append(name, age, facts);
  item.append(link);
  return item;
}

/** @param {string} state */
const stateText = (state) => text(`state ${state}`) ?? state;

function drawAlert() {
  const alert = alerts.get(shown);
  element("alert").hidden = !alert;
  element("no-alert").hidden = Boolean(alert);
  if (!alert) return;
  element("name").textContent = alert.possible_match ?? text("erased") ?? "";
  element("state").textContent = stateText(alert.state);
  element("state").dataset.state = alert.state;
  for (const part of ["probe", "reference", "scene"]) drawPicture(alert, part);
  drawFacts(alert);
  const differs = element("differences");
  differs.hidden = alert.differences.length === 0;
  differs.textContent = alert.differences.join("; ");
  drawActions(alert);
}

/** @param {Alert} alert @param {string} part */
function drawPicture(alert, part) {
  const image = /** @type {HTMLImageElement} */ (element(part));
  const wanted = alert.pictures.includes(part) ? `/v1/alerts/${encodeURIComponent(alert.id)}/pictures/${part}` : "";
  const figure = /** @type {HTMLElement} */ (image.closest("figure"));
  figure.classList.toggle("gone", !wanted);
  if (image.dataset.shows === wanted) return;
  image.dataset.shows = wanted;
  if (wanted) image.src = wanted;
  else image.removeAttribute("src");
}

/** @param {Alert} alert */
function drawFacts(alert) {
  /** @type {[string, string][]} */
  const facts = [
    [text("camera") ?? "", alert.camera],
    [text("captured") ?? "", `${localTime(alert.captured_at)} (${utcTime(alert.captured_at)})`],
    [text("verdicts") ?? "", filled("of", { count: alert.verdicts_in, needed: alert.verdicts_needed })],
    [
      text("score") ?? "",
      alert.score === null
        ? (text("hidden") ?? "")
        : filled("score-is", { score: alert.score.toFixed(3), threshold: (alert.threshold ?? 0).toFixed(3) }),
    ],
  ];
  if (alert.erase_at) {
    facts.push([text("erased-in") ?? "", relative((Date.parse(alert.erase_at) - Date.now()) / 1000)]);
  }
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

/** @param {string} what */
const decisionWord = (what) => text(`decision ${what}`) ?? what;

/** What this person may decide on an alert now. @param {Alert} alert */
function choices(alert) {
  const adjudicates = ROLES.includes("operator") || ROLES.includes("second operator");
  const engages = ROLES.includes("engagement officer");
  if (adjudicates && !alert.mine && ["open", "partly adjudicated"].includes(alert.state)) {
    return { kind: "adjudication", words: ["same person", "different person", "cannot tell"] };
  }
  if (engages && alert.state === "confirmed") return { kind: "engagement", words: ["engage", "do not engage"] };
  if (engages && ["engaged", "not engaged", "refuted"].includes(alert.state)) {
    return { kind: "outcome", words: ["true alert", "false alert", "unresolved"] };
  }
  return { kind: "", words: [] };
}

/** Letters that choose, in the order of the words. @type {Record<string, string[]>} */
const KEYS = { adjudication: ["s", "d", "c"], engagement: ["e", "n"], outcome: ["t", "f", "u"] };

/** @param {Alert} alert */
function drawActions(alert) {
  const { kind, words } = alert.differences.length ? { kind: "", words: [] } : choices(alert);
  element("actions").replaceChildren(
    ...words.map((what, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.what = what;
      button.append(decisionWord(what), " ");
      const key = document.createElement("kbd");
      key.textContent = KEYS[kind][place].toUpperCase();
      button.append(key);
      button.setAttribute("aria-keyshortcuts", KEYS[kind][place]);
      button.addEventListener("click", () => choose(kind, what));
      return button;
    }),
  );
  element("decide").hidden = words.length === 0;
  if (pending && pending.kind !== kind) pending = null;
  drawPending();
}

function drawPending() {
  element("confirm").hidden = pending === null;
  if (!pending) return;
  element("about-to").textContent = filled("about-to", { what: decisionWord(pending.what), name: ME });
}

/** @param {string} kind @param {string} what */
function choose(kind, what) {
  pending = { kind, what };
  drawPending();
  element("sign").focus();
}

function undo() {
  pending = null;
  drawPending();
}

/** Where a decision of each kind goes. @type {Record<string, string>} */
const PATHS = { adjudication: "verdicts", engagement: "engagements", outcome: "outcomes" };

async function signPending() {
  const alert = alerts.get(shown);
  if (!alert || !pending) return;
  const { kind, what } = pending;
  const key = await storedKey(ME);
  if (!key) {
    tell(text("no-key") ?? "", true);
    return;
  }
  const at = new Date().toISOString();
  const words = { kind, alert: alert.id, by: ME, what, at, reason: reason.value.trim() };
  try {
    const body = { what, decided_at: at, reason: words.reason, signature: await sign(key.key, decisionText(words)) };
    const now = await call("POST", `/v1/alerts/${encodeURIComponent(alert.id)}/${PATHS[kind]}`, body);
    alerts.set(now.id, now);
    pending = null;
    reason.value = "";
    tell(filled("recorded", { what: decisionWord(what) }));
    const next = waiting()[0];
    if (kind === "adjudication" && next) show(next.id);
    draw();
  } catch (error) {
    tell(error instanceof Problem ? error.message : String(error), true);
  }
}

/** @param {string} message @param {boolean} [isError] */
function tell(message, isError = false) {
  const said = element("said");
  said.textContent = message;
  said.classList.toggle("error", isError);
}

/** @param {string} id */
function show(id) {
  shown = id;
  pending = null;
  history.replaceState(null, "", `#${id}`);
}

/** @param {number} step */
function move(step) {
  const list = waiting();
  const place = list.findIndex((alert) => alert.id === shown);
  const next = list[Math.min(list.length - 1, Math.max(0, place + step))];
  if (next) {
    show(next.id);
    draw();
  }
}

/** @param {number} factor */
function zoom(factor) {
  document.documentElement.style.setProperty("--zoom", String(factor));
}

/** @type {AudioContext | null} */
let audio = null;

function ring() {
  if (!sound.checked) return;
  audio ??= new AudioContext();
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  volume.gain.setValueAtTime(0.15, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.4);
  tone.frequency.value = 660;
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.4);
  navigator.vibrate?.(200);
}

let lastEvent = "";
let heardAt = 0;
/** @type {EventSource | null} */
let events = null;

/** Follow what is recorded, from the last event that was seen on. */
function follow() {
  events?.close();
  heardAt = Date.now();
  events = new EventSource(`/v1/events${lastEvent && `?after=${lastEvent}`}`);
  events.addEventListener("open", () => connection("connected"));
  events.addEventListener("error", () => connection("reconnecting"));
  heard("waiting", () => undefined);
  heard("alert", (told) => {
    // As whoever has not decided sees it: complete while nobody has.
    if (told.state === "open") alerts.set(told.id, told);
    else refresh(told.id);
    drawSoon();
    tell(filled("new-alert", { camera: told.camera }));
    ring();
  });
  heard("decided", (told) => refresh(told.alert));
  heard("reload", () => load());
  for (const kind of ["run-ended", "swept"]) heard(kind, () => load());
}

/** @param {string} kind @param {(told: any) => void} act */
function heard(kind, act) {
  events?.addEventListener(kind, (event) => {
    heardAt = Date.now();
    if (event.lastEventId) lastEvent = event.lastEventId;
    connection("connected");
    act(JSON.parse(event.data));
  });
}

/** @param {"connected" | "reconnecting"} state */
function connection(state) {
  const shown = element("connection");
  shown.textContent = text(state) ?? "";
  shown.dataset.state = state;
}

function tick() {
  for (const time of document.querySelectorAll("#queue time")) {
    const at = Date.parse(/** @type {HTMLTimeElement} */ (time).dateTime);
    time.textContent = relative((at - Date.now()) / 1000);
  }
  const left = (Date.parse(WINDOW_ENDS) - Date.now()) / 1000;
  const ends = element("window");
  ends.textContent = left > 0 ? filled("window-ends", { when: relative(left) }) : (text("window-ended") ?? "");
  ends.dataset.over = String(left <= 0);
  // The service says something every few seconds: silence is a connection that broke without a word.
  if (Date.now() - heardAt > SILENT_MS) {
    connection("reconnecting");
    follow();
  }
}

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape" && pending) {
    undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, textarea, select")) return;
  if (event.key === "j") move(1);
  if (event.key === "k") move(-1);
  const alert = alerts.get(shown);
  if (!alert) return;
  const { kind, words } = choices(alert);
  const place = (KEYS[kind] ?? []).indexOf(event.key);
  if (place >= 0) choose(kind, words[place]);
});

element("sign").addEventListener("click", () => signPending());
element("undo").addEventListener("click", undo);
element("zoom").addEventListener("input", (event) => zoom(Number(/** @type {HTMLInputElement} */ (event.target).value)));
window.addEventListener("hashchange", () => {
  shown = location.hash.slice(1);
  pending = null;
  draw();
});
for (const tab of document.querySelectorAll("[data-tab]")) {
  tab.addEventListener("click", () => {
    queue = /** @type {HTMLElement} */ (tab).dataset.tab ?? queue;
    shown = "";
    draw();
  });
}
sound.checked = localStorage.getItem("sound") !== "off";
sound.addEventListener("change", () => localStorage.setItem("sound", sound.checked ? "on" : "off"));

window.addEventListener("online", follow);
load().catch((error) => tell(String(error.message ?? error), true));
follow();
tick();
setInterval(tick, 1000);
