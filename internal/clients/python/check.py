"""Asks a metadata server for everything that google-auth asks for.

Which one, GCE_METADATA_HOST and GCE_METADATA_IP say; what it has to answer, the arguments say: project, account.
"""

import base64
import datetime
import json
import sys

import google.auth
import google.auth.compute_engine
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request
from google.oauth2 import id_token

project, account = sys.argv[1:]
audience = "https://service.example"
request = Request()


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, want {want!r}")


check("ping", _metadata.ping(request), True)

credentials, found = google.auth.default()
check("kind", type(credentials), google.auth.compute_engine.Credentials)
check("project", found, project)
credentials.refresh(request)
check("valid", credentials.valid, True)
check("account", credentials.service_account_email, account)
now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
if not now < credentials.expiry <= now + datetime.timedelta(hours=1, seconds=5):
    sys.exit(f"expiry: {credentials.expiry} at {now}")
headers = {}
credentials.apply(headers)
check("authorization", headers["authorization"], "Bearer " + credentials.token)
check("universe", credentials.universe_domain, "googleapis.com")

scoped = google.auth.compute_engine.Credentials(scopes=["https://www.googleapis.com/auth/devstorage.read_only"])
scoped.refresh(request)
check("another token for other scopes", scoped.token != credentials.token, True)

token = id_token.fetch_id_token(request, audience)
payload = token.split(".")[1]
claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
check("audience", claims["aud"], audience)
check("identity", claims["email"], account)

info = _metadata.get_service_account_info(request)
check("service account", (info["email"], "default" in info["aliases"]), (account, True))
