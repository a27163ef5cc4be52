//! One description of a resource, written as JSON, CBOR or plain text; and samples as SenML (RFC 8428).
use core::fmt::Write;
use minicbor::Encoder;
use wasmote_coap::{Response, format};

/// A document in the making.
#[derive(Debug)]
pub(crate) struct Document<'r, 'b> {
    out: &'r mut Response<'b>,
    format: u16,
    first: bool,
    /// Names of the enclosing maps, for plain text.
    path: heapless::Vec<&'static str, 4>,
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
    /// The formats that a document can have, the default first.
    pub(crate) const FORMATS: [u16; 3] = [format::CBOR, format::JSON, format::TEXT];

    /// Begins a map in this format.
    pub(crate) fn new(out: &'r mut Response<'b>, format: u16) -> Self {
        out.format(format);
        let mut document = Self {
            out,
            format,
            first: true,
            path: heapless::Vec::new(),
        };
        document.open();
        document
    }

    fn cbor(&mut self) -> Encoder<Sink<'_, 'b>> {
        Encoder::new(Sink(self.out))
    }

    fn open(&mut self) {
        match self.format {
            format::CBOR => drop(self.cbor().begin_map()),
            format::JSON => self.out.write(b"{"),
            _ => {}
        }
        self.first = true;
    }

    /// Ends the map.
    pub(crate) fn end(&mut self) {
        match self.format {
            format::CBOR => drop(self.cbor().end()),
            format::JSON => self.out.write(b"}"),
            _ => {}
        }
        self.first = false;
        self.path.pop();
    }

    /// Begins a map in the map.
    pub(crate) fn map(&mut self, name: &'static str) {
        self.key(name);
        let _ = self.path.push(name);
        self.open();
    }

    fn key(&mut self, name: &str) {
        match self.format {
            format::CBOR => drop(self.cbor().str(name)),
            format::JSON => {
                if !self.first {
                    self.out.write(b",");
                }
                quote(self.out, name);
                self.out.write(b":");
            }
            _ => {}
        }
        self.first = false;
    }

    fn text_key(&mut self, name: &str) {
        for part in &self.path {
            let _ = write!(self.out, "{part}.");
        }
        let _ = write!(self.out, "{name}: ");
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        match self.format {
            format::CBOR => drop(self.cbor().str(value)),
            format::JSON => quote(self.out, value),
            _ => {
                self.text_key(name);
                let _ = writeln!(self.out, "{value}");
            }
        }
    }

    /// A whole number.
    pub(crate) fn uint(&mut self, name: &str, value: u64) {
        self.key(name);
        match self.format {
            format::CBOR => drop(self.cbor().u64(value)),
            format::JSON => drop(write!(self.out, "{value}")),
            _ => {
                self.text_key(name);
                let _ = writeln!(self.out, "{value}");
            }
        }
    }

    /// Yes or no.
    pub(crate) fn bool(&mut self, name: &str, value: bool) {
        self.key(name);
        match self.format {
            format::CBOR => drop(self.cbor().bool(value)),
            format::JSON => drop(write!(self.out, "{value}")),
            _ => {
                self.text_key(name);
                let _ = writeln!(self.out, "{value}");
            }
        }
    }

    /// A number, or nothing where it is none.
    pub(crate) fn float(&mut self, name: &str, value: f32) {
        self.key(name);
        match self.format {
            format::CBOR => drop(self.cbor().f32(value)),
            format::JSON => number(self.out, value),
            _ => {
                self.text_key(name);
                number(self.out, value);
                self.out.write(b"\n");
            }
        }
    }

    /// Bytes: hexadecimal but in CBOR.
    pub(crate) fn bytes(&mut self, name: &str, value: &[u8]) {
        self.key(name);
        match self.format {
            format::CBOR => drop(self.cbor().bytes(value)),
            format::JSON => {
                self.out.write(b"\"");
                hex(self.out, value);
                self.out.write(b"\"");
            }
            _ => {
                self.text_key(name);
                hex(self.out, value);
                self.out.write(b"\n");
            }
        }
    }

    /// Whole numbers in a row.
    pub(crate) fn uints(&mut self, name: &str, values: impl Iterator<Item = u64>) {
        self.key(name);
        if self.format == format::TEXT {
            self.text_key(name);
        }
        match self.format {
            format::CBOR => {
                let mut e = self.cbor();
                let _ = e.begin_array();
                for value in values {
                    let _ = e.u64(value);
                }
                let _ = e.end();
            }
            f => {
                let json = f == format::JSON;
                self.out.write(if json { b"[" } else { b"" });
                for (index, value) in values.enumerate() {
                    let _ = write!(self.out, "{}{value}", if index > 0 { "," } else { "" });
                }
                self.out.write(if json { b"]" } else { b"\n" });
            }
        }
    }

