//! Packages: a COSE_Sign1 (RFC 9052 §4.2) with Ed25519 over the manifest, then the module. See PACKAGE.md.
use crate::contract::text::{LABEL, NODE};
use crate::contract::{limits, manifest, provision};
use crate::registration::Directory;
pub use crate::slot::key_id;
use crate::slot::{Rotation, checksum};
use ed25519_dalek::{Signature, VerifyingKey};
use minicbor::{Decoder, data::Tag, decode::Error};
use wasmote_edhoc::Credential;
use wasmote_oscore::CONTEXTS;

/// The longest envelope that is taken, in bytes: the manifest with all texts at their longest, and the signature.
pub const ENVELOPE: usize = limits::ENVELOPE as usize;
/// COSE_Sign1 (RFC 9052 §2).
const SIGN1: u64 = 18;
/// EdDSA (RFC 9053 §2.2).
const EDDSA: i64 = -8;

/// What the module needs of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// RAM in bytes.
    pub ram: u32,
    /// Branch table in bytes.
    pub table: u32,
    /// Fuel for a run.
    pub fuel: u32,
    /// Sensors.
    pub sensors: u32,
    /// Outputs.
    pub outputs: u32,
}

/// The signed statement about a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// Version of the contract.
    pub contract: u32,
    /// Who made it.
    pub vendor: &'a str,
    /// The class of boards it is for.
    pub class: &'a str,
    /// Rises by one to let the sequence begin anew; 0 where it never did.
    pub era: u32,
    /// Rises with every package of an era.
    pub sequence: u32,
    /// SHA-256 of the module.
    pub digest: [u8; 32],
    /// Bytes of the module.
    pub size: u32,
    /// Name for people.
    pub name: &'a str,
    /// Version for people.
    pub version: &'a str,
    /// What the module needs.
    pub needs: Needs,
    /// A key that the node trusts from the confirmation of this package on.
    pub add_key: Option<[u8; 32]>,
    /// The identifier of a key it trusts no longer.
    pub drop_key: Option<[u8; 8]>,
}

/// A package's first part.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Its bytes, at the start of the package.
    pub length: usize,
    /// Identifier of the key that signed it.
    pub key: [u8; 8],
    /// What is signed.
    pub manifest: Manifest<'a>,
    protected: &'a [u8],
    payload: &'a [u8],
    signature: [u8; 64],
}

impl<'a> Envelope<'a> {
    /// Reads the envelope at the start of these bytes. `Ok(None)`: more bytes are needed. `Err`: it is malformed.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Error> {
        match Self::decode(bytes) {
            Ok(envelope) => Ok(Some(envelope)),
            Err(e) if e.is_end_of_input() && bytes.len() < ENVELOPE => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut d = Decoder::new(bytes);
        let exact = |good: bool, what| {
            if good {
                Ok(())
            } else {
                Err(Error::message(what))
            }
        };
        exact(d.tag()? == Tag::new(SIGN1), "not a COSE_Sign1")?;
        exact(d.array()? == Some(4), "not a COSE_Sign1")?;
        let protected = d.bytes()?;
        exact(d.map()? == Some(0), "unprotected header")?;
        let payload = d.bytes()?;
        let signature = fixed(d.bytes()?)?;
        let length = d.position();
        let mut header = Decoder::new(protected);
        exact(header.map().ok().flatten() == Some(2), "protected header")?;
        // The content of these two strings is whole: running out of bytes in them is an error of its own kind.
        let whole = |e: Error| {
            if e.is_end_of_input() {
                Error::message("cut short")
            } else {
                e
            }
        };
        exact(
            header.u8().map_err(whole)? == 1 && header.i64().map_err(whole)? == EDDSA,
            "algorithm",
        )?;
        exact(header.u8().map_err(whole)? == 4, "key identifier")?;
        let key = fixed(header.bytes().map_err(whole)?)?;
        exact(header.position() == protected.len(), "protected header")?;
        let manifest = Manifest::decode(payload).map_err(whole)?;
        Ok(Self {
            length,
            key,
            manifest,
            protected,
            payload,
            signature,
        })
    }

    /// Whether this public key made the signature.
    pub fn verify(&self, key: &[u8; 32]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(key) else {
            return false;
        };
        let mut message = heapless::Vec::<u8, { ENVELOPE + 32 }>::new();
        // Sig_structure (RFC 9052 §4.4): ["Signature1", protected, external_aad, payload].
        let mut fits = message.extend_from_slice(b"\x84\x6aSignature1").is_ok();
        for bytes in [self.protected, &[], self.payload] {
            let mut head = [0u8; 3];
            let length = bytes.len();
            let head = match length {
                0..24 => head.get_mut(..1),
                24..256 => head.get_mut(..2),
                _ => head.get_mut(..),
            };
            let Some(head) = head else { return false };
            match head {
                [one] => *one = 0x40 | length as u8,
                [one, two] => (*one, *two) = (0x58, length as u8),
                [one, two, three] => {
                    (*one, *two, *three) = (0x59, (length >> 8) as u8, length as u8)
                }
                _ => {}
            }
            fits &= message.extend_from_slice(head).is_ok();
            fits &= message.extend_from_slice(bytes).is_ok();
        }
        // Strictly: keys and points of small order are refused, so that a signature fits one message and one key.
        fits && key
            .verify_strict(&message, &Signature::from_bytes(&self.signature))
            .is_ok()
    }
}

