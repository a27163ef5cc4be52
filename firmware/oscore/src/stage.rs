//! The stage before the server: opens requests and protects their answers (RFC 8613 §8.2, §8.3).
//!
//! Its table of contexts is fixed. After a reset a context's replay window is not known: the first request is answered with a
//! protected 4.01 that carries an Echo value, and the request that returns it sets the window (§B.1.2). Where [`Stage::demand`]
//! says so, a request that changes something has to return such a value too (RFC 9175 §2.3): a request that was held back is
//! then refused after half a minute.
use crate::context::{Context, Id, Material};
use crate::option::{Compressed, LONGEST, piv};
use crate::sequence::Sequence;
use crate::spare::Spare;
use crate::window::Window;
use sha2::{Digest, Sha256};
use wasmote_coap::{
    Code, Kind, MTU, Message, Opened, Origin, Plaintext, Role, Sealed, Security, option,
};

/// Contexts at once: an administrator, and seven of those who read, operate and install.
pub const CONTEXTS: usize = 8;
/// The longest ID Context, in bytes: what RFC 8613's own examples have, and RFC 9203 makes.
pub const ID_CONTEXT: usize = 8;
/// Unprotected errors that go out at once, and afterwards in a second: enough for whoever has a key that is out of date, and too
/// few for an attack on somebody else.
const ERRORS: u32 = 8;
/// Decryptions that failed, after which a context should be replaced (draft-ietf-core-oscore-key-limits: 2^14 for an 8-byte
/// tag). That is told, and not enforced: forgeries must not be able to lock the owner out.
pub const FORGERIES: u32 = 1 << 14;
/// Encryptions under one key, after which the context should be replaced (the same draft: 2^20); asked for when fifteen
/// sixteenths of them are used up.
pub const ENCRYPTIONS: u64 = (1 << 20) / 16 * 15;
/// Milliseconds after which the value to be echoed changes. The one before is taken as well, so that a value is good for one to two of
/// these.
pub const ECHO_PERIOD: u64 = 16_384;

/// A message with nothing in it, to look into a plaintext with.
const EMPTY: [u8; 4] = [0x40, 0, 0, 0];

/// What happened, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that were opened.
    pub opened: u32,
    /// Requests whose option was malformed or that named no context.
    pub unknown: u32,
    /// Requests whose sequence number was seen before, or is older than the window.
    pub replayed: u32,
    /// Requests whose tag was wrong.
    pub forged: u32,
    /// Requests of those whom nobody knew that were passed over: see `spare.rs`.
    pub held: u32,
    /// Requests that were asked for an Echo value.
    pub challenged: u32,
    /// Answers that could not be sent since no sequence number might be used.
    pub starved: u32,
}

/// A context that a node is given.
#[derive(Clone, Copy)]
pub struct Entry<'m> {
    /// What keys are derived from.
    pub material: Material<'m>,
    /// What its holder may do, as bits; what they mean is the node's matter.
    pub rights: u8,
    /// The limit of our sequence numbers that lies in flash.
    pub limit: u64,
    /// The replay window when it is known: of a context that was never used, or after an orderly reset.
    pub window: Option<Window>,
}

#[derive(Clone)]
struct Slot {
    context: Context,
    id_context: Option<([u8; ID_CONTEXT], u8)>,
    rights: u8,
    sequence: Sequence,
    window: Option<Window>,
    forgeries: u32,
    /// Whether an authentic request that was no replay came under it.
    proven: bool,
    /// The endpoint that the last authentic one came from.
    heard: u32,
    /// Counts what was in this place: answers to requests of an earlier context are not protected with a later one.
    epoch: u8,
}

impl Slot {
    fn encryptions(&self) -> u64 {
        let theirs = self.window.map_or(0, |window| window.above());
        self.sequence.used().saturating_add(theirs)
    }
}

/// What the answers to a request need.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The sequence number of the request.
    number: u64,
    context: u8,
    epoch: u8,
    /// Whether the request is known not to be a replay: only then its nonce may serve for the response.
    fresh: bool,
}

/// The stage.
pub struct Stage {
    slots: [Option<Slot>; CONTEXTS],
    epoch: u8,
    /// What the values to be echoed are made of: others at each start, and nobody's to guess.
    seed: u128,
    /// Whether what changes something has to be fresh.
    demands: bool,
    plaintext: [u8; MTU],
    length: usize,
    counters: Counters,
    /// Errors that may go out now, and since when that is so, in milliseconds.
    errors: (u32, u64),
    spare: Spare,
}

