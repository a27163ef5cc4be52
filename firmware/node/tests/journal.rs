//! What slots write, as nodes in the field have it: events in any order beside a model of what must follow from them, and the trace
//! and the bytes that they leave as a vector (`journal.txt`). Who changes that vector changes what an older firmware must
//! have written, what a later one must read, or how much flash wears: the difference is for the review.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::slots::{kept, open, saved};
use rig::vector::{golden, trace};
use rig::{EVEN, Layout, Memory, TEARS, UNEVEN};
use std::collections::BTreeMap;
use std::fmt::Write;
use wasmote_node::package::key_id;
use wasmote_node::slot::{
    Coming, Flash, PACKAGE, RECORD, Reason, Rotation, SLOTS, STATE, SlotError, Slots, State, WEAR,
    checksum,
};

const HOUR: u64 = 3_600_000;
const REASONS: [Reason; 5] = [
    Reason::Reset,
    Reason::Trap,
    Reason::Fuel,
    Reason::Damaged,
    Reason::Refused,
];
/// The key that the node was provisioned with.
const PROVISIONED: [[u8; 32]; 1] = [[0xaa; 32]];

struct Random(u32);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        // xorshift32
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 3) % end
    }

    fn bytes(&mut self, most: u32) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

/// What must be so, whatever slots it lies in.
#[derive(Clone, Debug, Default)]
struct Model {
    /// Packages that may run, the newest last: number, module, parameters, state.
    packages: Vec<Package>,
    /// Numbers that are never to run again.
    gone: Vec<(u32, u32)>,
    reached: (u32, u32),
    trusted: Vec<[u8; 32]>,
    kept: BTreeMap<u8, Vec<u8>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Package {
    number: (u32, u32),
    module: u8,
    parameters: BTreeMap<u16, u32>,
    state: Option<(u32, Vec<u8>)>,
}

impl Model {
    fn new() -> Self {
        Self {
            trusted: PROVISIONED.to_vec(),
            ..Self::default()
        }
    }

    fn install(&mut self, number: (u32, u32), module: u8) {
        self.packages.push(Package {
            number,
            module,
            ..Package::default()
        });
        self.reached = self.reached.max(number);
    }

    fn withdraw(&mut self) {
        let module = self.packages.last().map(|p| p.module);
        while self.packages.last().map(|p| p.module) == module {
            match self.packages.pop() {
                Some(package) => self.gone.push(package.number),
                None => break,
            }
        }
    }
}

impl Model {
    /// The package to go back to from the one that runs: the newest of another module.
    fn back(&self) -> Option<&Package> {
        let module = self.packages.last()?.module;
        self.packages.iter().rfind(|p| p.module != module)
    }

    /// Forgets packages that are nowhere any more, which only those may be that neither run nor are the way back.
    fn erased(&mut self, there: &[(u32, u32)]) {
        let held = [self.packages.last(), self.back()].map(|p| p.map(|p| p.number));
        let stays = |p: &Package| held.contains(&Some(p.number)) || there.contains(&p.number);
        self.packages.retain(stays);
    }
}

struct World {
    memory: Memory,
    slots: Slots<Memory>,
    model: Model,
    random: Random,
    /// Of packages: rises.
    sequence: u32,
    era: u32,
    now: u64,
    /// How often a damaged table had a package moved, which waits for no even wear.
    remade: u32,
}

type Done = Result<(), SlotError>;

impl World {
    fn new(seed: u32, layout: &'static Layout) -> Self {
        let memory = Memory::with(layout);
        Self {
            slots: open(&memory),
            memory,
            model: Model::new(),
            random: Random(seed.wrapping_mul(0x9e37_79b9) | 1),
            sequence: 0,
            era: 0,
            now: 0,
            remade: 0,
        }
    }

