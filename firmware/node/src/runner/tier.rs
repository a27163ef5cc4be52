//! What executes the package that runs: code that was made of it, or the engine's loops, and why.
use super::Runner;
use super::load::Loaded;
use crate::mail::Tiers;
use crate::slot::{Flash, SlotError, TIER};
use wasmote_coap::Code;
use wasmote_compiler::{Arena, Options};

/// The module is interpreted because of this, which is nobody's fault.
const CHOSEN: &str = "the operator chose so";
const NOWHERE: &str = "this board executes no compiled code";

/// Of a package that was compiled, and lies elsewhere now.
pub(super) fn moved() -> Tiers {
    Tiers {
        why: "the package was moved in flash",
        ..Tiers::default()
    }
}

impl<F: Flash> Runner<F> {
    /// From here on, packages are compiled into this place when they are activated.
    pub fn compile_into(&mut self, arena: &'static Arena) {
        self.arena = Some(arena);
    }

    /// Whether the operator chose that packages are interpreted.
    pub(super) fn interpreted(&self) -> bool {
        let mut kept = [0];
        self.slots.kept(TIER, &mut kept) == Some(1) && kept == [1]
    }

    /// Compiles a package that is about to be activated, working in the memory that its instance will have; what came of it.
    pub(super) fn compile(&mut self, package: &Loaded, memory: &mut [u8]) -> Tiers {
        let interpreted = |why| Tiers {
            why,
            ..Tiers::default()
        };
        let Some(arena) = self.arena.filter(|arena| arena.tier().is_some()) else {
            return interpreted(NOWHERE);
        };
        if self.interpreted() {
            return interpreted(CHOSEN);
        }
        let options = Options::of(&package.module, &wasmote_engine::Options::default());
        match arena.install(&package.module, options, memory) {
            Ok(code) => Tiers { code, why: "" },
            Err(refusal) => {
                let sequence = package.manifest.sequence;
                let why = refusal.message();
                self.post
                    .log(format_args!("package {sequence} is interpreted: {why}"));
                interpreted(why)
            }
        }
    }

    /// The operator chooses. What runs is interpreted at once, between two runs; to be compiled it begins anew.
    pub(super) fn choose(&mut self, io: &mut impl super::Io, ticket: u16, interpreted: bool) {
        let choice: &[u8] = if interpreted { &[1] } else { &[] };
        match self.slots.keep_for_anybody(TIER, choice) {
            Ok(()) => self.follow(io),
            Err(SlotError::Worn) => {
                return self.post.answer(
                    ticket,
                    Code::SERVICE_UNAVAILABLE,
                    format_args!("the flash was erased often enough for today"),
                );
            }
            Err(_) => {
                return self.post.answer(
                    ticket,
                    Code::SERVICE_UNAVAILABLE,
                    format_args!(
                        "the journal is full until the package is confirmed or the upload is over"
                    ),
                );
            }
        }
        if interpreted {
            if let Some(active) = &mut self.active
                && active.tiers.code > 0
                && active.instance.set_tier(None)
            {
                active.tiers = Tiers {
                    why: CHOSEN,
                    ..Tiers::default()
                };
            }
        } else if let Some(active) = &self.active
            && active.tiers.why == CHOSEN
        {
            let trial = active.trial;
            self.unload();
            self.resume_package(io);
            if let Some(active) = &mut self.active {
                active.trial = trial;
            }
        }
        self.post.app = true;
        self.post.answer(ticket, Code::CHANGED, format_args!(""));
    }
}
