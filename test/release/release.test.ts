/** How a release is made and used by CI: workflows, the action, the image and the notes, tried as far as they can be without GitHub. */
import { describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TARGETS } from "../../build.ts";
import packageJson from "../../package.json";
import { notesOf } from "../../scripts/release/notes.ts";
import { publish, scratch, site } from "../install/site.ts";
import { binary, sandbox } from "../support/sandbox.ts";

const ROOT = join(import.meta.dir, "..", "..");
const WORKFLOWS = join(ROOT, ".github", "workflows");
const workflows = readdirSync(WORKFLOWS).map((name) => [name, readFileSync(join(WORKFLOWS, name), "utf8")] as const);

/** What actionlint, compiled to WebAssembly, says of workflows; empty when all is well. */
function actionlint(...files: readonly string[]): string {
  const program = join(ROOT, "node_modules", "@tktco", "node-actionlint", "bin", "node-actionlint.js");
  const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, program, ...files], {
    ...{ stdout: "pipe", stderr: "pipe" },
  });
  return exitCode === 0 ? "" : `${stdout}${stderr}`;
}

describe("workflows", () => {
  test("actionlint finds nothing, and would", () => {
    expect(actionlint(...workflows.map(([name]) => join(WORKFLOWS, name)))).toBe("");
    using here = scratch();
    const bad = join(here.path, "bad.yml");
    writeFileSync(
      bad,
      `on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo \${{ github.nope }}\n`,
    );
    expect(actionlint(bad)).toContain("nope");
  });

  test.each(workflows)("%s calls scripts that are there, with the Bun of package.json", (_, text) => {
    const calls = [...text.matchAll(/npx -y (\S+) (?:run (\S+)|(\S+))/g)];
    expect(calls.length).toBeGreaterThan(2);
    for (const [, bun, script, other = ""] of calls) {
      expect(bun).toBe(packageJson.packageManager);
      if (script !== undefined) expect(Object.keys(packageJson.scripts)).toContain(script);
      else if (other !== "install") expect(existsSync(join(ROOT, other))).toBe(true);
    }
  });

  test("what is tried is what is made, and no workflow may write before it is tried", () => {
    const release = Bun.YAML.parse(workflows.find(([name]) => name === "release.yml")?.[1] ?? "") as {
      permissions: object;
      jobs: Record<
        string,
        { needs?: unknown; permissions?: object; strategy?: { matrix: { include: { program: string }[] } } }
      >;
    };
    const names = TARGETS.map((target) => `lodestar-${target}${target.startsWith("windows") ? ".exe" : ""}`);
    for (const { program } of release.jobs.try?.strategy?.matrix.include ?? []) expect(names).toContain(program);
    expect(release.permissions).toEqual({ contents: "read" });
    const writing = Object.entries(release.jobs).filter(([, job]) => job.permissions !== undefined);
    expect(writing.map(([name, { needs }]) => [name, needs])).toEqual([["publish", ["test", "try"]]]);
  });
});

describe("the notes of a release", () => {
  const changelog =
    "# Changelog\n\n## Unreleased\n\nNew.\n\n## 2.1.0 - 2027-01-01\n\n### Added\n\n- A.\n\n## [2.0.0]\n\n- B.\n\n## 1.0.0\n";
  test.each([
    ["v2.1.0", "2.1.0", "### Added\n\n- A."],
    ["v2.0.0", "2.0.0", "- B."],
    ["v2.2.0-alpha.1", "2.2.0-alpha.1", "New."],
  ])("of %s", (tag, version, notes) => expect(notesOf(changelog, tag, version)).toBe(notes));

  test.each([
    ["v2.1.0", "2.0.0", "is not the version"],
    ["v2.2.0", "2.2.0", 'nothing under "## 2.2.0"'],
    ["v1.0.0", "1.0.0", 'nothing under "## 1.0.0"'],
  ])("of %s, when the sources are %s, are refused", (tag, version, why) =>
    expect(() => notesOf(changelog, tag, version)).toThrow(why),
  );
});

