"""Makes with authlib and oauthlib what we made, and compares: proof keys, Basic client authentication, addresses and bodies."""
import json
import sys
from urllib.parse import parse_qsl, urlsplit

from authlib.oauth2.rfc6749.util import extract_basic_authorization
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oauth2.rfc7636.challenge import CODE_VERIFIER_PATTERN
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient, WebApplicationClient

failures = []
cases = json.load(sys.stdin)


def compare(case, what, theirs, ours):
    if theirs != ours:
        failures.append({"case": case, "what": what, "theirs": theirs, "ours": ours})


def pairs(text):
    return sorted(parse_qsl(text, keep_blank_values=True, strict_parsing=True))


for number, case in enumerate(cases):
    verifier, ours = case["verifier"], case["ours"]
    compare(number, "verifier", bool(CODE_VERIFIER_PATTERN.match(verifier)), True)
    compare(number, "challenge", create_s256_code_challenge(verifier), case["challenge"])
    compare(
        number,
        "basic",
        list(extract_basic_authorization({"Authorization": ours["basic"]})),
        [case["client_id"], case["client_secret"]],
    )
    web = WebApplicationClient(case["client_id"])
    url = web.prepare_request_uri(
        case["authorize_url"],
        redirect_uri=case["redirect_uri"],
        scope=case["scopes"],
        state=case["state"],
        code_challenge=case["challenge"],
        code_challenge_method="S256",
        prompt="consent",
    )
    compare(number, "authorize address", urlsplit(url)._replace(query="").geturl(), ours["authorize"].split("?")[0])
    compare(number, "authorize", pairs(urlsplit(url).query), pairs(urlsplit(ours["authorize"]).query))
    secret = {"client_secret": case["client_secret"]}
    body = web.prepare_request_body(code=case["code"], redirect_uri=case["redirect_uri"], code_verifier=verifier, **secret)
    compare(number, "code", pairs(body), pairs(ours["code"]))
    body = web.prepare_refresh_body(refresh_token=case["refresh_token"], client_id=case["client_id"], **secret)
    compare(number, "refresh", pairs(body), pairs(ours["refresh"]))
    backend = BackendApplicationClient(case["client_id"])
    body = backend.prepare_request_body(scope=case["scopes"], include_client_id=True, **secret)
    compare(number, "client credentials", pairs(body), pairs(ours["client_credentials"]))
    legacy = LegacyApplicationClient(case["client_id"])
    body = legacy.prepare_request_body(case["user"], case["password"], scope=case["scopes"], include_client_id=True, **secret)
    compare(number, "password", pairs(body), pairs(ours["password"]))
json.dump({"judged": len(cases), "failures": failures}, sys.stdout)
