#!/bin/sh
# Installs Lodestar, or upgrades it in place.
#
#   curl -fsSL https://lodestar.example/releases/latest/download/install.sh | sh
#   sh install.sh [--version X] [--dir DIR] [--from-source]
#
# It finds out the platform, downloads that program, compares its SHA-256 with the release's, starts it once, and only then puts it
# in its place in one step. When anything fails nothing is written. It needs curl or wget, never root, and changes no
# file of yours but the program.
set -eu

usage() {
  cat <<'END'
Installs Lodestar, or upgrades it in place.

  --version X      this version instead of the latest
  --dir DIR        here instead of ~/.local/bin (or set LODESTAR_INSTALL_DIR)
  --target NAME    the program of this platform instead of the one found out, such as linux-x64-musl
  --from-source    build it in a checkout, with the Bun that the checkout names; Bun is fetched if it is not there
  --help           this

LODESTAR_BASE_URL       a mirror: what stands before /latest/download/ and /download/vX/, an address or a folder
LODESTAR_BUN_URL        the same for Bun, with --from-source: what stands before /bun-vX/
LODESTAR_TIMEOUT        give up after so many seconds without a byte (30)
https_proxy, no_proxy   are obeyed as curl and wget do
END
}

say() { printf '%s\n' "$*"; }
die() {
  printf 'Error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# What was made on the way is gone whatever happens, a folder for the program too if it is still empty.
scratch='' staged='' made_dir=''
clean_up() {
  [ -z "$staged" ] || rm -f "$staged"
  [ -z "$scratch" ] || rm -rf "$scratch"
  # The folders that were made for the program, from the innermost on; one that holds something stays.
  while [ -n "$made_dir" ] && [ "$made_dir" != "$made_above" ]; do
    rmdir "$made_dir" 2>/dev/null || break
    made_dir=$(dirname "$made_dir")
  done
}

main() {
  base=${LODESTAR_BASE_URL:-https://lodestar.example/releases}
  dir=${LODESTAR_INSTALL_DIR:-}
  timeout=${LODESTAR_TIMEOUT:-30}
  version='' target='' from_source=no made_above=''
  while [ $# -gt 0 ]; do
    case $1 in
      --version | --dir | --target)
        [ -n "${2:-}" ] || { usage >&2; die "$1 needs a value."; }
        case $1 in
          --version) version=${2#v} ;;
          --dir) dir=$2 ;;
          --target) target=$2 ;;
        esac
        shift 2
        ;;
      --version=*) version=${1#*=} version=${version#v}; shift ;;
      --dir=*) dir=${1#*=}; shift ;;
      --target=*) target=${1#*=}; shift ;;
      --from-source) from_source=yes; shift ;;
      --help | -h) usage; exit 0 ;;
      *) usage >&2; die "What is meant by $1?" ;;
    esac
  done
  base=${base%/}
  case $version$target in *[!0-9A-Za-z.+-]*) die "No version or target is called that: $version $target" ;; esac
  case $timeout in '' | *[!0-9]* | 0) die "LODESTAR_TIMEOUT is a number of seconds, not $timeout" ;; esac
  if [ -z "$dir" ]; then
    [ -n "${HOME:-}" ] || die 'HOME is not set, so there is no ~/.local/bin.' 'Name a folder with --dir DIR.'
    dir=$HOME/.local/bin
  fi
  case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
  check_writable
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/lodestar-install-XXXXXX") || die 'There is no room for temporary files.'
  if [ "$from_source" = yes ]; then build; else download; fi
  put_in_place
}

# Before anything is downloaded: could the program be put there?
check_writable() {
  above=$dir
  while [ ! -e "$above" ]; do above=$(dirname "$above"); done
  if [ ! -d "$above" ] || [ ! -w "$above" ] || { [ "$above" = "$dir" ] && [ -d "$dir/lodestar" ]; }; then
    die "This user cannot write $dir/lodestar" 'Choose another folder with --dir DIR; root is not needed.'
  fi
}

