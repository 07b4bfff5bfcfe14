import { readFile } from "node:fs/promises";
import { ProtocolError, ProtocolErrorCode, type ReadResourceResult } from "@modelcontextprotocol/server";
import type { Answer } from "../commands/execute.ts";
import { type House, run, type Session } from "./calls.ts";

const JSON_TYPE = "application/json";
const STATUS = { uri: "lodestar://status", name: "status", description: "Where things stand", mimeType: JSON_TYPE };
const SPEC = { uri: "lodestar://spec", name: "spec", description: "spec.yaml as it is", mimeType: "application/yaml" };

/** What can be read without knowing an id. */
export const RESOURCES = [STATUS, SPEC];

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

const ADDRESS = /^lodestar:\/\/task\/([^/?#]+)(|\/context|\/prd)$/;

export const TEMPLATES = Object.entries(OF_A_TASK).map(([end, { name, description }]) => ({
  uriTemplate: `lodestar://task/{task_id}${end}`,
  name,
  description,
  mimeType: JSON_TYPE,
}));

/** @throws ProtocolError for an address that leads nowhere, or when the command behind it refuses. */
export async function readResource(
  house: House,
  session: Session,
  uri: string,
  signal: AbortSignal,
): Promise<ReadResourceResult> {
  if (uri === SPEC.uri) return { contents: [{ uri, mimeType: SPEC.mimeType, text: await specText(house) }] };
  const [, id, end] = ADDRESS.exec(uri) ?? [];
  const task_id = id === undefined ? undefined : decoded(id);
  const wanted =
    uri === STATUS.uri
      ? { command: "status", input: {} }
      : task_id === undefined
        ? undefined
        : { command: OF_A_TASK[end as keyof typeof OF_A_TASK].command, input: { task_id } };
  const loaded = wanted === undefined ? undefined : await house.registry[wanted.command]?.();
  if (wanted === undefined || loaded === undefined) throw nowhere(uri);
  const answer = await run(house, session, loaded.default, wanted.input, signal);
  if (!answer.ok) throw failed(answer);
  return { contents: [{ uri, mimeType: JSON_TYPE, text: JSON.stringify(answer.data) }] };
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

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // No address is written like this.
    return undefined;
  }
}

const nowhere = (uri: string) =>
  new ProtocolError(ProtocolErrorCode.InvalidParams, `There is nothing at ${JSON.stringify(uri)}.`);

const failed = ({ error }: Answer) =>
  new ProtocolError(ProtocolErrorCode.InvalidParams, error?.message ?? "It could not be read.", { ...error });
