//! Executable memory in which the code of one module lies at a time.
use crate::arena::{Code, compile};
use crate::facts::Options;
use crate::limits::Refusal;
use crate::verify::verify;
use crate::work::Work;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering::Relaxed};
use wasmote_engine::Module;
use wasmote_engine::tier::Tier;

/// A board's place for compiled code. What is in it is of the module that was compiled last; an instance of another one that
/// still has it as its tier goes on interpreted, or traps where it was left in the middle of a call.
#[derive(Debug)]
pub struct Arena {
    base: AtomicPtr<u8>,
    length: u32,
    /// Bytes of code, 0 while there is none, and where the module lies that it is of.
    used: AtomicU32,
    module: AtomicPtr<u8>,
    /// Somebody is at compiling.
    busy: AtomicBool,
}

impl Arena {
    /// A place for code: `length` bytes from `base` on, aligned to 4.
    ///
    /// # Safety
    /// They are memory that nothing else uses as long as this exists. On a chip it may be executed.
    pub const unsafe fn new(base: *mut u8, length: u32) -> Self {
        Self {
            base: AtomicPtr::new(base),
            length,
            used: AtomicU32::new(0),
            module: AtomicPtr::new(core::ptr::null_mut()),
            busy: AtomicBool::new(false),
        }
    }

    /// Its bytes.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Bytes of the code that lies here; 0 while there is none.
    pub fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// Compiles a module that stays where it is, working in `memory`, which is idle and of any content; gives the bytes of the
    /// code. Whatever was here before is gone, also where this refuses.
    pub fn install(
        &self,
        module: &Module<'static>,
        options: Options,
        memory: &mut [u8],
    ) -> Result<u32, Refusal> {
        if self.busy.swap(true, Relaxed) {
            return Err(Refusal::Arena);
        }
        self.used.store(0, Relaxed);
        // SAFETY: `busy` keeps others out, and code that runs does not compile.
        let place = unsafe {
            core::slice::from_raw_parts_mut(self.base.load(Relaxed), self.length as usize)
        };
        let made = match Work::within(memory) {
            Some(work) => compile(module, options, work, place).map(|code| code.bytes().len()),
            None => Err(Refusal::Memory),
        };
        // What made it is not trusted: a fault of the compiler costs speed, and nothing else.
        let made = made.and_then(|length| {
            let code = place.get(..length).unwrap_or(&[]);
            match verify(code, module, memory) {
                Ok(()) => Ok(length),
                Err(_) => Err(Refusal::Unverified),
            }
        });
        if let Ok(length) = made {
            self.module
                .store(module.bytes().as_ptr().cast_mut(), Relaxed);
            self.used.store(length as u32, Relaxed);
        }
        self.busy.store(false, Relaxed);
        made.map(|length| length as u32)
    }

    /// A copy of the module that the code here is of, its bytes the same, takes its place: nothing in the code says where the module
    /// lies. `false` where the code is of another, or there is none.
    pub fn moved(&self, from: &Module<'_>, to: &Module<'static>) -> bool {
        let ours = self.code(from).is_some() && from.bytes() == to.bytes();
        if ours {
            self.module.store(to.bytes().as_ptr().cast_mut(), Relaxed);
        }
        ours
    }

    /// The code of this module, if it is here.
    pub fn code(&self, module: &Module<'_>) -> Option<Code<'_>> {
        let used = self.used.load(Relaxed) as usize;
        let same = self.module.load(Relaxed).cast_const() == module.bytes().as_ptr();
        if used == 0 || !same {
            return None;
        }
        // SAFETY: written by `install`, and not again before it says that nothing is here.
        let bytes = unsafe { core::slice::from_raw_parts(self.base.load(Relaxed), used) };
        Some(Code::of(bytes))
    }

    /// What executes the code, where this processor can.
    pub fn tier(&self) -> Option<&(dyn Tier + 'static)> {
        #[cfg(target_arch = "arm")]
        return Some(self);
        #[cfg(not(target_arch = "arm"))]
        None
    }
}

#[cfg(target_arch = "arm")]
mod execute {
    use super::Arena;
    use crate::native::Native;
    use wasmote_engine::tier::{Exit, Frame, State, Tier};
    use wasmote_engine::{Module, TrapKind};

    impl Arena {
        fn native(&self, module: &Module<'_>) -> Option<Native<'_>> {
            // SAFETY: compiled for the module that lies where this one does, in memory that is executable by the promise of `new`.
            self.code(module).map(|code| unsafe { Native::new(code) })
        }
    }

    // SAFETY: code of another module is never entered, and `Native` keeps to the contract.
    unsafe impl Tier for Arena {
        unsafe fn run(&self, state: &mut State, module: &Module<'_>) -> Option<Exit> {
            match self.native(module) {
                // SAFETY: by the caller's promise.
                Some(native) => unsafe { native.run(state, module) },
                None if state.native == 0 => None,
                None => Some(Exit::Trap(TrapKind::Host)),
            }
        }

        fn frame(&self, state: &State, module: &Module<'_>, at: u32) -> Frame {
            match self.native(module) {
                Some(native) => native.frame(state, module, at),
                None => state.frame(module, at),
            }
        }
    }
}
