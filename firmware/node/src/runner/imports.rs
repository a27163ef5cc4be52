//! Host calls: what a module asks of the node, and what that costs it.
use super::Io;
use super::active::{Active, Job};
use crate::contract::{Import, limits};
use crate::mail::{Body, OUTPUT, REPLY, Reply, ReplyKind, RunnerMail, Said, Up};
use crate::module::{NAMES, Slot};
use wasmote_coap::Code;
use wasmote_engine::Value;

/// What host calls reach.
pub(super) struct Context<'c> {
    /// The newest value of each of the node's sensors; NaN before the first, and while a sensor is not well.
    pub(super) latest: &'c [f32; NAMES],
    /// Milliseconds since 1970 less milliseconds since the start; `None` while the clock has not been set.
    pub(super) clock: Option<i64>,
    pub(super) mail: &'c mut RunnerMail,
    pub(super) reply: &'c mut Option<Reply>,
    /// There is one where the answer is long.
    pub(super) body: &'c mut Option<&'static mut Body>,
}

/// The severity of a line that says none (RFC 5424 §6.2.1).
const INFORMATION: u32 = 6;

impl Active {
    /// The import behind an imported function.
    pub(super) fn import(&self, function: u32) -> Option<Import> {
        self.package.linked.imports.get(function as usize).copied()
    }

    /// Whether the pending host call is an answer that takes a place of its own.
    pub(super) fn answers_long(&self, import: Option<Import>) -> bool {
        let answers = matches!(import, Some(Import::Reply | Import::Answer));
        let length = self.instance.arguments().last().map_or(0, number);
        answers && length as usize > REPLY && length <= limits::REPLY_BYTES
    }

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
        mut c: Context<'_>,
    ) -> Option<()> {
        let mut arguments = [Value::I32(0); 4];
        for (to, from) in arguments.iter_mut().zip(self.instance.arguments()) {
            *to = from;
        }
        let [a, b, d, e] = arguments;
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
                if *self.outputs.get(first as usize)? != Slot::SINGLE {
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
            Import::Tell => {
                let bytes = self.bytes(second, third)?;
                let value = match *self.outputs.get(first as usize)? {
                    Slot::TEXT => line::<OUTPUT>(bytes).into_bytes(),
                    slot if slot != Slot::SINGLE && slot.size() == third => {
                        heapless::Vec::from_slice(bytes).ok()?
                    }
                    _ => return None,
                };
                let _ = c.mail.up.enqueue(Up::Value(first as u8, value));
                None
            }
            Import::Log => self.say(c.mail, INFORMATION, first, second)?,
            Import::Note => self.say(c.mail, first, second, third)?,
            Import::Gpio => {
                io.gpio(u8::try_from(first).ok()?, second != 0);
                None
            }
            Import::Reply => {
                self.reply(&mut c, first, None, (second, third))?;
                None
            }
            Import::Answer => {
                let format = u16::try_from(second).ok()?;
                self.reply(&mut c, first, Some(format), (third, number(e)))?;
                None
            }
        };
        self.instance.resume(result.as_slice()).ok()
    }

    /// Answers the request that is being handled. A second answer, or one to nothing, is a mistake of the module's.
    fn reply(
        &mut self,
        c: &mut Context<'_>,
        code: u32,
        format: Option<u16>,
        (at, length): (u32, u32),
    ) -> Option<()> {
        let code = Code(u8::try_from(code).ok()?);
        let good = matches!(code.class(), 2 | 4 | 5) && code != Code::CONTINUE;
        let bytes = self.bytes(at, length)?;
        let short = heapless::Vec::from_slice(bytes).ok();
        let long = match (&short, c.body.as_deref_mut()) {
            (Some(_), _) => false,
            (None, Some(body)) => {
                body.clear();
                body.extend_from_slice(bytes).ok()?;
                true
            }
            (None, None) => return None,
        };
        let Some(Job::Request(ticket)) = &mut self.job else {
            return None;
        };
        let ticket = ticket.take().filter(|_| good)?;
        *c.reply = Some(Reply {
            ticket,
            code,
            payload: short.unwrap_or_default(),
            body: if long { c.body.take() } else { None },
            format,
            kind: ReplyKind::Plain,
        });
        Some(())
    }

    /// Writes a line to the node's log, with the place of the call.
    #[expect(
        clippy::option_option,
        reason = "a call without a result, or one that is refused"
    )]
    fn say(
        &self,
        mail: &mut RunnerMail,
        level: u32,
        at: u32,
        length: u32,
    ) -> Option<Option<Value>> {
        let line = line(self.bytes(at, length)?);
        let said = Said::new(level, self.instance.called_at())?;
        let _ = mail.up.enqueue(Up::Log(Some(said), line));
        Some(None)
    }

    /// A piece of the module's memory.
    fn bytes(&self, at: u32, length: u32) -> Option<&[u8]> {
        let end = (at as usize).checked_add(length as usize)?;
        self.instance.memory().get(at as usize..end)
    }
}

/// What of these bytes fits a text of so many; what is not UTF-8 is shown as U+FFFD.
fn line<const N: usize>(bytes: &[u8]) -> heapless::String<N> {
    let mut line = heapless::String::new();
    // A character that begins within the text may end three bytes behind it. What is farther is not looked at, however long it is.
    let bytes = bytes.get(..N + 3).unwrap_or(bytes);
    for chunk in bytes.utf8_chunks() {
        let (valid, room) = (chunk.valid(), line.capacity() - line.len());
        if line.push_str(valid).is_err() {
            let fits = valid.get(..valid.floor_char_boundary(room));
            let _ = line.push_str(fits.unwrap_or(""));
            break;
        }
        if !chunk.invalid().is_empty() && line.push(char::REPLACEMENT_CHARACTER).is_err() {
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
