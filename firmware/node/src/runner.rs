//! The lower half: runs the module in slices of fuel, and works on the flash between them.
use crate::contract::{Import, Refusal, VERSION};
use crate::mail::{App, Chunk, ChunkKind, Down, Event, Ids, LINE, Reply, RunnerMail, Stats, Up};
use crate::memory::RunnerMemory;
use crate::module::{self, Facts, Linked, NAMES};
use crate::package::{ENVELOPE, Envelope, Manifest, Provision};
use crate::server::Sensor;
use crate::slot::{Flash, Reason, SLOTS, SlotError, Slots, State};
use core::fmt::{self, Write};
use sha2::{Digest, Sha256};
use wasmote_coap::Code;
use wasmote_engine::{
    Emit, Host, Instance, LoadError, Module, Options, PageSizes, Place, Run, Summary, TableFull,
    TrapKind, Value, validate,
};

/// Room for validation: what needs more is refused, on every board and by the build on the laptop.
pub type Room = wasmote_engine::Scratch<2048, 64, 256>;

/// Good runs after which a package on trial is confirmed.
pub const TRIAL_RUNS: u8 = 8;
/// Fuel of a slice: about a millisecond at 168 MHz, after which what is urgent has its turn.
const SLICE: u64 = 10_000;
/// A confirmed module that trapped starts again after this many milliseconds, doubled each time up to a minute.
const RESTART: u64 = 1_000;
/// Uploads resume at a multiple of this many bytes.
const PIECE: u32 = 64;

/// What the Runner is at while a package is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Takes a part of it, reads and checks the manifest.
    Receive,
    /// Hashes what came of the module.
    Hash,
    /// Verifies the signature.
    Verify,
    /// Erases and writes flash.
    Store,
    /// Validates the module, and writes its branch table.
    Validate,
    /// Makes an instance and begins its trial.
    Activate,
    /// Is through with it for now.
    Rest,
}

/// What a board lets its Runner do.
pub trait Io {
    /// Microseconds since the start.
    fn micros(&mut self) -> u64;
    /// Sets a general-purpose output.
    fn gpio(&mut self, pin: u8, high: bool);
    /// Told when the next phase of an installation begins, for who measures them.
    fn phase(&mut self, _phase: Phase) {}
}

/// What a node grants to modules.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The class of boards, as packages name it.
    pub class: &'static str,
    /// Fuel of a run: one call of a handler.
    pub fuel: u32,
    /// The sensors of the node.
    pub sensors: &'static [Sensor],
}

/// What a step leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More: call again at once.
    Busy,
    /// Nothing until there is mail or this time, in milliseconds since the start.
    Idle(Option<u64>),
}

/// What a run was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Setup,
    Handler,
    /// A request, until it is answered.
    Request(Option<u16>),
}

/// A package that runs.
#[derive(Debug)]
struct Active {
    slot: usize,
    manifest: Manifest<'static>,
    facts: Facts,
    linked: Linked,
    instance: Instance<'static, 'static>,
    /// For each of the node's sensors, the module's number of it.
    wanted: [Option<u8>; NAMES],
    /// For each of the module's sensors, the node's number of it.
    sensors: [u8; NAMES],
    parameters: heapless::Vec<f32, NAMES>,
    ram: u32,
    table: u32,
    trial: u8,
    job: Option<Job>,
    fuel_before: u64,
    started: u64,
    finished: u64,
    next_tick: Option<u64>,
}

/// An upload.
#[derive(Debug)]
struct Install {
    /// What arrived before the envelope was whole.
    head: heapless::Vec<u8, { ENVELOPE + crate::mail::CHUNK }>,
    slot: Option<usize>,
    /// Bytes of the package that were taken.
    position: u32,
    hash: Sha256,
}

/// The lower half of a node.
pub struct Runner<F: Flash> {
    slots: Slots<F>,
    provision: Provision,
    limits: Limits,
    mail: RunnerMail,
    region: Option<&'static mut [u8]>,
    memory: u32,
    scratch: &'static mut Room,
    active: Option<Active>,
    install: Option<Install>,
    latest: [f32; NAMES],
    clock: Option<i64>,
    stats: Stats,
    event: Event,
    returned: bool,
    backtrace: heapless::Vec<Place, 8>,
    /// What waits for room in a queue.
    tell_app: bool,
    tell_stats: bool,
    reply: Option<Reply>,
    lines: heapless::Deque<heapless::String<LINE>, 6>,
    restart: Option<(u64, u64)>,
    started: bool,
    /// A host call found the queue to the Server full, and is tried again.
    waiting: bool,
    /// See [`App::trusted`].
    trusted: Ids,
    /// The last thing that was begun came by mail.
    mailed: bool,
}

impl<F: Flash> fmt::Debug for Runner<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// The refusal of a package, with what is wrong.
type Refused = (Refusal, &'static str);

impl From<SlotError> for Problem {
    fn from(error: SlotError) -> Self {
        Self(match error {
            SlotError::TooLarge => (Refusal::Needs, "larger than a slot"),
            SlotError::Full => (Refusal::Storage, "the journal is full"),
            SlotError::Flash => (Refusal::Storage, "the flash cannot be written"),
            SlotError::Nothing => (Refusal::Storage, "no slot is free"),
        })
    }
}

struct Problem(Refused);

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self(refused)
    }
}

