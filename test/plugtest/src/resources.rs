//! The resources of the ETSI CoAP plugtests' test descriptions behind the CoAP server: what the crate wasmote-coap does is then
//! tested without a node around it.
//!
//! What is observed changes every five seconds. The clock is the process's, and `advance MILLISECONDS` on standard input
//! moves it on, past every deadline on the way: a test waits for nothing.
use std::hash::Hash;
use std::time::Instant;
use wasmote_coap::{
    Answer, Application, Code, Request, Response, Server, Transmit, WebLink, format,
};

/// How long /separate takes.
const SEPARATE: u64 = 2_000;
/// How often what is observed changes.
const PERIOD: u64 = 5_000;
/// The largest body that is taken.
const LARGEST: usize = 8_192;

mod observed {
    pub(super) const CON: u16 = 0;
    pub(super) const NON: u16 = 1;
    pub(super) const LARGE: u16 = 2;
    pub(super) const PUMPING: u16 = 3;
}

/// A body with its format.
#[derive(Default)]
struct Body {
    format: u16,
    bytes: Vec<u8>,
    /// What has come of the next one, by upload.
    parts: Vec<(u8, Vec<u8>)>,
}

impl Body {
    fn text(text: &str) -> Self {
        Self {
            bytes: text.as_bytes().to_vec(),
            ..Self::default()
        }
    }

    fn write(&self, response: &mut Response<'_>) {
        response.format(self.format);
        response.write(&self.bytes);
    }

    /// Takes a body or a part of one; whether it is whole, or the answer that refuses it.
    fn take(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Option<bool> {
        let (offset, more) = request
            .block1()
            .map_or((0, false), |part| (part.offset as usize, part.more));
        let size = (request.size1().unwrap_or(0) as usize).max(offset + request.payload.len());
        if size > LARGEST {
            response.size1(LARGEST as u32);
            response.code(Code::REQUEST_ENTITY_TOO_LARGE);
            return None;
        }
        let known = self.parts.iter().position(|(t, _)| *t == request.transfer);
        let index = known.unwrap_or_else(|| {
            self.parts.push((request.transfer, Vec::new()));
            self.parts.len() - 1
        });
        if let Some((_, bytes)) = self.parts.get_mut(index) {
            bytes.truncate(offset);
            bytes.extend_from_slice(request.payload);
        }
        if more {
            return Some(false);
        }
        self.bytes = self.parts.swap_remove(index).1;
        self.format = request.content_format().unwrap_or(format::TEXT);
        Some(true)
    }
}

struct Resources {
    now: u64,
    /// When what is observed changes next.
    changes: u64,
    count: u32,
    test: Body,
    validate: Body,
    create: Option<Body>,
    update: Body,
    created: Option<Body>,
    post: Body,
    /// What /obs was set to, or that it was deleted.
    observed: Option<Body>,
    deleted: bool,
    /// Requests to /separate with the time at which they are answered.
    tickets: Vec<(u64, u16)>,
    ticket: u16,
}

/// Text of this length that differs from block to block.
fn lines(length: usize) -> Vec<u8> {
    let line =
        |i: usize| format!("{i:04} the quick brown fox jumps over the lazy dog, and so on...\n");
    let mut all: Vec<u8> = (0..)
        .map(line)
        .take(length / 60 + 1)
        .collect::<String>()
        .into();
    all.truncate(length);
    all
}

impl Resources {
    fn new(now: u64) -> Self {
        Self {
            now,
            changes: now + PERIOD,
            count: 0,
            test: Body::text("what /test is"),
            validate: Body::text("what /validate is"),
            create: None,
            update: Body::text("what /large-update is"),
            created: None,
            post: Body::default(),
            observed: None,
            deleted: false,
            tickets: Vec::new(),
            ticket: 0,
        }
    }

