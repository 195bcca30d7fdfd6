//! Envelope encryption: a master key wraps each tenant's data key, and that seals credentials with AES-256-GCM.
//! The tenant and whose secret it is are authenticated with every one, so a sealed value copied to another row does not open. The same data key
//! makes the hashes by which a person's address is found and not read.
//!
//! While the master key is replaced a process knows two: it wraps with its own and reads what either has wrapped, so that nothing stands still while
//! the tenants' keys are wrapped anew (`crossdock keys rotate`).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::id::{AlertReceiverId, AuditStreamId, CredentialId, HookSecretId, MailId, RecordId, TenantId, UserId};
use domain::search_key::{KeyKind, SearchKey};
use domain::secret::{ExposeSecret, SecretFields, SecretString};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

const KEY_BYTES: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("the master key must be 32 bytes in base64; make one with `openssl rand -base64 32`")]
    MasterKey,
    #[error(
        "{what} was wrapped by master key {wrapped_by}, but {ours} is configured; set CROSSDOCK_MASTER_KEY_ALSO to the one before"
    )]
    OtherMasterKey { what: String, wrapped_by: String, ours: String },
    #[error("{what} does not open: it was altered, moved from another row, or the master key is not the one that sealed it")]
    Sealed { what: String },
    #[error("the system gave no random bytes")]
    Random,
}

/// A tenant's key, unwrapped: lives in memory only.
#[derive(Clone)]
pub struct DataKey {
    sealing: Arc<LessSafeKey>,
    hashing: KeyHasher,
}

/// Hashes what a tenant's records are searched by and nobody should read. Without the tenant's data key a hash tells nothing, not even whether
/// two tenants know the same address.
#[derive(Clone)]
pub struct KeyHasher(hmac::Key);

/// A search key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    pub kind: KeyKind,
    pub value: String,
}

impl KeyHasher {
    fn new(data_key: &[u8]) -> Self {
        // A key of its own: what seals secrets is used for nothing else.
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, data_key), b"crossdock/search-key");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// An address becomes its hash; everything else stays as it is.
    #[must_use]
    pub fn store(&self, key: SearchKey) -> StoredKey {
        // 128 bits: among a tenant's addresses no two are ever the same by chance.
        const HASH_BYTES: usize = 16;
        let value = match key.kind {
            KeyKind::Email => URL_SAFE_NO_PAD.encode(&hmac::sign(&self.0, key.text.as_bytes()).as_ref()[..HASH_BYTES]),
            _ => key.text,
        };
        StoredKey { kind: key.kind, value }
    }
}

/// Seals and opens.
#[derive(Clone)]
pub struct Vault {
    master: MasterKey,
    also: Option<MasterKey>,
}

#[derive(Clone)]
struct MasterKey {
    wrapping: Arc<LessSafeKey>,
    /// What the keys are made of that seal what is handed out.
    handing: hmac::Key,
    id: String,
}

impl MasterKey {
    fn parse(text: &SecretString) -> Result<Self, VaultError> {
        let bytes = STANDARD.decode(text.expose_secret().trim()).map_err(|_| VaultError::MasterKey)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let id = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        // A key of its own, as the hasher has.
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"crossdock/handed-out");
        let handing = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        Ok(Self { wrapping: Arc::new(key(&bytes).ok_or(VaultError::MasterKey)?), handing, id })
    }

    /// What seals a thing of this kind that is handed out in this tenant, and what its nonces are made by.
    fn handing_keys(&self, tenant: TenantId, what: HandedOut) -> Result<(LessSafeKey, hmac::Key), VaultError> {
        let derived = |part: &str| hmac::sign(&self.handing, format!("{part}/{}/{tenant}", what.as_str()).as_bytes());
        let sealing = key(derived("seal").as_ref()).ok_or(VaultError::MasterKey)?;
        Ok((sealing, hmac::Key::new(hmac::HMAC_SHA256, derived("nonce").as_ref())))
    }
}

