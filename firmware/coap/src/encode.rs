//! An answer in the making: the handler writes its body, the options are put before it, and then it is protected and sent.
use crate::asked::Asked;
use crate::echo;
use crate::lanes::Lanes;
use crate::limits::{BLOCK, HEAD, MTU, TAG};
use crate::message::{Code, Writer, option};
use crate::party::Party;
use crate::request::Part;
use crate::response::{Answer, Response};
use crate::secret::Secret;
use core::hash::Hash;

/// What writes an answer: called once. Not a type of its own for each, as all that encodes would be made for each again.
pub(crate) type Write<'w> = &'w mut dyn FnMut(&mut Response<'_>) -> Answer;

/// To whom an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// To the one who asked.
    One,
    /// To the one who asked a group; whether that was a discovery with filters.
    Group { filtered: bool },
}

/// What holds for an answer whatever its handler writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) audience: Audience,
    /// The value of its Observe option.
    pub(crate) observe: Option<u32>,
    /// The most bytes that it may have, to an endpoint that has not shown itself ...
    pub(crate) most: Option<usize>,
    /// ... but for the allowance that all of them share, if it may draw on that.
    pub(crate) allowance: bool,
    /// The endpoint is asked to show itself, however small the answer.
    pub(crate) challenge: bool,
    /// The largest block.
    pub(crate) block: usize,
}

impl Terms {
    /// Of an answer to one who has shown itself.
    pub(crate) const PLAIN: Self = Self {
        audience: Audience::One,
        observe: None,
        most: None,
        allowance: true,
        challenge: false,
        block: BLOCK,
    };

    /// Bytes of payload that the answer may have, after what stands before it in any case.
    fn room(&self, token: usize, asked: &Asked<'_>) -> usize {
        // Header, ETag, Content-Format, Block2, Echo and the marker; what only some have.
        const BEFORE: usize = 4 + 5 + 3 + 3 + 11 + 1;
        let observe = if self.observe.is_some() { 4 } else { 0 };
        let block1 = if asked.block1.is_some() { 5 } else { 0 };
        self.most.map_or(usize::MAX, |most| {
            most.saturating_sub(BEFORE + token + observe + block1)
        })
    }
}

/// An answer but for its header and token: options, marker and payload lie in the workshop's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded {
    pub(crate) code: Code,
    pub(crate) format: Option<u16>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Nothing but an acknowledgement may be sent of it.
    pub(crate) suppressed: bool,
    /// Whether there are more blocks.
    pub(crate) more: bool,
    /// Whether it has an Observe option.
    pub(crate) observed: bool,
}

/// Where answers are made: the body behind `HEAD` bytes, then what stands before it up to it, and room for a tag behind it.
#[derive(Debug)]
pub(crate) struct Workshop(pub(crate) [u8; MTU + TAG]);

/// What of a body goes out.
struct Cut {
    /// Bytes of the block, and those that are sent.
    size: usize,
    kept: usize,
    more: bool,
    /// Whether the answer has a Block2 option.
    wise: bool,
    /// Whether the endpoint is to show itself first to get more.
    large: bool,
}

/// What an answer is made with.
pub(crate) struct Means<'s, E> {
    pub(crate) secret: &'s Secret,
    pub(crate) lanes: &'s mut Lanes,
    pub(crate) now: u64,
    pub(crate) to: &'s Party<E>,
    /// Bytes of the token.
    pub(crate) token: usize,
}

impl Workshop {
    pub(crate) const fn new() -> Self {
        Self([0; MTU + TAG])
    }

    /// Lets `write` make an answer; its ticket when it comes later.
    pub(crate) fn make<E: Copy + Eq + Hash>(
        &mut self,
        means: Means<'_, E>,
        asked: &Asked<'_>,
        terms: &Terms,
        write: Write<'_>,
    ) -> Result<Encoded, u16> {
        let from = asked.block2.map_or(0, |b| b.offset);
        let window = self.0.get_mut(HEAD..HEAD + terms.block);
        let mut response = Response::new(window.unwrap_or(&mut []), from, means.secret.body());
        if let Answer::Later(ticket) = write(&mut response) {
            return Err(ticket);
        }
        let code = settle_code(asked, from, &mut response);
        let good = code.class() == 2;
        let etag = response.etag();
        let valid = code == Code::CONTENT
            && asked
                .options
                .of(option::ETAG)
                .any(|(number, tag)| number == option::ETAG && tag == etag);
        let room = terms.room(means.token, asked);
        let cut = cut(&response, asked, terms, (good, valid), room, |beyond| {
            terms.allowance && means.lanes.give(means.now, means.to.hash, beyond)
        });
        // RFC 7252 §8.2: nothing but good answers to a group, and none that says that nothing matches.
        let unfit = match terms.audience {
            Audience::One => false,
            Audience::Group { filtered } => !good || filtered && response.total() == 0,
        };
        let echo = (cut.large || terms.challenge || response.challenge)
            .then(|| echo::challenge(means.secret, means.now, &means.to.endpoint))
            .or(response.echo);
        let code = if valid { Code::VALID } else { code };
        let mut options = [0; HEAD];
        let mut w = Writer::options(&mut options);
        let tagged = cut.wise || asked.method.is_safe();
        if good && (valid || response.total() > 0 && tagged) {
            w.option(option::ETAG, &etag);
        }
        if let Some(observe) = terms.observe.filter(|_| good) {
            w.uint(option::OBSERVE, observe);
        }
        write_options(&mut w, &response, asked, code, &cut);
        if let Some(echo) = echo {
            w.option(option::ECHO, &echo);
        }
        let format = response.format;
        let head = w.head(cut.kept > 0).unwrap_or(&[]);
        let start = HEAD - head.len();
        if let Some(place) = self.0.get_mut(start..HEAD) {
            place.copy_from_slice(head);
        }
        Ok(Encoded {
            code,
            format,
            start,
            end: HEAD + cut.kept,
            suppressed: unfit || asked.unwanted(code),
            more: cut.more,
            observed: good && terms.observe.is_some(),
        })
    }

