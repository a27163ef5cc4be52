//! What a handler is given and what it writes.
use crate::message::{Code, Options, option, uint};
use core::fmt;

/// A part of a body: one block (RFC 7959 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of its first byte in the body.
    pub offset: u32,
    /// Whether more follows.
    pub more: bool,
    /// Size of a block in bytes: 16 to 1024.
    pub size: u16,
}

impl Part {
    /// Reads the value of a Block1 or Block2 option; `None` for a reserved size (RFC 7959 §2.2).
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let v = (value.len() <= 3).then(|| uint(value)).flatten()?;
        let szx = v & 7;
        let size = 16u16 << szx;
        (szx != 7).then_some(Self {
            offset: (v >> 4) * u32::from(size),
            more: v & 8 != 0,
            size,
        })
    }

    /// The value of the option.
    pub(crate) fn encode(self) -> u32 {
        let szx = self.size.trailing_zeros().saturating_sub(4);
        (self.offset / u32::from(self.size)) << 4 | u32::from(self.more) << 3 | szx
    }
}

/// A request, as it lies in its datagram.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: Code,
    /// Its payload: of a block-wise upload, this part.
    pub payload: &'a [u8],
    /// Its options.
    pub options: Options<'a>,
    /// The upload it belongs to, the same for all its parts (RFC 7959, by endpoint, cache key and Request-Tag).
    pub transfer: u8,
    /// Whether this is a notification being rendered, not a request that came in.
    pub notification: bool,
}

impl<'a> Request<'a> {
    /// The segments of the path.
    pub fn path(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.texts(option::URI_PATH)
    }

    /// The parts of the query, such as `rt=x`.
    pub fn queries(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.texts(option::URI_QUERY)
    }

    fn texts(&self, number: u16) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        // What is not UTF-8 was refused before a handler sees it.
        let values = self.options.filter(move |(n, _)| *n == number);
        values.map(|(_, value)| core::str::from_utf8(value).unwrap_or(""))
    }

    /// The value of the query part with this key.
    pub fn query(&self, key: &str) -> Option<&'a str> {
        self.queries()
            .find_map(|q| q.strip_prefix(key)?.strip_prefix('='))
    }

    /// The format the client wants.
    pub fn accept(&self) -> Option<u16> {
        self.options.uint(option::ACCEPT, 2).map(|v| v as u16)
    }

    /// The format of the payload.
    pub fn content_format(&self) -> Option<u16> {
        self.options
            .uint(option::CONTENT_FORMAT, 2)
            .map(|v| v as u16)
    }

    /// The part of the upload this is; `None` when the payload is the whole body.
    pub fn block1(&self) -> Option<Part> {
        self.options.get(option::BLOCK1).and_then(Part::decode)
    }

    /// The part of the answer that is wanted; `None` when it is all of it.
    pub fn block2(&self) -> Option<Part> {
        self.options.get(option::BLOCK2).and_then(Part::decode)
    }

    /// The size of the whole upload, as the client says.
    pub fn size1(&self) -> Option<u32> {
        self.options.uint(option::SIZE1, 4)
    }
}

/// Whether a handler has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The response is written.
    Now,
    /// [`crate::Server::complete`] will be called with this ticket, which is unique among those pending.
    Later(u16),
}

/// A response in the making. The body may be of any length: of what is written, the wanted block is kept, and the ETag is
/// made from all of it. The handler runs again for each further block.
#[derive(Debug)]
pub struct Response<'b> {
    pub(crate) code: Option<Code>,
    pub(crate) format: Option<u16>,
    pub(crate) max_age: Option<u32>,
    pub(crate) size1: Option<u32>,
    pub(crate) location: &'static [&'static str],
    pub(crate) location_query: &'static [&'static str],
    window: &'b mut [u8],
    /// Offset in the body of the first byte kept.
    from: u32,
    total: u32,
    hash: u32,
}

/// FNV-1a's offset and prime: cheap where there is no memory for a table, and good enough to tell one state from the next.
const HASH: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

impl<'b> Response<'b> {
    /// A response of whose body `window.len()` bytes from `from` are kept.
    pub(crate) fn new(window: &'b mut [u8], from: u32) -> Self {
        Self {
            code: None,
            format: None,
            max_age: None,
            size1: None,
            location: &[],
            location_query: &[],
            window,
            from,
            total: 0,
            hash: HASH,
        }
    }