impl<F: Flash> Runner<F> {
    /// The lower half with these slots; `region` (aligned to 8) is the RAM that modules get.
    pub fn new(
        slots: Slots<F>,
        region: &'static mut [u8],
        provision: Provision,
        limits: Limits,
        memory: RunnerMemory,
    ) -> Self {
        Self {
            slots,
            provision,
            limits,
            mail: memory.mail,
            memory: region.len() as u32,
            region: Some(region),
            scratch: memory.scratch,
            active: None,
            install: None,
            latest: [f32::NAN; NAMES],
            clock: None,
            stats: Stats::default(),
            event: Event::None,
            returned: false,
            backtrace: heapless::Vec::new(),
            tell_app: true,
            tell_stats: false,
            reply: None,
            lines: heapless::Deque::new(),
            restart: None,
            started: false,
            waiting: false,
            trusted: Ids::new(),
            mailed: false,
        }
    }

    /// Does a bounded piece of work.
    pub fn step(&mut self, io: &mut impl Io) -> Step {
        let now = io.micros() / 1000;
        if !self.started {
            self.started = true;
            self.trust();
            self.boot(io);
        }
        self.flush();
        if self.reply.is_some() {
            return Step::Busy;
        }
        let running = self.active.as_ref().is_some_and(|a| a.job.is_some());
        let part = |c: &Chunk| matches!(c.kind, ChunkKind::Part { .. });
        if self.mail.chunks.peek().is_some_and(|c| !running || part(c))
            && let Some(chunk) = self.mail.chunks.dequeue()
        {
            self.chunk(io, &chunk);
            self.flush();
            return Step::Busy;
        }
        if running {
            self.slice(io);
            self.flush();
            return Step::Busy;
        }
        // Mail and ticks take turns when both wait: neither can keep the other from its own.
        let ticks = core::mem::take(&mut self.mailed) && self.tick(io, now);
        if ticks {
            return Step::Busy;
        }
        if let Some(down) = self.mail.down.dequeue() {
            self.mailed = true;
            self.message(io, down);
            self.flush();
            return Step::Busy;
        }
        if let Some((at, _)) = self.restart
            && now >= at
            && let Some(slot) = self.slots.current()
        {
            self.start(io, slot, None);
            return Step::Busy;
        }
        if self.tick(io, now) {
            return Step::Busy;
        }
        let unsent = self.tell_app || self.tell_stats || !self.lines.is_empty();
        if unsent {
            return Step::Busy;
        }
        let tick = self.active.as_ref().and_then(|a| a.next_tick);
        let restart = self.restart.map(|(at, _)| at);
        Step::Idle([tick, restart].into_iter().flatten().min())
    }

    /// Begins a tick that is due.
    fn tick(&mut self, io: &mut impl Io, now: u64) -> bool {
        let Some(active) = &mut self.active else {
            return false;
        };
        let (Some(due), Some(tick)) = (active.next_tick, active.linked.tick) else {
            return false;
        };
        if now < due {
            return false;
        }
        let period = u64::from(active.facts.tick);
        let missed = (now - due) / period;
        self.stats.ticks_missed = self.stats.ticks_missed.saturating_add(missed as u32);
        active.next_tick = Some(due + (missed + 1) * period);
        active.begin(io.micros(), tick, &[], Job::Handler)
    }

    /// Whether the Server has something to fetch.
    pub fn has_mail(&self) -> bool {
        self.mail.up.len() + self.mail.replies.len() + self.mail.apps.len() > 0
    }

    /// The slots, for what a board wants to know of them.
    pub fn slots(&self) -> &Slots<F> {
        &self.slots
    }

    // ---- mail to the Server -------------------------------------------------------------------------------------------

    fn flush(&mut self) {
        while self.mail.up.ready()
            && let Some(line) = self.lines.pop_front()
        {
            let _ = self.mail.up.enqueue(Up::Log(false, line));
        }
        if self.tell_app && self.mail.apps.ready() {
            let app = self.describe();
            self.tell_app = self.mail.apps.enqueue(app).is_err();
        }
        // Whoever is answered sees the new state in the next request.
        if !self.tell_app
            && let Some(reply) = self.reply.take()
            && let Err(reply) = self.mail.replies.enqueue(reply)
        {
            self.reply = Some(reply);
        }
        if self.tell_stats && self.mail.up.ready() {
            self.tell_stats = self.mail.up.enqueue(Up::Stats(self.stats)).is_err();
        }
    }

    fn log(&mut self, text: fmt::Arguments<'_>) {
        let mut line = heapless::String::new();
        let _ = line.write_fmt(text);
        if self.lines.is_full() {
            self.lines.pop_front();
            self.stats.lines_lost = self.stats.lines_lost.saturating_add(1);
        }
        let _ = self.lines.push_back(line);
    }

    fn answer(&mut self, ticket: u16, code: Code, text: fmt::Arguments<'_>) {
        let mut payload = heapless::String::<{ crate::mail::REPLY }>::new();
        let _ = payload.write_fmt(text);
        self.reply = Some(Reply {
            ticket,
            code,
            payload: payload.into_bytes(),
            received: None,
        });
    }

