import { readFile } from "node:fs/promises";
import {
  ProtocolError,
  ProtocolErrorCode,
  type ReadResourceResult,
  ResourceNotFoundError,
} from "@modelcontextprotocol/server";
import type { Answer } from "../commands/execute.ts";
import { citedDocuments, type Document } from "../commands/prd/documents.ts";
import { type House, run, type Session } from "./calls.ts";

const JSON_TYPE = "application/json";
const MARKDOWN = "text/markdown";
const STATUS = { uri: "lodestar://status", name: "status", description: "Where things stand", mimeType: JSON_TYPE };
const SPEC = { uri: "lodestar://spec", name: "spec", description: "spec.yaml as it is", mimeType: "application/yaml" };

interface Resource {
  readonly uri: string;
  readonly name: string;
  readonly description: string;
  readonly mimeType: string;
}

/** What can be read without knowing an id: tasks are many, and clients put this list before their model. */
export async function listResources(house: House): Promise<Resource[]> {
  return [STATUS, SPEC, ...(await documents(house)).map(asResource)];
}

const asResource = ({ name }: Document): Resource => ({
  uri: documentUri(name),
  name,
  description: "Sections of a product document that tasks cite",
  mimeType: JSON_TYPE,
});

const documentUri = (name: string): string => `lodestar://prd/${encodeURIComponent(name)}`;

/** The documents that tasks cite. */
export async function documents(house: House): Promise<readonly Document[]> {
  const context = await house.open({});
  try {
    return context.initialized ? await citedDocuments(context) : [];
  } catch {
    // A spec that cannot be read has no documents; reading `lodestar://spec` or calling `status` tells what is wrong with it.
    return [];
  } finally {
    context.close();
  }
}

/** What can be read of one task: the end of its address → the command that answers. */
const OF_A_TASK = {
  "": { command: "task.show", name: "task", description: "Everything about a task" },
  "/context": { command: "task.context", name: "task context", description: "What a task is about" },
  "/prd": {
    command: "prd.show",
    name: "task prd",
    description: "The sections of a product document that a task cites",
  },
} as const;

const TASK = /^lodestar:\/\/task\/([^/?#]+)(|\/context|\/prd)$/;
const DOCUMENT = /^lodestar:\/\/prd\/([^/?#]+)(?:\/([^/?#]+))?$/;

export const TEMPLATES = [
  ...Object.entries(OF_A_TASK).map(([end, { name, description }]) => ({
    uriTemplate: `lodestar://task/{task_id}${end}`,
    name,
    description,
    mimeType: JSON_TYPE,
  })),
  {
    uriTemplate: "lodestar://prd/{source}/{anchor}",
    name: "prd section",
    description: "The text of one section of a product document that tasks cite",
    mimeType: MARKDOWN,
  },
];

/** @throws ProtocolError for an address that leads nowhere, or when the command behind it refuses. */
export async function readResource(
  house: House,
  session: Session,
  uri: string,
  signal: AbortSignal,
): Promise<ReadResourceResult> {
  const asJson = (data: unknown) => ({ contents: [{ uri, mimeType: JSON_TYPE, text: JSON.stringify(data) }] });
  const ask = async (name: string, input: Record<string, unknown>): Promise<unknown> => {
    const loaded = await house.registry[name]?.();
    if (loaded === undefined) throw nowhere(uri);
    const answer = await run(house, session, loaded.default, input, signal);
    if (!answer.ok) throw failed(answer, uri);
    return answer.data;
  };
  if (uri === SPEC.uri) return { contents: [{ uri, mimeType: SPEC.mimeType, text: await specText(house) }] };
  if (uri === STATUS.uri) return asJson(await ask("status", {}));
  const [, id, end] = TASK.exec(uri) ?? [];
  const task_id = decoded(id);
  if (task_id !== undefined) return asJson(await ask(OF_A_TASK[end as keyof typeof OF_A_TASK].command, { task_id }));
  const [, name, part] = DOCUMENT.exec(uri) ?? [];
  const file = decoded(name);
  const anchor = decoded(part);
  // Not any file of the repository that somebody names.
  if (file === undefined || !(await documents(house)).some((each) => each.name === file)) throw nowhere(uri);
  if (part === undefined) return asJson(withAddresses(file, (await ask("prd.outline", { file })) as Outline));
  if (anchor === undefined) throw nowhere(uri);
  const { sections } = (await ask("prd.outline", { file, anchor })) as Outline;
  return { contents: [{ uri, mimeType: MARKDOWN, text: sections[0]?.content ?? "" }] };
}

interface Outline {
  readonly sections: readonly { readonly anchor: string; readonly content?: string }[];
}

/** Each section with where its text is to be had. */
function withAddresses(file: string, outline: Outline): unknown {
  const sections = outline.sections.map((section) => ({
    ...section,
    uri: `${documentUri(file)}/${encodeURIComponent(section.anchor.slice(1))}`,
  }));
  return { ...outline, sections };
}

async function specText(house: House): Promise<string> {
  const context = await house.open({});
  try {
    if (!context.initialized) throw nowhere(SPEC.uri);
    return await readFile(context.spec.paths.spec, "utf8");
  } finally {
    context.close();
  }
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    // No address is written like this.
    return undefined;
  }
}

const nowhere = (uri: string) => new ResourceNotFoundError(uri, `There is nothing at ${JSON.stringify(uri)}.`);

const failed = ({ error }: Answer, uri: string) =>
  error?.code.endsWith("_NOT_FOUND")
    ? new ResourceNotFoundError(uri, error.message)
    : new ProtocolError(ProtocolErrorCode.InvalidParams, error?.message ?? "It could not be read.", { ...error });
