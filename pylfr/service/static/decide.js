// @ts-check
// What a person may decide on an alert: chosen, taken back or signed; nothing is decided by a time-out.
import { decisionWord } from "./alert-view.js";
import { callOnce, decisionText } from "./api.js";
import { sign, storedKey } from "./keys.js";
import { element, tell, tellError } from "./page.js";
import { filled, text } from "./texts.js";

/** @typedef {import("./alerts.js").Alert} Alert */

const ME = document.body.dataset.name ?? "";
const ROLES = (document.body.dataset.roles ?? "").split(",");
const ADJUDICATES = ROLES.includes("operator") || ROLES.includes("second operator");
const ENGAGES = ROLES.includes("engagement officer");

const reason = /** @type {HTMLInputElement} */ (element("reason"));
const signing = /** @type {HTMLButtonElement} */ (element("sign"));

/** Words and the keys that choose them, by the kind of a decision. @type {Record<string, [string, string][]>} */
const WORDS = {
  adjudication: [["same person", "s"], ["different person", "d"], ["cannot tell", "c"]],
  engagement: [["engage", "e"], ["do not engage", "n"]],
  outcome: [["true alert", "t"], ["false alert", "f"], ["unresolved", "u"]],
};
WORDS["verdict-amended"] = WORDS.adjudication;
WORDS["outcome-amended"] = WORDS.outcome;

/** Where a decision of each kind goes. @type {Record<string, string>} */
const PATHS = {
  adjudication: "verdicts",
  "verdict-amended": "verdicts",
  engagement: "engagements",
  outcome: "outcomes",
  "outcome-amended": "outcomes",
};

/** @type {Alert | null} */
let alert = null;
/** @type {{ kind: string, what: string } | null} */
let pending = null;
// The alert whose decision is being amended.
let amending = "";
let isSigning = false;

/** The kind of what this person may decide on an alert now; "" for nothing. @param {Alert} on */
function kindOf(on) {
  if (on.differences.length) return "";
  if (amending === on.id) return amendable(on);
  if (ADJUDICATES && !on.mine && ["open", "partly adjudicated"].includes(on.state)) return "adjudication";
  if (ENGAGES && on.state === "confirmed") return "engagement";
  if (ENGAGES && ["engaged", "not engaged", "refuted"].includes(on.state)) return "outcome";
  return "";
}

/** What of this person's own decisions may be amended. @param {Alert} on */
function amendable(on) {
  if (on.differences.length) return "";
  if (ENGAGES && on.outcome) return "outcome-amended";
  return ADJUDICATES && on.mine ? "verdict-amended" : "";
}

/** @param {Alert} shown */
export function drawDecisions(shown) {
  if (alert?.id !== shown.id) forgetChoice();
  alert = shown;
  const kind = kindOf(shown);
  if (pending && pending.kind !== kind) pending = null;
  element("actions").replaceChildren(...(WORDS[kind] ?? []).map(([what, key]) => choice(kind, what, key)));
  element("decide").hidden = kind === "";
  const amend = element("amend");
  amend.hidden = amendable(shown) === "" || amending === shown.id;
  amend.textContent = text(amendable(shown) === "outcome-amended" ? "amend-outcome" : "amend-verdict") ?? "";
  drawPending();
}

/** @param {string} kind @param {string} what @param {string} key */
function choice(kind, what, key) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.what = what;
  button.setAttribute("aria-pressed", String(pending?.what === what));
  button.append(decisionWord(what), " ");
  const shown = document.createElement("kbd");
  shown.textContent = key.toUpperCase();
  button.append(shown);
  button.setAttribute("aria-keyshortcuts", key);
  button.addEventListener("click", () => choose(kind, what));
  return button;
}

function needsReason() {
  return Boolean(pending && (pending.kind.endsWith("-amended") || alert?.reasons_for.includes(pending.what)));
}

/** What the line beside a decision is for. @param {string} kind */
function labelOf(kind) {
  if (kind.endsWith("-amended")) return "reason-amends";
  if (needsReason()) return "reason-needed";
  return kind === "engagement" || kind === "outcome" ? "place-and-note" : "reason";
}

function drawPending() {
  element("reason-label").textContent = text(labelOf(pending?.kind ?? (alert ? kindOf(alert) : ""))) ?? "";
  reason.setAttribute("aria-required", String(needsReason()));
  element("confirm").hidden = pending === null;
  for (const button of element("actions").children) {
    button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.what === pending?.what));
  }
  if (!pending) return;
  const words = pending.kind.endsWith("-amended") ? "about-to-amend" : "about-to";
  element("about-to").textContent = filled(words, { what: decisionWord(pending.what), name: ME });
  signing.disabled = isSigning || (needsReason() && !reason.value.trim());
}

/** @param {string} kind @param {string} what */
function choose(kind, what) {
  pending = { kind, what };
  drawPending();
  (needsReason() && !reason.value.trim() ? reason : signing).focus();
}

/** Take back what is chosen; whether there was anything. */
export function undo() {
  const was = pending !== null || amending !== "";
  forgetChoice();
  if (alert) drawDecisions(alert);
  return was;
}

function forgetChoice() {
  pending = null;
  amending = "";
  reason.value = "";
}

/** Choose by a letter. @param {string} key */
export function chooseByKey(key) {
  const kind = alert ? kindOf(alert) : "";
  const found = (WORDS[kind] ?? []).find(([, letter]) => letter === key);
  if (found) choose(kind, found[0]);
}

/**
 * Sign what is chosen, and have it recorded; `recorded` gets the alert as it is then.
 * @param {(now: Alert, kind: string) => void} recorded
 */
async function signPending(recorded) {
  if (!alert || !pending || isSigning || signing.disabled) return;
  const { kind, what } = pending;
  const id = alert.id;
  const key = await storedKey(ME);
  if (!key) {
    tell(text("no-key") ?? "", true);
    return;
  }
  const at = new Date().toISOString();
  const words = { kind, alert: id, by: ME, what, at, reason: reason.value.trim() };
  isSigning = true;
  drawPending();
  try {
    const body = {
      what,
      decided_at: at,
      reason: words.reason,
      signature: await sign(key, decisionText(words)),
      ...(kind.endsWith("-amended") ? { amends: true } : {}),
    };
    const path = `/v1/alerts/${encodeURIComponent(id)}/${PATHS[kind]}`;
    const now = await callOnce("POST", path, body, () => tell(text("waiting-to-send") ?? ""));
    forgetChoice();
    tell(filled("recorded", { what: decisionWord(what) }));
    recorded(now, kind);
  } catch (error) {
    tellError(error);
  } finally {
    isSigning = false;
    drawPending();
  }
}

/** Let people decide. @param {(now: Alert, kind: string) => void} recorded */
export function letDecide(recorded) {
  signing.addEventListener("click", () => signPending(recorded));
  element("undo").addEventListener("click", undo);
  reason.addEventListener("input", drawPending);
  reason.addEventListener("keydown", (event) => {
    if (event.key === "Enter") signing.click();
  });
  element("amend").addEventListener("click", () => {
    if (!alert) return;
    amending = alert.id;
    drawDecisions(alert);
    reason.focus();
  });
}
