/** src/main.ts as a process: streams, pipes and exit statuses, with the small registry of house.ts. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../package.json";

const MAIN = [
  process.execPath,
  "--preload",
  join(import.meta.dir, "stand-in.ts"),
  join(import.meta.dir, "..", "..", "src", "main.ts"),
];
const ENVIRONMENT = { PATH: process.env.PATH ?? "", TZ: "UTC", LC_ALL: "C.UTF-8" };

function lodestar(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...MAIN, ...args], {
    env: { ...ENVIRONMENT, ...env },
    stdin: "ignore",
  });
  return { exit: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** Runs `lodestar ARGS | READER` and tells both exit statuses. */
function piped(args: readonly string[], reader: string) {
  const script = `{ "$@"; echo "exit $?" >&2; } | ${reader}`;
  const { stdout, stderr } = Bun.spawnSync(["sh", "-c", script, "sh", ...MAIN, ...args], {
    env: ENVIRONMENT,
    stdin: "ignore",
  });
  return { stdout: stdout.toString(), stderr: stderr.toString() };
}

test("results go to standard output, diagnostics to standard error, the exit status tells them apart", () => {
  expect(lodestar(["task", "list", "--quiet"])).toEqual({
    exit: 0,
    stdout: "Id  Title\nF1  xxxxx\nF2  Second\n",
    stderr: "",
  });
  const wrong = lodestar(["task", "lits"]);
  expect(wrong).toMatchObject({ exit: 2, stdout: "" });
  expect(wrong.stderr).toStartWith(
    'Error: Unknown command "lits" of `lodestar task`. Did you mean `lodestar task list`?\n',
  );
  expect(lodestar(["msg", "mark-read", "defect", "--json"])).toMatchObject({ exit: 70, stderr: "" });
});

test("the version is answered at once", () => {
  expect(lodestar(["--version"])).toEqual({ exit: 0, stdout: `lodestar ${packageJson.version}\n`, stderr: "" });
  expect(lodestar(["-v"]).stdout).toBe(`lodestar ${packageJson.version}\n`);
});

describe("5 MB of output", () => {
  test("arrive whole", () => {
    const { exit, stdout, stderr } = lodestar(["task", "list", "--size", "5000000", "--json"]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(JSON.parse(stdout).data.tasks[0].title).toHaveLength(5_000_000);
  });

  test("arrive whole through a slow pipe", () => {
    const { stdout, stderr } = piped(["task", "list", "--size", "5000000", "--json"], "{ sleep 0.3; wc -c; }");
    expect(Number(stdout)).toBeGreaterThan(5_000_000);
    expect(stderr).toBe("exit 0\n");
  });

  test.each([[["--json"]], [[]]])("end quietly when nobody reads on %p", (more) => {
    const { stderr } = piped(["task", "list", "--size", "5000000", ...more], "head -c 10");
    expect(stderr).toBe("exit 0\n");
  });
});

test.skipIf(!existsSync("/dev/full"))("an answer that cannot be written is no success", () => {
  const { exitCode, stderr } = Bun.spawnSync(
    ["sh", "-c", '"$@" > /dev/full', "sh", ...MAIN, "task", "list", "--json"],
    {
      env: ENVIRONMENT,
    },
  );
  expect(exitCode).toBe(5);
  expect(stderr.toString()).toBe("Error: The answer could not be written to standard output (ENOSPC).\n");
});

test("a closed standard output is no error", () => {
  const { exitCode, stderr } = Bun.spawnSync(["sh", "-c", '"$@" >&-', "sh", ...MAIN, "task", "list", "--json"], {
    env: ENVIRONMENT,
  });
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
});

test("a command that goes on ends when nobody reads any more", () => {
  const { stdout, stderr } = piped(["task", "list", "--follow", "--size", "100000000", "--json"], "head -n 1");
  expect(stdout).toBe('{"id":"F1","title":"Something"}\n');
  expect(stderr).toBe("exit 0\n");
});

describe("on a terminal", () => {
  const script = Bun.which("script");
  const onTerminal = (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    // util-linux's `script` gives the program a terminal of its own.
    const line = [...MAIN, ...args].map((word) => `'${word}'`).join(" ");
    const ran = Bun.spawnSync(["script", "-qec", line, "/dev/null"], {
      env: { ...ENVIRONMENT, TERM: "xterm-256color", ...env },
      stdin: "ignore",
    });
    return ran.stdout.toString().replaceAll("\r\n", "\n");
  };

  test.skipIf(script === null)("people get colours, unless they refuse them", () => {
    expect(onTerminal(["task", "list"])).toContain("\u001b[1mId");
    expect(onTerminal(["task", "lits"])).toContain("\u001b[31mError:");
    for (const plain of [
      onTerminal(["task", "list", "--no-color"]),
      onTerminal(["task", "lits", "--no-color"]),
      onTerminal(["task", "lits"], { NO_COLOR: "1" }),
      onTerminal(["task", "lits"], { LODESTAR_NO_COLOR: "1" }),
      onTerminal(["task", "lits"], { TERM: "dumb" }),
    ]) {
      expect(plain).not.toContain("\u001b[3");
      expect(plain).not.toContain("\u001b[1m");
    }
  });

  test.skipIf(script === null)("JSON is indented", () => {
    expect(onTerminal(["task", "list", "--json"])).toContain('{\n  "ok": true,');
  });

  test("the null device is none", () => {
    const { exitCode } = Bun.spawnSync(["sh", "-c", '"$@" > /dev/null', "sh", ...MAIN, "task", "list"], {
      env: ENVIRONMENT,
    });
    expect(exitCode).toBe(0);
  });
});
