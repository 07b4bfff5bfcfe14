/**
 * The pages of README.md and docs/ as a static site: HTML and one style sheet, nothing loaded from elsewhere, no scripts.
 *
 * Where a page goes follows from where it lies: `docs/guides/ci.md` becomes `guides/ci.html`, a README.md the index of its folder.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import MarkdownIt, { type Token } from "markdown-it";
import { Slugs } from "../src/prd/section.ts";

/** A page as it lies in the repository. */
export interface Source {
  /** From the repository's root: `docs/guides/ci.md`. */
  readonly path: string;
  readonly text: string;
}

interface Heading {
  readonly level: number;
  readonly text: string;
  readonly id: string;
}

interface Article {
  readonly path: string;
  /** Where it goes, from the site's root. */
  readonly goal: string;
  readonly tokens: Token[];
  readonly headings: readonly Heading[];
  readonly title: string;
  readonly summary: string;
}

/** Sections of the navigation, and what lies in them. */
const PARTS: readonly (readonly [title: string, holds: (path: string) => boolean])[] = [
  ["Begin", (path) => path === "README.md" || path === "docs/tutorial.md"],
  ["Guides", (path) => path.startsWith("docs/guides/")],
  ["Concepts", (path) => path.startsWith("docs/concepts/")],
  ["Reference", (path) => path.startsWith("docs/reference/")],
  ["Design", (path) => path.startsWith("docs/design/")],
  ["Project", () => true],
];

/** Only pictures and data that lie beside the pages are copied; a link to anything else is an error. */
const COPIED = /^docs\/.+\.(?:svg|png|json)$/;

const escapeHtml = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** @returns where a page goes: README.md → index.html, docs/guides/ci.md → guides/ci.html, LICENSE → license.html. */
export function goalOf(path: string): string {
  const inSite = path.replace(/^docs\//, "");
  if (!path.includes("/"))
    return path === "README.md" ? "index.html" : `${path.replace(/\.md$/, "").toLowerCase()}.html`;
  return inSite.replace(/README\.md$/, "index.md").replace(/\.md$/, ".html");
}

const ANCHOR = /^<a id="([a-z0-9_-]+)">$/;
const COMMENT = /^<!--[\s\S]*-->\s*$/;

/** Of HTML in a page only anchors stay and comments go; anything else is shown as the text that it is. */
function html(content: string): string {
  if (COMMENT.test(content)) return "";
  return ANCHOR.test(content) || content === "</a>" ? content : escapeHtml(content);
}

/** A block of code: what is typed stands out, what is said about it stands back. */
function code(text: string, language: string): string {
  let continues = false;
  const lines = text
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => {
      const shown = escapeHtml(line);
      if (language !== "console") return /^\s*#(?:\s|$|!)/.test(line) && language !== "ts" ? `<i>${shown}</i>` : shown;
      const typed = line.startsWith("$ ") || (continues && line.startsWith("> "));
      continues = typed;
      if (typed) return `<i>${escapeHtml(line.slice(0, 1))}</i> <b>${escapeHtml(line.slice(2))}</b>`;
      // An answer in JSON is one long line.
      if (/^\{.{80,}\}$/.test(line)) return `<span class="wrap">${shown}</span>`;
      return /^\[exit status \d+\]$/.test(line) ? `<i>${shown}</i>` : shown;
    });
  // A block that scrolls must be reachable with the keyboard.
  return `<pre tabindex="0"><code>${lines.join("\n")}</code></pre>\n`;
}

const textOf = (token: Token | undefined): string =>
  (token?.children ?? [])
    .map(({ type, content }) => (type === "text" || type === "code_inline" ? content : type === "softbreak" ? " " : ""))
    .join("");

function parser() {
  const made = new MarkdownIt({ html: true });
  made.renderer.rules.html_block = (tokens, i) => html(tokens[i]?.content ?? "");
  made.renderer.rules.html_inline = (tokens, i) => html(tokens[i]?.content ?? "");
  made.renderer.rules.fence = (tokens, i) => code(tokens[i]?.content ?? "", tokens[i]?.info.trim() ?? "");
  made.renderer.rules.code_block = (tokens, i) => code(tokens[i]?.content ?? "", "");
  made.renderer.rules.table_open = () => '<div class="table" tabindex="0"><table>\n';
  made.renderer.rules.table_close = () => "</table></div>\n";
  made.renderer.rules.heading_close = (tokens, i) => {
    const { tag = "h2" } = tokens[i] ?? {};
    const open = tokens[i - 2];
    const id = open?.attrGet("id");
    const link = id && tag !== "h1" ? ` <a class="anchor" href="#${id}" aria-label="Link to this section">#</a>` : "";
    return `${link}</${tag}>\n`;
  };
  return made;
}