    fn describe(&self) -> App {
        let mut app = App {
            event: self.event,
            returned: self.returned,
            backtrace: self.backtrace.clone(),
            highest: self.slots.memory().highest,
            previous: self
                .slots
                .previous()
                .map_or(0, |p| self.slots.slot(p).sequence),
            ..App::default()
        };
        app.trusted.clone_from(&self.trusted);
        for (index, erased) in app.erased.iter_mut().enumerate() {
            *erased = self.slots.slot(index).erased;
        }
        if let Some(slot) = self.slots.receiving()
            && let Ok(Some(envelope)) = Envelope::parse(self.slots.package(slot))
        {
            let received = match &self.install {
                Some(install) if install.slot == Some(slot) => install.position,
                _ => self.slots.received(slot, PIECE),
            };
            app.staged = Some((
                envelope.manifest.digest,
                self.slots.slot(slot).size,
                received,
            ));
        }
        let Some(active) = &self.active else {
            return app;
        };
        let m = &active.manifest;
        let _ = app.name.push_str(m.name);
        let _ = app.version.push_str(m.version);
        App {
            state: self.slots.slot(active.slot).state,
            sequence: m.sequence,
            digest: m.digest,
            size: m.size,
            table: active.table,
            slot: active.slot as u8,
            needs: m.needs,
            ram: active.ram,
            trial: active.trial,
            facts: active.facts,
            parameters: active.parameters.clone(),
            requests: active.linked.request.is_some() && active.facts.buffer > 0,
            ..app
        }
    }

    /// The identifiers of the keys that are trusted now: hashes, which are not made each time that somebody is told.
    fn trust(&mut self) {
        self.trusted.clear();
        for (_, id) in self.slots.memory().trusted(&self.provision.keys) {
            if !self.trusted.contains(&id) {
                let _ = self.trusted.push(id);
            }
        }
    }

    // ---- starting and leaving packages ----------------------------------------------------------------------------------

    /// After a reset: a package on trial has failed; one that was staged goes to its trial now.
    fn boot(&mut self, io: &mut impl Io) {
        if let Some(current) = self.slots.current()
            && self.slots.slot(current).state == State::Trial
        {
            let sequence = self.slots.slot(current).sequence;
            let _ = self.slots.reject(current, Reason::Reset);
            self.log(format_args!(
                "reset during the trial of package {sequence}: returned"
            ));
        } else if let Some(staged) = self.slots.staged()
            && self.slots.activate(staged).is_ok()
        {
            self.log(format_args!(
                "package {} goes on trial",
                self.slots.slot(staged).sequence
            ));
        }
        // What happened before the reset is still told after it.
        if let Some(left) = self.slots.left() {
            self.event = match left.reason {
                Reason::Trap => Event::Trap(left.sequence, None),
                Reason::Fuel => Event::Fuel(left.sequence, None),
                Reason::Hand => Event::Hand(left.sequence),
                Reason::Damaged => Event::Damaged(left.sequence),
                _ => Event::Reset(left.sequence),
            };
            self.returned = true;
        }
        self.resume_package(io);
    }

    /// Starts the newest package that is good.
    fn resume_package(&mut self, io: &mut impl Io) {
        // Each failure marks a slot as bad, so this ends.
        for _ in 0..SLOTS {
            let Some(slot) = self.slots.current() else {
                return;
            };
            if self.start(io, slot, None) {
                return;
            }
            let sequence = self.slots.slot(slot).sequence;
            self.event = Event::Damaged(sequence);
            self.log(format_args!("package {sequence} is damaged: left"));
            self.returned = true;
            let _ = self.slots.reject(slot, Reason::Damaged);
        }
    }

    fn unload(&mut self) {
        if let Some(active) = self.active.take() {
            self.region = Some(active.instance.into_region());
            if let Some(Job::Request(Some(ticket))) = active.job {
                self.answer(
                    ticket,
                    Code::SERVICE_UNAVAILABLE,
                    format_args!("the module was stopped"),
                );
            }
        }
        self.tell_app = true;
    }

    /// Makes an instance of the package in a slot. What flash holds is as little trusted as what comes over the air: it is
    /// checked anew, unless it was the moment before, with this outcome.
    fn start(&mut self, io: &mut impl Io, slot: usize, checked: Option<Summary>) -> bool {
        let now = io.micros() / 1000;
        self.unload();
        let package = self.slots.package(slot);
        let Ok(Some(envelope)) = Envelope::parse(package) else {
            return false;
        };
        let manifest = envelope.manifest;
        let bytes = self.slots.module(slot);
        let (at, space) = self.slots.table_space(slot);
        let summary = match checked {
            Some(summary) => summary,
            None => {
                let whole =
                    self.slots.sealed(slot) && Sha256::digest(bytes).as_slice() == manifest.digest;
                let table: &mut dyn Emit = &mut Compare {
                    flash: self.slots.flash(),
                    at,
                    space,
                };
                let summary = validate(bytes, table, self.scratch, PageSizes::Any);
                match summary {
                    Ok(summary) if whole => summary,
                    _ => return false,
                }
            }
        };
        let words = self.slots.flash().words(at, summary.table_bytes() / 4);
        let Some(module) = Module::new(bytes, words, &summary) else {
            return false;
        };
        let (Ok(facts), Ok(linked)) = (Facts::read(&module), module::link(&module)) else {
            return false;
        };
        let options = Options::default();
        let ram = module.footprint(&options).total;
        let Some(region) = self.region.take() else {
            return false;
        };
        if ram > region.len() as u64 || region.as_ptr().align_offset(8) != 0 {
            self.region = Some(region);
            return false;
        }
        let Ok(instance) = Instance::new(module, region, &options) else {
            return false;
        };
        let mut wanted = [None; NAMES];
        let mut sensors = [0; NAMES];
        for (number, name) in facts.sensors().enumerate() {
            let found = self.limits.sensors.iter().position(|s| s.name == name);
            if let Some(index) = found
                && let (Some(w), Some(s)) = (wanted.get_mut(index), sensors.get_mut(number))
            {
                *w = Some(number as u8);
                *s = index as u8;
            }
        }
        let mut parameters = heapless::Vec::new();
        for (number, p) in facts.parameters().enumerate() {
            let kept = self.slots.parameter(number as u16);
            let kept = kept.filter(|v| (p.minimum..=p.maximum).contains(v));
            let _ = parameters.push(kept.unwrap_or(p.initial));
        }
        let trial = if self.slots.slot(slot).state == State::Trial {
            TRIAL_RUNS
        } else {
            0
        };
        let ticks = linked.tick.is_some() && facts.tick > 0;
        self.stats = Stats {
            traps: self.stats.traps,
            lines_lost: self.stats.lines_lost,
            ..Stats::default()
        };
        self.active = Some(Active {
            slot,
            manifest,
            facts,
            linked,
            instance,
            wanted,
            sensors,
            parameters,
            ram: ram as u32,
            table: summary.table_bytes(),
            trial,
            job: Some(Job::Setup),
            fuel_before: 0,
            started: now * 1000,
            finished: 0,
            next_tick: ticks.then_some(now + u64::from(facts.tick)),
        });
        self.restart = self.restart.map(|(_, wait)| (u64::MAX, wait));
        true
    }