impl Vault {
    /// `master_key` is 32 bytes in base64 from a file, the environment or a key service.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn new(master_key: &SecretString) -> Result<Self, VaultError> {
        Ok(Self { master: MasterKey::parse(master_key)?, also: None })
    }

    /// Reads what another master key has wrapped, too: the one before, or the next one.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn also_reading(self, other: &SecretString) -> Result<Self, VaultError> {
        Ok(Self { also: Some(MasterKey::parse(other)?), ..self })
    }

    /// The master key of this id, where it is one of ours.
    fn master(&self, id: &str) -> Option<&MasterKey> {
        [Some(&self.master), self.also.as_ref()].into_iter().flatten().find(|master| master.id == id)
    }

    /// Opens what a master key of ours has sealed itself.
    fn opened(&self, what: &dyn Fn() -> String, aad: &str, master_key_id: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let other =
            || VaultError::OtherMasterKey { what: what(), wrapped_by: master_key_id.to_owned(), ours: self.master.id.clone() };
        let master = self.master(master_key_id).ok_or_else(other)?;
        open(&master.wrapping, aad.as_bytes(), sealed).ok_or_else(|| VaultError::Sealed { what: what() })
    }

    /// Seals a person's second factor, by the master key itself: a person is of no tenant, and has no data key.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn seal_of_person(&self, user: UserId, secret: &SecretString) -> Result<Vec<u8>, VaultError> {
        seal(&self.master.wrapping, second_factor_aad(user).as_bytes(), secret.expose_secret().as_bytes())
    }

    /// # Errors
    /// Where another master key sealed it, it was altered, or it is somebody else's.
    pub fn open_of_person(&self, user: UserId, master_key_id: &str, sealed: &[u8]) -> Result<SecretString, VaultError> {
        let what = || format!("the second factor of {user}");
        let plain = self.opened(&what, &second_factor_aad(user), master_key_id, sealed)?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| VaultError::Sealed { what: what() })
    }

    /// Seals what a mail says, by the master key itself, as [`Self::seal_of_person`].
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn seal_of_mail(&self, mail: MailId, content: &SecretString) -> Result<Vec<u8>, VaultError> {
        seal(&self.master.wrapping, mail_aad(mail).as_bytes(), content.expose_secret().as_bytes())
    }

    /// # Errors
    /// Where another master key sealed it, it was altered, or it is of another mail.
    pub fn open_of_mail(&self, mail: MailId, master_key_id: &str, sealed: &[u8]) -> Result<SecretString, VaultError> {
        let what = || format!("the mail {mail}");
        let plain = self.opened(&what, &mail_aad(mail), master_key_id, sealed)?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| VaultError::Sealed { what: what() })
    }

    /// Seals what a caller is handed and gives back unread. The same text is sealed to the same bytes in its tenant, so that it names a thing as the
    /// text itself does; to who has no key it tells whether two are the same, and nothing else.
    ///
    /// # Errors
    /// Where it is larger than any text of ours.
    pub fn hand_out(&self, tenant: TenantId, what: HandedOut, text: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (sealing, naming) = self.master.handing_keys(tenant, what)?;
        // Made of the text, so that none is used for two texts.
        let mut nonce = [0u8; NONCE_LEN];
        nonce.copy_from_slice(&hmac::sign(&naming, text).as_ref()[..NONCE_LEN]);
        seal_with(&sealing, nonce, &[], text)
    }

    /// What was sealed by [`Self::hand_out`]; `None` of anything else, and of what another tenant was handed.
    #[must_use]
    pub fn take_back(&self, tenant: TenantId, what: HandedOut, sealed: &[u8]) -> Option<Vec<u8>> {
        let masters = [Some(&self.master), self.also.as_ref()];
        masters.into_iter().flatten().find_map(|master| open(&master.handing_keys(tenant, what).ok()?.0, &[], sealed))
    }

    /// True where what this master key has wrapped can be read.
    #[must_use]
    pub fn knows(&self, master_key_id: &str) -> bool {
        self.master(master_key_id).is_some()
    }

    /// Names the master key without telling anything of it: the first bytes of its hash.
    #[must_use]
    pub fn master_key_id(&self) -> &str {
        &self.master.id
    }

    /// A new data key of a tenant, with its wrapped form for the database.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn new_data_key(&self, tenant: TenantId, version: i32) -> Result<(DataKey, Vec<u8>), VaultError> {
        let mut bytes = [0u8; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| VaultError::Random)?;
        let wrapped = seal(&self.master.wrapping, data_key_aad(tenant, version).as_bytes(), &bytes)?;
        Ok((DataKey::new(&bytes)?, wrapped))
    }

    /// # Errors
    /// Where another master key wrapped it, or it was altered.
    pub fn unwrap(&self, tenant: TenantId, version: i32, master_key_id: &str, wrapped: &[u8]) -> Result<DataKey, VaultError> {
        DataKey::new(&self.unwrapped(tenant, version, master_key_id, wrapped)?)
    }

    /// The same data key, wrapped by our own master key: what it seals opens as before.
    ///
    /// # Errors
    /// As [`Self::unwrap`].
    pub fn rewrap(&self, tenant: TenantId, version: i32, master_key_id: &str, wrapped: &[u8]) -> Result<Vec<u8>, VaultError> {
        let bytes = self.unwrapped(tenant, version, master_key_id, wrapped)?;
        seal(&self.master.wrapping, data_key_aad(tenant, version).as_bytes(), &bytes)
    }

    fn unwrapped(&self, tenant: TenantId, version: i32, master_key_id: &str, wrapped: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.opened(&|| format!("the data key of tenant {tenant}"), &data_key_aad(tenant, version), master_key_id, wrapped)
    }
}

