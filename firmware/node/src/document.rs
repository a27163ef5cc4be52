//! One description of a resource, written as JSON, CBOR or plain text; and samples as SenML (RFC 8428).
//!
//! How a value that is not a number, or absent, is written:
//!
//! | | text | JSON | CBOR | SenML |
//! | --- | --- | --- | --- | --- |
//! | a number | `12.5` | `12.5` | float | `v` |
//! | not a number, infinite | `NaN`, `inf`, `-inf` | `"NaN"`, `"inf"`, `"-inf"` (RFC 8259 §6 has no such numbers) | float | `vs` with that text (RFC 8428 §4.3) |
//! | none yet | nothing | `null` | null | `vs`: `none` (a pack has at least one record, and a record a value: RFC 8428 §4.2) |
//! | none, as the sensor is not well | nothing | `null`, with `state` | null, with `state` | `vs`: what is wrong |
//!
//! A document without entries is in SenML one record `empty` that is true.
use crate::decimal::Decimal;
use core::fmt::{self, Write};
use minicbor::Encoder;
use wasmote_coap::{Response, format};

/// A value with its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) value: f32,
    /// Milliseconds since the start.
    pub(crate) at: u64,
}

/// What an entry of a document holds.
#[derive(Clone, Copy)]
pub(crate) enum Value<'v> {
    Text(&'v str),
    Uint(u64),
    Int(i64),
    Bool(bool),
    /// A number, or a text where the format has no such number.
    Float(f32),
    /// As `Float`.
    Double(f64),
    /// There is none.
    None,
    /// Hexadecimal but in CBOR and SenML.
    Bytes(&'v [u8]),
    /// A text that is made while it is written, cut at [`SHOWN`] bytes.
    Shown(&'v dyn fmt::Display),
}

/// The longest text of [`Value::Shown`]: a line of the log with its time.
const SHOWN: usize = crate::text::LINE + 48;

/// A document in the making: a map of named values, which in SenML (RFC 8428) is a pack of one record each.
#[derive(Debug)]
pub(crate) struct Document<'r, 'b> {
    out: &'r mut Response<'b>,
    format: u16,
    /// The node and the resource: base name of a pack.
    base: [&'r str; 2],
    first: bool,
    /// Names of the enclosing maps, for the formats without nesting.
    path: heapless::Vec<&'r str, 4>,
    /// Unit and time of what it tells, as records of SenML have them (RFC 8428 §4.3).
    stamp: Option<(&'r str, f64)>,
}

/// Lets the CBOR encoder write into a response.
struct Sink<'r, 'b>(&'r mut Response<'b>);

impl minicbor::encode::Write for Sink<'_, '_> {
    type Error = core::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.write(bytes);
        Ok(())
    }
}

impl<'r, 'b> Document<'r, 'b> {
    /// Begins a document about this resource of this node.
    pub(crate) fn new(out: &'r mut Response<'b>, format: u16, base: [&'r str; 2]) -> Self {
        out.format(format);
        let mut document = Self {
            out,
            format,
            base,
            first: true,
            path: heapless::Vec::new(),
            stamp: None,
        };
        match format {
            format::SENML_JSON => document.out.write(b"["),
            format::SENML_CBOR => drop(document.cbor().begin_array()),
            _ => document.open(),
        }
        document
    }

    fn cbor(&mut self) -> Encoder<Sink<'_, 'b>> {
        Encoder::new(Sink(self.out))
    }

    fn open(&mut self) {
        match self.format {
            format::CBOR => drop(self.cbor().begin_map()),
            format::JSON => self.out.write(b"{"),
            _ => return,
        }
        self.first = true;
    }

    /// Ends the map, or the document.
    pub(crate) fn end(&mut self) {
        let outermost = self.path.pop().is_none();
        let pack = matches!(self.format, format::SENML_JSON | format::SENML_CBOR);
        if outermost && pack && self.first {
            self.record("empty", None, Value::Bool(true));
        }
        match self.format {
            format::CBOR => drop(self.cbor().end()),
            format::JSON => self.out.write(b"}"),
            format::SENML_JSON if outermost => self.out.write(b"]"),
            format::SENML_CBOR if outermost => drop(self.cbor().end()),
            _ => {}
        }
        self.first = false;
    }

    /// Begins a map in the map.
    pub(crate) fn map(&mut self, name: &'r str) {
        self.key(name);
        let _ = self.path.push(name);
        self.open();
    }

    /// The name of what follows, where it stands before it.
    fn key(&mut self, name: &str) {
        match self.format {
            format::CBOR => drop(self.cbor().str(name)),
            format::JSON => {
                self.comma();
                quote(self.out, name);
                self.out.write(b":");
            }
            _ => {}
        }
    }

    fn comma(&mut self) {
        self.out.write(if self.first { b"" } else { b"," });
        self.first = false;
    }

    fn text_key(&mut self, name: &str) {
        for part in &self.path {
            let _ = write!(self.out, "{part}.");
        }
        let _ = write!(self.out, "{name}: ");
    }

    /// An entry.
    pub(crate) fn put(&mut self, name: &str, value: Value<'_>) {
        match self.format {
            format::SENML_JSON | format::SENML_CBOR => self.record(name, None, value),
            format::TEXT => {
                self.text_key(name);
                self.scalar(value);
                self.out.write(b"\n");
            }
            _ => {
                self.key(name);
                self.scalar(value);
            }
        }
    }

    /// An entry of values in a row; in SenML they are numbered.
    // One function for all iterators: each of its own would take 600 bytes of flash.
    pub(crate) fn list<'v>(&mut self, name: &str, values: &mut dyn Iterator<Item = Value<'v>>) {
        match self.format {
            format::SENML_JSON | format::SENML_CBOR => {
                for (index, value) in values.enumerate() {
                    self.record(name, Some(index), value);
                }
            }
            format::CBOR => {
                self.key(name);
                let _ = self.cbor().begin_array();
                for value in values {
                    self.scalar(value);
                }
                let _ = self.cbor().end();
            }
            format => {
                let json = format == format::JSON;
                if json {
                    self.key(name);
                    self.out.write(b"[");
                } else {
                    self.text_key(name);
                }
                for (index, value) in values.enumerate() {
                    self.out.write(if index > 0 { b"," } else { b"" });
                    self.scalar(value);
                }
                self.out.write(if json { b"]" } else { b"\n" });
            }
        }
    }

    /// The one value of a document: in plain text without a name, in SenML with this one, else as `value`.
    pub(crate) fn only(&mut self, name: &str, value: Value<'_>) {
        match self.format {
            format::TEXT => self.scalar(value),
            format::SENML_JSON | format::SENML_CBOR => self.record(name, None, value),
            _ => self.put("value", value),
        }
    }

    /// What records of SenML have from here on: a unit, unless it is empty, and a time in seconds.
    pub(crate) fn stamp(&mut self, unit: &'r str, time: f64) {
        self.stamp = Some((unit, time));
    }

    /// A value as CBOR, JSON or text has it.
    fn scalar(&mut self, value: Value<'_>) {
        if let Value::Shown(value) = value {
            return self.scalar(Value::Text(&shown(value)));
        }
        if self.format == format::CBOR {
            let mut e = self.cbor();
            let _ = match value {
                Value::Text(v) => e.str(v),
                Value::Shown(_) => return,
                Value::Uint(v) => e.u64(v),
                Value::Int(v) => e.i64(v),
                Value::Bool(v) => e.bool(v),
                Value::Float(v) => e.f32(v),
                Value::Double(v) => e.f64(v),
                Value::None => e.null(),
                Value::Bytes(v) => e.bytes(v),
            };
            return;
        }
        let json = self.format == format::JSON;
        match value {
            Value::Text(v) if json => quote(self.out, v),
            Value::Text(v) => self.out.write(v.as_bytes()),
            Value::Shown(_) => {}
            Value::Uint(v) => drop(write!(self.out, "{v}")),
            Value::Int(v) => drop(write!(self.out, "{v}")),
            Value::Bool(v) => drop(write!(self.out, "{v}")),
            Value::Float(v) if json && !v.is_finite() => quote(self.out, odd(v)),
            Value::Float(v) => drop(write!(self.out, "{}", Decimal::from(v))),
            Value::Double(v) if json && !v.is_finite() => quote(self.out, odd(v as f32)),
            Value::Double(v) => drop(write!(self.out, "{}", Decimal::from(v))),
            Value::None => self.out.write(if json { b"null" } else { b"" }),
            Value::Bytes(v) => {
                self.out.write(if json { b"\"" } else { b"" });
                for byte in v {
                    let _ = write!(self.out, "{byte:02x}");
                }
                self.out.write(if json { b"\"" } else { b"" });
            }
        }
    }

    /// A record of SenML (RFC 8428 §4.2): its time is now, as it says nothing else.
    fn record(&mut self, name: &str, index: Option<usize>, value: Value<'_>) {
        match value {
            Value::Shown(value) => {
                return self.record(name, index, Value::Text(&shown(value)));
            }
            Value::Float(v) if !v.is_finite() => {
                return self.record(name, index, Value::Text(odd(v)));
            }
            Value::Double(v) if !v.is_finite() => {
                return self.record(name, index, Value::Text(odd(v as f32)));
            }
            Value::None => return self.record(name, index, Value::Text("none")),
            _ => {}
        }
        let mut full = heapless::String::<64>::new();
        for part in &self.path {
            let _ = write!(full, "{part}/");
        }
        let _ = full.push_str(name);
        if let Some(index) = index {
            let _ = write!(full, "/{index}");
        }
        let [node, resource] = self.base;
        let between = if resource.is_empty() { "" } else { "/" };
        let first = self.first;
        if self.format == format::SENML_CBOR {
            self.first = false;
            let mut base = heapless::String::<64>::new();
            let _ = write!(base, "{node}/{resource}{between}");
            let stamp = self.stamp;
            let mut e = self.cbor();
            // Labels of RFC 8428 §6.
            let _ = e.begin_map();
            if first {
                let _ = e.i8(-2).and_then(|e| e.str(&base));
            }
            let _ = e.u8(0).and_then(|e| e.str(&full));
            let _ = match value {
                Value::Text(v) => e.u8(3).and_then(|e| e.str(v)),
                Value::Shown(_) => return,
                Value::Uint(v) => e.u8(2).and_then(|e| e.u64(v)),
                Value::Int(v) => e.u8(2).and_then(|e| e.i64(v)),
                Value::Double(v) => e.u8(2).and_then(|e| e.f64(v)),
                Value::Bool(v) => e.u8(4).and_then(|e| e.bool(v)),
                Value::Float(v) => e.u8(2).and_then(|e| e.f32(v)),
                Value::None => return,
                Value::Bytes(v) => e.u8(8).and_then(|e| e.bytes(v)),
            };
            if let Some((unit, time)) = stamp {
                if !unit.is_empty() {
                    let _ = e.u8(1).and_then(|e| e.str(unit));
                }
                let _ = e.u8(6).and_then(|e| e.f64(time));
            }
            let _ = e.end();
            return;
        }
        self.comma();
        self.out.write(b"{");
        if first {
            let _ = write!(self.out, "\"bn\":\"{node}/{resource}{between}\",");
        }
        let _ = write!(self.out, "\"n\":\"{full}\",");
        match value {
            Value::Text(v) => {
                self.out.write(b"\"vs\":");
                quote(self.out, v);
            }
            Value::Shown(_) => {}
            Value::Uint(v) => drop(write!(self.out, "\"v\":{v}")),
            Value::Int(v) => drop(write!(self.out, "\"v\":{v}")),
            Value::Double(v) => drop(write!(self.out, "\"v\":{}", Decimal::from(v))),
            Value::Bool(v) => drop(write!(self.out, "\"vb\":{v}")),
            Value::Float(v) => drop(write!(self.out, "\"v\":{}", Decimal::from(v))),
            Value::None => {}
            Value::Bytes(v) => {
                self.out.write(b"\"vd\":\"");
                base64url(self.out, v);
                self.out.write(b"\"");
            }
        }
        if let Some((unit, time)) = self.stamp {
            if !unit.is_empty() {
                let _ = write!(self.out, ",\"u\":\"{unit}\"");
            }
            let _ = write!(self.out, ",\"t\":{}", Decimal::from(time));
        }
        self.out.write(b"}");
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.put(name, Value::Text(value));
    }

    /// A whole number.
    pub(crate) fn uint(&mut self, name: &str, value: impl Into<u64>) {
        self.put(name, Value::Uint(value.into()));
    }

    /// Yes or no.
    pub(crate) fn bool(&mut self, name: &str, value: bool) {
        self.put(name, Value::Bool(value));
    }

    /// Texts in a row.
    pub(crate) fn texts<'t>(&mut self, name: &str, values: impl Iterator<Item = &'t str>) {
        self.list(name, &mut values.map(Value::Text));
    }

    /// Whole numbers in a row.
    pub(crate) fn uints(&mut self, name: &str, values: impl Iterator<Item = u32>) {
        self.list(name, &mut values.map(|v| Value::Uint(v.into())));
    }
}

fn shown(value: &dyn fmt::Display) -> heapless::String<SHOWN> {
    let mut text = heapless::String::new();
    let _ = write!(text, "{value}");
    text
}

/// Bytes as SenML's JSON has them (RFC 8428 §4.3, RFC 4648 §5 without padding).
fn base64url(out: &mut Response<'_>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for group in bytes.chunks(3) {
        let mut bits = 0u32;
        for place in 0..3 {
            bits = bits << 8 | group.get(place).map_or(0, |b| u32::from(*b));
        }
        for digit in 0..=group.len() {
            let at = bits >> (18 - 6 * digit) & 63;
            out.write(DIGITS.get(at as usize..at as usize + 1).unwrap_or(b""));
        }
    }
}

/// A value that is not finite, as text.
fn odd(value: f32) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

/// A string as JSON has it (RFC 8259 §7).
pub(crate) fn quote(out: &mut Response<'_>, text: &str) {
    out.write(b"\"");
    for ch in text.chars() {
        let _ = match ch {
            '"' | '\\' => write!(out, "\\{ch}"),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "{c}"),
        };
    }
    out.write(b"\"");
}