    fn receive(&mut self, number: (u32, u32), module: u8) -> Result<usize, SlotError> {
        let size = 64 + 4 * self.random.below(200) + self.random.below(4);
        let coming = Coming {
            era: number.0,
            sequence: number.1,
            envelope: 40 + self.random.below(24) as u16,
            size,
            digest: [module; 32],
        };
        let held = [self.slots.current(), self.slots.previous()];
        let before = [0, 1, 2].map(|i| self.slots.slot(i));
        let index = self.slots.prepare(&coming)?;
        let current = self.slots.current();
        assert!(Some(index) != current && Some(index) != self.slots.previous());
        // The least worn of those that may go, unless another has to stay for what it records.
        let removal = before.iter().any(|s| s.state == State::Removed);
        let others = (0..SLOTS).filter(|i| !held.contains(&Some(*i)) && *i != index);
        for other in others.filter(|_| !removal && held[0] == current) {
            assert!(before[other].erased >= before[index].erased || before[index].epoch == 0);
        }
        let bytes: Vec<u8> = (0..size).map(|i| module ^ i as u8).collect();
        // In pieces, the last of any length.
        for (n, piece) in bytes.chunks(256).enumerate() {
            self.slots.write(index, 256 * n as u32, piece)?;
        }
        assert_eq!(self.slots.package(index), bytes);
        assert_eq!(self.slots.receiving(), Some(index));
        Ok(index)
    }

    fn stage(&mut self, number: (u32, u32), module: u8) -> Result<usize, SlotError> {
        let index = self.receive(number, module)?;
        let table = 4 * self.random.below(60);
        self.slots.stage(index, table)?;
        let slot = self.slots.slot(index);
        assert_eq!((slot.table, slot.state), (table, State::Staged));
        assert_eq!(self.slots.staged(), Some(index));
        assert!(self.slots.sealed(index));
        let (at, room) = self.slots.table_space(index);
        let base = self.memory.place(index).0 + PACKAGE;
        assert_eq!(at, base + slot.size.next_multiple_of(4));
        assert_eq!(at + room, base + self.slots.capacity());
        Ok(index)
    }

    fn next(&mut self) -> (u32, u32) {
        self.sequence += 1 + self.random.below(3);
        if self.random.below(9) == 0 {
            self.era += 1;
            self.sequence = 1 + self.random.below(4);
        }
        (self.era, self.sequence)
    }

    fn install(&mut self, module: u8, rotation: Rotation) -> Done {
        let number = self.next();
        let index = self.stage(number, module)?;
        self.slots.activate(index)?;
        assert_eq!(self.slots.current(), Some(index));
        assert_eq!(self.slots.slot(index).state, State::Trial);
        self.model.reached = self.model.reached.max(number);
        let confirmed = self.slots.confirm(index, rotation, &PROVISIONED);
        if confirmed.is_err() {
            // Too many keys: it stays on trial, and goes.
            self.model.gone.push(number);
            self.slots.reject(index, Reason::Refused)?;
            return confirmed;
        }
        self.model.install(number, module);
        if let Some(id) = rotation.drop {
            self.model.trusted.retain(|key| key_id(key) != id);
        }
        if let Some(key) = rotation.add.filter(|k| !self.model.trusted.contains(k)) {
            self.model.trusted.push(key);
        }
        Ok(())
    }

    fn rotation(&mut self) -> Rotation {
        let key = |n: u32| {
            if n == 0 {
                PROVISIONED[0]
            } else {
                [n as u8; 32]
            }
        };
        let add = (self.random.below(3) == 0).then(|| key(self.random.below(6)));
        let drop = (self.random.below(3) == 0).then(|| key_id(&key(self.random.below(6))));
        Rotation { add, drop }
    }

