// @ts-check
// The interface of the service, as pages call it.

/** A refusal, in the words of the service. */
export class Problem extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/**
 * @param {string} method @param {string} path @param {unknown} [body] @param {Record<string, string>} [headers]
 * @returns {Promise<any>}
 */
export async function call(method, path, body, headers = {}) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  if (response.status === 401 && !path.startsWith("/v1/session")) {
    location.assign("/sign-in");
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Problem(response.status, told.detail ?? response.statusText);
  }
  return response.status === 204 ? null : response.json();
}

// What was signed counts for two minutes.
const LASTS_MS = 100_000;
const RETRY_MS = 1_000;

/**
 * A change that is made once, however often a weak link makes us send it: until there is an answer, or what was signed
 * is too old. `waits` is called when it could not be sent and is tried again.
 * @param {string} method @param {string} path @param {unknown} body @param {() => void} [waits]
 * @returns {Promise<any>}
 */
export async function callOnce(method, path, body, waits) {
  const key = { "Idempotency-Key": crypto.randomUUID() };
  const until = Date.now() + LASTS_MS;
  for (;;) {
    try {
      return await call(method, path, body, key);
    } catch (error) {
      // A refusal is an answer; anything else means that none came.
      if (error instanceof Problem || Date.now() > until) throw error;
      waits?.();
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/**
 * What a person signs: canonical JSON of format, kind, alert, name, decision, time and reason. These are the bytes that
 * `pylfr alerts` signs too.
 * @param {{ kind: string, alert: string, by: string, what: string, at: string, reason: string }} decision
 */
export function decisionText({ kind, alert, by, what, at, reason }) {
  return JSON.stringify(["pylfr-decision-2", kind, alert, by, what, at, reason]);
}

/**
 * What whoever takes over a shift signs: the ids of all open alerts, in order.
 * @param {{ by: string, from: string, at: string, alerts: string[] }} handOver
 */
export function handOverText({ by, from, at, alerts }) {
  return JSON.stringify(["pylfr-hand-over-1", by, from, at, ...[...alerts].sort()]);
}
