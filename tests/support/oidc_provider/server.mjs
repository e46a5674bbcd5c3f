// Runs `oidc-provider` on the loopback interface: node server.mjs <folder with node_modules> <port>.
// Who signs in under the name "<account> <address> <whether it is verified>" is that account, with that address.
import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, port] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(join(folder, "node_modules/oidc-provider/lib/index.js")));

const kinds = {
  RS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  EdDSA: ["ed25519", {}],
};
const keys = Object.entries(kinds).map(([alg, [type, options]]) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }),
  kid: alg,
  alg,
  use: "sig",
}));

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys },
  // One client for each signature: what differs between them is nothing else.
  clients: Object.keys(kinds).map((alg) => ({
    client_id: `partner-app-${alg}`,
    client_secret: "secret",
    redirect_uris: ["https://partner.example/back"],
    id_token_signed_response_alg: alg,
    require_auth_time: true,
  })),
  enabledJWA: { idTokenSigningAlgValues: Object.keys(kinds) },
  cookies: { keys: ["a key of the tests"] },
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false, // what was asked for stands in the ID token itself
  pkce: { required: () => false },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => {
      const [, email, verified] = id.split(" ");
      return { sub: id, email, email_verified: verified === "true" };
    },
  }),
});
provider.listen(Number(port), "127.0.0.1");
