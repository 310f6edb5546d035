// @ts-check
// Every page of somebody who is signed in: signing out, and times in the reader's zone.
import { call } from "./api.js";
import { localTime } from "./texts.js";

document.getElementById("sign-out")?.addEventListener("click", async () => {
  await call("DELETE", "/v1/session").catch(() => null);
  location.assign("/sign-in");
});

for (const time of document.querySelectorAll("time[data-local]")) {
  const element = /** @type {HTMLTimeElement} */ (time);
  element.title = element.textContent ?? "";
  element.textContent = localTime(element.dateTime);
}
