// @ts-check
// Every page of somebody who is signed in: signing out, and times in the reader's zone.
import { call } from "./api.js";
import { localTime, text } from "./texts.js";

/** The element with that id, which the page has. @param {string} id @returns {HTMLElement} */
export const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Say something where the page says things, to who listens too. @param {string} message @param {boolean} [isError] */
export function tell(message, isError = false) {
  const said = element("said");
  said.textContent = message;
  said.classList.toggle("error", isError);
}

/** What an error says: in our words where its message names them. @param {unknown} error */
export function wordsOf(error) {
  const message = error instanceof Error ? error.message : String(error);
  return text(message) ?? message;
}

/** Say what went wrong. @param {unknown} error */
export function tellError(error) {
  tell(wordsOf(error), true);
}

/** Times below `root` as the reader's clock has them. @param {ParentNode} root */
export function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[data-local]")) {
    const shown = /** @type {HTMLTimeElement} */ (time);
    shown.title = shown.textContent ?? "";
    shown.textContent = localTime(shown.dateTime);
  }
}

/**
 * Ask for a reason in the page's dialog; null where whoever was asked thought better of it.
 * @param {string} question @returns {Promise<string | null>}
 */
export function askWhy(question) {
  const dialog = /** @type {HTMLDialogElement} */ (element("why"));
  const input = /** @type {HTMLInputElement} */ (element("because"));
  element("question").textContent = question;
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? input.value.trim() : null), { once: true });
  });
}

document.getElementById("sign-out")?.addEventListener("click", async () => {
  await call("DELETE", "/v1/session").catch(() => null);
  location.assign("/sign-in");
});
// A form of a dialog would be sent; the policy of the page forbids that.
for (const button of document.querySelectorAll("dialog [data-close]")) {
  button.addEventListener("click", () => {
    const dialog = button.closest("dialog");
    const needed = /** @type {HTMLInputElement | null} */ (dialog?.querySelector("input[required]") ?? null);
    const answer = /** @type {HTMLElement} */ (button).dataset.close ?? "";
    if (answer === "yes" && needed && !needed.value.trim()) needed.focus();
    else dialog?.close(answer);
  });
}
for (const input of document.querySelectorAll("dialog input[required]")) {
  input.addEventListener("keydown", (event) => {
    if (/** @type {KeyboardEvent} */ (event).key !== "Enter") return;
    event.preventDefault();
    /** @type {HTMLElement | null} */ (input.closest("dialog")?.querySelector('[data-close="yes"]') ?? null)?.click();
  });
}
showLocalTimes(document);
// On a phone the links do not fit beside each other: the one of this page is to be seen.
document.querySelector('.top [aria-current="page"]')?.scrollIntoView({ inline: "center", block: "nearest" });
