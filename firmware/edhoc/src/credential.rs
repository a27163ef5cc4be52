//! Who somebody is: a public key in a CWT Claims Set (RFC 8392, RFC 9528 §3.5.2), identified by its `kid` (§3.5.3).
use crate::cbor::{Reader, major};
use wasmote_oscore::Id;
use zeroize::Zeroizing;

/// The longest Claims Set, in bytes.
pub const CREDENTIAL: usize = 192;

/// Labels of claims (RFC 8392 §4, RFC 8747 §3.1).
mod claim {
    pub(super) const ISSUER: i64 = 1;
    pub(super) const AUDIENCE: i64 = 3;
    pub(super) const CONFIRMATION: i64 = 8;
    /// Within a confirmation.
    pub(super) const KEY: i64 = 1;
}

/// Labels and values of a COSE_Key (RFC 9052 §7.1, RFC 9053 §7.1.1).
mod key {
    pub(super) const TYPE: i64 = 1;
    pub(super) const ID: i64 = 2;
    pub(super) const CURVE: i64 = -1;
    pub(super) const X: i64 = -2;
    pub(super) const Y: i64 = -3;
    pub(super) const EC2: i64 = 2;
    pub(super) const P256: i64 = 1;
}

/// A Claims Set as it is provisioned, byte for byte, and what EDHOC needs of it. Whether its key is on the curve is asked when it
/// is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential<'c> {
    pub(crate) ccs: &'c [u8],
    pub(crate) kid: Id,
    pub(crate) x: [u8; 32],
}

impl<'c> Credential<'c> {
    /// Reads a Claims Set of at most [`CREDENTIAL`] bytes: a confirmation with a key for P-256 that has a `kid` of at most 7
    /// bytes, and perhaps issuer, subject and audience. `None` for everything else.
    pub fn parse(ccs: &'c [u8]) -> Option<Self> {
        if ccs.len() > CREDENTIAL {
            return None;
        }
        let mut r = Reader::new(ccs);
        let mut found = None;
        let mut last = i64::MIN;
        for _ in 0..r.of(major::MAP)? {
            let label = r.integer()?;
            // Labels are positive, where the encoded order is that of the numbers.
            if label <= last {
                return None;
            }
            last = label;
            match label {
                claim::ISSUER..=claim::AUDIENCE => {
                    r.text()?;
                }
                claim::CONFIRMATION => found = Some(Self::key(ccs, &mut r)?),
                _ => return None,
            }
        }
        found.filter(|_| r.rest.is_empty())
    }

    /// A confirmation: a map of one COSE_Key, whose labels have to be in the order of their encodings (RFC 8949 §4.2.1).
    fn key(ccs: &'c [u8], r: &mut Reader<'_>) -> Option<Self> {
        if r.of(major::MAP)? != 1 || r.integer()? != claim::KEY {
            return None;
        }
        let (mut kid, mut x) = (None, None);
        let (mut kind, mut curve) = (0, 0);
        let mut last = -1;
        for _ in 0..r.of(major::MAP)? {
            let label = r.integer()?;
            // 1, 2, -1, -2, -3 are encoded as 01, 02, 20, 21, 22.
            let place = if label < 0 { 0x1f - label } else { label };
            if place <= last {
                return None;
            }
            last = place;
            match label {
                key::TYPE => kind = r.integer()?,
                key::ID => kid = Some(Id::new(r.bytes()?)?),
                key::CURVE => curve = r.integer()?,
                key::X => x = Some(<[u8; 32]>::try_from(r.bytes()?).ok()?),
                // Not needed: x is all that goes into an agreement.
                key::Y if r.bytes()?.len() == 32 => {}
                _ => return None,
            }
        }
        let (kid, x) = kid.zip(x)?;
        (kind == key::EC2 && curve == key::P256).then_some(Self { ccs, kid, x })
    }

    /// What identifies it.
    pub fn kid(&self) -> &Id {
        &self.kid
    }

    /// The x-coordinate of its key.
    pub fn x(&self) -> &[u8; 32] {
        &self.x
    }
}

/// Our own credential with its secret key, which is wiped when this goes.
pub struct Identity<'c> {
    pub(crate) credential: Credential<'c>,
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

impl<'c> Identity<'c> {
    /// Whether the secret belongs to the key of the credential is not asked: with another one no handshake succeeds.
    pub fn new(credential: Credential<'c>, secret: &[u8; 32]) -> Self {
        Self {
            credential,
            secret: Zeroizing::new(*secret),
        }
    }
}
