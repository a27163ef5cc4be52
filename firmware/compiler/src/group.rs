//! Accesses on a straight line whose addresses differ only by numbers: their bounds are looked at together, in front of the first,
//! and their common address, with the memory's first byte added, stays in a register.
//!
//! Operands are followed ahead, from a load on, over instructions that nobody can see from outside, up to a store. What is found
//! and is no access after all, or at another address, costs nothing but the look.
use crate::access::{FAR, Found, Group, Place, Wanted, kind};
use crate::address::{Address, NONE};
use crate::bytes::Bytes;
use crate::checks::Base;
use crate::encode::{Op, Reg};
use crate::entry::{Entry, Kind, ty};
use crate::function::Fun;
use crate::limits::{GROUP, Made, OWED};
use crate::registers::MEMORY;
use crate::work::Home;
use wasmote_engine::opcode::{op, rule};

/// Operands that are followed at once.
const DEPTH: usize = 8;

/// Operands while instructions are followed: addresses, where they are any.
struct Operands {
    stack: [Option<Address>; DEPTH],
    height: usize,
}

impl Operands {
    fn push(&mut self, address: Option<Address>) {
        // What lies too deep is forgotten, and with it what lies below.
        if self.height == DEPTH {
            self.stack.rotate_left(1);
            self.height -= 1;
        }
        if let Some(place) = self.stack.get_mut(self.height) {
            *place = address;
            self.height += 1;
        }
    }
}

/// A bit for each opcode: they are asked for at every instruction.
struct Opcodes([u32; 8]);

impl Opcodes {
    /// Those that compute something from their operands only, in registers; with the others after which what is known of addresses
    /// still holds, or without.
    #[expect(clippy::indexing_slicing, reason = "when this is compiled")]
    const fn new(others: bool) -> Self {
        let mut bits = [0; 8];
        let mut byte = 0;
        while byte < 256 {
            let pure = matches!(
                byte as u8,
                op::I32_CONST
                    | op::F32_CONST
                    | op::I32_EQZ..=op::I32_GE_U
                    | op::F32_EQ..=op::F32_GE
                    | op::I32_CLZ..=op::I32_CTZ
                    | op::I32_ADD..=op::I32_MUL
                    | op::I32_AND..=op::I32_ROTR
                    | op::F32_ABS..=op::F32_NEG
                    | op::F32_SQRT..=op::F32_DIV
                    | op::F32_CONVERT_I32_S..=op::F32_CONVERT_I32_U
            );
            let other = matches!(
                byte as u8,
                op::LOCAL_GET..=op::LOCAL_TEE | op::I32_LOAD..=op::I64_STORE32 | op::DROP
            );
            if pure || others && other {
                bits[byte / 32] |= 1 << (byte % 32);
            }
            byte += 1;
        }
        Self(bits)
    }

    fn has(&self, byte: u8) -> bool {
        let word = self.0.get(usize::from(byte / 32));
        word.is_some_and(|word| word >> (byte % 32) & 1 == 1)
    }
}

static PURE: Opcodes = Opcodes::new(false);
static PLAIN: Opcodes = Opcodes::new(true);

impl Fun<'_, '_> {
    /// An operand as an address of registers in which locals live.
    pub(crate) fn lasting(&self, entry: Entry) -> Option<Address> {
        let address = match (entry.kind, self.local(entry.value()).home) {
            (Kind::Local, Home::Reg(pin)) => Address::of(pin, 0, 0),
            (Kind::Sum, _) => entry.address(),
            _ => return None,
        };
        (!self.is_temp(address.root.shifted)).then_some(address)
    }