# Sets target: linux|darwin, x64|arm64, musl, baseline.
find_target() {
  arch=$(uname -m)
  case $arch in
    x86_64 | amd64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) die "There is no program for a processor of type $arch." 'Lodestar runs on x86-64 and arm64.' ;;
  esac
  case $(uname -s) in
    Linux)
      target=linux-$arch
      # A 64-bit kernel under a 32-bit system, as on some boards.
      [ "$(getconf LONG_BIT 2>/dev/null)" != 32 ] ||
        die 'This is a 32-bit system on a 64-bit kernel.' 'Lodestar needs a 64-bit one.'
      ! is_musl || target=$target-musl
      [ "$arch" != x64 ] || check_processor
      ;;
    Darwin)
      # Under Rosetta `uname -m` tells what is translated to, not what is there.
      [ "$(sysctl -n sysctl.proc_translated 2>/dev/null)" != 1 ] || arch=arm64
      target=darwin-$arch
      ;;
    MINGW* | MSYS* | CYGWIN* | Windows*)
      die 'This script is for Linux and macOS.' "In PowerShell: irm $base/latest/download/install.ps1 | iex"
      ;;
    *) die "There is no program for $(uname -s)." 'With Bun for this system, try --from-source in a checkout.' ;;
  esac
}

is_musl() {
  if has ldd; then
    case $(ldd --version 2>&1) in *musl*) return 0 ;; *GLIBC* | *GNU* | *glibc*) return 1 ;; esac
  fi
  for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do [ ! -e $loader ] || return 1; done
  for loader in /lib/ld-musl-*.so.1; do [ ! -e "$loader" ] || return 0; done
  return 1
}

check_processor() {
  [ -r /proc/cpuinfo ] || return 0
  flags=' '
  while read -r key rest; do
    case $key in flags) flags=" $rest "; break ;; esac
  done </proc/cpuinfo
  case $flags in
    *' avx2 '*) ;;
    *' sse4_2 '*) target=$target-baseline ;;
    ' ') ;;
    *) die 'This processor is too old: it has no SSE 4.2, which the runtime needs.' ;;
  esac
}

download() {
  has sha256sum || has shasum || has openssl ||
    die 'There is no sha256sum, shasum or openssl to verify the download with.'
  [ -n "$target" ] || find_target
  if [ -z "$version" ]; then
    fetch "$base/latest/download/version.txt" "$scratch/version.txt"
    read -r version <"$scratch/version.txt" || true
    case $version in '' | *[!0-9A-Za-z.+-]*) die "$base/latest/download/version.txt holds no version." ;; esac
  fi
  release=$base/download/v$version
  fetch "$release/checksums.txt" "$scratch/checksums.txt"
  # Nothing to do, and nothing to download, when it is there already.
  if [ -f "$dir/lodestar" ] && [ "$(sum_of "$dir/lodestar")" = "$(published "lodestar-$target")" ]; then
    new=''
    return
  fi
  say "Downloading Lodestar $version for $target"
  mkdir "$scratch/unpacked"
  new=$scratch/unpacked/lodestar
  if has tar && { has gzip || tar --help 2>&1 | grep -qi busybox; }; then
    fetch_verified "lodestar-$target.tar.gz" "$scratch/archive.tar.gz"
    tar -xzf "$scratch/archive.tar.gz" -C "$scratch/unpacked" lodestar || die 'The archive could not be unpacked.'
    rm -f "$scratch/archive.tar.gz"
  else
    fetch_verified "lodestar-$target" "$new"
  fi
}

# fetch_verified NAME FILE
fetch_verified() {
  expected=$(published "$1")
  [ -n "$expected" ] || die "The release of version $version has no $1." "What it has: $release/checksums.txt"
  fetch "$release/$1" "$2"
  actual=$(sum_of "$2")
  [ "$actual" = "$expected" ] || die "$1 is not what was published: nothing was installed." \
    "SHA-256 expected: $expected" "SHA-256 received: $actual" \
    'It was damaged or tampered with on the way. Try again; if it stays so, tell the maintainers.'
}

