"""New key pairs in PEM, by algorithm: the private keys as tenants paste them."""
import json
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def pair(key, form=serialization.PrivateFormat.PKCS8):
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"private": private.decode(), "public": public.decode()}


json.dump(
    {
        "RS256": pair(rsa.generate_private_key(65537, 2048)),
        "PS256": pair(rsa.generate_private_key(65537, 3072), serialization.PrivateFormat.TraditionalOpenSSL),
        "ES256": pair(ec.generate_private_key(ec.SECP256R1())),
        "ES384": pair(ec.generate_private_key(ec.SECP384R1())),
    },
    sys.stdout,
)
