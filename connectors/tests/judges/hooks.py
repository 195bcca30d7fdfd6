"""Asks vendors' own packages to sign a webhook, or to say whether a signature is good. A JSON list of questions in, one of answers out."""
import json
import sys
from datetime import datetime, timezone


def stripe(q):
    from stripe import SignatureVerificationError, WebhookSignature

    if q["op"] == "sign":
        return {"Stripe-Signature": WebhookSignature.generate_signature_header(q["body"], q["secret"], q["at"])}
    return holds(SignatureVerificationError, lambda: WebhookSignature.verify_header(
        q["body"].encode(), q["headers"].get("stripe-signature"), q["secret"], tolerance=300))


def standard(module, prefix):
    def ask(q):
        hook = module().Webhook(q["secret"])
        if q["op"] == "sign":
            signature = hook.sign("msg_1", datetime.fromtimestamp(q["at"], tz=timezone.utc), q["body"])
            return {f"{prefix}-id": "msg_1", f"{prefix}-timestamp": str(q["at"]), f"{prefix}-signature": signature}
        # It reads the body after it has verified it, which is not what is asked.
        return holds(module().WebhookVerificationError, lambda: hook.verify(q["body"], q["headers"]), json.JSONDecodeError)
    return ask


def standardwebhooks():
    from standardwebhooks import webhooks
    return webhooks


def svix():
    from svix import webhooks
    return webhooks


def hubspot(q):
    from hubspot.exceptions import InvalidSignatureTimestampError
    from hubspot.utils.signature import Signature

    rest = dict(http_uri=q["url"], http_method=q["method"], signature_version="v3")
    if q["op"] == "sign":
        at = str(q["at"] * 1000)
        signature = Signature.get_signature(q["secret"], q["body"], timestamp=at, **rest)
        return {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": at}
    headers = q["headers"]
    return holds(InvalidSignatureTimestampError, lambda: Signature.is_valid(
        headers["x-hubspot-signature-v3"], q["secret"], q["body"], timestamp=headers["x-hubspot-request-timestamp"], **rest))


def easypost(q):
    from easypost.errors import SignatureVerificationError
    from easypost.util import validate_webhook

    headers = {"X-Hmac-Signature": q["headers"].get("x-hmac-signature")}
    return holds(SignatureVerificationError, lambda: validate_webhook(q["body"].encode(), headers, q["secret"]), json.JSONDecodeError)


def holds(refusal, verify, unreadable=()):
    try:
        return verify() is not False
    except refusal:
        return False
    except unreadable:
        return True


JUDGES = {
    "stripe": stripe,
    "standardwebhooks": standard(standardwebhooks, "webhook"),
    "svix": standard(svix, "svix"),
    "hubspot": hubspot,
    "easypost": easypost,
}
json.dump([JUDGES[q["judge"]](q) for q in json.load(sys.stdin)], sys.stdout)