    /// Where an access goes, if its bounds were looked at or are now with those of others.
    pub(crate) fn grouped(
        &mut self,
        address: Address,
        (offset, size): (u32, u32),
        loads: bool,
    ) -> Made<Option<Place>> {
        let line = self.asm.lines;
        let bases = self.bases.iter().flatten();
        let known = bases.filter(|b| b.line == line && b.address.root == address.root);
        let known = known.map(|b| (*b, address.value.wrapping_sub(b.address.value)));
        let mut known = known.filter(|(b, more)| {
            let end = u64::from(*more) + u64::from(offset) + u64::from(size);
            u32::from(b.from) <= *more && end <= b.to.into()
        });
        if let Some((base, more)) = known.next() {
            self.busy = base.reg;
            return Ok(Some(Place::Offset(base.reg, more + offset)));
        }
        let reach = u64::from(offset) + u64::from(size);
        if !loads || reach >= FAR.into() || reach > self.facts.least {
            return Ok(None);
        }
        let single = address.root.plain == NONE && address.root.shift == 0;
        let wanted = Wanted {
            reg: address.root.shifted,
            shift: 0,
            more: address.value as u16,
            reach: reach as u16,
        };
        if single && address.value < FAR && self.is_known(&wanted) {
            return Ok(Some(self.based(&wanted, address.value + offset)));
        }
        let group = self.ahead(address, reach as i32);
        let start = address.value.wrapping_add_signed(group.low);
        let end = start.wrapping_add_signed(group.high - group.low);
        let near = start < FAR && end < FAR && u64::from(end) <= self.facts.least;
        if group.count == 0 && !(single && near) {
            return Ok(None);
        }
        // All at one place: the local's own register serves.
        if single && near && group.high - group.low == reach as i32 {
            self.look(&wanted, Some((&group, 0)))?;
            return Ok(Some(self.based(&wanted, address.value + offset)));
        }
        self.drop_stale();
        if self.bases.iter().all(Option::is_some) {
            self.drop_base(0);
            self.bases.reverse();
        }
        let reg = self.temp()?;
        self.busy = reg;
        if single && near {
            // The local itself is looked at, and known to be good.
            self.look(&wanted, Some((&group, 0)))?;
            self.asm.op_reg(Op::Add, reg, MEMORY, wanted.reg);
            self.set_base(Base {
                address: Address::of(wanted.reg, 0, 0),
                from: start as u16,
                to: end as u16,
                reg,
                line: self.asm.lines,
            });
            return Ok(Some(Place::Offset(reg, address.value + offset)));
        }
        self.int_into(
            (
                Entry::of(Address {
                    value: start,
                    ..address
                }),
                0,
            ),
            reg,
        );
        let more = address.value.wrapping_sub(start);
        let wanted = Wanted {
            reg,
            shift: 0,
            more: more as u16,
            reach: reach as u16,
        };
        self.look(&wanted, Some((&group, start)))?;
        self.asm.op_reg(Op::Add, reg, reg, MEMORY);
        self.set_base(Base {
            address: Address {
                value: start,
                ..address
            },
            from: 0,
            to: (group.high - group.low) as u16,
            reg,
            line: self.asm.lines,
        });
        Ok(Some(Place::Offset(reg, more + offset)))
    }

    fn set_base(&mut self, base: Base) {
        if let Some(place) = self.bases.iter_mut().find(|b| b.is_none()) {
            *place = Some(base);
        }
    }

    /// Gives the register of a base back.
    pub(crate) fn drop_base(&mut self, index: usize) {
        if let Some(base) = self.bases.get_mut(index).and_then(Option::take) {
            self.give(base.reg);
        }
    }

    pub(crate) fn drop_bases(&mut self) {
        (0..self.bases.len()).for_each(|index| self.drop_base(index));
    }

    /// Gives the register of one back that is not just used; `false` where there is none.
    pub(crate) fn drop_idle(&mut self) -> bool {
        let busy = self.busy;
        let idle = |b: &Option<Base>| b.is_some_and(|b| b.reg != busy);
        let Some(index) = self.bases.iter().position(idle) else {
            return false;
        };
        self.drop_base(index);
        self.free != 0
    }

