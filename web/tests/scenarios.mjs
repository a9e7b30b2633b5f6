/** What the page must do, each in a browser of its own; run by tests/e2e/test_page.py.
 *
 * `node tests/scenarios.mjs NAME BASE [WAV]` prints what it found as JSON. A scenario that needs
 * something done outside prints `? WHAT` and waits for a line. Some need a value that only the
 * outside has: it is in the environment as GIVEN.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { openPage, shown, untilAudible, untilSilent } from "./browser.mjs";

const [name, base, wav] = process.argv.slice(2);
const given = process.env.GIVEN ?? "";
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (what) => {
  process.stdout.write(`? ${what}\n`);
  await answers.next();
};
const check = (holds, words) => {
  if (!holds) throw new Error(words);
};
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const say = async (page, text) => {
  await page.fill(".controls input", text);
  await page.press(".controls input", "Enter");
};
const begin = (page) => page.click(".controls .primary");
const state = (page, wanted, timeout = 60_000) =>
  page.waitForSelector(`.agent-state[data-state="${wanted}"]`, { timeout });

async function talk(way) {
  const { page, close } = await openPage(base, { wav, stored: { way } });
  await page.click(".see > summary");
  await page.getByRole("checkbox", { name: "Record this call" }).check();
  await begin(page);
  const user = page.locator('.transcript li[data-who="user"]:not([data-open]) p').first();
  await user.waitFor({ timeout: 90_000 });
  const agent = page.locator('.transcript li[data-who="agent"] p', { hasText: "scripted" }).first();
  await agent.waitFor({ timeout: 60_000 });
  await untilAudible(page);
  await untilSilent(page, 1000);
  const words = await page.locator('.transcript li[data-who="user"] p').allInnerTexts();
  await page.locator(".latency").waitFor();
  const exported = await savedBy(page, "Export as JSON");
  const peak = await page.evaluate(() => Math.max(...window.heard.map(({ level }) => level)));
  const visited = await page.locator(".progress .card[data-active]").allInnerTexts();
  await page.locator(".waterfall").first().waitFor();
  const stages = await page.locator(".waterfall th[scope=row]").allInnerTexts();
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${way}.png`, fullPage: true });
  const bars = await page.locator(".visualiser .lk-audio-bar").count();
  await page.click(".controls .danger");
  await state(page, "ended");
  await page.locator(".see audio").evaluate((audio) => audio.play());
  await page.waitForFunction(() => document.querySelector(".see audio").currentTime > 0.5);
  const played = await page.locator(".played li").count();
  const { seeksTo, levels } = await recording(page);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${way}-played.png`, fullPage: true });
  await close();
  return { user: words.join(" "), peak, bars, visited, stages, played, seeksTo, levels, exported: JSON.parse(exported) };
}

/** What the file holds that a button offers. */
async function savedBy(page, name) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
  return readFileSync(await download.path(), "utf8");
}

/** Where the last line's button leads, and the sound just before and just after the first line. */
async function recording(page) {
  await page.locator(".played button").last().click();
  await page.waitForFunction(() => !document.querySelector(".see audio").seeking);
  return page.evaluate(async () => {
    const audio = document.querySelector(".see audio");
    audio.pause();
    const sound = await window.files.get(audio.src).arrayBuffer();
    const decoded = await new OfflineAudioContext(1, 1, 48_000).decodeAudioData(sound);
    const samples = decoded.getChannelData(0);
    const level = (fromS, toS) => {
      const part = samples.slice(Math.max(0, fromS) * decoded.sampleRate, toS * decoded.sampleRate);
      return part.length ? Math.sqrt(part.reduce((sum, sample) => sum + sample ** 2, 0) / part.length) : 0;
    };
    document.querySelector(".played button").click();
    const firstS = audio.currentTime;
    return {
      seeksTo: { duration: audio.duration, decoded: decoded.duration, firstS },
      levels: { before: level(firstS - 0.5, firstS - 0.15), after: level(firstS, firstS + 0.6) },
    };
  });
}

