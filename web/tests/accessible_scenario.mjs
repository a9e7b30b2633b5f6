/** What screen readers, small screens and either theme meet: every screen in its states. */

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { openPage } from "./browser.mjs";
import { ask, base, begin, check, say, state, wav } from "./scenario.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = process.env.SCREENSHOTS;
/** A theme changes colours only; the narrow screen comes last, for it is what a call goes on with. */
const LOOKS = [
  { colorScheme: "light", width: 1280 },
  { colorScheme: "dark", width: 1280, rules: ["color-contrast"] },
  { colorScheme: "dark", width: 390, rules: ["color-contrast"] },
  { colorScheme: "light", width: 390 },
];
const HEIGHT = 860;

/** Opens the page; `look` notes axe's serious findings, and what is wider than the screen. */
async function open(path, options = {}) {
  const { page, close } = await openPage(`${base}/#/${path}`, options);
  const found = [];
  const seen = [];
  const look = async (name) => {
    seen.push(name);
    for (const { colorScheme, width, rules } of LOOKS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: HEIGHT });
      await page.evaluate(settled);
      const where = `${name}-${colorScheme}-${width}`;
      if (SHOTS) {
        mkdirSync(SHOTS, { recursive: true });
        await page.screenshot({ path: `${SHOTS}/${where}.png`, fullPage: true });
      }
      if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
      found.push(...(await page.evaluate(serious, rules)).map((words) => `${where}: ${words}`));
    }
    await page.setViewportSize({ width: LOOKS[0].width, height: HEIGHT });
  };
  const done = async () => {
    await close();
    return { found, seen };
  };
  return { page, look, done };
}

/** Runs in the page: until what fades or moves to an end has come to it. */
async function settled() {
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const ending = document.getAnimations().filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(ending.map(({ finished }) => finished));
}

/** Runs in the page. */
async function serious(rules) {
  const options = { resultTypes: ["violations"], ...(rules && { runOnly: { type: "rule", values: rules } }) };
  const { violations } = await window.axe.run(options);
  const found = violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id} ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
  if (document.documentElement.scrollWidth > innerWidth) found.push("wider than the screen");
  return found;
}

/** The event log and the graph of a call are there. */
const seeAll = (page) =>
  page.evaluate(() => {
    for (const details of document.querySelectorAll(".devices, .see")) details.open = true;
  });

async function talk() {
  const stored = { language: "en", way: "socket", flow: "desk" };
  const { page, look, done } = await open("talk", { stored, wav });
  await look("talk");
  await page.click(".preferences > summary");
  await look("talk-preferences");
  await page.evaluate(() => {
    document.querySelector(".preferences").open = false;
  });
  await seeAll(page);
  await page.getByLabel("Who answers").selectOption(":characters");
  await page.locator(".characters fieldset").first().waitFor();
  await look("talk-characters");
  await page.getByLabel("Who answers").selectOption("desk");
  await page.locator(".see input[type=checkbox]").check();
  await begin(page);
  await state(page, "listening");
  await say(page, "Is there a table for two tonight?");
  await page.locator(".waterfall").first().waitFor();
  await page.locator(".progress .card[data-active]").waitFor();
  await state(page, "listening");
  await look("talk-running");
  await ask("long");
  await say(page, "Count for me.");
  await state(page, "speaking");
  await page.waitForFunction(
    () => [...document.querySelectorAll('.transcript li[data-who="agent"] p')].at(-1).textContent.length > 20,
  );
  await look("talk-speaking");
  await page.getByRole("button", { name: "Stop the voice" }).click();
  await page.locator(".cut").first().waitFor();
  await look("talk-interrupted");
  await page.getByRole("button", { name: "Mute", exact: true }).click();
  await look("talk-muted");
  await page.click(".controls .danger");
  await page.locator(".played li").first().waitFor();
  await look("talk-ended");
  return done();
}

