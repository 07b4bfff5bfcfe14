#!/bin/sh
# The steps of action.yml on Linux and macOS: the installer that came with this action, into a folder of this job.
set -eu
dir=$RUNNER_TEMP/lodestar
set -- --dir "$dir"
[ -z "$VERSION" ] || set -- "$@" --version "$VERSION"
sh "$GITHUB_ACTION_PATH/../../../install.sh" "$@"
echo "$dir" >>"$GITHUB_PATH"
installed=$("$dir/lodestar" --version)
echo "version=${installed#lodestar }" >>"$GITHUB_OUTPUT"
