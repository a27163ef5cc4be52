//! A server with resources that count how often they ran, and messages as owned values.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
use std::collections::BTreeMap;
use wasmote_coap::{
    Answer, Application, Code, Kind, Message, Principal, Read, Request, Response, Server, WebLink,
    Writer, format, option,
};

/// The observed resources.
pub const VALUE: u16 = 0;
pub const STATE: u16 = 1;
pub const LARGE: u16 = 2;
pub const QUERY: u16 = 3;

/// Milliseconds after which /slow is answered.
pub const SLOW: u64 = 3_000;

#[derive(Default)]
pub struct App {
    pub now: u64,
    pub value: u32,
    /// Of the value, when it is not a text.
    pub format: u16,
    pub gone: bool,
    /// What a client created.
    pub created: Option<Vec<u8>>,
    /// How often each request that changes something was handled, by its path and payload.
    pub handled: BTreeMap<String, u32>,
    /// Bodies of uploads by the query that names them, in the making and whole.
    pub parts: BTreeMap<String, Vec<u8>>,
    pub uploads: BTreeMap<String, Vec<u8>>,
    /// Tickets of /slow with the time they are due, and those that are never answered.
    pub tickets: Vec<(u64, u16)>,
    pub ticket: u16,
    /// The reads that requests were said to be of.
    pub reads: Vec<Option<Read>>,
    pub principals: Vec<Principal>,
}

/// The body of /large: it differs from block to block.
pub fn large(value: u32) -> Vec<u8> {
    (0..1_280u32)
        .map(|i| b'a' + ((i / 16 + i + value) % 26) as u8)
        .collect()
}

impl App {
    fn count(&mut self, request: &Request<'_>) {
        let path: Vec<&str> = request.path().collect();
        let key = format!("{} {}", path.join("/"), hex(request.payload));
        *self.handled.entry(key).or_default() += 1;
    }

