//! The upper half: the resources of a node behind its CoAP server. It answers at once, whatever the module does.
mod answered;
mod describe;
mod exchange;
mod forward;
mod guard;
mod hear;
mod outputs;
mod register;
mod sense;
mod settings;

use crate::board::{Board, Fault, Gauges};
use crate::contract::{Kind, RESOURCES, Resource};
use crate::decimal::Decimal;
use crate::document::{Quantity, Sample, Value, samples, seconds};
use crate::history::History;
use crate::keyring::Keyring;
use crate::log::{LINES, Line, Log};
use crate::mail::{App, Down, LINE, ReplyKind, Said, ServerMail, Stats};
use crate::memory::{Guarded, ServerMemory};
use crate::moments::{Moment, Moments};
use crate::number::{Binary, milliseconds};
use crate::package::Provision;
use crate::registration::Registration;
use crate::turns::{Lane, Turns};
use core::fmt::{self, Write};
use core::hash::Hash;
use core::hint::black_box;
use wasmote_coap::{
    Answer, Application, Code, Counters, Request, Response, Transmit, WebLink, format, option,
};

/// The most that the body of a parameter or the time takes, in bytes.
const SMALL: u32 = 64;

/// Parts of packages that were handed over and not answered: one waits, one is dealt with, and answers are on their way.
const HANDED: usize = 4;

/// What `/node` and the log say where nobody said how high a ranger hangs, and discovery of its sensor.
const NO_HEIGHT: &str = "height (level is the distance)";
const DISTANCE: &str = "the distance, as no height is provisioned";

/// Numbers of what can be observed.
mod observed {
    pub(super) const SENSOR: u16 = 0;
    pub(super) const OUTPUT: u16 = 32;
    pub(super) const PARAMETER: u16 = 64;
    pub(super) const APP: u16 = 96;
    pub(super) const LOG: u16 = 97;
}

/// The upper half of a node, with clients that are addressed by `E`.
pub struct Server<E: 'static> {
    coap: &'static mut Guarded<E>,
    trusts: fn(&E) -> bool,
    /// The node's own, at a resource directory.
    registration: Option<Registration<E>>,
    resources: Resources,
}

struct Resources {
    board: Board,
    provision: Provision,
    guard: guard::Guard,
    exchange: exchange::Exchange,
    gauges: Gauges,
    mail: ServerMail,
    app: App,
    stats: Stats,
    history: &'static mut History,
    outputs: outputs::Outputs,
    /// Long answers of the module.
    answered: answered::Answered,
    /// The newest distance of a ranger, and whose level was made of it.
    raw: Option<(u8, Sample)>,
    /// Sensors whose values are none any more, which the Runner does not know yet: bits by their number.
    lost: u16,
    log: &'static mut Log,
    /// Lines of it that nobody took to show them.
    untaken: usize,
    /// Milliseconds since 1970 less those since the start.
    clock: Option<i64>,
    now: u64,
    ticket: u16,
    /// Samples that found the queue full, and requests that did.
    dropped: u32,
    refused: u32,
    counters: Counters,
    observers: usize,
    /// What the answer in the making tells of the node, and that of the reads under way.
    moment: Moment,
    moments: Moments,
    turns: Turns,
    /// Tickets of parts of packages, with whose turns they took.
    handed: heapless::Deque<(u16, Lane), HANDED>,
}

