//! The lower half: runs the module in slices of fuel, and works on the flash between them.
//!
//! | room | what is in it |
//! | --- | --- |
//! | `install` | a package that arrives, in parts |
//! | `load`, `table` | a package out of flash: checked, parsed, linked, measured; its branch table |
//! | `active` | the package that runs, and the run it is in |
//! | `exchange` | a key exchange, one step of its arithmetic at a time |
//! | `failed` | what follows when a run ended badly |
//! | `guard` | sequence numbers and security contexts, in flash |
//! | `imports` | what a module asks of the node |
//! | `post` | what the Runner tells the Server |
//! | `retry` | when to try again what failed |
//! | `tier` | what executes the package: compiled code or the engine's loops, and why |
//! | `keep` | what the module keeps over resets and updates |
//! | `settings` | what the operator set: when it is written, and for the next package |
mod active;
mod exchange;
mod failed;
mod guard;
mod imports;
mod install;
mod keep;
mod load;
mod post;
mod retry;
mod settings;
mod table;
mod tier;

use crate::board::Limits;
use crate::contract::Refusal;
use crate::mail::{App, Chunk, ChunkKind, Down, Event, Ids, ReplyKind, Stats};
use crate::memory::RunnerMemory;
use crate::module::NAMES;
use crate::package::Provision;
use crate::slot::{Flash, Reason, SLOTS, Slots, State};
use active::{Active, Job};
use core::fmt;
use imports::Context;
use install::{Bench, Install, Outcome, PIECE, Part, Problem};
use load::Loaded;
use post::Post;
use retry::Retry;
use wasmote_coap::Code;
use wasmote_compiler::Arena;
use wasmote_engine::{Host, Place, Run, TrapKind};

pub use crate::memory::Room;

/// Good runs after which a package on trial is confirmed.
pub const TRIAL_RUNS: u8 = 8;
/// Fuel of a slice: about a millisecond at 168 MHz, after which what is urgent has its turn.
const SLICE: u64 = 10_000;

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
    /// Called when the next phase of an installation begins, so that a benchmark can measure them.
    fn phase(&mut self, _phase: Phase) {}
    /// 32 bytes that nobody can guess and that are shown to nobody: of a generator of true random numbers, or of what the board states as
    /// its substitute. `None` where there is none, or it is out of order: then the node exchanges no keys.
    fn random(&mut self) -> Option<[u8; 32]> {
        None
    }
}

/// What a step leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More: call again at once.
    Busy,
    /// Nothing until there is mail or this time, in milliseconds since the start.
    Idle(Option<u64>),
}

/// Whose turn it is when mail and a tick both wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Mail,
    Tick,
}

