/**
 * Tries a program that was built: an agent's loop, processes that want one task at once, a spec with CR LF. Short, and without a
 * test runner, so that a release tries the very bytes that it publishes on every system. Exit status 1 when something is wrong.
 *
 *   bun run smoke              builds dist/lodestar first
 *   bun run smoke PROGRAM      this one
 */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "../build.ts";

const CLAIMANTS = 8;
const CREATES = 12;

interface Ran {
  readonly exit: number;
  // biome-ignore lint/suspicious/noExplicitAny: the answers of several commands.
  readonly json: any;
}

const together = <T>(count: number, make: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, n) => make(n)));

/**
 * @param program how it is called.
 * @param shop an empty Git repository.
 * @returns how many checks failed; each is printed.
 */
export async function smoke(
  program: readonly string[],
  shop: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  let failed = 0;
  const check = (what: string, isSo: boolean) => {
    console.log(`${isSo ? "ok    " : "FAILED"}  ${what}`);
    if (!isSo) failed += 1;
  };
  const lodestar = async (...args: readonly string[]): Promise<Ran> => {
    const options = { cwd: shop, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const;
    const child = Bun.spawn([...program, ...args, "--json"], options);
    const [text, said, exit] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    try {
      return { exit, json: JSON.parse(text) };
    } catch {
      throw new Error(`lodestar ${args.join(" ")}: exit status ${exit}, ${text}${said}`);
    }
  };
  const path = join(shop, ".lodestar", "spec.yaml");
  const spec = () => readFileSync(path, "utf8");

  check("init", (await lodestar("init", "--name", "shop")).exit === 0);
  for (let n = 0; n < CLAIMANTS; n += 1) await lodestar("agent", "join", "--id", `A${n}`);
  await lodestar("task", "create", "--id", "T-A", "--title", "First");
  await lodestar("task", "create", "--id", "T-B", "--title", "Second", "--depends-on", "T-A");
  const claims = await together(CLAIMANTS, (n) => lodestar("task", "claim", "T-A", "--agent", `A${n}`));
  const winners = claims.flatMap(({ exit }, n) => (exit === 0 ? [`A${n}`] : []));
  check(`of ${CLAIMANTS} processes that claim one task, one has it`, winners.length === 1);
  const isTold = ({ exit, json }: Ran) => exit === 0 || json.error.code === "ALREADY_CLAIMED";
  check("the others are told who", claims.every(isTold));
  const done = await lodestar("task", "done", "T-A", "--verify", "--agent", winners[0] ?? "");
  check("done --verify unblocks the next", done.exit === 0 && done.json.data.unblocked?.[0] === "T-B");
  const made = await together(CREATES, (n) => lodestar("task", "create", "--title", `Made ${n}`));
  const acknowledged = made.filter(({ exit }) => exit === 0).length;
  check(`${CREATES} tasks are created at once`, acknowledged === CREATES);
  check("all of them are in the file", (spec().match(/title: Made \d+/g) ?? []).length === acknowledged);
  writeFileSync(path, spec().replaceAll(/\r?\n/g, "\r\n"));
  const updated = await lodestar("task", "update", "T-B", "--priority", "5", "--add-label", "late");
  check("a spec with CR LF is edited", updated.exit === 0 && spec().includes("priority: 5\r\n"));
  check("and keeps them", !/[^\r]\n/.test(spec()));
  check("doctor finds nothing broken", (await lodestar("doctor")).exit === 0);
  return failed;
}

if (import.meta.main) {
  const [named] = process.argv.slice(2);
  const program = named === undefined ? build() : resolve(named);
  const scratch = realpathSync(mkdtempSync(join(tmpdir(), "lodestar-smoke-")));
  process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
  const shop = join(scratch, "shop");
  mkdirSync(shop);
  Bun.spawnSync(["git", "init", "-q", "-b", "main"], { cwd: shop });
  const kept = Object.entries(process.env).filter(([name]) => !/^(LODESTAR_|BUN_|GIT_)/.test(name));
  process.exit((await smoke([program], shop, Object.fromEntries(kept))) === 0 ? 0 : 1);
}
