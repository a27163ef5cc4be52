//! A counter of button presses that can be read at /app/x/count and set with PUT.
use super::{Filter, Node};

const GET: i32 = 1;
const PUT: i32 = 3;
const CHANGED: i32 = 0x44;
const CONTENT: i32 = 0x45;
const NOT_FOUND: i32 = 0x84;
const METHOD_NOT_ALLOWED: i32 = 0x85;

/// The filter.
pub struct Program {
    count: i32,
}

impl Program {
    /// At its start.
    pub const NEW: Self = Self { count: 0 };
}

/// A whole number at the beginning of a text.
fn number(text: &[u8]) -> i32 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut result = 0_i32;
    for digit in digits {
        if !digit.is_ascii_digit() {
            break;
        }
        let digit = i32::from(digit - b'0');
        result = result.wrapping_mul(10).wrapping_add(digit);
    }
    if negative {
        result.wrapping_neg()
    } else {
        result
    }
}

fn reply_number(node: &mut impl Node, value: i32) {
    let mut text = [0; 12];
    let mut start = text.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        text[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 || start == 1 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        text[start] = b'-';
    }
    node.reply(CONTENT, &text[start..]);
}

impl Filter for Program {
    fn sample(&mut self, _: &mut impl Node, _: i32, pressed: f32) {
        if pressed != 0.0 {
            self.count = self.count.wrapping_add(1);
        }
    }

    fn request(&mut self, node: &mut impl Node, method: i32, path: &[u8], payload: &[u8]) {
        if path != b"count" {
            return node.reply(NOT_FOUND, b"only count is here");
        }
        if method == GET {
            return reply_number(node, self.count);
        }
        if method != PUT {
            return node.reply(METHOD_NOT_ALLOWED, b"");
        }
        self.count = number(payload);
        node.reply(CHANGED, b"");
    }
}
