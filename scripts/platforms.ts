/**
 * Starts the programs of other platforms as far as one Linux machine can, and runs a task's whole loop with each: another C library in a
 * root of its own, another processor under QEMU. Then has install.sh install in such a root.
 *
 *   bun run test:platforms
 *
 * Needs root, x86-64, and Debian's packages; says which. It installs nothing on the machine.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, type Target } from "../build.ts";
import packageJson from "../package.json";
import { publish, type Site, site } from "../test/install/site.ts";

const ROOT = join(import.meta.dir, "..");
const NEEDED = {
  "apt-get": "apt",
  chroot: "coreutils",
  unshare: "util-linux",
  gcc: "gcc",
  "qemu-x86_64-static": "qemu-user-static",
  "qemu-aarch64-static": "qemu-user-static",
  "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
};
/** Nehalem is the first with SSE 4.2, and has no AVX. */
const OLD_PROCESSOR = ["qemu-x86_64-static", "-cpu", "Nehalem,-avx,-avx2"];

interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program is started: words before its own. */
interface Way {
  readonly target: Target;
  readonly how: string;
  start(args: readonly string[]): Promise<Ran>;
}

const scratch = mkdtempSync(join(tmpdir(), "lodestar-platforms-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

async function run(words: readonly string[], env: Record<string, string> = {}, cwd = scratch): Promise<Ran> {
  const base = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/tmp",
    LC_ALL: "C.UTF-8",
  };
  const child = Bun.spawn([...words], {
    cwd,
    env: { ...base, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exit] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exit, stdout, stderr };
}

async function must(words: readonly string[]): Promise<string> {
  const { exit, stdout, stderr } = await run(words);
  if (exit !== 0) throw new Error(`${words.join(" ")}: ${stderr}${stdout}`);
  return stdout;
}

/** Unpacks packages of Debian into a folder, of this machine's architecture or, from lists of their own, of another. */
async function unpack(packages: readonly string[], folder: string, architecture?: string): Promise<void> {
  const downloads = join(scratch, `packages-${architecture ?? "own"}`);
  mkdirSync(join(downloads, "lists", "partial"), { recursive: true });
  mkdirSync(join(downloads, "cache", "archives", "partial"), { recursive: true });
  writeFileSync(join(downloads, "status"), "");
  const options =
    architecture === undefined
      ? []
      : [
          `APT::Architecture=${architecture}`,
          `APT::Architectures=${architecture}`,
          `Dir::State::lists=${downloads}/lists`,
          `Dir::State::status=${downloads}/status`,
          `Dir::Cache=${downloads}/cache`,
        ].flatMap((option) => ["-o", option]);
  if (architecture !== undefined && readdirSync(join(downloads, "lists")).length <= 1)
    await must(["apt-get", "-qq", ...options, "update"]);
  const into = mkdtempSync(join(downloads, "debs-"));
  const got = await run(["apt-get", "-qq", ...options, "download", ...packages], {}, into);
  if (got.exit !== 0) throw new Error(got.stderr);
  for (const name of readdirSync(into)) await must(["dpkg-deb", "-x", join(into, name), folder]);
}

/** A root with musl, busybox, and the two libraries that the program needs, as Alpine has them. */
async function muslRoot(name: string, gcc: string, architecture?: string): Promise<string> {
  const root = join(scratch, name);
  const libraries = join(scratch, `${name}-libraries`);
  for (const folder of ["bin", "lib", "usr/lib", "tmp", "proc", "dev", "work", "root"])
    mkdirSync(join(root, folder), { recursive: true });
  await unpack(["musl", "libstdc++6", "libgcc-s1"], libraries, architecture);
  for (const file of readdirSync(libraries, { recursive: true, encoding: "utf8" })) {
    const base = file.split("/").at(-1) ?? "";
    if (/^(libstdc\+\+\.so\.6|libgcc_s\.so\.1)$/.test(base))
      cpSync(join(libraries, file), join(root, "usr", "lib", base), { dereference: true });
    // The loader is the library, under the name that programs ask for.
    const musl = /usr\/lib\/(\w+)-linux-musl\/libc\.so$|lib\/(\w+)-linux-musl\/libc\.so$/.exec(file);
    if (musl !== null) cpSync(join(libraries, file), join(root, "lib", `ld-musl-${musl[1] ?? musl[2]}.so.1`));
  }
  const loader = gcc === "gcc" ? "ld-linux-x86-64.so.2" : "ld-linux-aarch64.so.1";
  const shim = join(root, "usr", "lib", loader);
  const source = join(import.meta.dir, "platforms", "glibc-in-musl.c");
  await must([gcc, "-shared", "-fPIC", "-nostdlib", "-w", `-Wl,-soname,${loader}`, "-o", shim, source]);
  return root;
}

/** Runs in a root of its own, with /proc, in a mount namespace that goes away with it. `cpuinfo` is what the processor is said to be. */
function inRoot(
  root: string,
  words: readonly string[],
  env: Record<string, string> = {},
  cpuinfo?: string,
): Promise<Ran> {
  const script = [
    `/bin/mount --rbind /proc ${root}/proc`,
    `/bin/mount --rbind /dev ${root}/dev`,
    ...(cpuinfo === undefined ? [] : [`/bin/mount --bind ${cpuinfo} ${root}/proc/cpuinfo`]),
    `exec ${Bun.which("chroot")} ${root} "$@"`,
  ];
  return run(["unshare", "--mount", "--propagation=private", "sh", "-ec", script.join("\n"), "sh", ...words], env);
}

/** One task from plan to verification, in a folder of its own. @returns what was wrong; empty when nothing was. */
async function loop({ start }: Way, folder: string): Promise<string> {
  const version = await start(["--version"]);
  if (version.stdout !== `lodestar ${packageJson.version}\n`)
    return `--version: exit status ${version.exit}, ${version.stdout}${version.stderr}`.trim();
  const calls = [
    "init --no-git",
    "agent join --id ADA",
    "task create --id T-1 --title One",
    "task next --claim",
    "task done T-1",
    "task verify T-1",
  ];
  for (const call of calls) {
    const { stdout, stderr } = await start(["-C", folder, ...call.split(" "), "--agent", "ADA", "--json"]);
    const answer = stdout.startsWith("{") ? JSON.parse(stdout) : { ok: false, error: { message: stdout + stderr } };
    if (!answer.ok) return `${call}: ${answer.error.message}`;
  }
  return "";
}

/** `flags` of /proc/cpuinfo with these names taken out. */
function processorWithout(...flags: readonly string[]): string {
  const path = join(scratch, `cpuinfo-${flags.join("-")}`);
  const text = readFileSync("/proc/cpuinfo", "utf8");
  writeFileSync(
    path,
    flags.reduce((rest, flag) => rest.replaceAll(` ${flag} `, " "), text),
  );
  return path;
}

let failed = 0;
function tell(what: string, how: string, wrong: string): void {
  if (wrong !== "") failed++;
  console.log(
    `${wrong === "" ? "ok    " : "FAILED"}  ${what.padEnd(24)} ${how}${wrong === "" ? "" : `\n        ${wrong}`}`,
  );
}

async function tryPrograms(musl: string, muslArm: string): Promise<void> {
  const arm = join(scratch, "arm64");
  await unpack(["libc6"], arm, "arm64");
  const place = (root: string, target: Target) => {
    cpSync(build(target), join(root, "bin", target));
    return `/bin/${target}`;
  };
  cpSync(Bun.which("qemu-aarch64-static") as string, join(muslArm, "qemu"));
  const native = build("linux-x64");
  const baseline = build("linux-x64-baseline");
  const arm64 = build("linux-arm64");
  const inMusl = place(musl, "linux-x64-musl");
  const inMuslBaseline = place(musl, "linux-x64-musl-baseline");
  const inMuslArm = place(muslArm, "linux-arm64-musl");
  const ways: Way[] = [
    { target: "linux-x64", how: "here", start: (args) => run([native, ...args]) },
    {
      target: "linux-x64-baseline",
      how: "QEMU as a processor of 2008, without AVX",
      start: (args) => run([...OLD_PROCESSOR, baseline, ...args]),
    },
    {
      target: "linux-arm64",
      how: "QEMU, with Debian's glibc for arm64",
      start: (args) => run(["qemu-aarch64-static", "-L", arm, arm64, ...args]),
    },
    { target: "linux-x64-musl", how: "a root with musl", start: (args) => inRoot(musl, [inMusl, ...args]) },
    {
      target: "linux-x64-musl-baseline",
      how: "a root with musl",
      start: (args) => inRoot(musl, [inMuslBaseline, ...args]),
    },
    {
      target: "linux-arm64-musl",
      how: "QEMU, in a root with musl for arm64",
      // What the libraries of arm64 do not ask for by name has to be put before them.
      start: (args) => inRoot(muslArm, ["/qemu", inMuslArm, ...args], { LD_PRELOAD: "/usr/lib/ld-linux-aarch64.so.1" }),
    },
  ];
  for (const way of ways) {
    const own = join(scratch, `work-${way.target}`);
    mkdirSync(own);
    const rooted = way.how.includes("root");
    tell(way.target, way.how, await loop(way, rooted ? (way.target.includes("baseline") ? "/tmp" : "/work") : own));
  }
}

async function tryInstaller(root: string, from: Site, version: string): Promise<void> {
  await unpack(["busybox-static"], join(scratch, "busybox"));
  cpSync(join(scratch, "busybox", "bin", "busybox"), join(root, "bin", "busybox"));
  await must(["chroot", root, "/bin/busybox", "--install", "-s", "/bin"]);
  cpSync(join(ROOT, "install.sh"), join(root, "install.sh"));
  const env = { PATH: "/bin", HOME: "/root", LODESTAR_BASE_URL: from.url() };
  const install = (cpuinfo?: string) => inRoot(root, ["/bin/sh", "/install.sh"], env, cpuinfo);
  const program = join(root, "root", ".local", "bin", "lodestar");
  const cases: [string, string | undefined, string][] = [
    ["this processor", undefined, "linux-x64-musl"],
    ["without AVX2", processorWithout("avx2"), "linux-x64-musl-baseline"],
  ];
  for (const [how, cpuinfo, target] of cases) {
    rmSync(program, { force: true });
    const ran = await install(cpuinfo);
    const got = (await inRoot(root, ["/root/.local/bin/lodestar", "target"])).stdout.trim();
    const isRight = ran.exit === 0 && ran.stdout.includes(`Installed lodestar ${version}`) && got === target;
    tell(
      "install.sh",
      `busybox alone, in a root with musl, ${how}`,
      isRight ? "" : `${got} ${ran.stdout}${ran.stderr}`,
    );
  }
  rmSync(program, { force: true });
  const old = await install(processorWithout("avx2", "sse4_2"));
  const isRefused = old.exit === 1 && old.stderr.includes("too old") && !existsSync(program);
  tell("install.sh", "a processor without SSE 4.2 is refused", isRefused ? "" : `${old.stdout}${old.stderr}`);
}

const missing = Object.entries(NEEDED).filter(([program]) => Bun.which(program) === null);
if (process.platform !== "linux" || process.arch !== "x64" || process.getuid?.() !== 0 || missing.length > 0) {
  console.error("This needs root on a Debian or Ubuntu of x86-64, and:");
  console.error(`  apt-get install ${[...new Set(missing.map(([, name]) => name))].join(" ")}`);
  process.exit(2);
}
const musl = await muslRoot("musl", "gcc");
const muslArm = await muslRoot("musl-arm64", "aarch64-linux-gnu-gcc", "arm64");
await tryPrograms(musl, muslArm);
const VERSION = "2.0.1";
using from = await site(new Map([[VERSION, join(await publish(VERSION, join(scratch, "site")), "release")]]));
await tryInstaller(musl, from, VERSION);
console.log(failed === 0 ? "All of them work." : `${failed} failed.`);
process.exit(failed === 0 ? 0 : 1);