    /// Texts in a row.
    pub(crate) fn texts<'t>(&mut self, name: &str, values: impl Iterator<Item = &'t str>) {
        self.key(name);
        if self.format == format::TEXT {
            self.text_key(name);
        }
        match self.format {
            format::CBOR => {
                let mut e = self.cbor();
                let _ = e.begin_array();
                for value in values {
                    let _ = e.str(value);
                }
                let _ = e.end();
            }
            f => {
                let json = f == format::JSON;
                self.out.write(if json { b"[" } else { b"" });
                for (index, value) in values.enumerate() {
                    if index > 0 {
                        self.out.write(b",");
                    }
                    if json {
                        quote(self.out, value)
                    } else {
                        self.out.write(value.as_bytes())
                    }
                }
                self.out.write(if json { b"]" } else { b"\n" });
            }
        }
    }
}

/// A number as JSON has it (RFC 8259 §6: no NaN, no infinity).
pub(crate) fn number(out: &mut Response<'_>, value: f32) {
    let _ = if value.is_finite() {
        write!(out, "{value}")
    } else {
        write!(out, "null")
    };
}

fn hex(out: &mut Response<'_>, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
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

/// A value with its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) value: f32,
    /// Milliseconds since the start.
    pub(crate) at: u64,
}

/// What is measured: the node and the name make its global name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity<'a> {
    pub(crate) node: &'a str,
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
}

/// The formats of a sample, the default first.
pub(crate) const SAMPLE_FORMATS: [u16; 5] = [
    format::TEXT,
    format::SENML_JSON,
    format::SENML_CBOR,
    format::CBOR,
    format::JSON,
];

/// Writes samples, oldest first. Times are absolute once the clock is set, else relative to now (RFC 8428 §4.5.3).
pub(crate) fn samples<'s>(
    out: &mut Response<'_>,
    form: u16,
    what: Quantity<'_>,
    clock: Option<i64>,
    now: u64,
    all: impl Iterator<Item = &'s Sample>,
) {
    out.format(form);
    let time = |s: &Sample| {
        let base = clock.unwrap_or(0i64.wrapping_sub(now as i64));
        (base.wrapping_add(s.at as i64)) as f64 / 1000.0
    };
    match form {
        format::SENML_JSON => {
            for (index, s) in all.enumerate() {
                let _ = write!(out, "{}", if index == 0 { "[{" } else { ",{" });
                if index == 0 {
                    let _ = write!(out, "\"bn\":\"{}/\",", what.node);
                }
                let _ = write!(out, "\"n\":\"{}\"", what.name);
                if !what.unit.is_empty() {
                    let _ = write!(out, ",\"u\":\"{}\"", what.unit);
                }
                if s.value.is_finite() {
                    let _ = write!(out, ",\"v\":{}", s.value);
                }
                let _ = write!(out, ",\"t\":{}}}", time(s));
            }
            out.write(b"]");
        }
        format::SENML_CBOR => {
            // Labels of RFC 8428 §6.
            let mut e = Encoder::new(Sink(out));
            let _ = e.begin_array();
            for (index, s) in all.enumerate() {
                let _ = e.begin_map();
                if index == 0 {
                    let mut name = heapless::String::<40>::new();
                    let _ = write!(name, "{}/", what.node);
                    let _ = e.i8(-2).and_then(|e| e.str(&name));
                }
                let _ = e.u8(0).and_then(|e| e.str(what.name));
                if !what.unit.is_empty() {
                    let _ = e.u8(1).and_then(|e| e.str(what.unit));
                }
                let _ = e.u8(2).and_then(|e| e.f32(s.value));
                let _ = e.u8(6).and_then(|e| e.f64(time(s)));
                let _ = e.end();
            }
            let _ = e.end();
        }
        format::CBOR | format::JSON => {
            let Some(s) = all.last() else { return };
            let mut d = Document::new(out, form);
            d.float("value", s.value);
            d.text("unit", what.unit);
            d.uint("at", s.at);
            d.end();
        }
        _ => {
            if let Some(s) = all.last() {
                let _ = write!(out, "{}", s.value);
            }
        }
    }
}
