// Asks a metadata server for everything that Google's library for Node asks for. Which one, GCE_METADATA_HOST says; what it has
// to answer, the arguments say: project, account.
import assert from 'node:assert/strict';
import {GoogleAuth} from 'google-auth-library';
import gcpMetadata from 'gcp-metadata';

const [project, account] = process.argv.slice(2);
const audience = 'https://service.example';

assert.equal(await gcpMetadata.isAvailable(), true, 'is it Google Cloud?');

const auth = new GoogleAuth({scopes: 'https://www.googleapis.com/auth/cloud-platform'});
assert.equal(await auth.getProjectId(), project);
const client = await auth.getClient();
assert.equal(client.constructor.name, 'Compute');
const token = await client.getAccessToken();
assert.match(token.token, /^[\w.-]{20,}$/);
assert.ok(client.credentials.expiry_date > Date.now(), 'the token lives');
assert.equal((await auth.getCredentials()).client_email, account);
assert.equal(await auth.getUniverseDomain(), 'googleapis.com');

const scoped = new GoogleAuth({scopes: ['https://www.googleapis.com/auth/devstorage.read_only']});
assert.match(await scoped.getAccessToken(), /^[\w.-]{20,}$/);

const identity = await (await auth.getIdTokenClient(audience)).idTokenProvider.fetchIdToken(audience);
const claims = JSON.parse(Buffer.from(identity.split('.')[1], 'base64url').toString());
assert.equal(claims.aud, audience);
assert.equal(claims.email, account);
assert.ok(claims.exp * 1000 > Date.now(), 'the identity token lives');

assert.equal(await gcpMetadata.instance('service-accounts/default/email'), account);
assert.match(await gcpMetadata.instance('zone'), /\/zones\//);
assert.ok(await gcpMetadata.instance('id'));
await assert.rejects(gcpMetadata.instance('attributes/no-such-attribute'), /404|Unsuccessful/);
