/** What the compiled program must not do: run or read what lies in the directory it is started in. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../package.json";
import { binary, sandbox } from "./support/sandbox.ts";

const trap = mkdtempSync(join(tmpdir(), "lodestar-trap-"));
const marker = join(trap, "the-preload-ran");
const HOSTILE = [
  ".env",
  ".env.local",
  ".env.production",
  "bunfig.toml",
  "package.json",
  "tsconfig.json",
  "jsconfig.json",
];
const ENVIRONMENT = { PATH: process.env.PATH ?? "", HOME: trap, XDG_CONFIG_HOME: trap };

function inTrap(program: readonly string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...program], { cwd: trap, env: ENVIRONMENT, stdin: "ignore" });
  return { exit: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

beforeAll(() => {
  binary();
  const preload = `preload = [${JSON.stringify(join(trap, "evil.ts"))}]\n`;
  writeFileSync(join(trap, "evil.ts"), `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "");\n`);
  for (const name of ["bunfig.toml", ".bunfig.toml"]) writeFileSync(join(trap, name), preload);
  for (const name of HOSTILE.filter((name) => name.startsWith(".env"))) {
    writeFileSync(join(trap, name), "LODESTAR_AGENT=EVIL\nLODESTAR_DEBUG=1\nMARKED=yes\n");
  }
  writeFileSync(join(trap, "package.json"), "{ this is no JSON");
  writeFileSync(join(trap, "tsconfig.json"), "{ nor is this");
  writeFileSync(join(trap, "jsconfig.json"), "{ nor is this");
}, 120_000);

afterAll(() => rmSync(trap, { recursive: true, force: true }));

describe("in a hostile directory", () => {
  test.each([
    [["--version"]],
    [["--help"]],
    [["status", "--json"]],
    [["task", "list", "--json"]],
    [["no-such-command"]],
  ])("lodestar %p runs nothing that lies there", (args) => {
    const { stdout, stderr } = inTrap([binary(), ...args]);
    expect(existsSync(marker)).toBe(false);
    expect(stdout + stderr).not.toContain("EVIL");
    expect(stderr).not.toMatch(/package\.json|tsconfig|bunfig/);
  });

  test("the version is its own", () => {
    expect(inTrap([binary(), "--version"])).toEqual({
      exit: 0,
      stdout: `lodestar ${packageJson.version}\n`,
      stderr: "",
    });
  });

  test("the trap does catch a program that is built without the flags", () => {
    // Compiled elsewhere: the compiler itself must not walk into the trap.
    const elsewhere = mkdtempSync(join(tmpdir(), "lodestar-naive-"));
    const naive = join(elsewhere, "naive");
    writeFileSync(`${naive}.js`, "console.log(process.env.MARKED);");
    const made = Bun.spawnSync([process.execPath, "build", "--compile", `${naive}.js`, `--outfile=${naive}`], {
      cwd: elsewhere,
    });
    expect(made.exitCode).toBe(0);
    rmSync(join(trap, "package.json"));
    rmSync(join(trap, "tsconfig.json"));
    expect(inTrap([naive]).stdout).toBe("yes\n");
    expect(existsSync(marker)).toBe(true);
    rmSync(marker);
    rmSync(elsewhere, { recursive: true });
  }, 60_000);

  test("none of these files is even opened", () => {
    const log = join(trap, "strace.log");
    const strace = Bun.which("strace");
    const ran =
      strace === null
        ? undefined
        : inTrap([strace, "-f", "-e", "trace=open,openat,execve", "-o", log, binary(), "status", "--json"]);
    const calls = existsSync(log) ? readFileSync(log, "utf8") : "";
    if (ran === undefined || !calls.includes("execve")) {
      console.log("note: strace cannot run here; that no hostile file is opened was not checked");
      return;
    }
    const opened = [...calls.matchAll(/open(?:at)?\([^"]*"([^"]+)"/g)].map(
      ([, path = ""]) => path.split("/").pop() ?? "",
    );
    expect(opened.length).toBeGreaterThan(0);
    for (const name of [...HOSTILE, ".bunfig.toml"]) expect(opened).not.toContain(name);
  });
});

test("the program holds of citty only what names the tree", async () => {
  const { outputs, success } = await Bun.build({
    entrypoints: [join(import.meta.dir, "..", "src", "main.ts")],
    target: "bun",
    format: "esm",
    splitting: true,
    minify: true,
  });
  expect(success).toBe(true);
  const code = (await Promise.all(outputs.map((output) => output.text()))).join("\n");
  expect(code).not.toContain("parseArgs");
  expect(code).not.toContain("No default value");
});

test("in a fresh repository it says that nothing is set up", async () => {
  using here = sandbox();
  const { exit, json, stderr } = await here.run(["status", "--json"]);
  expect({ exit, stderr, data: json.data }).toEqual({ exit: 0, stderr: "", data: { initialized: false } });
});
