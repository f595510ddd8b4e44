"""Makes the golden tokens beside this file with PyJWT, an implementation that shares no code with ours.

    python3 -m venv venv && venv/bin/pip install pyjwt cryptography && venv/bin/python make.py
    venv/bin/python make.py check      # whether PyJWT takes the token that ours issues (issued.txt)

Private keys are drawn anew, used, and not kept. Made with PyJWT 2.15.1 and cryptography 50.0.2.
"""
import base64, hashlib, hmac, json, pathlib, sys
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

here = pathlib.Path(__file__).parent
SECRET = bytes(range(64))
NOW = 1_800_000_000
OWN = {"u": "ada", "iat": NOW - 10, "exp": NOW + 3600, "sid": "00112233445566778899aabbccddeeff"}
FOREIGN = {"sub": "ada", "iss": "https://issuer.example", "aud": "millrace", "iat": NOW - 10, "exp": NOW + 3600}


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def check():
    token = (here / "issued.txt").read_text().strip()
    options = {"verify_exp": False, "verify_iat": False}
    print(jwt.get_unverified_header(token), jwt.decode(token, SECRET, algorithms=["HS512"], options=options))


def make():
    keys = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "rsa4096": rsa.generate_private_key(65537, 4096),
        "rsa1024": rsa.generate_private_key(65537, 1024),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ec384": ec.generate_private_key(ec.SECP384R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }
    other = rsa.generate_private_key(65537, 2048)
    to_jwk = {"rsa": RSAAlgorithm, "ec": ECAlgorithm, "ed": OKPAlgorithm}
    jwks = []
    for kid, key in keys.items():
        jwk = json.loads(to_jwk[kid[:2].replace("rs", "rsa")].to_jwk(key.public_key()))
        jwk.pop("key_ops", None)
        jwks.append(jwk | {"kid": kid, "use": "sig"})
    jwks.append(jwks[0] | {"kid": "for-encryption", "use": "enc"})
    (here / "jwks.json").write_text(json.dumps({"keys": jwks}, indent=1) + "\n")

    spki = lambda key: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for name, key in keys.items():
        (here / f"{name}.pem").write_text(spki(key))
    pkcs1 = keys["rsa"].public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    (here / "rsa.pkcs1.pem").write_text(pkcs1)
    (here / "ed448.pem").write_text(spki(ed448.Ed448PrivateKey.generate()))
    def forged(header, payload, secret):
        signed = b64(json.dumps(header).encode()) + "." + b64(json.dumps(payload).encode())
        return signed + "." + b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())

    def foreign(key, alg, kid=None, **changes):
        payload = {name: value for name, value in (FOREIGN | changes).items() if value is not None}
        return jwt.encode(payload, keys.get(key, other), alg, headers={"kid": kid} if kid else None)

    tokens = {
        "own-hs256": jwt.encode(OWN, SECRET, "HS256", headers={"kid": "golden"}),
        "own-hs384": jwt.encode(OWN, SECRET, "HS384", headers={"kid": "golden"}),
        "own-hs512": jwt.encode(OWN, SECRET, "HS512", headers={"kid": "golden"}),
        "own-without-kid": jwt.encode(OWN, SECRET, "HS512"),
        "own-other-kid": jwt.encode(OWN, SECRET, "HS512", headers={"kid": "other"}),
        "own-other-secret": jwt.encode(OWN, SECRET[::-1], "HS512", headers={"kid": "golden"}),
        "iorio": jwt.encode({"u": "ada"}, SECRET, "HS512", headers={"exp": NOW + 3600}),
        "iorio-without-expiry": jwt.encode({"u": "ada"}, SECRET, "HS512"),
        "none": jwt.encode(OWN, None, "none"),
        "rs256": foreign("rsa", "RS256", "rsa"),
        "rs256-4096": foreign("rsa4096", "RS256", "rsa4096"),
        "rs256-without-kid": foreign("rsa", "RS256"),
        "rs256-wrong-kid": foreign("rsa", "RS256", "rsa4096"),
        "rs256-weak-key": foreign("rsa1024", "RS256", "rsa1024"),
        "rs256-stranger": foreign("stranger", "RS256", "rsa"),
        "rs512": foreign("rsa", "RS512", "rsa"),
        "ps256": foreign("rsa", "PS256", "rsa"),
        "es256": foreign("ec", "ES256", "ec"),
        "es384": foreign("ec384", "ES384", "ec384"),
        "eddsa": foreign("ed", "EdDSA", "ed"),
        "aud-list": foreign("ed", "EdDSA", "ed", aud=["other", "millrace"]),
        "aud-other": foreign("ed", "EdDSA", "ed", aud="other"),
        "aud-missing": foreign("ed", "EdDSA", "ed", aud=None),
        "iss-other": foreign("ed", "EdDSA", "ed", iss="https://other.example"),
        "exp-missing": foreign("ed", "EdDSA", "ed", exp=None),
        "exp-fraction": foreign("ed", "EdDSA", "ed", exp=NOW + 0.5),
        "nbf-later": foreign("ed", "EdDSA", "ed", nbf=NOW + 100),
        "sub-missing": foreign("ed", "EdDSA", "ed", sub=None),
        "groups": foreign("ed", "EdDSA", "ed", groups=["makers", "readers"], name="Ada"),
        # Algorithm confusion: what is public as the secret of an HMAC.
        "confused-pem": forged({"alg": "HS256", "typ": "JWT", "kid": "rsa"}, FOREIGN | OWN, spki(keys["rsa"]).encode()),
        "confused-x": forged(
            {"alg": "HS256", "typ": "JWT", "kid": "ed"}, FOREIGN | OWN,
            keys["ed"].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        ),
        "confused-empty": forged({"alg": "HS256", "typ": "JWT", "kid": "golden"}, OWN, b""),
    }
    (here / "tokens.txt").write_text("".join(f"{name} {token}\n" for name, token in tokens.items()))
    (here / "own.secrets").write_text("golden:" + b64(SECRET) + "\n")


check() if sys.argv[1:] == ["check"] else make()
