//! What a request asks of its answer: one walk over its options.
use crate::limits::BLOCK;
use crate::message::{Code, Message, Options, option, uint};
use crate::request::Part;

/// What a request asks of its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'m> {
    pub(crate) method: Code,
    /// All options: for the ETags that the client has.
    pub(crate) options: Options<'m>,
    pub(crate) block1: Option<Part>,
    pub(crate) block2: Option<Part>,
    /// Whether the request is refused only because of its options or method.
    pub(crate) refused: Option<Code>,
    /// Whether it depends on the present state (RFC 7252 §5.10.8).
    pub(crate) conditional: bool,
    /// The Observe option (RFC 7641 §2).
    pub(crate) observe: Option<u32>,
    /// Whether the size of the body is asked for (RFC 7959 §4).
    pub(crate) size2: bool,
    /// Classes of responses that the client does not want (RFC 7967 §2).
    pub(crate) silent: u8,
    /// A body without Block1 that is longer than a block: how long one may be is said with 4.13 (RFC 7959 §2.9.3).
    pub(crate) oversized: bool,
}

/// Whether a value is UTF-8; what is ASCII, as most is, is seen at once.
fn text(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii) || core::str::from_utf8(value).is_ok()
}

impl<'m> Asked<'m> {
    /// A request that asks nothing in particular.
    pub(crate) fn nothing(method: Code, options: Options<'m>) -> Self {
        Self {
            method,
            options,
            block1: None,
            block2: None,
            refused: None,
            conditional: false,
            observe: None,
            size2: false,
            silent: 0,
            oversized: false,
        }
    }

    /// What is wrong with a critical option is said with a code; an elective one in a wrong form counts as not there (RFC 7252
    /// §5.4.3), but for those whose own RFC says otherwise.
    pub(crate) fn read(message: &Message<'m>) -> Self {
        let mut asked = Self::nothing(message.code, message.options);
        let mut last = None;
        for (number, value) in message.options {
            let repeated = last == Some(number);
            last = Some(number);
            if !asked.option(number, value, repeated) {
                asked.refused = Some(Code::BAD_OPTION);
                break;
            }
        }
        if message.code.0 > Code::IPATCH.0 {
            asked.refused = asked.refused.or(Some(Code::METHOD_NOT_ALLOWED));
        }
        // Neither has a body, so there is none that comes in blocks (RFC 7252 §5.8.1, §5.8.4).
        if matches!(message.code, Code::GET | Code::DELETE) {
            asked.block1 = None;
        }
        asked.oversized = asked.block1.is_none() && message.payload.len() > BLOCK;
        asked
    }

    /// Takes note of an option; `false` when it is critical and wrong.
    fn option(&mut self, number: u16, value: &[u8], repeated: bool) -> bool {
        match number {
            option::URI_PATH | option::URI_QUERY => value.len() <= 255 && text(value),
            option::ACCEPT | option::URI_PORT => value.len() <= 2 && !repeated,
            option::URI_HOST => !repeated && !value.is_empty() && text(value),
            option::IF_MATCH | option::IF_NONE_MATCH => {
                self.conditional = true;
                let longest = if number == option::IF_MATCH { 8 } else { 0 };
                value.len() <= longest && (longest > 0 || !repeated)
            }
            option::BLOCK1 | option::BLOCK2 => {
                let part = Part::decode(value);
                // RFC 7959 §2.2: the reserved size is a bad request, and no unknown option.
                if part.is_none() {
                    self.refused = self.refused.or(Some(Code::BAD_REQUEST));
                }
                if number == option::BLOCK1 {
                    self.block1 = part;
                } else {
                    self.block2 = part;
                }
                value.len() <= 3 && !repeated
            }
            // RFC 7252 §5.7.2: there is no proxy here.
            option::PROXY_URI | option::PROXY_SCHEME => {
                self.refused = self.refused.or(Some(Code::PROXYING_NOT_SUPPORTED));
                true
            }
            // RFC 8768 §3: a server has no use for it, and yet refuses 0 and what is above 255.
            option::HOP_LIMIT => {
                if !repeated && !matches!(uint(value), Some(1..=255)) {
                    self.refused = self.refused.or(Some(Code::BAD_REQUEST));
                }
                true
            }
            option::OBSERVE if value.len() <= 3 && !repeated => {
                self.observe = uint(value);
                true
            }
            option::SIZE2 => {
                self.size2 = true;
                true
            }
            option::NO_RESPONSE => {
                if let ([silent], false) = (value, repeated) {
                    self.silent = *silent;
                }
                true
            }
            // RFC 7252 §5.4.1, §5.4.6: odd numbers are critical.
            _ => number & 1 == 0,
        }
    }

    /// The part of a body in several blocks that the request brings; a body in one block is like one without Block1.
    pub(crate) fn part(&self) -> Option<Part> {
        self.block1.filter(|part| part.more || part.offset > 0)
    }

    /// Whether a later block of the answer is asked for.
    pub(crate) fn later_block(&self) -> bool {
        self.block2.is_some_and(|b| b.offset > 0)
    }

    /// Whether the client does not want a response of this class (RFC 7967 §2).
    pub(crate) fn unwanted(&self, code: Code) -> bool {
        self.silent >> (code.class().saturating_sub(1)) & 1 == 1
    }
}
