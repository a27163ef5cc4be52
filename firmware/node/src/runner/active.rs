//! The package that runs: its instance, and the run it is in.
use super::TRIAL_RUNS;
use super::load::Loaded;
use crate::mail::Tiers;
use crate::module::{NAMES, Slot};
use crate::slot::{Flash, Slots};
use wasmote_coap::Code;
use wasmote_engine::{Instance, Options, Value};

/// What a run was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Globals, tables, memory and the start function; the export `start` follows in the same run.
    Setup,
    /// The export `start`.
    Start,
    /// A sample or a tick: the node began it by itself.
    Scheduled,
    /// A request, until it is answered.
    Request(Option<u16>),
}

/// A package that runs.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) package: Loaded,
    pub(super) instance: Instance<'static, 'static>,
    pub(super) parameters: heapless::Vec<f32, NAMES>,
    /// What its outputs take.
    pub(super) outputs: heapless::Vec<Slot, NAMES>,
    /// What executes it.
    pub(super) tiers: Tiers,
    /// Good runs left until it is confirmed.
    pub(super) trial: u8,
    /// Whether setting up and `start` count as a good run. They do not when a request made the module begin anew: whoever
    /// can ask it must not be able to confirm it.
    pub(super) start_counts: bool,
    pub(super) job: Option<Job>,
    /// Fuel that host calls have cost in the present run, beside the instance's own.
    pub(super) charged: u64,
    fuel_before: u64,
    /// When the present run began, in microseconds since the start.
    pub(super) started: u64,
    /// When the last one ended; 0 before the first has.
    pub(super) finished: u64,
    /// When the next tick is due, in milliseconds since the start.
    pub(super) next_tick: Option<u64>,
}

impl Active {
    /// An instance of the package in this region of RAM (aligned to 8, of at least `package.ram` bytes), to be set up; the
    /// region comes back when it does not suit.
    pub(super) fn new<F: Flash>(
        package: Loaded,
        region: &'static mut [u8],
        slots: &Slots<F>,
        micros: u64,
    ) -> Result<Self, &'static mut [u8]> {
        if u64::from(package.ram) > region.len() as u64 || region.as_ptr().align_offset(8) != 0 {
            return Err(region);
        }
        // What could still be refused was checked above; a region that is lost is lost until the next reset.
        let Ok(instance) = Instance::new(package.module, region, &Options::default()) else {
            return Err(&mut []);
        };
        let mut parameters = heapless::Vec::new();
        for (number, p) in package.facts.parameters().enumerate() {
            let kept = slots.parameter(number as u16);
            let kept = kept.filter(|v| (p.minimum..=p.maximum).contains(v));
            let _ = parameters.push(kept.unwrap_or(p.initial));
        }
        let period = u64::from(package.facts.tick);
        let ticks = package.linked.tick.is_some() && period > 0;
        Ok(Self {
            outputs: package.facts.slots(),
            package,
            instance,
            parameters,
            tiers: Tiers::default(),
            trial: TRIAL_RUNS,
            start_counts: true,
            job: Some(Job::Setup),
            charged: 0,
            fuel_before: 0,
            started: micros,
            finished: 0,
            next_tick: ticks.then_some(micros / 1000 + period),
        })
    }

    /// Begins a run.
    pub(super) fn begin(
        &mut self,
        micros: u64,
        function: u32,
        arguments: &[Value],
        job: Job,
    ) -> bool {
        let before = self.instance.fuel_used();
        let begun = self.instance.call(function, arguments).is_ok();
        if begun {
            self.job = Some(job);
            // Setting up and `start` are one run, with one budget.
            if job != Job::Start {
                self.started = micros;
                self.fuel_before = before;
                self.charged = 0;
            }
        }
        begun
    }

    /// Begins the export `start`, when there is one.
    pub(super) fn begin_start(&mut self, micros: u64) -> bool {
        let start = self.package.linked.start;
        start.is_some_and(|start| self.begin(micros, start, &[], Job::Start))
    }

    /// Begins a sample of the node's sensor with this number, when the module wants it.
    pub(super) fn begin_sample(&mut self, micros: u64, sensor: u8, value: f32) -> bool {
        let number = self.package.wanted.get(usize::from(sensor));
        let (Some(Some(number)), Some(handler)) = (number, self.package.linked.sample) else {
            return false;
        };
        let arguments = [Value::I32(i32::from(*number)), Value::F32(value)];
        self.begin(micros, handler, &arguments, Job::Scheduled)
    }

    /// Begins a tick when one is due; `Some` is the number of ticks that were missed.
    pub(super) fn begin_tick(&mut self, micros: u64) -> Option<u32> {
        let now = micros / 1000;
        let (due, tick) = (self.next_tick?, self.package.linked.tick?);
        let period = u64::from(self.package.facts.tick);
        let late = now.checked_sub(due)?;
        let missed = late.checked_div(period)?;
        self.next_tick = Some(due + (missed + 1) * period);
        self.begin(micros, tick, &[], Job::Scheduled)
            .then_some(u32::try_from(missed).unwrap_or(u32::MAX))
    }

    /// Begins a request: `bytes` are its path, of this length, and its payload. `false` when the module cannot take it.
    pub(super) fn begin_request(
        &mut self,
        micros: u64,
        method: Code,
        path: u16,
        bytes: &[u8],
        ticket: u16,
    ) -> bool {
        let Some(handler) = self.package.linked.request else {
            return false;
        };
        let Some(Value::I32(at)) = self.instance.exported_global("buffer") else {
            return false;
        };
        let at = at as u32 as usize;
        let fits = bytes.len() <= self.package.facts.buffer as usize;
        let memory = self.instance.memory_mut();
        let to = memory.get_mut(at..at.saturating_add(bytes.len()));
        let Some(to) = to.filter(|_| fits) else {
            return false;
        };
        to.copy_from_slice(bytes);
        let arguments = [
            Value::I32(i32::from(method.0)),
            Value::I32(i32::from(path)),
            Value::I32(bytes.len() as i32 - i32::from(path)),
        ];
        self.begin(micros, handler, &arguments, Job::Request(Some(ticket)))
    }

    /// Fuel of the present run until now: the instance's own, and what host calls have cost.
    pub(super) fn used(&self) -> u64 {
        let own = self.instance.fuel_used().wrapping_sub(self.fuel_before);
        own.saturating_add(self.charged)
    }

    /// Whether the node ever starts a run by itself, after the first.
    pub(super) fn scheduled(&self) -> bool {
        self.package.linked.sample.is_some() || self.package.linked.tick.is_some()
    }
}
