//! The upper half: the resources of a node behind its CoAP server. It answers at once, whatever the module does.
use crate::contract::VERSION;
use crate::document::{Document, Quantity, SAMPLE_FORMATS, Sample, samples};
use crate::mail::{App, Chunk, ChunkKind, Down, Event, LINE, ServerMail, Stats, Up};
use crate::module::NAMES;
use crate::package::Provision;
use crate::slot::State;
use core::fmt::Write;
use wasmote_coap::{
    Answer, Application, Code, Counters, Link, Request, Response, Transmit, format,
};

/// Samples kept of each sensor.
const HISTORY: usize = 16;
/// Lines kept of the log.
const LINES: usize = 24;
/// The most that the body of a parameter or the time takes, in bytes.
const SMALL: u32 = 64;
/// An upload that nobody continues for this long, in milliseconds, gives way to another.
const UPLOAD_IDLE: u64 = 10_000;

/// Numbers of what can be observed.
mod observed {
    pub(super) const SENSOR: u16 = 0;
    pub(super) const OUTPUT: u16 = 32;
    pub(super) const PARAMETER: u16 = 64;
    pub(super) const APP: u16 = 96;
    pub(super) const LOG: u16 = 97;
}

/// A sensor of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// Its name.
    pub name: &'static str,
    /// Unit of its values (RFC 8428 §12.1, RFC 8798).
    pub unit: &'static str,
}

/// What a board says of itself.
#[derive(Clone, Debug)]
pub struct Board {
    /// Its name.
    pub name: &'static str,
    /// The class of boards that packages name.
    pub class: &'static str,
    /// Version of the firmware.
    pub version: &'static str,
    /// Where its clock comes from, and how fast it is in hertz.
    pub clock: &'static str,
    /// See `clock`.
    pub hertz: u32,
    /// Why it was reset.
    pub reset: &'static str,
    /// What it looked for and did not find.
    pub missing: heapless::Vec<&'static str, 6>,
    /// Its sensors.
    pub sensors: &'static [Sensor],
    /// RAM for modules, in bytes.
    pub memory: u32,
    /// The largest package with its table, in bytes.
    pub package: u32,
    /// Fuel of a run.
    pub fuel: u32,
}

/// What a board measures of itself while it runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Bytes of stack that were never used.
    pub stack_free: u32,
    /// Thousandths of the last second in which the CPU slept.
    pub idle: u16,
    /// Bytes that the link lost.
    pub link_lost: u32,
    /// Frames of the link that were damaged.
    pub link_damaged: u32,
    /// Datagrams that the link could not send.
    pub link_unsent: u32,
    /// The node's address where it has a network, and whether it came from a server (`dhcp`) or was taken without one (`fixed`).
    pub address: Option<core::net::Ipv4Addr>,
    /// See `address`.
    pub origin: &'static str,
}

#[derive(Debug)]
struct Line {
    at: u64,
    module: bool,
    text: heapless::String<LINE>,
}

/// The upper half of a node, with clients that are addressed by `E`.
pub struct Server<E> {
    coap: wasmote_coap::Server<E>,
    resources: Resources,
}

struct Resources {
    board: Board,
    provision: Provision,
    gauges: Gauges,
    mail: ServerMail,
    app: App,
    stats: Stats,
    history: [heapless::HistoryBuf<Sample, HISTORY>; NAMES],
    outputs: [Option<Sample>; NAMES],
    log: heapless::Deque<Line, LINES>,
    /// Milliseconds since 1970 less those since the start.
    clock: Option<i64>,
    now: u64,
    ticket: u16,
    /// The upload under way: its transfer, and when it was last continued.
    upload: Option<(u8, u64)>,
    /// Samples that found the queue full.
    dropped: u32,
    counters: Counters,
    observers: usize,
}

impl<E: Copy + Eq> Server<E> {
    /// The upper half. The seed should differ from reset to reset.
    pub fn new(board: Board, provision: Provision, mail: ServerMail, seed: u64) -> Self {
        Self {
            coap: wasmote_coap::Server::new(seed),
            resources: Resources {
                board,
                provision,
                gauges: Gauges::default(),
                mail,
                app: App::default(),
                stats: Stats::default(),
                history: [const { heapless::HistoryBuf::new() }; NAMES],
                outputs: [None; NAMES],
                log: heapless::Deque::new(),
                clock: None,
                now: 0,
                ticket: 0,
                upload: None,
                dropped: 0,
                counters: Counters::default(),
                observers: 0,
            },
        }
    }

