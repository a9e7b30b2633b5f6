/** What screen readers and small screens meet. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { openPage } from "./browser.mjs";
import { base, begin, check, say, state, wav } from "./scenario.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Serious findings of axe on each screen in its states, and screens that are wider than they may be. */
export async function accessible() {
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
