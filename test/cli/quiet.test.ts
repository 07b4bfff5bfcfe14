/** SECURITY.md: no telemetry. The usual commands open no socket, and the licences of what is inside are told. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { licences } from "../../scripts/release/licences.ts";
import { fleet, LODESTAR, words } from "../support/fleet.ts";

const USUAL = [
  "init --no-agents-md",
  "agent join --id ADA",
  "task create --id T --title Work",
  "task next --claim --agent ADA",
  "msg send --task T --from ADA --text hello",
  "task done T --verify --agent ADA",
  "status",
  "doctor",
  "prd check",
  "export snapshot",
  "setup claude",
  "version --licenses",
] as const;

test("the usual commands open no socket", async () => {
  const strace = Bun.which("strace");
  using here = await fleet({ init: false });
  const log = join(here.base, "strace.log");
  const traced = async (line: string) => {
    const program = ["-f", "-e", "trace=socket,connect,execve", "-o", log, LODESTAR, ...words(line), "--json"];
    const { exit, stdout } = await here.run(program, { program: strace ?? "" });
    const calls = existsSync(log) ? readFileSync(log, "utf8") : "";
    return { exit, stdout, calls, isTraced: calls.includes("execve(") };
  };
  if (strace === null || !(await traced("version")).isTraced) {
    console.log("note: strace cannot run here; that nothing is sent anywhere was not checked");
    return;
  }
  for (const line of USUAL) {
    const { exit, calls, isTraced } = await traced(line);
    expect({ line, exit, isTraced, sockets: calls.match(/^.*\b(?:socket|connect)\(.*AF_INET.*$/gm) ?? [] }).toEqual({
      ...{ line, exit: 0, isTraced: true, sockets: [] },
    });
  }
  // The trace would have told.
  const probe = Bun.spawnSync(
    [
      strace,
      "-f",
      "-e",
      "trace=socket",
      "-o",
      log,
      process.execPath,
      "-e",
      "await fetch('http://127.0.0.1:9').catch(() => {})",
    ],
    { stdout: "ignore", stderr: "ignore" },
  );
  expect(probe.exitCode).toBe(0);
  expect(readFileSync(log, "utf8")).toContain("AF_INET");
}, 60_000);

test("version --licenses tells every package that is inside, and is current", async () => {
  const path = join(import.meta.dir, "..", "..", "src", "commands", "repo", "licences.json");
  expect(readFileSync(path, "utf8")).toBe(await licences());
  using here = await fleet({ init: false });
  const { json } = await here.run(["version", "--licenses", "--json"]);
  expect(json.data.licenses).toEqual(JSON.parse(readFileSync(path, "utf8")));
  expect((await here.run(["version", "--json"])).json.data.licenses).toBeUndefined();
  for (const { name, text, note } of json.data.licenses)
    expect([name, (text ?? note)?.length > 100]).toEqual([name, true]);
  const { stdout } = await here.run(["version", "--licenses"]);
  expect(stdout).toContain("Permission is hereby granted");
});
