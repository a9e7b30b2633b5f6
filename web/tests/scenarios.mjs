/** What the page must do, each in a browser of its own; run by tests/e2e/test_page.py.
 *
 * `node tests/scenarios.mjs NAME BASE [WAV]` prints what it found as JSON. A scenario that needs
 * something done outside prints `? WHAT` and waits for a line. Some need a value that only the
 * outside has: it is in the environment as GIVEN.
 */

import { accessible } from "./accessible_scenario.mjs";
import { shown } from "./browser.mjs";
import { editor, hostile, keyboard, policy, trial } from "./page_scenarios.mjs";
import { name } from "./scenario.mjs";
import {
  apiKey,
  asleep,
  characters,
  clockJump,
  deleted,
  full,
  fullRoom,
  interrupt,
  lan,
  noMicrophone,
  restart,
  talk,
  ticket,
  twoTabs,
} from "./talk_scenarios.mjs";

const scenarios = {
  talk_socket: () => talk("socket"),
  talk_livekit: () => talk("livekit"),
  talk_auto: () => talk("auto"),
  interrupt_socket: () => interrupt("socket"),
  interrupt_livekit: () => interrupt("livekit"),
  restart,
  no_microphone: noMicrophone,
  lan_socket: () => lan("socket"),
  lan_livekit: () => lan("livekit"),
  asleep_socket: () => asleep("socket"),
  asleep_livekit: () => asleep("livekit"),
  two_tabs: twoTabs,
  ticket,
  full_socket: full,
  full_livekit: fullRoom,
  deleted,
  api_key: apiKey,
  characters,
  keyboard,
  hostile,
  policy,
  editor,
  trial,
  clock_jump: clockJump,
  ...accessible,
};
const result = await scenarios[name]().catch(async (error) => {
  process.stderr.write(`The page shows:\n${await shown().catch(String)}\n`);
  throw error;
});
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
