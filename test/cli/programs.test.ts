/** What other programs print, on its way to a terminal and elsewhere; and who does without all of that. */
import { describe, expect, test } from "bun:test";
import type { Io } from "../../src/cli/io.ts";
import { programs } from "../../src/cli/programs.ts";
import { loadedBy } from "../support/loaded.ts";

/** Runs a script of `sh` and returns what it printed on both streams. */
async function printed(script: string, options: { terminal?: boolean; label?: string; json?: boolean }) {
  const { terminal = false, label, json = false } = options;
  const seen = { out: "", err: "" };
  const io = {
    isTerminal: () => terminal,
    system: {
      write: async (stream: "out" | "err", bytes: Uint8Array) => {
        seen[stream] += new TextDecoder().decode(bytes);
        return true;
      },
      onSignal: () => () => {},
      signal: () => {},
    },
  } as unknown as Io;
  const running = programs(io, { json, quiet: true }).start({
    words: ["sh", "-c", script],
    cwd: "/",
    env: { PATH: process.env.PATH },
    stdin: "",
    ...(label === undefined ? {} : { label }),
  });
  const ended = await running.ended;
  return { ...seen, ...ended };
}

const ESCAPES = "printf '\\033[2Jgone\\r\\n\\342\\200\\256back\\n'";

describe.skipIf(process.platform === "win32")("what a program prints", () => {
  test("is shown on a terminal, and does not act on it, when several speak", async () => {
    expect((await printed(ESCAPES, { terminal: true, label: "T\u001b[1m" })).out).toBe(
      "T␛[1m | ␛[2Jgone\nT␛[1m | <U+202E>back\n",
    );
  });

  test("is passed on as it is elsewhere, or when it speaks alone", async () => {
    expect((await printed(ESCAPES, { label: "T" })).out).toBe("T | \u001b[2Jgone\r\nT | \u202eback\n");
    expect((await printed(ESCAPES, { terminal: true })).out).toBe("\u001b[2Jgone\r\n\u202eback\n");
  });

  test("goes to standard error in JSON", async () => {
    expect(await printed("echo a; exit 3", { json: true })).toEqual({ out: "", err: "a\n", status: 3, tail: "a" });
  });

  test("without line ends comes in pieces that a terminal can bear", async () => {
    const { out } = await printed("head -c 300000 /dev/zero | tr '\\0' x", { label: "T" });
    const lines = out.trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.every((line) => line.startsWith("T | "))).toBe(true);
    expect(out.replaceAll(/T \| |\n/g, "")).toHaveLength(300_000);
  });

  test("is kept as its last words: a few lines, without what acts on a terminal", async () => {
    const { tail } = await printed("seq 1000; printf '\\033[31mred\\033[0m\\n'", {});
    expect(tail.split("\n")).toHaveLength(20);
    expect(tail).toEndWith("\n1000\nred");
  });
});

test.each([
  "start.ts",
  "wire.ts",
  "cli/run.ts",
  "commands/task/next.ts",
  "commands/task/claim.ts",
  "commands/task/done.ts",
  "commands/repo/status.ts",
])("%s loads nothing of it", (entry) => {
  const theirs = /^(?:cli\/programs|commands\/programs|commands\/task\/(?:run|fleet|attempt))\.ts$/;
  expect(loadedBy(entry).filter((path) => theirs.test(path))).toEqual([]);
  expect(loadedBy("commands/task/run.ts").filter((path) => theirs.test(path)).length).toBeGreaterThan(2);
});