    /// Takes a datagram.
    pub fn receive<T: Transmit<E>>(
        &mut self,
        now: u64,
        from: E,
        multicast: bool,
        datagram: &[u8],
        out: &mut T,
    ) {
        self.resources.now = now;
        self.resources.counters = *self.coap.counters();
        self.resources.observers = self.coap.observers();
        self.coap
            .receive(now, from, multicast, datagram, &mut self.resources, out);
    }

    /// Takes a sample of the board's sensor with this number, and tells whoever observes it.
    pub fn sample<T: Transmit<E>>(&mut self, now: u64, sensor: u8, value: f32, out: &mut T) {
        let r = &mut self.resources;
        r.now = now;
        let known = usize::from(sensor) < r.board.sensors.len();
        let Some(history) = r.history.get_mut(usize::from(sensor)).filter(|_| known) else {
            return;
        };
        history.write(Sample { value, at: now });
        if r.mail.down.enqueue(Down::Sample(sensor, value)).is_err() {
            r.dropped = r.dropped.saturating_add(1);
        }
        self.coap.notify(observed::SENSOR + u16::from(sensor));
        self.coap.poll(now, &mut self.resources, out);
    }

    /// Adds a line to the log.
    pub fn log(&mut self, now: u64, text: &str) {
        let mut line = heapless::String::new();
        let _ = line.push_str(text);
        self.resources.line(now, false, line);
        self.coap.notify(observed::LOG);
    }

    /// What the board measures of itself.
    pub fn gauges(&mut self) -> &mut Gauges {
        &mut self.resources.gauges
    }

    /// Fetches what the Runner has to say, sends what is due, and returns when to call again at the latest.
    pub fn poll<T: Transmit<E>>(&mut self, now: u64, out: &mut T) -> Option<u64> {
        let (coap, r) = (&mut self.coap, &mut self.resources);
        r.now = now;
        while let Some(app) = r.mail.apps.dequeue() {
            if app.sequence != r.app.sequence {
                r.outputs = [None; NAMES];
            }
            r.app = app;
            coap.notify(observed::APP);
        }
        while let Some(up) = r.mail.up.dequeue() {
            match up {
                Up::Output(number, value) => {
                    if let Some(output) = r.outputs.get_mut(usize::from(number)) {
                        *output = Some(Sample { value, at: now });
                    }
                    // Told one by one, so that two values in a row are both seen.
                    coap.notify(observed::OUTPUT + u16::from(number));
                    coap.poll(now, r, out);
                }
                Up::Parameter(number, value) => {
                    if let Some(place) = r.app.parameters.get_mut(usize::from(number)) {
                        *place = value;
                    }
                    coap.notify(observed::PARAMETER + u16::from(number));
                }
                Up::Log(module, text) => {
                    r.line(now, module, text);
                    coap.notify(observed::LOG);
                }
                Up::Stats(stats) => r.stats = stats,
            }
        }
        while let Some(reply) = r.mail.replies.dequeue() {
            coap.complete(
                now,
                reply.ticket,
                |response| {
                    response.code(reply.code);
                    response.write(&reply.payload);
                },
                out,
            );
        }
        coap.poll(now, r, out)
    }
}

/// A path, as far as resources go.
type Path<'a> = heapless::Vec<&'a str, 4>;

fn path<'a>(request: &Request<'a>) -> Option<Path<'a>> {
    let mut segments = Path::new();
    for segment in request.path() {
        // What lies below /app/x is the module's.
        if segments.len() == 2 && segments.get(..2) == Some(&["app", "x"]) {
            break;
        }
        segments.push(segment).ok()?;
    }
    Some(segments)
}

fn choose(request: &Request<'_>, offered: &[u16]) -> Option<u16> {
    match request.accept() {
        None => offered.first().copied(),
        Some(wanted) => offered.contains(&wanted).then_some(wanted),
    }
}

