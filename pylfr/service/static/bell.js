// @ts-check
// A tone and a vibration for a new alert, which can be switched off.
const sound = /** @type {HTMLInputElement} */ (document.getElementById("sound"));

/** @type {AudioContext | null} */
let audio = null;

export function ring() {
  if (!sound.checked) return;
  audio ??= new AudioContext();
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  volume.gain.setValueAtTime(0.15, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.4);
  tone.frequency.value = 660;
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.4);
  navigator.vibrate?.(200);
}

sound.checked = localStorage.getItem("sound") !== "off";
sound.addEventListener("change", () => localStorage.setItem("sound", sound.checked ? "on" : "off"));
