// @ts-check
import { call } from "./api.js";
import { forgetKey, importKey, makeKey, sign, storedKey, storedKeys, storeKey } from "./keys.js";
import { canUseSecurityKeys, makeSecurityKey, signWithSecurityKey } from "./security-key.js";
import { text } from "./texts.js";

const form = /** @type {HTMLFormElement} */ (document.getElementById("sign-in"));
const name = /** @type {HTMLInputElement} */ (document.getElementById("name"));
const file = /** @type {HTMLInputElement} */ (document.getElementById("key-file"));
const passphrase = /** @type {HTMLInputElement} */ (document.getElementById("passphrase"));
const said = /** @type {HTMLElement} */ (document.getElementById("said"));
const shown = /** @type {HTMLTextAreaElement} */ (document.getElementById("public-key"));
const known = /** @type {HTMLElement} */ (document.getElementById("known"));

/** @param {string} message @param {boolean} [isError] */
function say(message, isError = false) {
  said.textContent = message;
  said.classList.toggle("error", isError);
}

/** @param {unknown} error */
function explain(error) {
  const message = error instanceof Error ? error.message : String(error);
  say(text(message) ?? message, true);
}

/**
 * Nothing but a sign-in to this very site is signed here, whatever the service sends.
 * @param {{ nonce: string, message: string }} challenge @param {string} who
 */
function requireSignIn(challenge, who) {
  const [format, origin, name, nonce] = JSON.parse(challenge.message);
  const fits = format === "pylfr-sign-in-1" && origin === location.origin && name === who && nonce === challenge.nonce;
  if (!fits) throw new Error("odd-challenge");
}

async function showKnown() {
  const keys = await storedKeys();
  known.replaceChildren(
    ...keys.map((each) => {
      const row = document.createElement("li");
      const use = document.createElement("button");
      use.type = "button";
      use.className = "quiet";
      use.textContent = each.name;
      use.addEventListener("click", () => {
        name.value = each.name;
        form.requestSubmit();
      });
      const forget = document.createElement("button");
      forget.type = "button";
      forget.className = "quiet small";
      forget.textContent = text("remove-key") ?? "";
      forget.setAttribute("aria-label", `${text("remove-key")}: ${each.name}`);
      forget.addEventListener("click", async () => {
        await forgetKey(each.name);
        await showKnown();
      });
      row.append(use, forget);
      return row;
    }),
  );
  const section = known.closest("section");
  if (section) section.hidden = keys.length === 0;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const who = name.value.trim();
    if (file.files?.length) {
      await storeKey(await importKey(who, await file.files[0].text(), passphrase.value));
      passphrase.value = "";
    }
    const key = await storedKey(who);
    if (!key) {
      say(text("no-key") ?? "", true);
      return;
    }
    await signIn(who, (message) => sign(key, message));
    location.assign("/");
  } catch (error) {
    explain(error);
  }
});

/** @param {string} who @param {(message: string) => Promise<string>} signs */
async function signIn(who, signs) {
  const challenge = await call("POST", "/v1/challenges", { name: who });
  requireSignIn(challenge, who);
  return call("POST", "/v1/session", { nonce: challenge.nonce, signature: await signs(challenge.message) });
}

/** The name that is entered; asks for it where there is none. */
function givenName() {
  const who = name.value.trim();
  if (!who) {
    name.focus();
    throw new Error("name-first");
  }
  return who;
}

/** @param {(who: string) => Promise<import("./keys.js").StoredKey>} make */
async function addNew(make) {
  try {
    const who = givenName();
    if (await storedKey(who)) throw new Error("key-exists");
    const key = await make(who);
    await storeKey(key);
    shown.value = key.text;
    shown.hidden = false;
    shown.select();
    say(text("key-made") ?? "");
    await showKnown();
  } catch (error) {
    explain(error);
  }
}

document.getElementById("make-key")?.addEventListener("click", () => addNew(makeKey));
document.getElementById("make-security-key")?.addEventListener("click", () => addNew(makeSecurityKey));
// With one that was made elsewhere: this browser learns which of its keys is theirs.
document.getElementById("use-security-key")?.addEventListener("click", async () => {
  try {
    const who = givenName();
    /** @type {ArrayBuffer | undefined} */
    let credential;
    const session = await signIn(who, async (message) => {
      const given = await signWithSecurityKey(message);
      credential = given.credential;
      return given.signature;
    });
    await storeKey({ name: who, text: session.key, credential });
    location.assign("/");
  } catch (error) {
    explain(error);
  }
});
for (const each of document.querySelectorAll("[data-security-key]")) {
  /** @type {HTMLElement} */ (each).hidden = !canUseSecurityKeys;
}

showKnown().catch(explain);