async function interrupt(way) {
  const { page, close } = await openPage(base, { stored: { way }, wav });
  await begin(page);
  await state(page, "listening");
  await say(page, "Count for me.");
  await untilAudible(page);
  await page.waitForTimeout(1500); // somebody listens before they interrupt
  await page.getByRole("button", { name: "Stop the voice" }).click();
  const pressed = await page.evaluate(() => performance.now());
  await untilSilent(page, 800, 8000);
  const lastSound = await page.evaluate(() => window.heard.findLast(({ level }) => level > 0.01).at);
  const cut = page.locator('.transcript li[data-who="agent"] p', { has: page.locator(".cut") });
  await cut.waitFor({ timeout: 20_000 });
  const text = await page.locator('.transcript li[data-who="agent"] p').last().innerText();
  await close();
  return { silentAfterMs: lastSound - pressed, text };
}

async function restart() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket" } });
  const fresh = await (await page.context().browser().newContext()).newPage(); // with a cache of its own
  await fresh.goto(base);
  await begin(page);
  await state(page, "listening");
  await ask("stop");
  await state(page, "reconnecting");
  await page.waitForSelector('.problem[data-code="server_down"]');
  await page.fill(".controls input", "Are you back?");
  check(await page.getByRole("button", { name: "Send" }).isDisabled(), "What is typed would be lost.");
  // Other views, and other pages' calls, say it too, and go on when asked.
  await page.evaluate(() => {
    location.hash = "#/flows";
  });
  const retry = page.getByRole("button", { name: "Try again" });
  await retry.waitFor();
  await begin(fresh);
  await fresh.waitForSelector('.problem[data-code="server_down"]');
  await ask("start");
  await retry.click();
  await page.locator(".flow-list li").first().waitFor();
  await page.evaluate(() => {
    location.hash = "#/talk";
  });
  await state(page, "listening");
  await page.press(".controls input", "Enter");
  await page.locator('.transcript li[data-who="agent"] p', { hasText: "scripted" }).waitFor();
  check((await page.locator(".problem").count()) === 0, "The problem still shows.");
  await begin(fresh);
  await state(fresh, "listening");
  await close();
  return {};
}

/** The page is frozen, as when a laptop sleeps; meanwhile its connection dies. */
async function asleep() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket" } });
  await begin(page);
  await state(page, "listening");
  const session = await page.context().newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await ask("stop");
  await ask("start");
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await page.waitForFunction(() => !document.querySelector(".problem"));
  await page.locator(".log li", { hasText: "disconnected" }).first().waitFor({ state: "attached" });
  await state(page, "listening");
  await say(page, "Good morning.");
  await page.locator('.transcript li[data-who="agent"] p', { hasText: "scripted" }).waitFor();
  await close();
  return {};
}

async function twoTabs() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket" } });
  await begin(page);
  await state(page, "listening");
  const second = await page.context().newPage();
  await second.goto(base);
  await begin(second);
  await state(second, "listening");
  await state(page, "ended");
  const words = await page.innerText('.problem[data-code="second_tab"]');
  await second.fill(".controls input", "Here I am.");
  await second.press(".controls input", "Enter");
  await second.locator('.transcript li[data-who="agent"] p', { hasText: "scripted" }).waitFor();
  await close();
  return { words };
}

/** GIVEN is what `POST /api/token` answers. */
async function ticket() {
  const { page, close } = await openPage(base, { wav, stored: { way: "livekit" } });
  await page.route("**/api/token", (route) =>
    route.fulfill({ status: 201, contentType: "application/json", body: given }),
  );
  await begin(page);
  const problem = page.locator(".problem[data-code]");
  await problem.waitFor();
  const code = await problem.getAttribute("data-code");
  const words = await problem.innerText();
  const again = await page.locator(".controls .primary").count();
  await close();
  return { code, words, again };
}

