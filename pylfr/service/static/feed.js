// @ts-check
// What is recorded, as it is recorded: nothing is lost over a broken connection.

// The service says something every few seconds: silence is a connection that broke without a word.
const SILENT_MS = 15_000;

/**
 * Follow the service from the last event that was heard on, for ever.
 * @param {Record<string, (told: any) => void>} acts what to do, by the kind of an event
 * @param {(state: "connected" | "reconnecting") => void} connection
 */
export function follow(acts, connection) {
  let last = "";
  let heardAt = 0;
  /** @type {EventSource | null} */
  let events = null;

  function connect() {
    events?.close();
    heardAt = Date.now();
    events = new EventSource(`/v1/events${last && `?after=${last}`}`);
    events.addEventListener("open", () => connection("connected"));
    events.addEventListener("error", () => connection("reconnecting"));
    for (const kind of ["waiting", ...Object.keys(acts)]) {
      events.addEventListener(kind, (event) => {
        heardAt = Date.now();
        if (event.lastEventId) last = event.lastEventId;
        connection("connected");
        acts[kind]?.(JSON.parse(event.data));
      });
    }
  }

  connect();
  window.addEventListener("online", connect);
  setInterval(() => {
    if (Date.now() - heardAt < SILENT_MS) return;
    connection("reconnecting");
    connect();
  }, 1_000);
}
