/** The files that docs/guides/ci.md gives to copy: they are YAML, and call nothing but what its console blocks ran. */
import { expect, test } from "bun:test";
import { pages } from "./pages.ts";

const { text } = pages().find(({ path }) => path === "docs/guides/ci.md") ?? { text: "" };
const snippets = [...text.matchAll(/^```yaml\n# (\S+)\n([\s\S]*?)^```/gm)].map(
  ([, name = "", yaml = ""]) => [name, yaml] as const,
);

/** Every text in a parsed file. */
const texts = (value: unknown): string[] =>
  typeof value === "string"
    ? [value]
    : value !== null && typeof value === "object"
      ? Object.values(value).flatMap(texts)
      : [];

test("there is one for GitHub Actions and one for GitLab", () => {
  expect(snippets.map(([name]) => name)).toEqual([".github/workflows/plan.yaml", ".gitlab-ci.yml"]);
});

test.each(snippets)("%s is YAML, and makes the two checks of the shell script", (_, yaml) => {
  const calls = texts(Bun.YAML.parse(yaml))
    .flatMap((lines) => lines.split("\n"))
    .filter((line) => line.startsWith("lodestar "));
  const script = /^\$ cat > check-plan\.sh([\s\S]*?)^> END$/m.exec(text)?.[1] ?? "";
  expect(calls).toEqual([...script.matchAll(/^> (lodestar .+)$/gm)].map(([, line]) => line as string));
  expect(calls.length).toBe(2);
});
