//! Registering at a resource directory by itself (RFC 9176 §5.1): one short request from CoAP's own port, again well before its
//! lifetime ends, and at once when the node has another address. The directory then asks for `/.well-known/core` as anybody may.
//! The name is the identity: whatever address it comes from, the directory knows it for the same.
//!
//! The only requests that a node makes: a whole client would be a hundred times as long.
use core::fmt::Write;
use wasmote_coap::{Code, Kind, Message, Transmit, Writer, option};

/// RFC 7252 §4.8: the first time-out, and how often a request is repeated, each time after twice as long.
const ACK_TIMEOUT: u64 = 2_000;
const MAX_RETRANSMIT: u32 = 4;
/// How long an answer may take once the request was acknowledged, in milliseconds: MAX_TRANSMIT_WAIT (RFC 7252 §4.8.2).
const PATIENCE: u64 = 93_000;
/// Milliseconds until a directory that did not answer, or refused, is tried again: twice as many after each time, up to the last.
const FIRST_PAUSE: u64 = 15_000;
const LAST_PAUSE: u64 = 960_000;
/// Nodes that come up together, after a power cut, do not all ask in the same moment: the first request waits for a part of this.
const SPREAD: u64 = 1_000;
/// RFC 9175 §2.2.1: bytes of an Echo option.
const ECHO: usize = 40;
/// A request: header and token, `.well-known/rd`, `ep=` and a name of 63 bytes, `lt=` and a number, Echo.
const REQUEST: usize = 8 + 16 + 68 + 15 + ECHO + 4;
/// RFC 9176 §5: bytes of a name.
const NAME: usize = 63;

/// Seconds that a registration lasts when nobody says otherwise: a directory that lost its memory knows the node again before.
pub const LIFETIME: u32 = 600;

/// Where a directory is, and for how many seconds a node registers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its IPv4 address.
    pub address: [u8; 4],
    /// Its UDP port.
    pub port: u16,
    /// Seconds, at least 1.
    pub lifetime: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Nothing to do until then.
    Rests { until: u64 },
    /// The request was sent so many times; the next time then.
    Asks { until: u64, sent: u32, wait: u64 },
    /// The request was acknowledged, its answer comes by itself.
    Waits { until: u64 },
}

/// What a registration came to, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The directory knows the node.
    Registered,
    /// It refused, with this code.
    Refused(Code),
    /// It did not answer.
    Silent,
}

/// A node's registration at the directory `E`.
#[derive(Clone, Debug)]
pub struct Registration<E> {
    directory: E,
    name: &'static str,
    lifetime: u32,
    phase: Phase,
    /// Whether the directory knew the node at the last try; nothing before the first.
    known: Option<bool>,
    pause: u64,
    random: u64,
    id: u16,
    token: [u8; 4],
    echo: heapless::Vec<u8, ECHO>,
}

impl<E: Copy + Eq> Registration<E> {
    /// A registration of a node with this name, for so many seconds at a time. `None` for a node without a name, or with one that a
    /// directory does not take: it would be taken for another. The seed must differ from boot to boot.
    pub fn new(
        directory: E,
        name: &'static str,
        lifetime: u32,
        seed: u64,
        now: u64,
    ) -> Option<Self> {
        if name.is_empty() || name.len() > NAME || lifetime == 0 {
            return None;
        }
        let mut registration = Self {
            directory,
            name,
            lifetime,
            phase: Phase::Rests { until: now },
            known: None,
            pause: FIRST_PAUSE,
            random: seed,
            id: 0,
            token: [0; 4],
            echo: heapless::Vec::new(),
        };
        registration.moved(now);
        Some(registration)
    }

    /// The node has another address: the directory is told soon.
    pub fn moved(&mut self, now: u64) {
        self.pause = FIRST_PAUSE;
        self.phase = Phase::Rests {
            until: now + self.below(SPREAD),
        };
    }

    /// Sends what is due. Gives when to call again at the latest, and what there is to tell.
    pub fn poll<T: Transmit<E>>(&mut self, now: u64, out: &mut T) -> (u64, Option<News>) {
        let mut news = None;
        match self.phase {
            Phase::Rests { until } if until <= now => {
                self.begin(now, out);
            }
            Phase::Asks { until, sent, wait } if until <= now => {
                if sent > MAX_RETRANSMIT {
                    news = self.failed(now, News::Silent, 0);
                } else {
                    self.phase = Phase::Asks {
                        until: now + wait * 2,
                        sent: sent + 1,
                        wait: wait * 2,
                    };
                    self.send(out);
                }
            }
            Phase::Waits { until } if until <= now => news = self.failed(now, News::Silent, 0),
            _ => {}
        }
        let (Phase::Rests { until } | Phase::Asks { until, .. } | Phase::Waits { until }) =
            self.phase;
        (until, news)
    }

