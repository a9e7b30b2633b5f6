/** A page in Debian's Chromium, with a wav as microphone and an ear on what it plays. */

import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
  "--allow-loopback-in-peer-connection",
  "--host-resolver-rules=MAP parley.lan 127.0.0.1",
];
const SAMPLE_MS = 20;
/** For a machine that has much else to do. */
const TIMEOUT_MS = 60_000;

/** Runs in the page before its own code: keeps the level of all sound, files made, and what the policy blocked. */
function listen(sampleMs) {
  window.heard = [];
  window.violations = [];
  addEventListener("securitypolicyviolation", (event) =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI}`),
  );
  window.files = new Map();
  const makeUrl = URL.createObjectURL;
  URL.createObjectURL = (file) => {
    const url = makeUrl.call(URL, file);
    window.files.set(url, file);
    return url;
  };
  const ears = [];
  const earOn = (source) => {
    const ear = source.context.createAnalyser();
    ear.fftSize = 1024;
    connect.call(source, ear);
    ears.push(ear);
  };
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) earOn(this);
    return connect.call(this, target, ...rest);
  };
  const known = new WeakSet();
  let context;
  setInterval(() => {
    for (const element of document.querySelectorAll("audio[data-parley]")) {
      if (!element.srcObject || known.has(element.srcObject)) continue;
      known.add(element.srcObject);
      context ??= new AudioContext();
      earOn(context.createMediaStreamSource(element.srcObject));
    }
    const samples = new Float32Array(1024);
    let level = 0;
    for (const ear of ears) {
      ear.getFloatTimeDomainData(samples);
      level = Math.max(level, Math.hypot(...samples) / Math.sqrt(samples.length));
    }
    window.heard.push({ at: performance.now(), level });
  }, sampleMs);
}

/** `blocks`: the content security policy is meant to block something. */
export async function openPage(base, { wav, microphone = true, colorScheme = "light", width = 1280, height = 860, stored = {}, before, sampleMs = SAMPLE_MS, blocks = false } = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      ...FLAGS,
      ...(microphone ? ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"] : []),
      ...(wav ? [`--use-file-for-fake-audio-capture=${wav}%noloop`] : []),
    ],
  });
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  context.setDefaultTimeout(TIMEOUT_MS);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (!blocks && /Content Security Policy/.test(message.text())) errors.push(message.text());
  });
  await page.addInitScript(listen, sampleMs);
  if (before) await page.addInitScript(...before);
  await page.goto(base);
  await page.evaluate((values) => {
    for (const [key, value] of Object.entries(values)) localStorage.setItem(`parley.${key}`, value);
  }, stored);
  await page.reload();
  const close = async () => {
    if (!blocks) errors.push(...(await page.evaluate(() => window.violations)));
    await browser.close();
    if (errors.length > 0) throw new Error(`The page complained: ${errors.join("; ")}`);
  };
  opened = page;
  return { page, close };
}

let opened;

/** What the page that was opened last shows, for whoever looks into a failure. */
export const shown = () =>
  opened?.evaluate(() => [document.body.innerText, ...document.querySelectorAll(".log li")].map((part) => part.textContent ?? part).join("\n"));

export const AUDIBLE = 0.01;

export const untilAudible = (page, timeout = 60_000) =>
  page.waitForFunction((audible) => window.heard.some(({ level }) => level > audible), AUDIBLE, { timeout });

/** Waits until nothing was to be heard for `ms`. */
export const untilSilent = (page, ms, timeout = 60_000) =>
  page.waitForFunction(
    ([audible, quiet]) => {
      const since = performance.now() - quiet;
      return window.heard[0].at < since && window.heard.every(({ at, level }) => at < since || level < audible);
    },
    [AUDIBLE, ms],
    { timeout },
  );