    /// The most that any request was handled.
    pub fn most(&self) -> u32 {
        self.handled.values().copied().max().unwrap_or(0)
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Application for App {
    fn handle(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let path: Vec<&str> = request.path().collect();
        self.reads.push(request.read);
        self.principals.push(request.principal);
        match (path.as_slice(), request.method) {
            (["value" | "state"], Code::GET) if self.gone => response.code(Code::NOT_FOUND),
            (["value" | "state"], Code::GET) => {
                response.format(self.format);
                response.write(self.value.to_string().as_bytes());
            }
            (["value"], Code::PUT) => {
                self.count(request);
                let text = std::str::from_utf8(request.payload).unwrap_or("");
                match text.parse() {
                    Ok(value) => self.value = value,
                    Err(_) => return response.fail(Code::BAD_REQUEST, format_args!("a number")),
                }
            }
            (["query"], Code::FETCH) => {
                response.write(self.value.to_string().as_bytes());
                response.write(b" ");
                response.write(request.payload);
            }
            (["create"], Code::GET) => match &self.created {
                Some(body) => response.write(body),
                None => response.code(Code::NOT_FOUND),
            },
            (["create"], Code::PUT) => {
                self.count(request);
                let new = self.created.replace(request.payload.to_vec()).is_none();
                response.code(if new { Code::CREATED } else { Code::CHANGED });
            }
            (["count"], Code::POST | Code::PATCH | Code::IPATCH | Code::DELETE) => {
                self.count(request);
                response.write(self.handled.len().to_string().as_bytes());
            }
            // Says again what it was told: an answer as long as the test wants it.
            (["echo"], Code::GET) => {
                response.write(b"said: ");
                response.write(request.payload);
            }
            (["echo"], Code::POST) => {
                self.count(request);
                response.write(request.payload);
            }
            (["large"], Code::GET) => response.write(&large(self.value)),
            (["both"], Code::POST) => {
                self.count(request);
                response.write(&large(request.payload.len() as u32));
            }
            (["slow"], _) => {
                if request.method != Code::GET {
                    self.count(request);
                }
                self.ticket += 1;
                self.tickets.push((self.now + SLOW, self.ticket));
                return Answer::Later(self.ticket);
            }
            (["upload"], Code::PUT) => {
                let name = request.query("n").unwrap_or("").to_owned();
                let part = request.block1();
                let (offset, more) = part.map_or((0, false), |p| (p.offset as usize, p.more));
                if request.size1().is_some_and(|size| size > 4_096) {
                    response.size1(4_096);
                    response.code(Code::REQUEST_ENTITY_TOO_LARGE);
                    return Answer::Now;
                }
                let key = format!("upload {name} {offset}");
                *self.handled.entry(key).or_default() += 1;
                let body = self.parts.entry(name.clone()).or_default();
                body.truncate(offset);
                assert_eq!(body.len(), offset, "a part after a gap was handed over");
                body.extend_from_slice(request.payload);
                if !more {
                    let body = self.parts.remove(&name).unwrap();
                    self.uploads.insert(name, body);
                }
            }
            (
                ["value" | "state" | "large" | "count" | "both" | "upload" | "create" | "query"],
                _,
            ) => response.code(Code::METHOD_NOT_ALLOWED),
            _ => response.code(Code::NOT_FOUND),
        }
        Answer::Now
    }

    fn again(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        if request.path().eq(["both"]) {
            response.write(&large(3));
            return Answer::Now;
        }
        response.fail(Code::REQUEST_ENTITY_INCOMPLETE, format_args!("gone"))
    }

    fn observable(&mut self, request: &Request<'_>) -> Option<u16> {
        match request.path().collect::<Vec<_>>().as_slice() {
            ["value"] => Some(VALUE),
            ["state"] => Some(STATE),
            ["large"] => Some(LARGE),
            ["query"] => Some(QUERY),
            _ => None,
        }
    }

    fn reliable(&self, resource: u16) -> bool {
        resource == STATE
    }

    fn web_link(&self, index: usize, write: &mut dyn FnMut(&WebLink<'_>)) -> bool {
        let all = [
            WebLink {
                path: &["value"],
                rt: "number gauge",
                if_: "sensor",
                ct: &[format::TEXT],
                obs: true,
                ..WebLink::default()
            },
            WebLink {
                path: &["large"],
                rt: "text",
                ct: &[format::TEXT, format::OCTETS],
                sz: 1_280,
                ..WebLink::default()
            },
            WebLink {
                path: &["large", "more"],
                title: "more",
                ..WebLink::default()
            },
        ];
        all.get(index).inspect(|link| write(link)).is_some()
    }
}

/// A message as a value of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msg {
    pub kind: Kind,
    pub code: Code,
    pub id: u16,
    pub token: Vec<u8>,
    pub options: Vec<(u16, Vec<u8>)>,
    pub payload: Vec<u8>,
}

/// A block option's value.
pub fn block(number: u32, more: bool, size: u32) -> Vec<u8> {
    uint(number << 4 | u32::from(more) << 3 | (size.trailing_zeros() - 4))
}

pub fn uint(value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    bytes.into_iter().skip_while(|b| *b == 0).collect()
}

impl Msg {
    pub fn new(code: Code, id: u16, path: &str) -> Self {
        Self {
            kind: Kind::Con,
            code,
            id,
            token: id.to_be_bytes().to_vec(),
            options: path
                .split('/')
                .map(|s| (option::URI_PATH, s.as_bytes().to_vec()))
                .collect(),
            payload: vec![],
        }
    }

    pub fn empty(kind: Kind, id: u16) -> Self {
        Self {
            kind,
            id,
            token: vec![],
            options: vec![],
            ..Self::new(Code::EMPTY, id, "")
        }
    }

    pub fn non(mut self) -> Self {
        self.kind = Kind::Non;
        self
    }

    pub fn with(mut self, number: u16, value: impl AsRef<[u8]>) -> Self {
        self.options.push((number, value.as_ref().to_vec()));
        self
    }

    pub fn body(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.payload = payload.as_ref().to_vec();
        self
    }

    pub fn token(mut self, token: &[u8]) -> Self {
        self.token = token.to_vec();
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut buffer = [0; 2_000];
        let mut w = Writer::new(&mut buffer, self.kind, self.code, self.id, &self.token);
        let mut options = self.options.clone();
        options.sort_by_key(|(number, _)| *number);
        for (number, value) in &options {
            w.option(*number, value);
        }
        w.finish(&self.payload).unwrap().to_vec()
    }

    pub fn read(bytes: &[u8]) -> Self {
        let m = Message::parse(bytes).expect("the server sends messages");
        Self {
            kind: m.kind,
            code: m.code,
            id: m.id,
            token: m.token.to_vec(),
            options: m.options.map(|(n, v)| (n, v.to_vec())).collect(),
            payload: m.payload.to_vec(),
        }
    }

    pub fn option(&self, number: u16) -> Option<&[u8]> {
        let found = self.options.iter().find(|(n, _)| *n == number);
        found.map(|(_, value)| value.as_slice())
    }

    pub fn uint(&self, number: u16) -> Option<u32> {
        self.option(number)
            .map(|v| v.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }

    /// Number, more, size of a block option.
    pub fn block(&self, number: u16) -> Option<(u32, bool, u32)> {
        let value = self.uint(number)?;
        Some((value >> 4, value & 8 != 0, 16 << (value & 7)))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }
}

pub struct Rig {
    pub server: Server<u8>,
    pub app: App,
    pub now: u64,
    /// When the server wants to be called again.
    pub deadline: Option<u64>,
}

impl Rig {
    /// A server whose peers below 100 are known to be where they say.
    pub fn new() -> Self {
        Self::seeded(7)
    }

    pub fn seeded(seed: u128) -> Self {
        let mut server = Server::new(seed);
        server.trust(|peer| *peer < 100);
        // Those that may lie are at hosts of ten ports each.
        server.hosts(|peer| u64::from(if *peer < 100 { *peer } else { peer / 10 + 100 }));
        Self {
            server,
            app: App::default(),
            now: 1_000,
            deadline: None,
        }
    }

    pub fn datagram(&mut self, from: u8, multicast: bool, datagram: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut sent = vec![];
        self.app.now = self.now;
        let mut out = |to: u8, d: &[u8]| sent.push((to, d.to_vec()));
        self.server
            .receive(self.now, from, multicast, datagram, &mut self.app, &mut out);
        sent.extend(self.poll());
        sent
    }

    pub fn poll(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut sent = vec![];
        let mut out = |to: u8, d: &[u8]| sent.push((to, d.to_vec()));
        let now = self.now;
        self.app.now = now;
        let (due, later) = self.app.tickets.drain(..).partition(|(at, _)| *at <= now);
        let due: Vec<(u64, u16)> = due;
        self.app.tickets = later;
        for (_, ticket) in due {
            let text = format!("slow {ticket}");
            self.server
                .complete(now, ticket, |r| r.write(text.as_bytes()), &mut out);
        }
        self.deadline = self.server.poll(now, &mut self.app, &mut out);
        // What was due has been done.
        assert!(self.deadline.is_none_or(|due| due > now));
        sent
    }

    /// What the server sends to this peer in answer to a message from it.
    pub fn send(&mut self, from: u8, message: &Msg) -> Vec<Msg> {
        let sent = self.datagram(from, false, &message.bytes());
        read(from, sent)
    }

    /// The same, when it is one message.
    pub fn ask(&mut self, from: u8, message: &Msg) -> Msg {
        let mut all = self.send(from, message);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Lets time go by, at every deadline on the way; what goes to this peer, with its time.
    pub fn wait(&mut self, peer: u8, milliseconds: u64) -> Vec<(u64, Msg)> {
        let end = self.now + milliseconds;
        let mut all = vec![];
        loop {
            let sent = read(peer, self.poll());
            all.extend(sent.into_iter().map(|m| (self.now, m)));
            let next = self.app.tickets.iter().map(|(at, _)| *at);
            let next = next.chain(self.deadline).min().unwrap_or(end);
            if next >= end {
                self.now = end;
                return all;
            }
            self.now = next.max(self.now + 1);
        }
    }

    /// The value changes, and its observers are told.
    pub fn change(&mut self, peer: u8) -> Vec<Msg> {
        self.app.value += 1;
        for resource in [VALUE, STATE, LARGE, QUERY] {
            self.server.notify(resource);
        }
        read(peer, self.poll())
    }

    /// What peer 1 is told of these resources as they are about to be gone.
    pub fn at_last(&mut self, resources: core::ops::Range<u16>) -> Vec<Msg> {
        let mut sent = vec![];
        let mut out = |to: u8, d: &[u8]| sent.push((to, d.to_vec()));
        let (now, app) = (self.now, &mut self.app);
        self.server.tell_at_last(now, resources, app, &mut out);
        read(1, sent)
    }

    /// Each datagram that came in is counted once under what became of it.
    pub fn check_counters(&self) {
        let c = self.server.counters();
        let sum = c.malformed
            + c.pings
            + c.settled
            + c.stray
            + c.duplicates
            + c.answered
            + c.separate
            + c.full
            + c.suppressed
            + self.server.waiting() as u32;
        assert_eq!(c.received, sum, "{c:?}");
    }
}

fn read(peer: u8, sent: Vec<(u8, Vec<u8>)>) -> Vec<Msg> {
    let of_peer = sent.into_iter().filter(|(to, _)| *to == peer);
    of_peer.map(|(_, bytes)| Msg::read(&bytes)).collect()
}

/// Random numbers that are the same on every machine (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}