/** No place is free; one becomes free. GIVEN is the API key. */
async function full() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket", key: given } });
  await page.waitForLoadState("networkidle"); // the page's own requests take places, too
  await ask("fill");
  await begin(page);
  await page.waitForSelector('.problem[data-code="room_full"]');
  const words = await page.innerText(".problem");
  await ask("leave");
  await state(page, "listening");
  check((await page.locator(".problem").count()) === 0, "The problem still shows.");
  await close();
  return { words };
}

/** GIVEN is the API key. */
async function apiKey() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket" } });
  const dialog = page.locator("dialog.key");
  await dialog.waitFor();
  await dialog.getByLabel("API key").fill("wrong");
  await page.keyboard.press("Enter");
  await dialog.getByText("does not take the key").waitFor();
  await dialog.getByLabel("API key").fill(given);
  await dialog.getByRole("button").click();
  await page.waitForFunction((key) => localStorage.getItem("parley.key") === key, given);
  await page.waitForLoadState();
  await begin(page);
  await state(page, "listening");
  await say(page, "Let me in.");
  await page.locator('.transcript li[data-who="agent"] p', { hasText: "scripted" }).waitFor();
  check(!(await dialog.isVisible()), "The key is asked for again.");
  await page.goto(`${base}/#/status`);
  await page.locator(".cards li").first().waitFor();
  await close();
  return {};
}

/** Two characters from the form answer in turn; then a flow that is chosen greets. */
async function characters() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket" } });
  await page.click(".devices > summary");
  await page.getByLabel("Who answers").selectOption(":characters");
  const form = page.locator(".characters");
  await form.getByLabel("Name").first().fill("Cleo");
  await form.getByRole("button", { name: "Add a character" }).click();
  await form.getByLabel("Name").last().fill("Dora");
  await form.getByLabel("Voice").last().selectOption({ index: 1 });
  await form.getByRole("button", { name: "Delete: Ben" }).click();
  await begin(page);
  await state(page, "listening");
  await say(page, "Hello, both of you.");
  await page.locator('.transcript li[data-who="agent"]', { hasText: "Dora" }).waitFor();
  await state(page, "listening");
  const names = await page.locator('.transcript li[data-who="agent"] .who').allInnerTexts();
  await page.click(".controls .danger");
  await state(page, "ended");
  await page.getByLabel("Who answers").selectOption("desk");
  await page.click(".see > summary");
  await begin(page);
  await page.locator('.transcript li[data-who="agent"] p', { hasText: "Front desk" }).waitFor();
  await state(page, "listening");
  await say(page, "Who is there?");
  await page.locator('.progress .card[data-active][data-type="conversation"]').waitFor();
  await page.locator(".progress .facts", { hasText: "Blue Door" }).waitFor();
  await page.locator(".waterfall").first().waitFor();
  await page.click(".controls .danger");
  await page.reload();
  await page.click(".devices > summary");
  const kept = await page.getByLabel("Who answers").inputValue();
  await close();
  return { names, kept };
}

/** Everything that a call and a change of a flow need, without a mouse. */
async function keyboard() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket" } });
  const tabTo = async (selector) => {
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
    }
    throw new Error(`Tab does not lead to ${selector}.`);
  };
  await tabTo(".controls .primary");
  await page.keyboard.press("Enter");
  await state(page, "listening");
  await tabTo(".controls input");
  await page.keyboard.type("Hello.");
  await page.keyboard.press("Enter");
  await page.locator('.transcript li[data-who="agent"] p', { hasText: "scripted" }).waitFor();
  await tabTo(".see > summary");
  await page.keyboard.press("Enter");
  await page.getByText("Export as JSON").waitFor();
  await page.goto(`${base}/#/flows/default`);
  await page.waitForSelector(".editor .card");
  await tabTo(".editor .react-flow__node");
  await page.keyboard.press("Enter");
  await page.getByLabel("Id", { exact: true }).waitFor();
  const before = await page.locator(".editor .card").count();
  await page.keyboard.press("Delete");
  await page.waitForFunction((count) => document.querySelectorAll(".editor .card").length < count, before);
  await page.keyboard.press("Control+z");
  await page.waitForFunction((count) => document.querySelectorAll(".editor .card").length === count, before);
  await close();
  return {};
}