/// Why a request was not opened (RFC 8613 §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unopened {
    Malformed,
    Unknown,
    Replayed,
    Forged,
    Held,
}

impl Unopened {
    fn answer(self) -> (Code, &'static str) {
        match self {
            Self::Malformed => (Code::BAD_OPTION, "Failed to decode COSE"),
            Self::Unknown => (Code::UNAUTHORIZED, "Security context not found"),
            Self::Replayed => (Code::UNAUTHORIZED, "Replay detected"),
            Self::Forged | Self::Held => (Code::BAD_REQUEST, "Decryption failed"),
        }
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// A stage without contexts.
    pub const fn new() -> Self {
        Self {
            slots: [const { None }; CONTEXTS],
            epoch: 0,
            seed: 0,
            demands: false,
            plaintext: [0; MTU],
            length: 0,
            counters: Counters {
                opened: 0,
                unknown: 0,
                replayed: 0,
                forged: 0,
                held: 0,
                challenged: 0,
                starved: 0,
            },
            errors: (ERRORS, 0),
            spare: Spare::new(),
        }
    }

    /// The secret that values to be echoed are made of; it must differ from start to start.
    pub fn seed(&mut self, seed: u128) {
        self.seed = seed;
    }

    /// From now on whatever changes something has to echo a value of the last half minute: a request that was delayed on its way is
    /// not carried out (RFC 9175 §2.2). A client that knows none is told one.
    pub fn demand(&mut self) {
        self.demands = true;
    }

    /// Puts a context in a place, or empties the place. `false` when there is no such place, the ID Context is too long, or another
    /// place has a context that requests could not be told from.
    #[must_use]
    pub fn set(&mut self, place: usize, entry: Option<&Entry<'_>>) -> bool {
        let Some(entry) = entry else {
            return self.slots.get_mut(place).map(|slot| *slot = None).is_some();
        };
        let material = &entry.material;
        let id_context = match material.id_context.map(id_context) {
            Some(None) => return false,
            found => found.flatten(),
        };
        let known = self.find(material.recipient.bytes(), material.id_context);
        if known.is_some_and(|known| known != place) || material.sender == material.recipient {
            return false;
        }
        let (Some(slot), Some(context)) = (self.slots.get_mut(place), Context::derive(material))
        else {
            return false;
        };
        self.epoch = self.epoch.wrapping_add(1);
        *slot = Some(Slot {
            context,
            id_context,
            rights: entry.rights,
            sequence: Sequence::resume(entry.limit),
            window: entry.window,
            forgeries: 0,
            proven: false,
            heard: 0,
            epoch: self.epoch,
        });
        true
    }

    /// What the holder of a context may do; nothing if there is none.
    pub fn rights(&self, context: u8) -> u8 {
        self.slot(context).map_or(0, |slot| slot.rights)
    }

    /// Whether there is any context.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// The contexts whose limit of sequence numbers should be written to flash now, with the limit.
    pub fn wanted(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(place, slot)| Some((place as u8, slot.as_ref()?.sequence.wanted()?)))
    }

    /// A limit lies in flash now.
    pub fn reserved(&mut self, context: u8, limit: u64) {
        if let Some(Some(slot)) = self.slots.get_mut(usize::from(context)) {
            slot.sequence.reserved(limit);
        }
    }

    /// Whether a context should be replaced: too many forgeries were tried on it, or its key has encrypted almost as much as it may.
    pub fn is_worn(&self, context: u8) -> bool {
        self.slot(context)
            .is_some_and(|slot| slot.forgeries >= FORGERIES || slot.encryptions() >= ENCRYPTIONS)
    }

    /// How often the keys of a context were used at most: for numbers of our own, and for answers under those of the other end.
    pub fn encryptions(&self, context: u8) -> u64 {
        self.slot(context).map_or(0, Slot::encryptions)
    }

    /// Whether the other end has shown that it has the keys of a context, since the context was set.
    pub fn is_proven(&self, context: u8) -> bool {
        self.slot(context).is_some_and(|slot| slot.proven)
    }

