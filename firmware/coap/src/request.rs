//! What a handler is given: a request, and who asks.
use crate::message::{Code, Options, option, uint};

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

/// Who asks: as much as the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The endpoint, as a number that another endpoint has by chance at most (a keyed hash): for shares and budgets. It differs
    /// from boot to boot.
    pub endpoint: u32,
    /// The host that the endpoint is at, as the embedder numbers them; where it does not, a number for the endpoint itself.
    pub host: u64,
    /// Whether the endpoint has shown that it is where it says, or cannot lie about it.
    pub verified: bool,
    /// The security context that the request came under, as the [`Security`](crate::Security) stage numbers them; `None` when
    /// it was not protected.
    pub context: Option<u8>,
}

/// A block-wise read (RFC 7959 §2.4): all its blocks are to be of the same state of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Its number, below [`READS`](crate::READS).
    pub number: u8,
    /// Whether this is its first block: the state may be a new one. An answer of one block ends with it.
    pub begins: bool,
    /// The reads under way, as bits by their number, this one among them unless it begins.
    pub open: u16,
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
    /// The upload it belongs to, the same for all its parts (RFC 7959, by endpoint, cache key and Request-Tag); 255 when its
    /// body is no block-wise one.
    pub transfer: u8,
    /// The block-wise read it belongs to or may begin.
    pub read: Option<Read>,
    /// Whether this is a notification being rendered, not a request that came in.
    pub notification: bool,
    /// Who asks.
    pub principal: Principal,
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
        let values = self.options.of(number).filter(move |(n, _)| *n == number);
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

    /// The part of the answer that is wanted (RFC 7959 §2.2); `None` when all of it is.
    pub fn block2(&self) -> Option<Part> {
        self.options.get(option::BLOCK2).and_then(Part::decode)
    }

    /// The size of the whole upload, as the client says.
    pub fn size1(&self) -> Option<u32> {
        self.options.uint(option::SIZE1, 4)
    }
}