/** What the page says of each way in which there is no microphone. */
async function noMicrophone() {
  const { page, close } = await openPage(base, { microphone: false, stored: { way: "socket" } });
  const told = {};
  for (const failure of ["NotAllowedError", "NotFoundError", "NotReadableError", "insecure"]) {
    await page.evaluate((name) => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("as the test wants it", name));
      if (name !== "insecure") return;
      // As where the page came over plain http from another machine.
      Object.defineProperty(window, "isSecureContext", { value: false });
      Object.defineProperty(navigator, "mediaDevices", { value: undefined });
      crypto.randomUUID = undefined;
    }, failure);
    await begin(page);
    await state(page, "listening");
    told[failure] = await page.innerText('.problem[data-code^="microphone_"]');
    check((await page.innerText(".agent-state")) === "Your microphone is off", "It seems to listen.");
    if (failure === "insecure") {
      await say(page, "I type instead.");
      await page.locator('.transcript li[data-who="agent"] p', { hasText: "scripted" }).waitFor();
    }
    await page.click(".controls .danger");
    await state(page, "ended");
  }
  await page.goto(`${base}/#/flows`);
  await page.getByRole("button", { name: "New flow", exact: true }).click();
  await page.waitForSelector(".editor .card");
  await page.goto(`${base}/#/flows/%`);
  await page.locator(".problem").first().waitFor();
  await close();
  return { told };
}

async function hostile() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket" } });
  await begin(page);
  await state(page, "listening");
  await say(page, '<script>window.broken = 1</script><img src="x" onerror="window.broken = 1">');
  await page.locator('.transcript li[data-who="agent"] p', { hasText: "<img" }).waitFor();
  const inTranscript = await page.locator(".transcript img, .transcript script").count();
  await page.goto(`${base}/#/flows/hostile`);
  await page.waitForSelector(".card");
  await page.click("#tab-test_chat");
  await page.getByRole("button", { name: "Start a test" }).click();
  await page.locator(".test-chat li", { hasText: "<img" }).waitFor();
  const inEditor = await page.locator(".editor img, .editor script, .editor iframe").count();
  const broken = await page.evaluate(() => window.broken);
  check(inTranscript + inEditor === 0 && broken === undefined, "Markup got into the page.");
  await close();
  return {};
}