    fn get(&mut self, path: &[&str], request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        match path {
            ["test"] => self.test.write(response),
            ["seg1", "seg2", "seg3"] => Body::text("three segments deep").write(response),
            ["query"] => {
                let parts: Vec<&str> = request.queries().collect();
                Body::text(&format!("asked for: {}", parts.join("&"))).write(response);
            }
            ["separate"] => {
                self.ticket = self.ticket.wrapping_add(1);
                self.tickets.push((self.now + SEPARATE, self.ticket));
                return Answer::Later(self.ticket);
            }
            ["multi-format"] => match request.accept() {
                None | Some(format::TEXT) => Body::text("plain").write(response),
                Some(format::XML) => {
                    response.format(format::XML);
                    response.write(b"<format>xml</format>");
                }
                Some(_) => response.code(Code::NOT_ACCEPTABLE),
            },
            ["validate"] => self.validate.write(response),
            ["create1"] => match &self.create {
                Some(body) => body.write(response),
                None => response.code(Code::NOT_FOUND),
            },
            ["large"] => {
                response.format(format::TEXT);
                response.write(&lines(1_280));
            }
            ["large-update"] => self.update.write(response),
            ["large-create"] => Body::text("POST here").write(response),
            ["large-create", "1"] if self.created.is_some() => {
                self.created.iter().for_each(|body| body.write(response));
            }
            ["obs"] if self.deleted => response.code(Code::NOT_FOUND),
            ["obs"] => match &self.observed {
                Some(body) => body.write(response),
                None => Body::text(&format!("{}", self.count)).write(response),
            },
            ["obs-non"] => Body::text(&format!("{}", self.count)).write(response),
            ["obs-large" | "obs-pumping"] => {
                let pumping = path == ["obs-pumping"];
                let length = if pumping && self.count % 2 == 1 {
                    700
                } else {
                    1_300
                };
                response.format(format::TEXT);
                response.write(format!("{:04}", self.count).as_bytes());
                response.write(&lines(length));
            }
            ["link1" | "link2" | "link3"] => Body::text("a link").write(response),
            ["path"] => {
                response.format(format::LINK);
                response.write(b"</path/sub1>,</path/sub2>,</path/sub3>");
            }
            ["path", name @ ("sub1" | "sub2" | "sub3")] => {
                Body::text(&format!("/path/{name}")).write(response);
            }
            ["large-post" | "location-query"] => response.code(Code::METHOD_NOT_ALLOWED),
            _ => response.code(Code::NOT_FOUND),
        }
        Answer::Now
    }

    fn put(&mut self, path: &[&str], request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        match path {
            ["test"] => drop(self.test.take(request, response)),
            ["validate"] => drop(self.validate.take(request, response)),
            ["large-update"] => drop(self.update.take(request, response)),
            ["create1"] => {
                let new = self.create.is_none();
                let body = self.create.get_or_insert_default();
                if body.take(request, response) == Some(true) && new {
                    response.code(Code::CREATED);
                }
            }
            ["obs"] => {
                let body = self.observed.get_or_insert_default();
                body.take(request, response);
                self.deleted = false;
                self.changes = self.now;
            }
            _ => return self.refuse(path, response),
        }
        Answer::Now
    }

    fn post(
        &mut self,
        path: &[&str],
        request: &Request<'_>,
        response: &mut Response<'_>,
    ) -> Answer {
        match path {
            ["test"] => {
                response.code(Code::CREATED);
                response.location(&["location1", "location2", "location3"], &[]);
            }
            ["location-query"] => {
                response.code(Code::CREATED);
                response.location(&[], &["first=1", "second=2"]);
            }
            ["large-create"] => {
                let body = self.created.get_or_insert_default();
                if body.take(request, response) == Some(true) {
                    response.code(Code::CREATED);
                    response.location(&["large-create", "1"], &[]);
                }
            }
            ["large-post"] => {
                if self.post.take(request, response) == Some(true) {
                    self.post.bytes.make_ascii_uppercase();
                    self.post.write(response);
                }
            }
            _ => return self.refuse(path, response),
        }
        Answer::Now
    }

    /// A method that the resource lacks, or no such resource.
    fn refuse(&mut self, path: &[&str], response: &mut Response<'_>) -> Answer {
        let known = LINKS.iter().any(|link| link.path == path);
        response.code(if known {
            Code::METHOD_NOT_ALLOWED
        } else {
            Code::NOT_FOUND
        });
        Answer::Now
    }
}

const PLAIN: WebLink<'static> = WebLink {
    path: &[],
    rt: "",
    if_: "",
    ct: &[format::TEXT],
    sz: 0,
    obs: false,
    title: "",
};

const LINKS: [WebLink<'static>; 20] = [
    WebLink {
        path: &["test"],
        rt: "test",
        title: "the default resource",
        ..PLAIN
    },
    WebLink {
        path: &["seg1", "seg2", "seg3"],
        ..PLAIN
    },
    WebLink {
        path: &["query"],
        ..PLAIN
    },
    WebLink {
        path: &["separate"],
        ..PLAIN
    },
    WebLink {
        path: &["location-query"],
        ..PLAIN
    },
    WebLink {
        path: &["multi-format"],
        ct: &[format::TEXT, format::XML],
        ..PLAIN
    },
    WebLink {
        path: &["validate"],
        ..PLAIN
    },
    WebLink {
        path: &["create1"],
        ..PLAIN
    },
    WebLink {
        path: &["large"],
        rt: "block",
        sz: 1_280,
        ..PLAIN
    },
    WebLink {
        path: &["large-update"],
        rt: "block",
        ..PLAIN
    },
    WebLink {
        path: &["large-create"],
        rt: "block",
        ..PLAIN
    },
    WebLink {
        path: &["large-post"],
        rt: "block",
        ..PLAIN
    },
    WebLink {
        path: &["obs"],
        rt: "observe",
        obs: true,
        ..PLAIN
    },
    WebLink {
        path: &["obs-non"],
        rt: "observe",
        obs: true,
        ..PLAIN
    },
    WebLink {
        path: &["obs-large"],
        rt: "observe",
        obs: true,
        sz: 1_304,
        ..PLAIN
    },
    WebLink {
        path: &["obs-pumping"],
        rt: "observe",
        obs: true,
        ..PLAIN
    },
    WebLink {
        path: &["link1"],
        rt: "Type1 Type2",
        if_: "If1",
        ..PLAIN
    },
    WebLink {
        path: &["link2"],
        rt: "Type2 Type3",
        if_: "If2",
        ..PLAIN
    },
    WebLink {
        path: &["link3"],
        rt: "Type1 Type3",
        if_: "foo",
        ..PLAIN
    },
    WebLink {
        path: &["path"],
        ct: &[format::LINK],
        ..PLAIN
    },
];

