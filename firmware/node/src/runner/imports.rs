//! Host calls: what a module asks of the node, and what that costs it.
use super::Io;
use super::active::{Active, Job};
use crate::contract::Import;
use crate::mail::{Reply, RunnerMail, Up};
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
        let number = |v: Value| match v {
            Value::I32(v) => v as u32,
            _ => 0,
        };
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
