/** `lodestar upgrade`, called on a program of its own, against a download site on loopback. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../package.json";
import { tarGz, zip } from "../../scripts/release/archive.ts";
import { share } from "../../scripts/release/npm.ts";
import { replaceProgram } from "../../src/commands/repo/replace-program.ts";
import { unpack } from "../../src/commands/repo/unpack.ts";
import { fleet } from "../support/fleet.ts";
import { binary } from "../support/sandbox.ts";
import { AS_NOBODY, publish, type Site, scratch, site, standIn, standIns } from "./site.ts";

const CURRENT = packageJson.version;
const OLD = "1.9.0";
const NEW = "99.0.1";

const place = scratch();
let releases: Map<string, string>;
let good: Site;

beforeAll(async () => {
  releases = new Map();
  for (const version of [OLD, NEW]) releases.set(version, join(await publish(version, place.path), "release"));
  good = await site(releases);
  binary();
}, 120_000);

afterAll(() => {
  good[Symbol.dispose]();
  place[Symbol.dispose]();
});

let homes = 0;

/** The real program, in a folder of its own. */
function installed(below = "bin") {
  const folder = join(place.path, `home-${++homes}`, below);
  const program = join(folder, "lodestar");
  share(binary(), program);
  return {
    folder,
    program,
    says: () => Bun.spawnSync([program, "--version"]).stdout.toString().trim(),
    async upgrade(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}, command = program) {
      const child = Bun.spawn([command, "upgrade", ...args], {
        cwd: folder,
        env: { PATH: process.env.PATH ?? "", HOME: folder, LODESTAR_BASE_URL: good.url(), ...env },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      const [stdout, stderr, exit] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      return { exit, stdout, stderr, answer: args.includes("--json") ? JSON.parse(stdout) : undefined };
    },
  };
}

test("upgrades to the latest version in place, also where a link leads to it", async () => {
  const here = installed();
  symlinkSync(here.program, join(here.folder, "link"));
  const ran = await here.upgrade([], {}, join(here.folder, "link"));
  expect(ran).toMatchObject({ exit: 0, stderr: "" });
  expect(ran.stdout).toContain(`Upgraded lodestar ${CURRENT} to ${NEW}`);
  expect(here.says()).toBe(`lodestar ${NEW}`);
  expect(readdirSync(here.folder).sort()).toEqual(["link", "lodestar"]);
});

test("says in JSON what it did; takes an older version when asked, and nothing when it is there", async () => {
  const here = installed();
  const data = { version: CURRENT, path: here.program };
  expect((await here.upgrade(["--check", "--json"])).answer).toEqual({
    ok: true,
    data: { ...data, available: NEW, newer: true, upgraded: false },
    next: [{ intent: "upgrade", cmd: "lodestar upgrade", description: "Take it" }],
    warnings: [],
  });
  expect((await here.upgrade([OLD, "--check"])).stdout).toContain(`${OLD} is an older version; this is ${CURRENT}`);
  expect((await here.upgrade(["9.9.9", "--check", "--json"])).answer.error.code).toBe("RELEASE_NOT_FOUND");
  expect((await here.upgrade([CURRENT, "--json"])).answer.data).toMatchObject({ upgraded: false });
  expect(here.says()).toBe(`lodestar ${CURRENT}`);
  expect((await here.upgrade(["--version", `v${OLD}`, "--json"])).answer.data).toEqual({
    ...data,
    available: OLD,
    newer: false,
    upgraded: true,
  });
  expect(here.says()).toBe(`lodestar ${OLD}`);
});

test("a latest version that is older is not taken", async () => {
  const here = installed();
  using older = await site(new Map([[OLD, releases.get(OLD) as string]]));
  const ran = await here.upgrade([], { LODESTAR_BASE_URL: older.url() });
  expect(ran).toMatchObject({ exit: 0, stdout: `lodestar ${CURRENT} is the latest version\n` });
  expect(older.asked).toEqual(["/good/latest/download/version.txt"]);
});

test("what runs meanwhile goes on", async () => {
  using here = await fleet({ git: false });
  const own = installed();
  const waiter = Bun.spawn([own.program, "wait", "--for", "task.claimable", "--timeout", "60s", "--json"], {
    cwd: here.path,
    env: here.environment(),
    stdin: "ignore",
    stdout: "pipe",
  });
  expect((await own.upgrade()).exit).toBe(0);
  expect(own.says()).toBe(`lodestar ${NEW}`);
  await here.ok("task create --id T-1 --title One");
  expect(JSON.parse(await new Response(waiter.stdout).text()).ok).toBe(true);
});

test("gets over a slow site, one that refuses at first, one that sends elsewhere, and goes through a proxy", async () => {
  for (const manner of ["slow", "flaky", "elsewhere"] as const) {
    const here = installed();
    expect(await here.upgrade([], { LODESTAR_BASE_URL: good.url(manner) })).toMatchObject({ exit: 0, stderr: "" });
    expect(here.says()).toBe(`lodestar ${NEW}`);
  }
  const seen: string[] = [];
  const proxy = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      seen.push(request.url);
      return fetch(good.url().replace("/good", "") + new URL(request.url, "http://nowhere").pathname);
    },
  });
  const here = installed();
  const env = { LODESTAR_BASE_URL: "http://releases.invalid/good", http_proxy: `http://127.0.0.1:${proxy.port}` };
  const ran = await here.upgrade([], env);
  await proxy.stop(true);
  expect(ran).toMatchObject({ exit: 0, stderr: "" });
  expect(seen).toHaveLength(3);
});