    /// One event: its name and what came of it.
    fn event(&mut self) -> (&'static str, Done) {
        let module = 1 + self.random.below(200) as u8;
        match self.random.below(16) {
            0..=2 => {
                let rotation = self.rotation();
                ("install", self.install(module, rotation))
            }
            3 => {
                let same = self.model.packages.last().map_or(module, |p| p.module);
                ("again", self.install(same, Rotation::default()))
            }
            4 => ("fails", self.fails(module)),
            5 => {
                // An older one, for which nobody with a key need have asked, or a newer one; in part.
                let number = (self.era, self.sequence.saturating_sub(self.random.below(3)));
                ("part", self.receive(number, module).map(drop))
            }
            6 => {
                let number = (self.era, self.sequence + 1);
                ("staged", self.stage(number, module).map(drop))
            }
            7 => {
                let done = self.slots.withdraw(Reason::Hand);
                if done.is_ok() {
                    self.model.withdraw();
                }
                ("withdraw", done)
            }
            8 if self.random.below(3) == 0 => match self.slots.current() {
                Some(index) => {
                    let done = self.slots.remove(index);
                    let all = self.model.packages.drain(..);
                    self.model.gone.extend(all.map(|p| p.number));
                    ("remove", done)
                }
                None => ("remove", Err(SlotError::Nothing)),
            },
            8 | 9 => {
                let number = self.random.below(5) as u8;
                let bytes = self.random.bytes(RECORD as u32 / 2);
                let done = self.slots.keep(number, &bytes);
                if done.is_ok() {
                    self.model.kept.insert(number, bytes);
                }
                ("keep", done)
            }
            10 | 11 => {
                let tag = self.random.below(9);
                let bytes = self.random.bytes(STATE as u32 / 2);
                let done = self.slots.save(tag, &bytes);
                if let (Ok(()), Some(package)) = (done, self.model.packages.last_mut()) {
                    package.state = Some((tag, bytes));
                }
                ("save", done)
            }
            12 | 13 => ("set", self.set()),
            14 => ("remake", self.remake()),
            _ => {
                self.now += u64::from(self.random.below(30)) * HOUR;
                let damaged = self.random.below(2) == 0;
                if damaged {
                    self.damage();
                }
                self.restart();
                (if damaged { "damage" } else { "restart" }, Ok(()))
            }
        }
    }

    /// A bit flips in what is written of headers and journals, which the next start makes good.
    fn damage(&mut self) {
        let (base, _) = self.memory.place(self.random.below(SLOTS as u32) as usize);
        let used = self.memory.mapped(base, PACKAGE);
        if let Some(last) = used.iter().rposition(|b| *b != 0xff) {
            let at = self.random.below(last as u32 + 1);
            self.memory.flip(base + at, self.random.below(8) as u8);
        }
    }

    fn fails(&mut self, module: u8) -> Done {
        let number = self.next();
        let index = self.stage(number, module)?;
        self.slots.activate(index)?;
        let reason = REASONS[self.random.below(REASONS.len() as u32) as usize];
        self.slots.reject(index, reason)?;
        self.model.reached = self.model.reached.max(number);
        self.model.gone.push(number);
        let told = self.slots.left().map(|s| (s.sequence, s.reason));
        let refused = reason == Reason::Refused;
        assert_eq!(told == Some((number.1, reason)), !refused, "{reason:?}");
        // Only what flash damaged may come again, and only as it was.
        let length = usize::from(self.slots.slot(index).envelope);
        let envelope = &self.slots.package(index)[..length];
        let lost = |e: &[u8]| self.slots.lost(number.0, number.1, e);
        assert_eq!(lost(envelope), reason == Reason::Damaged);
        assert!(!lost(&envelope[1..]));
        Ok(())
    }

    fn set(&mut self) -> Done {
        let several = 1 + self.random.below(8);
        for _ in 0..several {
            let number = self.random.below(16) as u16;
            let value = self.random.below(1 << 24) as f32 / 8.0;
            self.slots.set_parameter(number, value)?;
            if let Some(package) = self.model.packages.last_mut() {
                package.parameters.insert(number, value.to_bits());
            }
        }
        Ok(())
    }

    fn remake(&mut self) -> Done {
        let index = self.slots.current().ok_or(SlotError::Nothing)?;
        let other = self.slots.remake(index)?;
        self.remade += 1;
        assert_eq!(self.slots.current(), Some(other));
        let table = 4 * self.random.below(60);
        self.slots.remade(index, other, table)?;
        assert_eq!(self.slots.slot(other).table, table);
        Ok(())
    }

