//! Host calls: what a module asks of the node, and what that costs it.
use super::Io;
use super::active::{Active, Job};
use crate::contract::Import;
use crate::mail::{LINE, Reply, ReplyKind, RunnerMail, Up};
use crate::module::NAMES;
use wasmote_coap::Code;
use wasmote_engine::Value;

/// What host calls reach.
pub(super) struct Context<'c> {
    /// The newest value of each of the node's sensors; NaN before the first.
    pub(super) latest: &'c [f32; NAMES],
    /// Milliseconds since 1970 less milliseconds since the start; `None` while the clock has not been set.
    pub(super) clock: Option<i64>,
    pub(super) mail: &'c mut RunnerMail,
    pub(super) reply: &'c mut Option<Reply>,
}

impl Active {
    /// Charges the pending host call to the present run, and says what it costs.
    pub(super) fn charge(&mut self, import: Option<Import>) -> u64 {
        let (fuel, bytes) = import.map_or((0, 0), Import::fuel);
        let mut cost = u64::from(fuel);
        if bytes > 0 {
            let length = self.instance.arguments().last().map_or(0, number);
            cost += u64::from(length.div_ceil(bytes));
        }
        self.charged = self.charged.saturating_add(cost);
        cost
    }

    /// Answers the pending host call; `None` when its arguments make no sense.
    pub(super) fn host(
        &mut self,
        import: Option<Import>,
        io: &mut impl Io,
        c: Context<'_>,
    ) -> Option<()> {
        let mut arguments = [Value::I32(0); 3];
        for (to, from) in arguments.iter_mut().zip(self.instance.arguments()) {
            *to = from;
        }
        let [a, b, d] = arguments;
        let (first, second, third) = (number(a), number(b), number(d));
        let result = match import? {
            Import::Read => {
                let value = self
                    .package
                    .sensor(first)?
                    .and_then(|index| c.latest.get(usize::from(index)));
                Some(Value::F32(value.copied().unwrap_or(f32::NAN)))
            }
            Import::Publish => {
                let Value::F32(value) = b else { return None };
                if first >= u32::from(self.package.facts.output_count()) {
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
                let line = line(self.bytes(first, second)?);
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
                    kind: ReplyKind::Plain,
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

/// What of these bytes fits a line of the log; what is not UTF-8 is shown as U+FFFD.
fn line(bytes: &[u8]) -> heapless::String<LINE> {
    let mut line = heapless::String::new();
    for chunk in bytes.utf8_chunks() {
        let room = line.capacity() - line.len();
        let valid = chunk.valid();
        let fits = valid.get(..valid.floor_char_boundary(room));
        let _ = line.push_str(fits.unwrap_or(""));
        let whole = valid.len() <= room;
        let broken = !chunk.invalid().is_empty();
        if !whole || broken && line.push(char::REPLACEMENT_CHARACTER).is_err() {
            break;
        }
    }
    line
}

/// A number that a module handed over.
fn number(value: Value) -> u32 {
    match value {
        Value::I32(value) => value as u32,
        _ => 0,
    }
}