const MARKDOWN = parser();

function articleOf({ path, text }: Source): Article {
  // A text that is no Markdown is shown as it is.
  const tokens = MARKDOWN.parse(path.endsWith(".md") ? text : `# ${path}\n\n\`\`\`\`text\n${text}\n\`\`\`\`\n`, {});
  const slugs = new Slugs();
  const headings: Heading[] = [];
  for (const [i, token] of tokens.entries()) {
    if (token.type !== "heading_open") continue;
    const words = textOf(tokens[i + 1]);
    const id = slugs.next(words);
    token.attrSet("id", id);
    headings.push({ level: Number(token.tag.slice(1)), text: words, id });
  }
  const title = headings.find(({ level }) => level === 1)?.text.trim();
  if (!title) throw new Error(`${path} has no title: it needs a line that begins with "# ".`);
  const first = tokens.findIndex(({ type, level }) => type === "paragraph_open" && level === 0);
  return { path, goal: goalOf(path), tokens, headings, title, summary: textOf(tokens[first + 1]).slice(0, 200) };
}

/** An attribute of a token; Markdown's are all text. */
const attributeOf = (token: Token, name: "href" | "src"): string => String(token.attrGet(name) ?? "");

/** Every link of an article: the token that holds it and the name of its attribute. */
function* linksOf({ tokens }: Article): Generator<readonly [Token, "href" | "src"]> {
  for (const token of tokens.flatMap((block) => block.children ?? [])) {
    if (token.type === "link_open") yield [token, "href"];
    if (token.type === "image") yield [token, "src"];
  }
}

/** What a link to an article may name: its headings and its anchors. */
const anchorsOf = ({ headings, tokens }: Article): Set<string> =>
  new Set([
    ...headings.map(({ id }) => id),
    ...tokens
      .flatMap((token) => [token, ...(token.children ?? [])])
      .flatMap(({ type, content }) => (type.startsWith("html_") ? (ANCHOR.exec(content.trim())?.[1] ?? []) : [])),
  ]);

const isElsewhere = (link: string) => /^[a-z][a-z0-9+.-]*:/i.test(link);
const relative = (from: string, to: string) => posix.relative(posix.dirname(from), to);

/** From a page's link to a path in the repository and an anchor. */
function targetOf(path: string, link: string): { readonly file: string; readonly anchor: string } {
  const [name = "", anchor = ""] = decodeURI(link).split("#");
  return { file: name === "" ? path : posix.normalize(posix.join(posix.dirname(path), name)), anchor };
}

/** Indexes of folders first, then articles in the order in which one meets them who follows the links from README.md, then the rest. */
function ordered(articles: ReadonlyMap<string, Article>): Article[] {
  const met = new Set(["README.md"]);
  for (const path of met) {
    const article = articles.get(path);
    for (const [token] of article === undefined ? [] : linksOf(article)) {
      const link = attributeOf(token, "href");
      if (!isElsewhere(link)) met.add(targetOf(path, link).file);
    }
  }
  const indexes = [...met].filter((path) => path.endsWith("/README.md"));
  return [...new Set([...indexes, ...met, ...articles.keys()])].flatMap((path) => articles.get(path) ?? []);
}

/** What the navigation calls a page: the words by which README.md last links to it, which are shorter than its title. */
function labelsOf(readme: Article | undefined): Map<string, string> {
  const labels = new Map<string, string>();
  for (const { children } of readme?.tokens ?? []) {
    for (const [i, token] of (children ?? []).entries()) {
      const words = children?.[i + 1];
      if (token.type !== "link_open" || words === undefined) continue;
      const { content, type } = words;
      const label = type === "text" ? content.charAt(0).toUpperCase() + content.slice(1) : content;
      labels.set(targetOf("README.md", attributeOf(token, "href")).file, label);
    }
  }
  return labels;
}

/** What stands around every article. */
interface Frame {
  readonly parts: readonly (readonly [title: string, articles: readonly Article[]])[];
  readonly labelOf: (article: Article) => string;
  readonly version: string;
}

function navigation(current: Article, { parts, labelOf }: Frame): string {
  const item = (article: Article): string => {
    const link = escapeHtml(relative(current.goal, article.goal));
    const label = escapeHtml(labelOf(article));
    if (article !== current) return `<li><a href="${link}">${label}</a></li>`;
    const inside = article.headings
      .filter(({ level }) => level === 2)
      .map(({ id, text }) => `<li><a href="#${id}">${escapeHtml(text)}</a></li>`);
    const below = inside.length < 2 ? "" : `\n<ul>\n${inside.join("\n")}\n</ul>\n`;
    return `<li><a href="${link}" aria-current="page">${label}</a>${below}</li>`;
  };
  return parts
    .filter(([, articles]) => articles.length > 0)
    .map(([title, articles]) => `<h2>${title}</h2>\n<ul>\n${articles.map(item).join("\n")}\n</ul>`)
    .join("\n");
}