/// The lower half of a node.
pub struct Runner<F: Flash> {
    slots: Slots<F>,
    provision: Provision,
    limits: Limits,
    post: Post,
    /// The RAM for modules, while none has it.
    region: Option<&'static mut [u8]>,
    /// Its length in bytes.
    memory: u32,
    /// Where packages are compiled into, on a board that executes compiled code.
    arena: Option<&'static Arena>,
    scratch: &'static mut Room,
    booted: bool,
    active: Option<Active>,
    install: Install,
    /// When a confirmed module that failed begins anew.
    restart: Retry,
    /// Until when a module that failed at a request is asked nothing.
    requests: Retry,
    keeper: keep::Keeper,
    unsaved: settings::Unsaved,
    latest: [f32; NAMES],
    /// Milliseconds since 1970 less milliseconds since the start.
    clock: Option<i64>,
    stats: Stats,
    event: Event,
    returned: bool,
    backtrace: heapless::Vec<Place, 8>,
    /// A host call found the queue to the Server full, and is tried again.
    waiting: bool,
    /// See [`App::trusted`].
    trusted: Ids,
    turn: Turn,
    exchange: exchange::Exchange,
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
            post: Post::new(memory.mail),
            memory: region.len() as u32,
            region: Some(region),
            arena: None,
            scratch: memory.scratch,
            booted: false,
            active: None,
            install: Install::default(),
            restart: Retry::default(),
            requests: Retry::default(),
            keeper: keep::Keeper::default(),
            unsaved: settings::Unsaved::new(),
            latest: [f32::NAN; NAMES],
            clock: None,
            stats: Stats::default(),
            event: Event::None,
            returned: false,
            backtrace: heapless::Vec::new(),
            waiting: false,
            trusted: Ids::new(),
            turn: Turn::Mail,
            exchange: exchange::Exchange::default(),
        }
    }

    /// Does a bounded piece of work.
    pub fn step(&mut self, io: &mut impl Io) -> Step {
        self.slots.tick(io.micros() / 1000);
        if !core::mem::replace(&mut self.booted, true) {
            self.trust();
            self.boot(io);
        }
        self.flush();
        if self.post.reply.is_some() || self.work(io) {
            self.flush();
            return Step::Busy;
        }
        if self.post.waits() {
            return Step::Busy;
        }
        let tick = self.active.as_ref().and_then(|a| a.next_tick);
        let restart = self.restart.until();
        let times = [tick, restart, self.keeper.until(), self.unsaved_until()];
        Step::Idle(times.into_iter().flatten().min())
    }

    /// The next piece of work, when there is one.
    fn work(&mut self, io: &mut impl Io) -> bool {
        let running = self.active.as_ref().is_some_and(|a| a.job.is_some());
        if self.reserve(io) {
            return true;
        }
        // The last part of a package replaces the module: a run that has begun comes to its end first, which its fuel bounds.
        let part = |c: &Chunk| {
            !matches!(
                c.kind,
                ChunkKind::Request(..) | ChunkKind::Part { more: false, .. }
            )
        };
        let chunks = &mut self.post.mail.chunks;
        if chunks.peek().is_some_and(|c| !running || part(c))
            && let Some(chunk) = chunks.dequeue()
        {
            self.chunk(io, &chunk);
            return true;
        }
        if running {
            self.slice(io);
            return true;
        }
        // Between two steps of a key exchange whatever else waits has its turn, a run of the module to its end.
        if self.exchange.due() {
            self.advance();
            return true;
        }
        // Mail and ticks take turns when both wait: neither can keep the other from its own.
        let turn = core::mem::replace(&mut self.turn, Turn::Mail);
        if turn == Turn::Tick && self.tick(io) {
            return true;
        }
        if let Some(down) = self.post.mail.down.dequeue() {
            self.turn = Turn::Tick;
            self.message(io, down);
            return true;
        }
        if self.restart.due(io.micros() / 1000) {
            self.restart.resume();
            self.resume_package(io);
            return true;
        }
        self.tick(io)
            || self.save_states(io, false)
            || self.save_parameters(io, false)
            || self.advance()
    }

    /// Begins a tick that is due.
    fn tick(&mut self, io: &mut impl Io) -> bool {
        let active = self.active.as_mut();
        let Some(missed) = active.and_then(|active| active.begin_tick(io.micros())) else {
            return false;
        };
        self.stats.ticks_missed = self.stats.ticks_missed.saturating_add(missed);
        true
    }

    /// Whether the Server has something to fetch.
    pub fn has_mail(&self) -> bool {
        self.post.has_mail()
    }

    /// The slots, for what a board wants to know of them.
    pub fn slots(&self) -> &Slots<F> {
        &self.slots
    }

    fn flush(&mut self) {
        let wanted = self.post.app && self.post.mail.apps.ready();
        let app = wanted.then(|| self.describe());
        self.post.flush(app, &self.stats);
    }

    fn describe(&self) -> App {
        let mut app = App {
            event: self.event,
            returned: self.returned,
            backtrace: self.backtrace.clone(),
            era: self.slots.memory().era,
            highest: self.slots.memory().highest,
            budget: self.slots.budget(),
            interpreted: self.interpreted(),
            arena: self.arena.map_or(0, Arena::length),
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
            && let Some(envelope) = load::envelope(&self.slots, slot)
        {
            let received = self
                .install
                .position(slot)
                .unwrap_or_else(|| self.slots.received(slot, PIECE));
            app.staged = Some((
                envelope.manifest.digest,
                self.slots.slot(slot).size,
                received,
            ));
        }
        let Some(active) = &self.active else {
            return app;
        };
        let package = &active.package;
        let m = &package.manifest;
        let _ = app.name.push_str(m.name);
        let _ = app.version.push_str(m.version);
        App {
            state: self.slots.slot(package.slot).state,
            sequence: m.sequence,
            digest: m.digest,
            size: m.size,
            table: package.table,
            slot: package.slot as u8,
            needs: m.needs,
            ram: package.ram,
            trial: active.trial,
            tiers: active.tiers,
            facts: package.facts,
            parameters: active.parameters.clone(),
            requests: package.linked.request.is_some() && package.facts.buffer > 0,
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
        self.slots.mend();
        if self.provision.damaged {
            self.post.log(format_args!(
                "the provisioning record is damaged: provision the node again, or claim it by cable"
            ));
        }
        if self.slots.unknown().is_some() {
            self.post.log(format_args!(
                "a later firmware wrote the slots: nothing is changed"
            ));
        }
        if let Some(current) = self.slots.current()
            && self.slots.slot(current).state == State::Trial
        {
            let sequence = self.slots.slot(current).sequence;
            let _ = self.slots.reject(current, Reason::Reset);
            self.post.log(format_args!(
                "reset during the trial of package {sequence}: returned"
            ));
        } else if let Some(staged) = self.slots.staged()
            && self.slots.activate(staged).is_ok()
        {
            self.post.log(format_args!(
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
            if self.start(io, slot) {
                return;
            }
            let sequence = self.slots.slot(slot).sequence;
            self.event = Event::Damaged(sequence);
            self.post
                .log(format_args!("package {sequence} is damaged: left"));
            self.returned = true;
            let _ = self.slots.reject(slot, Reason::Damaged);
        }
    }

    fn unload(&mut self) {
        if let Some(active) = self.active.take() {
            self.keeper.carry(&active.package.facts);
            self.region = Some(active.instance.into_region());
            if let Some(Job::Request(Some(ticket))) = active.job {
                self.post.answer(
                    ticket,
                    Code::SERVICE_UNAVAILABLE,
                    format_args!("the module was stopped"),
                );
            }
        }
        self.post.app = true;
    }

    /// Makes an instance of the package in a slot, after checking what lies there.
    fn start(&mut self, io: &mut impl Io, slot: usize) -> bool {
        self.unload();
        let checked = load::recheck(&mut self.slots, slot, self.scratch);
        let Some(checked) = checked else {
            return false;
        };
        if checked.remade {
            let sequence = checked.manifest.sequence;
            self.post.log(format_args!(
                "package {sequence}: its branch table was damaged, and made again"
            ));
        }
        match load::load(&self.slots, &checked, &self.limits, self.memory) {
            Ok(package) => self.activate(io, package),
            Err(_) => false,
        }
    }

    /// Makes an instance of a package that was found good.
    fn activate(&mut self, io: &mut impl Io, package: Loaded) -> bool {
        self.unload();
        let on_trial = self.slots.slot(package.slot).state == State::Trial;
        let Some(region) = self.region.take() else {
            return false;
        };
        let tiers = self.compile(&package, region);
        let mut active = match Active::new(package, region, &self.slots, io.micros()) {
            Ok(active) => active,
            Err(region) => {
                self.region = Some(region);
                return false;
            }
        };
        if !on_trial {
            active.trial = 0;
        }
        active.tiers = tiers;
        if tiers.code > 0 {
            // Nothing has been called yet, so it takes any.
            let _ = active.instance.set_tier(self.arena.and_then(Arena::tier));
        }
        self.keeper.begin(io.micros() / 1000);
        self.stats = Stats {
            traps: self.stats.traps,
            ..Stats::default()
        };
        self.active = Some(active);
        self.give_parameters();
        self.restart.resume();
        true
    }

    // ---- mail from the Server -------------------------------------------------------------------------------------------

    fn newest(&mut self, sensor: u8, value: f32) {
        if let Some(latest) = self.latest.get_mut(usize::from(sensor)) {
            *latest = value;
        }
    }

    fn message(&mut self, io: &mut impl Io, down: Down) {
        match down {
            Down::Lost(sensor) => self.newest(sensor, f32::NAN),
            Down::Sample(sensor, value) => {
                self.newest(sensor, value);
                if let Some(active) = &mut self.active {
                    active.begin_sample(io.micros(), sensor, value);
                }
            }
            Down::Clock(offset) => self.clock = Some(offset),
            Down::Parameter(ticket, number, value) => {
                self.set_parameter(io, ticket, number, value);
            }
            Down::Tier(ticket, interpreted) => self.choose(io, ticket, interpreted),
            Down::Rollback(ticket) => {
                let Some(current) = self.slots.previous().and(self.slots.current()) else {
                    self.post.answer(
                        ticket,
                        Code::CONFLICT,
                        format_args!("there is no package to go back to"),
                    );
                    return;
                };
                let sequence = self.slots.slot(current).sequence;
                if self.slots.withdraw(Reason::Hand).is_err() {
                    self.post.answer(
                        ticket,
                        Code::INTERNAL_SERVER_ERROR,
                        format_args!("storage: flash"),
                    );
                    return;
                }
                self.event = Event::Hand(sequence);
                self.returned = true;
                self.restart.forget();
                self.unload();
                self.resume_package(io);
                self.post
                    .log(format_args!("package {sequence} withdrawn by hand"));
                self.post.answer(ticket, Code::CHANGED, format_args!(""));
            }
            Down::State(ticket, number, form) => self.tell_state(io, ticket, number, form),
            Down::Remove(ticket) => {
                let Some(current) = self.slots.current() else {
                    self.post.answer(ticket, Code::DELETED, format_args!(""));
                    return;
                };
                self.unload();
                self.keeper.forget();
                self.restart.forget();
                match self.slots.remove(current) {
                    Ok(()) => self.post.answer(ticket, Code::DELETED, format_args!("")),
                    Err(_) => {
                        self.post.answer(
                            ticket,
                            Code::INTERNAL_SERVER_ERROR,
                            format_args!("storage: flash"),
                        );
                    }
                }
                self.post.log(format_args!("package removed"));
            }
            Down::Discard(ticket) => {
                self.install.forget();
                if let Some(slot) = self.slots.receiving() {
                    let _ = self.slots.reject(slot, Reason::Refused);
                }
                self.post.app = true;
                self.post.answer(ticket, Code::DELETED, format_args!(""));
            }
        }
    }

    fn chunk(&mut self, io: &mut impl Io, chunk: &Chunk) {
        match chunk.kind {
            ChunkKind::Part {
                transfer,
                offset,
                more,
            } => {
                let part = Part {
                    transfer,
                    offset,
                    more,
                    bytes: &chunk.bytes,
                };
                self.part(io, chunk.ticket, &part);
            }
            ChunkKind::Request(method, path) => self.request(io, chunk, method, path),
            ChunkKind::Key(place) => self.change_key(io, chunk.ticket, place, &chunk.bytes),
            ChunkKind::Revoke(place, who) => self.revoke(io, chunk.ticket, place, who),
            ChunkKind::First(name) => self.first(chunk.ticket, name, &chunk.bytes, io.random()),
            ChunkKind::Third => self.third(chunk.ticket, &chunk.bytes),
        }
    }

    /// A part of a package.
    fn part(&mut self, io: &mut impl Io, ticket: u16, part: &Part<'_>) {
        io.phase(Phase::Receive);
        let budget = self.slots.budget();
        let mut bench = Bench {
            slots: &mut self.slots,
            provision: &self.provision,
            limits: &self.limits,
            memory: self.memory,
            scratch: self.scratch,
        };
        let taken = self.install.take(&mut bench, io, part);
        self.follow(io);
        self.post.app |= self.slots.budget() != budget;
        // Of what has just begun `/app` tells.
        let goes_on = matches!(taken, Ok(Outcome::Taken { begun: false }));
        let code = match taken {
            Ok(Outcome::Unsigned) => Ok(Code::CHANGED),
            Ok(Outcome::Taken { begun }) => {
                self.post.app |= begun;
                Ok(Code::CHANGED)
            }
            Ok(Outcome::Gap) => Ok(Code::REQUEST_ENTITY_INCOMPLETE),
            Ok(Outcome::Whole(package)) => self.replace(io, package).map(|()| Code::CHANGED),
            Err(problem) => Err(problem),
        };
        io.phase(Phase::Rest);
        match code {
            Ok(code) => {
                self.post.answer(ticket, code, format_args!(""));
                let stored = self.install.stored().filter(|_| goes_on);
                if let (Some(reply), Some(stored)) = (&mut self.post.reply, stored) {
                    reply.kind = ReplyKind::Received(stored);
                }
            }
            Err(Problem((refusal, text))) => {
                let (name, code) = refusal.wire();
                // Who is told to wait has changed nothing.
                if refusal != Refusal::Busy {
                    self.post
                        .log(format_args!("package refused: {name}: {text}"));
                    self.post.app = true;
                }
                self.post
                    .answer(ticket, code, format_args!("{name}: {text}"));
            }
        }
    }

    /// A package that has just been installed takes the place of the one that runs, on trial.
    fn replace(&mut self, io: &mut impl Io, package: Loaded) -> Result<(), Problem> {
        let (slot, sequence) = (package.slot, package.manifest.sequence);
        self.post.app = true;
        let settings = self.settings();
        self.save_states(io, true);
        self.save_parameters(io, true);
        if let Err(error) = self.slots.activate(slot) {
            let _ = self.slots.reject(slot, Reason::Refused);
            return Err(error.into());
        }
        self.returned = false;
        self.event = Event::None;
        self.restart.forget();
        self.requests.forget();
        self.post
            .log(format_args!("package {sequence} goes on trial"));
        if self.activate(io, package) {
            self.keep_settings(io, &settings);
            return Ok(());
        }
        let _ = self.slots.reject(slot, Reason::Refused);
        self.resume_package(io);
        Err((Refusal::Storage, "the package could not be started").into())
    }

    fn request(&mut self, io: &mut impl Io, chunk: &Chunk, method: Code, path: u16) {
        let (ticket, micros) = (chunk.ticket, io.micros());
        if let Some(wait) = self.requests.left(micros / 1000) {
            self.post.answer(
                ticket,
                Code::SERVICE_UNAVAILABLE,
                format_args!(
                    "the module failed at a request; it takes them again in {} s",
                    wait.div_ceil(1000)
                ),
            );
            return;
        }
        let begun = self
            .active
            .as_mut()
            .is_some_and(|active| active.begin_request(micros, method, path, &chunk.bytes, ticket));
        if !begun {
            self.post.answer(
                ticket,
                Code::REQUEST_ENTITY_TOO_LARGE,
                format_args!("the module cannot take this request"),
            );
        }
    }

    // ---- running --------------------------------------------------------------------------------------------------------

    /// One slice of the present run.
    fn slice(&mut self, io: &mut impl Io) {
        let budget = u64::from(self.limits.fuel);
        let Some(active) = &mut self.active else {
            return;
        };
        let sequence = active.package.manifest.sequence;
        let mut slice = SLICE;
        loop {
            let left = budget.saturating_sub(active.used());
            if left == 0 {
                let place = active.instance.backtrace().next();
                self.failed(io, Event::Fuel(sequence, place));
                return;
            }
            if slice == 0 {
                return;
            }
            let granted = slice.min(left);
            let mut fuel = granted;
            let run = active.instance.run(&mut fuel);
            slice -= granted - fuel;
            match run {
                Run::Done => {
                    self.finished(io);
                    return;
                }
                Run::OutOfFuel => {}
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
                    let import = active.import(function);
                    let room = self.post.mail.up.ready()
                        && self.post.reply.is_none()
                        && self.post.introduced();
                    if !room || active.answers_long(import) && !self.post.has_body() {
                        let again = core::mem::replace(&mut self.waiting, true);
                        self.stats.waits = self.stats.waits.saturating_add(u32::from(!again));
                        return;
                    }
                    self.waiting = false;
                    slice = slice.saturating_sub(active.charge(import));
                    if active.used() >= budget {
                        continue;
                    }
                    let context = Context {
                        latest: &self.latest,
                        clock: self.clock,
                        mail: &mut self.post.mail,
                        reply: &mut self.post.reply,
                        body: &mut self.post.body,
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
        if job == Some(Job::Setup) {
            self.give_states();
        }
        let Some(active) = &mut self.active else {
            return;
        };
        if job == Some(Job::Setup) && active.begin_start(now) {
            return;
        }
        self.keeper.look(&active.package.facts, &active.instance);
        let fuel = u32::try_from(active.used()).unwrap_or(u32::MAX);
        let micros = now.saturating_sub(active.started) as u32;
        let gap = match core::mem::replace(&mut active.finished, now) {
            0 => 0,
            before => (now.saturating_sub(before) / 1000) as u32,
        };
        self.stats.ran(fuel, micros, gap);
        self.post.stats = true;
        // It has run well for a while: the next failure begins with the shortest wait again.
        if self.stats.runs > u32::from(TRIAL_RUNS) {
            self.restart.forget();
        }
        match job {
            // Who can ask a module must not be able to have it confirmed.
            Some(Job::Request(Some(ticket))) => self.post.answer(
                ticket,
                Code::INTERNAL_SERVER_ERROR,
                format_args!("the module gave no answer"),
            ),
            Some(Job::Request(None)) => {}
            Some(Job::Scheduled) => self.prove(),
            _ if active.start_counts => self.prove(),
            _ => {}
        }
        // A module that is never idle does not keep its state and its parameters from being saved.
        self.save_states(io, false);
        self.save_parameters(io, false);
    }

    /// A run that the node began by itself ended well: one less until the package is confirmed. The first confirms a package
    /// of which the node never begins another.
    fn prove(&mut self) {
        let Some(active) = &mut self.active else {
            return;
        };
        if active.trial == 0 {
            return;
        }
        active.trial -= 1;
        if active.trial > 0 && active.scheduled() {
            return;
        }
        active.trial = 0;
        let manifest = active.package.manifest;
        let (sequence, rotation) = (manifest.sequence, manifest.rotation());
        let confirmed = self
            .slots
            .confirm(active.package.slot, rotation, &self.provision.keys);
        self.trust();
        match confirmed {
            Ok(()) => self.post.log(format_args!("package {sequence} confirmed")),
            Err(_) => self.post.log(format_args!(
                "package {sequence} cannot be confirmed: storage"
            )),
        }
        self.returned = false;
        self.post.app = true;
    }
}
