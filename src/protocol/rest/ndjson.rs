//! A stream of answers as one JSON message a line, <https://github.com/ndjson/ndjson-spec>.
//!
//! A stream that fails after its head ends with a line that no message prints as: `{"@error": {…}}`.

use crate::protocol::rest::error;
use crate::status::{Detail, Status};

/// After each message, which stands in `out` from `start` on: it becomes a line of its own.
///
/// JSON strings hold no raw line breaks, so those of an indented message are white space and are replaced by spaces.
pub fn close(start: usize, out: &mut Vec<u8>) {
    for byte in out.get_mut(start..).unwrap_or_default() {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.push(b'\n');
}

/// The last line of a stream that failed; `print` writes one detail as a JSON object.
pub fn write_error(status: &Status, print: &mut dyn FnMut(&Detail, &mut Vec<u8>), out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b"{\"@error\":");
    error::write_status(status, print, out);
    out.push(b'}');
    close(start, out);
}

#[cfg(test)]
mod tests;