function pageOf(article: Article, frame: Frame): string {
  const { goal, title, summary, tokens } = article;
  const here = (to: string) => escapeHtml(relative(goal, to));
  const inOrder = frame.parts.flatMap(([, articles]) => articles);
  const at = inOrder.indexOf(article);
  const step = (other: Article | undefined, before: string, after: string) =>
    other === undefined ? "" : `<a href="${here(other.goal)}">${before}${escapeHtml(frame.labelOf(other))}${after}</a>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="${escapeHtml(summary)}">
<title>${goal === "index.html" ? "Lodestar" : `${escapeHtml(title)} · Lodestar`}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${here("style.css")}">
</head>
<body>
<header><a class="name" href="${here("index.html")}">Lodestar ${escapeHtml(frame.version)}</a> <a class="to-contents" href="#contents">Contents</a></header>
<main>
${MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})}<footer>${step(inOrder[at - 1], "← ", "")} ${step(inOrder[at + 1], "", " →")}</footer>
</main>
<nav id="contents" aria-label="Contents">
${navigation(article, frame)}
</nav>
</body>
</html>
`;
}

/**
 * Builds the site.
 *
 * @param asset the bytes of a file beside the pages (`docs/guides/graph.svg`), if it is there.
 * @returns where each file goes → what is in it.
 * @throws Error that names every link and anchor which leads nowhere; Error for a page without a title.
 */
export function siteOf(
  sources: readonly Source[],
  style: string,
  version: string,
  asset: (path: string) => Uint8Array | undefined,
): Map<string, string | Uint8Array> {
  const articles = new Map(sources.map((source) => [source.path, articleOf(source)] as const));
  const site = new Map<string, string | Uint8Array>([["style.css", style]]);
  const broken: string[] = [];
  // Names are read before the links are rewritten.
  const labels = labelsOf(articles.get("README.md"));
  const inOrder = ordered(articles);
  for (const article of inOrder) {
    for (const [token, attribute] of linksOf(article)) {
      const link = attributeOf(token, attribute);
      if (isElsewhere(link)) continue;
      const { file, anchor } = targetOf(article.path, link);
      const page = articles.get(file);
      const bytes = page === undefined && COPIED.test(file) ? asset(file) : undefined;
      const leads = page === undefined ? bytes !== undefined : anchor === "" || anchorsOf(page).has(anchor);
      if (!leads) broken.push(`${article.path}: ${link}`);
      const goal = page?.goal ?? goalOf(file);
      if (bytes !== undefined) site.set(goal, bytes);
      const rest = anchor === "" ? "" : `#${anchor}`;
      token.attrSet(attribute, page === article && anchor !== "" ? rest : `${relative(article.goal, goal)}${rest}`);
    }
  }
  if (broken.length > 0) throw new Error(`Links that lead nowhere:\n  ${broken.join("\n  ")}`);
  const partOf = ({ path }: Article) => PARTS.find(([, holds]) => holds(path))?.[0];
  const frame: Frame = {
    parts: PARTS.map(([title]) => [title, inOrder.filter((article) => partOf(article) === title)] as const),
    labelOf: (article) => (article.path === "README.md" ? "Overview" : (labels.get(article.path) ?? article.title)),
    version,
  };
  for (const article of inOrder) {
    if (site.has(article.goal)) throw new Error(`Two files would become ${article.goal}.`);
    site.set(article.goal, pageOf(article, frame));
  }
  return site;
}

/** Every page of a repository that the site shows. */
export function sourcesOf(root: string): Source[] {
  const inDocs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .map((path) => `docs/${path.replaceAll("\\", "/")}`)
    .filter((path) => path.endsWith(".md"))
    .sort();
  return ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", ...inDocs].map((path) => ({
    path,
    text: readFileSync(join(root, path), "utf8"),
  }));
}

/** Builds the site of a repository. See {@link siteOf}. */
export function siteOfRepository(root: string, version: string): Map<string, string | Uint8Array> {
  const style = readFileSync(join(import.meta.dir, "site", "style.css"), "utf8");
  return siteOf(sourcesOf(root), style, version, (path) =>
    existsSync(join(root, path)) ? readFileSync(join(root, path)) : undefined,
  );
}

/** Writes the site into a folder of its own; what was there before is removed. @returns how many files. */
export function writeSite(root: string, folder: string, version: string): number {
  const site = siteOfRepository(root, version);
  rmSync(folder, { recursive: true, force: true });
  for (const [path, content] of site) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return site.size;
}