# The SHA-256 that checksums.txt has for a file; empty when it has none.
published() {
  while read -r sum name; do
    if [ "${name#\*}" = "$1" ]; then printf '%s' "$sum"; return; fi
  done <"$scratch/checksums.txt"
}

sum_of() {
  if has sha256sum; then sum=$(sha256sum <"$1")
  elif has shasum; then sum=$(shasum -a 256 <"$1")
  else sum=$(openssl dgst -sha256 -r <"$1"); fi
  printf '%s' "${sum%% *}"
}

# fetch URL FILE: three attempts, unless the server says that there is no such file.
fetch() {
  case $1 in
    http://* | https://*) ;;
    *)
      [ -f "$1" ] || die "There is no $1" "Is there a version ${version:-at all}?"
      cp "$1" "$2" || die "$1 cannot be read."
      return
      ;;
  esac
  attempt=1
  while :; do
    answer=0
    if has curl; then fetch_by_curl "$1" "$2" || answer=$?
    elif has wget; then fetch_by_wget "$1" "$2" || answer=$?
    else die 'There is neither curl nor wget to download with.'; fi
    [ $answer -ne 0 ] || return 0
    [ $answer -ne 44 ] || die "There is no $1" "Is there a version ${version:-at all}?"
    [ $attempt -lt 3 ] || die "$1 could not be downloaded: $why" \
      'Check the connection, https_proxy, or name a mirror with LODESTAR_BASE_URL.'
    attempt=$((attempt + 1))
    sleep 1
  done
}

# Both answer 44 for "no such file", another status for what may go better next time.
fetch_by_curl() {
  case $1 in https:*) only='=https' ;; *) only='=http,https' ;; esac
  url=$1 file=$2
  set -- -fL --proto "$only" --proto-redir "$only" --connect-timeout "$timeout" \
    --speed-limit 100 --speed-time "$timeout" -w '%{http_code}'
  why='see above'
  if [ -t 2 ]; then
    code=$(curl "$@" -# -o "$file" "$url") && return 0
  else
    code=$(curl "$@" -sS -o "$file" "$url" 2>"$scratch/said") && return 0
    why=$(tail -n 1 "$scratch/said")
  fi
  case $code in 404 | 410) return 44 ;; *) return 1 ;; esac
}

fetch_by_wget() {
  url=$1 file=$2
  set -- -T "$timeout" -O "$file"
  # GNU's wget tries twenty times on its own, and follows https to http; that of busybox knows neither option.
  if wget --help 2>&1 | grep -q https-only; then
    set -- "$@" --tries=1
    case $url in https:*) set -- "$@" --https-only ;; esac
  fi
  status=0
  LC_ALL=C wget "$@" "$url" 2>"$scratch/said" || status=$?
  if [ $status -eq 139 ]; then
    # The busybox of Debian 12 breaks down over -T.
    status=0
    wget -O "$file" "$url" 2>"$scratch/said" || status=$?
  fi
  [ $status -ne 0 ] || return 0
  why=$(grep . "$scratch/said" | tail -n 1)
  case $(cat "$scratch/said") in *'ERROR 404'* | *'ERROR 410'* | *' 404 Not'* | *' 410 Gone'*) return 44 ;; esac
  return 1
}

build() {
  checkout=$PWD
  case $0 in */install.sh) checkout=$(cd "$(dirname "$0")" && pwd) ;; esac
  if [ ! -f "$checkout/build.ts" ] || [ ! -f "$checkout/package.json" ]; then
    die "$checkout is no checkout of Lodestar." 'Clone the repository, and run ./install.sh --from-source there.'
  fi
  wanted=$(sed -n 's/.*"packageManager": *"bun@\([0-9.]*\)".*/\1/p' "$checkout/package.json")
  [ -n "$wanted" ] || die "$checkout/package.json does not say which Bun it is built with."
  if has bun && [ "$(bun --version 2>/dev/null)" = "$wanted" ]; then bun=bun
  elif has npx; then bun="npx -y bun@$wanted"
  else fetch_bun; fi
  say "Building Lodestar with Bun $wanted"
  # shellcheck disable=SC2086 # `npx -y bun@…` is three words
  (cd "$checkout" && $bun install --frozen-lockfile && $bun run build.ts) >"$scratch/said" 2>&1 || {
    cat "$scratch/said" >&2
    die 'The build failed.'
  }
  new=$checkout/dist/lodestar
}

