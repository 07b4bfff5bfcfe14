/** What Homebrew and Scoop read, made from the checksums of a release. */
import { archiveOf } from "../../src/core/release.ts";

export interface Published {
  readonly version: string;
  /** Where the release's files are, without a slash at the end. */
  readonly url: string;
  readonly homepage: string;
  readonly description: string;
  /** Name of a file → its SHA-256. */
  readonly sums: ReadonlyMap<string, string>;
}

/** @throws when the release has no such file. */
function source({ url, sums }: Published, target: string): { readonly url: string; readonly sha256: string } {
  const name = archiveOf(target);
  const sha256 = sums.get(name);
  if (sha256 === undefined) throw new Error(`The release has no ${name}.`);
  return { url: `${url}/${name}`, sha256 };
}

/** A formula for a tap: `brew install <owner>/<tap>/lodestar`. */
export function formula(release: Published): string {
  const choice = (condition: string, target: string) => {
    const { url, sha256 } = source(release, target);
    return `    ${condition} do\n      url "${url}"\n      sha256 "${sha256}"\n    end\n`;
  };
  return `class Lodestar < Formula
  desc "${release.description}"
  homepage "${release.homepage}"
  version "${release.version}"
  license "MIT"

  on_macos do
${choice("on_arm", "darwin-arm64")}${choice("on_intel", "darwin-x64")}  end

  on_linux do
${choice("on_arm", "linux-arm64")}${choice("on_intel", "linux-x64")}  end

  def install
    bin.install "lodestar"
    generate_completions_from_executable(bin/"lodestar", "completions", shells: [:bash, :zsh, :fish])
  end

  test do
    assert_equal "lodestar #{version}", shell_output("#{bin}/lodestar --version").strip
  end
end
`;
}

/** A manifest for a Scoop bucket: `scoop install lodestar`. */
export function scoopManifest(release: Published): string {
  const choice = (target: string) => {
    const { url, sha256 } = source(release, target);
    return { url, hash: sha256 };
  };
  const next = (target: string) => ({
    url: `${release.url.replace(release.version, "$version")}/${archiveOf(target)}`,
  });
  const manifest = {
    version: release.version,
    description: release.description,
    homepage: release.homepage,
    license: "MIT",
    architecture: { "64bit": choice("windows-x64"), arm64: choice("windows-arm64") },
    bin: "lodestar.exe",
    checkver: { url: `${release.homepage}/latest/download/version.txt`, regex: "([\\w.-]+)" },
    autoupdate: {
      architecture: { "64bit": next("windows-x64"), arm64: next("windows-arm64") },
      hash: { url: "$baseurl/checksums.txt" },
    },
  };
  return `${JSON.stringify(manifest, null, 4)}\n`;
}
