//! The access log: one line a request on standard output. A worker formats its lines into a buffer that it alone fills.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::lines::{Lines, Output};
use crate::calendar;
use crate::status::Code;

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    #[default]
    Json,
    /// For people.
    Text,
    /// No access log.
    Off,
}

/// What is told of one request.
#[derive(Debug)]
pub struct Record<'a> {
    /// When it arrived.
    pub time: SystemTime,
    pub request_id: &'a str,
    /// The trace that it belongs to (W3C Trace Context).
    pub trace_id: u128,
    /// The client's address, as text: it is printed once a connection.
    pub client: &'a str,
    /// Empty where the head of the request could not be read.
    pub verb: &'a str,
    /// The path template of the route; never the raw path or query. Empty where no route matched.
    pub route: &'a str,
    /// `package.Service/Method`. Empty where no route matched.
    pub rpc: &'a str,
    pub status: StatusCode,
    pub code: Code,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub duration: Duration,
    /// From the call's start to its end, where the upstream was called.
    pub upstream: Option<Duration>,
    /// Who calls, where a credential was verified.
    pub caller: Option<Caller<'a>>,
    /// Why it was not let through, in a word.
    pub refused: Option<&'a str>,
    /// Why it failed, for people who run the gateway.
    pub cause: Option<&'a str>,
}

/// A verified caller: never the credential itself.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The provider that verified it.
    pub provider: &'a str,
    /// Its name there.
    pub subject: &'a str,
}

/// The access log of a process.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    /// Without a format there are none.
    lines: Option<Arc<Lines>>,
}

impl AccessLog {
    /// Starts the writer for this number of workers.
    #[must_use]
    pub fn start(format: Format, workers: usize) -> Arc<Self> {
        let lines = (format != Format::Off).then(|| Lines::start("access-log", Output::Stdout, workers));
        Arc::new(Self { format, lines })
    }

    /// Lines that were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lines.as_deref().map_or(0, Lines::dropped)
    }

    /// Adds the line of one request that this worker served.
    pub fn write(&self, worker: usize, record: &Record<'_>) {
        let Some(lines) = &self.lines else { return };
        lines.add(worker, |out| match self.format {
            Format::Json => record.print_json(out),
            Format::Text => record.print_text(out),
            Format::Off => {}
        });
    }

    /// Writes what waits, and stops; gives up after this time.
    pub fn stop(&self, at_most: Duration) {
        if let Some(lines) = &self.lines {
            lines.stop(at_most);
        }
    }
}

impl Record<'_> {
    fn print_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        print_time(self.time, out);
        out.extend_from_slice(b"\",\"request_id\":\"");
        print_escaped(self.request_id, out);
        out.extend_from_slice(b"\",\"trace_id\":\"");
        print_hex(self.trace_id, out);
        out.extend_from_slice(b"\",\"client\":\"");
        print_escaped(self.client, out);
        out.extend_from_slice(b"\",\"method\":\"");
        print_escaped(self.verb, out);
        out.extend_from_slice(b"\",\"route\":\"");
        print_escaped(self.route, out);
        out.extend_from_slice(b"\",\"rpc\":\"");
        print_escaped(self.rpc, out);
        out.extend_from_slice(b"\",\"status\":");
        print_number(self.status.as_u16().into(), out);
        out.extend_from_slice(b",\"code\":\"");
        out.extend_from_slice(self.code.name().as_bytes());
        out.extend_from_slice(b"\",\"request_bytes\":");
        print_number(self.request_bytes, out);
        out.extend_from_slice(b",\"response_bytes\":");
        print_number(self.response_bytes, out);
        out.extend_from_slice(b",\"duration_us\":");
        print_number(micros(self.duration), out);
        if let Some(upstream) = self.upstream {
            out.extend_from_slice(b",\"upstream_us\":");
            print_number(micros(upstream), out);
        }
        if let Some(caller) = self.caller {
            out.extend_from_slice(b",\"provider\":\"");
            print_escaped(caller.provider, out);
            out.extend_from_slice(b"\",\"subject\":\"");
            print_escaped(caller.subject, out);
            out.push(b'"');
        }
        if let Some(refused) = self.refused {
            out.extend_from_slice(b",\"refused\":\"");
            print_escaped(refused, out);
            out.push(b'"');
        }
        if let Some(cause) = self.cause {
            out.extend_from_slice(b",\"cause\":\"");
            print_escaped(cause, out);
            out.push(b'"');
        }
        out.extend_from_slice(b"}\n");
    }

    fn print_text(&self, out: &mut Vec<u8>) {
        print_time(self.time, out);
        let (status, code, us) = (self.status.as_u16(), self.code.name(), micros(self.duration));
        // Writing to a Vec can't fail.
        let verb = if self.verb.is_empty() { "-" } else { self.verb };
        let _ = write!(out, " {} {status} {code} {us}us {verb} ", self.client);
        print_escaped(if self.route.is_empty() { "-" } else { self.route }, out);
        out.push(b' ');
        print_escaped(if self.rpc.is_empty() { "-" } else { self.rpc }, out);
        let _ = write!(out, " in={} out={} id=", self.request_bytes, self.response_bytes);
        print_escaped(self.request_id, out);
        if let Some(caller) = self.caller {
            out.extend_from_slice(b" by=\"");
            print_escaped(caller.provider, out);
            out.push(b':');
            print_escaped(caller.subject, out);
            out.push(b'"');
        }
        if let Some(refused) = self.refused {
            out.extend_from_slice(b" refused=");
            print_escaped(refused, out);
        }
        if let Some(cause) = self.cause {
            out.extend_from_slice(b" cause=\"");
            print_escaped(cause, out);
            out.push(b'"');
        }
        out.push(b'\n');
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn print_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// 32 hexadecimal digits.
fn print_hex(number: u128, out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    for byte in number.to_be_bytes() {
        for digit in [byte >> 4, byte & 15] {
            out.extend(DIGITS.get(usize::from(digit)));
        }
    }
}

/// The inside of a JSON string: what could end it, or the line, or show it in another order, is escaped; so is all that is
/// not ASCII.
fn print_escaped(text: &str, out: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if text.as_bytes().iter().all(plain) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push(b'\\');
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            ' '..='~' => out.push(u8::try_from(character).unwrap_or(b'?')),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}

/// RFC 3339 in UTC, with milliseconds. What is before them is printed once a second and thread.
fn print_time(time: SystemTime, out: &mut Vec<u8>) {
    thread_local! {
        static SECOND: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
    }
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(known, text)| {
        if *known != since.as_secs() {
            *known = since.as_secs();
            text.clear();
            print_second(*known, text);
        }
        out.extend_from_slice(text);
    });
    print_digits(since.subsec_millis().into(), 3, out);
    out.push(b'Z');
}

/// A second since 1970-01-01, up to the point before its fraction.
fn print_second(second: u64, out: &mut Vec<u8>) {
    let days = i64::try_from(second / 86_400).expect("there are fewer days than half of all seconds");
    let (year, month, day) = calendar::civil(days);
    let parts = [
        (month.into(), b'-'),
        (day.into(), b'-'),
        (second / 3600 % 24, b'T'),
        (second / 60 % 60, b':'),
        (second % 60, b':'),
    ];
    print_digits(year.into(), 4, out);
    for (number, before) in parts {
        out.push(before);
        print_digits(number, 2, out);
    }
    out.push(b'.');
}

fn print_digits(number: u64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        let digit = number / 10_u64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).expect("a digit is below ten"));
    }
}

#[cfg(test)]
mod tests;
