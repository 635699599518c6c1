// An OpenID provider that we did not write (oidc-provider), told by one JSON argument what to be: port, client keys and
// secret, audience, scope. Prints "ready" when it listens; ends with SIGTERM.

import { createServer } from "node:http";
import { generateKeyPair, exportJWK } from "jose";
import Provider from "oidc-provider";

const told = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${told.port}`;
const { privateKey } = await generateKeyPair("RS256", { extractable: true });
const signing = { ...(await exportJWK(privateKey)), kid: "oidc-1", alg: "RS256", use: "sig" };
const common = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [] };

const provider = new Provider(issuer, {
  clients: [
    {
      ...common,
      client_id: "orders",
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: "ES256",
      jwks: { keys: [told.jwk] },
    },
    { ...common, client_id: "partner", client_secret: told.secret, token_endpoint_auth_method: "client_secret_basic" },
  ],
  jwks: { keys: [signing] },
  clientAuthMethods: ["private_key_jwt", "client_secret_basic"],
  scopes: [told.scope],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    dPoP: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => told.audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: told.scope,
        audience: told.audience,
        accessTokenFormat: "jwt",
        accessTokenTTL: 300,
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});

createServer(provider.callback()).listen(told.port, "127.0.0.1", () => console.log("ready"));