/** Calls that cannot begin, or are without a microphone. */
async function talkProblems() {
  const { page, look, done } = await open("talk", { stored: { language: "de", way: "socket" }, microphone: false });
  await page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
  });
  await begin(page);
  await state(page, "listening");
  await page.waitForSelector('.problem[data-code="microphone_denied"]');
  await look("talk-no-microphone");
  await page.click(".controls .danger");
  await page.evaluate(() => localStorage.setItem("parley.way", "livekit"));
  await page.reload();
  const refuse = (status, code) => (route) =>
    route.fulfill({ status, contentType: "application/json", body: JSON.stringify({ code, message: "As the test wants it." }) });
  await page.route("**/api/token", refuse(503, "overloaded"));
  await begin(page);
  await page.waitForSelector('.problem[data-code="room_full"]');
  await look("talk-full");
  await page.click(".controls .danger");
  await page.unroute("**/api/token");
  await page.route("**/api/token", refuse(500, "internal"));
  await begin(page);
  await page.waitForSelector('.problem[data-code="failed"]');
  await look("talk-failed");
  return done();
}

/** A call in a room. */
async function room() {
  const { page, look, done } = await open("talk", { stored: { language: "de", way: "livekit" }, wav });
  await seeAll(page);
  await begin(page);
  await state(page, "listening");
  await say(page, "Hallo.");
  await page.locator(".waterfall").first().waitFor();
  await page.locator(".progress .card").first().waitFor();
  await page.locator(".lk-audio-bar").first().waitFor();
  await look("room-running");
  return done();
}

async function flows() {
  const { page, look, done } = await open("flows", { stored: { language: "de" } });
  await page.locator(".flow-list li").first().waitFor();
  await look("flows");
  await page.setInputFiles('input[type="file"]', { name: "kaputt.yaml", mimeType: "text/plain", buffer: Buffer.from("id: [") });
  await page.locator(".problem").waitFor();
  await look("flows-bad-file");
  await page.goto(`${base}/#/flows/gibt-es-nicht`);
  await page.locator(".problem").waitFor();
  await look("flow-missing");
  // A view whose code does not come.
  await page.route("**/assets/status_view*", (route) => route.abort());
  await page.goto(`${base}/#/status`);
  await page.locator("main:visible .problem").waitFor();
  await look("view-failed");
  return done();
}

async function editor() {
  const { page, look, done } = await open("flows/desk", { stored: { language: "en" } });
  await page.locator(".card").first().waitFor();
  await page.locator(".panel .field").first().waitFor();
  await look("editor");
  await page.locator('.card[data-type="conversation"]').click();
  await page.locator(".panel h2", { hasText: "conversation" }).waitFor();
  await look("editor-node");
  await page.locator(".palette").getByRole("button", { name: "end" }).click();
  // Not with the pointer: the graph moves to make room.
  await page.locator(".react-flow__node", { has: page.locator('.card[data-type="conversation"]') }).press("Enter");
  await page.getByRole("button", { name: "→ end" }).click();
  await page.getByLabel("condition type").selectOption("expression");
  await page.getByLabel("condition", { exact: true }).fill('input == "bye"');
  await look("editor-edge");
  await page.click("#tab-versions");
  await page.getByRole("button", { name: "Compare with draft" }).first().click();
  await page.locator(".diff").waitFor();
  await look("editor-versions");
  await page.click("#tab-test_chat");
  await page.getByRole("button", { name: "Start a test" }).click();
  await page.fill(".test-chat input", "Hello.");
  await page.press(".test-chat input", "Enter");
  await page.locator('.test-chat li[data-who="agent"]', { hasText: "scripted" }).waitFor();
  await look("editor-test");
  await page.reload();
  await page.locator(".problem", { hasText: "restored" }).waitFor();
  await look("editor-restored");
  const url = `${base}/api/flows/desk`;
  const theirs = await (await fetch(url)).json();
  await fetch(url, { method: "PUT", headers: { "if-match": "*" }, body: JSON.stringify({ ...theirs, name: "Theirs" }) });
  await page.getByRole("button", { name: "Save draft" }).click();
  await page.getByRole("button", { name: "Load theirs" }).waitFor();
  await look("editor-conflict");
  await fetch(url, { method: "PUT", headers: { "if-match": "*" }, body: JSON.stringify(theirs) });
  return done();
}