impl Application for Resources {
    fn handle(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let Some(path) = path(request) else {
            response.code(Code::NOT_FOUND);
            return Answer::Now;
        };
        let method = request.method;
        match (path.as_slice(), method) {
            (["node"], Code::GET) => self.document(request, response, Self::node),
            (["stats"], Code::GET) => self.document(request, response, Self::stats),
            (["app"], Code::GET) => self.document(request, response, Self::app),
            (["app", "staged"], Code::GET) => self.document(request, response, Self::staged),
            (["time"], Code::GET) => self.time(request, response),
            (["time"], Code::PUT) => self.set_time(request, response),
            (["sensors", name], Code::GET) => self.sensor(request, response, name),
            (["outputs", name], Code::GET) => self.output(request, response, name),
            (["app", "params", name], Code::GET) => self.parameter(request, response, name),
            (["app", "params", name], Code::PUT) => self.set_parameter(request, response, name),
            (["log"], Code::GET) => self.lines(request, response),
            (["app"], Code::PUT) => self.upload(request, response),
            (["app"], Code::DELETE) => self.send(response, Down::Remove),
            (["app", "staged"], Code::DELETE) => self.send(response, Down::Discard),
            (["app", "rollback"], Code::POST) => self.send(response, Down::Rollback),
            (["app", "x"], _) if self.app.requests => self.forward(request, response),
            (path, _) => {
                let known = matches!(
                    path,
                    ["node" | "stats" | "app" | "time" | "log"] | ["app", "staged" | "rollback"]
                ) || matches!(path, ["sensors", name] if self.find_sensor(name).is_some())
                    || matches!(path, ["outputs", name] if self.find_output(name).is_some())
                    || matches!(path, ["app", "params", name] if self.find_parameter(name).is_some());
                response.code(if known {
                    Code::METHOD_NOT_ALLOWED
                } else {
                    Code::NOT_FOUND
                });
                Answer::Now
            }
        }
    }

    fn resumes(&mut self, request: &Request<'_>, offset: u32) -> bool {
        let staged = self
            .app
            .staged
            .is_some_and(|(_, _, received)| offset <= received);
        staged && request.method == Code::PUT && request.path().eq(["app"])
    }

    fn observable(&mut self, request: &Request<'_>) -> Option<u16> {
        match path(request)?.as_slice() {
            ["sensors", name] => Some(observed::SENSOR + self.find_sensor(name)? as u16),
            ["outputs", name] => Some(observed::OUTPUT + self.find_output(name)?.0 as u16),
            ["app", "params", name] => {
                Some(observed::PARAMETER + self.find_parameter(name)?.0 as u16)
            }
            ["app"] => Some(observed::APP),
            ["log"] => Some(observed::LOG),
            _ => None,
        }
    }

    fn link(&self, index: usize, write: &mut dyn FnMut(&Link<'_>)) -> bool {
        let documents = &Document::FORMATS;
        let fixed: [Link<'_>; 7] = [
            Link {
                path: &["node"],
                rt: "wasmote.node",
                ct: documents,
                ..Link::default()
            },
            Link {
                path: &["time"],
                rt: "wasmote.time",
                ct: &[format::TEXT],
                ..Link::default()
            },
            Link {
                path: &["app"],
                rt: "wasmote.app",
                ct: documents,
                obs: true,
                ..Link::default()
            },
            Link {
                path: &["app", "staged"],
                rt: "wasmote.staged",
                ct: documents,
                ..Link::default()
            },
            Link {
                path: &["app", "rollback"],
                rt: "wasmote.rollback",
                ..Link::default()
            },
            Link {
                path: &["log"],
                rt: "wasmote.log",
                ct: &[format::TEXT],
                sz: (LINES * LINE) as u32,
                obs: true,
                ..Link::default()
            },
            Link {
                path: &["stats"],
                rt: "wasmote.stats",
                ct: documents,
                ..Link::default()
            },
        ];
        if let Some(link) = fixed.get(index) {
            write(link);
            return true;
        }
        let mut index = index - fixed.len();
        let ct = &SAMPLE_FORMATS;
        if let Some(sensor) = self.board.sensors.get(index) {
            write(&Link {
                path: &["sensors", sensor.name],
                rt: "wasmote.sensor",
                ct,
                obs: true,
                ..Link::default()
            });
            return true;
        }
        index -= self.board.sensors.len();
        if let Some((name, _)) = self.app.facts.outputs().nth(index) {
            let path = &["outputs", name];
            write(&Link {
                path,
                rt: "wasmote.output",
                ct,
                obs: true,
                ..Link::default()
            });
            return true;
        }
        index = index.saturating_sub(self.app.facts.outputs().count());
        if let Some(parameter) = self.app.facts.parameters().nth(index) {
            let path = &["app", "params", parameter.name];
            let ct = &[format::TEXT];
            write(&Link {
                path,
                rt: "wasmote.param",
                ct,
                obs: true,
                ..Link::default()
            });
            return true;
        }
        index = index.saturating_sub(self.app.facts.parameters().count());
        if index == 0 && self.app.requests {
            write(&Link {
                path: &["app", "x"],
                rt: "wasmote.request",
                ..Link::default()
            });
            return true;
        }
        false
    }
}

impl Resources {
    fn line(&mut self, at: u64, module: bool, text: heapless::String<LINE>) {
        if self.log.is_full() {
            self.log.pop_front();
        }
        let _ = self.log.push_back(Line { at, module, text });
    }