impl DataKey {
    fn new(bytes: &[u8]) -> Result<Self, VaultError> {
        let sealing = Arc::new(key(bytes).ok_or(VaultError::MasterKey)?);
        Ok(Self { sealing, hashing: KeyHasher::new(bytes) })
    }

    #[must_use]
    pub fn hasher(&self) -> KeyHasher {
        self.hashing.clone()
    }

    /// # Errors
    /// Where the system has no randomness.
    pub fn seal(&self, tenant: TenantId, what: Sealed, fields: &SecretFields) -> Result<Vec<u8>, VaultError> {
        let plain: std::collections::BTreeMap<&str, &str> =
            fields.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        let json = serde_json::to_vec(&plain).map_err(|_| VaultError::Random)?;
        seal(&self.sealing, what.aad(tenant).as_bytes(), &json)
    }

    /// # Errors
    /// Where it was altered or belongs to another row.
    pub fn open(&self, tenant: TenantId, what: Sealed, sealed: &[u8]) -> Result<SecretFields, VaultError> {
        let error = || VaultError::Sealed { what: what.to_string() };
        let json = open(&self.sealing, what.aad(tenant).as_bytes(), sealed).ok_or_else(error)?;
        let fields: std::collections::BTreeMap<String, String> = serde_json::from_slice(&json).map_err(|_| error())?;
        Ok(fields.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
    }
}

/// The key of what the audit log tells of one record's values. Whoever destroys it has erased that.
pub struct DetailKey(LessSafeKey);

impl DetailKey {
    /// A new one, and what is kept of it, sealed by the tenant's data key.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn generate() -> Result<(Self, SecretFields), VaultError> {
        let mut bytes = [0u8; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| VaultError::Random)?;
        let fields = [("key".to_owned(), SecretString::from(STANDARD.encode(bytes)))].into_iter().collect();
        Ok((Self(key(&bytes).ok_or(VaultError::Random)?), fields))
    }

    /// # Errors
    /// Where what was kept is no key.
    pub fn of(fields: &SecretFields, record: RecordId) -> Result<Self, VaultError> {
        let bytes = fields.get("key").and_then(|text| STANDARD.decode(text.expose_secret()).ok());
        let sealed = || VaultError::Sealed { what: Sealed::DetailKey(record).to_string() };
        bytes.and_then(|bytes| key(&bytes)).map(Self).ok_or_else(sealed)
    }

    /// In base64.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn seal(&self, tenant: TenantId, record: RecordId, detail: &str) -> Result<String, VaultError> {
        Ok(STANDARD.encode(seal(&self.0, detail_aad(tenant, record).as_bytes(), detail.as_bytes())?))
    }

    /// `None` where another key sealed it: the one that did was destroyed.
    #[must_use]
    pub fn open(&self, tenant: TenantId, record: RecordId, sealed: &str) -> Option<String> {
        let plain = open(&self.0, detail_aad(tenant, record).as_bytes(), &STANDARD.decode(sealed).ok()?)?;
        String::from_utf8(plain).ok()
    }
}

fn detail_aad(tenant: TenantId, record: RecordId) -> String {
    format!("crossdock/audit-detail/{tenant}/{record}")
}

