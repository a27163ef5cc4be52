//! What another reader of CBOR makes of the parts of EDHOC's messages: what it reads and writes again has to be the same, as there is one
//! encoding only.
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use wasmote_edhoc::{CREDENTIAL, Credential, Refusal};
use wasmote_oscore::Id;

/// A byte string.
pub fn bytes(content: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    e.bytes(content).unwrap();
    e.into_writer()
}

/// An identifier (RFC 9528 §3.3.2).
pub fn identifier(id: &[u8]) -> Vec<u8> {
    match id {
        [0x00..=0x17 | 0x20..=0x37] => id.to_vec(),
        _ => bytes(id),
    }
}

/// An integer of at most 32 bits and a sign.
fn integer(d: &mut Decoder<'_>) -> Option<i64> {
    let value = d.i64().ok()?;
    (-(1 << 32)..1 << 32).contains(&value).then_some(value)
}

fn read_identifier(d: &mut Decoder<'_>) -> Option<Vec<u8>> {
    if matches!(d.datatype().ok()?, Type::Bytes) {
        return d.bytes().ok().map(<[u8]>::to_vec);
    }
    let value = integer(d)?;
    match value {
        0..=23 => Some(vec![value as u8]),
        -24..=-1 => Some(vec![(0x1f - value) as u8]),
        _ => None,
    }
}

/// The items of external authorization data, written again, and whether none of them is critical.
fn read_ead(d: &mut Decoder<'_>, end: usize) -> Option<(Vec<u8>, bool)> {
    let mut e = Encoder::new(Vec::new());
    let mut harmless = true;
    while d.position() < end {
        let label = integer(d)?;
        harmless &= label >= 0;
        e.i64(label).unwrap();
        if d.position() < end && matches!(d.datatype().ok()?, Type::Bytes) {
            e.bytes(d.bytes().ok()?).unwrap();
        }
    }
    Some((e.into_writer(), harmless))
}

/// Whether external authorization data has nothing critical in it; `None` when it is none.
pub fn ead(input: &[u8]) -> Option<bool> {
    let (again, harmless) = read_ead(&mut Decoder::new(input), input.len())?;
    (again == input).then_some(harmless)
}

/// message_1 as it is read here.
pub struct Shape {
    pub g_x: [u8; 32],
    method: i64,
    suites: Vec<i64>,
    long: bool,
    harmless: bool,
}

impl Shape {
    /// `None` when it is not of this shape, or not in its only encoding.
    pub fn read(input: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(input);
        let mut e = Encoder::new(Vec::new());
        let method = integer(&mut d)?;
        e.i64(method).unwrap();
        let suites = if matches!(d.datatype().ok()?, Type::Array) {
            let count = d.array().ok()??;
            if count < 2 || count > input.len() as u64 {
                return None;
            }
            e.array(count).unwrap();
            (0..count)
                .map(|_| integer(&mut d))
                .collect::<Option<Vec<_>>>()?
        } else {
            vec![integer(&mut d)?]
        };
        for suite in &suites {
            e.i64(*suite).unwrap();
        }
        if !matches!(d.datatype().ok()?, Type::Bytes) {
            return None;
        }
        let key = d.bytes().ok()?;
        e.bytes(key).unwrap();
        let c_i = read_identifier(&mut d)?;
        let mut again = e.into_writer();
        again.extend(identifier(&c_i));
        let (ead, harmless) = read_ead(&mut d, input.len())?;
        again.extend(ead);
        if again != input || c_i.len() > 7 {
            return None;
        }
        let g_x = <[u8; 32]>::try_from(key);
        Some(Self {
            long: g_x.is_err(),
            g_x: g_x.unwrap_or_default(),
            method,
            suites,
            harmless,
        })
    }

    /// What has to become of it (RFC 9528 §5.2.3).
    pub fn judge(&self) -> Result<(), Refusal> {
        let ours = self.suites.iter().position(|suite| *suite == 2);
        match () {
            () if self.method != 3 => Err(Refusal::Method),
            () if ours != Some(self.suites.len() - 1) => Err(Refusal::Suite),
            () if self.long => Err(Refusal::Malformed),
            () if !self.harmless => Err(Refusal::Critical),
            () => Ok(()),
        }
    }
}

/// Whom a message is for.
pub fn judge_addressed(input: &[u8], said: Option<(Option<Id>, &[u8])>) {
    let mut d = Decoder::new(input);
    let expected = match input.first() {
        Some(0xf5) => Some((None, &input[1..])),
        _ => read_identifier(&mut d)
            .filter(|id| input.starts_with(&identifier(id)))
            .and_then(|id| Id::new(&id))
            .map(|id| (Some(id), &input[d.position()..])),
    };
    assert_eq!(said, expected);
}

/// A Claims Set that is accepted is one for the other reader, too, and in the only encoding.
pub fn judge_credential(input: &[u8], said: Option<Credential<'_>>) {
    let Some(credential) = said else {
        return;
    };
    assert!(input.len() <= CREDENTIAL);
    let mut d = Decoder::new(input);
    let mut e = Encoder::new(Vec::new());
    let (mut kid, mut x) = (Vec::new(), Vec::new());
    let claims = d.map().unwrap().unwrap();
    e.map(claims).unwrap();
    for _ in 0..claims {
        let label = d.i64().unwrap();
        e.i64(label).unwrap();
        if label != 8 {
            e.str(d.str().unwrap()).unwrap();
            continue;
        }
        assert_eq!((d.map().unwrap(), d.i64().unwrap()), (Some(1), 1));
        e.map(1).unwrap().i64(1).unwrap();
        let labels = d.map().unwrap().unwrap();
        e.map(labels).unwrap();
        for _ in 0..labels {
            let label = d.i64().unwrap();
            e.i64(label).unwrap();
            if label == 1 || label == -1 {
                e.i64(d.i64().unwrap()).unwrap();
                continue;
            }
            let value = d.bytes().unwrap();
            e.bytes(value).unwrap();
            match label {
                2 => kid = value.to_vec(),
                -2 => x = value.to_vec(),
                _ => assert_eq!(label, -3),
            }
        }
    }
    assert_eq!(e.into_writer(), input);
    assert_eq!(credential.kid().bytes(), kid);
    assert_eq!(credential.x()[..], x);
}