    /// Gives those back that hold no more.
    fn drop_stale(&mut self) {
        let line = self.asm.lines;
        for index in 0..self.bases.len() {
            let base = self.bases.get(index).copied().flatten();
            if base.is_some_and(|base| base.line != line) {
                self.drop_base(index);
            }
        }
    }

    /// A register in which a local lives is set.
    pub(crate) fn forget(&mut self, reg: Reg) {
        self.checks.forget(reg);
        for index in 0..self.bases.len() {
            let base = self.bases.get(index).copied().flatten();
            if base.is_some_and(|base| base.address.has(reg)) {
                self.drop_base(index);
            }
        }
    }

    /// Whether what is known of addresses outlives an instruction.
    pub(crate) fn is_plain(byte: u8) -> bool {
        PLAIN.has(byte)
    }

    /// Whether an instruction computes something from its operands only, in registers.
    fn is_pure(byte: u8) -> bool {
        PURE.has(byte)
    }

    /// The accesses that follow the load at this address, which reaches so far, and differ from it only by numbers.
    fn ahead(&self, first: Address, reach: i32) -> Group {
        let none = Found {
            at: 0,
            owed: 0,
            value: 0,
            reach: 0,
        };
        let mut group = Group {
            all: [none; GROUP],
            count: 0,
            low: 0,
            high: reach,
        };
        let mut r = Bytes {
            bytes: self.bytes,
            at: self.at,
        };
        let mut below = self.height;
        let mut operands = Operands {
            stack: [None; DEPTH],
            height: 0,
        };
        operands.push(None);
        while group.count < GROUP - 1 && r.at < self.record.end as usize {
            let at = r.at;
            let byte = r.byte();
            let mut pop = || {
                if operands.height > 0 {
                    operands.height -= 1;
                    return operands.stack.get(operands.height).copied().flatten();
                }
                below = below.saturating_sub(1);
                self.lasting(self.entry(below))
            };
            let result = match byte {
                op::LOCAL_GET => {
                    let entry = Entry::local(ty::I32, r.u32());
                    Some(self.lasting(entry))
                }
                op::I32_CONST => Some(Some(Address::number(r.s64() as u32))),
                op::LOCAL_SET | op::LOCAL_TEE => {
                    pop();
                    let home = self.local(r.u32()).home;
                    if matches!(home, Home::Reg(pin) if first.has(pin)) {
                        break;
                    }
                    (byte == op::LOCAL_TEE).then_some(None)
                }
                op::I32_ADD | op::I32_SUB | op::I32_SHL => {
                    let (b, a) = (pop(), pop());
                    Some(a.zip(b).and_then(|(a, b)| match byte {
                        op::I32_ADD => a.sum(b),
                        op::I32_SHL => a.shifted(b),
                        _ if b.root.shifted != NONE => None,
                        _ => a.sum(Address::number(b.value.wrapping_neg())),
                    }))
                }
                op::I32_LOAD..=op::I64_STORE32 => {
                    r.u32();
                    let offset = r.u32();
                    let (access, size, _) = kind(byte);
                    if access.is_store() {
                        pop();
                    }
                    let address = pop().filter(|a| a.root == first.root);
                    let owed = self.owed + (at - self.here) as i32 + 1;
                    if owed > OWED {
                        break;
                    }
                    if let Some(address) = address
                        && offset < FAR
                    {
                        let found = Found {
                            at: (at as u32).wrapping_sub(self.record.code) as u16,
                            owed: owed as u16,
                            value: address.value,
                            reach: (offset + size) as u16,
                        };
                        group.add(first.value, found, self.facts.least);
                    }
                    // What a store writes is seen where an access behind it traps.
                    if access.is_store() {
                        break;
                    }
                    Some(None)
                }
                _ if Self::is_pure(byte) => {
                    r.skip(byte);
                    rule(byte, 0).and_then(|rule| {
                        rule.effect.operands().for_each(|_| {
                            pop();
                        });
                        rule.effect.result().map(|_| None)
                    })
                }
                _ => break,
            };
            if let Some(address) = result {
                operands.push(address);
            }
        }
        group
    }
}