    /// The module cannot go on: back to the package before it during a trial, else once more from the start, later.
    fn failed(&mut self, io: &mut impl Io, event: Event) {
        self.event = event;
        self.backtrace.clear();
        let Some(active) = &self.active else { return };
        let (slot, sequence) = (active.slot, active.manifest.sequence);
        for place in active.instance.backtrace().take(8) {
            let _ = self.backtrace.push(place);
        }
        let reason = match event {
            Event::Trap(_, Some(trap)) => {
                self.stats.traps = self.stats.traps.saturating_add(1);
                self.log(format_args!("package {sequence}: trap: {trap}"));
                Reason::Trap
            }
            _ => {
                self.log(format_args!("package {sequence}: a run took all its fuel"));
                Reason::Fuel
            }
        };
        self.tell_stats = true;
        self.unload();
        if self.slots.slot(slot).state == State::Trial {
            self.returned = true;
            let _ = self.slots.reject(slot, reason);
            self.restart = None;
            self.resume_package(io);
            match self.slots.current() {
                Some(back) => {
                    let back = self.slots.slot(back).sequence;
                    self.log(format_args!("returned from package {sequence} to {back}"));
                }
                None => self.log(format_args!("package {sequence} left, none to return to")),
            }
        } else {
            let wait = self
                .restart
                .map_or(RESTART, |(_, wait)| (wait * 2).min(60_000));
            self.restart = Some((io.micros() / 1000 + wait, wait));
        }
    }

    // ---- mail from the Server -------------------------------------------------------------------------------------------

    fn message(&mut self, io: &mut impl Io, down: Down) {
        match down {
            Down::Sample(sensor, value) => {
                if let Some(latest) = self.latest.get_mut(usize::from(sensor)) {
                    *latest = value;
                }
                if let Some(active) = &mut self.active
                    && let Some(number) = active.wanted.get(usize::from(sensor)).copied().flatten()
                    && let Some(handler) = active.linked.sample
                {
                    let arguments = [Value::I32(i32::from(number)), Value::F32(value)];
                    active.begin(io.micros(), handler, &arguments, Job::Handler);
                }
            }
            Down::Clock(offset) => self.clock = Some(offset),
            Down::Parameter(ticket, number, value) => {
                self.set_parameter(io, ticket, number, value);
            }
            Down::Rollback(ticket) => {
                let Some(current) = self.slots.previous().and(self.slots.current()) else {
                    self.answer(
                        ticket,
                        Code::CONFLICT,
                        format_args!("there is no package to go back to"),
                    );
                    return;
                };
                let sequence = self.slots.slot(current).sequence;
                if self.slots.reject(current, Reason::Hand).is_err() {
                    self.answer(
                        ticket,
                        Code::INTERNAL_SERVER_ERROR,
                        format_args!("storage: flash"),
                    );
                    return;
                }
                self.event = Event::Hand(sequence);
                self.returned = true;
                self.restart = None;
                self.unload();
                self.resume_package(io);
                self.log(format_args!("package {sequence} withdrawn by hand"));
                self.answer(ticket, Code::CHANGED, format_args!(""));
            }
            Down::Remove(ticket) => {
                let Some(current) = self.slots.current() else {
                    self.answer(ticket, Code::DELETED, format_args!(""));
                    return;
                };
                self.unload();
                self.restart = None;
                match self.slots.remove(current) {
                    Ok(()) => self.answer(ticket, Code::DELETED, format_args!("")),
                    Err(_) => {
                        self.answer(
                            ticket,
                            Code::INTERNAL_SERVER_ERROR,
                            format_args!("storage: flash"),
                        );
                    }
                }
                self.log(format_args!("package removed"));
            }
            Down::Discard(ticket) => {
                self.install = None;
                if let Some(slot) = self.slots.receiving() {
                    let _ = self.slots.reject(slot, Reason::Refused);
                }
                self.tell_app = true;
                self.answer(ticket, Code::DELETED, format_args!(""));
            }
        }
    }

    fn set_parameter(&mut self, io: &mut impl Io, ticket: u16, number: u8, value: f32) {
        let kept = self.slots.set_parameter(u16::from(number), value);
        let Some(active) = &mut self.active else {
            self.answer(ticket, Code::NOT_FOUND, format_args!("no package runs"));
            return;
        };
        match (kept, active.parameters.get_mut(usize::from(number))) {
            (Ok(()), Some(place)) => {
                *place = value;
                // A full journal has moved the package.
                if let Some(slot) = self.slots.current()
                    && slot != active.slot
                {
                    self.moved(io);
                }
                let _ = self.mail.up.enqueue(Up::Parameter(number, value));
                self.tell_app = true;
                self.answer(ticket, Code::CHANGED, format_args!(""));
            }
            _ => self.answer(
                ticket,
                Code::SERVICE_UNAVAILABLE,
                format_args!(
                    "the journal is full until the package is confirmed or the upload is over"
                ),
            ),
        }
    }

