/** install.sh against a download site on loopback, good and bad: what it installs, and that a failure leaves nothing. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import packageJson from "../../package.json";
import { zip } from "../../scripts/release/archive.ts";
import { binary } from "../support/sandbox.ts";
import { AS_NOBODY, publish, type Site, scratch, site, standIn, standIns, toolbox } from "./site.ts";

const ROOT = join(import.meta.dir, "..", "..");
const SCRIPT = join(ROOT, "install.sh");
const OLD = "1.9.0";
const NEW = "2.0.1";

/** All that install.sh may ask a system for, besides one of curl and wget and one that knows SHA-256. */
const TOOLS = ["uname", "getconf", "ldd", "mktemp", "mkdir", "rmdir", "rm", "mv", "cp", "chmod", "cat", "dirname"];
const MORE = ["sed", "grep", "tail", "sleep", "tar", "gzip", "sh", "wc"];

const place = scratch();
let good: Site;

beforeAll(async () => {
  // Where somebody else may read it, too.
  writeFileSync(join(place.path, "install.sh"), readFileSync(SCRIPT));
  const releases = new Map<string, string>();
  for (const version of [OLD, NEW]) releases.set(version, join(await publish(version, place.path), "release"));
  good = await site(releases);
}, 120_000);

afterAll(() => {
  good[Symbol.dispose]();
  place[Symbol.dispose]();
});

interface Installed {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The program; `undefined` when there is none. */
  readonly says: string | undefined;
  /** What else is in the home. */
  readonly left: readonly string[];
}

let homes = 0;

