//! A stream of answers as server-sent events, <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! Each message is the data of one event. The stream ends with `event: end` or `event: error`, names that no message's
//! own event may take, so that a client can always tell.
//!
//! ```text
//! id: 42
//! event: shipped
//! data: {"order":"7"}
//!
//! event: end
//! data: {}
//! ```

use memchr::memchr2;

use crate::protocol::rest::error;
use crate::status::{Detail, Status};

/// Sent while nothing else is: a comment, which clients pass over.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// The end of a stream that ended well. Browsers pass over an event without data.
pub const END: &[u8] = b"event: end\ndata: {}\n\n";

/// What an event says beside its data.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels<'a> {
    /// What a client that comes back sends as `Last-Event-ID`.
    pub id: Option<&'a str>,
    /// The event's name; clients take none as `message`.
    pub event: Option<&'a str>,
}

/// Before each message. Returns where its data starts, for [`close`].
pub fn open(labels: Labels<'_>, out: &mut Vec<u8>) -> usize {
    if let Some(id) = labels.id {
        write_field("id", id, out);
    }
    if let Some(event) = labels.event.filter(|event| !is_reserved(event)) {
        write_field("event", event, out);
    }
    out.extend_from_slice(b"data: ");
    out.len()
}

/// After each message, whose JSON stands in `out` from `start` on. An indented one becomes several lines of data.
pub fn close(start: usize, out: &mut Vec<u8>) {
    let data = out.get(start..).unwrap_or_default();
    if memchr2(b'\n', b'\r', data).is_some() {
        let lines = data.to_vec();
        out.truncate(start);
        for (index, line) in lines.split(|byte| matches!(byte, b'\n' | b'\r')).enumerate() {
            if index > 0 {
                out.extend_from_slice(b"\ndata: ");
            }
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(b"\n\n");
}

/// The end of a stream that failed; `print` writes one detail as a JSON object.
pub fn write_error(status: &Status, print: &mut dyn FnMut(&Detail, &mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: error\ndata: ");
    let start = out.len();
    error::write_status(status, print, out);
    close(start, out);
}

/// Whether it would read as the end of the stream, with what [`write_field`] leaves out; an empty one says nothing.
fn is_reserved(event: &str) -> bool {
    let name = || event.bytes().filter(is_written).filter(|&byte| byte != b' ');
    name().next().is_none() || name().eq(*b"end") || name().eq(*b"error")
}

/// A value comes from a message: a line break would begin another field, and clients pass over an id with a NUL.
fn write_field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.bytes().filter(is_written));
    out.push(b'\n');
}

const fn is_written(byte: &u8) -> bool {
    !matches!(byte, b'\n' | b'\r' | 0)
}

#[cfg(test)]
mod tests;