    fn node_name(&self) -> &'static str {
        if self.provision.name.is_empty() {
            self.board.name
        } else {
            self.provision.name
        }
    }

    fn find_sensor(&self, name: &str) -> Option<usize> {
        self.board.sensors.iter().position(|s| s.name == name)
    }

    fn find_output(&self, name: &str) -> Option<(usize, &'static str)> {
        let mut all = self.app.facts.outputs().enumerate();
        all.find(|(_, (n, _))| *n == name)
            .map(|(index, (_, unit))| (index, unit))
    }

    fn find_parameter(&self, name: &str) -> Option<(usize, crate::module::Parameter)> {
        self.app
            .facts
            .parameters()
            .enumerate()
            .find(|(_, p)| p.name == name)
    }

    // ---- documents ------------------------------------------------------------------------------------------------------

    fn document(
        &self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        write: impl FnOnce(&Self, &mut Document<'_, '_>),
    ) -> Answer {
        let Some(format) = choose(request, &Document::FORMATS) else {
            response.code(Code::NOT_ACCEPTABLE);
            return Answer::Now;
        };
        let mut document = Document::new(response, format);
        write(self, &mut document);
        document.end();
        Answer::Now
    }

    fn node(&self, d: &mut Document<'_, '_>) {
        let b = &self.board;
        d.text("name", self.node_name());
        d.text("board", b.name);
        d.text("class", b.class);
        d.text("vendor", self.provision.vendor);
        d.text("firmware", b.version);
        d.uint("contract", u64::from(VERSION));
        d.uint("uptime", self.now);
        d.text("reset", b.reset);
        d.text("clock", b.clock);
        d.uint("hertz", u64::from(b.hertz));
        d.texts("missing", b.missing.iter().copied());
        d.bool("development", self.provision.development);
        d.uint("keys", self.provision.keys.len() as u64);
        d.map("limits");
        d.uint("memory", u64::from(b.memory));
        d.uint("package", u64::from(b.package));
        d.uint("fuel", u64::from(b.fuel));
        d.uint("observers", wasmote_coap::OBSERVERS as u64);
        d.uint("transfers", wasmote_coap::TRANSFERS as u64);
        d.end();
        d.uint("free_slots", if self.app.previous > 0 { 1 } else { 2 });
        d.uints("erased", self.app.erased.iter().map(|e| u64::from(*e)));
        d.map("coap");
        let c = &self.counters;
        for (name, value) in [
            ("received", c.received),
            ("sent", c.sent),
            ("malformed", c.malformed),
            ("duplicates", c.duplicates),
            ("full", c.full),
            ("retransmitted", c.retransmitted),
            ("given_up", c.given_up),
            ("stray", c.stray),
            ("suppressed", c.suppressed),
        ] {
            d.uint(name, u64::from(value));
        }
        d.uint("observers", self.observers as u64);
        d.end();
        d.map("link");
        d.uint("lost", u64::from(self.gauges.link_lost));
        d.uint("damaged", u64::from(self.gauges.link_damaged));
        d.uint("unsent", u64::from(self.gauges.link_unsent));
        if let Some(address) = self.gauges.address {
            let mut text = heapless::String::<15>::new();
            let _ = write!(text, "{address}");
            d.text("address", &text);
            d.text("origin", self.gauges.origin);
        }
        d.end();
        d.uint("samples_dropped", u64::from(self.dropped));
        d.uint("stack_free", u64::from(self.gauges.stack_free));
    }