    fn restart(&mut self) {
        self.slots = open(&self.memory);
        self.slots.tick(self.now);
        self.slots.mend();
    }

    /// That all is as the model has it.
    fn check(&mut self, told: &str) {
        let there = [0, 1, 2].map(|i| self.slots.slot(i));
        let there = there.iter().filter(|s| s.state == State::Confirmed);
        let there: Vec<_> = there.map(|s| (s.era, s.sequence)).collect();
        self.model.erased(&there);
        let (slots, model) = (&self.slots, &self.model);
        let number = |i: Option<usize>| {
            let slot = i.map(|i| slots.slot(i));
            slot.map(|s| (s.era, s.sequence))
        };
        let last = model.packages.last();
        assert_eq!(number(slots.current()), last.map(|p| p.number), "{told}");
        let back = model.back().map(|p| p.number);
        assert_eq!(number(slots.previous()), back, "{told}");
        assert_eq!(slots.memory().reached(), model.reached, "{told}");
        let trusted = slots.memory().trusted(&PROVISIONED);
        let mut trusted: Vec<_> = trusted.map(|(key, _)| *key).collect();
        let mut wanted = model.trusted.clone();
        trusted.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(trusted, wanted, "{told}");
        for n in 0..5 {
            let wanted = model.kept.get(&n).filter(|bytes| !bytes.is_empty());
            assert_eq!(kept(slots, n).as_ref(), wanted, "{told}: record {n}");
        }
        for n in 0..16 {
            let wanted = last.and_then(|p| p.parameters.get(&n)).copied();
            let value = slots.parameter(n).map(f32::to_bits);
            assert_eq!(value, wanted, "{told}: parameter {n}");
        }
        assert_eq!(saved(slots), last.and_then(|p| p.state.clone()), "{told}");
        assert_eq!(self.memory.violations.get(), 0, "{told}");
        let worn = [0, 1, 2].map(|i| slots.slot(i).erased);
        let (least, most) = (worn.iter().min().unwrap(), worn.iter().max().unwrap());
        assert!(most - least <= WEAR + 2 + self.remade, "{told}: {worn:?}");
    }