impl Application for Resources {
    fn handle(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let path: Vec<&str> = request.path().collect();
        match request.method {
            Code::GET => self.get(&path, request, response),
            Code::PUT => self.put(&path, request, response),
            Code::POST => self.post(&path, request, response),
            Code::DELETE => match path.as_slice() {
                ["test"] => Answer::Now,
                ["create1"] => {
                    self.create = None;
                    Answer::Now
                }
                ["obs"] => {
                    self.deleted = true;
                    self.observed = None;
                    self.changes = self.now;
                    Answer::Now
                }
                path => self.refuse(path, response),
            },
            _ => self.refuse(&path, response),
        }
    }

    fn again(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        if request.path().eq(["large-post"]) {
            self.post.write(response);
            return Answer::Now;
        }
        response.fail(Code::REQUEST_ENTITY_INCOMPLETE, format_args!("gone"))
    }

    fn observable(&mut self, request: &Request<'_>) -> Option<u16> {
        match request.path().collect::<Vec<_>>().as_slice() {
            ["obs"] => Some(observed::CON),
            ["obs-non"] => Some(observed::NON),
            ["obs-large"] => Some(observed::LARGE),
            ["obs-pumping"] => Some(observed::PUMPING),
            _ => None,
        }
    }

    fn reliable(&self, resource: u16) -> bool {
        resource != observed::NON
    }

    fn web_link(&self, index: usize, write: &mut dyn FnMut(&WebLink<'_>)) -> bool {
        LINKS.get(index).inspect(|link| write(link)).is_some()
    }
}

/// The server with its resources and its clock.
pub(crate) struct Plugtest<E> {
    server: Server<E>,
    resources: Resources,
    start: Instant,
    /// Milliseconds by which the clock was moved on.
    ahead: u64,
}

impl<E: Copy + Eq + Hash> Plugtest<E> {
    pub(crate) fn new(seed: u128, trusts: fn(&E) -> bool) -> Self {
        let mut server = Server::new(seed);
        server.trust(trusts);
        Self {
            server,
            resources: Resources::new(0),
            start: Instant::now(),
            ahead: 0,
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64 + self.ahead
    }

    pub(crate) fn receive<T: Transmit<E>>(
        &mut self,
        from: E,
        multicast: bool,
        datagram: &[u8],
        out: &mut T,
    ) {
        let now = self.now();
        self.resources.now = now;
        self.server
            .receive(now, from, multicast, datagram, &mut self.resources, out);
    }

    /// Does what is due and says for how many milliseconds nothing will be.
    pub(crate) fn poll<T: Transmit<E>>(&mut self, out: &mut T) -> u64 {
        let now = self.now();
        let r = &mut self.resources;
        r.now = now;
        if now >= r.changes {
            r.changes = now + PERIOD;
            r.count += 1;
            for resource in observed::CON..=observed::PUMPING {
                self.server.notify(resource);
            }
        }
        let due = |(at, _): &mut (u64, u16)| *at <= now;
        for (_, ticket) in self.resources.tickets.extract_if(.., due) {
            let text = Body::text("it took a while");
            self.server
                .complete(now, ticket, |response| text.write(response), out);
        }
        let r = &mut self.resources;
        let deadline = self.server.poll(now, r, out);
        let next = r.tickets.iter().map(|(at, _)| *at).chain(deadline);
        next.fold(r.changes, u64::min).saturating_sub(now)
    }

    /// Moves the clock on.
    pub(crate) fn advance<T: Transmit<E>>(&mut self, milliseconds: u64, out: &mut T) {
        let end = self.ahead + milliseconds;
        while self.ahead < end {
            let wait = self.poll(out).max(1);
            self.ahead = end.min(self.ahead + wait);
        }
        self.poll(out);
    }
}
