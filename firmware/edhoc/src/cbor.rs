//! CBOR (RFC 8949) as far as EDHOC needs it: integers, strings, and the heads of arrays and maps. Only the shortest encoding is
//! one (RFC 9528 §3.1, RFC 8949 §4.2.1), and no length is indefinite.
use wasmote_oscore::Id;

/// Major types (RFC 8949 §3.1).
pub(crate) mod major {
    pub(crate) const UNSIGNED: u8 = 0;
    pub(crate) const NEGATIVE: u8 = 1;
    pub(crate) const BYTES: u8 = 2;
    pub(crate) const TEXT: u8 = 3;
    pub(crate) const ARRAY: u8 = 4;
    pub(crate) const MAP: u8 = 5;
}

/// A sequence of data items that is read from its start.
#[derive(Clone)]
pub(crate) struct Reader<'b> {
    pub(crate) rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(crate) fn new(rest: &'b [u8]) -> Self {
        Self { rest }
    }

    /// The next bytes, so many of them.
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Major type and argument of the next item; `None` at the end, and for an encoding that is not the shortest or is
    /// longer than 32 bits.
    pub(crate) fn head(&mut self) -> Option<(u8, u32)> {
        let first = *self.take(1)?.first()?;
        let (least, argument) = match first & 0x1f {
            short @ 0..24 => (0, u32::from(short)),
            24 => (24, u32::from(*self.take(1)?.first()?)),
            25 => (
                0x100,
                u32::from(u16::from_be_bytes(*self.take(2)?.first_chunk()?)),
            ),
            26 => (0x1_0000, u32::from_be_bytes(*self.take(4)?.first_chunk()?)),
            _ => return None,
        };
        (argument >= least).then_some((first >> 5, argument))
    }

    /// The argument of the next item, if it is of this major type.
    pub(crate) fn of(&mut self, kind: u8) -> Option<u32> {
        self.head()
            .filter(|(major, _)| *major == kind)
            .map(|(_, argument)| argument)
    }

    /// An integer of either sign.
    pub(crate) fn integer(&mut self) -> Option<i64> {
        match self.head()? {
            (major::UNSIGNED, value) => Some(value.into()),
            (major::NEGATIVE, value) => Some(-1 - i64::from(value)),
            _ => None,
        }
    }

    /// A byte string.
    pub(crate) fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.of(major::BYTES)?;
        self.take(usize::try_from(length).ok()?)
    }

    /// A text string.
    pub(crate) fn text(&mut self) -> Option<&'b str> {
        let length = self.of(major::TEXT)?;
        core::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()
    }

    /// A byte string that identifies something: one that is the encoding of an integer of one byte is that integer, and has
    /// no other form (RFC 9528 §3.3.2). `None` when it is longer than an [`Id`] may be.
    pub(crate) fn identifier(&mut self) -> Option<Id> {
        let whole = self.rest;
        match self.head()? {
            (major::UNSIGNED | major::NEGATIVE, 0..24) => Id::new(whole.get(..1)?),
            (major::BYTES, length) => {
                let bytes = self.take(usize::try_from(length).ok()?)?;
                Id::new(bytes).filter(|id| !is_integer(id))
            }
            _ => None,
        }
    }

    /// External authorization data up to the end (RFC 9528 §3.8): pairs of a label and perhaps a byte string. Whether there
    /// was nothing critical among it; `None` when it is malformed.
    pub(crate) fn ead(&mut self) -> Option<bool> {
        let mut harmless = true;
        while !self.rest.is_empty() {
            harmless &= self.integer()? >= 0;
            if self
                .rest
                .first()
                .is_some_and(|byte| byte >> 5 == major::BYTES)
            {
                self.bytes()?;
            }
        }
        Some(harmless)
    }
}

/// Whether this is the encoding of an integer of one byte (RFC 9528 §3.3.2).
fn is_integer(id: &Id) -> bool {
    matches!(id.bytes(), [0x00..=0x17 | 0x20..=0x37])
}

/// The head of a byte string with this identifier, which is empty where the identifier is represented as an integer: what comes before
/// its bytes on the wire.
pub(crate) fn identifier_head(id: &Id) -> Head {
    if is_integer(id) {
        Head::default()
    } else {
        Head::new(major::BYTES, id.bytes().len())
    }
}

/// The head of a data item, at most three bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Head {
    bytes: [u8; 3],
    length: usize,
}

impl Head {
    /// The head of an item whose argument is below 2^16.
    pub(crate) fn new(major: u8, argument: usize) -> Self {
        let [.., high, low] = argument.to_be_bytes();
        let kind = major << 5;
        match argument {
            0..24 => Self {
                bytes: [kind | low, 0, 0],
                length: 1,
            },
            24..0x100 => Self {
                bytes: [kind | 24, low, 0],
                length: 2,
            },
            _ => Self {
                bytes: [kind | 25, high, low],
                length: 3,
            },
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}
