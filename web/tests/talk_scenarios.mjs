/** Calls: what is heard and shown, and how they begin, break and end. */

import { openPage, untilAudible, untilSilent } from "./browser.mjs";
import { answered, ask, base, begin, check, given, savedBy, say, state, wav } from "./scenario.mjs";

export async function talk(way) {
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

/**
 * Stops the voice. Gives when, and at that moment: what the agent's last line says, how often it grew,
 * and how much has moved about (web.dev/articles/cls).
 */
const stopVoice = (page) =>
  page.getByRole("button", { name: "Stop the voice" }).evaluate((button) => {
    const pressed = performance.now();
    const text = [...document.querySelectorAll('.transcript li[data-who="agent"] p')].at(-1)?.textContent ?? "";
    button.click();
    return { pressed, text, grown: window.grown, shift: window.shift };
  });

export async function interrupt(way) {
  const { page, close } = await openPage(base, { stored: { way }, wav });
  await begin(page);
  await state(page, "listening");
  await page.evaluate(() => {
    window.grown = 0;
    let length = 0;
    new MutationObserver(() => {
      const now = [...document.querySelectorAll('.transcript li[data-who="agent"] p')].at(-1)?.textContent.length ?? 0;
      if (now > length) window.grown += 1;
      length = now;
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
    window.shift = 0;
    new PerformanceObserver((list) => {
      for (const { hadRecentInput, value } of list.getEntries()) if (!hadRecentInput) window.shift += value;
    }).observe({ type: "layout-shift" });
  });
  await say(page, "Count for me.");
  await untilAudible(page);
  await page.waitForTimeout(1500); // somebody listens before they interrupt
  const shown = await stopVoice(page);
  await untilSilent(page, 800, 8000);
  const lastSound = await page.evaluate(() => window.heard.findLast(({ level }) => level > 0.01).at);
  const cut = page.locator('.transcript li[data-who="agent"] p', { has: page.locator(".cut") });
  await cut.waitFor({ timeout: 20_000 });
  const line = page.locator('.transcript li[data-who="agent"] p').last();
  const mark = await line.locator(".cut").getAttribute("title");
  const text = await line.evaluate((p) => p.firstChild.textContent);
  const scripts = await page.evaluate(() =>
    performance.getEntriesByType("resource").flatMap(({ name }) => /assets\/([^/]+\.js)$/.exec(name)?.[1] ?? []),
  );
  await close();
  return { silentAfterMs: lastSound - shown.pressed, text, mark, shown: shown.text, grown: shown.grown, shift: shown.shift, scripts };
}

export async function restart() {
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
  await answered(page);
  check((await page.locator(".problem").count()) === 0, "The problem still shows.");
  await begin(fresh);
  await state(fresh, "listening");
  await close();
  return {};
}

/** The page is frozen, as when a laptop sleeps; meanwhile its connection dies. */
export async function asleep(way) {
  const { page, close } = await openPage(base, { wav, stored: { way } });
  await begin(page);
  await state(page, "listening");
  const session = await page.context().newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await ask("stop");
  await ask("start");
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await page.waitForFunction(() => !document.querySelector(".problem"));
  // LiveKit's client joins the room of the new server by itself; the old agent is not in it.
  const lost = way === "socket" ? "disconnected" : "agent left";
  await page.locator(".log li", { hasText: lost }).first().waitFor({ state: "attached" });
  await state(page, "listening");
  await say(page, "Good morning.");
  await answered(page);
  await close();
  return {};
}

/** The clock jumps and nothing else happens, as after a short sleep: the connection counts as dead. */
export async function clockJump() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket" } });
  await begin(page);
  await state(page, "listening");
  await say(page, "Good night.");
  await answered(page);
  await page.evaluate(() => {
    const now = Date.now;
    Date.now = () => now() + 3_600_000;
  });
  await page.locator(".log li", { hasText: "woke" }).first().waitFor({ state: "attached" });
  await state(page, "listening");
  await say(page, "Good morning.");
  await page.waitForFunction(
    () => [...document.querySelectorAll('.transcript li[data-who="agent"] p')].filter((p) => /scripted/.test(p.textContent)).length === 2,
  );
  await close();
  return {};
}

export async function twoTabs() {
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
  await answered(second);
  await close();
  return { words };
}

/** GIVEN is what `POST /api/token` answers. */
export async function ticket() {
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
export async function full() {
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

/** The backend gives no token, twice; the page tries again, and one may hang up while it waits. GIVEN is the refusal. */
export async function fullRoom() {
  const { page, close } = await openPage(base, { wav, stored: { way: "livekit" } });
  let refusals = Number.POSITIVE_INFINITY;
  await page.route("**/api/token", (route) => {
    refusals -= 1;
    return refusals >= 0 ? route.fulfill(JSON.parse(given)) : route.continue();
  });
  await begin(page);
  await page.waitForSelector('.problem[data-code="room_full"]');
  const words = await page.innerText(".problem");
  await page.click(".controls .danger");
  await state(page, "ended");
  await page.waitForSelector(".controls .primary:not(:disabled)");
  refusals = 2;
  await begin(page);
  await page.waitForSelector('.problem[data-code="room_full"]');
  await state(page, "listening");
  check((await page.locator(".problem").count()) === 0, "The problem still shows.");
  check(refusals === -1, "It did not ask again.");
  await close();
  return { words };
}

/** The room is deleted under the page. */
export async function deleted() {
  const { page, close } = await openPage(base, { wav, stored: { way: "livekit" } });
  await begin(page);
  await state(page, "listening");
  const connected = await page.locator(".log li", { hasText: "connected" }).first().textContent();
  await ask(`delete ${/connected (\S+)/.exec(connected)[1]}`);
  await state(page, "ended");
  const words = await page.innerText('.problem[data-code="hung_up"]');
  await begin(page);
  await state(page, "listening");
  check((await page.locator(".problem").count()) === 0, "The problem still shows.");
  await close();
  return { words };
}

/** From another machine, over plain http: no microphone, but everything else. GIVEN is the API key. */
export async function lan(way) {
  const { page, close } = await openPage(base, { stored: { way, key: given } });
  const lent = await page.evaluate(() => isSecureContext || "mediaDevices" in navigator || "randomUUID" in crypto);
  check(!lent, "The page counts as one from this machine.");
  await begin(page);
  await state(page, "listening");
  const problem = page.locator('.problem[data-code="microphone_insecure"]');
  const words = await problem.innerText();
  await say(page, "I type instead.");
  await answered(page);
  await untilAudible(page);
  await page.getByRole("button", { name: "Unmute" }).click();
  await problem.waitFor();
  const why = await page.getByRole("button", { name: "Unmute" }).evaluate(
    (button) => document.getElementById(button.getAttribute("aria-describedby")).innerText,
  );
  await page.click(".controls .danger");
  await state(page, "ended");
  await page.goto(`${base}/#/flows`);
  await page.getByRole("button", { name: "New flow", exact: true }).click();
  await page.waitForSelector(".editor .card");
  await close();
  return { words, why };
}

/** GIVEN is the API key. */
export async function apiKey() {
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
  await answered(page);
  check(!(await dialog.isVisible()), "The key is asked for again.");
  await page.goto(`${base}/#/status`);
  await page.locator(".cards li").first().waitFor();
  await close();
  return {};
}

/** Two characters from the form answer in turn; then a flow that is chosen greets. */
export async function characters() {
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

/** What the page says of each way in which there is no microphone. */
export async function noMicrophone() {
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
      await answered(page);
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