fn data_key_aad(tenant: TenantId, version: i32) -> String {
    format!("crossdock/data-key/{tenant}/{version}")
}

fn second_factor_aad(user: UserId) -> String {
    format!("crossdock/second-factor/{user}")
}

fn mail_aad(mail: MailId) -> String {
    format!("crossdock/mail/{mail}")
}

/// What callers are handed and give back unread. Each kind has a key of its own: one is not taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOut {
    /// Where a page of a list goes on.
    Cursor,
    /// The key of a cause, which repeats a value that they may not see.
    CauseKey,
}

impl HandedOut {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cursor => "cursor",
            Self::CauseKey => "cause-key",
        }
    }
}

/// What was sealed: it opens as nothing else, so that no row can be passed off as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    Credential(CredentialId),
    /// What the vendor gave for that credential.
    Token(CredentialId),
    /// What signs the tenant's certificates.
    CertificateKey,
    /// What signs alerts, or the address that is a secret itself.
    AlertReceiver(AlertReceiverId),
    /// What signs hooks, beside the credential.
    HookSecret(HookSecretId),
    /// Our secret at the tenant's identity provider.
    IdentityProvider,
    /// What signs batches of the audit log.
    AuditStream(AuditStreamId),
    /// The key of what the audit log tells of this record's values.
    DetailKey(RecordId),
}

impl Sealed {
    fn aad(self, tenant: TenantId) -> String {
        match self {
            Self::Credential(id) => format!("crossdock/credential/{tenant}/{id}"),
            Self::Token(id) => format!("crossdock/token/{tenant}/{id}"),
            Self::CertificateKey => format!("crossdock/certificate-key/{tenant}"),
            Self::AlertReceiver(id) => format!("crossdock/alert-receiver/{tenant}/{id}"),
            Self::HookSecret(id) => format!("crossdock/hook-secret/{tenant}/{id}"),
            Self::IdentityProvider => format!("crossdock/identity-provider/{tenant}"),
            Self::AuditStream(id) => format!("crossdock/audit-stream/{tenant}/{id}"),
            Self::DetailKey(id) => format!("crossdock/detail-key/{tenant}/{id}"),
        }
    }
}

impl std::fmt::Display for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Credential(id) => write!(f, "the credential {id}"),
            Self::Token(id) => write!(f, "the token of the credential {id}"),
            Self::CertificateKey => f.write_str("the key that signs certificates"),
            Self::AlertReceiver(id) => write!(f, "the secret of the alert receiver {id}"),
            Self::HookSecret(id) => write!(f, "the hook secret {id}"),
            Self::IdentityProvider => f.write_str("the client secret of the identity provider"),
            Self::AuditStream(id) => write!(f, "the secret of the audit stream {id}"),
            Self::DetailKey(id) => write!(f, "the key of what the audit log tells of {id}"),
        }
    }
}

fn key(bytes: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, bytes).ok().map(LessSafeKey::new)
}

/// nonce ‖ ciphertext ‖ tag. The nonce is random: a data key seals far fewer than the 2^32 values that this bounds (NIST SP 800-38D).
fn seal(key: &LessSafeKey, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut nonce = [0u8; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| VaultError::Random)?;
    seal_with(key, nonce, aad, plain)
}

fn seal_with(key: &LessSafeKey, nonce: [u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut sealed = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut sealed)
        .map_err(|_| VaultError::Random)?;
    Ok([&nonce[..], &sealed].concat())
}