    /// What happened, counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn slot(&self, context: u8) -> Option<&Slot> {
        self.slots.get(usize::from(context))?.as_ref()
    }

    /// The place of a context: the ID Context must be the same, or absent on both sides.
    fn find(&self, kid: &[u8], kid_context: Option<&[u8]>) -> Option<usize> {
        self.slots.iter().position(|slot| {
            slot.as_ref().is_some_and(|slot| {
                let own = slot.id_context.as_ref();
                let own = own.and_then(|(bytes, length)| bytes.get(..usize::from(*length)));
                slot.context.recipient.bytes() == kid && own == kid_context
            })
        })
    }

    /// The value to be echoed for a place, now or a number of periods ago.
    fn echo(&self, place: usize, now: u64, ago: u64) -> [u8; 8] {
        let mut digest = Sha256::new();
        digest.update(b"echo");
        digest.update(self.seed.to_le_bytes());
        digest.update([place as u8]);
        digest.update((now / ECHO_PERIOD).wrapping_sub(ago).to_le_bytes());
        let mut value = [0; 8];
        for (to, from) in value.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        value
    }

    /// Whether a request has brought a value that was given out lately.
    fn is_fresh(&self, place: usize, now: u64, echoed: Option<&[u8]>) -> bool {
        echoed.is_some_and(|value| {
            let known = |ago| value == &self.echo(place, now, ago)[..];
            known(0) || known(1)
        })
    }

    /// Opens a request into `self.plaintext`.
    fn unprotect(
        &mut self,
        now: u64,
        from: Origin,
        value: &[u8],
        message: &Message<'_>,
    ) -> Result<Opened<Binding>, Unopened> {
        let once = message
            .options
            .filter(|(number, _)| *number == option::OSCORE);
        let outer = matches!(message.code, Code::POST | Code::FETCH);
        let compressed = Compressed::parse(value).filter(|_| outer && once.count() == 1);
        let compressed = compressed.ok_or(Unopened::Malformed)?;
        let (Some(number), Some(kid)) = (compressed.number(), compressed.kid) else {
            return Err(Unopened::Malformed);
        };
        let place = self.find(kid, compressed.kid_context);
        let place = place.ok_or(Unopened::Unknown)?;
        let Some(Some(slot)) = self.slots.get_mut(place) else {
            return Err(Unopened::Unknown);
        };
        if slot.window.is_some_and(|window| !window.is_new(number)) {
            return Err(Unopened::Replayed);
        }
        let size = message.payload.len();
        let known = slot.proven && slot.heard == from.endpoint;
        if !known && self.spare.holds(now, from, self.seed, size) {
            return Err(Unopened::Held);
        }
        let room = self.plaintext.get_mut(..size);
        let buffer = room.ok_or(Unopened::Forged)?;
        buffer.copy_from_slice(message.payload);
        let id: Id = slot.context.recipient;
        let nonce = slot.context.nonce(&id, number);
        let Ok(length) = slot.context.open(&nonce, (&id, number), buffer) else {
            slot.forgeries = slot.forgeries.saturating_add(1);
            self.spare.forged(now, from, self.seed, size);
            return Err(Unopened::Forged);
        };
        let inner = buffer.get(..length).and_then(|inner| message.within(inner));
        let options = inner.ok_or(Unopened::Malformed)?.options;
        // RFC 8613 §8.2, step 6: a message that is protected twice goes no further.
        if options.get(option::OSCORE).is_some() {
            return Err(Unopened::Malformed);
        }
        let (echoed, code) = (
            options.get(option::ECHO),
            inner.map_or(Code::EMPTY, |inner| inner.code),
        );
        let mut binding = Binding {
            number,
            context: place as u8,
            epoch: slot.epoch,
            fresh: false,
        };
        // Only what is authentic moves the window, and only what cannot be a replay sets it.
        let mut echo = [0; 8];
        let known = echoed.and_then(|value| <[u8; 8]>::try_from(value).ok());
        let window = slot.window;
        let fresh = (window.is_none() || self.demands && !code.is_safe())
            .then(|| self.is_fresh(place, now, known.as_ref().map(|value| &value[..])));
        if fresh == Some(false) {
            echo = self.echo(place, now, 0);
        }
        let window = match (window, fresh) {
            (Some(window), _) => window,
            (None, Some(true)) => match number.checked_sub(1) {
                Some(before) => Window::after(before),
                None => Window::new(),
            },
            (None, _) if !self.spare.may_challenge(now, from, self.seed) => {
                return Err(Unopened::Held);
            }
            (None, _) => {
                return Ok(Opened::Challenged {
                    binding,
                    echo,
                    once: false,
                });
            }
        };
        let Some(Some(slot)) = self.slots.get_mut(place) else {
            return Err(Unopened::Unknown);
        };
        if !slot.window.insert(window).strike(number) {
            return Err(Unopened::Replayed);
        }
        slot.proven = true;
        slot.heard = from.endpoint;
        binding.fresh = true;
        if fresh == Some(false) {
            return Ok(Opened::Challenged {
                binding,
                echo,
                once: true,
            });
        }
        let numbered = slot.sequence.is_left();
        self.length = length;
        Ok(Opened::Protected {
            context: place as u8,
            binding,
            numbered,
        })
    }

    /// Whether one more unprotected error may go out.
    fn may_answer(&mut self, now: u64) -> bool {
        let (left, since) = &mut self.errors;
        let seconds = now.saturating_sub(*since) / 1000;
        if seconds > 0 {
            let more = u32::try_from(seconds)
                .unwrap_or(ERRORS)
                .saturating_mul(ERRORS);
            *left = left.saturating_add(more).min(ERRORS);
            *since = now;
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }
}

