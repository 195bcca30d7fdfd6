"""Verifies each token with PyJWT and the public key, and compares its header and claims with what was asked for."""
import json
import sys

import jwt

failures = []
cases = json.load(sys.stdin)
for number, case in enumerate(cases):
    try:
        options = {"verify_exp": False, "verify_iat": False, "verify_aud": False}
        claims = jwt.decode(case["token"], case["key"], algorithms=[case["algorithm"]], options=options)
        header = jwt.get_unverified_header(case["token"])
        wanted = {"typ": "JWT", "alg": case["algorithm"], **({"kid": case["key_id"]} if case["key_id"] else {})}
        if claims != case["claims"] or header != wanted:
            failures.append({"case": number, "claims": claims, "wanted": case["claims"], "header": header})
    except jwt.PyJWTError as error:
        failures.append({"case": number, "error": repr(error), "algorithm": case["algorithm"]})
json.dump({"judged": len(cases), "failures": failures}, sys.stdout)
