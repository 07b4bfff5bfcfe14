/** The site that `bun run docs --site` builds: whole, closed in itself, and safe to show whatever a page says. */
import { describe, expect, test } from "bun:test";
import { posix } from "node:path";
import GithubSlugger from "github-slugger";
import packageJson from "../../package.json";
import { goalOf, type Source, siteOf, siteOfRepository, sourcesOf } from "../../scripts/site.ts";
import { ROOT } from "./pages.ts";

interface Read {
  readonly title: string;
  readonly ids: string[];
  readonly headings: { readonly id: string; readonly text: string }[];
  /** What the page makes the browser load. */
  readonly loads: string[];
  readonly links: string[];
  /** Every element and attribute that is there. */
  readonly elements: Set<string>;
}

/** Reads a page as a browser does, by Bun's own parser of HTML. */
function read(page: string): Read {
  const found = { ids: [], headings: [], loads: [], links: [], elements: new Set<string>() } as Omit<Read, "title">;
  let title = "";
  new HTMLRewriter()
    .on("*", {
      element(element) {
        found.elements.add(element.tagName);
        for (const [name, value] of element.attributes) {
          found.elements.add(`${element.tagName}[${name}]`);
          if (name === "id") found.ids.push(value);
          if (name === "src" || (name === "href" && element.tagName === "link")) found.loads.push(value);
          if (name === "href" && element.tagName === "a") found.links.push(value);
        }
      },
    })
    .on("title", {
      text(chunk) {
        title += chunk.text;
      },
    })
    .transform(page);
  for (const [, id = "", inner = ""] of page.matchAll(/<h[1-6] id="([^"]*)">([\s\S]*?)<\/h[1-6]>/g)) {
    const words = inner.replace(/ <a class="anchor".*$/, "").replaceAll(/<[^>]+>/g, "");
    const text = words
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&quot;", '"')
      .replaceAll("&amp;", "&");
    found.headings.push({ id, text });
  }
  return { ...found, title };
}

const site = siteOfRepository(ROOT, packageJson.version);
const pages = new Map(
  [...site].flatMap(([path, content]) =>
    typeof content === "string" && path.endsWith(".html") ? [[path, read(content)] as const] : [],
  ),
);
const isElsewhere = (link: string) => /^[a-z]+:/.test(link);
const goal = (from: string, link: string) => posix.normalize(posix.join(posix.dirname(from), link));

