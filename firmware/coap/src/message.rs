//! The message format of RFC 7252 §3: a view of a datagram, and a writer of one.
use core::fmt;

/// A method or response code (RFC 7252 §12.1): class in the upper three bits, detail in the lower five.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u8);

macro_rules! codes {
    ($($name:ident $class:literal $detail:literal $text:literal;)*) => {
        impl Code {
            $(#[doc = $text] pub const $name: Self = Self($class << 5 | $detail);)*
        }
    };
}

codes! {
    EMPTY 0 0 "Empty message.";
    GET 0 1 "GET.";
    POST 0 2 "POST.";
    PUT 0 3 "PUT.";
    DELETE 0 4 "DELETE.";
    FETCH 0 5 "FETCH (RFC 8132).";
    PATCH 0 6 "PATCH (RFC 8132).";
    IPATCH 0 7 "iPATCH (RFC 8132).";
    CREATED 2 1 "2.01 Created.";
    DELETED 2 2 "2.02 Deleted.";
    VALID 2 3 "2.03 Valid.";
    CHANGED 2 4 "2.04 Changed.";
    CONTENT 2 5 "2.05 Content.";
    CONTINUE 2 31 "2.31 Continue (RFC 7959).";
    BAD_REQUEST 4 0 "4.00 Bad Request.";
    UNAUTHORIZED 4 1 "4.01 Unauthorized.";
    BAD_OPTION 4 2 "4.02 Bad Option.";
    FORBIDDEN 4 3 "4.03 Forbidden.";
    NOT_FOUND 4 4 "4.04 Not Found.";
    METHOD_NOT_ALLOWED 4 5 "4.05 Method Not Allowed.";
    NOT_ACCEPTABLE 4 6 "4.06 Not Acceptable.";
    REQUEST_ENTITY_INCOMPLETE 4 8 "4.08 Request Entity Incomplete (RFC 7959).";
    CONFLICT 4 9 "4.09 Conflict (RFC 8132).";
    PRECONDITION_FAILED 4 12 "4.12 Precondition Failed.";
    REQUEST_ENTITY_TOO_LARGE 4 13 "4.13 Request Entity Too Large.";
    UNSUPPORTED_CONTENT_FORMAT 4 15 "4.15 Unsupported Content-Format.";
    UNPROCESSABLE_ENTITY 4 22 "4.22 Unprocessable Entity (RFC 8132).";
    INTERNAL_SERVER_ERROR 5 0 "5.00 Internal Server Error.";
    NOT_IMPLEMENTED 5 1 "5.01 Not Implemented.";
    SERVICE_UNAVAILABLE 5 3 "5.03 Service Unavailable.";
    PROXYING_NOT_SUPPORTED 5 5 "5.05 Proxying Not Supported.";
}

impl Code {
    /// The class, 0 to 7.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// Whether a request with this method changes nothing (RFC 7252 §5.1, RFC 8132 §2).
    pub fn is_safe(self) -> bool {
        matches!(self, Self::GET | Self::FETCH)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.0 & 31)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Content-Formats (RFC 7252 §12.3 and its registry).
pub mod format {
    /// `text/plain; charset=utf-8`.
    pub const TEXT: u16 = 0;
    /// `application/link-format`.
    pub const LINK: u16 = 40;
    /// `application/xml`.
    pub const XML: u16 = 41;
    /// `application/octet-stream`.
    pub const OCTETS: u16 = 42;
    /// `application/json`.
    pub const JSON: u16 = 50;
    /// `application/cbor`.
    pub const CBOR: u16 = 60;
    /// `application/senml+json` (RFC 8428).
    pub const SENML_JSON: u16 = 110;
    /// `application/senml+cbor` (RFC 8428).
    pub const SENML_CBOR: u16 = 112;
}

/// Option numbers.
pub mod option {
    /// RFC 7252 §5.10.8.1.
    pub const IF_MATCH: u16 = 1;
    /// RFC 7252 §5.10.1.
    pub const URI_HOST: u16 = 3;
    /// RFC 7252 §5.10.6.
    pub const ETAG: u16 = 4;
    /// RFC 7252 §5.10.8.2.
    pub const IF_NONE_MATCH: u16 = 5;
    /// RFC 7641 §2.
    pub const OBSERVE: u16 = 6;
    /// RFC 7252 §5.10.1.
    pub const URI_PORT: u16 = 7;
    /// RFC 7252 §5.10.7.
    pub const LOCATION_PATH: u16 = 8;
    /// RFC 8613 §2.
    pub const OSCORE: u16 = 9;
    /// RFC 7252 §5.10.1.
    pub const URI_PATH: u16 = 11;
    /// RFC 7252 §5.10.3.
    pub const CONTENT_FORMAT: u16 = 12;
    /// RFC 7252 §5.10.5.
    pub const MAX_AGE: u16 = 14;
    /// RFC 7252 §5.10.1.
    pub const URI_QUERY: u16 = 15;
    /// RFC 8768 §3.
    pub const HOP_LIMIT: u16 = 16;
    /// RFC 7252 §5.10.4.
    pub const ACCEPT: u16 = 17;
    /// RFC 7252 §5.10.7.
    pub const LOCATION_QUERY: u16 = 20;
    /// RFC 7959 §2.1.
    pub const BLOCK2: u16 = 23;
    /// RFC 7959 §2.1.
    pub const BLOCK1: u16 = 27;
    /// RFC 7959 §4.
    pub const SIZE2: u16 = 28;
    /// RFC 7252 §5.10.2.
    pub const PROXY_URI: u16 = 35;
    /// RFC 7252 §5.10.2.
    pub const PROXY_SCHEME: u16 = 39;
    /// RFC 7252 §5.10.9.
    pub const SIZE1: u16 = 60;
    /// RFC 9175 §2.2.
    pub const ECHO: u16 = 252;
    /// RFC 7967 §2.
    pub const NO_RESPONSE: u16 = 258;
    /// RFC 9175 §3.2.
    pub const REQUEST_TAG: u16 = 292;
}

/// The type of a message (RFC 7252 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Confirmable.
    Con,
    /// Non-confirmable.
    Non,
    /// Acknowledgement.
    Ack,
    /// Reset.
    Rst,
}

/// Why a datagram is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Too short for a header, or another version: to be ignored in silence (RFC 7252 §3).
    Ignore,
    /// A format error in a message with this type and ID; a confirmable one is rejected (RFC 7252 §4.2).
    Reject(Kind, u16),
}

