type Env = Readonly<Record<string, string | undefined>>;

/**
 * Where a person's list of trusted runtimes lies. Without `node:path`, since hooks that have nothing to do ask for it.
 *
 * @param home the home folder where the environment does not say it.
 */
export function trustPath(env: Env, isWindows: boolean, home: () => string): string {
  return `${configFolder(env, isWindows, home)}/lodestar/trusted-runtimes.json`;
}

function configFolder(env: Env, isWindows: boolean, home: () => string): string {
  const isWhole = (path: string | undefined): path is string =>
    path !== undefined && (isWindows ? /^(?:[a-z]:)?[\\/]/i : /^\//).test(path);
  if (isWhole(env.XDG_CONFIG_HOME)) return env.XDG_CONFIG_HOME;
  if (isWindows && isWhole(env.APPDATA)) return env.APPDATA;
  return `${isWhole(env.HOME) ? env.HOME : home()}/.config`;
}
