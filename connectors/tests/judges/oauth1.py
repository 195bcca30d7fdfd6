"""Signs each case with oauthlib and compares the parameters, the signature among them, with ours."""
import json
import re
import sys
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from oauthlib.oauth1 import Client


def address(case):
    query = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in case["query"])
    return case["url"] + ("?" + query if query else "")


def oauth_of_header(value):
    return {n: unquote(v) for n, v in re.findall(r'(\w+)="([^"]*)"', value)}


def oauth_of_query(url):
    return {n: v for n, v in parse_qsl(urlsplit(url).query, keep_blank_values=True) if n.startswith("oauth_")}


failures = []
cases = json.load(sys.stdin)
for number, case in enumerate(cases):
    client = Client(
        case["consumer_key"],
        client_secret=case["consumer_secret"],
        resource_owner_key=case["token"],
        resource_owner_secret=case["token_secret"],
        signature_method=case["method_name"],
        signature_type="AUTH_HEADER" if case["place"] == "header" else "QUERY",
        realm=case["realm"] or None,
        nonce=case["nonce"],
        timestamp=str(case["timestamp"]),
    )
    headers = {"Content-Type": case["content_type"]} if case["content_type"] else {}
    body = case["body"] if case["content_type"] == "application/x-www-form-urlencoded" else None
    url, headers, _ = client.sign(address(case), http_method=case["method"], body=body, headers=headers)
    if case["place"] == "header":
        theirs, ours = oauth_of_header(headers["Authorization"]), oauth_of_header(case["authorization"])
    else:
        theirs, ours = oauth_of_query(url), oauth_of_query(case["sent_url"])
    if theirs != ours:
        failures.append({"case": number, "theirs": theirs, "ours": ours, "url": address(case), "body": case["body"]})
json.dump({"judged": len(cases), "failures": failures}, sys.stdout)
