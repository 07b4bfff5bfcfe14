/**
 * How many instructions a program executes, to its end. They do not depend on what else the machine does; of the kernel's work and of
 * waiting they say nothing.
 *
 * @param argv the program and its arguments.
 * @param cwd where it runs.
 * @throws Error where valgrind is not installed, or the program fails.
 */
export function instructions(
  argv: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string | undefined>>,
): number {
  const valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
  const run = Bun.spawnSync([...valgrind, ...argv], { cwd, env: { ...env } });
  const said = run.stderr.toString();
  const counted = /Collected : (\d+)/.exec(said)?.[1] ?? /refs:\s+([\d,]+)/.exec(said)?.[1]?.replaceAll(",", "");
  if (run.exitCode !== 0 || counted === undefined) throw new Error(`${argv.join(" ")}: ${said}`);
  return Number(counted);
}