    /// The response code. Without one it is 2.05 to GET and FETCH, 2.02 to DELETE, 2.04 to all else.
    pub fn code(&mut self, code: Code) {
        self.code = Some(code);
    }

    /// The format of the body.
    pub fn format(&mut self, format: u16) {
        self.format = Some(format);
    }

    /// For how many seconds the response stays fresh.
    pub fn max_age(&mut self, seconds: u32) {
        self.max_age = Some(seconds);
    }

    /// With 4.13: the largest body that is taken (RFC 7252 §5.9.2.9).
    pub fn size1(&mut self, bytes: u32) {
        self.size1 = Some(bytes);
    }

    /// With 2.01: where the new resource is, the segments of its path and the parts of its query; 64 bytes in all.
    pub fn location(&mut self, path: &'static [&'static str], query: &'static [&'static str]) {
        self.location = path;
        self.location_query = query;
    }

    /// Adds to the body.
    pub fn write(&mut self, bytes: &[u8]) {
        self.hash = bytes.iter().fold(self.hash, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(PRIME)
        });
        // What lies before the window is left out, and what lies behind it.
        let skip = self.from.saturating_sub(self.total) as usize;
        let at = self.total.saturating_sub(self.from) as usize;
        self.total = self.total.saturating_add(bytes.len() as u32);
        if let Some(kept) = bytes.get(skip..)
            && let Some(room) = self.window.get_mut(at..)
        {
            let count = kept.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..count), kept.get(..count)) {
                to.copy_from_slice(from);
            }
        }
    }

    /// An error with its diagnostic payload (RFC 7252 §5.5.2) instead of what was written so far.
    pub fn fail(&mut self, code: Code, text: fmt::Arguments<'_>) -> Answer {
        self.code = Some(code);
        self.format = None;
        self.total = 0;
        self.from = 0;
        self.hash = HASH;
        let _ = fmt::Write::write_fmt(self, text);
        Answer::Now
    }

    /// The bytes written so far.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// The entity tag of the body written so far, with its format.
    pub(crate) fn etag(&self) -> [u8; 4] {
        (self.hash ^ u32::from(self.format.unwrap_or(0)).wrapping_mul(0x9e37_79b1)).to_be_bytes()
    }

    /// How many bytes were kept.
    pub(crate) fn kept(&self) -> usize {
        let count = self.total.saturating_sub(self.from) as usize;
        count.min(self.window.len())
    }
}

impl fmt::Write for Response<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

/// A link of `/.well-known/core` (RFC 6690 §2).
#[derive(Clone, Copy, Debug, Default)]
pub struct Link<'a> {
    /// Segments of the path.
    pub path: &'a [&'a str],
    /// Resource type.
    pub rt: &'a str,
    /// Interface description.
    pub if_: &'a str,
    /// Content formats.
    pub ct: &'a [u16],
    /// Estimated size; 0 where it is small.
    pub sz: u32,
    /// Whether it can be observed.
    pub obs: bool,
    /// A name for people.
    pub title: &'a str,
}

/// The resources behind a server.
pub trait Application {
    /// Handles a request: exactly once for each that changes something, and once for each block of a block-wise one.
    fn handle(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer;

    /// Writes a further part of the answer to a request that was handled before and changes something, as its Block2 option
    /// asks; changes nothing. Only needed where such an answer can be longer than a block.
    fn again(&mut self, _request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        response.fail(
            Code::REQUEST_ENTITY_INCOMPLETE,
            format_args!("the answer is no longer there: ask again"),
        )
    }

    /// Whether an upload may begin in the middle, as one that goes on after a reset does.
    fn resumes(&mut self, _request: &Request<'_>, _offset: u32) -> bool {
        false
    }

    /// The number of the resource, when what this GET or FETCH names can be observed. Its handler answers at once.
    fn observable(&mut self, _request: &Request<'_>) -> Option<u16> {
        None
    }

    /// Whether each notification of this resource is to be confirmed by who observes it. Of others only some are.
    fn reliable(&self, _resource: u16) -> bool {
        false
    }

    /// Hands the link with this number to `write`; `false` behind the last one.
    fn link(&self, index: usize, write: &mut dyn FnMut(&Link<'_>)) -> bool;
}

/// Where datagrams go.
pub trait Transmit<E> {
    /// Sends a datagram, or loses it.
    fn send(&mut self, to: E, datagram: &[u8]);
}

impl<E, F: FnMut(E, &[u8])> Transmit<E> for F {
    fn send(&mut self, to: E, datagram: &[u8]) {
        self(to, datagram);
    }
}
