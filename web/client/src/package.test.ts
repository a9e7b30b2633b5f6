/** The package as it would be published: packed, put into an empty project, loaded and type-checked. */

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";

const SOURCE = fileURLToPath(new URL("..", import.meta.url));
const MODULES = join(SOURCE, "../node_modules");
const WITHIN_MS = 120_000;

let project: string;
let files: string[];

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "parley-client-"));
  const run = (program: string, given: string[], cwd: string) =>
    execFileSync(program, given, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  // A copy, so that nothing is built into the sources.
  const copy = join(project, "client");
  cpSync(SOURCE, copy, { recursive: true, filter: (path) => !/[/\\](node_modules|dist|\.types)$/.test(path) });
  cpSync(join(SOURCE, "../tsconfig.base.json"), join(project, "tsconfig.base.json"));
  symlinkSync(MODULES, join(project, "node_modules"));
  const packed = JSON.parse(run("npm", ["pack", "--json"], copy)) as { filename: string; files: { path: string }[] }[];
  files = packed[0]?.files.map(({ path }) => path) ?? [];
  run("tar", ["-xzf", packed[0]?.filename ?? ""], copy);
  const installed = join(project, "user", "node_modules");
  mkdirSync(join(installed, "@parley"), { recursive: true });
  cpSync(join(copy, "package"), join(installed, "@parley", "client"), { recursive: true });
  for (const name of ["react", "@types"]) symlinkSync(join(MODULES, name), join(installed, name));
}, WITHIN_MS);

afterAll(() => rmSync(project, { recursive: true, force: true }));

it("holds what it promises, its licence and no tests", () => {
  const { exports } = JSON.parse(readFileSync(join(SOURCE, "package.json"), "utf8")) as {
    exports: Record<string, Record<string, string>>;
  };
  const promised = Object.values(exports).flatMap((targets) => Object.values(targets));
  for (const target of promised) expect(files).toContain(target.replace("./", ""));
  expect(files).toEqual(expect.arrayContaining(["README.md", "LICENSE", "package.json"]));
  expect(files.filter((name) => /test|tsconfig|\.tsx?$/.test(name.replace(/\.d\.ts$/, "")))).toEqual([]);
});

it("loads without a bundler", () => {
  const program = `
    import * as client from "@parley/client";
    import { useStreamingChat } from "@parley/client/react";
    console.log([...Object.keys(client), typeof useStreamingChat].join());`;
  const said = execFileSync("node", ["--input-type=module", "-e", program], { cwd: join(project, "user"), encoding: "utf8" });
  expect(said.trim().split(",")).toEqual(
    expect.arrayContaining(["streamChat", "playBase64Audio", "GaplessPlayer", "VoiceSocket", "FlowClient", "function"]),
  );
}, WITHIN_MS);

it.each(["bundler", "nodenext"])("has the README's examples type-checked with %s", (moduleResolution) => {
  const readme = readFileSync(join(SOURCE, "README.md"), "utf8");
  const examples = [...readme.matchAll(/^```(tsx?)\n(.*?)^```$/gms)];
  expect(examples.length).toBeGreaterThan(3);
  const user = join(project, "user");
  writeFileSync(join(user, "package.json"), '{"type": "module"}');
  const names = examples.map(([, kind, text], index) => {
    writeFileSync(join(user, `example${index}.${kind}`), `export {};\n${text}`);
    return `example${index}.${kind}`;
  });
  const options = ["--noEmit", "--strict", "--target", "es2022", "--jsx", "react-jsx", "--types", "react"];
  const module = moduleResolution === "bundler" ? "esnext" : "nodenext";
  const checked = () =>
    execFileSync(
      join(MODULES, ".bin", "tsc"),
      [...options, "--lib", "es2023,dom,dom.iterable", "--module", module, "--moduleResolution", moduleResolution, ...names],
      { cwd: user, encoding: "utf8" },
    );
  expect(checked()).toBe("");
}, WITHIN_MS);