    /// The current package lies elsewhere in flash now: its module begins anew from there.
    fn moved(&mut self, io: &mut impl Io) {
        self.restart = None;
        self.resume_package(io);
        self.log(format_args!(
            "the package was moved in flash and begins anew"
        ));
    }

    fn chunk(&mut self, io: &mut impl Io, chunk: &Chunk) {
        match chunk.kind {
            ChunkKind::Part { offset, more } => {
                io.phase(Phase::Receive);
                let taken = self.part(io, offset, more, &chunk.bytes);
                io.phase(Phase::Rest);
                match taken {
                    Ok(code) => {
                        self.answer(chunk.ticket, code, format_args!(""));
                        let install = self.install.as_ref().filter(|i| i.slot.is_some());
                        if let Some(reply) = &mut self.reply {
                            reply.received = install.map(|install| install.position);
                        }
                    }
                    Err(Problem((refusal, text))) => {
                        let (name, code) = refusal.wire();
                        self.install = None;
                        self.log(format_args!("package refused: {name}: {text}"));
                        self.tell_app = true;
                        self.answer(chunk.ticket, code, format_args!("{name}: {text}"));
                    }
                }
            }
            ChunkKind::Request(method, path) => {
                self.request(io.micros(), chunk, method, path);
            }
        }
    }

    fn request(&mut self, micros: u64, chunk: &Chunk, method: Code, path: u16) {
        let ticket = chunk.ticket;
        let started = self.active.as_mut().is_some_and(|active| {
            let Some(handler) = active.linked.request else {
                return false;
            };
            let at = match active.instance.exported_global("buffer") {
                Some(Value::I32(at)) => at as u32 as usize,
                _ => return false,
            };
            let fits = chunk.bytes.len() <= active.facts.buffer as usize;
            let to = active
                .instance
                .memory_mut()
                .get_mut(at..at.saturating_add(chunk.bytes.len()));
            let Some(to) = to.filter(|_| fits) else {
                return false;
            };
            to.copy_from_slice(&chunk.bytes);
            let payload = chunk.bytes.len() as i32 - i32::from(path);
            let arguments = [
                Value::I32(i32::from(method.0)),
                Value::I32(i32::from(path)),
                Value::I32(payload),
            ];
            active.begin(micros, handler, &arguments, Job::Request(Some(ticket)))
        });
        if !started {
            self.answer(
                ticket,
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("the module cannot take this request"),
            );
        }
    }

    // ---- a package that arrives -----------------------------------------------------------------------------------------

    /// Takes a part of a package. Parts may come twice, overlap what is here, and be of any sizes.
    fn part(
        &mut self,
        io: &mut impl Io,
        offset: u32,
        more: bool,
        bytes: &[u8],
    ) -> Result<Code, Problem> {
        if offset == 0 {
            self.install = Some(Install {
                head: heapless::Vec::new(),
                slot: None,
                position: 0,
                hash: Sha256::new(),
            });
        } else if self.install.is_none() {
            self.resume(io, offset);
        }
        let Some(install) = &mut self.install else {
            return Ok(Code::REQUEST_ENTITY_INCOMPLETE);
        };
        // What is here already comes again when an answer was lost, and when an upload resumes with larger blocks.
        let known = install.position.checked_sub(offset);
        let Some(bytes) = known.and_then(|known| bytes.get(known as usize..)) else {
            let again = known.is_some() && more;
            return Ok(if again {
                Code::CHANGED
            } else {
                Code::REQUEST_ENTITY_INCOMPLETE
            });
        };
        let offset = install.position;
        if more && !bytes.len().is_multiple_of(4) {
            return Err((Refusal::Malformed, "a block of odd length").into());
        }
        let end = offset.saturating_add(bytes.len() as u32);
        let slot = match install.slot {
            Some(slot) => {
                if end > self.slots.slot(slot).size {
                    return Err((Refusal::Digest, "longer than the manifest says").into());
                }
                io.phase(Phase::Store);
                self.slots.write(slot, offset, bytes)?;
                io.phase(Phase::Hash);
                let envelope = u32::from(self.slots.slot(slot).envelope);
                let module = bytes.get(envelope.saturating_sub(offset) as usize..);
                install.hash.update(module.unwrap_or(&[]));
                io.phase(Phase::Receive);
                install.position = end;
                // The answer says how far it has come; of /app itself nothing has changed.
                if more {
                    return Ok(Code::CHANGED);
                }
                slot
            }
            None => {
                install.position = end;
                let full = install.head.extend_from_slice(bytes).is_err();
                let head = install.head.clone();
                let malformed = Problem((Refusal::Malformed, "no COSE_Sign1 with a manifest"));
                let envelope = match Envelope::parse(&head) {
                    Ok(Some(envelope)) => envelope,
                    Ok(None) if more && !full => return Ok(Code::CHANGED),
                    _ => return Err(malformed),
                };
                self.check(io, &envelope)?;
                let size = envelope.length as u32 + envelope.manifest.size;
                if end > size {
                    return Err((Refusal::Digest, "longer than the manifest says").into());
                }
                io.phase(Phase::Store);
                if self.slots.level()? {
                    self.moved(io);
                }
                let slot =
                    self.slots
                        .prepare(envelope.manifest.sequence, envelope.length as u16, size)?;
                self.slots.write(slot, 0, &head)?;
                io.phase(Phase::Hash);
                if let Some(install) = &mut self.install {
                    install
                        .hash
                        .update(head.get(envelope.length..).unwrap_or(&[]));
                    install.slot = Some(slot);
                    install.head.clear();
                }
                io.phase(Phase::Receive);
                slot
            }
        };
        self.tell_app = true;
        if more {
            return Ok(Code::CHANGED);
        }
        let finished = self.finish(io, slot, end);
        if finished.is_err() {
            let _ = self.slots.reject(slot, Reason::Refused);
        }
        self.install = None;
        finished.map(|()| Code::CHANGED)
    }