/** A flow with problems at its nodes and edges, in German. */
async function editorProblems() {
  const { page, look, done } = await open("flows", { stored: { language: "de" } });
  const flow = {
    id: "wrong",
    name: "Voller Fehler",
    nodes: [
      { id: "anfang", type: "start", data: { greeting: "Hier ist {{ firma }}." } },
      { id: "merken", type: "set", data: { assignments: [{ name: "gast", template: "{{" }] } },
      { id: "einsam", type: "say", data: { text: "Hört mich jemand?" } },
      { id: "teilen", type: "logic_split" },
    ],
    edges: [
      { id: "eins", source: "anfang", target: "merken", data: { condition_type: "expression" } },
      { id: "zwei", source: "merken", target: "teilen" },
    ],
  };
  const buffer = Buffer.from(JSON.stringify(flow));
  await page.setInputFiles('input[type="file"]', { name: "wrong.json", mimeType: "application/json", buffer });
  await page.locator(".card[data-problems]").first().waitFor();
  await page.locator(".panel .leaving button").first().waitFor();
  await look("editor-problems");
  const told = [];
  for (const type of ["start", "set", "say", "logic_split"]) {
    await page.locator(".react-flow__node", { has: page.locator(`.card[data-type="${type}"]`) }).press("Enter");
    await page.locator(".part-problems li").first().waitFor();
    told.push(...(await page.locator(".part-problems li").allInnerTexts()));
    if (type === "set") await look("editor-problem-node");
  }
  await page.getByRole("button", { name: "Entwurf speichern" }).click();
  await page.locator(".problem", { hasText: "Nicht gespeichert" }).waitFor();
  await look("editor-refused");
  await page.context().setOffline(true);
  await page.getByRole("button", { name: "Entwurf speichern" }).click();
  await page.locator(".problem", { hasText: "antwortet nicht" }).waitFor();
  await look("editor-offline");
  await page.context().setOffline(false);
  return { ...(await done()), told };
}

async function status() {
  const { page, look, done } = await open("status", { stored: { language: "de" } });
  await page.locator(".cards li").first().waitFor();
  await look("status");
  await page.route("**/api/status", async (route) => {
    const json = await (await route.fetch()).json();
    json.parts.worker = { ready: false, detail: "connection refused" };
    json.downloads = [
      { name: "en_US-joe-medium", done_bytes: 21_000_000, total_bytes: 63_000_000 },
      { name: "moonshine-base", done_bytes: 4_000_000, total_bytes: 0 },
    ];
    await route.fulfill({ json });
  });
  const bar = page.locator(".downloads progress").first();
  await bar.waitFor();
  check((await bar.evaluate((progress) => progress.position)) > 0.3, "No progress shows.");
  await look("status-downloads");
  await page.unroute("**/api/status");
  await page.route("**/api/status", (route) => route.abort());
  await page.locator(".problem").waitFor();
  await look("status-down");
  return done();
}

async function key() {
  const { page, look, done } = await open("status", { stored: { language: "de" } });
  await page.route("**/api/status", (route) => route.fulfill({ status: 401, body: "{}" }));
  await page.locator("dialog.key").waitFor();
  await look("key");
  await page.evaluate(() => localStorage.setItem("parley.key", "wrong"));
  await page.reload();
  await page.locator("dialog.key", { hasText: "nimmt den Schlüssel nicht an" }).waitFor();
  await look("key-refused");
  return done();
}

export const accessible = {
  accessible_talk: talk,
  accessible_talk_problems: talkProblems,
  accessible_room: room,
  accessible_flows: flows,
  accessible_editor: editor,
  accessible_editor_problems: editorProblems,
  accessible_status: status,
  accessible_key: key,
};