impl<E: Copy + Eq + Hash> Server<E> {
    /// The upper half. The seed must differ from reset to reset, and be as random as the board can make it. `host` says which host a
    /// client is at, as a number of the board's choice: shares and turns are a host's, however many ports it uses. `None` is for a
    /// link with a single client.
    pub fn new(
        board: Board,
        provision: Provision,
        keyring: &Keyring,
        memory: ServerMemory<E>,
        seed: u128,
        host: Option<fn(&E) -> u64>,
    ) -> Self {
        memory.coap.seed(seed);
        if let Some(host) = host {
            memory.coap.hosts(host);
        }
        let stage = memory.coap.security();
        let mut guard = guard::Guard::new(&provision, keyring, stage, seed, board.reset);
        let mut mail = memory.mail;
        // Numbers are asked for before anybody is heard: the Runner's first step, which comes before the node is ready, writes them. Not
        // by a method of the whole: that would be made on the stack first, which has no room for it twice.
        guard.asks(stage, &mut mail, 0);
        Self {
            coap: memory.coap,
            registration: None,
            trusts: |_| false,
            resources: Resources {
                board,
                provision,
                guard,
                exchange: exchange::Exchange::new(),
                gauges: Gauges::default(),
                mail,
                app: App::default(),
                stats: Stats::default(),
                history: memory.history,
                outputs: outputs::Outputs::new(),
                answered: answered::Answered::new(memory.body),
                raw: None,
                lost: 0,
                log: memory.log,
                untaken: 0,
                clock: None,
                now: 0,
                ticket: 0,
                dropped: 0,
                refused: 0,
                counters: Counters::default(),
                observers: 0,
                moment: Moment::default(),
                moments: Moments::new(),
                turns: Turns::new((seed ^ (seed >> 64)) as u64),
                handed: heapless::Deque::new(),
            },
        }
    }

    /// Which clients need not show that they are where they say: see [`wasmote_coap::Server::trust`].
    pub fn trust(&mut self, trusts: fn(&E) -> bool) {
        self.trusts = trusts;
        self.coap.trust(trusts);
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
        if let Some(registration) = &mut self.registration
            && !multicast
        {
            let (taken, news) = registration.receive(now, from, datagram, out);
            self.registered(now, news);
            if taken {
                return;
            }
        }
        if self.passes_over(datagram) {
            return;
        }
        self.resources.now = now;
        // What lies in flash by now counts for this one already.
        self.resources.reserved(self.coap.security(), now);
        self.resources.guard.local = (self.trusts)(&from);
        self.resources.guard.counters = self.coap.security().counters();
        self.resources.counters = *self.coap.counters();
        self.resources.observers = self.coap.observers();
        self.coap
            .receive(now, from, multicast, datagram, &mut self.resources, out);
    }

    /// Adds a line to the log.
    pub fn log(&mut self, now: u64, text: &str) {
        let mut line = heapless::String::new();
        let _ = line.push_str(text);
        self.resources.line(now, None, line);
        self.coap.notify(observed::LOG);
    }

    /// The oldest line of the log that was not taken yet, for those who watch a serial line (see [`crate::link::diagnostic`]).
    pub fn take_line(&mut self) -> Option<impl fmt::Display + '_> {
        let r = &mut self.resources;
        let at = r
            .log
            .0
            .len()
            .checked_sub(r.untaken)
            .filter(|_| r.untaken > 0)?;
        r.untaken -= 1;
        r.log.0.iter().nth(at)
    }

    /// Whether something that the board looks for is missing now. What changes is told in the log.
    pub fn missing(&mut self, now: u64, what: &'static str, missing: bool) {
        let all = &mut self.resources.board.missing;
        let place = all.iter().position(|m| *m == what);
        let text = match (place, missing) {
            (None, true) if all.push(what).is_ok() => "missing: ",
            (Some(place), false) => {
                all.remove(place);
                "found: "
            }
            _ => return,
        };
        let mut line = heapless::String::new();
        let _ = line.push_str(text).and_then(|()| line.push_str(what));
        self.resources.line(now, None, line);
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
        r.tell_lost();
        loop {
            // Before a package is taken, what the one before it said: the Runner holds the new one's words back until then.
            let news = r.mail.apps.ready();
            r.hear(now, coap, out);
            if !news {
                break;
            }
            r.adopt(now, coap, out);
        }
        while let Some(mut reply) = r.mail.replies.dequeue() {
            r.answered.take(&mut reply);
            if let (ReplyKind::Received(now), Some((.., received))) =
                (reply.kind, &mut r.app.staged)
            {
                *received = now;
            }
            r.settle(reply.ticket, matches!(reply.kind, ReplyKind::Received(_)));
            if !r.exchanged(&mut reply) {
                continue;
            }
            coap.complete(
                now,
                reply.ticket,
                |response| {
                    response.code(reply.code);
                    if reply.code == Code::SERVICE_UNAVAILABLE {
                        response.max_age(1);
                    }
                    if let ReplyKind::State(number, form) = reply.kind {
                        r.state(response, number, form, &reply.payload);
                    } else {
                        if let Some(format) = reply.format() {
                            response.format(format);
                        }
                        response.write(&reply.payload);
                        response.write(r.answered.body(reply.ticket));
                    }
                },
                out,
            );
            // Behind the answer, which may be protected with what goes.
            r.changed(coap.security(), reply.ticket, reply.code);
        }
        if let Some(body) = r.answered.lent() {
            // There is room for the only one.
            let _ = r.mail.bodies.enqueue(body);
        }
        self.seat(now, out);
        let (coap, r) = (&mut self.coap, &mut self.resources);
        r.tend(coap.security(), now);
        let later = r.tend_at(coap.security());
        let later = later.into_iter().chain(r.seat_at()).min();
        let due = coap.poll(now, r, out);
        let due = later.into_iter().chain(due).min();
        let Some(registration) = &mut self.registration else {
            return due;
        };
        let (next, news) = registration.poll(now, out);
        self.registered(now, news);
        // What is to be told of it is told when it is called again.
        let next = if news.is_some() { now } else { next };
        Some(due.map_or(next, |due| due.min(next)))
    }
}