/// A view of a message whose options have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its type.
    pub kind: Kind,
    /// Its code.
    pub code: Code,
    /// Its message ID.
    pub id: u16,
    /// Its token, 0 to 8 bytes.
    pub token: &'a [u8],
    /// Its options as they lie in the datagram.
    pub options: Options<'a>,
    /// What follows the payload marker.
    pub payload: &'a [u8],
}

/// The options of a message, in ascending order of their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pub(crate) bytes: &'a [u8],
    number: u16,
    /// Which there may be, as bits by their number modulo 32: most that are looked for are not, and that is seen without a walk.
    there: u32,
}

/// One of the lengths or deltas of RFC 7252 §3.1; `None` where the format is broken.
fn extended(nibble: u8, bytes: &mut &[u8]) -> Option<u16> {
    match nibble {
        13 => {
            let (first, rest) = bytes.split_first()?;
            *bytes = rest;
            Some(u16::from(*first) + 13)
        }
        14 => {
            let (two, rest) = bytes.split_first_chunk::<2>()?;
            *bytes = rest;
            u16::from_be_bytes(*two).checked_add(269)
        }
        15 => None,
        small => Some(u16::from(small)),
    }
}

impl<'a> Options<'a> {
    /// Options as they were cut out of a message.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            number: 0,
            there: u32::MAX,
        }
    }

    /// The same without those that are not there, so that a walk for one option ends at once where there is none of it.
    #[inline]
    pub(crate) fn of(self, number: u16) -> Self {
        if self.there >> (number & 31) & 1 == 1 {
            self
        } else {
            Self { bytes: &[], ..self }
        }
    }

    /// The next option, `Ok(None)` at the end or the payload marker.
    // Every request is walked several times: what is short, and most options are, is taken apart here and not in `long`.
    #[inline]
    fn step(&mut self) -> Result<Option<(u16, &'a [u8])>, ()> {
        let Some((first, mut rest)) = self.bytes.split_first() else {
            return Ok(None);
        };
        let (mut delta, mut length) = (u16::from(first >> 4), u16::from(first & 15));
        if delta > 12 || length > 12 {
            if *first == 0xff {
                return Ok(None);
            }
            (delta, length) = Self::long(*first, &mut rest).ok_or(())?;
        }
        self.number = self.number.checked_add(delta).ok_or(())?;
        let (value, rest) = rest.split_at_checked(usize::from(length)).ok_or(())?;
        self.bytes = rest;
        Ok(Some((self.number, value)))
    }

    /// Delta and length of an option of which one does not fit its four bits.
    #[inline(never)]
    fn long(first: u8, rest: &mut &'a [u8]) -> Option<(u16, u16)> {
        let delta = extended(first >> 4, rest)?;
        Some((delta, extended(first & 15, rest)?))
    }

    /// The first value of an option.
    pub fn get(self, number: u16) -> Option<&'a [u8]> {
        let mut all = self.of(number);
        all.find(|(n, _)| *n == number).map(|(_, value)| value)
    }

    /// The first value of an option, as an unsigned number of at most `most` bytes (RFC 7252 §3.2); an elective option
    /// that is longer counts as not there (§5.4.3).
    pub fn uint(self, number: u16, most: usize) -> Option<u32> {
        let value = self.get(number).filter(|value| value.len() <= most)?;
        uint(value)
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.step().ok().flatten()
    }
}

/// An unsigned number of up to four bytes (RFC 7252 §3.2).
pub(crate) fn uint(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |v, b| v << 8 | u32::from(*b)))
}

