//! What is left of a module's first calls wherever their fuel ends: for every unit of it while they begin, and then by half more
//! each time until all of them end. Each run is a fresh instance's, with the same code.
use crate::script::{Outcome, Status};
use alloc::string::String;
use alloc::vec::Vec;
use wasmote_engine::{Instance, Module, Options, Run, Value, tier::Tier};

/// Runs whose digests are told together.
const TOGETHER: u32 = 16;

/// What is swept.
pub(crate) struct Sweep<'a> {
    pub(crate) module: Module<'static>,
    pub(crate) options: Options,
    pub(crate) tier: Option<&'static dyn Tier>,
    /// Exports that take nothing, called one after the other.
    pub(crate) exports: &'a [String],
    /// Up to where every unit is tried, and what is the most that is tried.
    pub(crate) every: u32,
    pub(crate) most: u64,
}

/// Words and bytes, as one number: FNV-1a over words.
struct Digest(u64);

impl Digest {
    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x100_0000_01b3);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // A hash of 32 bits at a time: most of a sweep on the chip is this.
        let mut hash = 0x811c_9dc5_u32;
        for word in bytes.chunks_exact(4) {
            let word = word.try_into().map_or(0, u32::from_le_bytes);
            hash = (hash ^ word).wrapping_mul(0x0100_0193).rotate_left(5);
        }
        self.word(hash.into());
        self.word(bytes.len() as u64);
    }

    fn value(&mut self, value: Value) {
        let (ty, bits) = match value {
            Value::I32(v) => (1, v.cast_unsigned().into()),
            Value::I64(v) => (2, v.cast_unsigned()),
            Value::F32(v) => (3, v.to_bits().into()),
            Value::F64(v) => (4, v.to_bits()),
            Value::FuncRef(v) => (5, v.map_or(u64::MAX, u64::from)),
            Value::ExternRef(v) => (6, v.map_or(u64::MAX, u64::from)),
        };
        self.word(ty);
        self.word(bits);
    }
}

impl Sweep<'_> {
    /// The digests of sixteen runs each, and how many runs ended well, trapped, and were out of fuel.
    pub(crate) fn run(&self, region: &mut [u8], tier: &str) -> Outcome {
        let (mut digests, mut digest, mut runs) = (Vec::new(), Digest(0), 0_u32);
        let mut ends = [0_i64; 3];
        let mut look = |exports: &[String], fuel: u64, region: &mut [u8]| {
            let end = self.once(exports, fuel, region, &mut digest)?;
            if let Some(count) = ends.get_mut(end) {
                *count += 1;
            }
            runs += 1;
            if runs.is_multiple_of(TOGETHER) {
                digests.push(Value::I64(digest.0.cast_signed()));
            }
            Some(end)
        };
        let mut all = || {
            for export in self.exports.chunks(1) {
                for fuel in 0..=self.every {
                    look(export, fuel.into(), region)?;
                }
            }
            let mut fuel = u64::from(self.every);
            while fuel < self.most {
                fuel = (fuel + fuel / 2 + 1).min(self.most);
                if look(self.exports, fuel, region)? != OUT {
                    break;
                }
            }
            Some(())
        };
        if all().is_none() {
            return Outcome::fault("a sweep of what cannot be called");
        }
        digests.push(Value::I64(digest.0.cast_signed()));
        digests.extend(ends.map(Value::I64));
        Outcome {
            values: digests,
            ..Outcome::new(Status::Ok, tier)
        }
    }

    /// One run with this much fuel for all of the calls: by which of three ways it ended.
    fn once(
        &self,
        exports: &[String],
        fuel: u64,
        region: &mut [u8],
        digest: &mut Digest,
    ) -> Option<usize> {
        let mut instance = Instance::new(self.module, region, &self.options).ok()?;
        if self.tier.is_some() && !instance.set_tier(self.tier) {
            return None;
        }
        let (mut left, mut end) = (fuel, WELL);
        let mut calls = exports.iter();
        // The start function runs first.
        loop {
            let before = instance.fuel_used();
            match instance.run(&mut left) {
                Run::Done => {}
                Run::OutOfFuel => end = OUT,
                Run::Trap(trap) => {
                    end = TRAPPED;
                    digest.word(trap.kind as u64);
                }
                Run::Host(_) => return None,
            }
            digest.word(instance.fuel_used().wrapping_sub(before));
            digest.word(left);
            instance.results().for_each(|value| digest.value(value));
            if end != WELL {
                break;
            }
            let Some(export) = calls.next() else { break };
            let function = self.module.export_function(export)?;
            instance.call(function, &[]).ok()?;
        }
        digest.word(end as u64);
        if end != WELL {
            for place in instance.backtrace() {
                digest.word(u64::from(place.function) << 32 | u64::from(place.offset));
            }
        }
        (0..)
            .map_while(|index| instance.global(index))
            .for_each(|value| digest.value(value));
        digest.bytes(instance.memory());
        Some(end)
    }
}

const WELL: usize = 0;
const TRAPPED: usize = 1;
const OUT: usize = 2;
