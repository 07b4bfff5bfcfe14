/** The files that docs/guides/ci.md gives to copy: each is run as its service would, on a plan that is sound and on one that is not. */
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, type Sandbox, sandbox } from "../support/sandbox.ts";
import { pages } from "./pages.ts";

const { text } = pages().find(({ path }) => path === "docs/guides/ci.md") ?? { text: "" };
const snippets = new Map(
  [...text.matchAll(/^```yaml\n# ([^\n]+)\n([\s\S]*?)^```/gm)].map(([, name = "", yaml = ""]) => [name, yaml]),
);

// biome-ignore lint/suspicious/noExplicitAny: a test looks into files of other programs.
const snippet = (name: string): any => Bun.YAML.parse(snippets.get(name) ?? "");
const SHELL = /^\$ cat > check-plan\.sh <<'END'\n([\s\S]*?)^> END$/m.exec(text)?.[1]?.replaceAll(/^> /gm, "") ?? "";

/** A checkout of a plan, as a job finds it, with what it installs Lodestar by: a source to clone, and a builder that stands in. */
async function checkout(state: "sound" | "broken") {
  const here = sandbox();
  const need = state === "sound" ? "LOGIN" : "LOGNI";
  await here.run(["init", "--name", "shop", "--no-agents-md"]);
  here.write("PRD.md", "# Shop\n\n## Log in\n\nA form.\n");
  await here.run("task create --id LOGIN --title Log-in --prd-source PRD.md --prd-ref #log-in".split(" "));
  await here.run(["task", "create", "--id", "BASKET", "--title", "Fill a basket", "--depends-on", "LOGIN"]);
  const spec = join(here.path, ".lodestar", "spec.yaml");
  writeFileSync(spec, readFileSync(spec, "utf8").replace("[LOGIN]", `[${need}]`));
  here.git("add", "-A");
  here.git("commit", "-q", "-m", "Plan");
  here.git("clone", "-q", ".", "../checkout");
  const tools = join(here.base, "tools");
  mkdirSync(tools);
  const npx = join(tools, "npx");
  writeFileSync(
    npx,
    `#!/bin/sh\n[ "$*" = "-y bun@1.4.5 run build" ] && mkdir dist && ln -s "${binary()}" dist/lodestar\n`,
  );
  chmodSync(npx, 0o755);
  return here;
}

/** Runs lines of a job in one shell. */
function run(here: Sandbox, shell: readonly string[], script: string, env: Record<string, string> = {}) {
  const file = join(here.base, "job.sh");
  writeFileSync(file, script);
  const ran = Bun.spawnSync([...shell, file], {
    cwd: join(here.base, "checkout"),
    env: { ...here.environment(env), LODESTAR_SOURCE: here.path },
    stdout: "pipe",
    stderr: "pipe",
  });
  return { exit: ran.exitCode, stdout: ran.stdout.toString(), stderr: ran.stderr.toString() };
}

interface Step {
  readonly name?: string;
  readonly run?: string;
  readonly uses?: string;
  readonly if?: string;
  readonly with?: { readonly sarif_file: string };
}

const STATES = [
  ["sound", 0],
  ["broken", 1],
] as const;

describe.skipIf(process.platform === "win32")("the snippets, run:", () => {
  test("there is one for a shell, GitHub Actions, code scanning and GitLab", () => {
    expect(SHELL).toStartWith("#!/bin/sh\n");
    const names = [".github/workflows/plan.yaml", ".github/workflows/plan.yaml, more steps", ".gitlab-ci.yml"];
    expect([...snippets.keys()]).toEqual(names);
  });

  test.each(STATES)("the shell script on a %s plan", async (state, exit) => {
    using here = await checkout(state);
    mkdirSync(join(here.base, "bin"));
    symlinkSync(binary(), join(here.base, "bin", "lodestar"));
    const ran = run(here, ["sh"], SHELL, { PATH: `${join(here.base, "bin")}:${process.env.PATH}` });
    expect({ ...ran, stdout: "" }).toMatchObject({ exit });
    expect(ran.stdout).toContain(exit === 0 ? "none has drifted" : "No such task: BASKET → LOGNI");
  });

  test.each(STATES)("GitHub's steps on a %s plan", async (state, exit) => {
    using here = await checkout(state);
    const steps: readonly Step[] = [
      ...snippet(".github/workflows/plan.yaml").jobs.plan.steps,
      ...snippet(".github/workflows/plan.yaml, more steps"),
    ];
    const path = join(here.base, "github-path");
    writeFileSync(path, "");
    const results = new Map<string, ReturnType<typeof run>>();
    let failed = false;
    for (const step of steps) {
      if (step.run === undefined || (failed && step.if === undefined)) continue;
      // GitHub's own call of bash, and the variables that the steps use.
      const added = readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line !== "");
      const result = run(here, ["bash", "--noprofile", "--norc", "-eo", "pipefail"], step.run, {
        PATH: [...added, join(here.base, "tools"), process.env.PATH].join(":"),
        GITHUB_PATH: path,
        RUNNER_TEMP: here.base,
      });
      results.set(step.name ?? "", result);
      failed ||= result.exit !== 0;
    }
    expect([...results].map(([name, ran]) => [name, ran.exit])).toEqual([
      ["Install Lodestar", 0],
      ["The plan is sound", exit],
      ["Requirements are what the tasks say", 0],
      ["Report", 0],
    ]);
    expect(results.get("The plan is sound")?.stdout).toMatch(
      exit === 0 ? /^\d+ checks, 0 findings\n$/ : /^::error file=\.lodestar\/spec\.yaml,line=\d+,col=\d+,/,
    );
    const upload = steps.find(({ uses }) => uses?.startsWith("github/codeql-action/upload-sarif@"));
    const log = JSON.parse(readFileSync(join(here.base, "checkout", upload?.with?.sarif_file ?? ""), "utf8"));
    expect(log.runs[0].results.length).toBe(exit);
  });

  test.each(STATES)("GitLab's job on a %s plan", async (state, exit) => {
    using here = await checkout(state);
    const { plan } = snippet(".gitlab-ci.yml");
    const place = join(here.base, "lodestar");
    const script = ["set -e", ...plan.before_script, ...plan.script].join("\n").replaceAll("/tmp/lodestar", place);
    const ran = run(here, ["sh"], script, { PATH: `${join(here.base, "tools")}:${process.env.PATH}` });
    expect(ran.exit).toBe(exit);
    const report = join(here.base, "checkout", plan.artifacts.reports.junit);
    expect(existsSync(report)).toBe(true);
    expect(readFileSync(report, "utf8")).toContain(`failures="${exit}"`);
    expect(plan.artifacts.when).toBe("always");
  });
});