describe("the site of this repository", () => {
  test("has every page of README.md and docs/, and index.html first of all", () => {
    expect([...pages.keys()].sort()).toEqual(
      sourcesOf(ROOT)
        .map(({ path }) => goalOf(path))
        .sort(),
    );
    expect(pages.has("index.html")).toBe(true);
  });

  test.each([...pages])("%s: every link and anchor leads somewhere", (path, { links, loads, ids }) => {
    expect(new Set(ids).size).toBe(ids.length);
    const broken = links.filter((link) => {
      if (isElsewhere(link)) return !/^(?:https?|mailto):/.test(link);
      const [file = "", anchor = ""] = link.split("#");
      const there = file === "" ? path : goal(path, file);
      return !site.has(there) || (anchor !== "" && !pages.get(there)?.ids.includes(anchor));
    });
    expect(broken).toEqual([]);
    expect(links.filter((link) => !/^https?:/.test(link) && /\.md(?:#|$)/.test(link))).toEqual([]);
    // Nothing is loaded from elsewhere.
    expect(loads.filter((link) => link !== "data:," && !site.has(goal(path, link)))).toEqual([]);
  });

  test("every page has a title of its own", () => {
    const titles = [...pages.values()].map(({ title }) => title);
    expect(titles.filter((title) => !/\S/.test(title.replace("· Lodestar", "")))).toEqual([]);
    expect(new Set(titles).size).toBe(titles.length);
  });

  test("every page can be reached from the index", () => {
    const reached = new Set(["index.html"]);
    for (const path of reached) {
      for (const link of pages.get(path)?.links ?? []) {
        if (!isElsewhere(link) && !link.startsWith("#")) reached.add(goal(path, link.split("#")[0] ?? ""));
      }
    }
    expect([...pages.keys()].filter((path) => !reached.has(path))).toEqual([]);
  });

  test("headings have GitHub's anchors", () => {
    let count = 0;
    for (const { headings } of pages.values()) {
      const slugger = new GithubSlugger();
      expect(headings.map(({ id }) => id)).toEqual(headings.map(({ text }) => slugger.slug(text)));
      count += headings.length;
    }
    expect(count).toBeGreaterThan(100);
  });

  test("loads nothing from elsewhere by its style either, and runs nothing", () => {
    expect(String(site.get("style.css"))).not.toMatch(/url\(|@import/);
    for (const { elements } of pages.values()) {
      expect([...elements].filter((name) => /^(?:script|iframe|object|embed|form|style)$|\[on/.test(name))).toEqual([]);
    }
  });
});

const STYLE = "body {}";
const build = (...sources: readonly Source[]) => siteOf(sources, STYLE, "1", () => undefined);
const pageOf = (text: string) => String(build({ path: "README.md", text }).get("index.html"));

describe("any site", () => {
  test("shows hostile text as text", () => {
    const hostile = '<script>alert(1)</script><img src=x onerror=alert(1)>"';
    const { elements, links, loads } = read(
      String(
        build(
          {
            path: "README.md",
            text: `# A ${hostile}\n\n${hostile}\n\n<div onclick="x()">\n${hostile}\n</div>\n\n[js](javascript:alert(1)) [data](data:text/html,x) ![p](javascript:x)\n\n<a id="x" onclick="y"></a>\n\n## ${hostile}\n\n\`\`\`"><script>\n${hostile}\n\`\`\`\n\n\`\`\`console\n$ ${hostile}\n${hostile}\n\`\`\`\n\n[B](docs/b.md)\n`,
          },
          { path: "docs/b.md", text: `# ${hostile}\n\n## ${hostile}\n\n## ${hostile}\n` },
        ).get("index.html"),
      ),
    );
    expect([...elements].filter((name) => /^(?:script|img|div\[onclick)|\[on/.test(name))).toEqual([]);
    expect(links.filter((link) => /^(?:javascript|data):/.test(link))).toEqual([]);
    expect(loads).toEqual(["data:,", "style.css"]);
  });

  test("leaves comments out and anchors in", () => {
    const page = pageOf(
      '# A\n\n<!-- console: lodestar init -->\n\n| a |\n| --- |\n| <a id="here"></a>x |\n\n[there](#here)\n',
    );
    expect(page).not.toContain("lodestar init");
    expect(page).toContain('<a id="here"></a>');
  });

  test("is not built with a link or an anchor that leads nowhere, nor without a title", () => {
    expect(() => pageOf("# A\n\n[b](docs/b.md) [c](#c) [d](src/main.ts) ![e](docs/e.svg)\n")).toThrow(
      "Links that lead nowhere:\n  README.md: docs/b.md\n  README.md: #c\n  README.md: src/main.ts\n  README.md: docs/e.svg",
    );
    expect(() => pageOf("No heading.\n")).toThrow("README.md has no title");
  });

  test("has a page for each folder's README.md, and rewrites links to what they became", () => {
    const made = build(
      { path: "README.md", text: "# A\n\n[guides](docs/guides/README.md) [ci](docs/guides/ci.md#in-a-shell)\n" },
      { path: "docs/guides/README.md", text: "# G\n\n[up](../../README.md)\n" },
      { path: "docs/guides/ci.md", text: "# CI\n\n## In a shell\n" },
    );
    expect([...made.keys()].sort()).toEqual(["guides/ci.html", "guides/index.html", "index.html", "style.css"]);
    expect(String(made.get("index.html"))).toContain('<a href="guides/ci.html#in-a-shell">ci</a>');
    expect(String(made.get("guides/index.html"))).toContain('<a href="../index.html">up</a>');
  });
});