async function editor() {
  const { page, close } = await openPage(`${base}/#/flows`);
  page.on("dialog", (dialog) => void dialog.accept()); // files over what is kept, flows to delete
  const saved = () => page.locator(".save-state", { hasText: /^Saved$/ }).waitFor();
  await page.getByRole("button", { name: "New flow", exact: true }).click();
  await page.waitForSelector(".card");
  const id = (await page.evaluate(() => location.hash)).split("/").at(-1);
  await page.locator(".card", { hasText: "talk" }).click();
  await page.locator(".palette").getByRole("button", { name: "end" }).click();
  await page.locator(".panel h2", { hasText: "end" }).waitFor();
  await page.getByLabel("text", { exact: false }).first().fill("{{ not closed");
  await page.locator('.card[data-problems][data-type="end"]').waitFor();
  await page.getByLabel("text", { exact: false }).first().fill("Goodbye then.");
  await page.locator(".card[data-problems]").waitFor({ state: "detached" });
  await page.locator(".card", { hasText: "conversation" }).click();
  await page.getByRole("button", { name: "→ end" }).click();
  await page.getByLabel("condition type").selectOption("expression");
  await page.getByLabel("condition", { exact: true }).fill('input == "bye"');
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("button", { name: "Redo" }).click();
  check((await page.getByLabel("condition", { exact: true }).inputValue()) === 'input == "bye"', "Redo lost the text.");
  // Nothing is saved yet, and nothing is lost.
  await page.goto(`${base}/#/flows`);
  await page.locator(".flow-list li", { hasText: id }).getByText("Unsaved").waitFor();
  await page.reload();
  await page.locator(".flow-list a", { hasText: id }).click();
  await page.waitForSelector('.card[data-type="end"]');
  await page.getByRole("button", { name: "Publish" }).click();
  await saved();
  await page.click("#tab-versions");
  await page.locator(".version", { hasText: "Version 1" }).waitFor();
  await page.getByRole("button", { name: "Compare with draft" }).click();
  await page.getByText("No differences.").waitFor();
  await page.click("#tab-test_chat");
  await page.getByRole("button", { name: "Start a test" }).click();
  await page.fill(".test-chat input", "hello");
  await page.press(".test-chat input", "Enter");
  await page.locator(".test-chat li", { hasText: "scripted" }).waitFor();
  await page.locator('.card[data-active][data-type="conversation"]').waitFor();
  await page.fill(".test-chat input", "bye");
  await page.press(".test-chat input", "Enter");
  await page.locator(".test-chat li", { hasText: "Goodbye then." }).waitFor();
  await page.locator('.card[data-active][data-type="end"]').waitFor();

  // Somebody else saves in between: nothing goes under, and the choice is ours.
  const url = `${base}/api/flows/${id}`;
  const theirs = await (await fetch(url)).json();
  await fetch(url, { method: "PUT", headers: { "if-match": "*" }, body: JSON.stringify({ ...theirs, name: "Theirs" }) });
  await page.click("#tab-properties");
  await page.locator(".react-flow__pane").click({ position: { x: 5, y: 5 } });
  await page.getByLabel("name", { exact: true }).fill("Mine");
  await page.getByRole("button", { name: "Save draft" }).click();
  await page.getByRole("button", { name: "Load theirs" }).click();
  await page.locator(".editor h1", { hasText: "Theirs" }).waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.locator(".editor h1", { hasText: "Mine" }).waitFor();
  await fetch(url, { method: "PUT", headers: { "if-match": "*" }, body: JSON.stringify({ ...theirs, name: "Others" }) });
  await page.getByRole("button", { name: "Save draft" }).click();
  await page.getByRole("button", { name: "Save mine over theirs" }).click();
  await saved();
  check((await (await fetch(url)).json()).name === "Mine", "Ours was not saved.");
  await page.click("#tab-versions");
  await page.getByRole("button", { name: "Compare with draft" }).click();
  await page.locator('.diff [data-kind="added"]', { hasText: "Mine" }).waitFor();
  await page.getByRole("button", { name: "Take over" }).click();
  await page.locator(".editor h1", { hasText: "New flow" }).waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.locator(".editor h1", { hasText: "Mine" }).waitFor();
  await page.click("#tab-properties");

  // The server is away: the change waits in the browser.
  await page.context().setOffline(true);
  await page.getByLabel("name", { exact: true }).fill("Kept");
  await page.getByRole("button", { name: "Save draft" }).click();
  await page.getByText("Your changes are kept in this browser").waitFor();
  await page.context().setOffline(false);
  await page.reload();
  await page.locator(".editor h1", { hasText: "Kept" }).waitFor();
  await page.getByRole("button", { name: "Save draft" }).click();
  await saved();

  const document = await (await fetch(url)).json();
  for (const [format, name] of [["YAML", "flow.yaml"], ["JSON", "flow.json"]]) {
    const text = await savedBy(page, `Export ${format}`);
    await page.goto(`${base}/#/flows`);
    await page.setInputFiles('input[type="file"]', { name, mimeType: "text/plain", buffer: Buffer.from(text) });
    await page.locator(".editor h1", { hasText: "Kept" }).waitFor();
  }
  await page.goto(`${base}/#/flows`);
  await page.getByRole("button", { name: "New flow", exact: true }).click();
  await page.waitForSelector(".editor .card");
  await page.goto(`${base}/#/flows`);
  const rows = page.locator(".flow-list li");
  await rows.getByText("New flow").waitFor();
  const before = await rows.count();
  await page.getByRole("button", { name: "Delete: New flow" }).click();
  await page.waitForFunction((count) => document.querySelectorAll(".flow-list li").length < count, before);
  await close();
  return { document };
}