# Bun as its makers publish it, verified by their checksums; kept only while the build runs.
fetch_bun() {
  has unzip || die 'There is neither Bun nor npm here, and no unzip to unpack Bun with.'
  find_target
  # Bun has one program for all processors of a kind.
  name=bun-$(printf '%s' "${target%-baseline}" | sed 's/arm64/aarch64/')
  from=${LODESTAR_BUN_URL:-https://github.com/oven-sh/bun/releases/download}/bun-v$wanted
  version=$wanted release=$from
  fetch "$from/SHASUMS256.txt" "$scratch/checksums.txt"
  say "Downloading Bun $wanted"
  fetch_verified "$name.zip" "$scratch/bun.zip"
  unzip -q -o "$scratch/bun.zip" -d "$scratch/bun" || die 'Bun could not be unpacked.'
  bun=$scratch/bun/$name/bun
  PATH=$scratch/bun/$name:$PATH
}

put_in_place() {
  before=''
  [ ! -x "$dir/lodestar" ] || before=$("$dir/lodestar" --version 2>/dev/null) || before='another lodestar'
  if [ -z "$new" ]; then
    say "$before is there already: $dir/lodestar"
    tell_path
    return
  fi
  if [ ! -d "$dir" ]; then
    made_dir=$dir made_above=$above
    mkdir -p "$dir" || die "$dir cannot be made."
  fi
  # Beside its place, so that the last step is one rename, and it is started where it will be.
  staged=$dir/.lodestar-$$
  { cp "$new" "$staged" && chmod 755 "$staged"; } || die "$dir/lodestar cannot be written." 'Is the disk full?'
  after=$("$staged" --version 2>"$scratch/said") || explain_start
  [ "$from_source" = yes ] || [ "$after" = "lodestar $version" ] || die "What was downloaded is $after, not $version."
  mv -f "$staged" "$dir/lodestar" || die "$dir/lodestar cannot be replaced."
  staged='' made_dir=''
  if [ -z "$before" ]; then say "Installed $after: $dir/lodestar"
  elif [ "$before" = "$after" ]; then say "Installed $after again: $dir/lodestar"
  else say "Upgraded $before to ${after#lodestar }: $dir/lodestar"; fi
  tell_path
}

explain_start() {
  cat "$scratch/said" >&2
  case $target in
    *musl*) die 'The program does not start here. On Alpine it needs two libraries:' 'apk add libstdc++ libgcc' ;;
    *) die 'The program does not start here, so it was not installed.' "Is $dir on a disk mounted with noexec?" ;;
  esac
}

# The folder may not be on the path, or another lodestar may stand before it.
tell_path() {
  case :${PATH:-}: in
    *:"$dir":*)
      first=$(command -v lodestar) || first=$dir/lodestar
      [ "$first" = "$dir/lodestar" ] || say "Note: the shell finds another one first: $first"
      return
      ;;
  esac
  shown=$dir
  case $dir in "${HOME:-/nowhere}"/*) shown="\$HOME/${dir#"$HOME"/}" ;; esac
  line="export PATH=\"$shown:\$PATH\""
  case ${SHELL:-} in
    */zsh) file=.zshrc ;;
    */bash) file=.bashrc ;;
    */fish) file='' line="fish_add_path $dir" ;;
    *) file=.profile ;;
  esac
  say ''
  say "$dir is not on your PATH. To change that, run this${file:+, then open a new shell}:"
  if [ -n "$file" ]; then say "  echo '$line' >> ~/$file"; else say "  $line"; fi
}

# All of it is read before any of it is run: half a script, from a connection that broke, does nothing.
main "$@"
