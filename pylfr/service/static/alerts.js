// @ts-check
// The alerts of this page: in memory alone, and only until their retention ends.
import { call } from "./api.js";

/** @typedef {{ by: string, what: string, at: string, reason: string }} Decision */
/**
 * @typedef {{ id: string, camera: string, captured_at: string, possible_match: string | null, category: string | null, state: string,
 *   verdicts_in: number, verdicts_needed: number, mine: Decision | null, verdicts: Decision[] | null,
 *   score: number | null, threshold: number | null, engagement: Decision | null, outcome: Decision | null,
 *   erase_at: string | null, pictures: string[], reasons_for: string[], differences: string[] }} Alert
 */

/** @type {Map<string, Alert>} */
export const alerts = new Map();

/** What belongs into each queue. @type {Record<string, (alert: Alert) => boolean>} */
export const QUEUES = {
  first: (alert) => alert.state === "open",
  second: (alert) => alert.state === "partly adjudicated" && !alert.mine,
  confirmed: (alert) => alert.state === "confirmed" || alert.state === "engaged",
  all: () => true,
};

/** A queue, the oldest first. @param {string} queue */
export function waiting(queue) {
  return [...alerts.values()].filter(QUEUES[queue]).sort((a, b) => a.captured_at.localeCompare(b.captured_at));
}

/** Everything anew. */
export async function load() {
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
}

// Alerts that have changed and are not fetched yet; each is removed only when it has arrived.
/** @type {Set<string>} */
const changed = new Set();
let isFetching = false;
// From so many on, one list is cheaper than each by itself.
const MANY = 5;
const RETRY_MS = 1_000;

/**
 * Fetch an alert, retrying on failure; `done` is called when it has arrived, `fails` for each failure.
 * @param {string} id @param {() => void} done @param {() => void} fails
 */
export async function refresh(id, done, fails) {
  changed.add(id);
  if (isFetching) return;
  isFetching = true;
  try {
    while (changed.size) {
      const ids = [...changed];
      changed.clear();
      try {
        if (ids.length > MANY) await load();
        else for (const each of ids) alerts.set(each, await call("GET", `/v1/alerts/${encodeURIComponent(each)}`));
      } catch (error) {
        for (const each of ids) changed.add(each);
        throw error;
      }
      done();
    }
  } catch {
    fails();
    const next = changed.values().next().value;
    if (next !== undefined) setTimeout(() => refresh(next, done, fails), RETRY_MS);
  } finally {
    isFetching = false;
  }
}

/** Forget who was matched where the retention of that has ended, also without a connection. @returns {boolean} whether it did */
export function forgetOver() {
  let did = false;
  for (const alert of alerts.values()) {
    if (!alert.erase_at || Date.now() < Date.parse(alert.erase_at)) continue;
    alerts.set(alert.id, { ...alert, possible_match: null, category: null, pictures: [], erase_at: null });
    did = true;
  }
  return did;
}