/// A path, as far as resources go.
type Path<'a> = heapless::Vec<&'a str, 4>;

fn choose(request: &Request<'_>, offered: &[u16]) -> Option<u16> {
    match request.accept() {
        None => offered.first().copied(),
        Some(wanted) => offered.contains(&wanted).then_some(wanted),
    }
}

impl Application for Resources {
    fn handle(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let route = Self::route(request);
        if let Some(code) = self.refuses(request, route.map(|(resource, _)| resource)) {
            response.code(code);
            return Answer::Now;
        }
        let Some((resource, name)) = route.filter(|route| self.there(route)) else {
            response.code(Code::NOT_FOUND);
            return Answer::Now;
        };
        if !resource.methods.contains(&request.method) {
            response.code(Code::METHOD_NOT_ALLOWED);
            return Answer::Now;
        }
        // Once more, of what the compiler takes for something else: an instruction that a disturbance of the chip leaves out gives nobody a
        // right (`test/node/skip.test.ts`).
        if let Some(code) = black_box(&*self).refuses(black_box(request), Some(resource)) {
            response.code(code);
            return Answer::Now;
        }
        let reads = request.method == Code::GET && resource.kind != Kind::Request;
        if reads
            && resource.kind == Kind::State
            && let Some(form) = choose(request, resource.formats)
        {
            // Only the Runner sees the module's memory.
            let number = self.find_state(name).unwrap_or_default() as u8;
            self.send(request, response, |ticket| {
                Down::State(ticket, number, form)
            })
        } else if reads && let Some(form) = choose(request, resource.formats) {
            if matches!(resource.kind, Kind::Node | Kind::Stats) {
                let present = Moment {
                    now: self.now,
                    counters: self.counters,
                    observers: self.observers,
                    gauges: self.gauges,
                    stats: self.stats,
                    guard: self.guard.counters,
                    dropped: self.dropped,
                    refused: self.refused,
                    ..Moment::default()
                };
                self.moment = self.moments.choose(request.read, present.measured());
            } else {
                self.moments.forget(request.read);
            }
            self.read(request, response, resource, name, form)
        } else if reads {
            response.code(Code::NOT_ACCEPTABLE);
            Answer::Now
        } else {
            self.act(request, response, resource, name)
        }
    }

    fn again(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let route = Self::route(request);
        if let Some(code) = self.refuses(request, route.map(|(resource, _)| resource)) {
            response.code(code);
            return Answer::Now;
        }
        if self.answered.repeat(request, response) {
            return Answer::Now;
        }
        response.fail(
            Code::REQUEST_ENTITY_INCOMPLETE,
            format_args!("the answer is no longer there: ask again"),
        )
    }

