/** The bill of materials, in the form of CycloneDX 1.6 (ECMA-424): what whoever runs the program runs. */
import { graphvizVersion, type Inside, inside } from "./inside.ts";
import type { Origin } from "./origin.ts";

/** Names under which Bun tells the versions of what it stands in for, or of interfaces: none of it is code inside. */
const NO_LIBRARY = new Set(["bun", "node", "v8", "uv", "napi", "modules", "openssl", "unicode", "typescript"]);

/** Compiled in by viz-js, and not named by its package.json. Its licence is not that of the package around it. */
const graphviz = (version: string) => ({
  type: "library",
  "bom-ref": `graphviz@${version}`,
  name: "graphviz",
  version,
  licenses: [{ license: { name: "Eclipse Public License" } }],
  purl: `pkg:generic/graphviz@${version}`,
});

function component({ name, version, license, sha512 }: Inside) {
  const [group, plain] = name.startsWith("@") ? name.split("/") : [undefined, name];
  return {
    type: "library",
    "bom-ref": refOf({ name, version }),
    ...(group === undefined ? {} : { group }),
    name: plain,
    version,
    hashes: [{ alg: "SHA-512", content: sha512 }],
    licenses: [/ (?:AND|OR|WITH) /.test(license) ? { expression: license } : { license: { id: license } }],
    purl: refOf({ name, version }),
  };
}

const refOf = ({ name, version }: { readonly name: string; readonly version: string }) =>
  `pkg:npm/${name.replace("@", "%40")}@${version}`;

/** Bun with the libraries that it was built from, as it tells them itself. */
function runtime() {
  const libraries = Object.entries(process.versions)
    .filter(([name]) => !NO_LIBRARY.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, version]) => ({ type: "library", "bom-ref": `bun/${name}`, name, version }));
  return {
    type: "platform",
    "bom-ref": `bun@${Bun.version}`,
    name: "bun",
    version: Bun.version,
    description: "The runtime that every program holds, with the libraries that it tells of itself",
    licenses: [{ license: { id: "MIT" } }],
    purl: `pkg:npm/bun@${Bun.version}`,
    components: libraries,
  };
}

/** The bill of this commit. It is the same for every platform, and for every time it is made. */
export async function bill({ version, commit, seconds }: Origin): Promise<string> {
  const packages = await inside();
  const picture = graphviz(await graphvizVersion());
  const bun = runtime();
  const self = `pkg:generic/lodestar@${version}`;
  const needs = new Set(packages.flatMap(({ needs }) => needs));
  const find = (name: string) => packages.find((one) => one.name === name) as Inside;
  const body = {
    version: 1,
    metadata: {
      timestamp: new Date(seconds * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": self,
        name: "lodestar",
        version,
        licenses: [{ license: { id: "MIT" } }],
        purl: self,
        properties: [{ name: "lodestar:commit", value: commit }],
      },
    },
    components: [...packages.map(component), picture, bun],
    dependencies: [
      {
        ref: self,
        dependsOn: [bun["bom-ref"], ...packages.filter(({ name }) => !needs.has(name)).map(refOf)],
      },
      ...packages.map((one) => ({
        ref: refOf(one),
        dependsOn: [
          ...one.needs.map((name) => refOf(find(name))),
          ...(one.name === "@viz-js/viz" ? [picture["bom-ref"]] : []),
        ],
      })),
    ],
  };
  const text = JSON.stringify(body);
  const serialNumber = `urn:uuid:${uuid(text)}`;
  return `${JSON.stringify({ bomFormat: "CycloneDX", specVersion: "1.6", serialNumber, ...body }, null, 2)}\n`;
}

/** A UUID of version 8 (RFC 9562) made of a text's hash: two bills with one number say the same. */
function uuid(text: string): string {
  const hex = new Bun.CryptoHasher("sha256").update(text).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