/// An ID Context as it is kept; `None` when it is too long.
fn id_context(id: &[u8]) -> Option<([u8; ID_CONTEXT], u8)> {
    let mut bytes = [0; ID_CONTEXT];
    bytes.get_mut(..id.len())?.copy_from_slice(id);
    Some((bytes, id.len() as u8))
}

impl<E> Security<E> for Stage {
    type Binding = Binding;

    fn open(&mut self, now: u64, from: Origin, message: &Message<'_>) -> Opened<Binding> {
        let Some(value) = message.options.get(option::OSCORE) else {
            return Opened::Plain;
        };
        let opened = self.unprotect(now, from, value, message);
        let count = match &opened {
            Ok(Opened::Challenged { .. }) => &mut self.counters.challenged,
            Ok(_) => &mut self.counters.opened,
            Err(Unopened::Malformed | Unopened::Unknown) => &mut self.counters.unknown,
            Err(Unopened::Replayed) => &mut self.counters.replayed,
            Err(Unopened::Forged) => &mut self.counters.forged,
            Err(Unopened::Held) => &mut self.counters.held,
        };
        *count = count.saturating_add(1);
        match opened {
            Ok(opened) => opened,
            // RFC 8613 §8.2: errors are optional. They go to those who wait for an answer, and not in floods.
            Err(Unopened::Held) => Opened::Ignored,
            Err(why) if message.kind == Kind::Con && self.may_answer(now) => {
                let (code, text) = why.answer();
                Opened::Refused { code, text }
            }
            Err(_) => Opened::Ignored,
        }
    }

    fn plaintext(&self) -> &[u8] {
        self.plaintext.get(..self.length).unwrap_or(&[])
    }

    fn protect(
        &mut self,
        _: u64,
        _: &E,
        binding: &Binding,
        plaintext: Plaintext<'_>,
    ) -> Option<Sealed> {
        let place = self.slots.get_mut(usize::from(binding.context))?;
        let slot = place.as_mut().filter(|slot| slot.epoch == binding.epoch)?;
        let inner = plaintext.bytes.get(..plaintext.length)?;
        let outer = Message::parse(&EMPTY).ok()?;
        let observed = outer.within(inner)?.options.get(option::OBSERVE).is_some();
        let sender = slot.context.sender;
        // The nonce of a request serves once, for its response (RFC 8613 §5.2): also for one that comes later, which so is not lost
        // while numbers are on their way to flash. Not for notifications: they are ordered by their numbers.
        let reuse = binding.fresh && !observed && plaintext.role == Role::Response;
        let mut option = [0; LONGEST];
        let recipient = slot.context.recipient;
        let (nonce, length, number) = if reuse {
            (slot.context.nonce(&recipient, binding.number), 0, 0)
        } else {
            let Some(number) = slot.sequence.take() else {
                self.counters.starved = self.counters.starved.saturating_add(1);
                return None;
            };
            let (bytes, significant) = piv(number);
            let compressed = Compressed {
                piv: bytes.get(8 - significant..)?,
                ..Compressed::default()
            };
            let length = compressed.write(&mut option)?.len();
            (slot.context.nonce(&sender, number), length, number)
        };
        let request = (&recipient, binding.number);
        let (bytes, plain) = (plaintext.bytes, plaintext.length);
        let length_sealed = slot.context.seal(&nonce, request, bytes, plain)?;
        Some(Sealed {
            length: length_sealed,
            // RFC 8613 §4.2: what the answer says is seen by nobody.
            code: if observed {
                Code::CONTENT
            } else {
                Code::CHANGED
            },
            option: (option, length),
            observe: observed.then_some(number as u32 & 0x00ff_ffff),
        })
    }
}