    fn resumes(&mut self, request: &Request<'_>, offset: u32) -> bool {
        let staged = self
            .app
            .staged
            .is_some_and(|(_, _, received)| offset <= received);
        staged && request.method == Code::PUT && request.path().eq(["app"])
    }

    fn observable(&mut self, request: &Request<'_>) -> Option<u16> {
        let (resource, name) = Self::route(request).filter(|route| self.there(route))?;
        if self.refuses(request, Some(resource)).is_some() {
            return None;
        }
        let first = match resource.kind {
            Kind::Sensors => observed::SENSOR + self.find_sensor(name)? as u16,
            Kind::Outputs => observed::OUTPUT + self.find_output(name)?.0 as u16,
            Kind::Params => observed::PARAMETER + self.find_parameter(name)?.0 as u16,
            Kind::App => observed::APP,
            Kind::Log => observed::LOG,
            _ => return None,
        };
        resource.observe.then_some(first)
    }

    /// Which filter runs, and what a parameter is: few changes, and each is to arrive.
    fn reliable(&self, resource: u16) -> bool {
        resource == observed::APP || (observed::PARAMETER..observed::APP).contains(&resource)
    }

    fn web_link(&self, index: usize, write: &mut dyn FnMut(&WebLink<'_>)) -> bool {
        let mut index = index;
        for resource in &RESOURCES {
            let count = match resource.kind {
                Kind::Sensors => self.board.sensors.len(),
                Kind::Outputs => self.app.facts.output_count().into(),
                Kind::Params => self.app.facts.parameter_count().into(),
                Kind::State => self.app.facts.state_count().into(),
                Kind::Request => usize::from(self.app.requests),
                // Each has a number, which the list tells; and what is everywhere the same is not discovered.
                Kind::Key | Kind::Exchange => 0,
                _ => 1,
            };
            if index >= count {
                index -= count;
                continue;
            }
            let mut path = Path::new();
            let _ = path.extend_from_slice(resource.path);
            let name = match resource.kind {
                Kind::Sensors => self.board.sensors.get(index).map(|s| s.name),
                Kind::Outputs => self.app.facts.output_name(index),
                Kind::Params => self.app.facts.parameter_name(index),
                Kind::State => self.app.facts.state_name(index),
                _ => None,
            };
            path.extend(name);
            write(&WebLink {
                path: &path,
                rt: resource.rt,
                if_: resource.interface,
                ct: resource.formats,
                // What is small says nothing (RFC 6690 §3.3).
                sz: if resource.kind == Kind::Log {
                    (LINES * LINE) as u32
                } else {
                    0
                },
                obs: resource.observe,
                title: if resource.kind == Kind::Sensors && self.is_distance(index) {
                    DISTANCE
                } else {
                    ""
                },
            });
            return true;
        }
        false
    }
}

/// A body of a few bytes: a number, or text that may be one.
enum Small<'a> {
    Text(&'a str),
    Number(Binary),
}

impl Resources {
    fn line(&mut self, at: u64, said: Option<Said>, text: heapless::String<LINE>) {
        self.untaken = LINES.min(self.untaken + 1);
        self.log.push(Line { at, said, text });
    }

    fn node_name(&self) -> &'static str {
        if self.provision.name.is_empty() {
            self.board.name
        } else {
            self.provision.name
        }
    }

    /// Whether the level of this sensor is a ranger's distance.
    fn is_distance(&self, sensor: usize) -> bool {
        let ranges = self.raw.is_some_and(|(its, _)| usize::from(its) == sensor);
        ranges && self.provision.height.is_none()
    }

    fn find_sensor(&self, name: &str) -> Option<usize> {
        self.board.sensors.iter().position(|s| s.name == name)
    }

    fn find_parameter(&self, name: &str) -> Option<(usize, crate::module::Parameter)> {
        self.app
            .facts
            .parameters()
            .enumerate()
            .find(|(_, p)| p.name == name)
    }

