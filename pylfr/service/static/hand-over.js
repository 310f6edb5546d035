// @ts-check
// The hand-over of a shift: every open alert is acknowledged by name, and whoever takes over signs for all of them.
import { nameOf, stateText } from "./alert-view.js";
import { call, callOnce, handOverText } from "./api.js";
import { sign, storedKey } from "./keys.js";
import { element, tell, wordsOf } from "./page.js";
import { filled, localTime, text } from "./texts.js";

const ME = document.body.dataset.name ?? "";
const dialog = /** @type {HTMLDialogElement} */ (element("hand-over"));
const from = /** @type {HTMLSelectElement} */ (element("taken-from"));
const signing = /** @type {HTMLButtonElement} */ (element("take-over"));

/** @type {string[]} */
let open = [];

function checkAll() {
  const boxes = /** @type {HTMLInputElement[]} */ ([...element("open-alerts").querySelectorAll("input")]);
  signing.disabled = !from.value || boxes.some((box) => !box.checked);
}

async function show() {
  const shift = await call("GET", "/v1/shift");
  open = shift.open.map((/** @type {{ id: string }} */ each) => each.id);
  const last = shift.last;
  element("last-hand-over").textContent = last
    ? filled("last-hand-over", { by: last.by, from: last.taken_from, when: localTime(last.at), count: last.alerts.length })
    : (text("no-hand-over") ?? "");
  from.replaceChildren(
    new Option("", ""),
    ...shift.people.filter((/** @type {string} */ name) => name !== ME).map((/** @type {string} */ name) => new Option(name, name)),
  );
  element("open-alerts").replaceChildren(...shift.open.map(row));
  element("nothing-open").hidden = open.length > 0;
  element("hand-over-said").textContent = "";
  checkAll();
  dialog.showModal();
}

/** @param {import("./alerts.js").Alert} alert */
function row(alert) {
  const item = document.createElement("li");
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.addEventListener("change", checkAll);
  const name = document.createElement("strong");
  name.textContent = nameOf(alert);
  const facts = document.createElement("span");
  facts.textContent = `${alert.camera} · ${localTime(alert.captured_at)} · ${stateText(alert.state)}`;
  label.append(box, name, facts);
  item.append(label);
  return item;
}

async function takeOver() {
  const said = element("hand-over-said");
  const key = await storedKey(ME);
  if (!key) {
    said.textContent = text("no-key") ?? "";
    return;
  }
  signing.disabled = true;
  const at = new Date().toISOString();
  try {
    const signature = await sign(key, handOverText({ by: ME, from: from.value, at, alerts: open }));
    const body = { taken_from: from.value, alerts: open, decided_at: at, signature };
    await callOnce("POST", "/v1/shift/hand-overs", body);
    tell(filled("handed-over", { name: from.value, count: open.length }));
    dialog.close();
  } catch (error) {
    said.textContent = wordsOf(error);
    checkAll();
  }
}

/** Let people hand over. */
export function letHandOver() {
  element("begin-hand-over").addEventListener("click", () => show().catch((error) => tell(String(error.message), true)));
  from.addEventListener("change", checkAll);
  signing.addEventListener("click", takeOver);
}
