//! A security key of software, for tests: it makes keys and signs with them as WebAuthn asks, and can be made to lie about where, what and how often.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const HAS_KEY: u8 = 0x40;

/// One key at one site, in somebody's pocket.
pub struct Authenticator {
    pub origin: String,
    pub rp_id: String,
    /// What it has counted.
    pub count: u32,
    id: [u8; 32],
    pair: EcdsaKeyPair,
    user: String,
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Authenticator {
    /// A key that is made for this page.
    ///
    /// # Panics
    /// Where the machine has no randomness.
    #[must_use]
    pub fn new(origin: &str, rp_id: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key can be made");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).expect("it can be read");
        let mut id = [0; 32];
        random.fill(&mut id).expect("there is randomness");
        Self { origin: origin.to_owned(), rp_id: rp_id.to_owned(), count: 0, id, pair, user: String::new() }
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(self.rp_id.as_bytes()).to_vec();
        data.push(flags);
        data.extend(self.count.to_be_bytes());
        data
    }

    fn client(&self, kind: &str, challenge: &Value) -> Vec<u8> {
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false}).to_string().into_bytes()
    }

    /// Answers `navigator.credentials.create`.
    ///
    /// # Panics
    /// Where the options are none.
    #[must_use]
    pub fn create(&mut self, options: &Value) -> Value {
        let options = &options["publicKey"];
        assert_eq!(options["rp"]["id"], self.rp_id.as_str(), "{options}");
        options["user"]["id"].as_str().expect("a user has a handle").clone_into(&mut self.user);
        self.count += 1;
        // The public key as COSE writes it (RFC 9053, 7.1): EC2, ES256, P-256, x, y.
        let point = self.pair.public_key().as_ref();
        let mut key = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        key.extend(&point[1..33]);
        key.extend([0x22, 0x58, 0x20]);
        key.extend(&point[33..65]);
        let mut data = self.data(PRESENT | VERIFIED | HAS_KEY);
        data.extend([0; 16]);
        data.extend([0, 32]);
        data.extend(self.id);
        data.extend(key);
        // {"fmt": "none", "attStmt": {}, "authData": …} in CBOR.
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).expect("it is short"));
        object.extend(data);
        let client = self.client("webauthn.create", &options["challenge"]);
        json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {"attestationObject": encode(&object), "clientDataJSON": encode(&client), "transports": ["usb"]},
        })
    }

    /// Answers `navigator.credentials.get`.
    ///
    /// # Panics
    /// Where the machine has no randomness.
    #[must_use]
    pub fn get(&mut self, options: &Value) -> Value {
        self.count += 1;
        self.sign(options)
    }

    /// As `get`, without having counted on.
    ///
    /// # Panics
    /// As `get`.
    #[must_use]
    pub fn sign(&self, options: &Value) -> Value {
        let client = self.client("webauthn.get", &options["publicKey"]["challenge"]);
        let data = self.data(PRESENT | VERIFIED);
        let signed = [data.as_slice(), Sha256::digest(&client).as_slice()].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).expect("a key signs");
        json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "authenticatorData": encode(&data), "clientDataJSON": encode(&client), "signature": encode(signature.as_ref()), "userHandle": self.user,
            },
        })
    }
}