/** A home of its own for each test; `run` installs into it. */
function home(
  options: { readonly tools?: readonly string[]; readonly scripts?: Readonly<Record<string, string>> } = {},
) {
  const path = join(place.path, `home-${++homes}`);
  mkdirSync(join(path, "tmp"), { recursive: true });
  const { tools = ["curl", "sha256sum"], scripts = {} } = options;
  const bin = toolbox(
    join(path, "..", `tools-${homes}`),
    [...TOOLS, ...MORE, ...tools].filter((name) => !(name in scripts)),
    scripts,
  );
  const program = join(path, ".local", "bin", "lodestar");
  return {
    path,
    program,
    bin,
    async run(
      args: readonly string[] = [],
      env: Readonly<Record<string, string>> = {},
      shell: readonly string[] = ["/bin/sh"],
    ): Promise<Installed> {
      const child = Bun.spawn([...shell, join(place.path, "install.sh"), ...args], {
        cwd: path,
        env: {
          PATH: bin,
          HOME: path,
          TMPDIR: join(path, "tmp"),
          SHELL: "/bin/bash",
          LODESTAR_BASE_URL: good.url(),
          ...(env.LODESTAR_BASE_URL === good.url("stalled") ? { LODESTAR_TIMEOUT: "1" } : {}),
          ...env,
        },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      const [stdout, stderr, exit] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      const says = existsSync(program) ? Bun.spawnSync([program, "--version"]).stdout.toString().trim() : undefined;
      const left = readdirSync(path, { recursive: true, encoding: "utf8" }).sort();
      return { exit, stdout, stderr, says, left };
    },
  };
}

const NOTHING = ["tmp"];
const INSTALLED = [".local", ".local/bin", ".local/bin/lodestar", "tmp"];
const target = `linux-${process.arch}`;
const asks = (program: string) => Bun.spawnSync([program, "target"]).stdout.toString().trim();

describe.skipIf(process.platform !== "linux")("install.sh", () => {
  test("is clean to shellcheck, as plain POSIX", () => {
    const shellcheck = Bun.which("shellcheck");
    if (shellcheck === null) throw new Error("shellcheck is not on this machine; .ci/run installs it.");
    const ran = Bun.spawnSync([shellcheck, "--shell=sh", SCRIPT]);
    expect(ran.stdout.toString()).toBe("");
    expect(ran.exitCode).toBe(0);
  });

  const shells: [string, string[]][] = [
    ["dash", ["dash"]],
    ["bash", ["bash"]],
    ["bash as sh", ["bash", "--posix"]],
    ["busybox ash", ["busybox", "ash"]],
  ];
  test.concurrent.each(shells)("installs the latest version under %s", async (_name, [shell = "", ...options]) => {
    const here = home();
    const ran = await here.run([], {}, [Bun.which(shell) ?? shell, ...options]);
    expect(ran).toMatchObject({ exit: 0, stderr: "", says: `lodestar ${NEW}`, left: INSTALLED });
    expect(ran.stdout.split("\n").slice(0, 2)).toEqual([
      `Downloading Lodestar ${NEW} for ${asks(here.program)}`,
      `Installed lodestar ${NEW}: ${here.program}`,
    ]);
    expect(asks(here.program)).toStartWith(target);
    expect(statSync(here.program).mode & 0o777).toBe(0o755);
  });

  const downloaders: [string, string[], Record<string, string>][] = [
    ["curl", ["curl", "sha256sum"], {}],
    ["GNU wget", ["wget", "sha256sum"], {}],
    ["busybox's wget", ["busybox", "sha256sum"], { wget: 'exec busybox wget "$@"' }],
    ["shasum", ["curl"], { shasum: `[ "$*" = "-a 256" ] && exec ${Bun.which("sha256sum")}` }],
    ["openssl", ["curl", "openssl"], {}],
  ];
  test.concurrent.each(downloaders)("makes do with %s", async (_name, tools, scripts) => {
    expect(await home({ tools, scripts }).run()).toMatchObject({ exit: 0, stderr: "", says: `lodestar ${NEW}` });
  });

  test.concurrent("takes the bare program where nothing unpacks an archive", async () => {
    const here = home({ scripts: { tar: "exit 127" } });
    // Not there at all, as in the smallest of containers.
    Bun.spawnSync(["rm", join(here.bin, "tar")]);
    expect(await here.run([], { LODESTAR_BASE_URL: good.url("elsewhere") })).toMatchObject({
      exit: 0,
      says: `lodestar ${NEW}`,
      left: INSTALLED,
    });
    expect(good.asked).toContain(`/elsewhere/download/v${NEW}/lodestar-${asks(here.program)}`);
  });

  test.concurrent("installs the version that is asked for, and upgrades in place", async () => {
    const here = home();
    expect(await here.run(["--version", OLD])).toMatchObject({ exit: 0, says: `lodestar ${OLD}` });
    // Somebody is running it meanwhile: the file that runs is not written to.
    const inode = statSync(here.program).ino;
    const upgraded = await here.run();
    expect(upgraded).toMatchObject({ exit: 0, says: `lodestar ${NEW}`, left: INSTALLED });
    expect(upgraded.stdout).toContain(`Upgraded lodestar ${OLD} to ${NEW}: ${here.program}\n`);
    expect(statSync(here.program).ino).not.toBe(inode);
    expect((await here.run([`--version=v${OLD}`])).says).toBe(`lodestar ${OLD}`);
  });

  test.concurrent("downloads no program that is there already", async () => {
    const here = home();
    await here.run();
    const before = statSync(here.program);
    const again = await here.run([], { LODESTAR_BASE_URL: good.url("tampered") });
    expect(again).toMatchObject({ exit: 0, stderr: "" });
    expect(again.stdout).toContain(`lodestar ${NEW} is there already: ${here.program}\n`);
    expect(statSync(here.program).mtimeMs).toBe(before.mtimeMs);
  });

  test.concurrent("installs where it is told to", async () => {
    const here = home();
    const ran = await here.run(["--dir", "tools/bin"]);
    expect(ran).toMatchObject({ exit: 0, left: ["tmp", "tools", "tools/bin", "tools/bin/lodestar"] });
    const other = await here.run([], { LODESTAR_INSTALL_DIR: join(here.path, "with space") });
    expect(other.left).toContain("with space/lodestar");
  });

  test.concurrent("gets over a slow site, one that refuses at first, and one that sends elsewhere", async () => {
    for (const manner of ["slow", "flaky", "elsewhere"] as const)
      expect(await home().run([], { LODESTAR_BASE_URL: `${good.url(manner)}/` })).toMatchObject({
        exit: 0,
        says: `lodestar ${NEW}`,
      });
  });

  const bad = [
    ["tampered", "is not what was published: nothing was installed."],
    ["cut", "could not be downloaded: "],
    ["stalled", "could not be downloaded: "],
    ["empty", "Error: There is no "],
  ] as const;
  describe.each(bad)("from a site that is %s", (manner, message) => {
    test.concurrent.each(["curl", "wget"])("%s brings nothing, and nothing is left", async (downloader) => {
      const here = home({ tools: [downloader, "sha256sum"] });
      const ran = await here.run([], { LODESTAR_BASE_URL: good.url(manner) });
      expect(ran).toMatchObject({ exit: 1, says: undefined, left: NOTHING });
      expect(ran.stderr).toContain(message);
      expect(ran.stderr).not.toContain("line ");
    });

    test.concurrent("what was installed before stays", async () => {
      const here = home();
      await here.run(["--version", OLD]);
      const ran = await here.run([], { LODESTAR_BASE_URL: good.url(manner) });
      expect(ran).toMatchObject({ exit: 1, says: `lodestar ${OLD}`, left: INSTALLED });
    });
  });

  test.concurrent("a site that nobody answers at is named, with what to look at", async () => {
    const ran = await home().run([], { LODESTAR_BASE_URL: "http://127.0.0.1:9" });
    expect(ran).toMatchObject({ exit: 1, left: NOTHING });
    expect(ran.stderr).toContain("http://127.0.0.1:9/latest/download/version.txt could not be downloaded");
    expect(ran.stderr).toContain("LODESTAR_BASE_URL");
  });

  test.concurrent("takes a folder for a mirror", async () => {
    const here = home({ tools: ["sha256sum"] });
    const mirror = join(here.path, "..", `mirror-${NEW}`);
    mkdirSync(join(mirror, "latest"), { recursive: true });
    mkdirSync(join(mirror, "download"));
    symlinkSync(join(place.path, NEW, "release"), join(mirror, "latest", "download"));
    symlinkSync(join(place.path, NEW, "release"), join(mirror, "download", `v${NEW}`));
    expect(await here.run([], { LODESTAR_BASE_URL: mirror })).toMatchObject({ exit: 0, says: `lodestar ${NEW}` });
    const missing = await here.run(["--version", "9.9.9"], { LODESTAR_BASE_URL: mirror });
    expect(missing).toMatchObject({ exit: 1, says: `lodestar ${NEW}` });
    expect(missing.stderr).toContain("Is there a version 9.9.9?");
  });

  test.concurrent("a version that was never released is said to be none", async () => {
    const ran = await home().run(["--version", "9.9.9"]);
    expect(ran).toMatchObject({ exit: 1, left: NOTHING });
    expect(ran.stderr).toContain("Is there a version 9.9.9?");
  });

  test.concurrent("goes through a proxy", async () => {
    const seen: string[] = [];
    const proxy = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        seen.push(request.url);
        const { pathname } = new URL(request.url, "http://nowhere");
        return fetch(`${good.url().replace("/good", "")}${pathname}`);
      },
    });
    const ran = await home().run([], {
      LODESTAR_BASE_URL: "http://releases.invalid/good",
      http_proxy: `http://127.0.0.1:${proxy.port}`,
    });
    await proxy.stop(true);
    expect(ran).toMatchObject({ exit: 0, says: `lodestar ${NEW}` });
    expect(seen.length).toBe(3);
  });

  test.concurrent("a place that cannot be written is refused before anything is downloaded", async () => {
    const here = home();
    writeFileSync(join(here.path, "file"), "");
    const closed = join(here.path, "closed");
    mkdirSync(closed, { mode: 0o555 });
    chmodSync(join(here.path, "tmp"), 0o777);
    chmodSync(place.path, 0o755);
    using own = await site(new Map());
    for (const dir of [join(here.path, "file", "bin"), closed, join(closed, "bin")]) {
      const ran = await here.run(["--dir", dir], { LODESTAR_BASE_URL: own.url() }, [...AS_NOBODY, "/bin/sh"]);
      expect(ran).toMatchObject({ exit: 1, stdout: "", left: ["closed", "file", "tmp"] });
      expect(ran.stderr).toContain(`This user cannot write ${dir}/lodestar`);
    }
    expect(own.asked).toEqual([]);
    // Nobody may make anything there, root neither; it can only be found out by trying.
    const late = await here.run(["--dir", "/proc/lodestar"]);
    expect(late).toMatchObject({ exit: 1, left: ["closed", "file", "tmp"] });
  });

  test.concurrent("a program that does not start here is not installed", async () => {
    const folder = join(place.path, "broken");
    const programs = standIns("3.0.0", folder);
    for (const path of programs.values()) writeFileSync(path, "#!/no/such/interpreter\n");
    using broken = await site(new Map([["3.0.0", join(await publish("3.0.0", folder, programs), "release")]]));
    const here = home();
    const ran = await here.run([], { LODESTAR_BASE_URL: broken.url() });
    expect(ran).toMatchObject({ exit: 1, says: undefined, left: NOTHING });
    expect(ran.stderr).toContain("does not start here, so it was not installed");
    const musl = await here.run(["--target", "linux-x64-musl"], { LODESTAR_BASE_URL: broken.url() });
    expect(musl.stderr).toContain("apk add libstdc++ libgcc");
    expect(musl.left).toEqual(NOTHING);
  });

  const machines: [string, Record<string, string>, string][] = [
    ["an arm64 Mac", { uname: "[ $1 = -m ] && echo arm64 || echo Darwin" }, "darwin-arm64"],
    ["an Intel Mac", { uname: "[ $1 = -m ] && echo x86_64 || echo Darwin", sysctl: "echo 0" }, "darwin-x64"],
    [
      "Rosetta on an arm64 Mac",
      { uname: "[ $1 = -m ] && echo x86_64 || echo Darwin", sysctl: "echo 1" },
      "darwin-arm64",
    ],
    ["arm64 Linux", { uname: "[ $1 = -m ] && echo aarch64 || echo Linux" }, "linux-arm64"],
    [
      "arm64 Linux with musl",
      { uname: "[ $1 = -m ] && echo aarch64 || echo Linux", ldd: "echo 'musl libc (aarch64)' >&2; exit 1" },
      "linux-arm64-musl",
    ],
  ];
  test.concurrent.each(machines)("knows %s", async (_name, scripts, expected) => {
    const here = home({ scripts });
    expect(await here.run()).toMatchObject({ exit: 0, says: `lodestar ${NEW}` });
    expect(asks(here.program)).toBe(expected);
  });

  const strange: [string, Record<string, string>, string][] = [
    [
      "another processor",
      { uname: "[ $1 = -m ] && echo riscv64 || echo Linux" },
      "no program for a processor of type riscv64",
    ],
    ["another system", { uname: "[ $1 = -m ] && echo x86_64 || echo FreeBSD" }, "There is no program for FreeBSD"],
    ["Windows", { uname: "[ $1 = -m ] && echo x86_64 || echo MINGW64_NT-10.0" }, "install.ps1 | iex"],
    ["a 32-bit system", { uname: "[ $1 = -m ] && echo aarch64 || echo Linux", getconf: "echo 32" }, "32-bit system"],
  ];
  test.concurrent.each(strange)("says so on %s", async (_name, scripts, message) => {
    const ran = await home({ scripts }).run();
    expect(ran).toMatchObject({ exit: 1, left: NOTHING });
    expect(ran.stderr).toContain(message);
  });

  test.concurrent("says what is missing when it can neither download nor verify", async () => {
    expect((await home({ tools: ["sha256sum"] }).run()).stderr).toContain("There is neither curl nor wget");
    expect((await home({ tools: ["curl"] }).run()).stderr).toContain("no sha256sum, shasum or openssl");
  });

  test.concurrent("bad options are answered with what there is", async () => {
    for (const args of [["--verison", "1"], ["--version"], ["--dir", ""], ["--version", "../../x"]]) {
      const ran = await home().run(args);
      expect(ran).toMatchObject({ exit: 1, stdout: "", left: NOTHING });
      expect(ran.stderr).toContain("Error: ");
    }
    expect((await home().run(["--help"])).stdout).toContain("--from-source");
  });

  const paths = [
    ["/bin/bash", `echo 'export PATH="$HOME/.local/bin:$PATH"' >> ~/.bashrc`],
    ["/usr/bin/zsh", `echo 'export PATH="$HOME/.local/bin:$PATH"' >> ~/.zshrc`],
    ["/usr/bin/fish", "fish_add_path "],
    ["/bin/sh", ">> ~/.profile"],
  ] as const;
  test.concurrent.each(paths)(
    "says how %s gets the folder onto its path, and changes nothing itself",
    async (shell, hint) => {
      const here = home();
      const ran = await here.run([], { SHELL: shell });
      expect(ran.stdout).toContain("is not on your PATH");
      expect(ran.stdout).toContain(hint);
      expect(ran.left).toEqual(INSTALLED);
    },
  );

  test.concurrent("is silent about a path that is right, and warns of another lodestar before it", async () => {
    const here = home();
    const bin = join(here.path, ".local", "bin");
    expect((await here.run([], { PATH: `${here.bin}:${bin}` })).stdout).not.toContain("PATH");
    toolbox(join(here.path, "first"), [], { lodestar: "echo lodestar 0.1" });
    const first = join(here.path, "first");
    expect((await here.run([], { PATH: `${first}:${here.bin}:${bin}` })).stdout).toContain(
      `Note: the shell finds another one first: ${first}/lodestar`,
    );
  });

  test.concurrent("half of the script does nothing", async () => {
    const text = readFileSync(SCRIPT, "utf8");
    for (const part of [0.3, 0.6, 0.99]) {
      const cut = text.slice(0, Math.floor((text.length - 'main "$@"\n'.length) * part));
      const here = home();
      const ran = Bun.spawnSync(["/bin/sh", "-s"], {
        stdin: new TextEncoder().encode(cut),
        env: { PATH: here.bin, HOME: here.path, LODESTAR_BASE_URL: good.url() },
      });
      expect(ran.stdout.toString()).toBe("");
      expect(readdirSync(here.path)).toEqual(NOTHING);
    }
  });

  test("installs the real program, which then runs", async () => {
    const program = binary();
    const { version } = packageJson;
    const folder = join(place.path, "real", version);
    mkdirSync(folder, { recursive: true });
    const bytes = readFileSync(program);
    const names = [target, `${target}-baseline`, `${target}-musl`].map((name) => `lodestar-${name}`);
    for (const name of names) writeFileSync(join(folder, name), bytes);
    const sum = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    writeFileSync(join(folder, "checksums.txt"), names.map((name) => `${sum}  ${name}\n`).join(""));
    writeFileSync(join(folder, "version.txt"), `${version}\n`);
    using real = await site(new Map([[version, folder]]));
    const here = home();
    Bun.spawnSync(["rm", join(here.bin, "tar")]);
    const ran = await here.run([], { LODESTAR_BASE_URL: real.url() });
    expect(ran).toMatchObject({ exit: 0, stderr: "", says: `lodestar ${version}`, left: INSTALLED });
  });

  test.concurrent("builds in a checkout with the Bun that it names, fetched and verified when it is not there", async () => {
    const folder = join(place.path, "checkout");
    mkdirSync(folder);
    writeFileSync(join(folder, "package.json"), '{\n  "packageManager": "bun@1.2.3"\n}\n');
    writeFileSync(join(folder, "build.ts"), "");
    writeFileSync(join(folder, "install.sh"), readFileSync(SCRIPT));
    const built = standIn("2.1.0-dev", "source");
    writeFileSync(join(folder, "built"), built, { mode: 0o755 });
    const bun = `case $1 in --version) echo 1.2.3 ;; run) mkdir -p dist && cp built dist/lodestar ;; esac`;
    const build = async (here: ReturnType<typeof home>, env: Record<string, string> = {}) => {
      const ran = Bun.spawnSync(["/bin/sh", join(folder, "install.sh"), "--from-source"], {
        cwd: "/",
        env: { PATH: here.bin, HOME: here.path, TMPDIR: join(here.path, "tmp"), ...env },
      });
      return { exit: ran.exitCode, stdout: ran.stdout.toString(), stderr: ran.stderr.toString() };
    };
    const own = home({ scripts: { bun } });
    expect(await build(own)).toMatchObject({ exit: 0, stderr: "" });
    expect(asks(own.program)).toBe("source");
    const npm = home({ scripts: { npx: `[ "$1 $2" = "-y bun@1.2.3" ] && shift 2\n${bun}`, bun: "echo 1.0.0" } });
    expect(await build(npm)).toMatchObject({ exit: 0, stderr: "" });
    expect(asks(npm.program)).toBe("source");
    const site = join(place.path, "bun", "bun-v1.2.3");
    mkdirSync(site, { recursive: true });
    const name = `bun-linux-${process.arch === "arm64" ? "aarch64" : process.arch}`;
    const bytes = zip(
      [{ name: `${name}/bun`, bytes: new TextEncoder().encode(`#!/bin/sh\n${bun}\n`), executable: true }],
      0,
    );
    writeFileSync(join(site, `${name}.zip`), bytes);
    const sum = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    for (const [said, exit] of [
      [sum, 0],
      ["0".repeat(64), 1],
    ] as const) {
      writeFileSync(join(site, "SHASUMS256.txt"), `${said}  ${name}.zip\n`);
      const alone = home({ tools: ["sha256sum", "unzip"] });
      const ran = await build(alone, { LODESTAR_BUN_URL: join(place.path, "bun") });
      expect(ran.exit).toBe(exit);
      expect(existsSync(alone.program)).toBe(exit === 0);
      expect(ran.stdout + ran.stderr).toContain(exit === 0 ? "Downloading Bun 1.2.3" : "is not what was published");
      expect(readdirSync(join(alone.path, "tmp"))).toEqual([]);
    }
  });

  test("outside a checkout it says where to build", async () => {
    const here = home();
    const ran = Bun.spawnSync(["/bin/sh", "-s", "--", "--from-source"], {
      cwd: here.path,
      stdin: readFileSync(SCRIPT),
      env: { PATH: here.bin, HOME: here.path, TMPDIR: join(here.path, "tmp") },
    });
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr.toString()).toContain("is no checkout of Lodestar");
  });
});
