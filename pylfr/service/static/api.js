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
 * @param {string} method @param {string} path @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-cache",
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

/**
 * What a person signs: canonical JSON of format, kind, alert, name, decision, time and reason. These are the bytes that
 * `pylfr alerts` signs too.
 * @param {{ kind: string, alert: string, by: string, what: string, at: string, reason: string }} decision
 */
export function decisionText({ kind, alert, by, what, at, reason }) {
  return JSON.stringify(["pylfr-decision-2", kind, alert, by, what, at, reason]);
}