    /// Takes a datagram, if it belongs to the request under way; says whether it did, and what there is to tell.
    pub fn receive<T: Transmit<E>>(
        &mut self,
        now: u64,
        from: E,
        datagram: &[u8],
        out: &mut T,
    ) -> (bool, Option<News>) {
        const OTHERS: (bool, Option<News>) = (false, None);
        let asks = matches!(self.phase, Phase::Asks { .. });
        if from != self.directory || !asks && !matches!(self.phase, Phase::Waits { .. }) {
            return OTHERS;
        }
        let Ok(message) = Message::parse(datagram) else {
            return OTHERS;
        };
        let own = message.id == self.id;
        match message.kind {
            Kind::Rst if own => return (true, self.failed(now, News::Silent, 0)),
            Kind::Ack if own && message.code == Code::EMPTY => {
                // RFC 7252 §5.2.2: the answer comes in a message of its own.
                if asks {
                    self.phase = Phase::Waits {
                        until: now + PATIENCE,
                    };
                }
                return (true, None);
            }
            Kind::Ack if !own => return OTHERS,
            _ => {}
        }
        // RFC 7252 §5.3.2: an answer has the request's token.
        if message.token != self.token || !matches!(message.code.class(), 2 | 4 | 5) {
            return OTHERS;
        }
        if message.kind == Kind::Con {
            let mut buffer = [0; 4];
            let empty = Writer::new(&mut buffer, Kind::Ack, Code::EMPTY, message.id, &[]);
            if let Some(empty) = empty.finish(&[]) {
                out.send(self.directory, empty);
            }
        }
        (true, self.answered(now, &message, out))
    }

    fn answered<T: Transmit<E>>(
        &mut self,
        now: u64,
        message: &Message<'_>,
        out: &mut T,
    ) -> Option<News> {
        if message.code.class() == 2 {
            self.echo.clear();
            self.pause = FIRST_PAUSE;
            // Between half and three quarters of the lifetime: two tries fit before it is over, and not all nodes make theirs at once.
            let lifetime = u64::from(self.lifetime) * 1_000;
            let part = self.below((lifetime / 4).max(1));
            self.phase = Phase::Rests {
                until: now + lifetime / 2 + part,
            };
            let before = self.known.replace(true);
            return (before != Some(true)).then_some(News::Registered);
        }
        // RFC 9175 §2.3: the directory wants to know whether the node is where it says: it repeats the request, once, with the value.
        let echo = message.options.get(option::ECHO);
        if message.code == Code::UNAUTHORIZED
            && let Some(echo) = echo.filter(|echo| (1..=ECHO).contains(&echo.len()))
            && self.echo.as_slice() != echo
        {
            self.echo.clear();
            let _ = self.echo.extend_from_slice(echo);
            self.begin(now, out);
            return None;
        }
        // RFC 7252 §5.9.3.4: when to come again.
        let after = message.options.uint(option::MAX_AGE, 4).unwrap_or(0);
        self.failed(now, News::Refused(message.code), u64::from(after) * 1_000)
    }

    fn failed(&mut self, now: u64, news: News, least: u64) -> Option<News> {
        let pause = self.pause.max(least.min(LAST_PAUSE));
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        self.echo.clear();
        self.phase = Phase::Rests {
            until: now + pause + self.below(pause / 2),
        };
        (self.known.replace(false) != Some(false)).then_some(news)
    }

    /// A new request: message ID and token that a stranger does not know.
    fn begin<T: Transmit<E>>(&mut self, now: u64, out: &mut T) {
        let drawn = self.draw().to_be_bytes();
        let [a, b, c, d, e, f, ..] = drawn;
        (self.id, self.token) = (u16::from_be_bytes([a, b]), [c, d, e, f]);
        let wait = ACK_TIMEOUT + self.below(ACK_TIMEOUT / 2);
        self.phase = Phase::Asks {
            until: now + wait,
            sent: 1,
            wait,
        };
        self.send(out);
    }

    fn send<T: Transmit<E>>(&self, out: &mut T) {
        let mut buffer = [0; REQUEST];
        let mut w = Writer::new(&mut buffer, Kind::Con, Code::POST, self.id, &self.token);
        w.option(option::URI_PATH, b".well-known");
        w.option(option::URI_PATH, b"rd");
        let mut query = heapless::String::<{ NAME + 3 }>::new();
        let _ = write!(query, "ep={}", self.name);
        w.option(option::URI_QUERY, query.as_bytes());
        query.clear();
        let _ = write!(query, "lt={}", self.lifetime);
        w.option(option::URI_QUERY, query.as_bytes());
        if !self.echo.is_empty() {
            w.option(option::ECHO, &self.echo);
        }
        if let Some(request) = w.finish(&[]) {
            out.send(self.directory, request);
        }
    }

    /// SplitMix64 over the seed.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a limit that is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        let drawn = self.draw() >> 32;
        (drawn * limit.min(u64::from(u32::MAX))) >> 32
    }
}