fn open(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
    let mut bytes = sealed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = key.open_in_place(nonce, Aad::from(aad), &mut bytes).ok()?;
    Some(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(&SecretString::from(STANDARD.encode([byte; KEY_BYTES]))).unwrap()
    }

    #[test]
    fn a_sealed_credential_opens_only_in_its_own_row() {
        let (vault, tenant, credential) = (vault(7), TenantId::generate(), CredentialId::generate());
        let (data_key, wrapped) = vault.new_data_key(tenant, 1).unwrap();
        let fields: SecretFields = [("token".to_owned(), SecretString::from("s3cret"))].into_iter().collect();
        let ours = Sealed::Credential(credential);
        let sealed = data_key.seal(tenant, ours, &fields).unwrap();
        let reopened = vault.unwrap(tenant, 1, vault.master_key_id(), &wrapped).unwrap();
        assert_eq!(reopened.open(tenant, ours, &sealed).unwrap().get("token").unwrap().expose_secret(), "s3cret");
        assert!(reopened.open(tenant, Sealed::Credential(CredentialId::generate()), &sealed).is_err());
        assert!(reopened.open(tenant, Sealed::Token(credential), &sealed).is_err());
        assert!(reopened.open(TenantId::generate(), ours, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(reopened.open(tenant, ours, &altered).is_err(), "byte {at}");
        }
    }

    #[test]
    fn threat_sealed_of_each_kind_opens_as_no_other_kind_row_or_tenant_and_with_no_byte_changed() {
        let (vault, tenant, other) = (vault(7), TenantId::generate(), TenantId::generate());
        let (data_key, _) = vault.new_data_key(tenant, 1).unwrap();
        let (their_key, _) = vault.new_data_key(other, 1).unwrap();
        let fields: SecretFields = [("token".to_owned(), SecretString::from("s3cret"))].into_iter().collect();
        // Ids of the same 128 bits in each kind, so that the kind alone keeps them apart.
        let kinds = |id: u128| {
            let id = uuid::Uuid::from_u128(id);
            [
                Sealed::Credential(CredentialId(id)),
                Sealed::Token(CredentialId(id)),
                Sealed::CertificateKey,
                Sealed::AlertReceiver(AlertReceiverId(id)),
                Sealed::HookSecret(HookSecretId(id)),
                Sealed::IdentityProvider,
            ]
        };
        for (at, ours) in kinds(1).into_iter().enumerate() {
            let sealed = data_key.seal(tenant, ours, &fields).unwrap();
            assert!(data_key.open(tenant, ours, &sealed).is_ok());
            assert!(data_key.open(other, ours, &sealed).is_err(), "{ours}: of another tenant");
            assert!(their_key.open(tenant, ours, &sealed).is_err(), "{ours}: by another tenant's key");
            for (other, theirs) in kinds(1).into_iter().enumerate().filter(|(other, _)| *other != at) {
                assert!(data_key.open(tenant, theirs, &sealed).is_err(), "{ours} as {theirs} ({other})");
            }
            for theirs in kinds(2).into_iter().filter(|theirs| *theirs != ours) {
                assert!(data_key.open(tenant, theirs, &sealed).is_err(), "{ours} as {theirs}");
            }
            for byte in 0..sealed.len() {
                let mut altered = sealed.clone();
                altered[byte] ^= 0x80;
                assert!(data_key.open(tenant, ours, &altered).is_err(), "{ours}, byte {byte}");
                assert!(data_key.open(tenant, ours, &sealed[..byte]).is_err(), "{ours}, cut at {byte}");
            }
            assert_ne!(data_key.seal(tenant, ours, &fields).unwrap(), sealed, "{ours}: no nonce twice");
        }
    }

    #[test]
    fn a_second_factor_opens_for_its_person_only() {
        let (ours, user) = (vault(7), UserId::generate());
        let sealed = ours.seal_of_person(user, &"GEZDGNBVGY3TQOJQ".into()).unwrap();
        assert_eq!(ours.open_of_person(user, ours.master_key_id(), &sealed).unwrap().expose_secret(), "GEZDGNBVGY3TQOJQ");
        assert!(ours.open_of_person(UserId::generate(), ours.master_key_id(), &sealed).is_err());
        let error = vault(8).open_of_person(user, ours.master_key_id(), &sealed).unwrap_err();
        assert!(matches!(error, VaultError::OtherMasterKey { .. }), "{error}");
        let next = vault(8).also_reading(&SecretString::from(STANDARD.encode([7; KEY_BYTES]))).unwrap();
        assert!(next.open_of_person(user, ours.master_key_id(), &sealed).is_ok());
    }

    #[test]
    fn what_is_handed_out_names_a_thing_and_is_taken_back_in_its_tenant_only() {
        let (ours, tenant, text) = (vault(7), TenantId::generate(), b"flw_1|no_entry|customer.name|Ada Byron");
        let sealed = ours.hand_out(tenant, HandedOut::CauseKey, text).unwrap();
        assert!(!sealed.windows(3).any(|three| three == b"Ada"));
        assert_eq!(ours.hand_out(tenant, HandedOut::CauseKey, text).unwrap(), sealed, "a name stays");
        assert_ne!(ours.hand_out(tenant, HandedOut::CauseKey, b"flw_1|no_entry|customer.name|Ada").unwrap()[..8], sealed[..8]);
        assert_eq!(ours.take_back(tenant, HandedOut::CauseKey, &sealed).as_deref(), Some(&text[..]));
        assert_eq!(ours.take_back(tenant, HandedOut::Cursor, &sealed), None);
        assert_eq!(ours.take_back(TenantId::generate(), HandedOut::CauseKey, &sealed), None);
        assert_eq!(vault(8).take_back(tenant, HandedOut::CauseKey, &sealed), None);
        let next = vault(8).also_reading(&SecretString::from(STANDARD.encode([7; KEY_BYTES]))).unwrap();
        assert!(next.take_back(tenant, HandedOut::CauseKey, &sealed).is_some(), "while the master key is replaced");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(ours.take_back(tenant, HandedOut::CauseKey, &altered), None, "byte {at}");
            assert_eq!(ours.take_back(tenant, HandedOut::CauseKey, &sealed[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn an_address_is_stored_as_a_hash_that_is_one_tenants_and_stays() {
        let (vault, tenant) = (vault(7), TenantId::generate());
        let (ours, wrapped) = vault.new_data_key(tenant, 1).unwrap();
        let (theirs, _) = vault.new_data_key(TenantId::generate(), 1).unwrap();
        let stored = |key: &DataKey, kind| key.hasher().store(SearchKey { kind, text: "ann@example.com".into() }).value;
        let hash = stored(&ours, KeyKind::Email);
        assert!(hash.len() == 22 && !hash.contains("ann"), "{hash}");
        assert_ne!(hash, stored(&theirs, KeyKind::Email));
        let reopened = vault.unwrap(tenant, 1, vault.master_key_id(), &wrapped).unwrap();
        assert_eq!(hash, stored(&reopened, KeyKind::Email));
        assert_eq!(stored(&ours, KeyKind::Number), "ann@example.com");
    }

    #[test]
    fn another_master_key_is_refused_by_name() {
        let (ours, other, tenant) = (vault(1), vault(2), TenantId::generate());
        let (_, wrapped) = ours.new_data_key(tenant, 1).unwrap();
        let error = other.unwrap(tenant, 1, ours.master_key_id(), &wrapped).err().unwrap();
        assert!(matches!(error, VaultError::OtherMasterKey { .. }), "{error}");
    }

    #[test]
    fn a_data_key_that_was_wrapped_anew_opens_what_it_sealed_before() {
        let (old, tenant, credential) = (vault(1), TenantId::generate(), CredentialId::generate());
        let (data_key, wrapped) = old.new_data_key(tenant, 1).unwrap();
        let fields: SecretFields = [("token".to_owned(), SecretString::from("s3cret"))].into_iter().collect();
        let sealed = data_key.seal(tenant, Sealed::Credential(credential), &fields).unwrap();

        let both = vault(2).also_reading(&SecretString::from(STANDARD.encode([1; KEY_BYTES]))).unwrap();
        assert!(both.knows(old.master_key_id()) && both.knows(vault(2).master_key_id()) && !both.knows("00000000"));
        assert!(both.unwrap(tenant, 1, old.master_key_id(), &wrapped).is_ok(), "the old one is read until all is done");
        let rewrapped = both.rewrap(tenant, 1, old.master_key_id(), &wrapped).unwrap();
        let reopened = vault(2).unwrap(tenant, 1, both.master_key_id(), &rewrapped).unwrap();
        let opened = reopened.open(tenant, Sealed::Credential(credential), &sealed).unwrap();
        assert_eq!(opened.get("token").unwrap().expose_secret(), "s3cret");
        // A wrapped key belongs to its tenant and version.
        assert!(both.rewrap(TenantId::generate(), 1, old.master_key_id(), &wrapped).is_err());
        assert!(both.rewrap(tenant, 2, old.master_key_id(), &wrapped).is_err());
        assert!(vault(3).rewrap(tenant, 1, old.master_key_id(), &wrapped).is_err());
    }
}
