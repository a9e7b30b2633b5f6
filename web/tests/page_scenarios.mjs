/** The rest of the page: the editor, its test chat, the keyboard, hostile texts. */

import { openPage } from "./browser.mjs";
import { answered, base, begin, check, savedBy, say, state, wav } from "./scenario.mjs";

/** Everything that a call and a change of a flow need, without a mouse. */
export async function keyboard() {
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
  await answered(page);
  await tabTo(".see > summary");
  await page.keyboard.press("Enter");
  await page.getByText("Export as JSON").waitFor();
  await page.goto(`${base}/#/flows/default`);
  await page.waitForSelector(".editor .card");
  await tabTo(".editor .react-flow__node");
  await page.keyboard.press("Enter");
  await page.getByLabel("Id", { exact: true }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.locator(".save-state", { hasText: "Unsaved" }).waitFor();
  await page.keyboard.press("Control+z");
  await page.locator(".save-state", { hasText: /^Saved$/ }).waitFor();
  const before = await page.locator(".editor .card").count();
  await page.keyboard.press("Delete");
  await page.waitForFunction((count) => document.querySelectorAll(".editor .card").length < count, before);
  await page.keyboard.press("Control+z");
  await page.waitForFunction((count) => document.querySelectorAll(".editor .card").length === count, before);
  await close();
  return {};
}

export async function hostile() {
  const { page, close } = await openPage(base, { wav, stored: { way: "socket" } });
  await begin(page);
  await state(page, "listening");
  await say(page, '<script>window.broken = 1</script><img src="x" onerror="window.broken = 1">');
  await page.locator('.transcript li[data-who="agent"] p', { hasText: "<img" }).waitFor();
  const inTranscript = await page.locator(".transcript img, .transcript script").count();
  await page.goto(`${base}/#/flows`);
  await page.locator(".flow-list li", { hasText: "<img" }).waitFor();
  await page.setInputFiles('input[type="file"]', { name: "<img src=x>.yaml", mimeType: "text/plain", buffer: Buffer.from("<img src=x>") });
  await page.locator(".problem", { hasText: "<img" }).waitFor();
  const inList = await page.locator("main img, main script, main iframe").count();
  await page.goto(`${base}/#/flows/hostile`);
  await page.waitForSelector(".card");
  await page.getByLabel("name", { exact: true }).fill("<b>Changed</b>");
  await page.click("#tab-versions");
  await page.getByRole("button", { name: "Compare with draft" }).click();
  await page.locator(".diff", { hasText: "<b>Changed</b>" }).waitFor();
  await page.click("#tab-test_chat");
  await page.getByRole("button", { name: "Start a test" }).click();
  await page.locator(".test-chat li", { hasText: "<img" }).waitFor();
  await page.locator(".test-chat .facts", { hasText: "<img" }).waitFor();
  const inEditor = await page.locator(".editor img, .editor script, .editor iframe, .editor b:text('Changed')").count();
  const broken = await page.evaluate(() => window.broken);
  check(inTranscript + inList + inEditor === 0 && broken === undefined, "Markup got into the page.");
  await close();
  return {};
}

/** What the policy blocks if, against all care, markup gets into the page. */
export async function policy() {
  const { page, close } = await openPage(base, { blocks: true });
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.broken = 1";
    const image = document.createElement("img");
    image.src = "http://127.0.0.1:9/x.png";
    const frame = document.createElement("iframe");
    frame.src = "http://127.0.0.1:9/";
    const button = document.createElement("button");
    button.setAttribute("onclick", "window.broken = 1");
    const form = document.createElement("form");
    form.action = "http://127.0.0.1:9/";
    const place = document.createElement("base");
    place.href = "http://127.0.0.1:9/";
    document.body.append(script, image, frame, button, form, place);
    button.click();
    form.submit();
    fetch("http://127.0.0.1:9/").catch(() => undefined);
  });
  const wanted = ["script-src-elem", "script-src-attr", "img-src", "frame-src", "connect-src", "form-action", "base-uri"];
  await page.waitForFunction(
    (directives) => directives.every((directive) => window.violations.some((words) => words.startsWith(directive))),
    wanted,
  );
  check((await page.evaluate(() => window.broken)) === undefined, "A script ran that is not the page's own.");
  await close();
  return { blocked: wanted };
}

export async function editor() {
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

/** The test chat runs what stands in the editor, of which nothing is saved. */
export async function trial() {
  const { page, close } = await openPage(`${base}/#/flows`);
  const flow = {
    id: "trial",
    name: "Trial",
    variables: { guests: 0, city: "Bonn" },
    nodes: [
      { id: "hello", type: "start", data: { greeting: "A table for how many?" } },
      { id: "note", type: "set", data: { assignments: [{ name: "guests", template: "{{ input }}" }] } },
      { id: "bye", type: "end", data: { text: "Noted." } },
    ],
    edges: [
      { id: "one", source: "hello", target: "note" },
      { id: "two", source: "note", target: "bye" },
    ],
  };
  const buffer = Buffer.from(JSON.stringify(flow));
  await page.setInputFiles('input[type="file"]', { name: "trial.json", mimeType: "application/json", buffer });
  const write = async (text) => {
    await page.locator('.card[data-type="end"]').click();
    await page.getByLabel("text", { exact: false }).first().fill(text);
    await page.click("#tab-test_chat");
  };
  const ask = async (text) => {
    await page.fill(".test-chat input", text);
    await page.press(".test-chat input", "Enter");
  };
  const line = (text) => page.locator(".test-chat li", { hasText: text });
  await write("At a table for {{ guests }}, then.");
  await page.getByRole("button", { name: "Start a test" }).click();
  await line("A table for how many?").waitFor();
  await ask("4");
  await line("At a table for 4, then.").waitFor();
  await page.locator('.card[data-active][data-type="end"]').waitFor();
  const visited = await page.locator(".card[data-visited] b").allInnerTexts();
  const taken = await page.locator(".react-flow__edge.taken").count();
  const variables = await page.locator(".test-chat .facts").innerText();
  await write("Goodbye.");
  await page.getByText("has changed since this test began").waitFor();
  await page.getByRole("button", { name: "Start over" }).click();
  await page.getByText("has changed since this test began").waitFor({ state: "detached" });
  await line("A table for how many?").waitFor();
  check((await page.locator(".card[data-visited]").count()) === 0, "The old path still shows.");
  await ask("5");
  await line("Goodbye.").waitFor();
  await write("{{ not closed");
  await page.getByRole("button", { name: "Start over" }).click();
  const error = page.locator('.test-chat li[data-who="error"]');
  await error.waitFor();
  const refused = await error.innerText();
  const stored = (await fetch(`${base}/api/flows/trial`)).status;
  await close();
  return { visited, taken, variables, refused, stored };
}
