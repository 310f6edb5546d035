// @ts-check
// Keys that never leave a security key, a smart card or this device's own chip (WebAuthn). Such a key signs a structure of
// its own, whose challenge is the SHA-256 of what is signed for; all of that structure is sent as the signature.
import { base64 } from "./bytes.js";

const PREFIX = "pylfr-webauthn ";
// Algorithms by their numbers in COSE: their names here, and how many bytes at the end of the SPKI are the public half.
/** @type {Record<number, [string, number]>} */
const ALGORITHMS = { [-8]: ["ed25519", 32], [-7]: ["es256", 65] };
/** @type {PublicKeyCredentialParameters[]} */
const WANTED = Object.keys(ALGORITHMS).map((number) => ({ type: "public-key", alg: Number(number) }));
// Shorter than a challenge lives.
const TIMEOUT_MS = 50_000;

/** Whether this browser can use one here: not at an address of numbers alone. */
export const canUseSecurityKeys =
  window.isSecureContext && "PublicKeyCredential" in window && !/^[\d.]+$|:/.test(location.hostname);

/** A new key, which asks for its owner whenever it signs. @param {string} name @returns {Promise<import("./keys.js").StoredKey>} */
export async function makeSecurityKey(name) {
  const made = await asked(() =>
    navigator.credentials.create({
      publicKey: {
        rp: { id: location.hostname, name: "pylfr" },
        user: { id: crypto.getRandomValues(new Uint8Array(16)), name, displayName: name },
        challenge: crypto.getRandomValues(new Uint8Array(32)),
        pubKeyCredParams: WANTED,
        authenticatorSelection: { residentKey: "required", userVerification: "required" },
        attestation: "none",
        timeout: TIMEOUT_MS,
      },
    }),
  );
  const answer = /** @type {AuthenticatorAttestationResponse} */ (made.response);
  const known = ALGORITHMS[answer.getPublicKeyAlgorithm()];
  const info = answer.getPublicKey();
  if (!known || !info) throw new Error("security-key-failed");
  const [algorithm, length] = known;
  const text = `${PREFIX}${location.origin} ${algorithm} ${base64(info.slice(info.byteLength - length))}`;
  return { name, text, credential: made.rawId };
}

/**
 * An assertion over UTF-8 text, by one credential, or by whichever the person takes.
 * @param {string} text @param {ArrayBuffer} [credential]
 * @returns {Promise<{ signature: string, credential: ArrayBuffer }>}
 */
export async function signWithSecurityKey(text, credential) {
  const challenge = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const given = await asked(() =>
    navigator.credentials.get({
      publicKey: {
        rpId: location.hostname,
        challenge,
        allowCredentials: credential ? [{ type: "public-key", id: credential }] : [],
        userVerification: "required",
        timeout: TIMEOUT_MS,
      },
    }),
  );
  const answer = /** @type {AuthenticatorAssertionResponse} */ (given.response);
  const parts = [answer.authenticatorData, answer.clientDataJSON, answer.signature];
  return { signature: parts.map(base64).join("."), credential: given.rawId };
}

/** @param {() => Promise<Credential | null>} ask @returns {Promise<PublicKeyCredential>} */
async function asked(ask) {
  try {
    const given = await ask();
    if (given) return /** @type {PublicKeyCredential} */ (given);
  } catch {
    // Browsers say the same of a refusal, a time-out and another key.
  }
  throw new Error("security-key-failed");
}