describe.skipIf(process.platform === "win32")("the action setup-lodestar", () => {
  const action = join(ROOT, ".github", "actions", "setup-lodestar");

  async function setUp(url: string, version: string, folder: string) {
    const env = {
      ...{ PATH: process.env.PATH ?? "", HOME: folder, RUNNER_TEMP: folder, GITHUB_ACTION_PATH: action },
      ...{ GITHUB_PATH: join(folder, "path"), GITHUB_OUTPUT: join(folder, "output") },
      ...{ LODESTAR_BASE_URL: url, VERSION: version },
    };
    const child = Bun.spawn(["sh", join(action, "setup.sh")], { env, stdout: "pipe", stderr: "pipe" });
    const said = `${await new Response(child.stdout).text()}${await new Response(child.stderr).text()}`;
    const text = (name: string) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), "utf8") : "");
    return { exit: await child.exited, said, path: text("path"), output: text("output") };
  }

  test("installs the latest or the one that is named, verified, and says so to the job", async () => {
    using here = scratch();
    const releases = new Map([
      ["1.0.0", join(await publish("1.0.0", here.path), "release")],
      ["1.1.0", join(await publish("1.1.0", here.path), "release")],
    ]);
    using served = await site(releases);
    for (const [version, installed] of [
      ["", "1.1.0"],
      ["1.0.0", "1.0.0"],
    ] as const) {
      const folder = join(here.path, `job-${installed}`);
      mkdirSync(folder);
      const { exit, said, path, output } = await setUp(served.url(), version, folder);
      expect({ exit, said }).toEqual({ exit: 0, said: expect.stringContaining(installed) });
      expect([path, output]).toEqual([`${join(folder, "lodestar")}\n`, `version=${installed}\n`]);
    }
    const folder = join(here.path, "job-tampered");
    mkdirSync(folder);
    const tampered = await setUp(served.url("tampered"), "", folder);
    expect(tampered.exit).not.toBe(0);
    expect([tampered.path, tampered.output]).toEqual(["", ""]);
  }, 60_000);

  test("the steps give the scripts what they read", () => {
    const { runs } = Bun.YAML.parse(readFileSync(join(action, "action.yml"), "utf8")) as {
      runs: { steps: { run: string; env: object; shell: string }[] };
    };
    for (const { run, env, shell } of runs.steps) {
      const script = readFileSync(join(action, /setup\.\w+/.exec(run)?.[0] ?? ""), "utf8");
      expect(Object.keys(env)).toEqual(["VERSION", "LODESTAR_BASE_URL"]);
      expect(script).toContain(shell === "sh" ? "$VERSION" : "$env:VERSION");
    }
  });
});

/** chroot(1), and mounts of /dev and /proc as a container has them, need root. */
const canMount =
  process.platform === "linux" &&
  Bun.which("unshare") !== null &&
  Bun.spawnSync(["unshare", "--mount", "true"]).exitCode === 0;
if (!canMount && process.env.CI === "true") throw new Error("Nothing can be mounted here: the image goes untried.");

test.skipIf(!canMount)(
  "the image holds the program and its libraries, no shell, and works for a user without a name",
  async () => {
    using here = sandbox();
    await here.run(["init", "--name", "shop"]);
    const image = join(here.base, "image");
    const made = Bun.spawnSync(["sh", join(ROOT, "scripts", "release", "image.sh"), binary(), image], {
      stderr: "pipe",
    });
    expect([made.exitCode, made.stderr.toString()]).toEqual([0, ""]);
    const files = (
      readdirSync(image, { recursive: true, withFileTypes: true }) as { isFile(): boolean; name: string }[]
    )
      .filter((entry) => entry.isFile())
      .map(({ name }) => name);
    expect(files).toContain("lodestar");
    expect(files.filter((name) => /^(?:sh|bash|dash|busybox|apt)$/.test(name))).toEqual([]);
    expect(files.length).toBeLessThan(12);
    cpSync(here.path, join(image, "repo"), { recursive: true });
    for (const name of ["dev", "proc"]) mkdirSync(join(image, name));
    const inside = (...args: string[]) => {
      const mounts = 'mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec "$@"';
      const program = ["chroot", "--userspec=65532:65532", image, "/usr/bin/lodestar", "-C", "/repo"];
      const words = ["unshare", "--mount", "sh", "-c", mounts, image, ...program, ...args];
      const env = { PATH: process.env.PATH ?? "" };
      const ran = Bun.spawnSync(words, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
      return { exit: ran.exitCode, text: `${ran.stdout}${ran.stderr}` };
    };
    expect(inside("--version").text).toBe(`lodestar ${packageJson.version}\n`);
    // Its owner is another, and nothing of it can be written: what only reads works.
    expect(inside("doctor", "--strict", "--format", "github")).toMatchObject({
      exit: 0,
      text: expect.stringContaining("0 findings"),
    });
  },
);

test("the container file copies what image.sh needs, and ends with no root and no shell", () => {
  const text = readFileSync(join(ROOT, "Dockerfile"), "utf8");
  const last = text.slice(text.lastIndexOf("\nFROM "));
  expect(last).toMatch(/^\nFROM scratch\n/);
  expect(last).toMatch(/\nUSER 65532:65532\n/);
  expect(last).toContain('ENTRYPOINT ["/usr/bin/lodestar"]');
  const ignored = readFileSync(join(ROOT, ".dockerignore"), "utf8");
  const copied = /^COPY (?!--from)(.+) \S+$/m.exec(text)?.[1]?.split(" ") ?? [];
  expect(copied.length).toBe(3);
  for (const path of copied) expect(ignored).toContain(`!${path}\n`);
});
