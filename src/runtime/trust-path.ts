import { isAbsolute, join } from "node:path";

type Env = Readonly<Record<string, string | undefined>>;

/** Where a person's list of trusted runtimes lies. @param home the home folder where the environment does not say it. */
export function trustPath(env: Env, isWindows: boolean, home: () => string): string {
  return join(configFolder(env, isWindows, home), "lodestar", "trusted-runtimes.json");
}

function configFolder(env: Env, isWindows: boolean, home: () => string): string {
  const named = env.XDG_CONFIG_HOME;
  if (named !== undefined && isAbsolute(named)) return named;
  if (isWindows && env.APPDATA !== undefined && isAbsolute(env.APPDATA)) return env.APPDATA;
  return join(env.HOME !== undefined && isAbsolute(env.HOME) ? env.HOME : home(), ".config");
}