    /// All of the flash, as a checksum.
    fn flash(&self) -> u32 {
        let (base, length) = self.memory.place(SLOTS - 1);
        checksum(&[self.memory.mapped(0, base + length)])
    }
}

/// A line of the trace: what happened and how it stands.
fn line(world: &World, what: &str, done: Done) -> String {
    let slots = &world.slots;
    let mut text = what.to_owned();
    if let Err(error) = done {
        let _ = write!(text, " {error:?}");
    }
    for index in 0..SLOTS {
        let slot = slots.slot(index);
        let mark = if Some(index) == slots.current() {
            "*"
        } else {
            ""
        };
        let state = slot.state.name();
        let (epoch, erased) = (slot.epoch, slot.erased);
        let _ = write!(
            text,
            " | {mark}{state} {}.{} @{epoch} x{erased}",
            slot.era, slot.sequence
        );
    }
    let asked = world.memory.asked.get();
    let left = slots.budget().0;
    let _ = write!(
        text,
        " | {left} left, {asked} written, {:08x}",
        world.flash()
    );
    text
}

/// Runs a world for so many events.
fn events(seed: u32, layout: &'static Layout, events: u32) -> Vec<String> {
    let mut world = World::new(seed, layout);
    (0..events)
        .map(|step| {
            let before = world.model.clone();
            let (what, done) = world.event();
            let told = format!("seed {seed}, step {step}: {what} {done:?}");
            if done.is_err() {
                assert_eq!(world.model.packages.len(), before.packages.len(), "{told}");
            }
            world.check(&told);
            // The same is read from flash.
            let again = open(&world.memory);
            for index in 0..SLOTS {
                assert_eq!(again.slot(index), world.slots.slot(index), "{told}");
            }
            assert_eq!(again.memory(), world.slots.memory(), "{told}");
            line(&world, what, done)
        })
        .collect()
}

#[test]
fn in_any_order_of_events_slots_are_as_the_model_has_them_and_write_what_the_vector_says() {
    let mut told = String::new();
    for (name, layout) in [("even", &EVEN), ("uneven", &UNEVEN)] {
        for seed in 1..=60 {
            let name = format!("{name} ");
            trace(&mut told, &name, seed, &events(seed, layout, 60));
        }
    }
    golden("journal", &told);
}

#[test]
fn slots_of_one_length_lie_one_behind_the_other() {
    let memory = Memory::with(&EVEN);
    let mut slots = Slots::open(memory.clone(), 0, memory.place(0).1);
    let other = open(&memory);
    assert_eq!(slots.capacity(), other.capacity());
    for index in 0..SLOTS {
        assert_eq!(slots.table_space(index), other.table_space(index));
    }
    // To the last byte, and no more.
    for (size, good) in [(0, true), (1, false), (1_000, false)] {
        let coming = Coming {
            era: 0,
            sequence: 1,
            envelope: 64,
            size: slots.capacity() + size,
            digest: [1; 32],
        };
        let done = slots.prepare(&coming);
        let refused = done == Err(SlotError::TooLarge);
        assert_eq!(refused, !good, "{size}: {done:?}");
    }
}

#[test]
fn what_was_removed_is_gone_from_the_first_copy_of_its_mark_on() {
    for tear in TEARS {
        for left in 2..12 {
            let mut world = World::new(7, &EVEN);
            for module in [1, 2] {
                world.install(module, Rotation::default()).unwrap();
            }
            world.memory.left.set(left);
            world.memory.tear.set(tear);
            let current = world.slots.current().unwrap();
            let _ = world.slots.remove(current);
            world.memory.left.set(u64::MAX);
            // Also before the next start has made the older ones' marks.
            let slots = open(&world.memory);
            assert_eq!((slots.current(), slots.previous()), (None, None), "{left}");
        }
    }
}

#[test]
fn a_cut_at_any_event_leaves_what_was_or_what_is_and_all_that_was_kept() {
    let mut cuts = 0;
    for seed in 100..112 {
        let mut world = World::new(seed, if seed % 2 == 0 { &EVEN } else { &UNEVEN });
        for step in 0..40u32 {
            let before = world.model.clone();
            let memory = world.memory.copy();
            let state = (world.random.0, world.sequence, world.era, world.now);
            let written = world.memory.asked.get();
            let (what, done) = world.event();
            let operations = world.memory.asked.get() - written;
            world.check(&format!("seed {seed}, step {step}"));
            if what == "restart" || operations == 0 {
                continue;
            }
            for cut in (1..=operations).step_by(1 + operations as usize / 8) {
                let torn = memory.copy();
                let mut slots = open(&torn);
                slots.tick(state.3);
                let mut again = World {
                    slots,
                    memory: torn.clone(),
                    model: before.clone(),
                    random: Random(state.0),
                    sequence: state.1,
                    era: state.2,
                    now: state.3,
                    remade: 0,
                };
                torn.left.set(cut);
                torn.tear.set(TEARS[(cut as usize + step as usize) % 4]);
                let _ = again.event();
                torn.left.set(u64::MAX);
                again.restart();
                let told = format!("seed {seed}, step {step}: {what} {done:?} cut at {cut}");
                for n in 0..5 {
                    let some =
                        |model: &Model| model.kept.get(&n).filter(|b| !b.is_empty()).cloned();
                    let now = kept(&again.slots, n);
                    let either = [some(&before), some(&world.model)].contains(&now);
                    assert!(either, "{told}: record {n}");
                }
                let reached = again.slots.memory().reached();
                assert!(reached >= before.reached, "{told}: {reached:?}");
                if let Some(current) = again.slots.current() {
                    let slot = again.slots.slot(current);
                    let number = (slot.era, slot.sequence);
                    assert!(!before.gone.contains(&number), "{told}: {number:?} is back");
                }
                assert_eq!(torn.violations.get(), 0, "{told}");
                cuts += 1;
            }
        }
    }
    assert!(cuts > 1_000, "{cuts}");
}