    /// After a reset: goes on with what is in the slot, when it would still be taken.
    fn resume(&mut self, io: &mut impl Io, offset: u32) {
        let Some(slot) = self.slots.receiving() else {
            return;
        };
        let package = self.slots.package(slot);
        let begun = package.get(..offset as usize);
        let (Some(begun), Ok(Some(envelope))) = (begun, Envelope::parse(package)) else {
            return;
        };
        if offset > self.slots.received(slot, PIECE) || self.check(io, &envelope).is_err() {
            return;
        }
        io.phase(Phase::Hash);
        let mut hash = Sha256::new();
        hash.update(begun.get(envelope.length..).unwrap_or(&[]));
        io.phase(Phase::Receive);
        self.install = Some(Install {
            head: heapless::Vec::new(),
            slot: Some(slot),
            position: offset,
            hash,
        });
    }

    /// Everything that can be refused from the manifest alone.
    fn check(&self, io: &mut impl Io, envelope: &Envelope<'_>) -> Result<(), Refused> {
        let (m, memory) = (&envelope.manifest, self.slots.memory());
        let keys = &self.provision.keys;
        let key = memory.trusted(keys).find(|(_, id)| *id == envelope.key);
        if key.is_none() && !self.provision.development {
            return Err((Refusal::UnknownKey, "not signed with a key of this node"));
        }
        if m.contract != VERSION {
            return Err((
                Refusal::Contract,
                "made for another version of the contract",
            ));
        }
        if m.class != self.limits.class {
            return Err((Refusal::Class, "made for another class of boards"));
        }
        if !self.provision.vendor.is_empty() && m.vendor != self.provision.vendor {
            return Err((Refusal::Class, "made by another vendor"));
        }
        if m.sequence <= memory.highest {
            return Err((Refusal::Sequence, "not newer than what has been installed"));
        }
        let size = u64::from(m.size) + envelope.length as u64 + u64::from(m.needs.table) + 4;
        if size > u64::from(self.slots.capacity()) {
            return Err((Refusal::Needs, "larger than a slot"));
        }
        if m.needs.ram > self.memory {
            return Err((Refusal::Needs, "needs more RAM than the node has"));
        }
        if m.needs.fuel > self.limits.fuel {
            return Err((
                Refusal::Needs,
                "needs more fuel for a run than the node grants",
            ));
        }
        if m.needs.sensors as usize > NAMES.min(self.limits.sensors.len()) {
            return Err((Refusal::Needs, "needs more sensors than the node has"));
        }
        if m.needs.outputs as usize > NAMES {
            return Err((
                Refusal::Needs,
                "needs more outputs than a node gives a module",
            ));
        }
        let rotation = m.rotation();
        let Some(after) = memory.rotated(rotation, keys) else {
            return Err((Refusal::Needs, "the node has no room for another key"));
        };
        if rotation.drop.is_some() && after.trusted(keys).next().is_none() {
            return Err((Refusal::Needs, "would leave the node without a key"));
        }
        // Last, as it takes the longest.
        io.phase(Phase::Verify);
        let good = key.is_none_or(|(key, _)| envelope.verify(key));
        io.phase(Phase::Receive);
        if good {
            Ok(())
        } else {
            Err((Refusal::Signature, "the signature is wrong"))
        }
    }

