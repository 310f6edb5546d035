// @ts-check
// The run from its page: a higher threshold, and its end.
import { call, callOnce } from "./api.js";
import { askWhy, element, tell, tellError } from "./page.js";
import { filled, text } from "./texts.js";

const threshold = /** @type {HTMLInputElement | null} */ (document.getElementById("threshold"));

document.getElementById("raise")?.addEventListener("click", async () => {
  if (!threshold) return;
  try {
    const now = await callOnce("POST", "/v1/deployment/threshold", { threshold: Number(threshold.value) });
    show(now);
    tell(filled("raised", { threshold: now.threshold.toFixed(3) }));
  } catch (error) {
    tellError(error);
  }
});

document.getElementById("stop")?.addEventListener("click", async () => {
  const because = await askWhy(text("reason-stop") ?? "");
  if (because === null) return;
  try {
    await callOnce("POST", "/v1/deployment/stop", { because });
    tell(text("stopping") ?? "");
  } catch (error) {
    tellError(error);
  }
});

/** @param {{ threshold: number, alerts: number, counts: Record<string, number> }} now */
function show(now) {
  element("threshold-now").textContent = now.threshold.toFixed(3);
  element("alerts-now").textContent = String(now.alerts);
  for (const [name, count] of Object.entries(now.counts)) {
    const cell = document.querySelector(`[data-count="${name}"]`);
    if (cell) cell.textContent = String(count);
  }
}

setInterval(() => call("GET", "/v1/deployment").then(show, () => null), 5_000);