impl<'a> Manifest<'a> {
    /// The keys it changes.
    pub fn rotation(&self) -> Rotation {
        Rotation {
            add: self.add_key,
            drop: self.drop_key,
        }
    }

    fn decode(payload: &'a [u8]) -> Result<Self, Error> {
        let mut d = Decoder::new(payload);
        let mut m = Self::default();
        let entries = d.map()?.ok_or(Error::message("no length"))?;
        let mut last = 0;
        for _ in 0..entries {
            let key = d.u8()?;
            // RFC 8949 §4.2.1: keys in order, so none comes twice.
            if key <= last {
                return Err(Error::message("keys out of order"));
            }
            last = key;
            match key {
                manifest::CONTRACT => m.contract = d.u32()?,
                manifest::VENDOR => m.vendor = text(&mut d)?,
                manifest::CLASS => m.class = text(&mut d)?,
                manifest::SEQUENCE => m.sequence = d.u32()?,
                manifest::DIGEST => m.digest = fixed(d.bytes()?)?,
                manifest::SIZE => m.size = d.u32()?,
                manifest::NAME => m.name = text(&mut d)?,
                manifest::VERSION => m.version = text(&mut d)?,
                manifest::NEEDS => {
                    if d.array()? != Some(5) {
                        return Err(Error::message("needs"));
                    }
                    let n = &mut m.needs;
                    for place in [
                        &mut n.ram,
                        &mut n.table,
                        &mut n.fuel,
                        &mut n.sensors,
                        &mut n.outputs,
                    ] {
                        *place = d.u32()?;
                    }
                }
                manifest::ADD_KEY => m.add_key = Some(fixed(d.bytes()?)?),
                manifest::ERA => m.era = d.u32()?,
                manifest::DROP_KEY => m.drop_key = Some(fixed(d.bytes()?)?),
                _ => return Err(Error::message("unknown key")),
            }
        }
        let whole =
            m.sequence > 0 && m.size > 0 && m.digest != [0; 32] && d.position() == payload.len();
        if whole {
            Ok(m)
        } else {
            Err(Error::message("incomplete manifest"))
        }
    }
}

fn text<'a>(d: &mut Decoder<'a>) -> Result<&'a str, Error> {
    let text = d.str()?;
    if LABEL.takes(text) {
        Ok(text)
    } else {
        Err(Error::message("no text of this kind"))
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::message("wrong length"))
}

/// Where a node registers; what can be no place is none.
fn directory(d: &mut Decoder<'_>) -> Result<Option<Directory>, Error> {
    if d.array()? != Some(3) {
        return Err(Error::message("directory"));
    }
    let (address, port, lifetime) = (fixed(d.bytes()?)?, d.u16()?, d.u32()?);
    Ok((port != 0 && lifetime != 0).then_some(Directory {
        address,
        port,
        lifetime,
    }))
}

/// Most of those that a node exchanges keys with.
pub const INITIATORS: usize = limits::INITIATORS as usize;

/// The node's own key for EDHOC, as it lies in flash. There is no `Debug`: keys belong in no log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Own {
    pub(crate) secret: &'static [u8; 32],
    pub(crate) ccs: &'static [u8],
}

impl Own {
    /// `None` where the Claims Set is none.
    pub fn new(secret: &'static [u8; 32], ccs: &'static [u8]) -> Option<Self> {
        Credential::parse(ccs).map(|_| Self { secret, ccs })
    }
}

impl core::fmt::Debug for Own {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Own")
    }
}

/// Somebody with whom a node exchanges keys (RFC 9528).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initiator {
    /// His credential.
    pub ccs: &'static [u8],
    /// What he may do; 0 for what is no credential: nobody is known by that.
    pub rights: u8,
    /// The place of the context that he was provisioned with.
    pub place: Option<u8>,
}

/// The node's own key; `None` where its credential is none.
fn own(d: &mut Decoder<'static>) -> Result<Option<Own>, Error> {
    if d.array()? != Some(2) {
        return Err(Error::message("identity"));
    }
    let secret = <&[u8; 32]>::try_from(d.bytes()?).map_err(|_| Error::message("wrong length"))?;
    Ok(Own::new(secret, d.bytes()?))
}