    pub(crate) fn get(&self, (start, end): (usize, usize)) -> &[u8] {
        self.0.get(start..end).unwrap_or(&[])
    }
}

/// The code of what a handler wrote.
fn settle_code(asked: &Asked<'_>, from: u32, response: &mut Response<'_>) -> Code {
    let code = response.code.unwrap_or(match asked.method {
        Code::GET | Code::FETCH => Code::CONTENT,
        Code::DELETE => Code::DELETED,
        _ => Code::CHANGED,
    });
    let total = response.total();
    if code.class() == 2 && from > 0 && from >= total {
        // RFC 7959 §2.4: beyond the end.
        response.fail(
            Code::BAD_REQUEST,
            format_args!("beyond the end of {total} bytes"),
        );
        return Code::BAD_REQUEST;
    }
    // RFC 7959 §2.3: a part that is not the last is answered 2.31.
    if code == Code::CHANGED && asked.block1.is_some_and(|b| b.more) {
        return Code::CONTINUE;
    }
    code
}

/// The block, the remains of the body when it fits, or less where that is all that an endpoint may get. `give` takes bytes from
/// the allowance.
fn cut(
    response: &Response<'_>,
    asked: &Asked<'_>,
    terms: &Terms,
    (good, valid): (bool, bool),
    room: usize,
    give: impl FnOnce(usize) -> bool,
) -> Cut {
    let from = asked.block2.map_or(0, |b| b.offset);
    let total = response.total();
    let mut size = if good {
        let wanted = asked.block2.map_or(terms.block, |b| usize::from(b.size));
        wanted.min(terms.block)
    } else {
        terms.block
    };
    let remains = if good {
        total.saturating_sub(from) as usize
    } else {
        response.kept()
    };
    let large = !valid && remains.min(size) > room;
    let small = large && !give(remains.min(size) - room);
    if small {
        size = 1 << room.max(16).ilog2();
    }
    let more = good && remains > size;
    let kept = if valid {
        0
    } else {
        remains.min(if small && !good { room } else { size })
    };
    Cut {
        size,
        kept,
        more: more && !valid,
        // A later block that is asked for is one of a body that is not empty.
        wise: good && (more || asked.block2.is_some() && total > 0),
        large,
    }
}

/// The options between Observe and Echo.
fn write_options(
    w: &mut Writer<'_>,
    response: &Response<'_>,
    asked: &Asked<'_>,
    code: Code,
    cut: &Cut,
) {
    let valid = code == Code::VALID;
    for segment in response.location {
        w.option(option::LOCATION_PATH, segment.as_bytes());
    }
    if let Some(format) = response.format.filter(|_| !valid) {
        w.uint(option::CONTENT_FORMAT, u32::from(format));
    }
    if let Some(age) = response.max_age {
        w.uint(option::MAX_AGE, age);
    }
    for part in response.location_query {
        w.option(option::LOCATION_QUERY, part.as_bytes());
    }
    if cut.wise && !valid {
        let part = Part {
            offset: asked.block2.map_or(0, |b| b.offset),
            more: cut.more,
            size: cut.size as u16,
        };
        w.uint(option::BLOCK2, part.encode());
    }
    let first = Part {
        offset: 0,
        more: false,
        size: BLOCK as u16,
    };
    let too_large = asked.oversized && code == Code::REQUEST_ENTITY_TOO_LARGE;
    if let Some(part) = asked.block1.or(too_large.then_some(first)) {
        let more = code == Code::CONTINUE;
        w.uint(option::BLOCK1, Part { more, ..part }.encode());
    }
    // RFC 7959 §4: told to whoever asks.
    if asked.size2 && code.class() == 2 && !valid {
        w.uint(option::SIZE2, response.total());
    }
    if let Some(size) = response.size1 {
        w.uint(option::SIZE1, size);
    }
}