    fn find_state(&self, name: &str) -> Option<usize> {
        self.app.facts.states().position(|s| s.name == name)
    }

    // ---- documents ------------------------------------------------------------------------------------------------------

    /// Answers a GET in this format.
    fn read(
        &self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        resource: &Resource,
        name: &str,
        form: u16,
    ) -> Answer {
        match resource.kind {
            Kind::Node if self.stranger(request) => {
                self.document(response, resource, form, &mut Self::front);
            }
            Kind::Node => self.document(response, resource, form, &mut Self::node),
            Kind::Keys => self.document(response, resource, form, &mut Self::keys),
            Kind::Stats => self.document(response, resource, form, &mut Self::stats),
            Kind::App => self.document(response, resource, form, &mut Self::app),
            Kind::Staged => self.document(response, resource, form, &mut Self::staged),
            Kind::Tier => self.document(response, resource, form, &mut Self::tier),
            Kind::Time => self.time(response, form),
            Kind::Sensors => return self.sensor(request, response, name, form),
            Kind::Outputs => self.output(response, name, form),
            Kind::Params => self.parameter(response, name, form),
            Kind::Log => self.lines(request, response, resource, form),
            Kind::Rollback | Kind::State | Kind::Request | Kind::Key | Kind::Exchange => {}
        }
        Answer::Now
    }

    /// Does what any other method asks for.
    fn act(
        &mut self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        resource: &Resource,
        name: &str,
    ) -> Answer {
        match (resource.kind, request.method) {
            (Kind::App, Code::PUT) => self.upload(request, response),
            (Kind::App, Code::DELETE) => self.send(request, response, Down::Remove),
            (Kind::Staged, _) => self.send(request, response, Down::Discard),
            (Kind::Rollback, _) => self.send(request, response, Down::Rollback),
            (Kind::Time, _) => self.set_time(request, response),
            (Kind::Tier, _) => self.set_tier(request, response),
            (Kind::Params, _) => self.set_parameter(request, response, name),
            (Kind::Request, _) => self.forward(request, response),
            (Kind::Key, _) => self.change_key(request, response, name),
            (Kind::Exchange, _) => self.exchange(request, response),
            _ => {
                response.code(Code::METHOD_NOT_ALLOWED);
                Answer::Now
            }
        }
    }

    // ---- values ---------------------------------------------------------------------------------------------------------

    /// `?n=5`: the last five in SenML, of which the board keeps [`crate::history::HISTORY`].
    fn sensor(
        &self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        name: &str,
        form: u16,
    ) -> Answer {
        let wanted = match request.query("n").map(str::parse::<usize>) {
            None => 1,
            Some(Ok(wanted)) => wanted,
            Some(Err(_)) => {
                return response.fail(
                    Code::BAD_REQUEST,
                    format_args!("n is how many samples are wanted"),
                );
            }
        };
        let Some(index) = self.find_sensor(name) else {
            return Answer::Now;
        };
        let (Some(sensor), Some(track)) =
            (self.board.sensors.get(index), self.history.0.get(index))
        else {
            return Answer::Now;
        };
        let raw = self.raw.filter(|(its, _)| usize::from(*its) == index);
        let raw = raw.as_ref().map(|(_, sample)| sample);
        let asks_raw = request.queries().any(|q| q == "raw");
        let newest = asks_raw || request.query("n").is_none();
        let fault = track.fault(self.now).filter(|_| newest);
        let max_age = track.max_age(self.now);
        if max_age < 60 {
            response.max_age(max_age);
        }
        let observes = request.notification || request.options.get(option::OBSERVE).is_some();
        if let (Some(fault), true) = (fault, asks_raw || !observes) {
            // Whoever asks for a value gets none. Who observes is told so in its format, and goes on observing.
            let last = if asks_raw {
                raw
            } else {
                track.newest(1).last()
            };
            return self.unwell(response, sensor.name, fault, last);
        }
        if asks_raw {
            self.samples(response, form, "distance", "mm", None, &mut raw.into_iter());
            return Answer::Now;
        }
        let count = if fault.is_some() { 0 } else { wanted };
        let mut newest = track.newest(count);
        let state = fault.map(Fault::name);
        self.samples(response, form, sensor.name, sensor.unit, state, &mut newest);
        Answer::Now
    }