fn initiator(d: &mut Decoder<'static>) -> Result<Initiator, Error> {
    if d.array()? != Some(3) {
        return Err(Error::message("initiator"));
    }
    let (ccs, rights, place) = (d.bytes()?, d.u8()?, d.u8()?);
    Ok(Initiator {
        ccs,
        rights: Credential::parse(ccs).map_or(0, |_| rights & 0x0f),
        place: Some(place).filter(|place| usize::from(*place) < CONTEXTS),
    })
}

/// What a node is given at flash time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provision {
    /// Its name.
    pub name: &'static str,
    /// Whose packages it takes; anybody's that has a key when empty.
    pub vendor: &'static str,
    /// The public keys it trusts.
    pub keys: heapless::Vec<[u8; 32], { limits::PROVISIONED_KEYS as usize }>,
    /// Takes packages without a known key.
    pub development: bool,
    /// How high above the bed a ranger hangs that looks down on the water, in millimetres: what is between it and the water is
    /// not the level. `None`: its distance is taken for the level as it is.
    pub height: Option<u32>,
    /// Where it registers by itself. `None`: nowhere.
    pub directory: Option<Directory>,
    /// The security contexts it begins with: see [`crate::keyring`].
    pub contexts: &'static [u8],
    /// Its own key for key exchanges. `None`: it takes part in none.
    pub identity: Option<Own>,
    /// Those whom it exchanges keys with.
    pub initiators: heapless::Vec<Initiator, INITIATORS>,
    /// Answers everybody, whatever contexts there are.
    pub open: bool,
    /// Answers nobody who has no context.
    pub hidden: bool,
    /// Tells this record from any other: its checksum; 0 where there is none.
    pub generation: u32,
    /// There was a record, and no copy of it is whole: who may do what is not known any more.
    pub damaged: bool,
}

/// What a record begins with.
const MAGIC: [u8; 4] = *b"WMPR";
/// So many of its bits may have flipped where a record is still seen to have been.
const FLIPPED: u32 = 4;

impl Provision {
    /// Reads the part of flash where the record lies, three times (an older tool wrote it once), each from a whole word on: the first
    /// that is whole counts, so that two bits, wherever they flip, change nothing. Flash without one gives the default.
    pub fn find(place: &'static [u8]) -> Self {
        let words = || (0..place.len()).step_by(4).filter_map(|at| place.get(at..));
        let was = |word: &[u8; 4]| {
            let differs = u32::from_le_bytes(*word) ^ u32::from_le_bytes(MAGIC);
            differs.count_ones() <= FLIPPED
        };
        words().find_map(Self::read).unwrap_or_else(|| Self {
            damaged: words().filter_map(<[u8]>::first_chunk).any(was),
            ..Self::default()
        })
    }

    /// Reads the record: `WMPR`, length, CBOR map, CRC-32. `None` if it is absent or damaged.
    pub fn read(bytes: &'static [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let map = rest.get(..length)?;
        let crc = rest.get(length..length.checked_add(4)?)?;
        let generation = checksum(&[map]);
        if generation.to_le_bytes() != *crc {
            return None;
        }
        let provision = Self::decode(map).ok()?;
        Some(Self {
            generation,
            ..provision
        })
    }

    fn decode(map: &'static [u8]) -> Result<Self, Error> {
        let mut d = Decoder::new(map);
        let mut p = Self::default();
        for _ in 0..d.map()?.ok_or(Error::message("no length"))? {
            match d.u8()? {
                // A name of another kind is none: the keys beside it are worth more than it.
                provision::NAME => p.name = Some(d.str()?).filter(|n| NODE.takes(n)).unwrap_or(""),
                provision::VENDOR => p.vendor = text(&mut d)?,
                provision::KEYS => {
                    for _ in 0..d.array()?.ok_or(Error::message("no length"))? {
                        let key = fixed(d.bytes()?)?;
                        p.keys
                            .push(key)
                            .map_err(|_| Error::message("too many keys"))?;
                    }
                }
                provision::DEVELOPMENT => p.development = d.bool()?,
                provision::DIRECTORY => p.directory = directory(&mut d)?,
                provision::HEIGHT => p.height = Some(d.u32()?).filter(|h| *h > 0),
                provision::CONTEXTS => p.contexts = d.bytes()?,
                provision::IDENTITY => p.identity = own(&mut d)?,
                provision::INITIATORS => {
                    for _ in 0..d.array()?.ok_or(Error::message("no length"))? {
                        p.initiators
                            .push(initiator(&mut d)?)
                            .map_err(|_| Error::message("too many initiators"))?;
                    }
                }
                provision::OPEN => p.open = d.bool()?,
                provision::HIDDEN => p.hidden = d.bool()?,
                _ => d.skip()?,
            }
        }
        Ok(p)
    }
}