/** Serious findings of axe on each screen in its states, and screens that are wider than they may be. */
async function accessible() {
  const found = [];
  const audit = async (page, name) => {
    await page.evaluate(() => {
      const ending = document.getAnimations().filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity);
      return Promise.allSettled(ending.map(({ finished }) => finished)); // colours fade in
    });
    if (process.env.SCREENSHOTS) {
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await page.waitForTimeout(400);
        await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}-${colorScheme}.png`, fullPage: true });
      }
      await page.emulateMedia({ colorScheme: /dark/.exec(name) ? "dark" : "light" });
    }
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    for (const { id, impact, nodes } of violations)
      if (impact === "serious" || impact === "critical")
        found.push(`${name}: ${id} ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    if (wide) found.push(`${name}: wider than the screen`);
  };
  for (const [colorScheme, width, language] of [["light", 1280, "en"], ["dark", 390, "de"]]) {
    const stored = { language, way: "socket", flow: ":characters" };
    const { page, close } = await openPage(`${base}/#/talk`, { colorScheme, width, stored, wav });
    const look = (name) => audit(page, `${name}-${colorScheme}-${width}`);
    await page.evaluate(() => {
      for (const details of document.querySelectorAll("details")) details.open = true;
    });
    await page.locator(".characters fieldset").first().waitFor();
    await look("talk");
    await page.evaluate(() => {
      document.querySelector(".preferences").open = false;
    });
    await page.locator(".see input[type=checkbox]").check();
    await begin(page);
    await state(page, "listening");
    await say(page, "Hello.");
    await page.locator(".waterfall").first().waitFor();
    await look("talk-running");
    await page.click(".controls .danger");
    await page.locator(".played li").first().waitFor();
    await look("talk-ended");
    await page.route("**/api/status", async (route) => {
      const json = await (await route.fetch()).json();
      json.downloads = [{ name: "en_US-joe-medium", done_bytes: 21_000_000, total_bytes: 63_000_000 }];
      await route.fulfill({ json });
    });
    for (const view of ["flows", "status"]) {
      await page.goto(`${base}/#/${view}`);
      await page.locator("main:visible li").first().waitFor();
      await look(view);
    }
    check((await page.locator(".downloads progress").evaluate((bar) => bar.position)) > 0.3, "No progress shows.");
    await page.goto(`${base}/#/flows/default`);
    await page.locator(".card").last().click();
    await page.locator(".panel .field").first().waitFor();
    await look("editor");
    await page.click("#tab-versions");
    await page.locator(".version button").first().click();
    await page.locator(".panel h2").waitFor();
    await look("editor-versions");
    await page.click("#tab-test_chat");
    await page.locator(".test-chat > button").click();
    await page.fill(".test-chat input", "Hello.");
    await page.press(".test-chat input", "Enter");
    await page.locator('.test-chat li[data-who="agent"]').waitFor();
    await look("editor-test");
    await page.route("**/api/status", (route) => route.fulfill({ status: 401, body: "{}" }));
    await page.goto(`${base}/#/status`);
    await page.locator("dialog.key").waitFor();
    await look("key");
    await close();
  }
  return { found };
}

const scenarios = {
  talk_socket: () => talk("socket"),
  talk_livekit: () => talk("livekit"),
  talk_auto: () => talk("auto"),
  interrupt_socket: () => interrupt("socket"),
  interrupt_livekit: () => interrupt("livekit"),
  restart,
  no_microphone: noMicrophone,
  asleep,
  two_tabs: twoTabs,
  ticket,
  full,
  api_key: apiKey,
  characters,
  keyboard,
  hostile,
  editor,
  accessible,
};
const result = await scenarios[name]().catch(async (error) => {
  process.stderr.write(`The page shows:\n${await shown().catch(String)}\n`);
  throw error;
});
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
