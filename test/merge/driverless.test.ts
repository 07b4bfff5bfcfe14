import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sandbox } from "../support/sandbox.ts";

test.skipIf(Bun.which("lodestar") !== null)(
  "S4: where `lodestar` is not on the path, a merge falls back to Git's own, and no side is lost without a marker",
  async () => {
    using here = sandbox();
    const title = async (text: string) => {
      expect((await here.run(["task", "update", "A", "--title", text])).exit).toBe(0);
      here.git("commit", "-qam", text);
    };
    expect((await here.run(["init"])).exit).toBe(0);
    expect((await here.run(["task", "create", "--id", "A", "--title", "first"])).exit).toBe(0);
    here.git("add", "-A");
    here.git("commit", "-qm", "base");
    here.git("checkout", "-qb", "feat");
    await title("theirs");
    here.git("checkout", "-q", "main");
    await title("ours");
    expect(() => here.git("merge", "feat")).toThrow();
    const text = readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8");
    expect(text).toContain("<<<<<<<");
    expect(text).toContain("title: ours");
    expect(text).toContain("title: theirs");
    const answer = await here.run(["status", "--json"]);
    expect(answer.exit).toBe(6);
    expect(answer.json.error.code).toBe("SPEC_CONFLICT_MARKERS");
  },
);
