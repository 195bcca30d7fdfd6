"""Signs each case with botocore at the same moment and compares the Authorization header with ours."""
import json
import sys
from datetime import datetime, timezone
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

failures = []
cases = json.load(sys.stdin)
for number, case in enumerate(cases):
    moment = datetime.fromtimestamp(case["timestamp"], tz=timezone.utc)
    botocore.auth.get_current_datetime = lambda *_, moment=moment, **__: moment
    query = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in case["query"])
    headers = {"Content-Type": case["content_type"]} if case["content_type"] else {}
    request = AWSRequest(
        method=case["method"],
        url=case["url"] + ("?" + query if query else ""),
        data=case["body"].encode(),
        headers=headers,
    )
    kind = botocore.auth.S3SigV4Auth if case["object_store"] else botocore.auth.SigV4Auth
    credentials = Credentials(case["access_key"], case["secret_key"], case["session_token"])
    kind(credentials, case["service"], case["region"]).add_auth(request)
    theirs = request.headers["Authorization"]
    if theirs != case["authorization"]:
        failures.append({"case": number, "theirs": theirs, "ours": case["authorization"], "url": request.url})
json.dump({"judged": len(cases), "failures": failures}, sys.stdout)