/// A time of day, in milliseconds since 1970, as seconds.
pub(crate) fn seconds(out: &mut Response<'_>, form: u16, node: &str, millis: i64) {
    out.format(form);
    let (whole, rest) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    match form {
        format::CBOR => drop(Encoder::new(Sink(out)).f64(millis as f64 / 1000.0)),
        format::SENML_CBOR => {
            let mut base = heapless::String::<64>::new();
            let _ = write!(base, "{node}/");
            let mut e = Encoder::new(Sink(out));
            // Labels of RFC 8428 §6.
            let _ = e.array(1).and_then(|e| e.map(4)).and_then(|e| {
                e.i8(-2)?.str(&base)?.u8(0)?.str("time")?;
                e.u8(1)?.str("s")?.u8(2)?.f64(millis as f64 / 1000.0)
            });
        }
        format::SENML_JSON => {
            let _ = write!(
                out,
                "[{{\"bn\":\"{node}/\",\"n\":\"time\",\"u\":\"s\",\"v\":{whole}.{rest:03}}}]"
            );
        }
        _ => drop(write!(out, "{whole}.{rest:03}")),
    }
}

/// What is measured: the node and the name make its global name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity<'a> {
    pub(crate) node: &'a str,
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
    /// What is wrong with it, when it is not well.
    pub(crate) state: Option<&'a str>,
}