describe("is refused, and leaves what was there, where", () => {
  const bad = [
    ["tampered", "CHECKSUM_MISMATCH"],
    ["cut", "DOWNLOAD_FAILED"],
    ["stalled", "DOWNLOAD_FAILED"],
    ["empty", "RELEASE_NOT_FOUND"],
  ] as const;
  test.each(bad)("the site is %s: %s", async (manner, code) => {
    const here = installed();
    const env = { LODESTAR_BASE_URL: good.url(manner), ...(manner === "stalled" ? { LODESTAR_TIMEOUT: "1" } : {}) };
    const { exit, answer } = await here.upgrade(["--json"], env);
    expect(answer.error.code).toBe(code);
    expect(exit).not.toBe(0);
    expect(here.says()).toBe(`lodestar ${CURRENT}`);
    expect(readdirSync(here.folder)).toEqual(["lodestar"]);
  });

  test("the program does not start here, or is another version", async () => {
    const folder = join(place.path, "broken");
    const versions: [string, string, string][] = [
      ["99.1.0", "#!/no/such/interpreter\n", "does not start on this machine"],
      ["99.2.0", standIn(OLD, "x"), `it says that it is lodestar ${OLD}`],
    ];
    for (const [version, text, message] of versions) {
      const programs = standIns(version, folder);
      for (const path of programs.values()) writeFileSync(path, text);
      const files = join(await publish(version, folder, programs), "release");
      using broken = await site(new Map([[version, files]]));
      const here = installed();
      const { answer } = await here.upgrade(["--json"], { LODESTAR_BASE_URL: broken.url() });
      expect(answer.error).toMatchObject({ code: "PROGRAM_UNUSABLE" });
      expect(answer.error.message).toContain(message);
      expect(here.says()).toBe(`lodestar ${CURRENT}`);
      expect(readdirSync(here.folder)).toEqual(["lodestar"]);
    }
  });

  const managers: [string, string][] = [
    ["lib/node_modules/lodestar-linux-x64/bin", "npm install --global lodestar@latest"],
    ["Cellar/lodestar/2.0.0/bin", "brew upgrade lodestar"],
    ["scoop/apps/lodestar/current", "scoop update lodestar"],
  ];
  test.each(managers)("it was installed into %s: `%s` is the way", async (below, command) => {
    const here = installed(below);
    const { exit, answer } = await here.upgrade(["--json"]);
    expect(exit).toBe(1);
    expect(answer.error).toMatchObject({ code: "PACKAGE_MANAGED", details: { command } });
    const check = await here.upgrade(["--check"]);
    expect(check).toMatchObject({ exit: 0 });
    expect(check.stdout).toContain(command);
    expect(check.stdout).not.toContain("lodestar upgrade");
  });

  test("nobody may write", async () => {
    const here = installed();
    const mirror = join(place.path, "mirror");
    mkdirSync(join(mirror, "latest"), { recursive: true });
    mkdirSync(join(mirror, "download"));
    symlinkSync(releases.get(NEW) as string, join(mirror, "latest", "download"));
    symlinkSync(releases.get(NEW) as string, join(mirror, "download", `v${NEW}`));
    chmodSync(place.path, 0o755);
    chmodSync(here.folder, 0o555);
    const ran = Bun.spawnSync([...AS_NOBODY, here.program, "upgrade", "--json"], {
      cwd: "/",
      env: { PATH: process.env.PATH ?? "", HOME: "/", LODESTAR_BASE_URL: mirror },
    });
    chmodSync(here.folder, 0o755);
    expect(JSON.parse(ran.stdout.toString()).error.code).toBe("READ_ONLY");
    expect(readdirSync(here.folder)).toEqual(["lodestar"]);
  });

  test("what is asked for is no version, or the patience no number", async () => {
    const here = installed();
    expect((await here.upgrade(["../../etc"])).exit).toBe(2);
    expect((await here.upgrade(["--check"], { LODESTAR_TIMEOUT: "soon" })).exit).toBe(2);
  });
});

test("on Windows the old program is renamed, and what an earlier upgrade left is removed", () => {
  const { path: folder } = scratch();
  const path = join(folder, "lodestar.exe");
  const put = (version: string, unique: string) =>
    replaceProgram({
      path,
      bytes: new TextEncoder().encode(standIn(version, "windows-x64")),
      version,
      unique,
      windows: true,
      env: process.env,
    });
  writeFileSync(path, "one");
  writeFileSync(`${path}.old-0`, "zero");
  put("2.0.0", "a");
  expect(readFileSync(path, "utf8")).toBe(standIn("2.0.0", "windows-x64"));
  expect(readdirSync(folder)).toEqual(["lodestar.exe"]);
  // What runs cannot be removed there; a folder cannot here.
  mkdirSync(`${path}.old-running`);
  put("2.0.1", "b");
  expect(readdirSync(folder).sort()).toEqual(["lodestar.exe", "lodestar.exe.old-running"]);
  expect(existsSync(path)).toBe(true);
});

describe("of an archive", () => {
  const bytes = new TextEncoder().encode("the program ".repeat(1000));
  const members = [
    { name: "LICENSE", bytes: new TextEncoder().encode("MIT"), executable: false },
    { name: "lodestar", bytes, executable: true },
  ];
  const kinds: [string, Uint8Array<ArrayBuffer>][] = [
    ["tar", tarGz(members, 1_795_000_000)],
    ["zip", zip(members, 1_795_000_000)],
  ];
  test.each(kinds)("%s: the member is found, and what is no archive is none", (_name, archive) => {
    expect(unpack(archive, "lodestar")).toEqual(bytes);
    expect(unpack(archive, "other")).toBeUndefined();
    for (const length of [0, 1, 21, 100, archive.length >> 1, archive.length - 1])
      expect(unpack(archive.slice(0, length), "lodestar")).toBeUndefined();
    expect(unpack(crypto.getRandomValues(new Uint8Array(2000)), "lodestar")).toBeUndefined();
  });
});
