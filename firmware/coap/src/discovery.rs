//! `/.well-known/core` (RFC 6690).
use crate::application::{Application, WebLink};
use crate::message::{Code, format};
use crate::request::Request;
use crate::response::{Answer, Response};

/// Whether a value, perhaps one of several separated by spaces, is what a filter asks for (RFC 6690 §4.1).
fn matches(value: &str, wanted: &str, list: bool) -> bool {
    let one = |value: &str| match wanted.strip_suffix('*') {
        Some(prefix) => value.starts_with(prefix),
        None => value == wanted,
    };
    one(value) || list && value.split(' ').any(one)
}

/// Whether a link passes one filter, as in `rt=wasmote.sensor` or `obs`.
fn passes(link: &WebLink<'_>, filter: &str) -> bool {
    let (key, wanted) = filter
        .split_once('=')
        .map_or((filter, None), |(k, v)| (k, Some(v)));
    let text = |value: &str, list| {
        !value.is_empty() && wanted.is_none_or(|wanted| matches(value, wanted, list))
    };
    let number = |value: u32| text(Digits::new(value).text(), false);
    match key {
        "href" => wanted.is_none_or(|wanted| href(link, wanted)),
        "rt" => text(link.rt, true),
        "if" => text(link.if_, true),
        "title" => text(link.title, false),
        "ct" => link.ct.iter().any(|ct| number(u32::from(*ct))),
        "sz" => link.sz != 0 && number(link.sz),
        "obs" => link.obs && wanted.is_none_or(str::is_empty),
        // RFC 6690 §4.1: an attribute that a link does not have does not match.
        _ => false,
    }
}

/// Compares a path with its segments one after the other.
fn href(link: &WebLink<'_>, wanted: &str) -> bool {
    let (mut rest, open) = wanted
        .strip_suffix('*')
        .map_or((wanted, false), |prefix| (prefix, true));
    for segment in link.path {
        for piece in ["/", segment] {
            if open && piece.starts_with(rest) {
                return true;
            }
            let Some(after) = rest.strip_prefix(piece) else {
                return false;
            };
            rest = after;
        }
    }
    rest.is_empty()
}

/// A number in decimal. The formatter of the language would take ten times as long.
struct Digits {
    bytes: [u8; 10],
    from: usize,
}

impl Digits {
    fn new(mut value: u32) -> Self {
        let mut digits = Self {
            bytes: [b'0'; 10],
            from: 10,
        };
        for place in digits.bytes.iter_mut().rev() {
            *place = b'0' + (value % 10) as u8;
            digits.from -= 1;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        digits
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or(&[])
    }

    fn text(&self) -> &str {
        core::str::from_utf8(self.bytes()).unwrap_or("")
    }
}

/// Answers a request for `/.well-known/core`: writes the links that pass all filters.
pub(crate) fn list<A: Application>(
    app: &A,
    request: &Request<'_>,
    response: &mut Response<'_>,
) -> Answer {
    if request.method != Code::GET {
        response.code(Code::METHOD_NOT_ALLOWED);
        return Answer::Now;
    }
    if request
        .accept()
        .is_some_and(|wanted| wanted != format::LINK)
    {
        response.code(Code::NOT_ACCEPTABLE);
        return Answer::Now;
    }
    response.format(format::LINK);
    let mut any = false;
    let mut index = 0;
    while app.web_link(index, &mut |link| {
        if !request.queries().all(|filter| passes(link, filter)) {
            return;
        }
        response.write(if any { &b",<"[..] } else { b"<" });
        any = true;
        for segment in link.path {
            response.write(b"/");
            response.write(segment.as_bytes());
        }
        response.write(b">");
        for (key, value) in [
            (";rt=\"", link.rt),
            (";if=\"", link.if_),
            (";title=\"", link.title),
        ] {
            if !value.is_empty() {
                response.write(key.as_bytes());
                response.write(value.as_bytes());
                response.write(b"\"");
            }
        }
        match link.ct {
            [] => {}
            [one] => {
                response.write(b";ct=");
                response.write(Digits::new(u32::from(*one)).bytes());
            }
            several => {
                let mut before: &[u8] = b";ct=\"";
                for ct in several {
                    response.write(before);
                    response.write(Digits::new(u32::from(*ct)).bytes());
                    before = b" ";
                }
                response.write(b"\"");
            }
        }
        if link.sz != 0 {
            response.write(b";sz=");
            response.write(Digits::new(link.sz).bytes());
        }
        if link.obs {
            response.write(b";obs");
        }
    }) {
        index += 1;
    }
    Answer::Now
}
