// @ts-check
// The watchlist: enrol with every reason of a refusal, review, withdraw.
import { call, callOnce } from "./api.js";
import { base64 } from "./bytes.js";
import { askWhy, element, tell, tellError } from "./page.js";
import { filled } from "./texts.js";

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("enrol"));

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = new FormData(form);
  const file = /** @type {File} */ (given.get("picture"));
  /** @type {Record<string, string>} */
  const asked = {};
  for (const [name, value] of given) if (typeof value === "string" && value.trim()) asked[name] = value.trim();
  if (asked.expires_at) asked.expires_at = new Date(asked.expires_at).toISOString();
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
  button.disabled = true;
  try {
    const made = await callOnce("POST", "/v1/watchlist/entries", { ...asked, picture: encoded(await file.arrayBuffer()) });
    tell(filled("enrolled", { name: made.name }));
    location.reload();
  } catch (error) {
    tellError(error);
    element("said").scrollIntoView({ block: "center" });
  } finally {
    button.disabled = false;
  }
});

/** Base64 of a file, piece by piece: arguments of a call are limited. @param {ArrayBuffer} content */
function encoded(content) {
  const bytes = new Uint8Array(content);
  // A multiple of three, so that the pieces fit together.
  const piece = 3 * 8192;
  let made = "";
  for (let at = 0; at < bytes.length; at += piece) made += base64(bytes.subarray(at, at + piece));
  return made;
}

for (const button of document.querySelectorAll("[data-review]")) {
  button.addEventListener("click", async () => {
    try {
      await callOnce("POST", `/v1/watchlist/entries/${/** @type {HTMLElement} */ (button).dataset.review}/reviews`, undefined);
      location.reload();
    } catch (error) {
      tellError(error);
    }
  });
}

for (const button of document.querySelectorAll("[data-withdraw]")) {
  button.addEventListener("click", async () => {
    const { withdraw, name } = /** @type {HTMLElement} */ (button).dataset;
    const because = await askWhy(filled("reason-withdraw", { name: name ?? "" }));
    if (because === null) return;
    try {
      await call("DELETE", `/v1/watchlist/entries/${withdraw}`, { because });
      location.reload();
    } catch (error) {
      tellError(error);
    }
  });
}
