// @ts-check
// Signing keys: Ed25519, imported or made here, never extractable, in this browser's IndexedDB; or where to find one on a
// security key.
import { base64, fromBase64, hex } from "./bytes.js";
import { signWithSecurityKey } from "./security-key.js";

const DATABASE = "pylfr";
const STORE = "keys";
const PREFIX = "pylfr-ed25519 ";

/**
 * A person's key: itself, or which credential it is of a security key.
 * @typedef {{ name: string, text: string, key?: CryptoKey, credential?: ArrayBuffer }} StoredKey
 */

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: "name" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} ask
 * @returns {Promise<T>}
 */
async function inStore(mode, ask) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const asked = ask(database.transaction(STORE, mode).objectStore(STORE));
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    });
  } finally {
    database.close();
  }
}

/** @param {string} name @returns {Promise<StoredKey | undefined>} */
export const storedKey = (name) => inStore("readonly", (store) => store.get(name));

/** @returns {Promise<StoredKey[]>} */
export const storedKeys = () => inStore("readonly", (store) => store.getAll());

/** @param {StoredKey} key */
export const storeKey = (key) => inStore("readwrite", (store) => store.put(key));

/** @param {string} name */
export const forgetKey = (name) => inStore("readwrite", (store) => store.delete(name));

/** Sign UTF-8 text; the signature as text. @param {StoredKey} stored @param {string} text */
export async function sign({ key, credential }, text) {
  if (!key) return (await signWithSecurityKey(text, credential)).signature;
  return base64(await crypto.subtle.sign("Ed25519", key, new TextEncoder().encode(text)));
}

/** A new key, whose private half cannot leave this browser. @param {string} name @returns {Promise<StoredKey>} */
export async function makeKey(name) {
  const pair = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]));
  const raw = await crypto.subtle.exportKey("raw", pair.publicKey);
  return { name, text: PREFIX + base64(raw), key: pair.privateKey };
}

/**
 * The key in a file that `pylfr authority keygen` made, with its passphrase where it has one.
 * @param {string} name @param {string} pem @param {string} passphrase @returns {Promise<StoredKey>}
 */
export async function importKey(name, pem, passphrase) {
  const found = /-----BEGIN (ENCRYPTED )?PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(pem);
  if (!found) throw new Error("not-a-key");
  const der = fromBase64(found[2].replace(/\s/g, ""));
  const plain = found[1] ? await decrypt(der, passphrase) : der;
  try {
    // Extractable for a moment, to learn the public half; what is stored is not.
    const seen = await crypto.subtle.importKey("pkcs8", plain, "Ed25519", true, ["sign"]);
    const { x } = await crypto.subtle.exportKey("jwk", seen);
    const padded = String(x).replace(/-/g, "+").replace(/_/g, "/") + "=";
    const key = await crypto.subtle.importKey("pkcs8", plain, "Ed25519", false, ["sign"]);
    return { name, text: PREFIX + padded, key };
  } catch {
    throw new Error("not-a-key");
  } finally {
    plain.fill(0);
  }
}

// Object identifiers, as DER writes them: PBES2, PBKDF2, HMAC-SHA256, AES-256-CBC.
const PBES2 = "2a864886f70d01050d";
const PBKDF2 = "2a864886f70d01050c";
const HMAC_SHA256 = "2a864886f70d0209";
const AES_256_CBC = "60864801650304012a";

/** PKCS #8 under PBES2 with PBKDF2, HMAC-SHA256 and AES-256-CBC. @param {Uint8Array} der @param {string} passphrase */
async function decrypt(der, passphrase) {
  const [algorithm, sealed] = parts(parts(der)[0].body);
  const [scheme, parameters] = parts(algorithm.body);
  const [derivation, encryption] = parts(parameters.body);
  const [derivationName, derivationParameters] = parts(derivation.body);
  const [salt, iterations, ...rest] = parts(derivationParameters.body);
  const [encryptionName, iv] = parts(encryption.body);
  const hash = rest.find((part) => part.tag === 0x30);
  const known =
    hex(scheme.body) === PBES2 &&
    hex(derivationName.body) === PBKDF2 &&
    hash !== undefined &&
    hex(parts(hash.body)[0].body) === HMAC_SHA256 &&
    hex(encryptionName.body) === AES_256_CBC;
  if (!known) throw new Error("not-a-key");
  const secret = await crypto.subtle.importKey("raw", new TextEncoder().encode(passphrase), "PBKDF2", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", salt: salt.body, iterations: parseInt(hex(iterations.body), 16) },
    secret,
    { name: "AES-CBC", length: 256 },
    false,
    ["decrypt"],
  );
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv: iv.body }, key, sealed.body));
  } catch {
    throw new Error("wrong-passphrase");
  }
}

/** The elements of DER, one level deep. @param {Uint8Array} der @returns {{ tag: number, body: Uint8Array<ArrayBuffer> }[]} */
function parts(der) {
  const found = [];
  for (let at = 0; at < der.length; ) {
    const tag = der[at];
    let length = der[at + 1];
    at += 2;
    if (length & 0x80) {
      const bytes = length & 0x7f;
      length = parseInt(hex(der.subarray(at, at + bytes)), 16);
      at += bytes;
    }
    if (!(at + length <= der.length)) throw new Error("not-a-key");
    found.push({ tag, body: new Uint8Array(der.subarray(at, at + length)) });
    at += length;
  }
  return found;
}
