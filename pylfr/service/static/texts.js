// @ts-check
// Words of this page in the reader's language, from the page itself.

const source = document.getElementById("texts");
/** @type {Record<string, string>} */
const TEXTS = source ? JSON.parse(source.textContent ?? "{}") : {};

/** @param {string} key @returns {string | undefined} */
export function text(key) {
  return TEXTS[key];
}

/** A text with its `{name}` places filled. @param {string} key @param {Record<string, string | number>} values */
export function filled(key, values) {
  return (TEXTS[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

const PAGE = document.documentElement.lang;

/** The page's language, as the reader's country writes it. */
export const LANGUAGE = navigator.languages.find((wish) => wish.split("-")[0] === PAGE) ?? PAGE;

/** A time of day for people, in their own zone. @param {string} iso */
export function localTime(iso) {
  return new Intl.DateTimeFormat(LANGUAGE, { timeStyle: "medium", dateStyle: "medium" }).format(new Date(iso));
}

/** The same in UTC. @param {string} iso */
export function utcTime(iso) {
  return `${new Date(iso).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** How long ago, or until when, in words. @param {number} seconds from now; negative is past */
export function relative(seconds) {
  const format = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto" });
  const size = Math.abs(seconds);
  if (size < 90) return format.format(Math.round(seconds), "second");
  if (size < 90 * 60) return format.format(Math.round(seconds / 60), "minute");
  if (size < 36 * 3600) return format.format(Math.round(seconds / 3600), "hour");
  return format.format(Math.round(seconds / 86400), "day");
}
