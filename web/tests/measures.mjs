/** Figures of the page, for `parley bench page`: `node tests/measures.mjs BASE RUNS` prints JSON.
 *
 * - interactive: from the navigation to the button that begins a call, nothing cached;
 * - script: what the talk view loads for a call in a room, gzipped;
 * - first audio: from a frame's arrival over `/ws` to its first audible sample at the output, the
 *   silence at the head of the speech taken off;
 * - layout shift: while an answer streams, as the browser counts it (web.dev/articles/cls);
 * - pan: frames a second while a graph of 300 nodes is dragged.
 */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { AUDIBLE, openPage } from "./browser.mjs";

const [base, runs] = [process.argv[2], Number(process.argv[3] ?? 5)];
const BUILT = fileURLToPath(new URL("../../flow_backend/page/assets/", import.meta.url));

async function interactive() {
  const { page, close } = await openPage(base);
  const session = await page.context().newCDPSession(page);
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector(".controls .primary")) return;
      observer.disconnect();
      window.interactiveMs = performance.now();
    }).observe(document, { childList: true, subtree: true });
  });
  const found = [];
  for (let run = 0; run < runs; run += 1) {
    await page.reload();
    await page.waitForFunction(() => window.interactiveMs);
    found.push(await page.evaluate(() => window.interactiveMs));
  }
  await close();
  return found;
}

/** What the page has loaded when a call in a room has begun, and the chunk of its visualiser. */
async function scriptKb() {
  const { page, close } = await openPage(base, { stored: { way: "livekit" } });
  await page.click(".controls .primary");
  await page.waitForSelector(".problem");
  const loaded = await page.evaluate(() =>
    performance.getEntriesByType("resource").flatMap(({ name }) => /assets\/([^/]+\.js)$/.exec(name)?.[1] ?? []),
  );
  await close();
  const files = new Set([...loaded, ...readdirSync(BUILT).filter((name) => /^room_visualiser.*\.js$/.test(name))]);
  const bytes = [...files].reduce((sum, name) => sum + gzipSync(readFileSync(BUILT + name)).length, 0);
  return bytes / 1000;
}

/** Runs in the page before its own code: when frames came, and where the voice begins in them. */
function noteFrames(audible) {
  window.answers = [];
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const { hadRecentInput, value, sources } of list.getEntries())
      if (!hadRecentInput) window.shifts.push({ value, moved: sources.map(({ node }) => node?.className ?? node?.nodeName) });
  }).observe({ type: "layout-shift", buffered: true });
  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        if (typeof data === "string") {
          if (JSON.parse(data).type === "audio_stream_start") window.answers.push({ silent: 0 });
          return;
        }
        const answer = window.answers.at(-1);
        answer.at ??= performance.now();
        if (answer.begins !== undefined) return;
        const samples = new Int16Array(data);
        const first = samples.findIndex((sample) => Math.abs(sample) > audible * 32768 * 2);
        if (first < 0) answer.silent += samples.length;
        else answer.begins = ((answer.silent + first) * 1000) / 24_000;
      });
    }
  };
}

async function firstAudio() {
  const { page, close } = await openPage(base, {
    stored: { way: "socket" },
    before: [noteFrames, AUDIBLE],
    sampleMs: 4,
  });
  await page.click(".controls .primary");
  await page.waitForSelector('.agent-state[data-state="listening"]');
  const found = [];
  await page.evaluate(() => {
    window.shifts.length = 0;
  });
  for (let run = 0; run < runs; run += 1) {
    await page.evaluate(() => {
      window.heard.length = 0;
    });
    await page.fill(".controls input", "Tell me about the tides.");
    await page.press(".controls input", "Enter");
    const latency = await page.waitForFunction(
      ([audible, wanted]) => {
        const answer = window.answers[wanted];
        const sound = window.heard.find(({ at, level }) => at > answer?.at && level > audible);
        return answer?.begins !== undefined && sound && { ms: sound.at - answer.at - answer.begins };
      },
      [AUDIBLE, run],
      { polling: 50 },
    );
    found.push((await latency.jsonValue()).ms);
    await page.waitForSelector('.agent-state[data-state="listening"]');
  }
  const shifts = await page.evaluate(() => window.shifts);
  await close();
  return {
    firstAudioMs: found,
    layoutShift: shifts.reduce((sum, { value }) => sum + value, 0),
    moved: [...new Set(shifts.flatMap(({ moved }) => moved))],
  };
}

async function panFps() {
  const { page, close } = await openPage(`${base}/#/flows/large`);
  await page.waitForSelector(".card");
  await page.waitForFunction(
    () =>
      new Promise((resolve) => {
        const before = document.querySelector(".react-flow__viewport").style.transform;
        setTimeout(() => resolve(document.querySelector(".react-flow__viewport").style.transform === before), 500);
      }),
  );
  const cards = await page.locator(".card").count();
  const box = await page.locator(".canvas").boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + 20);
  await page.mouse.down();
  const counted = page.evaluate(
    () =>
      new Promise((resolve) => {
        let count = 0;
        const start = performance.now();
        const tick = (now) => {
          count += 1;
          if (now - start < 3000) requestAnimationFrame(tick);
          else resolve((count * 1000) / (now - start));
        };
        requestAnimationFrame(tick);
      }),
  );
  let done = false;
  const drag = (async () => {
    for (let step = 0; !done; step += 1)
      await page.mouse.move(
        box.x + box.width / 2 + Math.sin(step / 12) * 200,
        box.y + box.height / 2 + Math.cos(step / 12) * 150,
      );
  })();
  const fps = await counted;
  done = true;
  await drag;
  await page.mouse.up();
  await close();
  return { panFps: fps, cards };
}

const found = { interactiveMs: await interactive(), scriptKb: await scriptKb(), ...(await firstAudio()), ...(await panFps()) };
process.stdout.write(`${JSON.stringify(found)}\n`);
process.exit(0);