/// Options and payload; `None` where the format is broken.
fn body(rest: &[u8]) -> Option<(Options<'_>, &[u8])> {
    let (mut walk, mut there) = (Options::new(rest), 0);
    while let Some((number, _)) = walk.step().ok()? {
        there |= 1 << (number & 31);
    }
    let length = rest.len() - walk.bytes.len();
    let payload = match walk.bytes {
        [] => &[][..],
        // RFC 7252 §3: a marker with nothing behind it is a format error.
        [_] => return None,
        [_, payload @ ..] => payload,
    };
    let bytes = rest.get(..length).unwrap_or(&[]);
    let options = Options {
        there,
        ..Options::new(bytes)
    };
    Some((options, payload))
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let ([first, code, id @ ..], rest) =
            datagram.split_first_chunk::<4>().ok_or(Malformed::Ignore)?;
        if first >> 6 != 1 {
            return Err(Malformed::Ignore);
        }
        let kind = match first >> 4 & 3 {
            0 => Kind::Con,
            1 => Kind::Non,
            2 => Kind::Ack,
            _ => Kind::Rst,
        };
        let (code, id) = (Code(*code), u16::from_be_bytes(*id));
        let reject = Malformed::Reject(kind, id);
        let length = usize::from(first & 15);
        if length > 8 {
            return Err(reject);
        }
        let (token, rest) = rest.split_at_checked(length).ok_or(reject)?;
        // RFC 7252 §4.1: an empty message is four bytes.
        if code == Code::EMPTY && datagram.len() != 4 {
            return Err(reject);
        }
        let (options, payload) = body(rest).ok_or(reject)?;
        Ok(Self {
            kind,
            code,
            id,
            token,
            options,
            payload,
        })
    }

    /// The message that a security stage found within this one: code, options, marker and payload (RFC 8613 §5.3); `None` where
    /// its format is broken.
    pub fn within<'p>(&self, plaintext: &'p [u8]) -> Option<Message<'p>>
    where
        'a: 'p,
    {
        let (code, rest) = plaintext.split_first()?;
        let (options, payload) = body(rest)?;
        Some(Message {
            code: Code(*code),
            options,
            payload,
            ..*self
        })
    }
}

/// A token that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    bytes: [u8; 8],
    length: u8,
}

impl Token {
    pub(crate) fn new(token: &[u8]) -> Self {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(token) {
            *to = *from;
        }
        Self {
            bytes,
            length: token.len().min(8) as u8,
        }
    }

    pub(crate) fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// Writes a message; what does not fit is left out and makes `finish` return `None`.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
    last: u16,
    overflow: bool,
}

impl<'b> Writer<'b> {
    /// Begins with the header and the token.
    pub fn new(buffer: &'b mut [u8], kind: Kind, code: Code, id: u16, token: &[u8]) -> Self {
        let mut w = Self {
            buffer,
            at: 0,
            last: 0,
            overflow: false,
        };
        let bits = match kind {
            Kind::Con => 0,
            Kind::Non => 1,
            Kind::Ack => 2,
            Kind::Rst => 3,
        };
        w.put(&[1 << 6 | bits << 4 | (token.len() as u8 & 15), code.0]);
        w.put(&id.to_be_bytes());
        w.put(token);
        w
    }

    /// Options without what stands before them.
    pub(crate) fn options(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            at: 0,
            last: 0,
            overflow: false,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.at..self.at + bytes.len()) {
            Some(to) => {
                to.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            None => self.overflow = true,
        }
    }

    /// An option; numbers must not fall.
    pub fn option(&mut self, number: u16, value: &[u8]) {
        debug_assert!(number >= self.last, "options in order");
        let split = |v: u16| match v {
            0..13 => (v as u8, [0, 0], 0),
            13..269 => (13, [(v - 13) as u8, 0], 1),
            _ => (14, (v - 269).to_be_bytes(), 2),
        };
        let (delta, delta_more, delta_count) = split(number.saturating_sub(self.last));
        let (length, length_more, length_count) = split(value.len() as u16);
        self.last = number;
        self.put(&[delta << 4 | length]);
        self.put(delta_more.get(..delta_count).unwrap_or(&[]));
        self.put(length_more.get(..length_count).unwrap_or(&[]));
        self.put(value);
    }

    /// An option whose value is a number, in its shortest form.
    pub fn uint(&mut self, number: u16, value: u32) {
        let bytes = value.to_be_bytes();
        let skip = value.leading_zeros() as usize / 8;
        self.option(number, bytes.get(skip..).unwrap_or(&[]));
    }

    /// What stands before a payload, with the marker when there is one.
    pub(crate) fn head(mut self, payload: bool) -> Option<&'b [u8]> {
        if payload {
            self.put(&[0xff]);
        }
        self.finish(&[])
    }

    /// The payload, when there is one, and the finished datagram.
    pub fn finish(mut self, payload: &[u8]) -> Option<&'b [u8]> {
        if !payload.is_empty() {
            self.put(&[0xff]);
            self.put(payload);
        }
        let Self {
            buffer,
            at,
            overflow,
            ..
        } = self;
        if overflow { None } else { buffer.get(..at) }
    }
}