    /// 5.03: what is wrong with a sensor, and what it said last.
    fn unwell(
        &self,
        response: &mut Response<'_>,
        name: &str,
        fault: Fault,
        last: Option<&Sample>,
    ) -> Answer {
        let fault = fault.name();
        let Some(Sample { value, at }) = last else {
            return response.fail(
                Code::SERVICE_UNAVAILABLE,
                format_args!("{name}: {fault}; it never gave a value"),
            );
        };
        let (value, age) = (Decimal::from(*value), self.now.saturating_sub(*at) / 1000);
        response.fail(
            Code::SERVICE_UNAVAILABLE,
            format_args!("{name}: {fault}; {value} was {age} s ago"),
        )
    }

    fn samples(
        &self,
        response: &mut Response<'_>,
        form: u16,
        name: &str,
        unit: &str,
        state: Option<&str>,
        all: &mut dyn Iterator<Item = &Sample>,
    ) {
        let what = Quantity {
            node: self.node_name(),
            name,
            unit,
            state,
        };
        samples(response, form, what, self.clock, self.now, all);
    }

    /// Seconds since 1970, to the millisecond; 0 while nobody has set the clock.
    fn time(&self, response: &mut Response<'_>, form: u16) {
        let now = self
            .clock
            .map_or(0, |offset| offset.wrapping_add(self.now as i64));
        seconds(response, form, self.node_name(), now);
    }

    /// The body of a request that fits one block.
    fn small<'a>(request: &Request<'a>, response: &mut Response<'_>) -> Option<Small<'a>> {
        let refuse = |response: &mut Response<'_>, why: &str| {
            response.fail(Code::BAD_REQUEST, format_args!("{why}"));
            None
        };
        let wise = request.block1().is_some_and(|b| b.more || b.offset > 0);
        if wise || request.payload.len() > SMALL as usize {
            response.fail(
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("at most {SMALL} bytes"),
            );
            response.size1(SMALL);
            return None;
        }
        match request.content_format() {
            None | Some(format::TEXT | format::JSON) => {
                let text = core::str::from_utf8(request.payload).ok();
                text.map(|text| Small::Text(text.trim()))
                    .or_else(|| refuse(response, "not UTF-8"))
            }
            Some(format::CBOR) => Binary::read(request.payload)
                .map(Small::Number)
                .or_else(|| refuse(response, "not a number in CBOR")),
            Some(_) => {
                response.code(Code::UNSUPPORTED_CONTENT_FORMAT);
                None
            }
        }
    }

    fn set_time(&mut self, request: &Request<'_>, response: &mut Response<'_>) -> Answer {
        let Some(body) = Self::small(request, response) else {
            return Answer::Now;
        };
        let millis = match body {
            Small::Text(text) => milliseconds(text),
            Small::Number(number) => number.milliseconds(),
        };
        let Some(millis) = millis else {
            return response.fail(
                Code::BAD_REQUEST,
                format_args!("seconds since 1970-01-01 UTC, as in 1700000000.5"),
            );
        };
        let offset = millis - self.now as i64;
        if let Err(answer) = self.post(request, response, Down::Clock(offset)) {
            return answer;
        }
        self.clock = Some(offset);
        Answer::Now
    }

    fn lines(
        &self,
        request: &Request<'_>,
        response: &mut Response<'_>,
        resource: &Resource,
        form: u16,
    ) {
        // Who observes gets the newest line.
        let skip = if request.notification {
            self.log.0.len().saturating_sub(1)
        } else {
            0
        };
        let lines = || self.log.0.iter().skip(skip);
        if form == format::TEXT {
            response.format(form);
            for line in lines() {
                let _ = writeln!(response, "{line}");
            }
            return;
        }
        self.document(response, resource, form, &mut |_, d| {
            d.list("lines", &mut lines().map(|line| Value::Shown(line)));
        });
    }
}
