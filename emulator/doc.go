// Package emulator is a fake cloud on loopback that fails like the real one: an object store, a metadata server and
// an OAuth2 token endpoint, with faults, a request log and a price estimate. It is for tests, demonstrations and
// benchmarks of programs that use Google Cloud Storage.
//
// Use [Start] first:
//
//	cloud := emulator.Start(t, nil)                 // stopped when the test ends
//	url := cloud.StoreURL("bucket", "jobs")         // gs://bucket/jobs?endpoint=…, the bucket exists
//	t.Setenv("GCE_METADATA_HOST", cloud.MetadataHost())
//
// What is promised:
//
//   - Credentials are real. A storage request without a live bearer token from this cloud's [Issuer] is refused, so the
//     path from the metadata server (or a service-account key, see [Cloud.ServiceAccountKey]) to the stored byte is
//     tested through the client's own code. For the same reason [Cloud.Env] does not set STORAGE_EMULATOR_HOST: it makes
//     Google's clients send no token at all.
//   - Faults are rules ([Fault]) that can be changed while clients are connected, and are the same for every server.
//   - [Cloud.Close] returns when no goroutine and no handler of the cloud is left; it ends every stall and delay.
//   - Servers listen on loopback, unless [Options.AllowNonLoopback] says otherwise.
//
// Nothing here imports the packages that it tests. The servers use the standard library alone. A second storage
// server, written by others, can stand behind the same door: see the fakegcs sub-package.
package emulator