    fn stats(&self, d: &mut Document<'_, '_>) {
        let s = &self.stats;
        d.uint("runs", u64::from(s.runs));
        d.uint("fuel", u64::from(s.fuel));
        d.uint("fuel_max", u64::from(s.fuel_max));
        d.uint("fuel_total", s.fuel_total);
        d.uint("micros", u64::from(s.micros));
        d.uint("micros_max", u64::from(s.micros_max));
        d.uint("gap_max", u64::from(s.gap_max));
        d.uint("traps", u64::from(s.traps));
        d.uint("ticks_missed", u64::from(s.ticks_missed));
        d.uint("samples_dropped", u64::from(self.dropped));
        d.uint("idle", u64::from(self.gauges.idle));
    }

    fn app(&self, d: &mut Document<'_, '_>) {
        let a = &self.app;
        let running = matches!(a.state, State::Trial | State::Confirmed);
        d.text("state", if running { a.state.name() } else { "empty" });
        if running {
            d.text("name", &a.name);
            d.text("version", &a.version);
            d.uint("sequence", u64::from(a.sequence));
            d.bytes("digest", &a.digest);
            d.uint("size", u64::from(a.size));
            d.uint("table", u64::from(a.table));
            d.uint("ram", u64::from(a.ram));
            d.uint("slot", u64::from(a.slot));
            d.uint("trial", u64::from(a.trial));
            d.uint("tick", u64::from(a.facts.tick));
            d.texts("sensors", a.facts.sensors());
            d.texts("outputs", a.facts.outputs().map(|(name, _)| name));
            d.texts("params", a.facts.parameters().map(|p| p.name));
            d.bool("requests", a.requests);
        }
        d.uint("previous", u64::from(a.previous));
        d.uint("highest", u64::from(a.highest));
        d.bool("returned", a.returned);
        let (what, sequence) = match a.event {
            Event::None => return,
            Event::Trap(sequence, _) => ("trap", sequence),
            Event::Fuel(sequence, _) => ("fuel", sequence),
            Event::Reset(sequence) => ("reset", sequence),
            Event::Hand(sequence) => ("rollback", sequence),
            Event::Damaged(sequence) => ("damaged", sequence),
        };
        d.map("event");
        d.text("what", what);
        d.uint("sequence", u64::from(sequence));
        if let Event::Trap(_, trap) = a.event {
            d.text("trap", trap.kind.message());
        }
        let place = match a.event {
            Event::Trap(_, trap) => Some(trap.place),
            Event::Fuel(_, place) => Some(place),
            _ => None,
        };
        if let Some(place) = place {
            d.uint("function", u64::from(place.function));
            d.uint("offset", u64::from(place.offset));
            d.uints("backtrace", a.backtrace.iter().map(|p| u64::from(p.offset)));
        }
        d.end();
    }

    fn staged(&self, d: &mut Document<'_, '_>) {
        if let Some((digest, size, received)) = &self.app.staged {
            d.bytes("digest", digest);
            d.uint("size", u64::from(*size));
            d.uint("received", u64::from(*received));
        }
    }

    // ---- values ---------------------------------------------------------------------------------------------------------

    fn sensor(&mut self, request: &Request<'_>, response: &mut Response<'_>, name: &str) -> Answer {
        let found = self
            .find_sensor(name)
            .and_then(|i| Some((self.board.sensors.get(i)?, self.history.get(i)?)));
        let Some((sensor, history)) = found else {
            response.code(Code::NOT_FOUND);
            return Answer::Now;
        };
        let Some(form) = choose(request, &SAMPLE_FORMATS) else {
            response.code(Code::NOT_ACCEPTABLE);
            return Answer::Now;
        };
        let what = Quantity {
            node: self.node_name(),
            name: sensor.name,
            unit: sensor.unit,
        };
        // `?n=5`: the last five, in SenML.
        let wanted = request.query("n").and_then(|n| n.parse().ok()).unwrap_or(1);
        let skip = history.len().saturating_sub(wanted);
        samples(
            response,
            form,
            what,
            self.clock,
            self.now,
            history.oldest_ordered().skip(skip),
        );
        Answer::Now
    }