    /// All bytes are there: digest, validation with the branch table, what the module needs; then the trial begins.
    fn finish(&mut self, io: &mut impl Io, slot: usize, end: u32) -> Result<(), Problem> {
        if end != self.slots.slot(slot).size {
            return Err((Refusal::Digest, "shorter than the manifest says").into());
        }
        let torn = Problem((
            Refusal::Storage,
            "the flash holds something else than was written",
        ));
        let Ok(Some(envelope)) = Envelope::parse(self.slots.package(slot)) else {
            return Err(torn);
        };
        let m = envelope.manifest;
        io.phase(Phase::Hash);
        // What came was read back from flash as it was written: the digest is of both.
        let hash = self.install.take().map(|i| i.hash.finalize());
        if hash.is_none_or(|h| h.as_slice() != m.digest) {
            return Err((Refusal::Digest, "the module is not the one in the manifest").into());
        }
        let bytes = self.slots.module(slot);
        io.phase(Phase::Validate);
        let (at, space) = self.slots.table_space(slot);
        // One validator for both kinds of table: a second one would be 10 KB of flash.
        let table: &mut dyn Emit = &mut Table {
            flash: self.slots.flash_mut(),
            at,
            space,
        };
        let summary = validate(bytes, table, self.scratch, PageSizes::Any);
        let summary: Summary = match summary {
            Ok(summary) => summary,
            Err(LoadError {
                fault: wasmote_engine::Fault::Unsupported(what),
                ..
            }) => {
                return Err((Refusal::Module, what).into());
            }
            Err(LoadError {
                fault: wasmote_engine::Fault::Malformed(what) | wasmote_engine::Fault::Invalid(what),
                ..
            }) => {
                return Err((Refusal::Module, what).into());
            }
        };
        let words = self.slots.flash().words(at, summary.table_bytes() / 4);
        let Some(module) = Module::new(bytes, words, &summary) else {
            return Err(torn);
        };
        let facts = Facts::read(&module).map_err(|what| (Refusal::Module, what))?;
        if facts.contract != VERSION {
            return Err((
                Refusal::Contract,
                "made for another version of the contract",
            )
                .into());
        }
        module::link(&module).map_err(|what| (Refusal::Module, what))?;
        if module.footprint(&Options::default()).total > u64::from(self.memory) {
            return Err((Refusal::Needs, "needs more RAM than the node has").into());
        }
        let has = |name: &str| self.limits.sensors.iter().any(|s| s.name == name);
        if !facts.sensors().all(has) {
            return Err((Refusal::Needs, "names a sensor that the node does not have").into());
        }
        io.phase(Phase::Activate);
        self.slots.stage(slot, summary.table_bytes())?;
        self.slots.activate(slot)?;
        self.returned = false;
        self.event = Event::None;
        self.restart = None;
        self.log(format_args!("package {} goes on trial", m.sequence));
        if !self.start(io, slot, Some(summary)) {
            let _ = self.slots.reject(slot, Reason::Refused);
            self.resume_package(io);
            return Err((Refusal::Storage, "the package could not be started").into());
        }
        Ok(())
    }

    // ---- running --------------------------------------------------------------------------------------------------------

    /// One slice of the present run.
    fn slice(&mut self, io: &mut impl Io) {
        let budget = u64::from(self.limits.fuel);
        let Some(active) = &mut self.active else {
            return;
        };
        let sequence = active.manifest.sequence;
        let mut fuel = SLICE;
        loop {
            let used = active.instance.fuel_used().wrapping_sub(active.fuel_before);
            if used >= budget {
                let place = active.instance.backtrace().next();
                self.failed(io, Event::Fuel(sequence, place));
                return;
            }
            match active.instance.run(&mut fuel) {
                Run::Done => {
                    self.finished(io);
                    return;
                }
                Run::OutOfFuel => {
                    if fuel == 0 {
                        return;
                    }
                }
                Run::Trap(trap) => {
                    self.failed(io, Event::Trap(sequence, Some(trap)));
                    return;
                }
                Run::Host(Host::Foreign(..)) => {
                    if let Ok(trap) = active.instance.abort(TrapKind::IndirectCallType) {
                        self.failed(io, Event::Trap(sequence, Some(trap)));
                    }
                    return;
                }
                Run::Host(Host::Import(function, _)) => {
                    // A host call that needs room in a queue waits for it, and the module with it.
                    if !self.mail.up.ready() || self.reply.is_some() {
                        let again = core::mem::replace(&mut self.waiting, true);
                        self.stats.waits = self.stats.waits.saturating_add(u32::from(!again));
                        return;
                    }
                    self.waiting = false;
                    let import = active.linked.imports.get(function as usize).copied();
                    let context = Context {
                        latest: &self.latest,
                        clock: self.clock,
                        mail: &mut self.mail,
                        reply: &mut self.reply,
                    };
                    if active.host(import, io, context).is_none() {
                        if let Ok(trap) = active.instance.abort(TrapKind::Host) {
                            self.failed(io, Event::Trap(sequence, Some(trap)));
                        }
                        return;
                    }
                }
            }
        }
    }

    /// A run has ended well.
    fn finished(&mut self, io: &mut impl Io) {
        let now = io.micros();
        let Some(active) = &mut self.active else {
            return;
        };
        let job = active.job.take();
        if job == Some(Job::Setup)
            && let Some(start) = active.linked.start
        {
            // Setting up and `start` are one run, with one budget.
            let (before, started) = (active.fuel_before, active.started);
            active.begin(now, start, &[], Job::Handler);
            (active.fuel_before, active.started) = (before, started);
            return;
        }
        let fuel = active.instance.fuel_used().wrapping_sub(active.fuel_before) as u32;
        let micros = now.saturating_sub(active.started) as u32;
        let s = &mut self.stats;
        s.runs = s.runs.wrapping_add(1);
        s.fuel = fuel;
        s.fuel_max = s.fuel_max.max(fuel);
        s.fuel_total = s.fuel_total.wrapping_add(u64::from(fuel));
        s.micros = micros;
        s.micros_max = s.micros_max.max(micros);
        if active.finished > 0 {
            s.gap_max = s
                .gap_max
                .max((now.saturating_sub(active.finished) / 1000) as u32);
        }
        active.finished = now;
        self.tell_stats = true;
        let idle = active.linked.sample.is_none()
            && active.linked.tick.is_none()
            && active.linked.request.is_none();
        let confirmed = active.trial == 1 || active.trial > 0 && idle;
        active.trial = active.trial.saturating_sub(1);
        let (slot, rotation) = (active.slot, active.manifest.rotation());
        let sequence = active.manifest.sequence;
        if let Some(Job::Request(Some(ticket))) = job {
            self.answer(
                ticket,
                Code::INTERNAL_SERVER_ERROR,
                format_args!("the module gave no answer"),
            );
        }
        if confirmed {
            let confirmed = self.slots.confirm(slot, rotation, &self.provision.keys);
            self.trust();
            match confirmed {
                Ok(()) => self.log(format_args!("package {sequence} confirmed")),
                Err(_) => self.log(format_args!(
                    "package {sequence} cannot be confirmed: storage"
                )),
            }
            self.returned = false;
            self.tell_app = true;
        }
        // It has run well for a while: the next failure begins with the shortest wait again.
        if self.stats.runs > u32::from(TRIAL_RUNS) {
            self.restart = None;
        }
    }
}

