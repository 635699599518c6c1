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
    {
      client_id: "mobile",
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      redirect_uris: ["https://app.example/back"],
    },
    { ...common, client_id: "partner", client_secret: told.secret, token_endpoint_auth_method: "client_secret_basic" },
  ],
  jwks: { keys: [signing] },
  clientAuthMethods: ["private_key_jwt", "client_secret_basic", "none"],
  scopes: [told.scope, "offline_access"],
  rotateRefreshToken: true,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
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
      getResourceServerInfo: (_, resource) => ({
        scope: told.scope,
        audience: resource,
        accessTokenFormat: resource.endsWith("/opaque") ? "opaque" : "jwt",
        accessTokenTTL: 300,
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});

// In the place of somebody who logs in: a refresh token of a new family, as an authorization code would have given it.
async function refreshToken() {
  const client = await provider.Client.find("mobile");
  const scope = `openid offline_access ${told.scope}`;
  const grant = new provider.Grant({ clientId: "mobile", accountId: "alice" });
  grant.addOIDCScope("openid offline_access");
  grant.addResourceScope(told.audience, told.scope);
  const grantId = await grant.save();
  const about = { accountId: "alice", client, grantId, gty: "authorization_code", scope, resource: told.audience };
  return new provider.RefreshToken({ ...about, authTime: Math.floor(Date.now() / 1000) }).save();
}

const answer = provider.callback();
createServer(async (request, response) => {
  if (request.url !== "/a-refresh-token") return answer(request, response);
  response.end(await refreshToken());
}).listen(told.port, "127.0.0.1", () => console.log("ready"));