    fn output(&mut self, request: &Request<'_>, response: &mut Response<'_>, name: &str) -> Answer {
        let Some((index, unit)) = self.find_output(name) else {
            response.code(Code::NOT_FOUND);
            return Answer::Now;
        };
        let Some(form) = choose(request, &SAMPLE_FORMATS) else {
            response.code(Code::NOT_ACCEPTABLE);
            return Answer::Now;
        };
        let what = Quantity {
            node: self.node_name(),
            name,
            unit,
        };
        let newest = self.outputs.get(index).and_then(Option::as_ref);
        samples(
            response,
            form,
            what,
            self.clock,
            self.now,
            newest.into_iter(),
        );
        Answer::Now
    }

    fn time(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        if choose(request, &[format::TEXT]).is_none() {
            response.code(Code::NOT_ACCEPTABLE);
            return Answer::Now;
        }
        response.format(format::TEXT);
        let now = self
            .clock
            .map_or(0, |offset| offset.wrapping_add(self.now as i64));
        let _ = write!(
            response,
            "{}.{:03}",
            now.div_euclid(1000),
            now.rem_euclid(1000)
        );
        Answer::Now
    }

    /// The body of a request that fits one block, as text.
    fn small<'a>(request: &Request<'a>, response: &mut Response<'_>) -> Option<&'a str> {
        let wise = request.block1().is_some_and(|b| b.more || b.offset > 0);
        if wise || request.payload.len() > SMALL as usize {
            response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("at most {SMALL} bytes"),
            );
            response.size1(SMALL);
            return None;
        }
        if !matches!(
            request.content_format(),
            None | Some(format::TEXT | format::JSON)
        ) {
            response.code(Code::UNSUPPORTED_CONTENT_FORMAT);
            return None;
        }
        let text = core::str::from_utf8(request.payload).ok().map(str::trim);
        if text.is_none() {
            response.fail(Code::BAD_REQUEST, format_args!("not UTF-8"));
        }
        text
    }

    fn set_time(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let Some(text) = Self::small(request, response) else {
            return Answer::Now;
        };
        // Exact to the millisecond, which a float would not be.
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = fraction.bytes().all(|b| b.is_ascii_digit());
        let mut millis = 0;
        for place in 0..3 {
            millis = millis * 10
                + fraction
                    .as_bytes()
                    .get(place)
                    .map_or(0, |b| i64::from(b.wrapping_sub(b'0')));
        }
        match seconds.parse::<u32>() {
            Ok(seconds) if digits => {
                let offset = i64::from(seconds) * 1000 + millis - self.now as i64;
                self.clock = Some(offset);
                if self.mail.down.enqueue(Down::Clock(offset)).is_err() {
                    return busy(response);
                }
                Answer::Now
            }
            _ => response.fail(
                Code::BAD_REQUEST,
                format_args!("seconds since 1970-01-01 UTC, as in 1700000000.5"),
            ),
        }
    }

    fn parameter(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        name: &str,
    ) -> Answer {
        let found = self.find_parameter(name);
        let value = found.and_then(|(index, _)| self.app.parameters.get(index));
        let Some(value) = value else {
            response.code(Code::NOT_FOUND);
            return Answer::Now;
        };
        if choose(request, &[format::TEXT, format::JSON]).is_none() {
            response.code(Code::NOT_ACCEPTABLE);
            return Answer::Now;
        }
        response.format(request.accept().unwrap_or(format::TEXT));
        let _ = write!(response, "{value}");
        Answer::Now
    }

    fn set_parameter(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        name: &str,
    ) -> Answer {
        let Some((index, parameter)) = self.find_parameter(name) else {
            response.code(Code::NOT_FOUND);
            return Answer::Now;
        };
        let Some(text) = Self::small(request, response) else {
            return Answer::Now;
        };
        let range = parameter.minimum..=parameter.maximum;
        match text.parse::<f32>() {
            Ok(value) if range.contains(&value) => self.send(response, |ticket| {
                Down::Parameter(ticket, index as u8, value)
            }),
            _ => response.fail(
                Code::BAD_REQUEST,
                format_args!(
                    "{name} takes a number from {} to {}",
                    range.start(),
                    range.end()
                ),
            ),
        }
    }

    fn lines(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        if choose(request, &[format::TEXT]).is_none() {
            response.code(Code::NOT_ACCEPTABLE);
            return Answer::Now;
        }
        response.format(format::TEXT);
        // Who observes gets the newest line.
        let skip = if request.notification {
            self.log.len().saturating_sub(1)
        } else {
            0
        };
        for line in self.log.iter().skip(skip) {
            let from = if line.module { "module" } else { "node" };
            let _ = writeln!(
                response,
                "{}.{:03} {from}: {}",
                line.at / 1000,
                line.at % 1000,
                line.text
            );
        }
        Answer::Now
    }

    // ---- what the Runner answers ------------------------------------------------------------------------------------------

    fn next_ticket(&mut self) -> u16 {
        self.ticket = self.ticket.wrapping_add(1);
        self.ticket
    }

    fn send(&mut self, response: &mut Response<'_>, make: impl FnOnce(u16) -> Down) -> Answer {
        let ticket = self.next_ticket();
        match self.mail.down.enqueue(make(ticket)) {
            Ok(()) => Answer::Later(ticket),
            Err(_) => busy(response),
        }
    }

    fn upload(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let (offset, more) = request.block1().map_or((0, false), |b| (b.offset, b.more));
        if !matches!(request.content_format(), None | Some(format::OCTETS)) {
            response.code(Code::UNSUPPORTED_CONTENT_FORMAT);
            return Answer::Now;
        }
        if request
            .size1()
            .is_some_and(|size| size > self.board.package)
        {
            response.size1(self.board.package);
            response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("needs: larger than a slot"),
            );
            return Answer::Now;
        }
        // One upload at a time; whoever is at it goes first while it lasts.
        if let Some((owner, last)) = self.upload
            && owner != request.transfer
            && self.now < last + UPLOAD_IDLE
        {
            return busy(response);
        }
        let answer = self.chunk(request, response, ChunkKind::Part { offset, more }, 0);
        if answer != Answer::Now {
            self.upload = more.then_some((request.transfer, self.now));
        }
        answer
    }

    fn forward(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        if request.block1().is_some_and(|b| b.more || b.offset > 0) {
            return response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("a request to a module is one block"),
            );
        }
        let length: usize = request.path().skip(2).map(|s| s.len() + 1).sum();
        let length = length.saturating_sub(1);
        if length + request.payload.len() > self.app.facts.buffer as usize {
            return response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("path and payload: at most {} bytes", self.app.facts.buffer),
            );
        }
        self.chunk(
            request,
            response,
            ChunkKind::Request(request.method, length as u16),
            2,
        )
    }

    /// Hands over a payload, with the path behind the first `skip` segments before it when it is a request.
    fn chunk(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        kind: ChunkKind,
        skip: usize,
    ) -> Answer {
        if !self.mail.chunks.ready() {
            return busy(response);
        }
        let mut bytes = heapless::Vec::new();
        if skip > 0 {
            for (index, segment) in request.path().skip(skip).enumerate() {
                let _ = bytes.extend_from_slice(if index > 0 { b"/" } else { b"" });
                let _ = bytes.extend_from_slice(segment.as_bytes());
            }
        }
        if bytes.extend_from_slice(request.payload).is_err() {
            return response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("at most 1024 bytes at once"),
            );
        }
        let ticket = self.next_ticket();
        let _ = self.mail.chunks.enqueue(Chunk {
            ticket,
            kind,
            bytes,
        });
        Answer::Later(ticket)
    }
}

/// 5.03: something is full; the client may try again.
fn busy(response: &mut Response<'_>) -> Answer {
    response.max_age(1);
    response.fail(Code::SERVICE_UNAVAILABLE, format_args!("busy: try again"))
}