/// What host calls reach.
struct Context<'c> {
    latest: &'c [f32; NAMES],
    clock: Option<i64>,
    mail: &'c mut RunnerMail,
    reply: &'c mut Option<Reply>,
}

impl Active {
    /// Begins a run.
    fn begin(&mut self, micros: u64, function: u32, arguments: &[Value], job: Job) -> bool {
        let before = self.instance.fuel_used();
        let begun = self.instance.call(function, arguments).is_ok();
        if begun {
            self.job = Some(job);
            self.started = micros;
            self.fuel_before = before;
        }
        begun
    }

    /// Answers the pending host call; `None` when its arguments make no sense.
    fn host(&mut self, import: Option<Import>, io: &mut impl Io, c: Context<'_>) -> Option<()> {
        let mut arguments = [Value::I32(0); 3];
        for (to, from) in arguments.iter_mut().zip(self.instance.arguments()) {
            *to = from;
        }
        let number = |v: Value| match v {
            Value::I32(v) => v as u32,
            _ => 0,
        };
        let [a, b, d] = arguments;
        let (first, second, third) = (number(a), number(b), number(d));
        let result = match import? {
            Import::Read => {
                let declared = (first as usize) < self.facts.sensors().count();
                let index = self.sensors.get(first as usize).filter(|_| declared)?;
                Some(Value::F32(*c.latest.get(usize::from(*index))?))
            }
            Import::Publish => {
                let Value::F32(value) = b else { return None };
                if first as usize >= self.facts.outputs().count() {
                    return None;
                }
                let _ = c.mail.up.enqueue(Up::Output(first as u8, value));
                None
            }
            Import::Parameter => Some(Value::F32(*self.parameters.get(first as usize)?)),
            Import::Now => Some(Value::I32((io.micros() / 1000) as i32)),
            Import::Unix => {
                let now = (io.micros() / 1000) as i64;
                Some(Value::I64(
                    c.clock.map_or(0, |offset| offset.wrapping_add(now)),
                ))
            }
            Import::Log => {
                let mut line = heapless::String::new();
                for ch in utf8(self.bytes(first, second)?) {
                    if line.push(ch).is_err() {
                        break;
                    }
                }
                let _ = c.mail.up.enqueue(Up::Log(true, line));
                None
            }
            Import::Gpio => {
                io.gpio(u8::try_from(first).ok()?, second != 0);
                None
            }
            Import::Reply => {
                let bytes = self.bytes(second, third)?;
                let payload = heapless::Vec::from_slice(bytes).ok()?;
                let code = Code(u8::try_from(first).ok()?);
                let good = matches!(code.class(), 2 | 4 | 5) && code != Code::CONTINUE;
                // A second answer, or one to nothing, is a mistake of the module's.
                let Some(Job::Request(ticket)) = &mut self.job else {
                    return None;
                };
                let ticket = ticket.take().filter(|_| good)?;
                *c.reply = Some(Reply {
                    ticket,
                    code,
                    payload,
                    received: None,
                });
                None
            }
        };
        self.instance.resume(result.as_slice()).ok()
    }

    /// A piece of the module's memory.
    fn bytes(&self, at: u32, length: u32) -> Option<&[u8]> {
        let end = (at as usize).checked_add(length as usize)?;
        self.instance.memory().get(at as usize..end)
    }
}

/// The characters of what should be UTF-8.
fn utf8(bytes: &[u8]) -> impl Iterator<Item = char> + '_ {
    bytes.utf8_chunks().flat_map(|c| {
        let broken = (!c.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        c.valid().chars().chain(broken)
    })
}

/// The branch table on its way into flash.
struct Table<'f, F> {
    flash: &'f mut F,
    at: u32,
    space: u32,
}

impl<F: Flash> Emit for Table<'_, F> {
    fn write(&mut self, offset: u32, word: u32) -> Result<(), TableFull> {
        if offset.checked_add(4).is_none_or(|end| end > self.space) {
            return Err(TableFull);
        }
        let written = self.flash.write(self.at + offset, &word.to_le_bytes());
        if written.is_ok() && self.read(offset) == word {
            Ok(())
        } else {
            Err(TableFull)
        }
    }

    fn read(&mut self, offset: u32) -> u32 {
        peek(self.flash, self.at, self.space, offset)
    }
}

/// The branch table as it should be in flash already.
struct Compare<'f, F> {
    flash: &'f F,
    at: u32,
    space: u32,
}

impl<F: Flash> Emit for Compare<'_, F> {
    fn write(&mut self, offset: u32, word: u32) -> Result<(), TableFull> {
        if peek(self.flash, self.at, self.space, offset) == word {
            Ok(())
        } else {
            Err(TableFull)
        }
    }

    fn read(&mut self, offset: u32) -> u32 {
        peek(self.flash, self.at, self.space, offset)
    }
}

fn peek<F: Flash>(flash: &F, at: u32, space: u32, offset: u32) -> u32 {
    if offset.checked_add(4).is_none_or(|end| end > space) {
        return u32::MAX;
    }
    flash
        .words(at + offset, 1)
        .first()
        .map_or(u32::MAX, |word| u32::from_le(*word))
}