/// Writes samples, oldest first. Times are absolute once the clock is set, else relative to now (RFC 8428 §4.5.3).
pub(crate) fn samples(
    out: &mut Response<'_>,
    form: u16,
    what: Quantity<'_>,
    clock: Option<i64>,
    now: u64,
    all: &mut dyn Iterator<Item = &Sample>,
) {
    out.format(form);
    let time = |s: &Sample| {
        let base = clock.unwrap_or(0i64.wrapping_sub(now as i64));
        (base.wrapping_add(s.at as i64)) as f64 / 1000.0
    };
    // A pack has at least one record: the one that says why there is no value.
    let none = what.state.unwrap_or("none");
    match form {
        format::SENML_JSON => {
            let _ = write!(out, "[{{\"bn\":\"{}/\",", what.node);
            let mut first = true;
            for s in all {
                out.write(if first { b"" } else { b",{" });
                first = false;
                let _ = write!(out, "\"n\":\"{}\",", what.name);
                if !what.unit.is_empty() {
                    let _ = write!(out, "\"u\":\"{}\",", what.unit);
                }
                let _ = if s.value.is_finite() {
                    write!(out, "\"v\":{}", Decimal::from(s.value))
                } else {
                    write!(out, "\"vs\":\"{}\"", odd(s.value))
                };
                let _ = write!(out, ",\"t\":{}}}", Decimal::from(time(s)));
            }
            if first {
                let _ = write!(out, "\"n\":\"{}\",\"vs\":\"{none}\"}}", what.name);
            }
            out.write(b"]");
        }
        format::SENML_CBOR => {
            let mut base = heapless::String::<40>::new();
            let _ = write!(base, "{}/", what.node);
            // Labels of RFC 8428 §6.
            let mut e = Encoder::new(Sink(out));
            let _ = e.begin_array();
            let mut first = true;
            let mut begin = |e: &mut Encoder<Sink<'_, '_>>| {
                let _ = e.begin_map();
                if core::mem::replace(&mut first, false) {
                    let _ = e.i8(-2).and_then(|e| e.str(&base));
                }
                let _ = e.u8(0).and_then(|e| e.str(what.name));
            };
            let mut some = false;
            for s in all {
                some = true;
                begin(&mut e);
                if !what.unit.is_empty() {
                    let _ = e.u8(1).and_then(|e| e.str(what.unit));
                }
                let _ = if s.value.is_finite() {
                    e.u8(2).and_then(|e| e.f32(s.value))
                } else {
                    e.u8(3).and_then(|e| e.str(odd(s.value)))
                };
                let _ = e.u8(6).and_then(|e| e.f64(time(s)));
                let _ = e.end();
            }
            if !some {
                begin(&mut e);
                let _ = e.u8(3).and_then(|e| e.str(none));
                let _ = e.end();
            }
            let _ = e.end();
        }
        format::CBOR | format::JSON => {
            // Before the first sample there is no value, and no time of it.
            let last = all.last();
            let mut d = Document::new(out, form, [what.node, what.name]);
            d.put("value", last.map_or(Value::None, |s| Value::Float(s.value)));
            d.text("unit", what.unit);
            if let Some(s) = last {
                d.uint("at", s.at);
                d.uint("age", now.saturating_sub(s.at));
            }
            if let Some(state) = what.state {
                d.text("state", state);
            }
            d.end();
        }
        _ => {
            if let Some(s) = all.last() {
                let _ = write!(out, "{}", Decimal::from(s.value));
            }
        }
    }
}
